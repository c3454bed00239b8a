"""Makes tests/fixtures/gpt_oss: tiny random gpt-oss models and what transformers computes for them.

    python3 tools/make_fixtures/gpt_oss_fixtures.py OUT            # needs torch, transformers >= 5
    python3 tools/make_fixtures/gpt_oss_fixtures.py --search 300   # needs torch only: picks seeds
    python3 tools/make_fixtures/gpt_oss_fixtures.py --rewrite OUT  # needs torch only: the GGUFs again

Weights are drawn with numpy, encoded in the fixture's tensor types, and decoded again; the decoded
values go into transformers' GptOssForCausalLM, which therefore computes with exactly the GGUF's
weights (float32, eager attention, on the CPU).  A fixture whose router comes close to a tie is
refused, since a tie may be broken either way.  tests/fixtures/gpt_oss/README.md has the layout.
"""
import argparse
import json
import os
from dataclasses import dataclass

import numpy as np
import torch

from fixture_files import TEXT, decoded, stored_rows, write_outputs
import export_gguf
import gguf_io
import tokenizer as bpe
from model import Config, Model, gguf_name, transformers_model

MIN_MARGIN = 0.03        # smallest gap between the last chosen and the first rejected router logit

# YaRN in force: the prompts are longer than the original context of 32.  With these numbers the
# correction range is whole (0 to 3 or 0 to 6), so that rounding it changes nothing.
YARN = {"rope_base": 5900.0, "rope_factor": 4.0, "rope_context": 32, "context": 128}
# gpt-oss's own numbers: the range is 8.09 to 17.40, and gpt-oss's configuration does not round it.
PUBLISHED_YARN = {"rope_base": 150000.0, "rope_factor": 32.0, "rope_context": 4096, "context": 131072}


@dataclass
class Fixture:
    name: str
    what: str
    seed: int
    tokens: int
    matrices: str            # type of embedding, attention and output matrices
    experts: str
    shape: dict
    expert_scale: float = 1.5


def shape(heads, heads_kv, experts, used, n_embd=64, n_ff=64, head_dim=32, n_layer=2, window=16, yarn=None):
    return dict(n_vocab=300, n_layer=n_layer, n_embd=n_embd, n_head=heads, n_head_kv=heads_kv,
                head_dim=head_dim, n_ff=n_ff, n_expert=experts, n_expert_used=used, window=window,
                **(yarn or YARN))


FIXTURES = [
    Fixture("f32_gqa1_e4k2", "no grouping of heads", 85, 48, "F32", "F32", shape(4, 4, 4, 2)),
    Fixture("f32_gqa4_e5k4_clamp", "expert inputs large enough to reach the SwiGLU clamp", 209, 48, "F32", "F32",
            shape(4, 1, 5, 4), expert_scale=5.0),
    Fixture("f32_gqa2_e3k3_w4", "all experts chosen; three layers; a window of four", 249, 64, "F32", "F32",
            shape(4, 2, 3, 3, n_layer=3, window=4)),
    Fixture("f32_published_yarn", "gpt-oss's own RoPE numbers, correction range not rounded", 122, 80, "F32", "F32",
            shape(2, 1, 4, 2, head_dim=64, window=128, yarn=PUBLISHED_YARN)),
    Fixture("f16_gqa2_e3k2", "", 152, 48, "F16", "F16", shape(4, 2, 3, 2)),
    Fixture("bf16_gqa4_e5k3", "", 26, 48, "BF16", "BF16", shape(4, 1, 5, 3)),
    Fixture("q8_0_gqa4_e7k4", "", 240, 48, "Q8_0", "Q8_0", shape(4, 1, 7, 4, n_embd=96, n_ff=64)),
    Fixture("q4_0_gqa2_e5k1", "one expert a token", 58, 48, "Q4_0", "Q4_0", shape(4, 2, 5, 1, n_ff=96)),
    Fixture("mxfp4_q8_0_gqa4_e7k4", "the demo model's types", 99, 48, "Q8_0", "MXFP4",
            shape(4, 1, 7, 4, n_embd=96, n_ff=96, head_dim=64, n_layer=3)),
    Fixture("mxfp4_bf16_gqa1_e8k2", "the published gpt-oss types; window of 32", 92, 72, "BF16", "MXFP4",
            shape(2, 2, 8, 2, window=32)),
]

def kind(fixture, name):
    if name.endswith(("_exps.weight",)):
        return fixture.experts
    if name in ("token_embd.weight", "output.weight") or name.endswith(
            ("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight")):
        return fixture.matrices
    return "F32"


