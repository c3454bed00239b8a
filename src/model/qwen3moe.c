/* Qwen3-MoE (Alibaba, 2025; arXiv:2505.09388). The definition of truth is transformers' Qwen3MoeForCausalLM
 * with norm_topk_prob, as every published model has it; names of keys and tensors are llama.cpp's for
 * "qwen3moe".
 *
 * Particular to it: RMSNorm on each head's query and key, heads wider than n_embd / n_heads, softmax over all
 * experts and renormalised over the chosen. */
#include "model/model_specs.h"

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common(keys, h);
    h->n_ff_expert = ssw_model_keys_read_int(keys, "expert_feed_forward_length", 1, SSW_MODEL_FF_MAX);
    ssw_model_hparams_read_rope(keys, h);
    h->rope.round_range = true;
    h->gating = SSW_MODEL_GATING_SOFTMAX_ALL_RENORM;
}

static const ssw_model_tensor_spec tensors[] = {
    SSW_MODEL_SPECS_LLAMA_ATTENTION,
    {SSW_MODEL_ATTN_Q_NORM, "attn_q_norm.weight", FLOATS, {HEAD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_K_NORM, "attn_k_norm.weight", FLOATS, {HEAD}, SSW_MODEL_ALWAYS},
    SSW_MODEL_SPECS_EXPERTS,
};

const ssw_model_arch ssw_model_arch_qwen3moe = {
    .name = "qwen3moe",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
