/* DeepSeek-MoE, version 1 (DeepSeek, 2024; arXiv:2401.06066). transformers has no class for it: the
 * definition of truth is the paper with the published configuration, as computed by
 * tools/make_fixtures/plain_forward.py, and llama.cpp agrees. Names of keys and tensors are llama.cpp's for
 * "deepseek".
 *
 * Particular to it: leading dense layers, shared experts that every token uses, softmax over all experts
 * without renormalising over the chosen, rows of queries and keys permuted by the converter. */
#include "model/model_specs.h"

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_hparams_read_common(keys, h);
    ssw_model_hparams_read_shared_experts(keys, h);
    ssw_model_hparams_read_rope(keys, h);
    h->rope.round_range = true;
    h->rope.is_interleaved = true;
    h->gating = SSW_MODEL_GATING_SOFTMAX_ALL;
}

static const ssw_model_tensor_spec tensors[] = {
    SSW_MODEL_SPECS_LLAMA_ATTENTION,
    SSW_MODEL_SPECS_DENSE_AND_SHARED,
    SSW_MODEL_SPECS_EXPERTS,
};

const ssw_model_arch ssw_model_arch_deepseek = {
    .name = "deepseek",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
