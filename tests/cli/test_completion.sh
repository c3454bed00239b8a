#!/bin/bash
# The completion offers every command of --help and every long option of each command's --help.
# usage: test_completion.sh SEESAW COMPLETION
set -eu
PATH="$(dirname "$1"):$PATH"
source "$2"

complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _seesaw
    printf '%s\n' "${COMPREPLY[@]}" | sort -u
}

commands=$(seesaw --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' | sort -u)
[ -n "$commands" ] || { echo "no commands in --help"; exit 1; }
[ "$(complete_words seesaw '')" = "$commands" ] || { echo "commands differ"; exit 1; }
[ "$(complete_words seesaw ser)" = serve ] || { echo "'ser' is not completed to 'serve'"; exit 1; }
[ "$(complete_words seesaw serve -ctk q | tr '\n' ' ')" = 'q8_0 ' ] || { echo "types of the cache are not completed"; exit 1; }
for command in $commands; do
    for option in $(seesaw "$command" --help | grep -E '^ {2,6}-' | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u); do
        complete_words seesaw "$command" "$option" | grep -qx -- "$option" ||
            { echo "$command: $option is not completed"; exit 1; }
    done
done
echo "$(wc -w <<<"$commands") commands complete"
