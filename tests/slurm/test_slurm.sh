#!/bin/sh
# test_slurm.sh SEESAW FAKE_SERVER: a plan as a job array of a real one-node Slurm (one_node_slurm.sh), from submitting to collecting.
set -u
seesaw=$(realpath "$1")
fake=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
. "$(dirname "$0")/../first_fault.sh"
trap '"$here/one_node_slurm.sh" stop "$work/slurm"; rm -rf "$work"' EXIT
mkdir "$work/slurm"

"$here/one_node_slurm.sh" start "$work/slurm" >"$work/start.out" 2>&1
case $? in
0) ;;
77)
    cat "$work/start.out"
    [ "${CI:-}" != true ] || exit 1
    exit 77
    ;;
*) fail "Slurm" ;;
esac
export SLURM_CONF="$work/slurm/slurm.conf"

printf 'one plank\ntwo planks and a stone\n' >"$work/prompts"
head -c 100000 /dev/urandom >"$work/first model.bin" # a name with a blank
head -c 100000 /dev/urandom >"$work/second.bin"

# Two models by two arms; the second model's server serves another name, so that its task must end 4.
cd "$work" || exit 1
"$seesaw" ab --launcher slurm --partition bench --gres gpu:1 --time 5 -m "first model.bin" -m second.bin --no-aa --out runs --server "$fake" \
    --port "$port" --pause 0 --memory-timeout 1 --runs 1 --max-tokens 6 --prompts prompts --no-report --arm "a=--name 'first model.bin'" \
    --arm "b=--name 'first model.bin' --x" >ab.out 2>&1
status=$?
[ "$status" -eq 4 ] || fail "exit status $status, not the highest of the tasks', 4"
set -- "$work"/runs/slurm-ab-*/
[ $# -eq 1 ] || fail "there are $# launch folders"
dir=${1%/}
grep -q '^task 0  .*/first model.bin' ab.out || fail "the first task is not shown"
grep -q 'exit status 0 on .*, 4 requests measured, complete' ab.out || fail "the first task is not complete"
grep -q 'exit status 4 on .*, 0 requests measured, failed' ab.out || fail "the second task did not fail"
jq -e 'length == 2 and .[0].exit_status == 0 and .[0].measured == 4 and .[1].exit_status == 4' "$dir/collected.json" >/dev/null ||
    fail "collected.json: $(cat "$dir/collected.json")"

# The evidence of the first task is whole, and says which GPU Slurm gave it.
run=$(jq -r '.[0].run' "$dir/collected.json")
(cd "$run" && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS is wrong"
jq -e '.arms[0].env.CUDA_VISIBLE_DEVICES == "0"' "$run/manifest.json" >/dev/null || fail "no GPU was asked for"
jq -e '.launcher == "slurm" and (.arguments | index("--runs")) and (.arguments | index("--gres") | not)' "$dir/launch.json" >/dev/null ||
    fail "launch.json: $(cat "$dir/launch.json")"

# Collecting again says the same, as JSON too.
"$seesaw" ab --collect "$dir" --json >again.out 2>&1
[ $? -eq 4 ] || fail "--collect has another exit status"
jq -e 'length == 2 and .[1].state == "failed"' again.out >/dev/null || fail "--collect --json"
rm "$dir/task-0/exit-status"
"$seesaw" ab --collect "$dir" >missing.out 2>&1
grep -q 'exit status none yet' missing.out || fail "a task without an end is not said"

# What Slurm refuses is said, and what is not a launch.
"$seesaw" ab --launcher slurm --partition nowhere -m second.bin --out refused --server "$fake" --no-report >refused.out 2>&1
[ $? -eq 1 ] || fail "a partition that is not there"
grep -q 'sbatch refused the job' refused.out || fail "the refusal is not said"
"$seesaw" ab --collect "$work" >none.out 2>&1
[ $? -eq 2 ] || fail "--collect of a folder that is no launch"
echo "slurm: ok"
