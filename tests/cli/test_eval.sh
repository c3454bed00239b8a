#!/bin/bash
# seesaw eval on the demo model: a model against itself and against its quantisation, saved logits, refusals.
# usage: test_eval.sh SEESAW DEMO.gguf TEXT
set -u
seesaw=$1 demo=$2 text=$3
. "$(dirname "$0")/../frame.sh"

holds() { # NAME JSON EXPRESSION over d
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else str(d))' "$2" "$3" || fault "$1: not $3"
}

evaluate() {
    "$seesaw" eval -c 64 -t 2 --json "$@"
}

evaluate "$demo" "$text" --logits-out "$work/logits" >"$work/own.json" || fault "own"
holds own "$work/own.json" 'd["windows"] == d["text_tokens"] // 64 and d["scored_tokens"] == 31 * d["windows"] and d["against"] is None'
holds interval "$work/own.json" 'd["ci_low"] < d["perplexity"] < d["ci_high"]'

evaluate "$demo" "$text" --against "$demo" >"$work/same.json" || fault "same"
holds same "$work/same.json" 'd["against"]["kl_max"] < 1e-9 and d["against"]["same_top"] == 1 and d["against"]["mean_abs_dlogit"] == 0'
evaluate "$demo" "$text" --logits-in "$work/logits" >"$work/saved.json" || fault "saved"
holds saved "$work/saved.json" 'd["against"]["kl_max"] < 1e-6 and d["against"]["same_top"] == 1 and 0 < d["against"]["mean_abs_dlogit"] < d["against"]["max_abs_dlogit"] < 1e-1'

"$seesaw" quantize "$demo" "$work/q2.gguf" Q2_K >/dev/null || fault "quantize"
evaluate "$work/q2.gguf" "$text" --against "$demo" >"$work/against.json" || fault "against"
evaluate "$work/q2.gguf" "$text" --logits-in "$work/logits" >"$work/from.json" || fault "from saved"
holds worse "$work/against.json" 'd["against"]["kl_mean"] > 1e-4 and d["against"]["kl_p99"] is None and d["against"]["kl_max"] >= d["against"]["kl_mean"]'
python3 -c 'import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["perplexity"] == b["perplexity"]
assert abs(a["against"]["kl_mean"] - b["against"]["kl_mean"]) < 1e-3 * a["against"]["kl_mean"], (a, b)' \
    "$work/against.json" "$work/from.json" || fault "a saved reference and a loaded one differ"
evaluate "$demo" "$text" --windows 1 >"$work/one.json" || fault "one"
holds one "$work/one.json" 'd["windows"] == 1 and d["ci_low"] is None'
"$seesaw" eval -c 64 "$demo" "$text" --against "$demo" | grep -q '^  mean KL ' || fault "the table"

refused short 2 'less than one window of 4096' "$seesaw" eval -c 4096 "$demo" "$text"
refused "no text" 2 'name the model and the text' "$seesaw" eval "$demo"
refused "two references" 2 'give one' "$seesaw" eval "$demo" "$text" --against "$demo" --logits-in "$work/logits"
refused "other windows" 2 'use the same text' "$seesaw" eval -c 32 "$demo" "$text" --logits-in "$work/logits"
tr 'aeiou' 'eioua' <"$text" >"$work/other.txt"
cat "$work/other.txt" "$text" | head -c 4000 >"$work/long.txt"
refused "other text" 2 'another text\|use the same text' "$seesaw" eval -c 64 --windows 5 "$demo" "$work/long.txt" --logits-in "$work/logits"
refused "no rate" 2 "cpu-moe-rate wants a number from 0.1 to 100000, not 'fast'" "$seesaw" eval --cpu-moe-rate 100,fast "$demo" "$text"
refused "no copy rate" 2 "copy-rate wants a number from 0.1 to 10000, not '0'" "$seesaw" eval --copy-rate 0 "$demo" "$text"
refused "half a rate" 2 "cpu-moe-rate wants a number" "$seesaw" eval --cpu-moe-rate ,220 "$demo" "$text"
evaluate "$demo" "$text" --windows 1 -ngl 0 --cpu-moe-rate 100,220 2>&1 >/dev/null | grep -q 'cpu-moe-rate changes nothing' || fault "a rate's effect"
evaluate "$demo" "$text" --windows 1 -ngl 0 --cpu-moe-rate auto 2>&1 >/dev/null | grep -q 'cpu-moe-rate' && fault "auto is no default"
evaluate "$demo" "$text" --windows 1 -ngl 0 --copy-rate 25 2>&1 >/dev/null | grep -q 'copy-rate changes nothing' || fault "a copy rate's effect"
refused "exists" 2 'force' "$seesaw" eval -c 64 "$demo" "$text" --logits-out "$work/logits"
head -c 100 "$work/logits" >"$work/torn"
refused "torn" 1 'another size' "$seesaw" eval -c 64 "$demo" "$text" --logits-in "$work/torn"
refused "no logits" 1 'not a file that' "$seesaw" eval -c 64 "$demo" "$text" --logits-in "$demo"
refused "missing" 1 'nowhere' "$seesaw" eval "$demo" /nowhere
refused "no model" 1 "$(basename "$text")" "$seesaw" eval "$text" "$text"
[ -e "$work/logits.tmp" ] && fault "a temporary file is left"

finish
