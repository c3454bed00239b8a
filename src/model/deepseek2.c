/* DeepSeek-V2-Lite and V3 (DeepSeek, 2024; arXiv:2405.04434, arXiv:2412.19437), and who took their form. The
 * definition of truth is the publisher's modeling_deepseek.py, which transformers' DeepseekV2ForCausalLM and
 * DeepseekV3ForCausalLM are but for V2's scale of the scores (see docs/CONFORMANCE.md); names of keys and
 * tensors are llama.cpp's for "deepseek2".
 *
 * Particular to it: latent attention (model.h), leading dense layers, shared experts; softmax over all
 * experts, or V3's sigmoid with a bias on the choice and groups of experts; with YaRN, cos and sin as they
 * are and a larger scale of the scores. */
#include "model/model_specs.h"

#include <math.h>

enum { GATING_SOFTMAX = 1, GATING_SIGMOID = 2, GATINGS_MAX = 16 };
#define YARN_LOG_MULTIPLIER_MAX 10

/* V3: only experts of the best groups are chosen from. */
static void read_groups(ssw_model_keys *keys, ssw_model_hparams *h, bool is_sigmoid)
{
    int32_t n = ssw_model_keys_read_int_or(keys, "expert_group_count", 0, SSW_MODEL_EXPERTS_MAX, 1);
    if (n <= 1)
        return;
    h->n_expert_groups = n;
    h->n_expert_groups_used =
        ssw_model_keys_read_int(keys, "expert_group_used_count", 1, SSW_MODEL_EXPERTS_USED_MAX);
    int32_t size = h->n_experts / n;
    if (!is_sigmoid)
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "key 'deepseek2.expert_group_count' is %d, expected 1: routing by softmax within "
            "groups of experts, as in the large DeepSeek-V2, is not supported",
            n);
    if (size < 2 || size * n != h->n_experts || h->n_expert_groups_used > n ||
        h->n_expert_groups_used * size < h->n_experts_used)
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "%d of %d groups of %d experts cannot give %d experts",
                              h->n_expert_groups_used, n, h->n_experts, h->n_experts_used);
}

static void read_gating(ssw_model_keys *keys, ssw_model_hparams *h)
{
    int32_t gating = ssw_model_keys_read_int_or(keys, "expert_gating_func", 0, GATINGS_MAX, GATING_SOFTMAX);
    bool renormalises = ssw_model_keys_read_bool(keys, "expert_weights_norm");
    if (gating == GATING_SIGMOID)
        h->gating = renormalises ? SSW_MODEL_GATING_SIGMOID_RENORM : SSW_MODEL_GATING_SIGMOID;
    else
        h->gating = renormalises ? SSW_MODEL_GATING_SOFTMAX_ALL_RENORM : SSW_MODEL_GATING_SOFTMAX_ALL;
    if (gating > GATING_SIGMOID)
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "key 'deepseek2.expert_gating_func' is %d, expected %d (softmax) or %d (sigmoid)", gating,
            GATING_SOFTMAX, GATING_SIGMOID);
    read_groups(keys, h, gating == GATING_SIGMOID);
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
    {SSW_MODEL_ROUTER_CHOICE_BIAS, "exp_probs_b.bias", FLOATS, {EXPS}, SSW_MODEL_OPTIONAL},
};

const ssw_model_arch ssw_model_arch_deepseek2 = {
    .name = "deepseek2",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
