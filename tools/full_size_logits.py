"""The logits of a full-size GGUF as transformers computes them: float32 on a GPU, one decoder layer at a time.

    seesaw eval -c 128 --windows 1 --logits-out own.logits MODEL.gguf TEXT      # ours, and the tokens
    python3 tools/full_size_logits.py MODEL.gguf own.logits reference.logits    # needs torch, transformers >= 5, a GPU
    seesaw eval -c 128 --windows 1 --logits-in reference.logits MODEL.gguf TEXT # KL and max |difference| of any placement

The model is transformers' own class on the meta device; a hook fills a layer with decoded weights before it runs and
drops it afterwards, so that the weights of one layer in float32 are all that the GPU holds.  Every tensor is decoded by
the block formats' definitions, in torch; the first rows of each type are compared with gguf_io's decoding.
Families: gpt-oss, phimoe (prompts within its original context).  Types: floats, Q8_0, Q4_0 and MXFP4, hence of
`seesaw synth --quant Q4_0` only what --dense Q8_0 makes.  docs/EVAL.md has the file's layout.
"""
import argparse
import os
import re
import struct
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "train_demo"), os.path.join(HERE, "make_fixtures")]
import gguf_io
import transformers_models

DEVICE = "cuda"
HEADER = "<8sIiii"
CHECKED_ELEMENTS = 4096


# ---- weights ----

def to_float(blocks, kind):
    """Blocks as bytes on the device -> float32 [n][32], or [n] for float types."""
    if kind in ("F32", "F16", "BF16"):
        view = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
        return blocks.flatten().view(view).float()
    if kind == "Q8_0":
        return blocks[:, :2].contiguous().view(torch.float16).float() * blocks[:, 2:].contiguous().view(torch.int8).float()
    if kind == "Q4_0":
        codes = torch.cat([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], 1).float() - 8
        return blocks[:, :2].contiguous().view(torch.float16).float() * codes
    assert kind == "MXFP4", kind
    table = torch.from_numpy(gguf_io.E2M1).to(blocks.device)
    codes = table[torch.cat([blocks[:, 1:] & 15, blocks[:, 1:] >> 4], 1).long()]
    return torch.ldexp(codes, blocks[:, :1].int() - 127)


