"""transformers' own classes, float32, eager, on the CPU, filled from tensors with GGUF names."""
import re

import torch

from plain_forward import publisher_order


def _common(c):
    return dict(vocab_size=c["n_vocab"], hidden_size=c["n_embd"], num_hidden_layers=c["n_layer"],
                num_attention_heads=c["n_head"], num_key_value_heads=c["n_head_kv"], rms_norm_eps=c["eps"],
                max_position_embeddings=c["context"], tie_word_embeddings=False, attn_implementation="eager",
                num_experts_per_tok=c["n_expert_used"], pad_token_id=None, bos_token_id=None, eos_token_id=None)


def _mixtral(c):
    from transformers import MixtralConfig, MixtralForCausalLM
    return MixtralForCausalLM(MixtralConfig(
        **_common(c), intermediate_size=c["n_ff_exp"], num_local_experts=c["n_expert"], sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": c["rope_base"]}))


def _qwen3moe(c):
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(
        **_common(c), intermediate_size=c["n_ff"], moe_intermediate_size=c["n_ff_exp"], head_dim=c["head_dim"],
        num_experts=c["n_expert"], norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
        use_sliding_window=False, sliding_window=None, attention_bias=False,
        rope_parameters={"rope_type": "default", "rope_theta": c["rope_base"]}))


def _phimoe(c):
    from transformers import PhimoeConfig, PhimoeForCausalLM
    return PhimoeForCausalLM(PhimoeConfig(
        **_common(c), intermediate_size=c["n_ff_exp"], num_local_experts=c["n_expert"],
        sliding_window=c["window"], attention_bias=True, lm_head_bias=True, router_jitter_noise=0.01,
        rope_parameters={"rope_type": "longrope", "rope_theta": c["rope_base"],
                         "long_factor": [float(x) for x in c["long_factor"]],
                         "short_factor": [float(x) for x in c["short_factor"]],
                         "long_mscale": c["mscale"], "short_mscale": c["mscale"],
                         "original_max_position_embeddings": c["original_context"]}))


BUILDERS = {"llama": _mixtral, "qwen3moe": _qwen3moe, "phimoe": _phimoe}

# transformers' name within a layer -> the GGUF's
IN_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "gate": "ffn_gate_inp", "router": "ffn_gate_inp",
}
GLOBAL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def _value(c, values, name):
    """The GGUF's numbers for the parameter `name` of transformers."""
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
    if not found:
        stem, part = name.rsplit(".", 1)
        return values[f"{GLOBAL[stem]}.{part}"]
    head, rest = f"blk.{found[1]}.", re.sub(r"^(mlp|block_sparse_moe)\.", "", found[2])
    if rest == "experts.gate_up_proj":
        import numpy as np
        return np.concatenate([values[head + "ffn_gate_exps.weight"], values[head + "ffn_up_exps.weight"]], axis=1)
    if rest == "experts.down_proj":
        return values[head + "ffn_down_exps.weight"]
    stem, part = rest.rsplit(".", 1)
    value = values[f"{head}{IN_LAYER[stem]}.{part}"]
    if c["permuted"] and IN_LAYER[stem] in ("attn_q", "attn_k"):
        value = publisher_order(value, c["n_head" if IN_LAYER[stem] == "attn_q" else "n_head_kv"])
    return value


@torch.no_grad()
def build(c, values):
    torch.manual_seed(0)
    model = BUILDERS[c["arch"]](c).float().eval()
    for name, parameter in model.named_parameters():
        value = torch.from_numpy(_value(c, values, name).copy()).float()
        assert tuple(parameter.shape) == tuple(value.shape), (name, tuple(parameter.shape), tuple(value.shape))
        parameter.copy_(value)
    return model


@torch.no_grad()
def outputs(c, values, prompt):
    """-> (logits [T][n_vocab], hidden after the final norm [T][n_embd])"""
    model, caught = build(c, values), []
    if c["arch"] == "phimoe":
        # 5.17.0 leaves the sequence's length out here and so never takes the long factors; other revisions (commits
        # 008f5c8c and 0233e509) pass it.
        rotary, inner = model.model.rotary_emb, model.model.rotary_emb.rope_init_fn
        rotary.rope_init_fn = lambda config, device=None, seq_len=None: inner(config, device, seq_len=len(prompt))
    handle = model.model.norm.register_forward_hook(lambda module, inputs, output: caught.append(output))
    logits = model(torch.tensor([prompt]), use_cache=False).logits[0].float()
    handle.remove()
    return logits.numpy(), caught[-1][0].float().numpy()
