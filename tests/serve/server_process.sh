# Sourced: a server on a free port, ended with the script that started it. Sets $url, $server_pid, $server_log.
# Usage: start_server SEESAW MODEL [OPTION...]; stop_server: ends it by SIGTERM, its exit status is the function's.
server_pid=
server_dir=$(mktemp -d)
server_log=$server_dir/log
: >"$server_dir/out"
trap 'end_all' EXIT

end_all() {
    [ -z "$server_pid" ] || kill -9 "$server_pid" 2>/dev/null
    rm -rf "$server_dir"
}

start_server() {
    seesaw=$1 model=$2
    shift 2
    : >"$server_dir/out"
    "$seesaw" serve -m "$model" --port 0 "$@" >"$server_dir/out" 2>"$server_log" </dev/null &
    server_pid=$!
    tries=0
    until url=$(sed -n 's/^listening on //p' "$server_dir/out") && [ -n "$url" ] && curl -sf "$url/health" >/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "the server did not become ready:"
            cat "$server_dir/out" "$server_log"
            exit 1
        fi
        sleep 0.1
    done
}

stop_server() {
    kill -TERM "$server_pid"
    wait "$server_pid"
    server_status=$?
    server_pid=
    return $server_status
}
