#!/usr/bin/env python3
"""make_seeds.py FOLDER: writes the seeds of fuzz_gguf, fuzz_inspect, fuzz_model, fuzz_tokenizer, fuzz_sentencepiece, fuzz_unigram, fuzz_chat_parser and fuzz_chat_plain below FOLDER.

The committed ones, tests/fuzz/seeds/{gguf,inspect,model,tokenizer,sentencepiece,unigram,chat_parser,chat_plain}, were made by it.
"""
import pathlib
import struct
import sys


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def strings(name, values):
    return key(name, 9, struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values)))


def gguf(keys, tensors=(), data=b"", version=3, alignment=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys) + b"".join(tensors)
    return head + b"\0" * (-len(head) % alignment) + data


def tensor(name, dims, dtype, offset):
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, dtype, offset)


def tokenizer_keys(pre, template):
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, others = {}, 256
    for byte in range(256):
        table[byte] = chr(byte) if byte in printable else chr(others)
        others += byte not in printable
    merges = ["h e", "l l", "he ll", "\u0120 w", "\u00f0 \u0141"]
    tokens = list(table.values()) + [m.replace(" ", "") for m in merges]
    controls = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"]
    types = [1] * len(tokens) + [3] * len(controls) + [4]
    tokens += controls + ["  user"]
    return [
        key("general.architecture", 8, text("gpt-oss")), key("tokenizer.ggml.model", 8, text("gpt2")),
        key("tokenizer.ggml.pre", 8, text(pre)), strings("tokenizer.ggml.tokens", tokens),
        key("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, len(types)) + struct.pack(f"<{len(types)}i", *types)),
        strings("tokenizer.ggml.merges", merges), key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 265)),
        key("tokenizer.ggml.add_bos_token", 7, b"\0"), key("tokenizer.chat_template", 8, text(template)),
    ]


