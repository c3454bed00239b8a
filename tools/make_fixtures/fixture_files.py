"""What the fixture makers share: text for the vocabulary, encoding of tensors, the outputs' file."""
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train_demo"))
import gguf_io

ROWS = 8                 # the last positions whose outputs are stored
N_VOCAB = 300

TEXT = ("the quick brown fox jumps over the lazy dog and then the other fox returns to the house in the "
        "morning with an answer to the question of the day. ") * 3


def decoded(tensors):
    """{name: (type, values)} -> {name: the values that a reader of the GGUF gets}"""
    return {n: gguf_io.decode(gguf_io.encode(x, k), k, x.shape) for n, (k, x) in tensors.items()}


def stored_rows(tokens):
    return list(range(tokens - ROWS, tokens))


def write_outputs(path, prompt, logits, hidden):
    """logits [tokens][n_vocab], hidden [tokens][n_embd]; tests/fixtures/gpt_oss/README.md has the layout."""
    rows = stored_rows(len(prompt))
    with open(path, "wb") as handle:
        handle.write(b"SSWF" + struct.pack("<5I", 1, len(prompt), len(rows), logits.shape[1], hidden.shape[1]))
        handle.write(np.array(prompt, "<i4").tobytes() + np.array(rows, "<i4").tobytes())
        handle.write(np.asarray(logits)[rows].astype("<f4").tobytes())
        handle.write(np.asarray(hidden)[rows].astype("<f4").tobytes())
