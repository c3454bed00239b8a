"""export_unigram.py TEXTS.json OUT_DIR: unigram vocabularies, trained by SentencePiece on this repository's own texts, as GGUF files,
and the ids that SentencePiece gives the texts, for test_tokenizer_reference.c.

SentencePiece (Debian's python3-sentencepiece, 0.1.97 when this was written) is the model's publisher.  Three ways to set it up:
its defaults (nmt_nfkc, one space for many), with byte fallback and text as it is, and without the space before a text.
"""
import json
import pathlib
import struct
import sys

import sentencepiece

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "fuzz")]
sys.dont_write_bytecode = True
from make_seeds import gguf, key, strings, text

SETUPS = {
    "unigram": {"vocab_size": 900},
    "unigram_bytes": {"vocab_size": 1200, "byte_fallback": True, "normalization_rule_name": "identity",
                      "remove_extra_whitespaces": False, "split_digits": True, "user_defined_symbols": ["<thing>"]},
    "unigram_bare": {"vocab_size": 700, "add_dummy_prefix": False, "normalization_rule_name": "nfkc_cf",
                     "max_sentencepiece_length": 40, "split_by_whitespace": False},
}


def fields(data):
    """(number, value) of a protobuf message; of length-delimited fields the bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            size = varint() if size is None else size
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def numbers(name, kind, code, values):
    return key(name, 9, struct.pack("<IQ", kind, len(values)) + struct.pack(f"<{len(values)}{code}", *values))


def convert(model):
    """sentencepiece_model.proto to the keys that llama.cpp's converter writes for T5."""
    pieces, scores, types, normalizer = [], [], [], {}
    for number, value in fields(model):
        if number == 1:
            piece = dict(fields(value))
            pieces.append(piece[1])
            scores.append(struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0)
            types.append(piece.get(3, 1))
        elif number == 3:
            normalizer = dict(fields(value))
    keys = [key("general.architecture", 8, text("gpt-oss")), key("tokenizer.ggml.model", 8, text("t5")),
            strings("tokenizer.ggml.tokens", pieces), numbers("tokenizer.ggml.scores", 6, "f", scores),
            numbers("tokenizer.ggml.token_type", 5, "i", types),
            key("tokenizer.ggml.add_space_prefix", 7, bytes([normalizer.get(3, 1)])),
            key("tokenizer.ggml.remove_extra_whitespaces", 7, bytes([normalizer.get(4, 1)])),
            key("tokenizer.ggml.unknown_token_id", 4, struct.pack("<I", types.index(2))),
            key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", pieces.index(b"</s>")))]
    if normalizer.get(2):
        keys.append(numbers("tokenizer.ggml.precompiled_charsmap", 0, "B", list(normalizer[2])))
    return gguf(keys)


def main():
    texts = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = pathlib.Path(sys.argv[2])
    corpus = [line for path in sorted((ROOT / "tools/train_demo/corpus").glob("*.txt"))
              for line in path.read_text(encoding="utf-8").splitlines() if line] + texts[:40] * 3
    for name, setup in SETUPS.items():
        model = out / name
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_prefix=str(model), model_type="unigram",
                                                 num_threads=1, minloglevel=2, **setup)
        processor = sentencepiece.SentencePieceProcessor(model_file=f"{model}.model")
        (out / f"{name}.gguf").write_bytes(convert(pathlib.Path(f"{model}.model").read_bytes()))
        with open(out / f"{name}.expected", "wb") as handle:
            for s in texts:
                if "<thing>" in s or "\0" in s:
                    continue
                data, ids = s.encode(), processor.encode(s)
                handle.write(struct.pack("<I", len(data)) + data + struct.pack(f"<I{len(ids)}i", len(ids), *ids))


main()
