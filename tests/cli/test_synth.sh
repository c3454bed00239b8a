#!/bin/bash
# seesaw synth and inspect on the true shapes, cut to a layer or two: what one writes the other reads back.
# usage: test_synth.sh SEESAW [SHAPE...]   (without shapes: options, refusals and the list)
set -u
seesaw=$1
shift
. "$(dirname "$0")/../frame.sh"

refused_cleanly() { # the same arguments; nothing may be left in $work but $kept
    refused "$@"
    [ "$(ls "$work")" = "${kept:-}" ] || fault "$1: left behind: $(ls "$work")"
}

# Value of a top-level or dotted key of JSON on standard input.
value() {
    python3 -c 'import json, sys
v = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    v = v[int(key)] if isinstance(v, list) else v[key]
print(v)' "$1"
}

same() { # NAME EXPECTED ACTUAL
    [ "$2" = "$3" ] || fault "$1: expected $2, got $3"
}

round_trip() { # SHAPE LAYERS
    local shape=$1 layers=$2 made seen
    made=$("$seesaw" synth "$shape" "$work/m.gguf" --layers "$layers" --vocab 1024 --json) || fault "$shape: synth failed"
    seen=$("$seesaw" inspect "$work/m.gguf" --bandwidth 100 --json) || fault "$shape: inspect failed"
    for key in architecture parameters tensor_bytes; do
        [ "$key $shape" = "parameters phi-3.5-moe" ] && continue # inspect counts its two lists of rope factors
        same "$shape: $key" "$(value "$key" <<<"$made")" "$(value "$key" <<<"$seen")"
    done
    published=$("$seesaw" synth --list --json | python3 -c 'import json, sys
row = [s for s in json.load(sys.stdin)["shapes"] if s["shape"] == sys.argv[1]][0]
print(row["architecture"], row["experts"], row["experts_used"])' "$shape")
    same "$shape: published" "$published" \
        "$(value architecture <<<"$seen") $(value shape.experts <<<"$seen") $(value shape.experts_used <<<"$seen")"
    same "$shape: layers" "$layers" "$(value shape.layers <<<"$seen")"
    same "$shape: vocabulary" 1024 "$(value shape.vocabulary <<<"$seen")"
    same "$shape: one forecast a layer and one" "$((layers + 1))" \
        "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)["forecast"]["n_cpu_moe"]))' <<<"$seen")"
    python3 -c 'import json, sys
d = json.load(sys.stdin)
f, arms = d["forecast"], d["forecast"]["n_cpu_moe"]
assert d["schema"] == 1 and d["probe"] is None and len(d["files"]) == 1 and "sha256" not in d["files"][0]
assert sum(c["bytes"] for c in d["classes"]) == sum(t["bytes"] for t in d["types"]) == d["tensor_bytes"]
assert arms[0] == f["baseline"] and arms[-1] == f["cpu_moe"]
assert f["baseline"]["vram_bytes"] - f["cpu_moe"]["vram_bytes"] == d["expert_bytes"]
assert f["baseline"]["ceiling_tokens_per_s"] is None
rate = f["cpu_moe"]["ceiling_tokens_per_s"] * f["cpu_moe"]["host_bytes_per_token"]
assert abs(rate - 100e9) < 1e-3 * 100e9, rate
' <<<"$seen" || fault "$shape: the JSON of inspect contradicts itself"
    rm -f "$work/m.gguf"
}

if [ $# -gt 0 ]; then
    for shape in "$@"; do
        case $shape in deepseek*) round_trip "$shape" 2 ;; *) round_trip "$shape" 1 ;; esac
    done
    finish
fi

same "shapes" "gpt-oss-20b gpt-oss-120b phi-3.5-moe deepseek-moe-16b deepseek-v2-lite mixtral-8x7b qwen3-30b-a3b" \
    "$("$seesaw" synth --list --json | python3 -c 'import json, sys
print(*[s["shape"] for s in json.load(sys.stdin)["shapes"]])')"
"$seesaw" synth --list | grep -q '^gpt-oss-20b .*20.91 B' || fault "no gpt-oss-20b in the list"