def sentencepiece_keys():
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "h", "\u2581a", "aa", "ha", "\u2581\u2581"]
    types = [2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259)
    return [
        key("general.architecture", 8, text("phimoe")), key("tokenizer.ggml.model", 8, text("llama")),
        strings("tokenizer.ggml.tokens", pieces),
        key("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, len(pieces)) + struct.pack(f"<{len(pieces)}f", *(-i for i in range(len(pieces))))),
        key("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, len(types)) + struct.pack(f"<{len(types)}i", *types)),
        key("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 1)), key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 2)),
        key("tokenizer.ggml.add_space_prefix", 7, b"\1"), key("tokenizer.chat_template", 8, text(PLAIN_CHATS["mistral"])),
    ]


def gguf_seeds():
    plain = [
        key("general.architecture", 8, text("x")), key("u8", 0, b"\1"), key("i8", 1, b"\xff"), key("u16", 2, b"\1\2"),
        key("i16", 3, b"\1\2"), key("u32", 4, b"\1\2\3\4"), key("i32", 5, b"\1\2\3\4"), key("f32", 6, b"\0\0\x80\x3f"),
        key("bool", 7, b"\1"), key("u64", 10, b"\1" * 8), key("i64", 11, b"\xff" * 8), key("f64", 12, b"\0" * 8),
        strings("texts", ["a", "", "bc"]), key("floats", 9, struct.pack("<IQ2f", 6, 2, 0.5, 1)),
    ]
    yield "keys", gguf(plain)
    yield "version2", gguf(plain[:3], version=2)
    yield "tensors", gguf([], [tensor("a.weight", [8], 0, 0), tensor("blk.0.ffn_up_exps.weight", [32, 2], 39, 32)], bytes(96))
    yield "aligned", gguf([key("general.alignment", 4, struct.pack("<I", 64))], [tensor("a", [3, 2], 24, 64)], bytes(70), alignment=64)
    yield "tokenizer4o", gguf(tokenizer_keys("gpt-4o", "<|start|><|channel|><|message|>"))
    yield "sentencepiece", gguf(sentencepiece_keys())
    yield "tokenizer2", gguf(tokenizer_keys("gpt-2", "<|start|><|channel|><|message|>Knowledge cutoff"))


def inspect_seeds():
    """A model of one layer with two experts, of two families."""
    for family, extra in (("gpt-oss", {"attention.sliding_window": 128}),
                          ("deepseek2", {"attention.kv_lora_rank": 32, "rope.dimension_count": 32, "expert_shared_count": 1})):
        numbers = {"block_count": 1, "embedding_length": 32, "context_length": 64, "attention.head_count": 2,
                   "attention.head_count_kv": 1, "attention.key_length": 16, "attention.value_length": 16,
                   "expert_count": 2, "expert_used_count": 1, **extra}
        keys = [key("general.architecture", 8, text(family)), key("general.name", 8, text("seed"))]
        keys += [key(f"{family}.{name}", 4, struct.pack("<I", value)) for name, value in numbers.items()]
        tensors = [tensor("token_embd.weight", [32, 4], 8, 0), tensor("blk.0.attn_q.weight", [32, 2], 2, 160),
                   tensor("blk.0.ffn_up_exps.weight", [32, 1, 2], 39, 224), tensor("output.weight", [4], 0, 288)]
        yield family, gguf(keys, tensors, bytes(304))


def model_file(keys, shapes):
    tensors, offset = [], 0
    for name, dims in shapes.items():
        tensors.append(tensor(name, dims, 0, offset))
        n = 4
        for dim in dims:
            n *= dim
        offset += n + -n % 32
    return gguf(keys, tensors, bytes(offset))


def model_seeds():
    """Whole models of one layer (deepseek: two, the first dense), everything zero; gpt-oss with and without YaRN."""
    embd, vocab, head, q, kv, ff, experts = 8, 4, 4, 8, 4, 4, 2

    def keys(family, **more):
        numbers = {"block_count": 1, "embedding_length": embd, "context_length": 64, "attention.head_count": 2,
                   "attention.head_count_kv": 1, "attention.key_length": head, "attention.value_length": head,
                   "expert_count": experts, "expert_used_count": 1, "expert_feed_forward_length": ff, **more}
        return [key("general.architecture", 8, text(family)),
                *[key(f"{family}.{name}", 4, struct.pack("<I", value)) for name, value in numbers.items()],
                key(f"{family}.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
                key(f"{family}.rope.freq_base", 6, struct.pack("<f", 150000))]

    yarn = [key("gpt-oss.rope.scaling.type", 8, text("yarn")), key("gpt-oss.rope.scaling.factor", 6, struct.pack("<f", 32)),
            key("gpt-oss.rope.scaling.original_context_length", 4, struct.pack("<I", 16))]
    weights = {"token_embd.weight": [embd, vocab], "output_norm.weight": [embd], "output.weight": [embd, vocab]}
    layer = {"attn_norm.weight": [embd], "attn_q.weight": [embd, q], "attn_k.weight": [embd, kv],
             "attn_v.weight": [embd, kv], "attn_output.weight": [q, embd]}
    attn_biases = {"attn_q.bias": [q], "attn_k.bias": [kv], "attn_v.bias": [kv], "attn_output.bias": [embd]}
    moe = {"ffn_gate_inp.weight": [embd, experts], "ffn_gate_exps.weight": [embd, ff, experts],
           "ffn_up_exps.weight": [embd, ff, experts], "ffn_down_exps.weight": [ff, embd, experts]}
    moe_biases = {"ffn_gate_inp.bias": [experts], "ffn_gate_exps.bias": [ff, experts], "ffn_up_exps.bias": [ff, experts],
                  "ffn_down_exps.bias": [embd, experts]}
    shared = {"ffn_gate_shexp.weight": [embd, ff], "ffn_up_shexp.weight": [embd, ff], "ffn_down_shexp.weight": [ff, embd]}
    dense = {"ffn_gate.weight": [embd, 6], "ffn_up.weight": [embd, 6], "ffn_down.weight": [6, embd]}

    def blocks(*layers):
        return {f"blk.{i}.{name}": dims for i, shapes in enumerate(layers) for name, dims in shapes.items()}

    norm = {"ffn_norm.weight": [embd]}
    oss = {**weights, **blocks({**layer, **attn_biases, "attn_sinks.weight": [2], "post_attention_norm.weight": [embd],
                                **moe, **moe_biases})}
    yield "plain", model_file(keys("gpt-oss", **{"attention.sliding_window": 8}), oss)
    yield "yarn", model_file(keys("gpt-oss", **{"attention.sliding_window": 8}) + yarn, oss)
    yield "mixtral", model_file(keys("llama", feed_forward_length=ff), {**weights, **blocks({**layer, **norm, **moe})})
    del weights["output.weight"]    # tied to the embedding
    yield "qwen3moe", model_file(keys("qwen3moe"), {**weights, **blocks({
        **layer, "attn_q_norm.weight": [head], "attn_k_norm.weight": [head], **norm, **moe})})
    yield "deepseek", model_file(
        keys("deepseek", block_count=2, feed_forward_length=6, leading_dense_block_count=1, expert_shared_count=1),
        {**weights, **blocks({**layer, **norm, **dense}, {**layer, **norm, **moe, **shared})})
    rank, rope, nope, value = 6, 2, 4, 2
    latent = {"attn_norm.weight": [embd], "attn_kv_a_mqa.weight": [embd, rank + rope], "attn_kv_a_norm.weight": [rank],
              "attn_k_b.weight": [nope, rank, 2], "attn_v_b.weight": [rank, value, 2],
              "attn_output.weight": [2 * value, embd], **norm, **moe, **shared}
    whole = {"attn_q.weight": [embd, 2 * (nope + rope)]}
    low = {"attn_q_a.weight": [embd, 4], "attn_q_a_norm.weight": [4], "attn_q_b.weight": [4, 2 * (nope + rope)]}
    for name, queries, q_rank in (("deepseek2", whole, 0), ("deepseek2_low", low, 4)):
        yield name, model_file(
            keys("deepseek2", feed_forward_length=6, expert_shared_count=1,
                 **{"attention.kv_lora_rank": rank, "attention.q_lora_rank": q_rank, "rope.dimension_count": rope,
                    "attention.key_length_mla": nope + rope, "attention.value_length_mla": value}),
            {**weights, **blocks({**latent, **queries})})
    joint = {**latent, **whole, "attn_kv_b.weight": [rank, 2 * (nope + value)]}
    del joint["attn_k_b.weight"], joint["attn_v_b.weight"]
    yield "deepseek2_joint", model_file(
        keys("deepseek2", feed_forward_length=6, expert_shared_count=1,
             **{"attention.kv_lora_rank": rank, "rope.dimension_count": rope, "attention.key_length": nope + rope,
                "attention.value_length": value}), {**weights, **blocks(joint)})
    yield "phimoe", model_file(
        keys("phimoe", expert_used_count=2, feed_forward_length=ff,
             **{"rope.scaling.original_context_length": 16, "attention.sliding_window": 0}),
        {**weights, "output.weight": [embd, vocab], "output_norm.bias": [embd], "output.bias": [vocab],
         "rope_factors_long.weight": [head // 2], "rope_factors_short.weight": [head // 2],
         **blocks({**layer, **attn_biases, "attn_norm.bias": [embd], **norm, "ffn_norm.bias": [embd], **moe})})


TEXTS = {
    "prose": "Hello, it's a hell of a world: 12345 DON'T\n\n  stop\r\n",
    "emoji": "👩\u200d👩\u200d👧 👍🏽 e\u0301 中文 العربية",
    "control": "<|start|>user<|message|>hi<|end|><user thing> 2<|user|><|",
    "code": "def f(x):\n\treturn x**2 // 3  # ok\n",
    "invalid": b"a\xff\xe2\x82 \xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xf0\x9f\x8c",
}

# Ids of tests/token/token_files.c: bytes by their value, then 9 merges, then the control tokens from 265.
START, END, MESSAGE, CHANNEL, RETURN = 265, 266, 267, 268, 269


def chat_seeds():
    streams = {
        "both": [CHANNEL, *b"analysis", MESSAGE, *b"hm", END, START, *b"assistant", CHANNEL, *b"final", MESSAGE, *b"hello", RETURN],
        "bare": [*b"no header at all"],
        "broken": [CHANNEL, CHANNEL, *b"final", START, MESSAGE, 0xF0, 0x9F, END, 0x8C, *b"x" * 5],
        "long": [CHANNEL, *b"header " * 50],
    }
    for name, ids in streams.items():
        yield name, b"".join(struct.pack("<H", i + 1) for i in ids)
    yield "conversation", b"\x02hello\0\x03hi <|end|>\0\x02so?"
    yield "instructed", b"\x00Be brief.<|start|>\0\x02hello"


def unigram_seeds():
    """Without a table, and with one whose only entry turns B into a."""
    entry = ord("B") ^ 1
    units = {0: 1 << 10, entry: 2 << 10 | 1 << 8 | ord("B"), entry ^ 2: 1 << 31 | 1}
    trie = struct.pack("<80I", *(units.get(i, 0) for i in range(80)))
    table = struct.pack("<I", len(trie)) + trie + b"\0a\0"
    for name, value in {**TEXTS, "mapped": "  BaBB  hello   B"}.items():
        data = value if isinstance(value, bytes) else value.encode()
        yield name, struct.pack("<H", len(table)) + table + data if name == "mapped" else b"\0\0" + data


PLAIN_CHATS = {
    "chatml": "{% if add_generation_prompt %}'<|im_start|>' + message.content + '<|im_end|>' '<|im_start|>system\\nHelp.<|im_end|>'",
    "mistral": "{{ bos_token }}{{ '[INST] ' + message['content'] + ' [/INST]' }}{{ message['content'] + eos_token}}raise_exception",
    "conversation": "\x02hello</s>\0\x03hi <|end|>\0\x02so? <|im_end|>",
    "system": "\x05Be brief.\0\x02hello<s>\0\x03<\uff5cUser\uff5c>\0\x05Two.\0\x02\n\n",
}


def main():
    out = pathlib.Path(sys.argv[1])
    kinds = {"gguf": gguf_seeds(), "inspect": inspect_seeds(), "model": model_seeds(), "tokenizer": TEXTS.items(),
             "chat_plain": PLAIN_CHATS.items(),
             "sentencepiece": {**TEXTS, "marks": "</s> ▁hello▁▁ aaaaa<unk><0x41>  <s> hello"}.items(), "unigram": unigram_seeds(),
             "chat_parser": chat_seeds()}
    for kind, seeds in kinds.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        for name, data in seeds:
            (out / kind / name).write_bytes(data if isinstance(data, bytes) else data.encode())


if __name__ == "__main__":
    main()
