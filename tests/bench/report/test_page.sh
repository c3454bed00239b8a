#!/bin/sh
# test_page.sh SEESAW CASE: the report of a synthetic run, opened in Chromium by check_page.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/seesaw-page-XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 "$here/make_evidence.py" "$work/run" "$2"
"$1" report "$work/run" >/dev/null
python3 "$here/check_page.py" "$work/run"
