#!/bin/sh
# test_verify.sh SEESAW MODEL CHECKER: a short real run of our own server on the embedded model, its report computed again by
# CHECKER, and verification: 0 as it is, 4 after one byte of a sample, of a reply or of the model has changed.
set -u
seesaw=$1
model=$2
checker=$3
. "$(dirname "$0")/../first_fault.sh"

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
    python3 -c 'import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2]))
    file.write(bytes([byte ^ 1]))' "$1" "$2" || fail "change $1"
}

cp "$model" "$work/model.gguf"
"$seesaw" ab -m "$work/model.gguf" --runs 2 --pause 0 --max-tokens 12 --port "$port" --out "$work/runs" >"$work/ab.out" 2>&1 ||
    fail "seesaw ab ended $?"
run=$(echo "$work"/runs/*)
[ "$(sed -n '/^mean ± σ/,$p' "$work/ab.out" | wc -l)" -le 16 ] || fail "the closing summary has more than 15 lines"
python3 "$checker" "$run" >"$work/check.out" || fail "check_report"
xmllint --noout "$run/report/report.html" || fail "report.html is not well-formed"
verify 0 'made again byte for byte'
grep -q 'tokens *ok *24 replies counted again' "$work/verify.out" || fail "not 24 replies (two arms and the first again) counted"

cp "$run/samples.jsonl" "$work/kept"
change "$run/samples.jsonl" 2000
verify 4 'samples.jsonl has changed'
cp "$work/kept" "$run/samples.jsonl"

change "$work/model.gguf" 4000000
verify 4 'model.gguf is not the file that was measured'
change "$work/model.gguf" 4000000

# On another machine neither model nor server may be there; what is left out is said, and the rest is still checked.
mv "$work/model.gguf" "$work/elsewhere.gguf"
verify 4 '--no-model leaves it out'
verify 0 'made again byte for byte' --model "$work/elsewhere.gguf"
verify 0 'made again byte for byte' --no-model --no-server
[ "$(grep -c 'skipped  left out by --no-' "$work/verify.out")" -eq 3 ] || fail "not three checks are said to be left out"
verify 2 'contradict' --no-model --model "$work/elsewhere.gguf"
change "$run/samples.jsonl" 2000
verify 4 'samples.jsonl has changed' --no-model --no-server
cp "$work/kept" "$run/samples.jsonl"
mv "$work/elsewhere.gguf" "$work/model.gguf"

# Whoever also mends SHA256SUMS is found out by the tokens, or by the report.
cp "$run/SHA256SUMS" "$work/sums"
sed -i '0,/"id":"b0.p0.*q[0-9]/s/"text":"\([^"]*\)","reasoning"/"text":"\1 and one more word","reasoning"/' "$run/samples.jsonl"
cmp -s "$work/kept" "$run/samples.jsonl" && fail "no reply was changed"
sum=$(sha256sum "$run/samples.jsonl" | cut -d ' ' -f 1)
sed -i "s/^.*  samples.jsonl\$/$sum  samples.jsonl/" "$run/SHA256SUMS"
verify 4 'tokens, tokens.jsonl says'
cp "$work/kept" "$run/samples.jsonl"
cp "$work/sums" "$run/SHA256SUMS"
verify 0 'made again byte for byte'
