#!/bin/sh
# reference.sh NODE_MODULES DEMO_MODEL IDS_PROGRAM CHAT_PROGRAM [LLAMA_PROGRAM]: token ids of two real vocabularies against
# npm's gpt-tokenizer and, of the larger one, piece by piece against llama.cpp; rendered chats of gpt-oss and of the demo
# model against their own templates run by @huggingface/jinja. Exit 77 (skipped) without the packages, unless CI=true.
set -eu
here=$(dirname "$0")
for need in gpt-tokenizer @huggingface/jinja .llama.cpp/models/templates; do
    if [ ! -d "$1/$need" ] || ! command -v node >/dev/null; then
        echo "npm's $need is not installed (tests/npm/setup)"
        [ "${CI:-}" != true ] || exit 1
        exit 77
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node "$here/export_vocab.mjs" "$1" "$work"
"$3" "$work/o200k.gguf" "$work/o200k.expected"
"$3" "$work/gpt2.gguf" "$work/gpt2.expected"
for model in "$work/o200k.gguf" "$2"; do
    node "$here/render_chats.mjs" "$1" "$model" "$work/chats"
    "$4" "$model" "$work/chats"
done
[ $# -lt 5 ] || "$5" "$work/o200k.gguf"
