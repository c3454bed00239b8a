/* Matrix products: bands of rows over the workers, tokens in tiles. */
#include <assert.h>

#include "cpu/kernels.h"

enum {
    ROWS = SSW_TILE_ROWS,
    TOKENS_PER_PASS = 256,   /* their activations stay in the second-level cache while the bands go by */
    DYNAMIC_TOKENS_MIN = 16, /* fewer: contiguous shares, which stream best */
    BANDS_PER_TAKE = 4
};

/* Adds what the tile kernel does not know: bias, residual, and the matrix's last row. */
static void store_tile(const ssw_cpu_matmul_args *args, int64_t band, int64_t token, int n,
                       float tile[][SSW_TILE_ROWS])
{
    int64_t first = band * ROWS;
    int n_rows = args->w->rows - first < ROWS ? (int)(args->w->rows - first) : ROWS;
    for (int t = 0; t < n; t++) {
        float *out = args->out + (token + t) * args->out_stride + first;
        if (args->bias) {
            for (int r = 0; r < n_rows; r++)
                tile[t][r] += args->bias[first + r];
        }
        if (args->accumulate) {
            for (int r = 0; r < n_rows; r++)
                out[r] += tile[t][r];
        } else {
            for (int r = 0; r < n_rows; r++)
                out[r] = tile[t][r];
        }
    }
}

/* Token t's activations are row t * x_step of x. */
static void multiply_bands(const ssw_cpu_worker *worker, const ssw_cpu_matmul_args *args, int64_t x_step,
                           ssw_span bands, ssw_span tokens)
{
    const ssw_cpu_matrix *w = args->w;
    ssw_tile_kernel *kernel = ssw_kernels_tile(worker->kernels, w->dtype);
    bool q8 = worker->kernels->takes_q8 && !ssw_kernels_dtype_is_float(w->dtype);
    assert(q8 ? args->x.q8 != NULL : args->x.f32 != NULL);
    _Alignas(64) float out[SSW_TILE_BANDS * SSW_TILE_TOKENS][ROWS];
    ssw_tile tile = {.band_bytes = w->band_bytes, .cols = w->cols, .out = out};
    for (int64_t band = bands.begin; band < bands.end; band += SSW_TILE_BANDS) {
        tile.band = ssw_matrix_band(w, args->index, band);
        tile.n_bands = bands.end - band < SSW_TILE_BANDS ? (int)(bands.end - band) : SSW_TILE_BANDS;
        for (int64_t token = tokens.begin; token < tokens.end; token += SSW_TILE_TOKENS) {
            tile.n = tokens.end - token < SSW_TILE_TOKENS ? (int)(tokens.end - token) : SSW_TILE_TOKENS;
            for (int t = 0; t < tile.n; t++)
                tile.x[t] = ssw_acts_row(&args->x, q8, w->cols, (token + t) * x_step);
            kernel(&tile);
            for (int i = 0; i < tile.n_bands; i++)
                store_tile(args, band + i, token, tile.n, out + i * SSW_TILE_TOKENS);
        }
    }
}

void ssw_cpu_matmul(ssw_cpu_worker *worker, const ssw_cpu_matmul_args *args)
{
    int64_t n_bands = ssw_matrix_bands(args->w);
    assert(args->index >= 0 && args->index < args->w->n_matrices);
    if (args->n < DYNAMIC_TOKENS_MIN) {
        multiply_bands(worker, args, 1, ssw_span_of(n_bands, worker->index, worker->n_workers),
                       (ssw_span){0, args->n});
        return;
    }
    int64_t n_takes = (n_bands + BANDS_PER_TAKE - 1) / BANDS_PER_TAKE;
    int64_t n_passes = (args->n + TOKENS_PER_PASS - 1) / TOKENS_PER_PASS;
    ssw_cpu_queue *queue = ssw_cpu_queue_begin(worker);
    for (int64_t unit; (unit = ssw_cpu_queue_take(queue)) < n_takes * n_passes;) {
        ssw_span bands = {unit % n_takes * BANDS_PER_TAKE, (unit % n_takes + 1) * BANDS_PER_TAKE};
        ssw_span tokens = {unit / n_takes * TOKENS_PER_PASS, (unit / n_takes + 1) * TOKENS_PER_PASS};
        bands.end = bands.end < n_bands ? bands.end : n_bands;
        tokens.end = tokens.end < args->n ? tokens.end : args->n;
        multiply_bands(worker, args, 1, bands, tokens);
    }
}

void ssw_cpu_matmul_heads(ssw_cpu_worker *worker, const ssw_cpu_matmul_heads_args *args)
{
    int64_t n_heads = args->w->n_matrices, n_bands = ssw_matrix_bands(args->w);
    ssw_span span = ssw_span_of(n_heads * n_bands, worker->index, worker->n_workers);
    for (int64_t head = span.begin / n_bands; head * n_bands < span.end; head++) {
        int64_t first = head * n_bands;
        ssw_span bands = {first < span.begin ? span.begin - first : 0,
                          first + n_bands > span.end ? span.end - first : n_bands};
        ssw_cpu_matmul_args one = {.w = args->w,
                                   .index = head,
                                   .x = args->x,
                                   .n = args->n,
                                   .out = args->out + head * args->out_dim,
                                   .out_stride = n_heads * args->out_dim};
        if (one.x.f32)
            one.x.f32 += head * args->x.f32_stride;
        if (one.x.q8)
            one.x.q8 = (const uint8_t *)args->x.q8 + (uint64_t)head * ssw_cpu_q8_row_bytes(args->w->cols);
        multiply_bands(worker, &one, n_heads, bands, (ssw_span){0, args->n});
    }
}
