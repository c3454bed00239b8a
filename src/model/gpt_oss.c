/* gpt-oss (OpenAI, 2025; arXiv:2508.10925). The definition of truth is the publisher's port, transformers'
 * GptOssForCausalLM; names of keys and tensors are llama.cpp's for "gpt-oss".
 *
 * Particular to it: sinks in every softmax, even layers with a sliding window, YaRN whose ramp is not rounded
 * ("truncate": false), biases everywhere, softmax after the choice of experts, clamped SwiGLU with 1 added to
 * up. */
#include "model/model_specs.h"

enum { WINDOW_PERIOD = 2 }; /* the last layer of each period has no window */

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common(keys, h);
    h->n_ff_expert = ssw_model_keys_read_int(keys, "expert_feed_forward_length", 1, SSW_MODEL_FF_MAX);
    int32_t window = ssw_model_keys_read_int(keys, "attention.sliding_window", 1, SSW_MODEL_CTX_MAX);
    for (int32_t layer = 0; layer < h->n_layers; layer++)
        h->layer_window[layer] = layer % WINDOW_PERIOD < WINDOW_PERIOD - 1 ? window : 0;
    ssw_model_hparams_read_rope(keys, h);
    h->gating = SSW_MODEL_GATING_SOFTMAX_CHOSEN;
    h->activation = SSW_MODEL_ACTIVATION_SWIGLU_OAI;
    h->activation_alpha = 1.702f;
    h->activation_limit = 7.0f;
}

/* It has no key for "truncate", and rounds for every model. */
static void follow_llama_cpp(ssw_model_hparams *h)
{
    h->rope.round_range = true;
}

static const ssw_model_tensor_spec tensors[] = {
    {SSW_MODEL_TOKEN_EMBD, "token_embd.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_OUTPUT_NORM, "output_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_OUTPUT, "output.weight", MATRIX, {EMBD, VOCAB}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_NORM, "attn_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_Q, "attn_q.weight", MATRIX, {EMBD, Q}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_Q_BIAS, "attn_q.bias", FLOATS, {Q}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_K, "attn_k.weight", MATRIX, {EMBD, KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_K_BIAS, "attn_k.bias", FLOATS, {KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_V, "attn_v.weight", MATRIX, {EMBD, KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_V_BIAS, "attn_v.bias", FLOATS, {KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_OUT, "attn_output.weight", MATRIX, {Q, EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_OUT_BIAS, "attn_output.bias", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_SINKS, "attn_sinks.weight", FLOATS, {HEADS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_FFN_NORM, "post_attention_norm.weight", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ROUTER, "ffn_gate_inp.weight", MATRIX, {EMBD, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ROUTER_BIAS, "ffn_gate_inp.bias", FLOATS, {EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_GATE_EXPS, "ffn_gate_exps.weight", MATRIX, {EMBD, FF, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_GATE_EXPS_BIAS, "ffn_gate_exps.bias", FLOATS, {FF, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_UP_EXPS, "ffn_up_exps.weight", MATRIX, {EMBD, FF, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_UP_EXPS_BIAS, "ffn_up_exps.bias", FLOATS, {FF, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_DOWN_EXPS, "ffn_down_exps.weight", MATRIX, {FF, EMBD, EXPS}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_DOWN_EXPS_BIAS, "ffn_down_exps.bias", FLOATS, {EMBD, EXPS}, SSW_MODEL_ALWAYS},
};

const ssw_model_arch ssw_model_arch_gpt_oss = {
    .name = "gpt-oss",
    .read_hparams = read_hparams,
    .follow_llama_cpp = follow_llama_cpp,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
