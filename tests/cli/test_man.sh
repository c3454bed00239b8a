#!/bin/bash
# The man page and the help agree: every command and every long option of --help stands in the page, under its
# command, and the page names no option that the help lacks.
# usage: test_man.sh SEESAW PAGE
set -eu
seesaw=$1
page=$2
status=0
commands=$("$seesaw" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
[ -n "$commands" ] || { echo "no commands in --help"; exit 1; }
for command in $commands; do
    section=$(awk -v title=".SS seesaw $command" 'index($0, title) == 1 {on = 1; next} /^\.S[SH]/ {on = 0} on' "$page" | sed 's/\\-/-/g')
    [ -n "$section" ] || { echo "the page has no section for 'seesaw $command'"; status=1; continue; }
    in_help=$("$seesaw" "$command" --help | grep -E '^ {2,6}-' | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u | grep -vxE -- '--(help|usage|version)')
    in_page=$(grep -E '^\.B|^\.BI|^\.BR|^\.IP' <<<"$section" | grep -oE -- '--[a-z][a-z0-9-]*' | sort -u)
    difference=$(diff <(echo "$in_help") <(echo "$in_page") || true)
    [ -z "$difference" ] || { printf '%s: help (<) and page (>) differ:\n%s\n' "$command" "$difference"; status=1; }
done
exit "$status"
