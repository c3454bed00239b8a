"""transformers' own classes, float32, eager, on the CPU, filled from tensors with GGUF names."""
import math
import re

import numpy as np
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


def _latent(c):
    """What V2's and V3's configurations have in common."""
    rope = {"rope_type": "default", "rope_theta": c["rope_base"]}
    if c["yarn"]:
        rope.update({"rope_type": "yarn", "factor": float(c["yarn"]), "beta_fast": 32.0, "beta_slow": 1.0,
                     "original_max_position_embeddings": c["original_context"],
                     "mscale": c["mscale_all_dim"], "mscale_all_dim": c["mscale_all_dim"]})
    return dict(_common(c), num_key_value_heads=c["n_head"], intermediate_size=c["n_ff"],
                moe_intermediate_size=c["n_ff_exp"], n_routed_experts=c["n_expert"], n_shared_experts=c["n_shared"],
                first_k_dense_replace=c["n_dense"], kv_lora_rank=c["kv_rank"], q_lora_rank=c["q_rank"] or None,
                qk_nope_head_dim=c["nope"], qk_rope_head_dim=c["rope"], v_head_dim=c["head_dim"], rope_parameters=rope)


def _deepseek2(c):
    from transformers import DeepseekV2Config, DeepseekV2ForCausalLM
    model = DeepseekV2ForCausalLM(DeepseekV2Config(
        **_latent(c), topk_method="greedy", norm_topk_prob=False, routed_scaling_factor=1.0,
        attention_bias=False, mlp_bias=False))
    if c["yarn"]:
        # The publisher's modeling_deepseek.py multiplies the scores' scale by the square of YaRN's mscale_all_dim term;
        # transformers' class for V2 (seen: commit 0233e509) leaves it out.
        mscale = 0.1 * c["mscale_all_dim"] * math.log(c["yarn"]) + 1
        for layer in model.model.layers:
            layer.self_attn.scaling = (c["nope"] + c["rope"]) ** -0.5 * mscale * mscale
    return model


def _deepseek3(c):
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
    return DeepseekV3ForCausalLM(DeepseekV3Config(
        **_latent(c), n_group=c["groups"], topk_group=max(1, c["groups"] // 2), norm_topk_prob=True,
        routed_scaling_factor=2.5, attention_bias=False, rope_interleave=True))


BUILDERS = {"llama": _mixtral, "qwen3moe": _qwen3moe, "phimoe": _phimoe,
            "deepseek2": lambda c: _deepseek3(c) if c["groups"] else _deepseek2(c)}

# transformers' name within a layer -> the GGUF's
IN_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "gate": "ffn_gate_inp", "router": "ffn_gate_inp",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    "shared_experts.gate_proj": "ffn_gate_shexp", "shared_experts.up_proj": "ffn_up_shexp",
    "shared_experts.down_proj": "ffn_down_shexp",
}
GLOBAL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def _value(c, values, name):
    """The GGUF's numbers for the parameter `name` of transformers."""
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", name)
    if not found:
        stem, part = name.rsplit(".", 1)
        return values[f"{GLOBAL[stem]}.{part}"]
    head, rest = f"blk.{found[1]}.", re.sub(r"^(mlp|block_sparse_moe)\.", "", found[2])
    if rest == "self_attn.kv_b_proj.weight" and c["joint"]:
        return values[head + "attn_kv_b.weight"]
    if rest == "self_attn.kv_b_proj.weight":       # of each head the rows of its key, then those of its value
        k, v = values[head + "attn_k_b.weight"], values[head + "attn_v_b.weight"]
        return np.concatenate([k.swapaxes(1, 2), v], axis=1).reshape(-1, c["kv_rank"])
    if rest == "experts.gate_up_proj":
        return np.concatenate([values[head + "ffn_gate_exps.weight"], values[head + "ffn_up_exps.weight"]], axis=1)
    if rest == "experts.down_proj":
        return values[head + "ffn_down_exps.weight"]
    stem, part = rest.rsplit(".", 1)
    value = values[f"{head}{IN_LAYER[stem]}.{part}"]
    if c["permuted"] and IN_LAYER[stem] in ("attn_q", "attn_k"):
        value = publisher_order(value, c["n_head" if IN_LAYER[stem] == "attn_q" else "n_head_kv"])
    return value


def _set_choice_bias(c, model, values):
    for i in range(c["n_dense"], c["n_layer"]):
        bias = torch.from_numpy(values[f"blk.{i}.exp_probs_b.bias"].copy()).float()
        model.model.layers[i].mlp.gate.e_score_correction_bias.copy_(bias)


@torch.no_grad()
def build(c, values):
    torch.manual_seed(0)
    model = BUILDERS[c["arch"]](c).float().eval()
    for name, parameter in model.named_parameters():
        value = torch.from_numpy(_value(c, values, name).copy()).float()
        assert tuple(parameter.shape) == tuple(value.shape), (name, tuple(parameter.shape), tuple(value.shape))
        parameter.copy_(value)
    if c.get("groups"):
        _set_choice_bias(c, model, values)
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
