/* See the header. */
#include "engine/latent_split.h"

#include <stdlib.h>

#include "quant/half.h"
#include "quant/quant.h"

ssw_dtype ssw_latent_part_dtype(const ssw_gguf_tensor *joint)
{
    return joint->dtype == SSW_DTYPE_F32 ? SSW_DTYPE_F32 : SSW_DTYPE_F16;
}

int64_t ssw_latent_part_rows(const ssw_latent_part *part)
{
    const ssw_model_latent *latent = &part->hparams->latent;
    return part->is_value ? latent->value_dim : latent->kv_rank;
}

int64_t ssw_latent_part_cols(const ssw_latent_part *part)
{
    const ssw_model_latent *latent = &part->hparams->latent;
    return part->is_value ? latent->kv_rank : latent->nope_dim;
}

static void put(void *matrices, ssw_dtype dtype, size_t at, float value)
{
    if (dtype == SSW_DTYPE_F32)
        ((float *)matrices)[at] = value;
    else
        ((uint16_t *)matrices)[at] = ssw_half_to_f16(value);
}

void *ssw_latent_part_make(const ssw_latent_part *part, const ssw_gguf_tensor *joint)
{
    const ssw_model_latent *latent = &part->hparams->latent;
    size_t rank = (size_t)latent->kv_rank, nope = (size_t)latent->nope_dim, value = (size_t)latent->value_dim;
    size_t n_heads = (size_t)part->hparams->n_heads, n_rows = part->is_value ? value : nope;
    ssw_dtype dtype = ssw_latent_part_dtype(joint);
    uint64_t row_bytes = ssw_dtype_row_bytes(joint->dtype, rank);
    void *out = malloc(n_heads * n_rows * rank * (dtype == SSW_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t)));
    float *row = malloc(rank * sizeof *row);
    for (size_t i = 0; out && row && i < n_heads * n_rows; i++) {
        size_t head = i / n_rows, r = i % n_rows;
        size_t from = head * (nope + value) + (part->is_value ? nope : 0) + r;
        ssw_quant_dequantize_row(joint->dtype, (const uint8_t *)joint->data + from * row_bytes, rank, row);
        for (size_t c = 0; c < rank; c++)
            put(out, dtype, part->is_value ? i * rank + c : (head * rank + c) * nope + r, row[c]);
    }
    if (!row) {
        free(out);
        out = NULL;
    }
    free(row);
    return out;
}
