#!/bin/sh
# The real server on the demo model, asked by curl. Usage: test_curl.sh SEESAW MODEL
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/server_process.sh"
failures=0

say() { # OK NAME [DETAIL]
    if [ "$1" -eq 0 ]; then
        echo "ok: $2"
    else
        echo "not ok: $2"
        printf '%s\n' "${3:-}"
        failures=$((failures + 1))
    fi
}

ask() { # NAME STATUS PATTERN PATH [CURL ARGUMENTS...]: one request, its status and a line of its answer
    name=$1 expected=$2 pattern=$3 path=$4
    shift 4
    got=$(curl -s -m 60 -w '\nstatus %{http_code}' "$@" "$url$path")
    case $got in *"status $expected") ok=0 ;; *) ok=1 ;; esac
    printf '%s' "$got" | grep -q -e "$pattern" || ok=1
    say $ok "$name" "$got"
}

same() { # NAME EXPECTED GOT
    [ "$2" = "$3" ]
    say $? "$1" "expected: $2
got: $3"
}

field() { # PYTHON-EXPRESSION over d: of the JSON on standard input
    python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

start_server "$1" "$2" --metrics --alias demo --cpu-moe --parallel 4 -ot 'blk\.0\..*exps=CPU' --moe-cache-mib 1 -ctk q8_0
grep -q "^  experts  *CPU .* [0-9][0-9]* " "$server_dir/out"
say $? "the placement table is printed" "$(cat "$server_dir/out")"
grep -q "moved nothing" "$server_dir/out"
say $? "--cpu-moe without a GPU says that it moves nothing" "$(cat "$server_dir/out")"
grep -q -F 'no GPU: -ot blk\.0\..*exps=CPU moves nothing' "$server_log" && grep -q "no GPU: --moe-cache-mib" "$server_log"
say $? "and so do -ot and --moe-cache-mib" "$(cat "$server_log")"
grep -q "no layer is on a GPU: --cache-type-k and --cache-type-v change nothing" "$server_log"
say $? "and -ctk" "$(cat "$server_log")"
got=$("$1" serve -m "$2" -ctv q4_0 2>&1)
[ $? -eq 2 ] && printf '%s' "$got" | grep -q -e "--cache-type-v takes f16 or q8_0, not 'q4_0'"
say $? "a wrong -ctv is a wrong option" "$got"
got=$("$1" serve -m "$2" -ot 'exps=DISK' 2>&1)
[ $? -eq 2 ] && printf '%s' "$got" | grep -q "no device 'DISK'"
say $? "a wrong -ot is a wrong option" "$got"

haiku='"messages":[{"role":"user","content":"Write a haiku about AI"}],"temperature":0'
ask "health" 200 '{"status":"ok"}' /health
ask "models" 200 '"id":"demo"' /v1/models
ask "one model" 200 '"id":"demo"' /v1/models/demo
ask "HEAD" 200 '' /health -I
ask "preflight" 204 '' /v1/chat/completions -X OPTIONS -H 'Origin: http://x'
ask "unknown path" 404 '"type":"not_found_error"' /v1/nothing
ask "unknown method" 405 'takes POST, not DELETE' /v1/completions -X DELETE
ask "wrong type" 400 '"param":"max_tokens"' /v1/chat/completions -d "{$haiku,\"max_tokens\":\"many\"}"
ask "no JSON" 400 'not valid JSON' /v1/chat/completions -d 'hello'
head -c 20000000 /dev/zero >"$server_dir/large"
ask "large body" 413 "larger than" /tokenize --data-binary "@$server_dir/large"
ask "large headers" 431 '' /health -H "X-Filler: $(head -c 70000 /dev/zero | tr '\0' a)"
ask "tokenize" 200 '"tokens":\[' /tokenize -d '{"content":"hello"}'
ask "detokenize" 200 '"content":"hello world"' /detokenize -d "$(curl -s "$url/tokenize" -d '{"content":"hello world"}')"
ask "metrics" 200 '^seesaw_jobs_running 0$' /metrics
curl -s "$url/metrics" | python3 -c '
import re, sys
bytes = {"predicted": {}, "actual": {}}
for kind, labels, value in re.findall(r"^seesaw_placement_(predicted|actual)_bytes(\{.*\}) (\d+)$", sys.stdin.read(), re.M):
    bytes[kind][labels] = int(value)
assert len(bytes["actual"]) > 5 and bytes["actual"].keys() == bytes["predicted"].keys(), bytes
for labels, actual in bytes["actual"].items():
    assert abs(actual - bytes["predicted"][labels]) <= 0.03 * actual, labels
    print(labels, actual)' >"$server_dir/places"
say $? "every class of the placement table took the bytes that were predicted" "$(cat "$server_dir/places")"
same "as many classes as in the table" "$(sed -n '/^  tensors /,/^  total /p' "$server_dir/out" | grep -vc -e ' tensors ' -e ' total ')" \
    "$(wc -l <"$server_dir/places")"

# whole and streamed, chat and raw, alone and among others: one text
whole=$(curl -s "$url/v1/chat/completions" -d "{$haiku,\"max_tokens\":100}")
text=$(printf '%s' "$whole" | field 'd["choices"][0]["message"]["content"]')
[ -n "$text" ]
say $? "a chat is answered: $(printf '%s' "$text" | tr '\n' '/')"
n_usage=$(printf '%s' "$whole" | field 'd["usage"]["completion_tokens"]')
same "usage is what the timings count" "$(printf '%s' "$whole" | field 'd["timings"]["predicted_n"]')" "$n_usage"
same "prompt tokens are cached or evaluated" "$(printf '%s' "$whole" | field 'd["usage"]["prompt_tokens"]')" \
    "$(printf '%s' "$whole" | field 'd["timings"]["prompt_n"] + d["timings"]["cache_n"]')"

curl -sN "$url/v1/chat/completions" -d "{$haiku,\"max_tokens\":100,\"stream\":true,\"stream_options\":{\"include_usage\":true}}" \
    >"$server_dir/stream"
join='"".join(c["delta"].get("content", "") for f in d for c in f["choices"])'
frames() { sed -n 's/^data: {/{/p' "$1" | python3 -c 'import json, sys; print(json.dumps([json.loads(l) for l in sys.stdin]))'; }
same "the stream's text is the same" "$text" "$(frames "$server_dir/stream" | field "$join")"
same "its first delta is the role" "assistant" "$(frames "$server_dir/stream" | field 'd[0]["choices"][0]["delta"]["role"]')"
same "its usage chunk is the last" "$n_usage" "$(frames "$server_dir/stream" | field 'd[-1]["usage"]["completion_tokens"]')"
same "it ends with [DONE]" "data: [DONE]" "$(grep . "$server_dir/stream" | tail -n 1)"
same "every line is a frame" "0" "$(grep . "$server_dir/stream" | grep -vc '^data: ')"

ollama=$(curl -s "$url/api/generate" -d '{"prompt":"Write a haiku about AI","stream":false,"options":{"temperature":0,"num_predict":100}}')
same "/api/generate gives the same" "$text" "$(printf '%s' "$ollama" | field 'd["response"]')"
lines=$(curl -s "$url/api/generate" -d '{"prompt":"Write a haiku about AI","options":{"temperature":0,"num_predict":100}}' |
    python3 -c 'import json, sys; print("".join(json.loads(l)["response"] for l in sys.stdin))')
same "/api/generate streams the same" "$text" "$lines"

for i in 1 2 3 4 5 6; do
    curl -sN "$url/v1/chat/completions" -d "{$haiku,\"max_tokens\":100,\"stream\":true,\"cache_prompt\":false}" >"$server_dir/s$i" &
    eval "client$i=$!"
done
wait $client1 $client2 $client3 $client4 $client5 $client6
for i in 1 2 3 4 5 6; do
    same "client $i of six at once gets it too" "$text" "$(frames "$server_dir/s$i" | field "$join")"
done

seeded() { curl -s "$url/v1/completions" -d "{\"prompt\":\"The\",\"max_tokens\":40,\"temperature\":1.5,\"ignore_eos\":true,\"seed\":$1}" | field 'd["choices"][0]["text"]'; }
same "the same seed gives the same text" "$(seeded 5)" "$(seeded 5)"
[ "$(seeded 5)" != "$(seeded 6)" ]
say $? "another seed gives another"
again=$(curl -s "$url/v1/chat/completions" -d "{$haiku,\"max_tokens\":60,\"ignore_eos\":true}")
same "ignore_eos fills max_tokens" "60 length" \
    "$(printf '%s' "$again" | field 'str(d["usage"]["completion_tokens"]) + " " + d["choices"][0]["finish_reason"]')"
again=$(curl -s "$url/v1/chat/completions" -d "{$haiku,\"max_tokens\":1}")
[ "$(printf '%s' "$again" | field 'd["timings"]["cache_n"]')" -gt 0 ]
say $? "the prompt's cache is used and told" "$again"
logprobs=$(curl -s "$url/v1/completions" -d '{"prompt":"The","max_tokens":4,"temperature":0,"logprobs":3}')
same "greedy takes the likeliest" "True" "$(printf '%s' "$logprobs" |
    field 'all(p == max(t.values()) and len(t) == 3 for p, t in zip(d["choices"][0]["logprobs"]["token_logprobs"], d["choices"][0]["logprobs"]["top_logprobs"]))')"