def draw(fixture, name, dims, rng):
    """Random values of a size that keeps every part of the computation away from saturation."""
    x = rng.standard_normal(dims).astype(np.float32)
    if name.endswith("norm.weight"):
        return 1 + 0.2 * x
    if name.endswith("attn_sinks.weight"):
        return x
    if name.endswith("ffn_gate_inp.bias"):
        return x
    if name.endswith(".bias"):
        return 0.3 * x
    if name == "token_embd.weight":
        return x
    gain = {"attn_q.weight": 1.3, "attn_k.weight": 1.3, "ffn_gate_inp.weight": 2.0, "output.weight": 1.6,
            "ffn_gate_exps.weight": fixture.expert_scale, "ffn_up_exps.weight": fixture.expert_scale}
    tail = name.split(".", 2)[-1] if name.startswith("blk.") else name
    return np.float32(gain.get(tail, 1.0) / np.sqrt(dims[-1])) * x


def build(fixture, seed):
    """-> (config, {GGUF name: (type, values before encoding)}, prompt)"""
    rng = np.random.default_rng(seed)
    config = Config(**fixture.shape)
    tensors = {}
    names = [(gguf_name(n), tuple(p.shape)) for n, p in Model(config).named_parameters()]
    for name, dims in names:
        tensors[name] = (kind(fixture, name), draw(fixture, name, dims, rng))
    prompt = rng.integers(0, 290, fixture.tokens).tolist()
    return config, tensors, prompt


@torch.no_grad()
def ours(config, values, prompt):
    """-> (logits, hidden, smallest router margin, largest expert input to the clamp)"""
    model = Model(config)
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(values[gguf_name(name)]))
    logits, hidden, routes = model(torch.tensor([prompt]))
    margin = float("inf")
    k = config.n_expert_used
    if k < config.n_expert:
        for router, _ in routes:
            top = router.sort(dim=-1, descending=True).values
            margin = min(margin, float((top[:, k - 1] - top[:, k]).min()))
    return logits[0], hidden[0], margin


def search(count):
    for fixture in FIXTURES:
        best = max((ours(c, decoded(t), p)[2], seed)
                   for seed in range(count) for c, t, p in [build(fixture, seed)])
        print(f"{fixture.name}: seed {best[1]}, margin {best[0]:.4f}")


def write_gguf(path, fixture, config, tensors, vocabulary):
    writer = gguf_io.Writer()
    export_gguf.metadata(writer, config, vocabulary, "fixture " + fixture.name, fixture.experts)
    for name, (type_name, x) in tensors.items():
        writer.add_tensor(name, x, type_name)
    writer.write(path)


def make(fixture, out, vocabulary):
    config, tensors, prompt = build(fixture, fixture.seed)
    values = decoded(tensors)
    path = os.path.join(out, fixture.name + ".gguf")
    write_gguf(path, fixture, config, tensors, vocabulary)
    back = gguf_io.read(path)[1]
    assert all(np.array_equal(back[n][1], v) for n, v in values.items())
    if OPTIONS.rewrite:
        return
    import transformers
    reference = transformers_model(config, values)
    with torch.no_grad():
        result = reference(torch.tensor([prompt]), use_cache=False, output_hidden_states=True)
    logits, hidden = result.logits[0].float(), result.hidden_states[-1][0].float()
    check = hidden @ torch.from_numpy(values["output.weight"]).t()
    assert float((check - logits).abs().max()) < 1e-3, "hidden state is not the one the output reads"
    mine, _, margin = ours(config, values, prompt)
    difference = float((mine - logits).abs().max())
    assert difference < 2e-4, f"{fixture.name}: our PyTorch differs by {difference}"
    assert margin >= MIN_MARGIN, f"{fixture.name}: router margin {margin}"
    rows = stored_rows(fixture.tokens)
    assert float(logits[rows].std()) > 0.8
    write_outputs(os.path.join(out, fixture.name + ".bin"), prompt, logits.numpy(), hidden.numpy())
    with open(os.path.join(out, fixture.name + ".json"), "w", encoding="utf-8") as handle:
        json.dump({"name": fixture.name, "what": fixture.what, "seed": fixture.seed,
                   "matrices": fixture.matrices, "experts": fixture.experts, "config": config.dict(),
                   "prompt_tokens": len(prompt), "rows": rows,
                   "router_margin": None if margin == float("inf") else round(margin, 5),
                   "logits_std": round(float(logits[rows].std()), 4),
                   "plain_pytorch_difference": difference,
                   "reference": f"transformers {transformers.__version__} GptOssForCausalLM, float32, eager",
                   "torch": torch.__version__}, handle, indent=1)
        handle.write("\n")
    print(f"{fixture.name}: {os.path.getsize(path)} bytes, margin {margin:.4f}, "
          f"logits std {float(logits[rows].std()):.3f}, difference {difference:.2e}")


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--search", type=int)
    parser.add_argument("--rewrite", action="store_true")
    OPTIONS = parser.parse_args()
    if OPTIONS.search:
        search(OPTIONS.search)
        return
    os.makedirs(OPTIONS.out, exist_ok=True)
    vocabulary = bpe.train([TEXT], 300)
    for fixture in FIXTURES:
        make(fixture, OPTIONS.out, vocabulary)


if __name__ == "__main__":
    main()
