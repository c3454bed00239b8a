#!/bin/bash
# seesaw ab over several models and quantisations: a queue of runs, its table, going on, refusals.
# usage: test_queue.sh SEESAW FAKE_SERVER DEMO.gguf CASE
set -u
seesaw=$1 fake=$2 demo=$3 name=$4
. "$(dirname "$0")/../frame.sh"

queue() {
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 --no-report --no-aa --runs 1 --warmup 0 --max-tokens 4 "$@"
}
queue_dir() {
    echo "$work"/runs/queue-ab-*
}
rows() { # JSON: model and arm of each row
    python3 -c 'import json, sys
for row in json.load(open(sys.argv[1]))["rows"]:
    print(row["model"], row["arm"], row["state"], row["n"])' "$1"
}

case $name in
quant)
    cp "$demo" "$work/small.gguf"
    printf 'models: [%s]\nquant: Q8_0,as-is\nruns: 1\nprompts: [{text: one}]\narms: [{name: a}, {name: b, args: --cpu-moe}]\n' \
        "$work/small.gguf" >"$work/plan.yaml"
    "$seesaw" ab --plan "$work/plan.yaml" --out "$work/runs" --port "$port" --pause 0 --no-aa --no-report --warmup 0 --max-tokens 4 --json \
        >"$work/out.json" 2>"$work/err" || fault "the queue: $(tail -5 "$work/err")"
    rows "$work/out.json" >"$work/rows"
    diff "$work/rows" - <<'ROWS' || fault "the table across"
small-Q8_0 a inconclusive 1
small-Q8_0 b inconclusive 1
small a inconclusive 1
small b inconclusive 1
ROWS
    cmp "$work/out.json" "$(queue_dir)/compare.json" || fault "compare.json is another table"
    [ -s "$(queue_dir)/compare.md" ] || fault "no compare.md"
    grep -q 'quantised: ' "$work/err" || fault "nothing was quantised"
    grep -q 'min left for 1 more' "$work/err" || fault "no time left is told"
    made=$(echo "$XDG_CACHE_HOME"/seesaw/quantized/*/small-Q8_0.gguf)
    "$seesaw" quantize "$demo" "$work/q8.gguf" Q8_0 >/dev/null
    cmp "$made" "$work/q8.gguf" || fault "not what quantize makes"
    before=$(stat -c %Y%i "$made")
    queue -m "$work/small.gguf" --quant Q8_0 --arm a= --server seesaw --json >/dev/null 2>"$work/err" || fault "again: $(tail -5 "$work/err")"
    grep -q 'quantised before: ' "$work/err" || fault "made again"
    [ "$before" = "$(stat -c %Y%i "$made")" ] || fault "the kept file was written again"
    # Another source under the same name is another folder.
    "$seesaw" quantize --force "$demo" "$work/small.gguf" Q5_0 >/dev/null
    queue -m "$work/small.gguf" --quant Q8_0 --arm a= --server seesaw >/dev/null 2>&1 || fault "another source"
    [ "$(ls -d "$XDG_CACHE_HOME"/seesaw/quantized/*-Q8_0 | wc -l)" = 2 ] || fault "another source got the first one's file"
    refused "a typo" 2 "did you mean 'Q4_K_M'" queue -m "$demo" --quant Q4_K_N
    refused "no file" 1 'nowhere' queue -m /nowhere.gguf --quant Q8_0
    ;;
resume)
    # The second model is not there at first.
    for model in one two three; do ln -s "$demo" "$work/$model.gguf"; done
    rm "$work/two.gguf"
    queue -m "$work/one.gguf" -m "$work/two.gguf" -m "$work/three.gguf" --server seesaw --arm a= >"$work/out" 2>"$work/err"
    status=$?
    [ $status != 0 ] || fault "a queue with a missing model passes"
    grep -q "go on with: seesaw ab --resume $(queue_dir)" "$work/err" || fault "not told how to go on"
    before=$(cat "$(queue_dir)"/*/baseline-ab-*/SHA256SUMS | sha256sum)
    ln -s "$demo" "$work/two.gguf"
    "$seesaw" ab --resume "$(queue_dir)" --json >"$work/out.json" 2>"$work/err" || fault "resume: $(tail -5 "$work/err")"
    [ "$(grep -c 'complete already' "$work/err")" = 2 ] || fault "complete runs are measured again"
    [ "$(rows "$work/out.json" | cut -d' ' -f1 | tr '\n' ' ')" = "one two three " ] || fault "rows: $(rows "$work/out.json")"
    [ "$before" = "$(cat "$(queue_dir)"/0[13]*/baseline-ab-*/SHA256SUMS | sha256sum)" ] || fault "a complete run was touched"
    # Options may be shortened or hold their value: a run that got -m twice would be a queue without end.
    rm -r "$work/runs"
    timeout 60 "$seesaw" ab --mod "$work/one.gguf" --mode="$work/two.gguf" -m"$work/three.gguf" --ou "$work/runs" --pause 0 --no-report --no-aa \
        --runs 1 --warmup 0 --max-tokens 4 --port "$port" --arm a= --js >"$work/out.json" 2>"$work/err" || fault "shortened: $(tail -5 "$work/err")"
    [ "$(rows "$work/out.json" | cut -d' ' -f1 | tr '\n' ' ')" = "one two three " ] || fault "shortened: $(rows "$work/out.json")"
    [ "$(grep -c 'queue of' "$work/err")" = 1 ] || fault "a queue inside a queue"
    refused "quant" 2 "quant cannot be given" "$seesaw" ab --resume "$(queue_dir)" --quant Q8_0
    for text in '' '{' '{}' '[1]' '{"entries": [{"model": 1, "type": ""}]}' '{"entries": [{"model": "x", "type": "Q9"}], "arguments": []}' \
        '{"entries": [{"model": "x", "type": ""}], "arguments": [7]}'; do
        mkdir -p "$work/hostile" && printf %s "$text" >"$work/hostile/queue.json"
        refused "hostile: $text" 2 'queue.json' "$seesaw" ab --resume "$work/hostile"
    done
    ;;
