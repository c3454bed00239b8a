/* gpt-oss (OpenAI, 2025; arXiv:2508.10925). The definition of truth is the publisher's port, transformers'
 * GptOssForCausalLM; names of keys and tensors are llama.cpp's for "gpt-oss".
 *
 * Particular to it: sinks in every softmax, even layers with a sliding window, YaRN whose ramp is not rounded
 * ("truncate": false), biases everywhere, softmax after the choice of experts, clamped SwiGLU with 1 added to
 * up. */
#include "model/model_arch.h"

#include <math.h>

enum { WINDOW_PERIOD = 2 }; /* the last layer of each period has no window */

static void read_rope(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_rope *rope = &h->rope;
    rope->n_dims =
        ssw_model_keys_read_int_or(keys, "rope.dimension_count", 2, SSW_MODEL_HEAD_DIM_MAX, h->head_dim);
    rope->freq_base = ssw_model_keys_read_float(keys, "rope.freq_base", 2, 1e9);
    rope->factor = 1;
    rope->original_context = h->ctx_train;
    rope->beta_fast = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_fast", 0.001, 1000, 32);
    rope->beta_slow = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_slow", 0.001, 1000, 1);
    rope->round_range = false;
    if (rope->n_dims != h->head_dim)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "key 'gpt-oss.rope.dimension_count' is %d, expected the head's %d",
                              rope->n_dims, h->head_dim);
    if (!ssw_model_keys_has(keys, "rope.scaling.type") ||
        ssw_model_keys_is_text(keys, "rope.scaling.type", "none"))
        return;
    if (!ssw_model_keys_is_text(keys, "rope.scaling.type", "yarn")) {
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "key 'gpt-oss.rope.scaling.type' is not 'yarn' or 'none'");
        return;
    }
    rope->factor = ssw_model_keys_read_float(keys, "rope.scaling.factor", 1, 1024);
    rope->original_context =
        ssw_model_keys_read_int(keys, "rope.scaling.original_context_length", 1, SSW_MODEL_CTX_MAX);
}

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    h->n_layers = ssw_model_keys_read_int(keys, "block_count", 1, SSW_MODEL_LAYERS_MAX);
    h->n_embd = ssw_model_keys_read_int(keys, "embedding_length", 1, SSW_MODEL_EMBD_MAX);
    h->ctx_train = ssw_model_keys_read_int(keys, "context_length", 1, SSW_MODEL_CTX_MAX);
    h->n_heads = ssw_model_keys_read_int(keys, "attention.head_count", 1, SSW_MODEL_HEADS_MAX);
    h->n_heads_kv = ssw_model_keys_read_int_or(keys, "attention.head_count_kv", 1, h->n_heads, h->n_heads);
    int32_t default_dim = h->n_embd / h->n_heads;
    h->head_dim =
        ssw_model_keys_read_int_or(keys, "attention.key_length", 2, SSW_MODEL_HEAD_DIM_MAX, default_dim);
    int32_t value_dim =
        ssw_model_keys_read_int_or(keys, "attention.value_length", 2, SSW_MODEL_HEAD_DIM_MAX, default_dim);
    h->n_experts = ssw_model_keys_read_int(keys, "expert_count", 1, SSW_MODEL_EXPERTS_MAX);
    int32_t used_max = h->n_experts < SSW_MODEL_EXPERTS_USED_MAX ? h->n_experts : SSW_MODEL_EXPERTS_USED_MAX;
    h->n_experts_used = ssw_model_keys_read_int(keys, "expert_used_count", 1, used_max);
    h->n_ff_expert = ssw_model_keys_read_int(keys, "expert_feed_forward_length", 1, SSW_MODEL_FF_MAX);
    h->norm = SSW_MODEL_NORM_RMS;
    h->norm_eps = ssw_model_keys_read_float(keys, "attention.layer_norm_rms_epsilon", 0, 1);
    int32_t window = ssw_model_keys_read_int(keys, "attention.sliding_window", 1, SSW_MODEL_CTX_MAX);
    for (int32_t layer = 0; layer < h->n_layers; layer++)
        h->layer_window[layer] = layer % WINDOW_PERIOD < WINDOW_PERIOD - 1 ? window : 0;
    if (h->n_heads % h->n_heads_kv != 0)
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "%d heads cannot share %d key-value heads evenly",
                              h->n_heads, h->n_heads_kv);
    if (value_dim != h->head_dim || h->head_dim < 2 || h->head_dim % 2 != 0)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "attention.key_length %d and value_length %d: expected equal and even",
                              h->head_dim, value_dim);
    read_rope(keys, h);
    h->attention_scale = 1.0f / sqrtf((float)h->head_dim);
    h->gating = SSW_MODEL_GATING_SOFTMAX_CHOSEN;
    h->activation = SSW_MODEL_ACTIVATION_SWIGLU_OAI;
    h->activation_alpha = 1.702f;
    h->activation_limit = 7.0f;
}

