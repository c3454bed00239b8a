/* The numbers that all families have, range-checked. Keys and defaults are those of llama.cpp's converter and
 * loader. */
#include "model/model_arch.h"

#include <math.h>

static void read_heads(ssw_model_keys *keys, ssw_model_hparams *h)
{
    h->n_heads = ssw_model_keys_read_int(keys, "attention.head_count", 1, SSW_MODEL_HEADS_MAX);
    h->n_heads_kv = ssw_model_keys_read_int_or(keys, "attention.head_count_kv", 1, h->n_heads, h->n_heads);
    int32_t default_dim = h->n_embd / h->n_heads;
    h->head_dim =
        ssw_model_keys_read_int_or(keys, "attention.key_length", 2, SSW_MODEL_HEAD_DIM_MAX, default_dim);
    int32_t value_dim =
        ssw_model_keys_read_int_or(keys, "attention.value_length", 2, SSW_MODEL_HEAD_DIM_MAX, default_dim);
    if (h->n_heads % h->n_heads_kv != 0)
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "%d heads cannot share %d key-value heads evenly",
                              h->n_heads, h->n_heads_kv);
    if (value_dim != h->head_dim || h->head_dim < 2 || h->head_dim % 2 != 0)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "attention.key_length %d and value_length %d: expected equal and even",
                              h->head_dim, value_dim);
    if (h->head_dim > SSW_MODEL_HEAD_DIM_MAX)
        ssw_model_keys_refuse(keys, SSW_ERR_LIMIT, "heads are %d wide, expected at most %d", h->head_dim,
                              SSW_MODEL_HEAD_DIM_MAX);
    h->attention_scale = 1.0f / sqrtf((float)h->head_dim);
}

void ssw_model_hparams_read_common(ssw_model_keys *keys, ssw_model_hparams *h)
{
    h->n_layers = ssw_model_keys_read_int(keys, "block_count", 1, SSW_MODEL_LAYERS_MAX);
    h->n_embd = ssw_model_keys_read_int(keys, "embedding_length", 1, SSW_MODEL_EMBD_MAX);
    h->ctx_train = ssw_model_keys_read_int(keys, "context_length", 1, SSW_MODEL_CTX_MAX);
    read_heads(keys, h);
    h->n_experts = ssw_model_keys_read_int(keys, "expert_count", 1, SSW_MODEL_EXPERTS_MAX);
    int32_t used_max = h->n_experts < SSW_MODEL_EXPERTS_USED_MAX ? h->n_experts : SSW_MODEL_EXPERTS_USED_MAX;
    h->n_experts_used = ssw_model_keys_read_int(keys, "expert_used_count", 1, used_max);
    h->norm = SSW_MODEL_NORM_RMS;
    h->norm_eps = ssw_model_keys_read_float(keys, "attention.layer_norm_rms_epsilon", 0, 1);
    h->expert_scale = 1;
    h->activation = SSW_MODEL_ACTIVATION_SWIGLU;
}

void ssw_model_hparams_read_rope(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_rope *rope = &h->rope;
    rope->n_dims =
        ssw_model_keys_read_int_or(keys, "rope.dimension_count", 2, SSW_MODEL_HEAD_DIM_MAX, h->head_dim);
    rope->freq_base = ssw_model_keys_read_float_or(keys, "rope.freq_base", 2, 1e9, 10000);
    rope->factor = 1;
    rope->original_context = h->ctx_train;
    rope->beta_fast = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_fast", 0.001, 1000, 32);
    rope->beta_slow = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_slow", 0.001, 1000, 1);
    if (rope->n_dims != h->head_dim)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "key '%s.rope.dimension_count' is %d, expected the head's %d", keys->arch_name,
                              rope->n_dims, h->head_dim);
    if (!ssw_model_keys_has(keys, "rope.scaling.type") ||
        ssw_model_keys_is_text(keys, "rope.scaling.type", "none"))
        return;
    if (!ssw_model_keys_is_text(keys, "rope.scaling.type", "yarn")) {
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED, "key '%s.rope.scaling.type' is not 'yarn' or 'none'",
                              keys->arch_name);
        return;
    }
    rope->factor = ssw_model_keys_read_float(keys, "rope.scaling.factor", 1, 1024);
    rope->original_context =
        ssw_model_keys_read_int(keys, "rope.scaling.original_context_length", 1, SSW_MODEL_CTX_MAX);
}
