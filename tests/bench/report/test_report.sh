#!/bin/sh
# test_report.sh SEESAW CASE: report and verify on synthetic run folders.
set -u
seesaw=$1
name=$2
here=$(cd "$(dirname "$0")" && pwd)
. "$(dirname "$0")/../../first_fault.sh"
run="$work/run"

make_evidence() {
    python3 "$here/make_evidence.py" "$run" "$1" || fail "make_evidence $1"
}

make_report() {
    "$seesaw" report "$run" "$@" >"$work/report.out" 2>&1 || fail "seesaw report"
}

# expect FILE TEXT: the file has it
expect() {
    grep -qF -- "$2" "$run/report/$1" || fail "$1 does not say: $2"
}

expect_not() {
    grep -qF -- "$2" "$run/report/$1" && fail "$1 says: $2"
    return 0
}

# verify STATUS TEXT ARGUMENTS...: ends so and says it
verify() {
    wanted=$1
    text=$2
    shift 2
    "$seesaw" verify "$run" "$@" >"$work/verify.out" 2>&1
    status=$?
    [ "$status" -eq "$wanted" ] || fail "verify ended $status, not $wanted ($text)"
    grep -qF -- "$text" "$work/verify.out" || fail "verify does not say: $text"
}

# change FILE AT: one byte becomes another
change() {
    python3 - "$1" "$2" <<'EOF' || fail "change $1"
import sys
with open(sys.argv[1], "r+b") as file:
    data = bytearray(file.read())
    at = int(sys.argv[2])
    data[at] ^= 1
    file.seek(0)
    file.write(data)
EOF
}

case $name in
gpu)
    make_evidence gpu
    make_report
    expect report.md 'VRAM of the server after load **71.1 % lower** (12,666 → 3,666 MiB); decode rate **3.0 times lower**'
    expect report.md 'Proof that the experts moved: VRAM fell by 9,000 MiB'
    expect report.md 'For reference only, not measured here'
    expect_not report.md 'No GPU took part'
    expect figures.json '"worth": "measured"'
    for plot in tradeoff memory ttft tps memory-time timeline length; do
        head -c 8 "$run/report/plot-$plot.png" | grep -q PNG || fail "plot-$plot.png is no PNG"
        xmllint --noout "$run/report/plot-$plot.svg" || fail "plot-$plot.svg"
    done
    expect_not report.md 'the server counted otherwise'
    expect_not figures.json 'by_usage'
    # A server that counts 40 tokens more in every reply: its rates stand beside ours.
    python3 - "$run" <<'PY' || fail "usage"
import json, sys
path = sys.argv[1] + "/samples.jsonl"
lines = [json.loads(line) for line in open(path, encoding="utf-8")]
for line in lines:
    if line["kind"] == "sample":
        line["usage"]["completion_tokens"] += 40
open(path, "w", encoding="utf-8").write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
PY
    make_report
    expect report.md 'in 24 of 24 replies the server counted otherwise'
    python3 - "$run" <<'PY' || fail "the decode rate by usage"
import json, sys
rates = {}
for line in open(sys.argv[1] + "/samples.jsonl", encoding="utf-8"):
    s = json.loads(line)
    if s["kind"] == "sample" and s["phase"] == "measure":
        t = [f["t_ns"] for f in s["frames"] if f["kind"] == "content"]
        rates.setdefault(s["arm"], []).append((s["usage"]["completion_tokens"] - 1) / (t[-1] - t[0]) * 1e9)
figures = json.load(open(sys.argv[1] + "/report/figures.json"))["figures"]
for arm, values in rates.items():
    found = figures[f"decode_rate.{arm}.by_usage"]["value"]
    assert abs(found / (sum(values) / len(values)) - 1) < 1e-9, (arm, found)
PY
    ;;
gpu-stuck)
    make_evidence gpu-stuck
    make_report
    expect report.md 'Invalid: the experts did not move as the flag says.'
    expect figures.json '"worth": "invalid"'
    ;;
gpu-nowhere)
    make_evidence gpu-nowhere
    make_report
    expect report.md 'Invalid: the experts left the GPU and are not in host memory. VRAM fell by 9,000 MiB'
    expect figures.json '"worth": "invalid"'
    ;;
