/* A hostile model: whatever src/model accepts must have the shapes that the layer code will rely on, and the
 * refusals must be one line that begins with the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_network(const ssw_model *model, int32_t layer, ssw_model_slot gate_slot,
                          ssw_model_slot down_slot, int32_t n_experts)
{
    const ssw_gguf_tensor *gate = ssw_model_tensor(model, layer, gate_slot);
    const ssw_gguf_tensor *down = ssw_model_tensor(model, layer, down_slot);
    require(gate && down && gate->dims[1] == down->dims[0] && gate->dims[2] == down->dims[2]);
    require(gate->dims[0] == (uint64_t)model->hparams.n_embd && gate->dims[2] == (uint64_t)n_experts);
}

/* Latent attention's tensors, which its layer code takes to be there. */
static void check_latent(const ssw_model *model, int32_t layer)
{
    const ssw_model_latent *latent = &model->hparams.latent;
    const ssw_gguf_tensor *k_b = ssw_model_tensor(model, layer, SSW_MODEL_ATTN_K_B);
    const ssw_gguf_tensor *v_b = ssw_model_tensor(model, layer, SSW_MODEL_ATTN_V_B);
    const ssw_gguf_tensor *joint = ssw_model_tensor(model, layer, SSW_MODEL_ATTN_KV_B);
    bool has_low_q = latent->q_rank > 0;
    uint64_t head_rows = (uint64_t)latent->nope_dim + (uint64_t)latent->value_dim;
    require(!joint != latent->is_joint);
    require(!joint || (joint->dims[0] == (uint64_t)latent->kv_rank &&
                       joint->dims[1] == (uint64_t)model->hparams.n_heads * head_rows));
    require(joint || (k_b && v_b && k_b->dims[1] == v_b->dims[0] && k_b->dims[2] == v_b->dims[2]));
    require(joint ||
            (k_b->dims[0] == (uint64_t)latent->nope_dim && v_b->dims[1] == (uint64_t)latent->value_dim));
    require(!ssw_model_tensor(model, layer, SSW_MODEL_ATTN_Q) == has_low_q);
    require(!ssw_model_tensor(model, layer, SSW_MODEL_ATTN_Q_B) != has_low_q);
    require(ssw_model_tensor(model, layer, SSW_MODEL_ATTN_KV_A_NORM) != NULL);
}

static void check(const ssw_model *model)
{
    const ssw_model_hparams *h = &model->hparams;
    require(h->n_heads % h->n_heads_kv == 0 && h->head_dim % 2 == 0);
    require(h->rope.n_dims + h->latent.kv_rank == h->head_dim);
    require(h->n_experts_used >= 1 && h->n_experts_used <= h->n_experts && h->rope.factor >= 1);
    for (int32_t layer = 0; layer < h->n_layers; layer++) {
        const ssw_gguf_tensor *sinks = ssw_model_tensor(model, layer, SSW_MODEL_ATTN_SINKS);
        require(!sinks || sinks->n_bytes == (uint64_t)h->n_heads * sizeof(float));
        if (h->latent.kv_rank > 0)
            check_latent(model, layer);
        if (layer < h->n_dense_layers)
            check_network(model, layer, SSW_MODEL_FFN_GATE, SSW_MODEL_FFN_DOWN, 1);
        else
            check_network(model, layer, SSW_MODEL_GATE_EXPS, SSW_MODEL_DOWN_EXPS, h->n_experts);
        if (h->n_ff_shared > 0 && layer >= h->n_dense_layers)
            check_network(model, layer, SSW_MODEL_GATE_SHARED, SSW_MODEL_DOWN_SHARED, 1);
    }
    require(ssw_model_tensor(model, -1, SSW_MODEL_OUTPUT) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    ssw_error err = {0};
    ssw_gguf *gguf;
    ssw_model model;
    if (ssw_gguf_open_memory("input", bytes, n_bytes, &gguf, &err) != SSW_OK)
        return 0;
    if (ssw_model_open(gguf, &model, &err) == SSW_OK) {
        check(&model);
        ssw_model_deinit(&model);
    } else {
        require(strncmp(err.message, "input: ", 7) == 0 && !strchr(err.message, '\n'));
    }
    ssw_gguf_close(gguf);
    return 0;
}
