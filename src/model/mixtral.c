/* Mixtral (Mistral AI, 2024; arXiv:2401.04088): GGUF's "llama" with experts. The definition of truth is
 * transformers' MixtralForCausalLM; names of keys and tensors are llama.cpp's for "llama".
 *
 * Particular to it: the experts' width stands under feed_forward_length, the converter has permuted the rows
 * of queries and keys, softmax over all experts and renormalised over the chosen. */
#include "model/model_specs.h"

static void read_hparams(ssw_model_keys *keys, ssw_model_hparams *h)
{
    if (!ssw_model_keys_has(keys, "expert_count"))
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "a llama model without experts (key 'llama.expert_count'); only those with are run");
    ssw_model_hparams_read_common(keys, h);
    h->n_ff_expert = ssw_model_keys_read_int(keys, "feed_forward_length", 1, SSW_MODEL_FF_MAX);
    ssw_model_hparams_read_rope(keys, h);
    h->rope.round_range = true;
    h->rope.is_interleaved = true;
    h->gating = SSW_MODEL_GATING_SOFTMAX_ALL_RENORM;
}

static const ssw_model_tensor_spec tensors[] = {SSW_MODEL_SPECS_LLAMA_ATTENTION, SSW_MODEL_SPECS_EXPERTS};

const ssw_model_arch ssw_model_arch_mixtral = {
    .name = "llama",
    .read_hparams = read_hparams,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof tensors[0],
};
