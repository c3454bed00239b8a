# What tests share that count their failures; sourced by them, with bash.
#
# $work is an empty folder and goes with the test; seesaw's caches lie beside it. $port is the first of eight that no other test
# has, below those that the kernel gives to clients. The last line of a test is: finish
frame=$(mktemp -d)
work=$frame/work
port=$((10000 + ($$ * 8) % 20000))
export XDG_CACHE_HOME="$frame/cache"
mkdir "$work" "$XDG_CACHE_HOME"
trap 'rm -rf "$frame"' EXIT
failures=0

fault() {
    echo "not ok: $*"
    failures=$((failures + 1))
}

refused() { # NAME STATUS PATTERN COMMAND...
    local name=$1 expected=$2 pattern=$3 output status
    shift 3
    output=$("$@" 2>&1 </dev/null)
    status=$?
    [ "$status" = "$expected" ] || fault "$name: status $status, expected $expected: $output"
    grep -q -e "$pattern" <<<"$output" || fault "$name: no '$pattern' in: $output"
}

finish() {
    [ "$failures" = 0 ] && echo "ok"
    exit "$((failures > 0))"
}
