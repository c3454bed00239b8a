/* DeepSeek-MoE, version 1 (DeepSeek, 2024; arXiv:2401.06066). transformers has no class for it: the
 * definition of truth is the paper with the published configuration, as computed by
 * tools/make_fixtures/plain_forward.py, and llama.cpp agrees. Names of keys and tensors are llama.cpp's for
 * "deepseek".
 *
 * Particular to it: leading dense layers, shared experts that every token uses, softmax over all experts
 * without renormalising over the chosen, rows of queries and keys permuted by the converter. */
#include "model/model_specs.h"

enum { SHARED_MAX = 64 };

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common(keys, h);
    h->n_ff_expert = ssw_model_keys_read_int(keys, "expert_feed_forward_length", 1, SSW_MODEL_FF_MAX);
    h->n_ff_dense = ssw_model_keys_read_int(keys, "feed_forward_length", 1, SSW_MODEL_FF_MAX);
    h->n_dense_layers = ssw_model_keys_read_int_or(keys, "leading_dense_block_count", 0, h->n_layers, 0);
    int32_t n_shared = ssw_model_keys_read_int(keys, "expert_shared_count", 1, SHARED_MAX);
    h->n_ff_shared = n_shared * h->n_ff_expert;
    h->expert_scale = ssw_model_keys_read_float_or(keys, "expert_weights_scale", 0.001, 1000, 1);
    ssw_model_hparams_read_rope(keys, h);
    h->rope.round_range = true;
    h->rope.is_interleaved = true;
    h->gating = SSW_MODEL_GATING_SOFTMAX_ALL;
}

static const ssw_model_tensor_spec tensors[] = {
    SSW_MODEL_SPECS_LLAMA_ATTENTION,
    {SSW_MODEL_FFN_GATE, "ffn_gate.weight", MATRIX, {EMBD, DENSE}, SSW_MODEL_DENSE_LAYERS},
    {SSW_MODEL_FFN_UP, "ffn_up.weight", MATRIX, {EMBD, DENSE}, SSW_MODEL_DENSE_LAYERS},
    {SSW_MODEL_FFN_DOWN, "ffn_down.weight", MATRIX, {DENSE, EMBD}, SSW_MODEL_DENSE_LAYERS},
    SSW_MODEL_SPECS_EXPERTS,
    {SSW_MODEL_GATE_SHARED, "ffn_gate_shexp.weight", MATRIX, {EMBD, SHARED}, SSW_MODEL_EXPERT_LAYERS},
    {SSW_MODEL_UP_SHARED, "ffn_up_shexp.weight", MATRIX, {EMBD, SHARED}, SSW_MODEL_EXPERT_LAYERS},
    {SSW_MODEL_DOWN_SHARED, "ffn_down_shexp.weight", MATRIX, {SHARED, EMBD}, SSW_MODEL_EXPERT_LAYERS},
};

const ssw_model_arch ssw_model_arch_deepseek = {
    .name = "deepseek",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
