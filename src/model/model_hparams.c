/* The numbers that all families have, range-checked. Keys and defaults are those of llama.cpp's converter and
 * loader. */
#include "model/model_arch.h"

#include <math.h>

enum { SHARED_MAX = 64 };

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

/* attention.key_length_mla and value_length_mla say how wide the heads are; in older files, which lack them,
 * the names without _mla do. */
static void read_latent_heads(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_latent *latent = &h->latent;
    h->n_heads = ssw_model_keys_read_int(keys, "attention.head_count", 1, SSW_MODEL_HEADS_MAX);
    latent->kv_rank = ssw_model_keys_read_int(keys, "attention.kv_lora_rank", 1, SSW_MODEL_LATENT_KEY_MAX);
    latent->q_rank = ssw_model_keys_read_int_or(keys, "attention.q_lora_rank", 0, SSW_MODEL_Q_RANK_MAX, 0);
    h->rope.n_dims = ssw_model_keys_read_int(keys, "rope.dimension_count", 2, SSW_MODEL_HEAD_DIM_MAX);
    latent->is_joint = !ssw_model_keys_has(keys, "attention.key_length_mla");
    const char *key_name = latent->is_joint ? "attention.key_length" : "attention.key_length_mla";
    const char *value_name = latent->is_joint ? "attention.value_length" : "attention.value_length_mla";
    int32_t key_dim = ssw_model_keys_read_int(keys, key_name, 2, 2 * SSW_MODEL_HEAD_DIM_MAX);
    latent->value_dim = ssw_model_keys_read_int(keys, value_name, 1, SSW_MODEL_HEAD_DIM_MAX);
    latent->nope_dim = key_dim - h->rope.n_dims;
    h->n_heads_kv = 1;
    h->head_dim = latent->kv_rank + h->rope.n_dims;
    if (h->rope.n_dims % 2 != 0 || latent->nope_dim < 1 || latent->nope_dim > SSW_MODEL_HEAD_DIM_MAX)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "heads of %d with rope.dimension_count %d: expected an even count "
                              "and up to %d numbers beside it",
                              key_dim, h->rope.n_dims, SSW_MODEL_HEAD_DIM_MAX);
    if (h->head_dim > SSW_MODEL_LATENT_KEY_MAX || h->head_dim % 2 != 0)
        ssw_model_keys_refuse(
            keys, SSW_ERR_UNSUPPORTED,
            "attention.kv_lora_rank %d and rope.dimension_count %d: expected even and at most %d together",
            latent->kv_rank, h->rope.n_dims, SSW_MODEL_LATENT_KEY_MAX);
    h->attention_scale = 1.0f / sqrtf((float)key_dim);
}

static void read_sizes(ssw_model_keys *keys, ssw_model_hparams *h)
{
    h->n_layers = ssw_model_keys_read_int(keys, "block_count", 1, SSW_MODEL_LAYERS_MAX);
    h->n_embd = ssw_model_keys_read_int(keys, "embedding_length", 1, SSW_MODEL_EMBD_MAX);
    h->ctx_train = ssw_model_keys_read_int(keys, "context_length", 1, SSW_MODEL_CTX_MAX);
    h->n_experts = ssw_model_keys_read_int(keys, "expert_count", 1, SSW_MODEL_EXPERTS_MAX);
    int32_t used_max = h->n_experts < SSW_MODEL_EXPERTS_USED_MAX ? h->n_experts : SSW_MODEL_EXPERTS_USED_MAX;
    h->n_experts_used = ssw_model_keys_read_int(keys, "expert_used_count", 1, used_max);
    h->norm = SSW_MODEL_NORM_RMS;
    h->norm_eps = ssw_model_keys_read_float(keys, "attention.layer_norm_rms_epsilon", 0, 1);
    h->expert_scale = 1;
    h->activation = SSW_MODEL_ACTIVATION_SWIGLU;
}

void ssw_model_hparams_read_common(ssw_model_keys *keys, ssw_model_hparams *h)
{
    read_sizes(keys, h);
    read_heads(keys, h);
}

void ssw_model_hparams_read_common_latent(ssw_model_keys *keys, ssw_model_hparams *h)
{
    read_sizes(keys, h);
    read_latent_heads(keys, h);
}

void ssw_model_hparams_read_shared_experts(ssw_model_keys *keys, ssw_model_hparams *h)
{
    h->n_ff_expert = ssw_model_keys_read_int(keys, "expert_feed_forward_length", 1, SSW_MODEL_FF_MAX);
    h->n_ff_dense = ssw_model_keys_read_int(keys, "feed_forward_length", 1, SSW_MODEL_FF_MAX);
    h->n_dense_layers = ssw_model_keys_read_int_or(keys, "leading_dense_block_count", 0, h->n_layers, 0);
    int32_t n_shared = ssw_model_keys_read_int(keys, "expert_shared_count", 1, SHARED_MAX);
    h->n_ff_shared = n_shared * h->n_ff_expert;
    h->expert_scale = ssw_model_keys_read_float_or(keys, "expert_weights_scale", 0.001, 1000, 1);
}

void ssw_model_hparams_read_rope(ssw_model_keys *keys, ssw_model_hparams *h)
{
    ssw_model_rope *rope = &h->rope;
    int32_t rotated = h->head_dim - h->latent.kv_rank;
    rope->n_dims =
        ssw_model_keys_read_int_or(keys, "rope.dimension_count", 2, SSW_MODEL_HEAD_DIM_MAX, rotated);
    rope->freq_base = ssw_model_keys_read_float_or(keys, "rope.freq_base", 2, 1e9, 10000);
    rope->factor = 1;
    rope->original_context = h->ctx_train;
    rope->beta_fast = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_fast", 0.001, 1000, 32);
    rope->beta_slow = ssw_model_keys_read_float_or(keys, "rope.scaling.yarn_beta_slow", 0.001, 1000, 1);
    if (rope->n_dims != rotated)
        ssw_model_keys_refuse(keys, SSW_ERR_UNSUPPORTED,
                              "key '%s.rope.dimension_count' is %d, expected the head's %d", keys->arch_name,
                              rope->n_dims, rotated);
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
