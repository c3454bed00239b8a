#!/bin/sh
# unigram_reference.sh IDS_PROGRAM [LLAMA_PROGRAM]: ids of unigram vocabularies against SentencePiece, which trains them here, and
# against llama.cpp where its model has no normalisation to do. Exit 77 (skipped) without node or Debian's python3-sentencepiece,
# unless CI=true.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=python3
"$python" -c 'import sentencepiece' 2>/dev/null || python=/usr/bin/python3
if ! command -v node >/dev/null || ! "$python" -c 'import sentencepiece' 2>/dev/null; then
    echo "node or python3-sentencepiece is not installed (tools/install_deps test)"
    [ "${CI:-}" != true ] || exit 1
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node --input-type=module -e "import { hurtfulTexts } from '$here/vocab_files.mjs';
import { writeFileSync } from 'node:fs';
writeFileSync('$work/texts.json', JSON.stringify(hurtfulTexts(1500)));"
"$python" "$here/export_unigram.py" "$work/texts.json" "$work"
"$1" "$work/unigram.gguf" "$work/unigram.expected" ids
"$1" "$work/unigram_bytes.gguf" "$work/unigram_bytes.expected"
"$1" "$work/unigram_bare.gguf" "$work/unigram_bare.expected" ids
[ $# -lt 2 ] || "$2" "$work/unigram.gguf"
