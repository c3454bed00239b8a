"""Makes tests/fixtures/{phimoe,deepseek,deepseek2,mixtral,qwen3moe}: tiny random models, and what the publishers' code
computes.

    python3 tools/make_fixtures/family_fixtures.py OUT           # needs torch, transformers >= 5
    python3 tools/make_fixtures/family_fixtures.py --plain OUT   # without transformers: plain_forward.py for all
    python3 tools/make_fixtures/family_fixtures.py --search 300  # picks seeds
    ... --only deepseek2                                         # one folder's, with any of these

The reference is transformers' PhimoeForCausalLM, MixtralForCausalLM, Qwen3MoeForCausalLM and DeepseekV2ForCausalLM
(float32, eager, CPU) with the decoded values of the GGUF's tensors; plain_forward.py must agree with each.  For
DeepSeek-MoE (v1), which
transformers lacks, plain_forward.py itself is the reference.  A fixture whose router comes close to a tie, or to
sparsemixer's threshold, is refused.  tests/fixtures/README.md describes the files.
"""
import argparse
import json
import math
import os
import traceback
from dataclasses import dataclass

import numpy as np

from fixture_files import N_VOCAB, TEXT, decoded, stored_rows, write_outputs
import export_gguf
import gguf_io
import plain_forward
import tokenizer as bpe

MIN_MARGIN = {"F32": 0.01, "F16": 0.01, "Q8_0": 0.03, "Q4_0": 0.03}   # by the type of the matrices
FOLDER = {"llama": "mixtral"}        # architecture -> folder, where they differ


@dataclass
class Fixture:
    name: str
    what: str
    seed: int
    tokens: int
    kind: str                # type of every matrix but the router
    config: dict
    expert_scale: float = 1.5
    router_offset: float = 0  # a common part of all router logits, which widens sparsemixer's window
    

def shape(arch, heads, heads_kv, experts, used, n_embd=64, n_ff_exp=64, head_dim=None, n_layer=2, **more):
    c = dict(arch=arch, n_vocab=N_VOCAB, n_layer=n_layer, n_embd=n_embd, n_head=heads, n_head_kv=heads_kv,
             head_dim=head_dim or n_embd // heads, n_expert=experts, n_expert_used=used, n_ff_exp=n_ff_exp,
             n_ff=n_ff_exp, context=512, rope_base=10000.0, eps=1e-5, permuted=arch in ("llama", "deepseek"))
    c.update(more)
    return c


