#!/bin/bash
# seesaw quantize on a small synthetic model: every type, what stays, fall-backs, refusals.
# usage: test_quantize.sh SEESAW DEMO.gguf
set -u
seesaw=$1 demo=$2
. "$(dirname "$0")/../frame.sh"

for type in F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_NL IQ4_XS MXFP4; do
    said=$("$seesaw" quantize "$demo" "$work/$type.gguf" "$type" --json) || { fault "$type: quantize failed"; continue; }
    seen=$("$seesaw" inspect "$work/$type.gguf" --json) || { fault "$type: inspect failed"; continue; }
    python3 -c 'import json, sys
said, seen, name = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
types = said["type_bytes"]
assert said["tensor_bytes"] == sum(types.values()) == seen["tensor_bytes"], (said, seen["tensor_bytes"])
assert said["tensors"] > said["converted"] and types["F32"] > 0
assert (said["converted"] == 0) == (name == "MXFP4"), "the demo model is MXFP4 and Q8_0 already"
base = name.removesuffix("_M")
narrow = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}
assert base in types or narrow[base] in types, types
' "$said" "$seen" "$type" || fault "$type: wrong account: $said"
done

# One thread or three: the same bytes; the same type again: the same tensors.
"$seesaw" quantize "$demo" "$work/one.gguf" Q4_K_M -t 1 >"$work/log" || fault "one thread"
"$seesaw" quantize "$demo" "$work/three.gguf" Q4_K_M -t 3 >"$work/log" || fault "three threads"
cmp "$work/one.gguf" "$work/three.gguf" || fault "threads show in the file"
"$seesaw" quantize "$work/one.gguf" "$work/again.gguf" Q4_K_M >"$work/log" || fault "again"
cmp "$work/one.gguf" "$work/again.gguf" || fault "a model of that type is not copied as it is"

refused "no type" 2 "name the model" "$seesaw" quantize "$demo" "$work/x.gguf"
refused "near type" 2 "unknown type 'Q4_K_N'; did you mean" "$seesaw" quantize "$demo" "$work/x.gguf" Q4_K_N
refused "no model" 1 "none.gguf: " "$seesaw" quantize "$work/none.gguf" "$work/x.gguf" Q8_0
refused "existing" 1 "one.gguf exists; --force" "$seesaw" quantize "$demo" "$work/one.gguf" Q8_0
refused "itself" 2 "is the model that is read" "$seesaw" quantize "$work/one.gguf" "$work/one.gguf" Q8_0 --force
refused "no folder" 1 "/nowhere/x.gguf: " "$seesaw" quantize "$demo" /nowhere/x.gguf Q8_0
refused "threads" 2 "not a number from 1" "$seesaw" quantize "$demo" "$work/x.gguf" Q8_0 -t 0
[ ! -e "$work/x.gguf" ] && [ ! -e "$work/x.gguf.tmp" ] || fault "something was left behind"
finish
