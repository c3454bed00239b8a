/* What latent attention does before and after the attention over the cache: see ssw_model_latent.
 *
 * A head's score of a token is (W_k^T q) . c with the token's cached vector c, and its result is W_v times
 * the weighted sum of the c: so keys and values of single tokens are never made. */
#include <string.h>

#include "engine/station.h"

static bool is_quantised(const ssw_station *s, const ssw_cpu_matrix *w)
{
    return ssw_dtype_find((uint32_t)w->dtype)->block_elements > 1 && s->f->heads_q8;
}

/* out[t][h] = W[h] x[t][h]; x's rows are x_dim apart. */
static void multiply_heads(const ssw_station *s, ssw_model_slot slot, const float *x, int64_t x_dim,
                           float *out, int64_t out_dim)
{
    const ssw_cpu_matrix *w = ssw_station_matrix(s, slot);
    void *q8 = is_quantised(s, w) ? s->f->heads_q8 : NULL;
    int64_t n_rows = (int64_t)s->n_rows * s->h->n_heads;
    if (q8) {
        ssw_cpu_quantize(s->worker, &(ssw_cpu_quantize_args){x, x_dim, n_rows, w->cols, q8});
        ssw_cpu_barrier(s->worker);
    }
    ssw_cpu_matmul_heads_args args = {
        .w = w, .x = {x, x_dim, q8}, .n = s->n_rows, .out = out, .out_dim = out_dim};
    ssw_cpu_matmul_heads(s->worker, &args);
    ssw_cpu_barrier(s->worker);
}

/* RMSNorm in place of the first numbers of each row. */
static void norm_rows(const ssw_station *s, ssw_model_slot weight, float *x, int64_t stride, int64_t cols,
                      void *q8)
{
    ssw_cpu_norm_args args = {.x = x,
                              .x_stride = stride,
                              .n = s->n_rows,
                              .cols = cols,
                              .weight = ssw_station_floats(s, weight),
                              .eps = s->h->norm_eps,
                              .out = x,
                              .out_stride = stride,
                              .out_q8 = q8};
    ssw_cpu_norm(s->worker, &args);
}

/* The rotated numbers of every head's query go behind those that the head's matrix has made. */
static void place_rotated(const ssw_station *s)
{
    const ssw_model_hparams *h = s->h;
    size_t n = (size_t)h->rope.n_dims, nope = (size_t)h->latent.nope_dim, rank = (size_t)h->latent.kv_rank;
    for (int64_t i = s->index; i < (int64_t)s->n_rows * h->n_heads; i += s->n_workers)
        memcpy(s->f->q + (size_t)i * (rank + n) + rank, s->f->head_q + (size_t)i * (nope + n) + nope,
               n * sizeof(float));
}

void ssw_latent_project(const ssw_station *s)
{
    ssw_forward *f = s->f;
    const ssw_model_hparams *h = s->h;
    const ssw_model_latent *latent = &h->latent;
    int64_t head_q = latent->nope_dim + h->rope.n_dims;
    bool has_low_q = latent->q_rank > 0;
    ssw_station_product(s, has_low_q ? SSW_MODEL_ATTN_Q_A : SSW_MODEL_ATTN_Q, SSW_MODEL_ATTN_Q_BIAS,
                        has_low_q ? f->low_q : f->head_q);
    ssw_station_product(s, SSW_MODEL_ATTN_KV_A, SSW_MODEL_ATTN_K_BIAS, f->k);
    ssw_cpu_barrier(s->worker);
    norm_rows(s, SSW_MODEL_ATTN_KV_A_NORM, f->k, h->head_dim, latent->kv_rank, NULL);
    if (has_low_q) {
        norm_rows(s, SSW_MODEL_ATTN_Q_A_NORM, f->low_q, latent->q_rank, latent->q_rank, f->low_q_q8);
        ssw_cpu_barrier(s->worker);
        ssw_cpu_matmul_args args = {.w = ssw_station_matrix(s, SSW_MODEL_ATTN_Q_B),
                                    .x = {f->low_q, latent->q_rank, f->low_q_q8},
                                    .n = s->n_rows,
                                    .out = f->head_q,
                                    .out_stride = h->n_heads * head_q};
        ssw_cpu_matmul(s->worker, &args);
        ssw_cpu_barrier(s->worker);
    }
    place_rotated(s);
    multiply_heads(s, SSW_MODEL_ATTN_K_B, f->head_q, head_q, f->q, h->head_dim);
}

void ssw_latent_unfold(const ssw_station *s)
{
    const ssw_model_latent *latent = &s->h->latent;
    multiply_heads(s, SSW_MODEL_ATTN_V_B, s->f->head_latent, latent->kv_rank, s->f->attended,
                   latent->value_dim);
}
