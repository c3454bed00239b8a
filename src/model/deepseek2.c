/* DeepSeek-V2 and V2-Lite (DeepSeek, 2024; arXiv:2405.04434). The definition of truth is the publisher's
 * modeling_deepseek.py, which transformers' DeepseekV2ForCausalLM is but for the attention's scale (see
 * docs/CONFORMANCE.md); names of keys and tensors are llama.cpp's for "deepseek2".
 *
 * Particular to it: latent attention (model.h), leading dense layers, shared experts, softmax over all
 * experts; with YaRN, cos and sin as they are and a larger scale of the scores. Routing by sigmoid or within
 * groups of experts (V3; the large V2) is refused. */
#include "model/model_specs.h"

#include <math.h>

enum { GATING_SOFTMAX = 1, GATINGS_MAX = 16 };
#define YARN_LOG_MULTIPLIER_MAX 10

static void read_gating(ssw_model_keys *keys, ssw_model_hparams *h)
{
    int32_t gating = ssw_model_keys_read_int_or(keys, "expert_gating_func", 0, GATINGS_MAX, GATING_SOFTMAX);
    if (gating != GATING_SOFTMAX && gating != 0)
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "key 'deepseek2.expert_gating_func' is %d, expected %d: routing by sigmoid, as in "
            "DeepSeek-V3, is not supported",
            gating, GATING_SOFTMAX);
    int32_t n_groups = ssw_model_keys_read_int_or(keys, "expert_group_count", 0, SSW_MODEL_EXPERTS_MAX, 1);
    if (n_groups > 1)
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "key 'deepseek2.expert_group_count' is %d, expected 1: routing within groups of "
            "experts is not supported",
            n_groups);
    h->gating = ssw_model_keys_read_bool(keys, "expert_weights_norm") ? SSW_MODEL_GATING_SOFTMAX_ALL_RENORM
                                                                      : SSW_MODEL_GATING_SOFTMAX_ALL;
}

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common_latent(keys, h);
    ssw_model_hparams_read_shared_experts(keys, h);
    read_gating(keys, h);
    ssw_model_hparams_read_rope(keys, h);
    h->rope.round_range = true;
    h->rope.is_interleaved = true;
    /* 0.1 mscale_all_dim of the configuration; mscale, which the GGUF lacks, is taken to be the same. */
    float multiplier =
        ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_log_multiplier", 0, YARN_LOG_MULTIPLIER_MAX, 0);
    if (h->rope.factor > 1 && multiplier > 0) {
        float mscale = 1 + multiplier * logf(h->rope.factor);
        h->attention_scale *= mscale * mscale;
        h->rope.magnitude = 1;
    }
}

static const ssw_model_tensor_spec tensors[] = {
    {SSW_MODEL_TOKEN_EMBD, "token_embd.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_OUTPUT_NORM, "output_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_OUTPUT, "output.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_OPTIONAL},
    {SSW_MODEL_ATTN_NORM, "attn_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_Q, "attn_q.weight", MATRIX, {EMBD, QUERIES}, SSW_MODEL_FULL_QUERIES},
    {SSW_MODEL_ATTN_Q_A, "attn_q_a.weight", MATRIX, {EMBD, Q_RANK}, SSW_MODEL_LOW_QUERIES},
    {SSW_MODEL_ATTN_Q_A_NORM, "attn_q_a_norm.weight", FLOATS, {Q_RANK}, SSW_MODEL_LOW_QUERIES},
    {SSW_MODEL_ATTN_Q_B, "attn_q_b.weight", MATRIX, {Q_RANK, QUERIES}, SSW_MODEL_LOW_QUERIES},
    {SSW_MODEL_ATTN_KV_A, "attn_kv_a_mqa.weight", MATRIX, {EMBD, HEAD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_KV_A_NORM, "attn_kv_a_norm.weight", FLOATS, {KV_RANK}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_K_B, "attn_k_b.weight", MATRIX, {NOPE, KV_RANK, HEADS}, SSW_MODEL_SPLIT_HEADS},
    {SSW_MODEL_ATTN_V_B, "attn_v_b.weight", MATRIX, {KV_RANK, VALUE, HEADS}, SSW_MODEL_SPLIT_HEADS},
    {SSW_MODEL_ATTN_KV_B, "attn_kv_b.weight", MATRIX, {KV_RANK, KEYS_VALUES}, SSW_MODEL_JOINT_HEADS},
    {SSW_MODEL_ATTN_OUT, "attn_output.weight", MATRIX, {ATTENDED, EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_FFN_NORM, "ffn_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    SSW_MODEL_SPECS_DENSE_AND_SHARED,
    SSW_MODEL_SPECS_EXPERTS,
};

const ssw_model_arch ssw_model_arch_deepseek2 = {
    .name = "deepseek2",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
