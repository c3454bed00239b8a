/* The stand-in's matrix products: the CPU's plain tile kernels, on the same bands. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in_math.h"
#include "stand_in_parts.h"

enum { BLOCK = SSW_CUDA_BLOCK };

ssw_cpu_worker *stand_in_worker(void)
{
    static _Thread_local ssw_cpu_worker worker;
    worker.kernels = ssw_kernels_generic();
    worker.n_workers = 1;
    return &worker;
}

void stand_in_require_acts(ssw_cuda_acts x, int64_t n, int64_t cols, const char *what)
{
    uint64_t elements = (uint64_t)(n * cols);
    stand_in_require(x.f32, elements * sizeof(float), what);
    stand_in_require(x.q, elements, what);
    stand_in_require(x.q_scales, elements / BLOCK * 2 * sizeof(float), what);
}

void stand_in_store_acts(const float *x, int64_t n, ssw_cuda_acts out, int64_t at)
{
    if (out.f32)
        memmove(out.f32 + at, x, (size_t)n * sizeof *x);
    if (!out.q)
        return;
    assert(n % BLOCK == 0 && at % BLOCK == 0);
    for (int64_t i = 0; i < n; i += BLOCK) {
        ssw_q8_block block;
        float *scales = out.q_scales + (at + i) / BLOCK * 2;
        ssw_kernels_generic()->quantize(x + i, BLOCK, &block);
        memcpy(out.q + at + i, block.q, BLOCK);
        scales[0] = block.scale;
        scales[1] = block.scale * (float)(block.sums[0] + block.sums[1]);
    }
}

/* The CPU's form of one row. */
static void read_blocks(ssw_cuda_acts x, int64_t row, int64_t cols, ssw_q8_block *out)
{
    for (int64_t b = 0; b < cols / BLOCK; b++, out++) {
        int64_t at = row * cols + b * BLOCK;
        int sums[2] = {0, 0};
        memcpy(out->q, x.q + at, BLOCK);
        for (int i = 0; i < BLOCK; i++)
            sums[i / (BLOCK / 2)] += out->q[i];
        out->scale = x.q_scales[at / BLOCK * 2];
        out->sums[0] = (int16_t)sums[0];
        out->sums[1] = (int16_t)sums[1];
        out->minus_16_sums = -16 * (sums[0] + sums[1]);
        out->minus_128_sums = -128 * (sums[0] + sums[1]);
    }
}

const uint8_t *stand_in_matrix_at(const ssw_cuda_matrix *w, int64_t index)
{
    const uint8_t *at = w->table ? w->table[index] : w->data + (uint64_t)index * w->matrix_bytes;
    uint64_t bands = (uint64_t)(w->rows + SSW_CUDA_BAND_ROWS - 1) / SSW_CUDA_BAND_ROWS;
    stand_in_require(at, bands * w->band_bytes, "weights");
    return at;
}

bool stand_in_multiply(const ssw_cuda_product_args *args, const int32_t *rows)
{
    const ssw_cuda_matrix *w = &args->w;
    const uint8_t *data = stand_in_matrix_at(w, args->index);
    bool is_float = ssw_kernels_dtype_is_float(w->dtype);
    uint64_t row_bytes = is_float ? (uint64_t)w->cols * sizeof(float) : ssw_cpu_q8_row_bytes(w->cols);
    if (!data)
        return false;
    assert(is_float ? args->x.f32 != NULL : args->x.q && args->x.q_scales);
    uint8_t *tile = malloc(SSW_TILE_TOKENS * row_bytes);
    if (!tile)
        stand_in_end("no memory for activations");
    ssw_cpu_matrix matrix = {.dtype = w->dtype,
                             .rows = w->rows,
                             .cols = w->cols,
                             .n_matrices = 1,
                             .band_bytes = w->band_bytes,
                             .matrix_bytes = w->matrix_bytes,
                             .data = (uint8_t *)(uintptr_t)data};
    for (int32_t t = 0; t < args->n; t += SSW_TILE_TOKENS) {
        int32_t n = args->n - t < SSW_TILE_TOKENS ? args->n - t : SSW_TILE_TOKENS;
        for (int32_t i = 0; i < n; i++) {
            int64_t row = rows ? rows[t + i] : t + i;
            void *to = tile + (uint64_t)i * row_bytes;
            if (is_float)
                memcpy(to, args->x.f32 + row * w->cols, row_bytes);
            else
                read_blocks(args->x, row, w->cols, to);
        }
        ssw_cpu_matmul_args cpu = {.w = &matrix,
                                   .n = n,
                                   .x = {(const float *)(const void *)tile, w->cols, tile},
                                   .bias = args->bias,
                                   .out = args->out + t * args->out_stride,
                                   .out_stride = args->out_stride,
                                   .accumulate = args->accumulate};
        ssw_cpu_matmul(stand_in_worker(), &cpu);
    }
    free(tile);
    return true;
}

static void run_product(const void *given)
{
    const ssw_cuda_product_args *args = given;
    stand_in_require_acts(args->x, args->n, args->w.cols, "product's x");
    stand_in_require(args->bias, (uint64_t)args->w.rows * sizeof(float), "product's bias");
    stand_in_require(args->out, (uint64_t)((args->n - 1) * args->out_stride + args->w.rows) * sizeof(float),
                     "product's out");
    (void)stand_in_multiply(args, NULL);
}

void ssw_cuda_product(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    assert(args->n >= 1 && args->index >= 0 && args->index < args->w.n_matrices);
    stand_in_enqueue(stream, run_product, args, sizeof *args);
}

void ssw_cuda_gemv(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    assert(args->n <= SSW_CUDA_GEMV_TOKENS_MAX);
    ssw_cuda_product(stream, args);
}

void ssw_cuda_gemm(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    ssw_cuda_product(stream, args);
}

void ssw_cuda_gemv_fused(ssw_cuda_stream stream, const ssw_cuda_product_args *args, int n_products)
{
    assert(n_products >= 1 && n_products <= SSW_CUDA_GEMV_FUSED_MAX);
    for (int i = 0; i < n_products; i++) {
        assert(!args[i].accumulate && args[i].w.cols == args[0].w.cols && args[i].x.f32 == args[0].x.f32);
        ssw_cuda_gemv(stream, &args[i]);
    }
}
