#!/bin/sh
# test_quality.sh SEESAW MODEL CASE: the quality phase on the embedded model, from the outside.
set -u
seesaw=$1
model=$2
. "$(dirname "$0")/../first_fault.sh"
echo 'Write a haiku about AI' >"$work/prompts"
cat >"$work/problems.json" <<'EOF'
{"schema": 1, "problems": [
 {"name": "gcd", "prompt": "Write a Python function to find the greatest common divisor of two numbers", "entry": "gcd",
  "tests": "assert candidate(12, 18) == 6"},
 {"name": "sum_digits", "prompt": "Write a Python function to calculate the sum of the digits of a number", "entry": "sum_digits",
  "tests": "assert candidate(12345) == 15"},
 {"name": "wrong", "prompt": "Write a Python function to reverse a string", "entry": "reverse_string",
  "tests": "assert candidate('abc') == 'abc'"},
 {"name": "poem", "prompt": "Write a haiku about AI", "entry": "f", "tests": "candidate()"}]}
EOF

measure() {
    "$seesaw" ab -m "$model" --runs 1 --pause 0 --max-tokens 12 --port "$port" --out "$work/runs" --prompts "$work/prompts" \
        --problems "$work/problems.json" --quality-samples 2 --quality-tokens 200 --quality-temperature 0 "$@" >"$work/ab.out" 2>&1
}

# expect N PROGRAM: jq's PROGRAM, fed with all lines of FILE as one array, gives N
expect() {
    found=$(jq -s "$3" "$quality/$2") || fail "jq on $2"
    [ "$found" = "$1" ] || fail "$2: $3 is $found, not $1"
}