eta)
    # Before the first run ends the time left is told for the queue too; no server and no evidence sees how.
    queue --runs 2 -m model-a -m model-b -m model-c --arm "a=--itl-ms 5" >"$work/out" 2>&1 || fault "the queue: $(tail -5 "$work/out")"
    grep -q '^\[4/8\] about .* s left, .* s with the 2 runs after this one at its pace$' "$work/out" || fault "no time left in the first run"
    grep -q '^\[4/8\] about .* s left, .* s with the 1 run after this one at its pace$' "$work/out" || fault "none in the second run"
    grep -q '^\[4/8\] about [0-9]* s left$' "$work/out" || fault "none in the last run"
    grep -qs QUEUE_REST "$work"/runs/queue-ab-*/*/baseline-ab-*/manifest.json && fault "the queue's variable reaches the evidence"
    ;;
interrupt)
    "$seesaw" ab --out "$work/runs" --server "$fake" --port "$port" --pause 0 --no-report --no-aa --runs 2 --max-tokens 50 \
        -m model-a -m model-b --arm "a=--itl-ms 100" --arm "b=--itl-ms 100" --allow-diff --itl-ms >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    for _ in $(seq 600); do
        grep -qs '"kind":"sample"' "$work"/runs/queue-ab-*/*/baseline-ab-*/samples.jsonl && break
        sleep 0.1
    done
    kill -INT "$pid"
    wait "$pid"
    status=$?
    [ $status = 130 ] || fault "status $status after an interruption: $(tail -5 "$work/err")"
    [ "$(ls -d "$(queue_dir)"/*/ | wc -l)" = 1 ] || fault "the second run was begun"
    grep -q '"reason":"interrupted"' "$(queue_dir)"/01-*/baseline-ab-*/samples.jsonl || fault "the run was not ended in order"
    pgrep -f "$fake.*--port $port" >/dev/null && fault "a server is left"
    ;;
esac

finish