norm=$(curl -s "$url/v1/embeddings" -d '{"input":["a cat","a dog"]}' |
    field '[round(sum(x * x for x in e["embedding"]), 4) for e in d["data"]]')
same "embeddings have length 1" "[1.0, 1.0]" "$norm"

# a client that goes away mid-stream
timeout 0.3 curl -sN "$url/v1/completions" -d '{"prompt":"The","ignore_eos":true,"stream":true,"max_tokens":2000}' >/dev/null
tries=0
until curl -s "$url/metrics" | grep -q '^seesaw_jobs_running 0$' || [ $tries -gt 20 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
[ $tries -le 20 ]
say $? "its job stops"
curl -s "$url/metrics" | grep -q '^seesaw_clients_gone_total 1$'
say $? "and is counted" "$(curl -s "$url/metrics" | grep gone)"

stop_server
same "SIGTERM ends it with 0" "0" "$?"

"$1" serve -m "$2" --port 99999999 >/dev/null 2>&1
same "a wrong port is wrong usage" "2" "$?"
"$1" serve >/dev/null 2>&1
same "no model is wrong usage" "2" "$?"
message=$("$1" serve -m /no/such.gguf --port 0 2>&1 >/dev/null)
same "a missing model fails" "1" "$?"
printf '%s' "$message" | grep -q '/no/such.gguf'
say $? "and is named" "$message"
message=$("$1" serve -m "$2" --port 0 --chat-template nope 2>&1 >/dev/null)
same "an unknown chat format fails" "1" "$?"
printf '%s' "$message" | grep -q "no chat format 'nope'; known are harmony, phi3"
say $? "and the known ones are named" "$message"
start_server "$1" "$2" --chat-template harmony # unlike the demo's own it begins with a preamble
ask "a chat format by its name" 200 '"prompt_tokens":[0-9][0-9][0-9]*' /v1/chat/completions \
    -d '{"messages":[{"role":"user","content":"Hi"}],"max_tokens":1}'
named=$(printf '%s' "$got" | head -n 1 | field 'd["usage"]["prompt_tokens"]')
[ "${named:-0}" -gt 40 ]
say $? "renders as that format does" "$named prompt tokens"
stop_server
printf '# none\n\n' >"$server_dir/keys"
message=$("$1" serve -m "$2" --port 0 --api-key-file "$server_dir/keys" 2>&1 >/dev/null)
same "a key file without keys fails" "1" "$?"
printf 'sesame\n' >"$server_dir/keys"
start_server "$1" "$2" --api-key-file "$server_dir/keys"
ask "no key" 401 'invalid_api_key' /tokenize -d '{"content":"x"}'
ask "the key" 200 'tokens' /tokenize -d '{"content":"x"}' -H 'Authorization: Bearer sesame'
ask "metrics are off" 501 'not_supported_error' /metrics -H 'Authorization: Bearer sesame'
port=${url##*:}
message=$("$1" serve -m "$2" --port "$port" 2>&1 >/dev/null)
same "a taken port fails" "1" "$?"
printf '%s' "$message" | grep -q "port $port"
say $? "and is named" "$message"
stop_server
same "SIGTERM ends it with 0" "0" "$?"

# while the model loads: a FIFO that nobody writes to is never read to its end
mkfifo "$server_dir/slow.gguf"
: >"$server_dir/out"
"$1" serve -m "$server_dir/slow.gguf" --port 0 >"$server_dir/out" 2>"$server_log" </dev/null &
server_pid=$!
tries=0
until url=$(sed -n 's/^listening on //p' "$server_dir/out") && [ -n "$url" ] || [ $tries -gt 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
ask "health while loading" 503 '{"status":"loading model"}' /health
ask "a request while loading" 503 'unavailable_error' /v1/completions -d '{"prompt":"x"}'
stop_server
same "SIGTERM while loading ends it with 0" "0" "$?"

[ "$failures" -eq 0 ]
