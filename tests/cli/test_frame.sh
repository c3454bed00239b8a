#!/bin/sh
# The program's frame: help, version, unknown commands and exit statuses. Usage: test_frame.sh SEESAW
set -u
seesaw=$1
failures=0

check() { # NAME EXPECTED-STATUS PATTERN COMMAND...
    name=$1 expected=$2 pattern=$3
    shift 3
    output=$("$@" 2>&1 </dev/null)
    status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "not ok: $name: status $status, expected $expected"
        failures=$((failures + 1))
    elif ! printf '%s\n' "$output" | grep -q -e "$pattern"; then
        echo "not ok: $name: no line matches '$pattern' in:"
        printf '%s\n' "$output"
        failures=$((failures + 1))
    else
        echo "ok: $name"
    fi
}

check "help" 0 "^  serve  " "$seesaw" --help
check "help names the way to more" 0 "seesaw COMMAND --help" "$seesaw" --help
check "version" 0 "^seesaw [0-9]" "$seesaw" --version
check "no command" 2 "Usage: seesaw" "$seesaw"
check "unknown option" 2 "unrecognized option" "$seesaw" --no-such-option
check "near miss" 2 "unknown command 'sevre'; did you mean 'serve'?" "$seesaw" sevre
check "far miss" 2 "unknown command 'zzzzzz'; .seesaw --help' lists them" "$seesaw" zzzzzz
check "help of serve" 0 "^Usage: seesaw serve" "$seesaw" serve --help
check "unknown option of serve" 2 "seesaw serve: unrecognized option" "$seesaw" serve --no-such-option

exit "$((failures > 0))"