gpu-layers)
    make_evidence gpu-layers
    make_report
    expect report.md 'Proof that the experts moved: VRAM fell by 4,500 MiB, the arguments keep 4,500 MiB'
    expect report.md '(must agree within 450 MiB), whose peak rose by'
    expect report.md 'talked to as llama-server, asked at `/v1/chat/completions`; prompt cache off; own times: timings.'
    expect report.md 'Its log says of buffers: CUDA0 model 100.0 MiB.'
    # 0.1 ms late and the request 0.05 ms under way; once 0.3 ms late
    expect report.md 'TTFT was off by 0.150 ms (at most 0.350 ms), ITL by 0.000 ms (at most 0.009 ms), a frame was seen late by 0.100 ms (at most 0.300 ms)'
    expect figures.json '"worth": "measured"'
    ;;
cpu)
    make_evidence cpu
    make_report
    expect report.md '**No GPU took part**'
    expect report.md 'Host memory agrees: after load it differs by'
    expect report.md '**no difference shown** in decode rate'
    expect report.md 'VRAM was not measured: no NVML (libnvidia-ml.so.1 is not there).'
    expect report.md "Tokens were not counted by us for every reply"
    expect report.md 'decode rate: N = 12 shows '
    ;;
bursts)
    make_evidence bursts
    make_report
    expect report.md 'Frames of baseline came in bursts'
    expect report.md '**no difference shown** in TPS'
    ;;
hostile)
    make_evidence hostile
    make_report
    expect_not report.html '<script>alert'
    expect report.html '&lt;script&gt;alert(1)&lt;/script&gt;'
    expect report.md 'without flagged samples the ratio is'
    expect report.md '1 of 12 in offload'
    ;;
crash)
    make_evidence crash
    make_report
    expect report.md '**The server of offload failed 1 times.**'
    expect report.md '**Incomplete: 22 of 24 requests were measured.**'
    expect figures.json '"worth": "server-failed"'
    ;;
sequential)
    make_evidence sequential
    make_report
    expect report.md 'Sequential design: each server was started once'
    expect report.md 'Order: it cannot be told apart from the arms'
    expect_not report.md 'by block 1'
    ;;
three)
    make_evidence three
    make_report
    expect report.md '# synthetic: offload against baseline'
    expect report.md '`again` is the first arm again (A/A) against `baseline`'
    expect_not report.md 'No A/A arm'
    ;;
sweep)
    make_evidence sweep
    make_report
    expect report.md '# synthetic: --n-cpu-moe 0, 6, 12, 18, 24'
    expect report.md '`--n-cpu-moe` from 0 to 24: VRAM of the server after load **12,666** → **3,666** MiB; decode rate **252.1** → **83.8**'
    expect report.md 'The smallest value that fits in 10,240 MiB is **12** (VRAM of the server at most 9,799 MiB), with '
    expect report.md '| behind n-cpu-moe-24 | behind n-cpu-moe-24 |'
    [ "$(grep -c '| on it | on it |' "$run/report/report.md")" -eq 4 ] || fail "not four arms on the front"
    sed -i 's/"fit_bytes": [0-9]*/"fit_bytes": 1000/' "$run/manifest.json"
    make_report
    expect report.md '**No value** of the sweep fits in 0.00 MiB of VRAM of the server.'
    ;;
stopped)
    make_evidence stopped
    make_report
    expect report.md 'Noise floor, from the A/A arm: decode rate'
    expect report.md '4 prompts × 6 runs × 3 arms'
    expect report.md 'After 4: 6.1 % (decode rate of offload), After 6: 4.1 % (decode rate of offload), enough.'
    expect report.md 'take t with 3 degrees of freedom'
    expect figures.json '"worth": "measured"'
    expect figures.json '"decode_rate.offload.ratio_by_block_bca"'
    ;;
left-out)
    make_evidence left-out
    make_report
    expect report.md 'The A/A arm aa took no part after block 1'
    expect_not report.md 'Noise floor, from the A/A arm'
    expect figures.json '"worth": "measured"'
    ;;
