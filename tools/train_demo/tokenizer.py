"""Byte-level BPE with the gpt-4o pre-tokenizer: training, encoding, decoding.

Needs the `regex` package (Unicode classes).  Token ids: 0..255 are the bytes in the order of
GPT-2's byte alphabet, then one id per merge in rank order, then the special tokens.
"""
import json
from collections import Counter, defaultdict

import regex

SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>",
           "<|start|>", "<|end|>", "<|message|>", "<|call|>"]

# The published pattern of o200k (gpt-4o), which GGUF calls tokenizer.ggml.pre = gpt-4o.
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
PATTERN = regex.compile("|".join([
    r"[^\r\n\p{L}\p{N}]?" + _UPPER + "*" + _LOWER + "+" + _TAIL,
    r"[^\r\n\p{L}\p{N}]?" + _UPPER + "+" + _LOWER + "*" + _TAIL,
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]))


def byte_alphabet():
    """GPT-2's map of bytes to printable characters, in its own order."""
    order = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in order]
    extra = [b for b in range(256) if b not in set(order)]
    return dict(zip(order + extra, chars + [chr(256 + i) for i in range(len(extra))]))


BYTE_TO_CHAR = byte_alphabet()
CHAR_TO_BYTE = {c: b for b, c in BYTE_TO_CHAR.items()}


def spell(text):
    return "".join(BYTE_TO_CHAR[b] for b in text.encode("utf-8"))


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.tokens = list(BYTE_TO_CHAR.values()) + [a + b for a, b in self.merges] + SPECIAL
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        assert len(self.ids) == len(self.tokens), "two tokens with the same text"
        self.special = {t: self.ids[t] for t in SPECIAL}
        self._split = regex.compile("(" + "|".join(regex.escape(t) for t in SPECIAL) + ")")
        self._cache = {}

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as handle:
            return cls(json.load(handle)["merges"])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"merges": self.merges}, out, ensure_ascii=False, indent=0)
            out.write("\n")

    def _word(self, word):
        parts = list(spell(word))
        while len(parts) > 1:
            ranks = [self.rank.get(pair, 1 << 30) for pair in zip(parts, parts[1:])]
            best = min(ranks)
            if best == 1 << 30:
                break
            i = ranks.index(best)
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return [self.ids[p] for p in parts]

    def encode_plain(self, text):
        out = []
        for word in PATTERN.findall(text):
            if word not in self._cache:
                self._cache[word] = self._word(word)
            out += self._cache[word]
        return out

    def encode(self, text):
        """Special tokens written in the text become their ids."""
        out = []
        for piece in self._split.split(text):
            if piece in self.special:
                out.append(self.special[piece])
            elif piece:
                out += self.encode_plain(piece)
        return out

    def decode(self, ids):
        """Special tokens come out as their own text."""
        raw = b""
        for i in ids:
            token = self.tokens[i]
            raw += token.encode() if token in self.special else bytes(CHAR_TO_BYTE[c] for c in token)
        return raw.decode("utf-8", errors="replace")


def train(texts, vocab_size):
    """Plain BPE over word counts; equal counts go to the pair that sorts first, so the result
    depends on the texts alone."""
    words = Counter()
    for text in texts:
        words.update(PATTERN.findall(text))
    split = {w: list(spell(w)) for w in words}
    pairs, where = Counter(), defaultdict(set)
    for word, parts in split.items():
        for pair in zip(parts, parts[1:]):
            pairs[pair] += words[word]
            where[pair].add(word)
    merges, known = [], set(BYTE_TO_CHAR.values())
    while len(merges) < vocab_size - 256 - len(SPECIAL):
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[pair] < 2:
            raise ValueError("corpus too small for this vocabulary")
        joined = pair[0] + pair[1]
        if joined in known:        # the same text by another path: would be a second id for it
            del pairs[pair]
            continue
        known.add(joined)
        merges.append(pair)
        for word in sorted(where[pair]):
            parts = split[word]
            for old in zip(parts, parts[1:]):
                pairs[old] -= words[word]
            i, merged = 0, []
            while i < len(parts):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
                    merged.append(joined)
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            split[word] = merged
            for new in zip(merged, merged[1:]):
                pairs[new] += words[word]
                where[new].add(word)
        pairs.pop(pair, None)
    return Tokenizer(merges)
