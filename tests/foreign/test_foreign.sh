#!/bin/sh
# test_foreign.sh SEESAW MODEL CASE FAKE_SERVER TRANSCRIPTS CHECK_REPORT: `seesaw ab` with servers that are not ours.
#
# started, running: tests/foreign/llama_node_server.mjs, llama.cpp's engine behind Node's HTTP server, started by the bench or
# before it. ollama, shimmy, vllm, llama-server: the stream forms of tests/bench/adapter/transcripts, served by the fake server.
set -u
seesaw=$1
model=$2
fake=$4
transcripts=$5
check_report=$6
node_server=$(dirname "$0")/llama_node_server.mjs
. "$(dirname "$0")/../first_fault.sh"
printf 'Once upon a time\nThe plank\n' >"$work/prompts"

need_node() {
    [ -d "$(dirname "$0")/../npm/node_modules/node-llama-cpp" ] && return
    if [ "${CI:-}" = true ]; then
        fail "node-llama-cpp is missing: tests/npm/setup"
    fi
    echo "skipped: node-llama-cpp is not installed (tests/npm/setup)"
    exit 77
}

# ab ARGUMENTS...: must end 0; the run's folder is left in $dir
ab() {
    "$seesaw" ab --out "$work/runs" --port "$port" --pause 0 --memory-timeout 1 --grace 2 --max-tokens 6 --warmup 1 --no-aa \
        --prompts "$work/prompts" "$@" >"$work/ab.out" 2>&1 || fail "exit status $?"
    set -- "$work"/runs/*/
    dir=${1%/}
}

# wait_for_answer URL: up to 20 s
wait_for_answer() {
    for i in $(seq 200); do
        curl -fs "$1" >/dev/null && return
        sleep 0.1
    done
    fail "$1 does not answer"
}

# field JQ-PROGRAM: over samples.jsonl
samples() {
    jq -rs "$1" "$dir/samples.jsonl"
}

expect() { # WHAT FOUND WANTED
    [ "$2" = "$3" ] || fail "$1: $2, not $3"
}

check_measured() { # COUNT: good samples, each with 6 tokens by our tokenizer and by usage, then the report and verify
    expect "good samples" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure" and .error == null)] | length')" "$1"
    expect "their usage" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure") | .usage.completion_tokens] | unique | join(" ")')" 6
    expect "prompt sizes by usage" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure") | .usage.prompt_tokens > 0] | unique | join(" ")')" true
    python3 "$check_report" "$dir" >"$work/check.out" 2>&1 || fail "the report: $(cat "$work/check.out")"
    "$seesaw" verify "$dir" >"$work/verify.out" 2>&1 || fail "verify: $(cat "$work/verify.out")"
}

case_started() {
    need_node
    ab -m "$model" --server "$node_server" --runs 2 --arm "two=-t 2" --arm "one=-t 1"
    check_measured 8
    expect "load times" "$(samples '[.[] | select(.kind == "server_ready") | .ready_ns > .spawn_ns] | unique | join(" ")')" true
    # what llama.cpp logs of its buffers: the model's file, once in each start
    expect "buffers of the model" "$(samples '[.[] | select(.kind == "server_ready") | [.buffers[] | select(.device == "CPU_Mapped" and .use == "model")] | length] | unique | join(" ")')" 1
    mapped=$(samples '[.[] | select(.kind == "server_ready") | .buffers[] | select(.device == "CPU_Mapped") | .bytes][0]')
    bytes=$(stat -c %s "$model")
    [ "$mapped" -gt $((bytes * 9 / 10)) ] && [ "$mapped" -le $((bytes * 11 / 10)) ] || fail "it mapped $mapped of $bytes bytes"
    expect "tokens counted by us" "$(jq -rs '[.[] | select(.id | contains("warmup") | not) | .tokens] | unique | join(" ")' "$dir/tokens.jsonl")" 6
}

# Ours against llama.cpp's behind Node, in one run: each asked in its own way.
case_both() {
    need_node
    ab -m "$model" --server seesaw --runs 2 --length natural --arm "ours=-t 2" --arm "theirs@openai:$node_server=-t 2"
    check_measured 8
    expect "adapters" "$(jq -r '[.arms[].adapter] | join(" ")' "$dir/manifest.json")" "seesaw openai"
    expect "treatment" "$(jq -r '.arms[1].treatment' "$dir/manifest.json")" "adds: (server openai:$node_server)"
    expect "ours is asked without its cache" "$(samples '[.[] | select(.kind == "sample" and .arm == "ours") | .request | fromjson | .cache_prompt] | unique | tojson')" "[false]"
    expect "theirs with OpenAI's fields only" "$(samples '[.[] | select(.kind == "sample" and .arm == "theirs") | .request | fromjson | has("cache_prompt")] | unique | tojson')" "[false]"
}

case_running() {
    need_node
    "$node_server" -m "$model" --port "$port" >"$work/server.out" 2>&1 &
    child=$!
    wait_for_answer "http://127.0.0.1:$port/health"
    sleep 0.5
    ab -m "$model" --server openai --runs 2 --url "a=http://127.0.0.1:$port" --url "b=http://localhost:$port"
    check_measured 8
    kill -0 "$child" || fail "the server was stopped"
    expect "load times" "$(samples '[.[] | select(.kind == "server_ready") | .spawn_ns] | unique | tojson')" "[null]"
    expect "the process, found by its port" "$(samples '[.[] | select(.kind == "server_start") | .pid] | unique | tojson')" "[$child]"
    expect "its memory" "$(jq -rs '[.[] | select(.phase == "decode") | .rss_bytes > 10000000] | unique | join(" ")' "$dir/telemetry.jsonl")" true
    grep -q "server logs\|server-" "$dir/SHA256SUMS" && fail "there is a log of a server that we did not start"
    grep -q "runs already" "$dir/manifest.json" || fail "that it ran already is not said"
    grep -q "server of a, which ran already | .http://127.0.0.1:$port" "$dir/report/report.md" || fail "the report's provenance does not say so"
    kill "$child"
    wait "$child" 2>/dev/null
    child=""
    "$seesaw" ab --out "$work/gone" -m "$model" --server openai --url "http://127.0.0.1:$port" --no-report --pause 0 >"$work/gone.out" 2>&1
    expect "exit status without a server" "$?" 5
    grep -q "http://127.0.0.1:$port/v1/models does not answer with 200: connection refused" "$work/gone.out" || fail "the reason is not said"
}

# replay ADAPTER TRANSCRIPT NAME
replay() {
    "$fake" -m x --name "$3" --port "$port" --replay "$transcripts/$2" >"$work/server.out" 2>&1 &
    child=$!
    wait_for_answer "http://127.0.0.1:$port/health"
    ab -m demo --server "$1" --runs 1 --max-tokens 3 --url "http://127.0.0.1:$port"
    expect "texts" "$(samples '[.[] | select(.kind == "sample") | .text] | unique | join("|")')" "See saw"
    expect "errors" "$(samples '[.[] | select(.kind == "sample") | .error] | unique | tojson')" "[null]"
    expect "the adapter" "$(jq -r '.arms[0].adapter' "$dir/manifest.json")" "$1"
    "$seesaw" verify "$dir" >"$work/verify.out" 2>&1 || fail "verify: $(cat "$work/verify.out")"
}

case_ollama() {
    replay ollama ollama_generate.ndjson demo:latest
    expect "its own times" "$(samples '[.[] | select(.kind == "sample") | .timings.predicted_ms] | unique | join(" ")')" 30.25
    expect "requests" "$(samples '[.[] | select(.kind == "sample") | .request | fromjson | .options.num_predict] | unique | join(" ")')" 3
}

case_shimmy() {
    replay shimmy shimmy.sse demo
    expect "flags: its finish_reason says nothing" "$(samples '[.[] | select(.kind == "sample") | .flags[]] | length')" 0
    expect "usage" "$(samples '[.[] | select(.kind == "sample") | .usage] | unique | tojson')" "[null]"
}

case_vllm() {
    replay vllm vllm.sse demo
    expect "flags: 4 tokens of the prompt were cached" "$(samples '[.[] | select(.kind == "sample") | .flags[]] | unique | join(" ")')" prompt-cache
}

case_llama_server() {
    replay llama-server llama_server.sse demo
    expect "flags" "$(samples '[.[] | select(.kind == "sample") | .flags[]] | length')" 0
    expect "reasoning" "$(samples '[.[] | select(.kind == "sample") | .reasoning] | unique | join(" ")')" Hm
    grep -q "its memory is not known" "$dir/report/report.md" && fail "its process was not found by its port"
    # by an address that says nothing of where it is, as another machine's would
    rm -r "$work/runs"
    ab -m demo --server llama-server --runs 1 --max-tokens 3 --url "http://0.0.0.0:$port"
    expect "its process" "$(samples '[.[] | select(.kind == "server_start") | .pid] | tojson')" "[null]"
    expect "its memory" "$(jq -s '[.[] | select(.rss_bytes != null)] | length' "$dir/telemetry.jsonl")" 0
    grep -q "Its process was not found (on another machine, or hidden), so its memory is not known" "$dir/report/report.md" ||
        fail "the report does not say that memory is unknown"
}

# Our own server by its adapter, with the lengths and the way to ask that a plan can choose. Greedy, so that arms must agree.
case_ours() {
    ab -m "$model" --server seesaw --runs 1 --temperature 0 --max-tokens 60 --length natural --arm "two=-t 2" --arm "one=-t 1"
    natural=$(samples '[.[] | select(.kind == "sample" and .phase == "measure" and .arm == "two") | .usage.completion_tokens] | max')
    [ "$natural" -lt 60 ] || fail "no reply ends by itself, so nothing can be told"
    expect "buffers of the experts" "$(samples '[.[] | select(.kind == "server_ready") | [.buffers[] | select(.use == "experts" and .device == "CPU") | .bytes] | add] | unique | length')" 1
    experts=$(samples '[.[] | select(.kind == "server_ready") | .buffers[] | select(.use == "experts") | .bytes] | add / 2')
    wanted=$(jq .model.expert_bytes "$dir/manifest.json")
    [ "${experts%.*}" -ge "$((wanted * 9 / 10))" ] && [ "${experts%.*}" -le "$((wanted * 11 / 10))" ] || fail "experts: $experts by its log, $wanted in the file"
    expect "self-audits" "$(samples '[.[] | select(.kind == "self_audit") | .requests[].tokens_told] | unique | join(" ")')" 24
    rm -r "$work/runs"
    ab -m "$model" --server seesaw --runs 1 --temperature 0 --max-tokens 60 --length fixed --arm "two=-t 2" --arm "one=-t 1"
    expect "fixed lengths (natural: $natural)" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure") | [.usage.completion_tokens, .finish_reason]] | unique | tojson')" '[[60,"length"]]'
    grep -q 'Replies are of fixed length' "$dir/report/report.md" || fail "the report does not say so"
    rm -r "$work/runs"
    ab -m "$model" --server seesaw --runs 1 --temperature 0 --max-tokens 4 --ask completion --arm "two=-t 2" --arm "one=-t 1"
    expect "requests" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure") | .request | fromjson | .prompt] | unique | tojson')" '["Once upon a time","The plank"]'
    # without the chat format a prompt is only its own tokens
    expect "prompt tokens" "$(samples '[.[] | select(.kind == "sample" and .phase == "measure" and .arm == "one") | .usage.prompt_tokens] | sort | tojson')" "$(jq -c '[.plan.prompts[].tokens] | sort' "$dir/manifest.json")"
    "$seesaw" verify "$dir" >"$work/verify.out" 2>&1 || fail "verify: $(cat "$work/verify.out")"
}

# started_as ADAPTER TRANSCRIPT WORDS: a program of that name, which writes down how it is started and is then the fake server. WORDS:
# its command line as the documentation has it, with PORT for the port and MODEL for the model.
started_as() {
    cat >"$work/$1" <<SCRIPT
#!/bin/sh
[ "\$1" = --version ] && exec echo "$1 1.2.3"
echo "\$*" >"$work/argv"
port=\$(echo "\${OLLAMA_HOST:-} \$*" | grep -oE '(:|--port )[0-9]+' | grep -oE '[0-9]+\$' | head -n 1)
exec "$fake" -m x --name demo --port "\$port" --replay "$transcripts/$2"
SCRIPT
    chmod +x "$work/$1"
    rm -rf "$work/runs"
    ab -m demo --server "$work/$1" --runs 1 --max-tokens 3 --arm "a=-t 4"
    expect "how $1 is started" "$(cat "$work/argv")" "$(echo "$3 -t 4" | sed "s/PORT/$port/; s/MODEL/demo/")"
    expect "texts of $1" "$(samples '[.[] | select(.kind == "sample") | .text] | unique | join("|")')" "See saw"
    expect "the adapter of $1" "$(jq -r '.arms[0].adapter + " " + .arms[0].server.version' "$dir/manifest.json")" "$1 $1 1.2.3"
}

# Each program as it is started, found by its file's name.
case_starting() {
    started_as llama-server llama_server.sse "-m MODEL --port PORT"
    started_as shimmy shimmy.sse "serve --bind 127.0.0.1:PORT --model-path MODEL"
    started_as vllm vllm.sse "serve MODEL --host 127.0.0.1 --port PORT --no-enable-prefix-caching"
    started_as ollama ollama_generate.ndjson "serve"
    expect "where ollama listens" "$(jq -r '.arms[0].env.OLLAMA_HOST' "$dir/manifest.json")" "127.0.0.1:$port"
}

# What an adapter cannot do is refused before anything starts.
case_refused() {
    refuse() { # WORDS ARGUMENTS...
        words=$1
        shift
        "$seesaw" ab --out "$work/runs" -m demo --no-report "$@" >"$work/ab.out" 2>&1
        expect "exit status ($words)" "$?" 2
        grep -q "$words" "$work/ab.out" || fail "it is not said: $words"
        [ ! -d "$work/runs" ] || fail "a run folder was made"
    }
    refuse "names no executable" --server openai
    refuse "no route for --ask completion" --server "shimmy=$fake" --ask completion
    refuse "cannot be asked to ignore the end of text" --server "ollama=$fake" --length fixed
    refuse "vLLM does not know --cpu-moe" --server "vllm=$fake"
    refuse "is not of the form" --server openai --url "https://127.0.0.1:1"
    refuse "differ in more than the treatment (--cpu-moe): -t" --server "$fake" --arm "a=-t 1" --arm "b=-t 2 --cpu-moe"
}

"case_$(echo "$3" | tr - _)"
echo "$3: ok"
