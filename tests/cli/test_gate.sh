#!/bin/sh
# test_gate.sh SEESAW MAKE_EVIDENCE XSD: gates on synthetic run folders: every outcome, its exit status and its JUnit file.
set -u
seesaw=$1
make_evidence=$2
xsd=$3
. "$(dirname "$0")/../first_fault.sh"

# make NAME CASE [SLOWER]: a run folder NAME/run; equal last parts give the same model
make() {
    mkdir "$work/$1"
    python3 "$make_evidence" "$work/$1/run" "$2" ${3:+"$3"} || fail "make_evidence $2"
}

# gate STATUS TEXT RUN ARGUMENTS...: ends so, says it, and writes JUnit's XML 
gate() {
    wanted=$1
    text=$2
    run=$3
    shift 3
    "$seesaw" gate "$work/$run/run" "$@" --junit "$work/gate.xml" >"$work/gate.out" 2>&1
    status=$?
    [ "$status" -eq "$wanted" ] || fail "the gate of $run ended $status, not $wanted"
    grep -qF -- "$text" "$work/gate.out" || fail "the gate of $run does not say: $text"
    xmllint --noout --schema "$xsd" "$work/gate.xml" 2>"$work/xsd.out" || fail "not JUnit's XML"
}

# counts TESTS FAILURES ERRORS: of the last JUnit file, by its attributes and by its elements
counts() {
    grep -q "tests=\"$1\" failures=\"$2\" errors=\"$3\"" "$work/gate.xml" || fail "not $1 tests, $2 failures, $3 errors"
    [ "$(xmllint --xpath 'count(//testcase)' "$work/gate.xml")" = "$1" ] || fail "not $1 test cases"
    [ "$(xmllint --xpath 'count(//failure[@type="regressed"])' "$work/gate.xml")" = "$2" ] || fail "not $2 failures"
    [ "$(xmllint --xpath 'count(//error)' "$work/gate.xml")" = "$3" ] || fail "not $3 errors"
}

make stored cpu
make same cpu 1.0
make slower cpu 1.3
make gpu gpu
make stuck gpu-stuck
make crash crash
make sequential sequential
make hostile hostile
make three three
mkdir "$work/other"
python3 "$make_evidence" "$work/other/another" cpu || fail "make_evidence"
mv "$work/other/another" "$work/other/run"

# the arms of one run, by pairs
gate 0 'gate: passed' stored --max-regress 20%
counts 2 0 0
gate 3 'gate: inconclusive' stored --max-regress 0.1%
gate 1 'regressed     offload, decode rate: time × 2.9' gpu --max-regress 5%
counts 2 2 0
gate 1 'gate: regressed' three --max-regress 5%
counts 2 2 0 # the A/A arm is no claim
gate 4 'gate: invalid: requests are missing, or memory contradicts' stuck --max-regress 5%
counts 1 0 1
gate 5 'gate: server-failed: a server crashed or hung' crash --max-regress 5%
counts 1 0 1

# the same arms of two runs, by blocks
gate 0 'gate: passed' same --against "$work/stored/run" --max-regress 20%
counts 4 0 0
gate 1 'regressed     baseline, decode rate: time × 1.' slower --against "$work/stored/run" --max-regress 10%
counts 4 4 0
gate 0 'gate: passed' stored --against "$work/slower/run" --max-regress 5% # faster is no regression
gate 3 'gate: inconclusive' slower --against "$work/stored/run" --max-regress 30%
gate 4 'different models' same --against "$work/other/run" --max-regress 5%
gate 4 'different machines' gpu --against "$work/stored/run" --max-regress 5%
gate 4 'without blocks' sequential --against "$work/stored/run" --max-regress 5%
gate 4 'is not valid itself' stored --against "$work/crash/run" --max-regress 5%
gate 3 'gate: inconclusive' hostile --max-regress 0.1% # names that try to be markup

# the factor, computed again from the raw times
python3 - "$work" <<'END' || fail "TTFT, computed again"
import json, math, statistics, sys
def blocks(folder, arm):
    logs = {}
    for s in map(json.loads, open(folder + "/samples.jsonl", encoding="utf-8")):
        if s["kind"] == "sample" and s["phase"] == "measure" and s["arm"] == arm:
            text = [f["t_ns"] for f in s["frames"] if f["kind"] == "content"]
            logs.setdefault(s["run"], []).append(math.log(text[0] - s["send_ns"]))
    return [statistics.fmean(v) for v in logs.values()]
old, new = (blocks(f"{sys.argv[1]}/{name}/run", "baseline") for name in ("stored", "slower"))
time = math.exp(statistics.fmean(new) - statistics.fmean(old))
open(sys.argv[1] + "/expected", "w").write(f"{math.floor(time * 100) / 100:.2f}")
END
"$seesaw" gate "$work/slower/run" --against "$work/stored/run" --max-regress 10% >"$work/gate.out" 2>&1
grep -q "baseline, TTFT: time × $(cat "$work/expected")" "$work/gate.out" || fail "TTFT is not about × $(cat "$work/expected")"

"$seesaw" gate "$work/stored/run" >"$work/usage.out" 2>&1
[ $? -eq 2 ] || fail "no limit is not a usage error"
"$seesaw" gate --max-regress 3% >"$work/usage.out" 2>&1
[ $? -eq 2 ] || fail "no folder is not a usage error"
"$seesaw" gate "$work/absent" --max-regress 3% >"$work/usage.out" 2>&1
[ $? -eq 2 ] || fail "an absent folder is not a usage error"
echo "gate: ok"