#define MATRIX SSW_MODEL_MATRIX
#define FLOATS SSW_MODEL_FLOATS
#define EMBD   SSW_MODEL_DIM_EMBD
#define VOCAB  SSW_MODEL_DIM_VOCAB
#define HEADS  SSW_MODEL_DIM_HEADS
#define Q      SSW_MODEL_DIM_Q
#define KV     SSW_MODEL_DIM_KV
#define FF     SSW_MODEL_DIM_FF_EXPERT
#define EXPS   SSW_MODEL_DIM_EXPERTS

static const ssw_model_tensor_spec tensors[] = {
    {SSW_MODEL_TOKEN_EMBD, "token_embd.weight", MATRIX, {EMBD, VOCAB}},
    {SSW_MODEL_OUTPUT_NORM, "output_norm.weight", FLOATS, {EMBD}},
    {SSW_MODEL_OUTPUT, "output.weight", MATRIX, {EMBD, VOCAB}},
    {SSW_MODEL_ATTN_NORM, "attn_norm.weight", FLOATS, {EMBD}},
    {SSW_MODEL_ATTN_Q, "attn_q.weight", MATRIX, {EMBD, Q}},
    {SSW_MODEL_ATTN_Q_BIAS, "attn_q.bias", FLOATS, {Q}},
    {SSW_MODEL_ATTN_K, "attn_k.weight", MATRIX, {EMBD, KV}},
    {SSW_MODEL_ATTN_K_BIAS, "attn_k.bias", FLOATS, {KV}},
    {SSW_MODEL_ATTN_V, "attn_v.weight", MATRIX, {EMBD, KV}},
    {SSW_MODEL_ATTN_V_BIAS, "attn_v.bias", FLOATS, {KV}},
    {SSW_MODEL_ATTN_OUT, "attn_output.weight", MATRIX, {Q, EMBD}},
    {SSW_MODEL_ATTN_OUT_BIAS, "attn_output.bias", FLOATS, {EMBD}},
    {SSW_MODEL_ATTN_SINKS, "attn_sinks.weight", FLOATS, {HEADS}},
    {SSW_MODEL_FFN_NORM, "post_attention_norm.weight", FLOATS, {EMBD}},
    {SSW_MODEL_ROUTER, "ffn_gate_inp.weight", MATRIX, {EMBD, EXPS}},
    {SSW_MODEL_ROUTER_BIAS, "ffn_gate_inp.bias", FLOATS, {EXPS}},
    {SSW_MODEL_GATE_EXPS, "ffn_gate_exps.weight", MATRIX, {EMBD, FF, EXPS}},
    {SSW_MODEL_GATE_EXPS_BIAS, "ffn_gate_exps.bias", FLOATS, {FF, EXPS}},
    {SSW_MODEL_UP_EXPS, "ffn_up_exps.weight", MATRIX, {EMBD, FF, EXPS}},
    {SSW_MODEL_UP_EXPS_BIAS, "ffn_up_exps.bias", FLOATS, {FF, EXPS}},
    {SSW_MODEL_DOWN_EXPS, "ffn_down_exps.weight", MATRIX, {FF, EMBD, EXPS}},
    {SSW_MODEL_DOWN_EXPS_BIAS, "ffn_down_exps.bias", FLOATS, {EMBD, EXPS}},
};

const ssw_model_arch ssw_model_arch_gpt_oss = {
    .name = "gpt-oss",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