def phimoe(*args, published=False, window=131072, **more):
    """Long factors (prompts are longer than the original context of 32), or the published numbers, where the prompt
    is short.  The converter computes attn_factor from the two contexts; the published mscale is another."""
    original, context = (4096, 131072) if published else (32, 512)
    formula = math.sqrt(1 + math.log(context / original) / math.log(original))
    c = shape("phimoe", *args, 2, context=context, original_context=original, attn_factor=formula, window=window,
              mscale=1.243163121016122 if published else formula, **more)
    step = np.arange(c["head_dim"] // 2)
    c["long_factor"] = [round(float(x), 4) for x in 1.02 + 0.35 * step]
    c["short_factor"] = [round(float(x), 4) for x in 1.0 + 0.03 * step]
    return c


def deepseek(*args, n_layer=3, **more):
    return shape("deepseek", *args, n_layer=n_layer, **{"n_dense": 1, "n_shared": 2, "n_ff": 96, "eps": 1e-6, **more})


def deepseek2(heads, experts, used, kv_rank, nope, rope, value, q_rank=0, yarn=0, joint=False,
              groups=0, **more):
    """A head's query is nope + rope wide, its value `value`.  joint: attn_kv_b, as in older files.  yarn: the stretch,
    over 16 positions, with the published mscale and mscale_all_dim of 0.707.  groups: routing as in V3, by sigmoid
    within the better half of them."""
    c = deepseek(heads, 1, experts, used, head_dim=value, **more)
    c.update(arch="deepseek2", permuted=False, kv_rank=kv_rank, nope=nope, rope=rope, q_rank=q_rank, yarn=yarn,
             joint=joint, groups=groups)
    if yarn:
        c.update(original_context=16, mscale_all_dim=0.707, context=16 * yarn)
    return c


FIXTURES = [
    Fixture("phimoe_f32_gqa3_e5", "sparsemixer with several experts inside its window; long factors", 154, 48, "F32",
            phimoe(3, 1, 5, n_embd=48, n_ff_exp=24), router_offset=30),
    Fixture("phimoe_f16_gqa2_e4", "short factors and the published mscale; a window of 12", 127, 40, "F16",
            phimoe(4, 2, 4, n_embd=56, n_ff_exp=24, published=True, window=12), router_offset=-30),
    Fixture("phimoe_q8_0_gqa4_e5", "", 244, 36, "Q8_0", phimoe(4, 1, 5, n_embd=64, n_ff_exp=32)),
    Fixture("phimoe_q4_0_gqa1_e3", "short factors", 415, 14, "Q4_0", phimoe(2, 2, 3, n_embd=96, n_ff_exp=64)),
    Fixture("mixtral_f32_gqa2_e5k2", "", 127, 48, "F32", shape("llama", 4, 2, 5, 2, n_embd=48, n_ff_exp=24,
                                                             rope_base=1e6)),
    Fixture("mixtral_q8_0_gqa4_e3k3", "all experts chosen", 219, 48, "Q8_0", shape("llama", 4, 1, 3, 3, n_ff_exp=96)),
    Fixture("mixtral_q4_0_gqa1_e8k2", "", 173, 48, "Q4_0", shape("llama", 2, 2, 8, 2, n_ff_exp=32, n_embd=96)),
    Fixture("qwen3moe_f32_gqa4_e7k3", "heads wider than the hidden size", 42, 48, "F32",
            shape("qwen3moe", 4, 1, 7, 3, n_embd=40, head_dim=24, n_ff_exp=12, n_ff=80, eps=1e-6, rope_base=1e6)),
    Fixture("qwen3moe_q8_0_gqa2_e9k4", "", 55, 48, "Q8_0",
            shape("qwen3moe", 4, 2, 9, 4, head_dim=32, n_ff_exp=32, n_ff=96, eps=1e-6, rope_base=1e6)),
    Fixture("qwen3moe_q4_0_gqa1_e4k1", "one expert a token", 88, 48, "Q4_0",
            shape("qwen3moe", 2, 2, 4, 1, head_dim=64, n_ff_exp=64, n_ff=96, eps=1e-6, rope_base=1e6)),
    Fixture("deepseek_f32_gqa1_e6k3", "", 84, 48, "F32", deepseek(3, 3, 6, 3, n_embd=48, n_ff_exp=20, n_layer=2)),
    Fixture("deepseek_f16_gqa2_e5k2", "two dense layers, one shared expert", 14, 48, "F16",
            deepseek(4, 2, 5, 2, n_embd=48, n_ff_exp=28, n_dense=2, n_shared=1)),
    Fixture("deepseek_q8_0_gqa1_e7k4", "", 30, 48, "Q8_0", deepseek(2, 2, 7, 4, n_ff_exp=32, n_layer=2)),
    Fixture("deepseek_q4_0_gqa2_e4k2", "", 14, 48, "Q4_0", deepseek(4, 2, 4, 2, n_ff_exp=32, n_ff=64)),
    Fixture("deepseek2_f32_e6k3_yarn", "YaRN; odd widths", 49, 48, "F32",
            deepseek2(3, 6, 3, kv_rank=20, nope=10, rope=8, value=6, yarn=4, n_embd=48, n_ff_exp=20, n_layer=2)),
    Fixture("deepseek2_f16_e5k2_low_q", "queries with a latent vector; two dense layers, one shared expert", 54, 48,
            "F16",
            deepseek2(4, 5, 2, kv_rank=24, nope=12, rope=8, value=14, q_rank=28, n_embd=48, n_ff_exp=28, n_dense=2,
                      n_shared=1)),
    Fixture("deepseek2_q8_0_e7k4_low_q", "queries with a latent vector; YaRN", 13, 48, "Q8_0",
            deepseek2(2, 7, 4, kv_rank=64, nope=32, rope=16, value=32, q_rank=96, yarn=40, n_ff_exp=32, n_layer=2)),
    Fixture("deepseek2_q4_0_e4k2", "", 59, 48, "Q4_0",
            deepseek2(4, 4, 2, kv_rank=96, nope=64, rope=32, value=32, n_ff_exp=32, n_ff=64)),
    Fixture("deepseek2_f32_e5k2_joint", "attn_kv_b in one, as in older files", 2, 48, "F32",
            deepseek2(3, 5, 2, kv_rank=20, nope=10, rope=8, value=6, joint=True, n_embd=48, n_ff_exp=20, n_layer=2)),
    Fixture("deepseek2_q8_0_e4k2_joint", "the same; YaRN", 24, 48, "Q8_0",
            deepseek2(2, 4, 2, kv_rank=64, nope=32, rope=16, value=32, yarn=40, joint=True, n_ff_exp=32, n_layer=2)),
    Fixture("deepseek2_f32_e6k2_v3", "V3's routing, one group; YaRN", 106, 48, "F32",
            deepseek2(3, 6, 2, kv_rank=20, nope=10, rope=8, value=6, q_rank=28, yarn=4, groups=1, n_embd=48,
                      n_ff_exp=20, n_layer=2)),
    Fixture("deepseek2_q8_0_e8k3_v3", "V3's routing, four groups", 47, 48, "Q8_0",
            deepseek2(2, 8, 3, kv_rank=64, nope=32, rope=16, value=32, groups=4, n_ff_exp=32, n_layer=2)),
]


def latent_attention(c):
    embd, heads, rank, query = c["n_embd"], c["n_head"], c["kv_rank"], c["n_head"] * (c["nope"] + c["rope"])
    out = {"attn_norm.weight": (embd,), "attn_kv_a_mqa.weight": (rank + c["rope"], embd),
           "attn_kv_a_norm.weight": (rank,),
           "attn_k_b.weight": (heads, rank, c["nope"]), "attn_v_b.weight": (heads, c["head_dim"], rank),
           "attn_kv_b.weight": (heads * (c["nope"] + c["head_dim"]), rank),
           "attn_output.weight": (embd, heads * c["head_dim"]), "ffn_norm.weight": (embd,)}
    for name in ("attn_k_b", "attn_v_b") if c["joint"] else ("attn_kv_b",):
        del out[name + ".weight"]
    if c["q_rank"]:
        out.update({"attn_q_a.weight": (c["q_rank"], embd), "attn_q_a_norm.weight": (c["q_rank"],),
                    "attn_q_b.weight": (query, c["q_rank"])})
    else:
        out["attn_q.weight"] = (query, embd)
    return out


def tensor_shapes(c):
    """{GGUF name: shape, rows first}, in the converter's order of layers"""
    embd, q, kv = c["n_embd"], c["n_head"] * c["head_dim"], c["n_head_kv"] * c["head_dim"]
    experts, ff, phi = c["n_expert"], c["n_ff_exp"], c["arch"] == "phimoe"
    out = {"token_embd.weight": (c["n_vocab"], embd), "output_norm.weight": (embd,),
           "output.weight": (c["n_vocab"], embd)}
    if phi:
        out.update({"output_norm.bias": (embd,), "output.bias": (c["n_vocab"],),
                    "rope_factors_long.weight": (c["head_dim"] // 2,),
                    "rope_factors_short.weight": (c["head_dim"] // 2,)})
    for i in range(c["n_layer"]):
        layer = {"attn_norm.weight": (embd,), "attn_q.weight": (q, embd), "attn_k.weight": (kv, embd),
                 "attn_v.weight": (kv, embd), "attn_output.weight": (embd, q), "ffn_norm.weight": (embd,)}
        if c["arch"] == "deepseek2":
            layer = latent_attention(c)
        if phi:
            layer.update({"attn_norm.bias": (embd,), "attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,),
                          "attn_output.bias": (embd,), "ffn_norm.bias": (embd,)})
        if c["arch"] == "qwen3moe":
            layer.update({"attn_q_norm.weight": (c["head_dim"],), "attn_k_norm.weight": (c["head_dim"],)})
        if i < c.get("n_dense", 0):
            layer.update({"ffn_gate.weight": (c["n_ff"], embd), "ffn_up.weight": (c["n_ff"], embd),
                          "ffn_down.weight": (embd, c["n_ff"])})
        else:
            layer.update({"ffn_gate_inp.weight": (experts, embd), "ffn_gate_exps.weight": (experts, ff, embd),
                          "ffn_up_exps.weight": (experts, ff, embd), "ffn_down_exps.weight": (experts, embd, ff)})
            if c.get("groups"):
                layer["exp_probs_b.bias"] = (experts,)
            if c.get("n_shared"):
                shared = ff * c["n_shared"]
                layer.update({"ffn_gate_shexp.weight": (shared, embd), "ffn_up_shexp.weight": (shared, embd),
                              "ffn_down_shexp.weight": (embd, shared)})
        out.update({f"blk.{i}.{name}": dims for name, dims in layer.items()})
    return out


def kind(fixture, name):
    matrix = name in ("token_embd.weight", "output.weight") or (
        name.startswith("blk.") and name.endswith(".weight") and "_norm" not in name and "ffn_gate_inp" not in name)
    return fixture.kind if matrix else "F32"


def draw(fixture, name, dims, rng):
    """Random values of a size that keeps every part of the computation away from saturation."""
    x = rng.standard_normal(dims).astype(np.float32)
    tail = name.split(".", 2)[-1] if name.startswith("blk.") else name
    if name.startswith("rope_factors_"):
        return np.array(fixture.config["long_factor" if "long" in name else "short_factor"], np.float32)
    if tail.endswith("norm.weight"):
        return 1 + 0.2 * x
    if tail == "ffn_norm.bias" and fixture.router_offset:
        x[0] += 10          # with the router's first column: the common part of its logits
        return 0.3 * x
    if tail == "exp_probs_b.bias":
        return 0.1 * np.abs(x)     # transformers puts 0 for experts of other groups: stay above it
    if tail.endswith(".bias"):
        return 0.3 * x
    if tail == "token_embd.weight":
        return x
    gain = {"attn_q.weight": 1.3, "attn_k.weight": 1.3, "attn_q_b.weight": 1.3,
            "ffn_gate_inp.weight": 2.0, "output.weight": 1.6}
    shared = tail.startswith(("ffn_gate_", "ffn_up_", "ffn_gate.", "ffn_up.")) and "inp" not in tail
    x = np.float32((fixture.expert_scale if shared else gain.get(tail, 1.0)) / np.sqrt(dims[-1])) * x
    if tail == "ffn_gate_inp.weight" and fixture.router_offset:
        x[:, 0] += fixture.router_offset / 3
    return x


def build(fixture, seed):
    """-> ({GGUF name: (type, values before encoding)}, prompt)"""
    rng = np.random.default_rng(seed)
    tensors = {name: (kind(fixture, name), draw(fixture, name, dims, rng))
               for name, dims in tensor_shapes(fixture.config).items()}
    return tensors, rng.integers(0, 290, fixture.tokens).tolist()


def metadata(writer, c, name, type_name):
    """The keys that llama.cpp's converter writes for the architecture (conversion/{phi,deepseek,llama,qwen}.py)."""
    arch = c["arch"]

    def u32(key, value):
        writer.add(f"{arch}.{key}", "u32", value)

    def f32(key, value):
        writer.add(f"{arch}.{key}", "f32", value)

    writer.add("general.architecture", "str", arch)
    writer.add("general.type", "str", "model")
    writer.add("general.name", "str", name)
    writer.add("general.license", "str", "mit")
    u32("block_count", c["n_layer"])
    u32("context_length", c["context"])
    u32("embedding_length", c["n_embd"])
    u32("feed_forward_length", c["n_ff"])
    u32("attention.head_count", c["n_head"])
    u32("attention.head_count_kv", c["n_head"] if c.get("joint") else c["n_head_kv"])
    f32("rope.freq_base", c["rope_base"])
    f32("attention.layer_norm_rms_epsilon", c["eps"])
    u32("expert_count", c["n_expert"])
    u32("expert_used_count", c["n_expert_used"])
    if arch == "phimoe":
        u32("rope.scaling.original_context_length", c["original_context"])
        u32("rope.dimension_count", c["head_dim"])
        u32("attention.sliding_window", c["window"])
        f32("rope.scaling.attn_factor", c["attn_factor"])
    elif arch == "qwen3moe":
        u32("attention.key_length", c["head_dim"])
        u32("attention.value_length", c["head_dim"])
        u32("expert_feed_forward_length", c["n_ff_exp"])
    else:
        u32("vocab_size", c["n_vocab"])
        u32("rope.dimension_count", c.get("rope", c["head_dim"]))
    if arch == "deepseek":
        writer.add("deepseek.rope.scaling.type", "str", "none")
    if arch == "deepseek2":
        u32("attention.q_lora_rank", c["q_rank"])  # 0 too: llama.cpp does without the key at 27 layers only
        u32("attention.kv_lora_rank", c["kv_rank"])
        if c["joint"]:
            u32("attention.key_length", c["nope"] + c["rope"])
            u32("attention.value_length", c["head_dim"])
        else:
            u32("attention.key_length", c["kv_rank"] + c["rope"])
            u32("attention.value_length", c["kv_rank"])
            u32("attention.key_length_mla", c["nope"] + c["rope"])
            u32("attention.value_length_mla", c["head_dim"])
        if c["yarn"]:
            writer.add("deepseek2.rope.scaling.type", "str", "yarn")
            f32("rope.scaling.factor", c["yarn"])
            u32("rope.scaling.original_context_length", c["original_context"])
            f32("rope.scaling.yarn_log_multiplier", 0.1 * c["mscale_all_dim"])
    if arch in ("deepseek", "deepseek2"):
        u32("leading_dense_block_count", c["n_dense"])
        u32("expert_feed_forward_length", c["n_ff_exp"])
        f32("expert_weights_scale", 2.5 if c.get("groups") else 1.0)
        if c.get("groups"):
            writer.add("deepseek2.expert_weights_norm", "bool", True)
            u32("expert_gating_func", 2)
            u32("expert_group_count", c["groups"])
            u32("expert_group_used_count", max(1, c["groups"] // 2))
        u32("expert_shared_count", c["n_shared"])
    writer.add("general.file_type", "u32", export_gguf.FILE_TYPE[type_name])
    writer.add("general.quantization_version", "u32", 2)


def write_gguf(path, fixture, tensors, vocabulary):
    writer = gguf_io.Writer()
    metadata(writer, fixture.config, "fixture " + fixture.name, fixture.kind)
    export_gguf.vocabulary(writer, vocabulary, N_VOCAB)
    for name, (type_name, x) in tensors.items():
        writer.add_tensor(name, x, type_name)
    writer.write(path)


def reference(fixture, values, prompt, plain):
    """-> (logits, hidden, what they are, largest difference of plain_forward's logits)"""
    if OPTIONS.plain or fixture.config["arch"] == "deepseek":
        return *plain, "plain_forward.py (numpy, double precision)", 0.0
    import torch
    import transformers
    import transformers_models
    logits, hidden = transformers_models.outputs(fixture.config, values, prompt)
    difference = float(np.abs(plain[0] - logits).max())
    assert difference < 2e-4, f"{fixture.name}: plain_forward.py differs by {difference}"
    name = transformers_models.BUILDERS[fixture.config["arch"]](fixture.config).__class__.__name__
    return logits, hidden, (f"transformers {transformers.__version__} {name}, float32, eager "
                            f"(torch {torch.__version__})"), difference


def make(fixture, out, vocabulary):
    tensors, prompt = build(fixture, fixture.seed)
    values = decoded(tensors)
    folder = os.path.join(out, FOLDER.get(fixture.config["arch"], fixture.config["arch"]))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, fixture.name)
    write_gguf(path + ".gguf", fixture, tensors, vocabulary)
    back = gguf_io.read(path + ".gguf")[1]
    assert all(np.array_equal(back[n][1], v) for n, v in values.items())
    plain_logits, plain_hidden, margin = plain_forward.forward(fixture.config, values, prompt)
    assert margin >= MIN_MARGIN[fixture.kind], f"{fixture.name}: router margin {margin}"
    logits, hidden, what, difference = reference(fixture, values, prompt, (plain_logits, plain_hidden))
    rows = stored_rows(fixture.tokens)
    spread = float(np.std(logits[rows]))
    assert spread > 0.8, f"{fixture.name}: logits' standard deviation {spread}"
    write_outputs(path + ".bin", prompt, logits, hidden)
    with open(path + ".json", "w", encoding="utf-8") as handle:
        json.dump({"name": fixture.name, "what": fixture.what, "seed": fixture.seed, "kind": fixture.kind,
                   "config": fixture.config, "prompt_tokens": len(prompt), "rows": rows,
                   "router_margin": None if math.isinf(margin) else round(margin, 5),
                   "logits_std": round(spread, 4), "plain_forward_difference": difference, "reference": what},
                  handle, indent=1)
        handle.write("\n")
    print(f"{fixture.name}: {os.path.getsize(path + '.gguf')} bytes, margin {margin:.4f}, logits std {spread:.3f}, "
          f"difference {difference:.2e}", flush=True)


def wanted():
    return [f for f in FIXTURES if OPTIONS.only in (None, FOLDER.get(f.config["arch"], f.config["arch"]))]


def search(count):
    for fixture in wanted():
        best = (-1.0, -1)
        for seed in range(count):
            tensors, prompt = build(fixture, seed)
            best = max(best, (plain_forward.forward(fixture.config, decoded(tensors), prompt)[2], seed))
        print(f"{fixture.name}: seed {best[1]}, margin {best[0]:.4f}", flush=True)


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--search", type=int)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--only", metavar="FOLDER")
    OPTIONS = parser.parse_args()
    if OPTIONS.search:
        search(OPTIONS.search)
        return 0
    vocabulary, n_failed = bpe.train([TEXT], N_VOCAB), 0
    for fixture in wanted():
        try:
            make(fixture, OPTIONS.out, vocabulary)
        except Exception:       # each fixture stands for itself: say what failed and make the others
            traceback.print_exc()
            n_failed += 1
    return 1 if n_failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
