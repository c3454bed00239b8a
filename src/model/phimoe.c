/* Phi-3.5-MoE (Microsoft, 2024; arXiv:2404.14219, routing arXiv:2409.12136). The definition of truth is
 * transformers' PhimoeForCausalLM; names of keys and tensors are llama.cpp's for "phimoe".
 *
 * Particular to it: LayerNorm (with mean and bias), biases in attention and output, sparsemixer routing, RoPE
 * frequencies divided by one list in contexts up to the original and by another in longer ones.
 *
 * llama.cpp computes something else: RMSNorm (the bias added), softmax over all experts renormalised over the
 * chosen, no window, and as factor of cos and sin the attn_factor that its converter works out from the two
 * context lengths. The published configuration says 1.2432 for it (long_mscale, short_mscale), which no key
 * of the GGUF holds, so the published model is told by its context lengths. */
#include "model/model_specs.h"

enum { SPARSEMIXER_CHOICES = 2, PUBLISHED_CONTEXT = 131072, PUBLISHED_ORIGINAL_CONTEXT = 4096 };
#define PUBLISHED_MAGNITUDE 1.243163121016122f

static void read_long_rope(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_rope *rope = &h->rope;
    rope->original_context = ssw_model_keys_read_int_or(keys, "rope.scaling.original_context_length", 1,
                                                        SSW_MODEL_CTX_MAX, h->ctx_train);
    rope->magnitude_llama_cpp = ssw_model_keys_read_float_or(keys, "rope.scaling.attn_factor", 0.01, 100, 1);
    bool is_published =
        h->ctx_train == PUBLISHED_CONTEXT && rope->original_context == PUBLISHED_ORIGINAL_CONTEXT;
    rope->magnitude = is_published ? PUBLISHED_MAGNITUDE : rope->magnitude_llama_cpp;
}

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common(keys, h);
    h->norm = SSW_MODEL_NORM_LAYER;
    h->n_ff_expert = ssw_model_keys_read_int(keys, "feed_forward_length", 1, SSW_MODEL_FF_MAX);
    int32_t window = ssw_model_keys_read_int_or(keys, "attention.sliding_window", 0, SSW_MODEL_CTX_MAX, 0);
    for (int32_t layer = 0; layer < h->n_layers; layer++)
        h->layer_window[layer] = window < h->ctx_train ? window : 0;
    ssw_model_hparams_read_rope(keys, h);
    read_long_rope(keys, h);
    h->gating = SSW_MODEL_GATING_SPARSEMIXER;
    if (h->n_experts_used != SPARSEMIXER_CHOICES)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "key 'phimoe.expert_used_count' is %d, expected sparsemixer's %d",
                              h->n_experts_used, SPARSEMIXER_CHOICES);
}

static void follow_llama_cpp(ssw_model_hparams *h)
{
    h->norm = SSW_MODEL_NORM_RMS;
    h->gating = SSW_MODEL_GATING_SOFTMAX_ALL_RENORM;
    h->rope.magnitude = h->rope.magnitude_llama_cpp;
    for (int32_t layer = 0; layer < h->n_layers; layer++)
        h->layer_window[layer] = 0;
}

static const ssw_model_tensor_spec tensors[] = {
    SSW_MODEL_SPECS_LLAMA_ATTENTION,
    {SSW_MODEL_OUTPUT_NORM_BIAS, "output_norm.bias", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_OUTPUT_BIAS, "output.bias", FLOATS, {VOCAB}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ROPE_LONG, "rope_factors_long.weight", FLOATS, {PAIRS}, SSW_MODEL_OPTIONAL},
    {SSW_MODEL_ROPE_SHORT, "rope_factors_short.weight", FLOATS, {PAIRS}, SSW_MODEL_OPTIONAL},
    {SSW_MODEL_ATTN_NORM_BIAS, "attn_norm.bias", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_Q_BIAS, "attn_q.bias", FLOATS, {Q}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_K_BIAS, "attn_k.bias", FLOATS, {KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_V_BIAS, "attn_v.bias", FLOATS, {KV}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_ATTN_OUT_BIAS, "attn_output.bias", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    {SSW_MODEL_FFN_NORM_BIAS, "ffn_norm.bias", FLOATS, {EMBD}, SSW_MODEL_ALWAYS},
    SSW_MODEL_SPECS_EXPERTS,
};

const ssw_model_arch ssw_model_arch_phimoe = {
    .name = "phimoe",
    .read_hparams = read_hparams,
    .follow_llama_cpp = follow_llama_cpp,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