class Weights:
    """Decoded tensors by GGUF name, on the device; made anew at every look."""

    def __init__(self, path):
        self.metadata, self.entries = gguf_io.scan(path)
        self.checked = set()

    def __contains__(self, name):
        return name in self.entries

    def __getitem__(self, name):
        kind, shape, data = self.entries[name]
        _, per_block, block_bytes = gguf_io.TYPES[kind]
        if kind not in self.checked:
            self._check(kind, data, per_block, block_bytes)
        return to_float(torch.from_numpy(np.array(data)).to(DEVICE).view(-1, block_bytes), kind).view(shape)

    def _check(self, kind, data, per_block, block_bytes):
        self.checked.add(kind)
        n = min(CHECKED_ELEMENTS // per_block, len(data) // block_bytes)
        raw = np.array(data[:n * block_bytes])
        theirs = gguf_io.decode(raw.tobytes(), kind, (n * per_block,))
        mine = to_float(torch.from_numpy(raw).view(-1, block_bytes), kind).flatten().numpy()
        assert np.array_equal(mine, theirs), kind


# ---- transformers' model ----

def gpt_oss(meta):
    from transformers import GptOssConfig, GptOssForCausalLM
    return GptOssForCausalLM(GptOssConfig(
        num_hidden_layers=meta["block_count"], num_local_experts=meta["expert_count"],
        num_experts_per_tok=meta["expert_used_count"], vocab_size=meta["n_vocab"],
        hidden_size=meta["embedding_length"], intermediate_size=meta["expert_feed_forward_length"],
        head_dim=meta["attention.key_length"], num_attention_heads=meta["attention.head_count"],
        num_key_value_heads=meta["attention.head_count_kv"], sliding_window=meta["attention.sliding_window"],
        max_position_embeddings=meta["context_length"], rms_norm_eps=meta["attention.layer_norm_rms_epsilon"],
        tie_word_embeddings=False, attn_implementation="eager",
        rope_parameters={"rope_type": "yarn", "rope_theta": meta["rope.freq_base"],
                         "factor": meta["rope.scaling.factor"], "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                         "original_max_position_embeddings": meta["rope.scaling.original_context_length"]}))


def phimoe(meta):
    return transformers_models.BUILDERS["phimoe"](dict(
        n_vocab=meta["n_vocab"], n_embd=meta["embedding_length"], n_layer=meta["block_count"],
        n_head=meta["attention.head_count"], n_head_kv=meta["attention.head_count_kv"],
        eps=meta["attention.layer_norm_rms_epsilon"], context=meta["context_length"],
        n_expert_used=meta["expert_used_count"], n_expert=meta["expert_count"],
        n_ff_exp=meta["feed_forward_length"], window=meta.get("attention.sliding_window", meta["context_length"]),
        rope_base=meta["rope.freq_base"], long_factor=meta["long_factor"], short_factor=meta["short_factor"],
        mscale=meta["rope.scaling.attn_factor"], original_context=meta["rope.scaling.original_context_length"]))


BUILDERS = {"gpt-oss": gpt_oss, "phimoe": phimoe}
GPT_OSS_IN_LAYER = {"self_attn.sinks": "attn_sinks.weight", "post_attention_layernorm.weight": "post_attention_norm.weight"}


def layer_value(weights, head, name):
    """The GGUF's numbers for a layer's parameter `name` of transformers."""
    rest = re.sub(r"^(mlp|block_sparse_moe)\.", "", name)
    is_gpt_oss = head + "attn_sinks.weight" in weights
    if is_gpt_oss and name in GPT_OSS_IN_LAYER:
        return weights[head + GPT_OSS_IN_LAYER[name]]
    if rest.startswith("experts."):
        part = "bias" if rest.endswith("_bias") else "weight"
        if "down_proj" in rest:
            value = weights[f"{head}ffn_down_exps.{part}"]
        else:
            pair = [weights[f"{head}ffn_{which}_exps.{part}"] for which in ("gate", "up")]
            value = torch.stack(pair, 2).flatten(1, 2) if is_gpt_oss else torch.cat(pair, 1)  # interleaved, or in halves
        return value.transpose(1, 2).contiguous() if is_gpt_oss and part == "weight" else value
    stem, part = rest.rsplit(".", 1)
    return weights[f"{head}{transformers_models.IN_LAYER[stem]}.{part}"]


def fill(module, value_of):
    state = {name: value_of(name) for name, _ in module.named_parameters()}
    for name, parameter in module.named_parameters():
        assert tuple(parameter.shape) == tuple(state[name].shape), (name, parameter.shape, state[name].shape)
    left = module.load_state_dict(state, assign=True, strict=False)
    assert not left.unexpected_keys and not any(p.is_meta for p in module.parameters()), left


def stream_layers(model, weights):
    inner = model.model
    for i, layer in enumerate(inner.layers):
        head = f"blk.{i}."
        layer.register_forward_pre_hook(
            lambda module, args, head=head: fill(module, lambda name: layer_value(weights, head, name)))
        layer.register_forward_hook(lambda module, args, output: module.to("meta") and None)
    for module, stem in ((inner.embed_tokens, "token_embd"), (inner.norm, "output_norm"), (model.lm_head, "output")):
        fill(module, lambda name, stem=stem: weights[f"{stem}.{name}"])
    inner.rotary_emb = type(inner.rotary_emb)(model.config).to(DEVICE)


def read_metadata(weights):
    arch = weights.metadata["general.architecture"]
    meta = {k[len(arch) + 1:]: v for k, v in weights.metadata.items() if k.startswith(arch + ".")}
    meta["n_vocab"] = weights.entries["output.weight"][1][0]
    for which in ("long", "short"):
        if f"rope_factors_{which}.weight" in weights:
            meta[which + "_factor"] = weights[f"rope_factors_{which}.weight"].tolist()
    return arch, meta


# ---- the logits file ----

def read_tokens(path):
    with open(path, "rb") as handle:
        magic, version, n_vocab, window, n_windows = struct.unpack(HEADER, handle.read(struct.calcsize(HEADER)))
        assert magic == b"SSWLOGIT" and version == 1, "not a logits file of this version"
        tokens = np.frombuffer(handle.read(4 * window * n_windows), "<i4").reshape(n_windows, window)
    return n_vocab, tokens


def write_row(handle, logits):
    lowest, highest = float(logits.min()), float(logits.max())
    step = np.float32((highest - lowest) / 65535) or np.float32(1)
    codes = np.clip(np.rint((logits.astype(np.float64) - lowest) / step), 0, 65535).astype("<u2")
    handle.write(struct.pack("<ff", lowest, step) + codes.tobytes())


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "tokens", "out"):
        parser.add_argument(name)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    weights = Weights(options.model)
    arch, meta = read_metadata(weights)
    n_vocab, tokens = read_tokens(options.tokens)
    assert n_vocab == meta["n_vocab"], "tokens of another model"
    with torch.device("meta"):
        model = BUILDERS[arch](meta).float().eval()
    stream_layers(model, weights)
    n_windows, window = tokens.shape
    with open(options.out, "wb") as handle:
        handle.write(struct.pack(HEADER, b"SSWLOGIT", 1, n_vocab, window, n_windows) + tokens.tobytes())
        for one in tokens:
            prompt = torch.from_numpy(one.astype(np.int64))[None].to(DEVICE)
            logits = model(prompt, use_cache=False).logits[0].float().cpu().numpy()
            for place in range(window // 2, window - 1):
                write_row(handle, logits[place])
    import transformers
    print(f"{arch}: {n_windows} windows of {window} tokens, transformers {transformers.__version__} "
          f"{type(model).__name__}, torch {torch.__version__}, float32, std {logits.std():.3f}")


if __name__ == "__main__":
    main()