refused_cleanly "no arguments" 2 "name a shape" "$seesaw" synth
refused_cleanly "no file" 2 "name a shape" "$seesaw" synth gpt-oss-20b
refused_cleanly "near shape" 2 "unknown shape 'gpt-oss-20'; did you mean 'gpt-oss-20b'?" "$seesaw" synth gpt-oss-20 "$work/m.gguf"
refused_cleanly "far shape" 2 "unknown shape 'zzz'; .seesaw synth --list' shows them" "$seesaw" synth zzz "$work/m.gguf"
refused_cleanly "unknown type" 2 "unknown --quant type 'Q9'; .seesaw synth --help' shows them" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --quant Q9
refused_cleanly "near type" 2 "unknown --dense type 'Q8_O'; did you mean 'Q8_0'?" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --dense Q8_O
types_of() { # OPTIONS...: the mixes' names and the types of a cut made with them
    "$seesaw" synth deepseek-moe-16b "$work/m.gguf" --layers 2 --vocab 1024 "$@" --json | python3 -c 'import json, sys
made = json.load(sys.stdin)
print(made["quant"], made["dense"], end=": ")'
    "$seesaw" inspect "$work/m.gguf" --json | python3 -c 'import json, sys
print(*sorted(t["name"] for t in json.load(sys.stdin)["types"]))'
    rm -f "$work/m.gguf"
}
same "types of Q4_K_M" "Q4_K_M None: F32 Q4_K Q5_0 Q6_K Q8_0" "$(types_of --quant q4_k)"
same "the shape's own types" "Q4_0 None: F32 Q4_0 Q6_K" "$(types_of)"
same "dense Q8_0" "Q4_0 Q8_0: F32 Q4_0 Q8_0" "$(types_of --dense q8_0)"
same "dense F16" "MXFP4 F16: F16 F32 MXFP4" "$(types_of --quant MXFP4 --dense F16)"
refused_cleanly "too many layers" 2 "can be cut to 1 to 24 layers, not to 25" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --layers 25
refused_cleanly "no layers" 2 "not a positive number" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --layers 0
refused_cleanly "small vocabulary" 2 "a vocabulary has 512 to" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --vocab 7
refused_cleanly "skew" 2 "the skew is a number from 0 to 4" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --skew -1
refused_cleanly "seed" 2 "'-1' is not a number" "$seesaw" synth gpt-oss-20b "$work/m.gguf" --seed=-1
refused_cleanly "no such folder" 1 "/nowhere/m.gguf: " "$seesaw" synth gpt-oss-20b /nowhere/m.gguf
refused_cleanly "no model" 2 "name a model" "$seesaw" inspect
refused_cleanly "no such model" 1 "seesaw inspect: $work/none.gguf: No such file" "$seesaw" inspect "$work/none.gguf"
refused_cleanly "bandwidth" 2 "not a positive number of GB/s" "$seesaw" inspect x.gguf --bandwidth 0
refused_cleanly "context" 2 "not a number from 1 to" "$seesaw" inspect x.gguf -c 0
refused_cleanly "cache type" 2 "--cache-type-v takes f16 or q8_0, not 'q4_0'" "$seesaw" inspect x.gguf -ctv q4_0
refused_cleanly "probe and bandwidth" 2 "one of them" "$seesaw" inspect x.gguf --probe --bandwidth 1
echo "not a model" >"$work/bad.gguf"
kept=bad.gguf
refused_cleanly "not a model" 1 "bad.gguf: " "$seesaw" inspect "$work/bad.gguf"
refused_cleanly "existing file" 1 "bad.gguf exists; --force overwrites it" "$seesaw" synth gpt-oss-20b "$work/bad.gguf"

# Interrupted in the middle of a long write: no file, no .tmp, status 1.
"$seesaw" synth gpt-oss-20b "$work/long.gguf" 2>"$work/said" &
writer=$!
for _ in $(seq 100); do
    [ -s "$work/long.gguf.tmp" ] && break
    sleep 0.05
done
kill -INT "$writer" 2>/dev/null || kill -TERM "$writer"
kill -TERM "$writer" 2>/dev/null # a shell without job control starts its children deaf to INT
wait "$writer"
same "status when interrupted" 1 "$?"
grep -q "stopped; the unfinished file is removed" "$work/said" || fault "interrupted: $(cat "$work/said")"
rm -f "$work/said"
same "left behind when interrupted" bad.gguf "$(ls "$work")"

# The same seed and any number of threads: the same file.
"$seesaw" synth qwen3-30b-a3b "$work/a.gguf" --layers 1 --vocab 512 --seed 5 -t 1 >"$work/log" || fault "one thread"
"$seesaw" synth qwen3-30b-a3b "$work/b.gguf" --layers 1 --vocab 512 --seed 5 -t 3 >"$work/log" || fault "three threads"
cmp "$work/a.gguf" "$work/b.gguf" || fault "threads show in the file"
cp "$(dirname "$0")/../fuzz/seeds/inspect/gpt-oss" "$work/small.gguf"
mkdir "$work/cache"
for _ in 1 2; do # computed, then remembered
    hashed=$(XDG_CACHE_HOME="$work/cache" "$seesaw" inspect "$work/small.gguf" --sha256 --json | value files.0.sha256)
    same "sha256" "$(sha256sum "$work/small.gguf" | cut -d' ' -f1)" "$hashed"
done
same "entries in the cache" 1 "$(ls "$work/cache/seesaw" | wc -l)"
hashed=$(env -u XDG_CACHE_HOME -u HOME "$seesaw" inspect "$work/small.gguf" --sha256 --json | value files.0.sha256)
same "sha256 without a place for a cache" "$(sha256sum "$work/small.gguf" | cut -d' ' -f1)" "$hashed"
"$seesaw" inspect "$work/a.gguf" >"$work/log" || fault "inspect as a table"
grep -q '(KV cache of .*, keys F16, values F16)' "$work/log" || fault "no types of the KV cache in the table"
kv_bytes() { # OPTIONS...
    "$seesaw" inspect "$work/a.gguf" -c 4096 --json "$@" | python3 -c 'import json, sys
f = json.load(sys.stdin)["forecast"]
print(f["cache_type_k"], f["cache_type_v"], f["kv_bytes"], f["no_gpu"]["ram_bytes"] - f["baseline"]["vram_bytes"] - f["baseline"]["ram_bytes"])'
}
# One layer of 4 key-value heads of 128: 4096 x 512 numbers of 2 bytes, or of 34 bytes a block of 32; without a GPU always the former.
same "F16 cache" "F16 F16 8388608 0" "$(kv_bytes)"
same "Q8_0 keys" "Q8_0 F16 6422528 1966080" "$(kv_bytes -ctk q8_0)"
same "Q8_0 cache" "Q8_0 Q8_0 4456448 3932160" "$(kv_bytes --cache-type-k=q8_0 -ctv q8_0)"
grep -q '^experts .*3  *' "$work/log" || fault "no experts in the table"
grep -q '^--cpu-moe ' "$work/log" || fault "no --cpu-moe in the table"
finish
