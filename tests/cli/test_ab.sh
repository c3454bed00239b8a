#!/bin/sh
# test_ab.sh SEESAW FAKE_SERVER CASE [FAKE_NVML]: `seesaw ab` against the known-answer server, from the outside. Each case is a test of its own.
set -u
seesaw=$1
fake=$2
fake_nvml=${4:-}
. "$(dirname "$0")/../first_fault.sh"
aa=--no-aa # so that a case counts its own arms only
printf 'one plank\ntwo planks and a stone\n' >"$work/prompts"

# ab OUTPUT ARGUMENTS...: a short run; its exit status is left in $status
ab() {
    output=$1
    shift
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 --memory-timeout 1 --grace 2 --timeout 3 \
        --max-tokens 6 --prompts "$work/prompts" --no-report $aa "$@" >"$work/$output" 2>&1
    status=$?
}

run_dir() {
    set -- "$work"/runs/*/
    [ $# -eq 1 ] || fail "there are $# run folders"
    echo "${1%/}"
}

expect_status() {
    [ "$status" -eq "$1" ] || fail "exit status $status, not $1 ($2)"
}

# The good measured samples' arm, prompt and run: each wanted one exactly once.
expect_each_once() {
    grep '"kind":"sample"' "$1/samples.jsonl" | grep '"phase":"measure"' | grep '"error":null' |
        sed 's/.*"arm":"\([^"]*\)".*"prompt":"\([^"]*\)","run":\([0-9]*\).*/\1 \2 \3/' | sort >"$work/seen"
    [ "$(wc -l <"$work/seen")" -eq "$2" ] || fail "$(wc -l <"$work/seen") good samples, not $2"
    [ "$(sort -u "$work/seen" | wc -l)" -eq "$2" ] || fail "a sample was measured twice"
}

expect_no_server() {
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        pgrep -f "port $port|port $((port + 1))" >/dev/null || return 0
        sleep 0.1
    done
    fail "a server is left: $(pgrep -af "port $port|port $((port + 1))")"
}

# wait_for FILE PATTERN COUNT: up to 20 s
wait_for() {
    for i in $(seq 200); do
        [ "$(grep -c "$2" "$1" 2>/dev/null)" -ge "$3" ] 2>/dev/null && return 0
        sleep 0.1
    done
    fail "no $3 lines with $2 in $1"
}

