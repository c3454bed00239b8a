#!/bin/sh
# The real server on the demo model, used through npm's `openai` unchanged. Usage: test_openai.sh SEESAW MODEL NODE_MODULES
# Exit 77 (skipped) without the package, unless CI=true.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -d "$3/openai" ] || ! command -v node >/dev/null; then
    echo "npm's openai is not installed (tests/npm/setup)"
    [ "${CI:-}" != true ] || exit 1
    exit 77
fi
. "$here/server_process.sh"
printf 'sesame\n' >"$server_dir/keys"
start_server "$1" "$2" --parallel 4 --alias demo --metrics --api-key-file "$server_dir/keys"
if ! node "$here/openai_client.mjs" "$3" "$url" sesame; then
    echo "the server's log:"
    cat "$server_log"
    exit 1
fi
stop_server