equal)
    make_evidence equal
    make_report
    expect report.md '**equal within 20 %** in decode rate'
    expect_not report.md 'Inconclusive in decode rate'
    expect figures.json '"decode_rate.offload.equivalence_p"'
    ;;
long)
    make_evidence long
    make_report
    [ "$(wc -c <"$run/report/report.html")" -lt 8000000 ] || fail "report.html is $(wc -c <"$run/report/report.html") bytes"
    grep -q '"replies_left_out":[1-9]' "$run/report/report.html" || fail "no reply is left out"
    grep -q '"step":6,' "$run/report/report.html" || fail "the readings are not thinned"
    ;;
no-gnuplot)
    make_evidence cpu
    make_report --gnuplot "$work/none"
    expect report.md "The plots were not drawn: $work/none: No such file or directory."
    expect_not report.html '<svg'
    verify 0 'made again byte for byte'
    make_report
    verify 0 'drawings are gnuplot' --gnuplot "$work/none" # drawn by one that is not here any more
    ;;
into)
    make_evidence cpu
    printf '# Tables\n' >"$work/tables.md"
    make_report --into "$work/tables.md" --section one --format md
    [ ! -e "$run/report/report.html" ] || fail "--format md made report.html"
    cp "$work/tables.md" "$work/first.md"
    make_report --into "$work/tables.md" --section one
    cmp "$work/first.md" "$work/tables.md" || fail "the same section twice is not the same file"
    [ "$(grep -c 'seesaw:begin one' "$work/tables.md")" -eq 1 ] || fail "not one section"
    grep -q '^## synthetic: offload against baseline' "$work/tables.md" || fail "no section title"
    exit 0
    ;;
refused)
    "$seesaw" report "$work" >"$work/a.out" 2>&1 && fail "a folder without evidence was accepted"
    grep -q "manifest.json" "$work/a.out" || fail "the error does not name the file"
    "$seesaw" report >"$work/b.out" 2>&1
    [ $? -eq 2 ] || fail "no folder is not a usage error"
    "$seesaw" report "$work" --format doc >"$work/c.out" 2>&1
    [ $? -eq 2 ] || fail "--format doc is not a usage error"
    make_evidence cpu
    sed -i '5s/"run": 1/"run": "one"/' "$run/samples.jsonl"
    "$seesaw" report "$run" >"$work/d.out" 2>&1 && fail "a damaged sample was accepted"
    grep -q "samples.jsonl: line 5" "$work/d.out" || fail "the error does not name the line"
    exit 0
    ;;
verify)
    make_evidence cpu
    verify 4 'figures.json is not there; `seesaw report'
    make_report
    verify 0 'made again byte for byte'
    "$seesaw" verify "$run" --json | jq -e '.verified and (.checks | length == 5)' >/dev/null || fail "--json"
    for file in manifest.json samples.jsonl tokens.jsonl telemetry.jsonl server-11436.log; do
        cp "$run/$file" "$work/kept"
        change "$run/$file" -9
        verify 4 "$file has changed"
        cp "$work/kept" "$run/$file"
    done
    verify 0 'made again byte for byte'
    change "$run.model" 20
    verify 4 'run.model is not the file that was measured'
    change "$run.model" 20
    mv "$run.model" "$work/moved"
    verify 4 'run.model is not there; if the model moved, give --model PATH'
    verify 0 'made again byte for byte' --model "$work/moved"
    mv "$work/moved" "$run.model"
    change "$run.server" 20
    verify 4 'run.server is not the file that was measured'
    change "$run.server" 20
    for file in report.md report.html figures.json samples.csv figures.csv plot-ttft.svg; do
        cp "$run/report/$file" "$work/kept"
        change "$run/report/$file" 1500
        verify 4 "run/report/$file"
        cp "$work/kept" "$run/report/$file"
    done
    sed -i '/samples/d' "$run/SHA256SUMS"
    verify 4 'SHA256SUMS does not name samples.jsonl'
    mv "$run/SHA256SUMS" "$work/sums"
    verify 4 'the run was never completed'
    exit 0
    ;;
*)
    fail "no case $name"
    ;;
esac
python3 "$here/check_report.py" "$run" >"$work/check.out" || fail "check_report"
xmllint --noout "$run/report/report.html" || fail "report.html is not well-formed"
