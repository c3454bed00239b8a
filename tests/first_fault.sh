# What tests share that end at their first fault; sourced by them, with any POSIX shell.
#
# $work holds seesaw's cache and goes with the test; a process whose number is in $child is ended with it. $port is the first of
# eight that no other test has, below those that the kernel gives to clients.
work=$(mktemp -d "${TMPDIR:-/tmp}/seesaw-test-XXXXXX") || exit 1
child=""
port=$((10000 + ($$ * 8) % 20000))
trap 'if [ -n "$child" ]; then kill -9 "$child" 2>/dev/null; fi; rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"
mkdir "$work/cache"

fail() {
    echo "FAIL: $*" >&2
    tail -n 25 "$work"/*.out "$work"/*.xml "$work"/runs/*/*.log "$work"/runs/*/task-*/output "$work"/slurm/*.log >&2 2>/dev/null
    exit 1
}