# One phase from beginning to end: what lands in the folder, the figures, verification, and tampering.
case_whole() {
    measure || fail "seesaw ab ended $?"
    run=$(echo "$work"/runs/*)
    quality=$run/quality
    expect 30 samples.jsonl '[.[] | select(.kind == "sample")] | length' # 3 arms x 5 prompts x 2
    expect 30 samples.jsonl '[.[] | select(.kind == "sample" and .logprobs[0].top_logprobs[0].logprob <= 0 and (.request | fromjson | .ignore_eos == null and .top_logprobs == 10))] | length'
    expect 3 samples.jsonl '[.[] | select(.kind == "sample").arm] | unique | length'
    expect 30 tokens.jsonl '[.[] | select((.ids | length) == .tokens)] | length'
    expect 30 embeddings.jsonl '[.[] | select((.values | length) == 256)] | length'
    expect 24 executions.jsonl length # 3 arms x 4 problems x 2
    expect 12 executions.jsonl '[.[] | select(.outcome == "passed" and (.problem == "gcd" or .problem == "sum_digits"))] | length'
    expect 6 executions.jsonl '[.[] | select(.outcome == "failed" and .problem == "wrong" and .detail == "AssertionError")] | length'
    expect 6 executions.jsonl '[.[] | select(.outcome == "no-code" and .problem == "poem")] | length'
    (cd "$quality" && sha256sum -c --quiet SHA256SUMS) || fail "SHA256SUMS of the quality folder"
    figures=$run/report/figures.json
    for key in pass_at_1.offload.mean:0.5 pass_at_1.aa.mean:0.5 pass_at_n.offload.mean:0.5 agreement.offload.mean:1 \
        agreement.offload.difference:0 kl.offload.difference:0 cosine.offload.difference:0 pairs.offload:10; do
        value=$(jq ".figures.\"quality.${key%:*}\".value | . * 1e6 | round / 1e6" "$figures") || fail "no ${key%:*}"
        [ "$value" = "${key#*:}" ] || fail "quality.${key%:*} is $value, not ${key#*:}"
    done
    grep -q '^## Quality' "$run/report/report.md" || fail "the report has no section"
    grep -q 'Quality of offload against baseline: pass@1 equivalent (N = 4), agreement equivalent (N = 5), KL equivalent' "$work/ab.out" ||
        fail "the verdict has no sentence on quality"
    "$seesaw" verify "$run" >"$work/verify.out" 2>&1 || fail "verify ended $?"
    grep -q 'quality *ok *30 replies counted again' "$work/verify.out" || fail "verify leaves the quality phase out"
    cp "$quality/executions.jsonl" "$work/kept"
    sed -i '0,/"failed"/s//"passed"/' "$quality/executions.jsonl"
    "$seesaw" verify "$run" >"$work/verify.out" 2>&1
    [ $? -eq 4 ] || fail "an execution was changed, and verify did not see it"
    (cd "$quality" && sha256sum manifest.json samples.jsonl tokens.jsonl telemetry.jsonl executions.jsonl >SHA256SUMS)
    "$seesaw" verify "$run" >"$work/verify.out" 2>&1
    [ $? -eq 4 ] || fail "an execution was changed with its checksum, and verify did not see it"
    grep -q 'figures.json differs' "$work/verify.out" || fail "the figures do not give the change away"
    cp "$work/kept" "$quality/executions.jsonl"
}

# Every figure of the phase is computed again by other means, after the second arm was made to say other things.
case_figures() {
    measure || fail "seesaw ab ended $?"
    run=$(echo "$work"/runs/*)
    python3 "$(dirname "$0")/check_quality.py" --change "$run" || fail "the evidence cannot be changed"
    "$seesaw" report "$run" >"$work/report.out" 2>&1 || fail "seesaw report ended $?"
    python3 "$(dirname "$0")/check_quality.py" "$run" || fail "check_quality"
}

# Interrupted while it asks: --resume measures what is missing and no reply twice.
case_resume() {
    "$seesaw" ab -m "$model" --runs 1 --pause 0 --max-tokens 12 --port "$port" --out "$work/runs" --prompts "$work/prompts" \
        --problems "$work/problems.json" --quality-samples 2 --quality-tokens 200 >"$work/ab.out" 2>&1 &
    child=$!
    for i in $(seq 1200); do
        n=$(cat "$work"/runs/*/quality/samples.jsonl 2>/dev/null | grep -c '"kind":"sample"')
        [ "$n" -ge 12 ] && break
        sleep 0.05
    done
    kill -INT $child
    wait $child
    [ $? -eq 130 ] || fail "an interrupted phase does not end 130"
    run=$(echo "$work"/runs/*)
    quality=$run/quality
    "$seesaw" ab --resume "$run" >"$work/resume.out" 2>&1 || fail "--resume ended $?"
    expect 30 samples.jsonl '[.[] | select(.kind == "sample" and .error == null) | [.arm, .prompt, .run]] | unique | length'
    expect 30 samples.jsonl '[.[] | select(.kind == "sample" and .error == null)] | length'
    expect 24 executions.jsonl length
    "$seesaw" ab --resume "$run" >"$work/again.out" 2>&1
    [ $? -eq 2 ] || fail "a finished folder is resumed again"
}

case_usage() {
    for words in "--quality-samples 0" "--quality-margin 0" "--quality-temperature x" "--problems $work/none.json" \
        "--embeddings-url ftp://x" "--embeddings-url http://x/"; do
        # shellcheck disable=SC2086
        measure $words
        [ $? -eq 2 ] || fail "$words is accepted"
        [ -e "$work/runs" ] && fail "$words left a folder"
    done
    # A plan file's values are checked as the options are; options after it override it.
    for line in 'samples: 0' 'margin: 2' 'embeddings_url: ftp://x' 'problems: none.json'; do
        printf 'quality:\n  %s\n' "$line" >"$work/plan.yaml"
        measure --plan "$work/plan.yaml"
        [ $? -eq 2 ] || fail "a plan with $line is accepted"
        [ -e "$work/runs" ] && fail "a plan with $line left a folder"
    done
    printf 'quality:\n  samples: 1\n  tokens: 20\n  margin: 0.2\n  problems: %s\n' "$work/problems.json" >"$work/plan.yaml"
    "$seesaw" ab -m "$model" --runs 1 --pause 0 --max-tokens 12 --no-aa --port "$port" --out "$work/runs" --prompts "$work/prompts" --plan "$work/plan.yaml" \
        --quality-tokens 16 >"$work/ab.out" 2>&1 || fail "a plan file with quality ended $?"
    quality=$(echo "$work"/runs/*)/quality
    [ "$(jq -c '[.margin, (.problems.problems | length)]' "$quality/quality.json")" = '[0.2,4]' ] || fail "the plan's margin or problems are not used"
    expect 15 samples.jsonl '[.[] | select(.kind == "sample" and (.request | fromjson | .max_tokens == 16))] | length' # 3 arms x 5 prompts
    rm -r "$work/runs"
    echo '{"schema": 1, "problems": [{"name": "a"}]}' >"$work/bad.json"
    measure --problems "$work/bad.json"
    [ $? -eq 2 ] || fail "bad problems are accepted"
    grep -q 'bad.json: problem 1' "$work/ab.out" || fail "the bad problem is not named"
    true
}

"case_$3"