case_complete() {
    ab complete.out -m "$fake" --runs 2 --allow-diff LD_SEEN --allow-diff --ttft-ms --arm "a=--ttft-ms 5 --name fake_server" --arm "b=LD_SEEN=1 --itl-ms 2 --name fake_server"
    expect_status 0 "a complete run"
    dir=$(run_dir)
    expect_each_once "$dir" 8
    for file in manifest.json samples.jsonl telemetry.jsonl tokens.jsonl SHA256SUMS "server-$port.log" "server-$((port + 1)).log" \
        "$(basename "$dir").log"; do
        [ -s "$dir/$file" ] || fail "$file is missing or empty"
    done
    (cd "$dir" && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS is wrong"
    grep -q '"kind":"run_end"' "$dir/samples.jsonl" || fail "no run_end"
    [ "$(grep -c '"phase":"warmup"' "$dir/samples.jsonl")" -eq 4 ] || fail "not one warm-up for each start"
    grep -q '"treatment": "adds: LD_SEEN=1 --itl-ms 2' "$dir/manifest.json" || fail "the treatment is not named"
    sum=$(sha256sum "$fake" | cut -d' ' -f1)
    grep -q "$sum" "$dir/manifest.json" || fail "the server's SHA-256 is not in the manifest"
    grep -q 'fake_server 1' "$dir/manifest.json" || fail "the server's version is not in the manifest"
    [ "$(grep -c '==== seesaw' "$dir/server-$port.log")" -eq 2 ] || fail "a restart does not say so in the server's log"
    grep -q 'TTFT' "$dir/$(basename "$dir").log" || fail "the terminal's log is empty"
    grep -q "$(printf '\033')" "$work/complete.out" && fail "escape codes without a terminal"
    ls "$dir"/.reserve >/dev/null 2>&1 && fail "the reserve is left behind"
    [ "$("$seesaw" compare --index --csv | wc -l)" = 3 ] || fail "the run is not in the index"
    [ "$("$seesaw" compare --index --csv | wc -l)" = 3 ] || fail "the run is not in the index"
    expect_no_server
}

# A library in NVML's place: the GPU is in the manifest, its memory in the telemetry.
# Counters of energy, PCIe traffic and temperatures: in the evidence, in the report; what is absent is said.
case_energy() {
    export SEESAW_NVML="$fake_nvml" SEESAW_POWERCAP="$work/powercap" FAKE_NVML_ENERGY="$work/energy"
    mkdir -p "$work/powercap/intel-rapl:0"
    echo package-0 >"$work/powercap/intel-rapl:0/name"
    echo 1000000000 >"$work/powercap/intel-rapl:0/max_energy_range_uj"
    echo 5000 >"$work/powercap/intel-rapl:0/energy_uj"
    echo 777 >"$work/energy"
    ab energy.out -m fake_server --runs 1 --arm "a=--ttft-ms 50" --arm "b=--ttft-ms 60"
    expect_status 0 "a run with energy counters"
    dir=$(run_dir)
    grep -q '"rapl": "1 package, no DRAM"' "$dir/manifest.json" || fail "the manifest does not say which counters there are"
    grep -q '"gpu_energy_mj":1554' "$dir/telemetry.jsonl" || fail "no energy of the GPUs"
    grep -q '"package_energy_uj":0' "$dir/telemetry.jsonl" || fail "no energy of the package"
    grep -q '"dram_energy_uj":[0-9]' "$dir/telemetry.jsonl" && fail "DRAM has energy, but no counter"
    grep -q '"gpu_pcie_tx_kb_s":1200' "$dir/telemetry.jsonl" || fail "no PCIe traffic"
    "$seesaw" report "$dir" >"$work/report.out" 2>&1 || fail "seesaw report ended $?"
    grep -q 'No DRAM energy: 1 package, no DRAM' "$dir/report/report.md" || fail "the report does not say what is absent"
    grep -q '| temperature, °C, highest | 61 | 61 |' "$dir/report/report.md" || fail "no temperature in the report"
}

case_nvml() {
    export SEESAW_NVML="$fake_nvml"
    ab nvml.out -m fake_server --runs 1 --allow-diff --x --arm "a=--ttft-ms 50" --arm "b=-t 4 --ttft-ms 50 --x"
    expect_status 0 "a run with NVML"
    dir=$(run_dir)
    grep -q '"name": "Fake GPU 1"' "$dir/manifest.json" || fail "the GPU is not in the manifest"
    grep -q '"nvml": "12.570.0"' "$dir/manifest.json" || fail "NVML's version is not in the manifest"
    grep -q '"vram_device_bytes":241172480' "$dir/telemetry.jsonl" || fail "no memory of the devices"
    grep -q '"vram_source":"nvml-device"' "$dir/telemetry.jsonl" || fail "the source is not named"
    grep -q '"flags":\["short","throttled"\]\|"flags":\["throttled"\]' "$dir/samples.jsonl" || fail "throttling is not flagged"
    grep -q '"treatment": "adds: -t 4 --x"' "$dir/manifest.json" || fail "the treatment: $(grep treatment "$dir/manifest.json")"
    grep -q 'GPU       Fake GPU 0, NVML 12.570.0' "$work/nvml.out" || fail "the GPU is not shown"
}

# On a terminal there are a table and cursor movement; in the log there are none. script(1) gives a terminal.
case_terminal() {
    command -v script >/dev/null || { echo "skipped: no script(1)"; exit 77; }
    TERM=xterm script -qec "$seesaw ab --out $work/runs --server $fake --port $port --pause 0 -m fake_server --no-report --no-aa \
        --prompts $work/prompts --runs 1 --max-tokens 6 --arm a=--itl-ms=1 --arm b=" /dev/null >"$work/term.out" 2>&1 </dev/null
    status=$?
    expect_status 0 "a run on a terminal"
    grep -q "$(printf '\033\[4A')" "$work/term.out" || fail "no live table"
    dir=$(run_dir)
    grep -q "$(printf '\033')" "$dir/$(basename "$dir").log" && fail "escape codes in the log"
    return 0
}

case_sequential() {
    ab seq.out -m fake_server --design sequential --warmup 0 --runs 2 --arm "a=" --arm "b=" --json
    expect_status 0 "a sequential run"
    dir=$(run_dir)
    expect_each_once "$dir" 8
    [ "$(grep -c '"kind":"server_start"' "$dir/samples.jsonl")" -eq 2 ] || fail "not two starts"
    "$seesaw" ab --resume "$dir" >"$work/again.out" 2>&1
    status=$?
    expect_status 2 "resuming a complete run"
    grep -q 'complete' "$work/again.out" || fail "no reason given"
}

case_usage() {
    ab none.out
    expect_status 2 "no model"
    ab file.out -m "$work/absent.gguf"
    expect_status 2 "an absent model"
    grep -q "absent.gguf: no such file" "$work/file.out" || fail "the model is not named"
    ab server.out -m fake_server --server "$work/absent"
    expect_status 2 "an absent server"
    ab runs.out -m fake_server --runs 0
    expect_status 2 "no runs"
    ab arm.out -m fake_server --arm "a b=x"
    expect_status 2 "a bad arm name"
    printf 'runs: 2\nbogus: 1\n' >"$work/plan.yaml"
    ab plan.out -m fake_server --plan "$work/plan.yaml"
    expect_status 2 "a bad plan"
    grep -q 'plan.yaml: .*bogus' "$work/plan.out" || fail "the plan's fault is not named: $(cat "$work/plan.out")"
    printf 'GGUFbroken' >"$work/broken.gguf"
    ab broken.out -m "$work/broken.gguf"
    expect_status 2 "a broken model"
    grep -q 'broken.gguf' "$work/broken.out" || fail "the broken model is not named"
    [ "$(wc -l <"$work/broken.out")" -eq 1 ] || fail "more than one line"
}

case_port_taken() {
    "$fake" --port "$((port + 1))" >/dev/null &
    child=$!
    sleep 0.3
    ab port.out -m fake_server --arm "a=" --arm "b="
    expect_status 2 "a taken port"
    grep -q "arm b: port $((port + 1)) is taken by fake_server (pid $child)" "$work/port.out" || fail "$(cat "$work/port.out")"
    [ -d "$work/runs" ] && fail "a run folder was made"
    kill "$child"
    child=""
}

case_wrong_model() {
    ab wrong.out -m fake_server --arm "a=" --arm "b=--name other"
    expect_status 4 "a wrong model"
    grep -q "serves \"other\", not \"fake_server\"" "$work/wrong.out" || fail "the models are not named"
    expect_no_server
}

case_server_failures() {
    ab load.out -m fake_server --arm "a=--fault die-load --load-ms 100"
    expect_status 5 "a server that dies while loading"
    grep -q "ended with exit code 3 while loading; its log (server-$port.log) ends: .*as ordered" "$work/load.out" ||
        fail "$(cat "$work/load.out")"
    rm -r "$work/runs"
    # What was wrong is quoted, not where to read more.
    cat >"$work/refuses" <<'EOF'
#!/bin/sh
echo "server: no option --x"
echo "Try \`server --help' for more information."
exit 2
EOF
    chmod +x "$work/refuses"
    ab refuses.out -m fake_server --server "$work/refuses" --arm a=--x
    expect_status 5 "a server that refuses its options"
    grep -q "its log (server-$port.log) ends: server: no option --x" "$work/refuses.out" || fail "$(cat "$work/refuses.out")"
    rm -r "$work/runs"
    ab never.out -m fake_server --load-timeout 0.5 --arm "a=--fault never-ready"
    expect_status 5 "a server that is never ready"
    rm -r "$work/runs"
    ab hang.out -m fake_server --timeout 0.3 --arm "a=--fault hang --fault-at 2 --ignore-term" --grace 0.2
    expect_status 5 "a server that hangs"
    grep -q '"reason":"hung"' "$(run_dir)/samples.jsonl" || fail "hanging is not in the evidence"
    rm -r "$work/runs"
    ab http.out -m fake_server --arm "a=--fault http"
    expect_status 5 "a server that answers 500"
    grep -q 'HTTP 500: the model fell over' "$work/http.out" || fail "the server's words are not quoted"
    expect_no_server
}

# The third start dies while it loads, after two starts were measured whole: these stay, and the run goes on from there.
case_later_load() {
    cat >"$work/server" <<SCRIPT
#!/bin/sh
[ "\$1" = --version ] && exec "$fake" --version
n=\$(cat "$work/starts" 2>/dev/null || echo 1)
echo \$((n + 1)) >"$work/starts"
[ "\$n" -ne 3 ] || set -- "\$@" --fault die-load
exec "$fake" "\$@"
SCRIPT
    chmod +x "$work/server"
    ab later.out -m fake_server --runs 2 --server "$work/server" --arm "a=" --arm "b=--x"
    expect_status 5 "a later start that dies while loading"
    dir=$(run_dir)
    expect_each_once "$dir" 4
    jq -es '[.[] | select(.kind == "server_start")] | length == 3' "$dir/samples.jsonl" >/dev/null || fail "not three starts"
    jq -es '[.[] | select(.kind == "server_ready")] | length == 2' "$dir/samples.jsonl" >/dev/null || fail "a dead server was ready"
    expect_no_server
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 8
}

# Answers that are no stream: the reason names what came, and the failed request stays in the evidence.
case_garbage() {
    for fault in garbage html; do
        ab $fault.out -m fake_server --runs 1 --allow-diff --fault-request --arm "a=--fault $fault --fault-request 2" --arm "b="
        expect_status 5 "a server that answers $fault"
        grep -q "seesaw ab: b0\.p[01]\.a\..*: the answer holds no frame of a stream (Content-Type: text/" "$work/$fault.out" ||
            fail "the reason is not said"
        dir=$(run_dir)
        grep '"kind":"sample"' "$dir/samples.jsonl" | grep -c 'holds no frame' | grep -qx 1 || fail "the failed request is not kept once"
        grep -q '"reason":"failed"' "$dir/samples.jsonl" || fail "the stop does not say why"
        expect_no_server
        rm -r "$work/runs"
    done
}

# The wall clock jumps by an hour inside a request: that sample is flagged, no duration notices, nothing is lost.
case_clock_stepped() {
    library=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1
    if [ ! -e "$library" ] || ldd "$seesaw" | grep -q 'lib[at]san'; then
        echo "skipped: no libfaketime (tools/install_deps test), or a sanitizer that does not go with it"
        exit 77
    fi
    echo "+0" >"$work/clock"
    LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE="$work/clock" FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
        "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" --runs 2 \
        --max-tokens 6 --no-report --no-aa --arm "a=LD_PRELOAD= --itl-ms 100" --arm "b=LD_PRELOAD= --itl-ms 100 --x" >"$work/clock.out" 2>&1 &
    child=$!
    wait_for "$work/clock.out" '\[1/8\]' 1 # the next request has just begun, and takes 0.6 s
    sleep 0.1
    echo "+3600" >"$work/clock"
    wait "$child"
    status=$?
    child=""
    expect_status 0 "a stepped clock"
    dir=$(run_dir)
    expect_each_once "$dir" 8
    jq -es '[.[] | select(.kind == "sample") | select(.flags | index("clock-stepped"))] | length == 1' "$dir/samples.jsonl" >/dev/null ||
        fail "not one sample is flagged"
    jq -es '[.[] | select(.kind == "sample") | (.end_ns - .send_ns) / 1e9] | min > 0.5 and max < 60' "$dir/samples.jsonl" >/dev/null ||
        fail "a duration holds the step"
    jq -es '[.[] | select(.kind == "clock") | (.wall_ns - .monotonic_ns) / 1e9] | last - first > 3590 and last - first < 3610' \
        "$dir/samples.jsonl" >/dev/null || fail "the clock lines do not show the step"
}

# NVML says that the GPU is lost: the reply in hand is kept and flagged, the run ends as invalid and can be taken up again.
case_gpu_lost() {
    export SEESAW_NVML="$fake_nvml" FAKE_NVML_LOST="$work/lost"
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" --runs 2 \
        --max-tokens 6 --no-report --no-aa --arm "a=--itl-ms 100" --arm "b=--itl-ms 100 --x" >"$work/lost.out" 2>&1 &
    child=$!
    wait_for "$work/lost.out" '\[2/8\]' 1
    touch "$work/lost"
    wait "$child"
    status=$?
    child=""
    expect_status 4 "a lost GPU"
    grep -q 'seesaw ab: b0.*: a GPU was lost (NVML); its reply is kept and flagged' "$work/lost.out" || fail "the reason is not said"
    dir=$(run_dir)
    jq -es '[.[] | select(.kind == "sample") | select(.flags | index("gpu-lost")) | .error] | . == [null]' "$dir/samples.jsonl" >/dev/null ||
        fail "not one good sample is flagged"
    expect_no_server
    rm "$work/lost"
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 8
}

# NVML names the server's process and a stranger with 7 MiB: every sample is flagged, as is a clock far below its maximum.
case_foreign_gpu() {
    export SEESAW_NVML="$fake_nvml" FAKE_NVML_PIDFILE="$work/pid" FAKE_NVML_MAX_CLOCK=2500
    printf '#!/bin/sh\necho $$ >"%s"\nexec "%s" "$@"\n' "$work/pid" "$fake" >"$work/server"
    chmod +x "$work/server"
    "$seesaw" ab --out "$work/runs" --server "$work/server" --port "$port" --pause 0 --no-aa -m fake_server --prompts "$work/prompts" --runs 1 \
        --max-tokens 6 --arm "a=--itl-ms 30" --arm "b=--itl-ms 30 --x" >"$work/foreign.out" 2>&1
    status=$?
    expect_status 0 "a foreign process"
    dir=$(run_dir)
    expect_each_once "$dir" 4
    jq -es '[.[] | select(.kind == "sample" and .phase == "measure") | .flags | index("foreign-gpu") != null and index("low-clock") != null] | all' \
        "$dir/samples.jsonl" >/dev/null || fail "flags: $(jq -c .flags "$dir/samples.jsonl")"
    grep -q 'Flag `foreign-gpu`: 2 of 2 in a, 2 of 2 in b' "$dir/report/report.md" || fail "the report does not count the flag"
    grep -q 'every pair holds a flagged sample' "$dir/report/report.md" || fail "the report does not say what is left without them"
}

# The page cache as it was declared, by mincore's own count.
case_page_cache() {
    head -c 4194304 /dev/urandom >"$work/model.bin"
    for state in warm cold; do
        ab $state.out -m "$work/model.bin" --runs 1 --page-cache $state --arm "a=--name model.bin" --arm "b=--name model.bin --x"
        if [ $state = cold ] && [ "$status" -eq 4 ] && [ "$(stat -f -c %T "$work")" = tmpfs ]; then
            grep -q "the page cache is not cold: it holds" "$work/cold.out" || fail "the reason is not said"
            return
        fi
        expect_status 0 "a $state page cache"
        wanted=4194304
        [ $state = warm ] || wanted=0
        jq -es "[.[] | select(.kind == \"server_start\") | .page_cache_bytes] | unique == [$wanted]" "$(run_dir)/samples.jsonl" >/dev/null ||
            fail "not $state: $(jq -c .page_cache_bytes "$(run_dir)/samples.jsonl")"
        rm -r "$work/runs"
    done
}

# The server crashes in the third request; the run is taken up again with a server that does not.
case_crash_and_resume() {
    ab crash.out -m fake_server --runs 2 --allow-diff --fault-at --allow-diff --fault-request --arm "a=--fault die-stream --fault-at 2 --fault-request 2" --arm "b="
    expect_status 5 "a crash"
    dir=$(run_dir)
    grep -q '"reason":"crashed"' "$dir/samples.jsonl" || fail "the crash is not in the evidence"
    grep -q '"signal":11' "$dir/samples.jsonl" || fail "the signal is not in the evidence"
    before=$(grep -c '"kind":"sample"' "$dir/samples.jsonl")
    [ "$before" -ge 3 ] || fail "only $before samples were kept"
    "$seesaw" ab --resume "$dir" --runs 3 >"$work/mixed.out" 2>&1
    status=$?
    expect_status 2 "--resume with another plan"
    # one request is missing in that block, so the same fault is not reached again
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    while [ "$status" -eq 5 ] && [ "$(grep -c '"kind":"server_start"' "$dir/samples.jsonl")" -lt 20 ]; do
        "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
        status=$?
    done
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 8
}

case_kill_9_and_resume() {
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" --runs 3 \
        --max-tokens 6 --no-report --no-aa --arm "a=--itl-ms 40 --spawn-child" --arm "b=--itl-ms 40" >"$work/kill.out" 2>&1 &
    child=$!
    wait_for "$work/kill.out" '\[[3-9]/12\]' 1
    kill -9 "$child"
    wait "$child" 2>/dev/null
    child=""
    expect_no_server
    dir=$(run_dir)
    printf '{"kind":"sample","id":"torn' >>"$dir/samples.jsonl" # as if killed inside a write
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 12
    (cd "$dir" && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS is wrong"
}

case_interrupt() {
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" --runs 3 \
        --max-tokens 6 --no-report --no-aa --arm "a=--itl-ms 40" --arm "b=--itl-ms 40" >"$work/int.out" 2>&1 &
    child=$!
    wait_for "$work/int.out" '\[[2-9]/12\]' 1
    kill -TERM "$child"
    wait "$child"
    status=$?
    child=""
    expect_status 130 "an interrupted run"
    dir=$(run_dir)
    tail -n 1 "$dir/samples.jsonl" | grep -q '"reason":"interrupted"' || fail "the end is not in the evidence"
    grep -q 'ab --resume' "$work/int.out" || fail "how to go on is not said"
    expect_no_server
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 12
}

# No file may grow past 40 blocks (20 or 40 KB): a clear error, all lines whole, and the run can be taken up again.
case_disk_full() {
    (
        ulimit -f 40
        exec "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" \
            --runs 4 --max-tokens 60 --no-report --no-aa --arm "a=" --arm "b="
    ) >"$work/full.out" 2>&1
    status=$?
    expect_status 1 "a full disk"
    grep -q 'File too large\|No space left' "$work/full.out" || fail "the reason is not said: $(tail -n 3 "$work/full.out")"
    dir=$(run_dir)
    [ "$(tail -c 1 "$dir/samples.jsonl" | od -An -tx1 | tr -d ' ')" = 0a ] || fail "a torn line is left"
    expect_no_server
    "$seesaw" ab --resume "$dir" --no-report >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    expect_each_once "$dir" 16
}

# One flag with three values: three arms, and a report that names the value that fits.
case_sweep() {
    ab sweep.out -m fake_server --runs 2 --sweep allocate-mib=300,150,0 --fit 120MiB --arm "held=--ttft-ms 5"
    expect_status 0 "a sweep"
    dir=$(run_dir)
    expect_each_once "$dir" 12
    jq -e '.plan.sweep == {"flag": "--allocate-mib", "values": ["300", "150", "0"]} and .plan.fit_bytes == 125829120
        and [.plan.arms[].name] == ["held-300", "held-150", "held-0"]
        and .plan.arms[1].args == ["--ttft-ms", "5", "--allocate-mib", "150"]' "$dir/manifest.json" >/dev/null ||
        fail "the plan: $(jq -c .plan.sweep,.plan.arms "$dir/manifest.json")"
    "$seesaw" report "$dir" >"$work/report.out" 2>&1 || fail "no report"
    grep -q 'The smallest value that fits in 120.0 MiB is \*\*0\*\*' "$dir/report/report.md" || fail "the report names no value that fits"
    jq -e '[.figures | keys[] | select(startswith("exchange."))] == ["exchange.held-0.ms_per_token_per_gib",
        "exchange.held-150.ms_per_token_per_gib"]' "$dir/report/figures.json" >/dev/null || fail "no price of a GiB"
    ab two.out -m fake_server --sweep a=1,2 --arm x= --arm y=
    expect_status 2 "two arms and a sweep"
    ab fit.out -m fake_server --fit 1GiB
    expect_status 2 "--fit without a sweep"
    expect_no_server
}

# --n-cpu-moe over a server whose VRAM and speed fall with it, but for one value that is slower than the next: the front, on the
# terminal and in the report.
case_sweep_vram() {
    export SEESAW_NVML="$fake_nvml" FAKE_NVML_PIDFILE="$work/pid"
    cat >"$work/server" <<EOF
#!/bin/sh
for word; do
    [ "\$last" != --n-cpu-moe ] || n=\$word
    last=\$word
done
echo "\$\$ \$((400 - 10 * n))" >"$work/pid"
itl=\$((2 + n / 2))
[ "\$n" != 18 ] || itl=30
exec "$fake" --itl-ms \$itl "\$@"
EOF
    chmod +x "$work/server"
    "$seesaw" ab --out "$work/runs" --server "$work/server" --port "$port" --pause 0 --memory-timeout 1 --no-aa -m fake_server --prompts "$work/prompts" \
        --runs 2 --max-tokens 6 --sweep n-cpu-moe=0:24:6 --fit 500MiB >"$work/vram.out" 2>&1
    status=$?
    expect_status 0 "a sweep with VRAM"
    dir=$(run_dir)
    expect_each_once "$dir" 20
    jq -e '[.figures | (.["memory.vram.loaded.n-cpu-moe-0.mean"].value, .["memory.vram.loaded.n-cpu-moe-24.mean"].value) / 1048576] == [800, 320]' \
        "$dir/report/figures.json" >/dev/null || fail "VRAM: $(jq -c '.figures | with_entries(select(.key | startswith("memory.vram.loaded")))' "$dir/report/figures.json")"
    grep -q '^n-cpu-moe-18 .* 440.0 .*behind n-cpu-moe-24$' "$work/vram.out" || fail "the terminal does not say which arm is behind"
    [ "$(grep -c '^n-cpu-moe-[0-9]* .* on it$' "$work/vram.out")" -eq 4 ] || fail "not four arms on the front"
    grep -q 'The smallest value that fits in 500.0 MiB is \*\*18\*\*' "$dir/report/report.md" || fail "the report names no value that fits"
}

# The first arm again, by default; not where the design has no blocks, and not where it is there already.
case_same_arm() {
    aa=""
    ab aa.out -m fake_server --runs 2 --arm "a=--itl-ms 2" --arm "b=--itl-ms 2 --x"
    expect_status 0 "a run with A/A"
    dir=$(run_dir)
    expect_each_once "$dir" 12
    jq -e '.plan.aa == "auto" and .arms[2].name == "aa" and .plan.arms[2].args == .plan.arms[0].args' "$dir/manifest.json" \
        >/dev/null || fail "the arm aa is not the first again"
    grep -q 'Noise floor, from the A/A arm' "$work/aa.out" || fail "no noise floor is shown"
    rm -r "$work/runs"
    ab again.out -m fake_server --runs 1 --arm "a=--itl-ms 2" --arm "again=--itl-ms 2"
    expect_each_once "$(run_dir)" 4
    rm -r "$work/runs"
    ab seq.out -m fake_server --runs 1 --design sequential --arm "a=" --arm "b=--x"
    expect_each_once "$(run_dir)" 4
    rm -r "$work/runs"
    ab insist.out -m fake_server --runs 1 --aa --arm "a="
    expect_each_once "$(run_dir)" 4
    ab taken.out -m fake_server --runs 1 --aa --arm "a=" --arm "aa=--x"
    expect_status 2 "A/A beside an arm of that name"
}

# As if the first block had shown that the A/A arm takes too long: a resumed run does without it, and the report says so.
case_left_out() {
    aa=""
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 -m fake_server --prompts "$work/prompts" --runs 3 \
        --max-tokens 6 --no-report --arm "a=--itl-ms 30" --arm "b=--itl-ms 30 --x" >"$work/int.out" 2>&1 &
    child=$!
    wait_for "$work/int.out" '\[[7-9]/18\]' 1
    kill -TERM "$child"
    wait "$child"
    child=""
    dir=$(run_dir)
    echo '{"kind":"left_out","t_ns":1,"arm":"aa","from_block":1,"cost_ns":2000000000000,"limit_ns":900000000000}' >>"$dir/samples.jsonl"
    "$seesaw" ab --resume "$dir" >"$work/resume.out" 2>&1
    status=$?
    expect_status 0 "the resumed run"
    [ "$(grep '"kind":"server_start"' "$dir/samples.jsonl" | grep '"arm":"aa"' | grep -cv '"block":0')" -le 1 ] ||
        fail "the A/A arm went on"
    grep -q 'took no part after block 1: its start there took 2,*000 s' "$dir/report/report.md" || fail "the report does not say it"
    grep -q '"worth": "measured"' "$dir/report/figures.json" || fail "the run counts as incomplete"
}

# The run ends at the first look where the asked precision is coarse, and at its last block where it is beyond reach.
case_precision() {
    ab coarse.out -m fake_server --precision 95% --max-runs 12 --min-runs 4 --arm "a=--itl-ms 3" --arm "b=--itl-ms 3 --x"
    expect_status 0 "a coarse precision"
    dir=$(run_dir)
    expect_each_once "$dir" 16
    grep '"kind":"look"' "$dir/samples.jsonl" | jq -es 'length == 1 and .[0].block == 3 and .[0].stop == 1' >/dev/null ||
        fail "not one look that stops after block 3: $(grep '"kind":"look"' "$dir/samples.jsonl")"
    "$seesaw" report "$dir" >/dev/null 2>&1 || fail "no report"
    grep -q '"worth": "measured"' "$dir/report/figures.json" || fail "a stopped run counts as incomplete"
    grep -q 'After 4: .* enough' "$dir/report/report.md" || fail "the look is not in the report"
    "$seesaw" verify "$dir" >"$work/verify.out" 2>&1 || fail "a stopped run is not verified"
    rm -r "$work/runs"
    ab fine.out -m fake_server --precision 0.01% --max-runs 6 --min-runs 4 --arm "a=--itl-ms 1" --arm "b=--itl-ms 1 --x"
    expect_status 0 "a precision beyond reach"
    dir=$(run_dir)
    expect_each_once "$dir" 24
    [ "$(grep -c '"kind":"look"' "$dir/samples.jsonl")" -eq 1 ] || fail "not one look before the last block"
    ab odd.out -m fake_server --max-runs 6
    expect_status 2 "--max-runs without --precision"
    ab seq.out -m fake_server --precision 3% --design sequential
    expect_status 2 "a precision without blocks"
    ab few.out -m fake_server --precision 3% --max-runs 5
    expect_status 2 "fewer runs than the first look wants"
}

# A gate after a run: its exit status in place of the run's, JUnit's XML even where the run failed, refusals before it begins.
case_gate() {
    ab gate.out -m fake_server --runs 3 --max-regress 90% --junit "$work/gate.xml" --arm "a=--ttft-ms 60 --itl-ms 10" \
        --arm "b=--ttft-ms 240 --itl-ms 40" --allow-diff --itl-ms
    expect_status 1 "four times the time"
    grep -q 'gate: regressed' "$work/gate.out" || fail "the gate says nothing"
    grep -q '<failure type="regressed"' "$work/gate.xml" || fail "no failure in JUnit's file"
    stored=$(run_dir)
    mv "$work/runs" "$work/stored"
    ab crash.out -m fake_server --runs 2 --max-regress 3% --junit "$work/crash.xml" --against "$work/stored/$(basename "$stored")" \
        --arm "a=--fault die-load"
    expect_status 5 "a server that dies"
    grep -q '<error type="server-failed" message=".*ended with exit code 3 while loading' "$work/crash.xml" ||
        fail "JUnit's file does not say why: $(cat "$work/crash.xml")"
    rm -r "$work/runs"
    ab absent.out -m fake_server --max-regress 3% --against "$work/absent"
    expect_status 2 "an absent run to compare with"
    ab lone.out -m fake_server --against "$work/stored/$(basename "$stored")"
    expect_status 2 "--against without --max-regress"
    [ -d "$work/runs" ] && fail "a run was begun"
    return 0
}

"case_$3"
echo "$3: ok"
