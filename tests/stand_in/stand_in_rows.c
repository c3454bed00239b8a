/* The stand-in's operations between the products: norms, quantising, rotation, routing, sorting. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/half.h"
#include "stand_in_math.h"
#include "stand_in_parts.h"

/* ---- norms ---- */

/* Row r, to out and, where it is wanted, to out_cpu_q8. */
static void norm_row(const ssw_cuda_norm_args *args, int32_t r, float *out)
{
    int64_t cols = args->cols;
    ssw_cpu_norm_args cpu = {.x = args->x + r * cols,
                             .x_stride = cols,
                             .n = 1,
                             .cols = cols,
                             .weight = args->weight,
                             .bias = args->bias,
                             .eps = args->eps,
                             .subtract_mean = args->subtract_mean,
                             .out = out,
                             .out_stride = cols,
                             .alone = true};
    if (args->out_cpu_q8)
        cpu.out_q8 = (uint8_t *)args->out_cpu_q8 + (uint64_t)r * ssw_cpu_q8_row_bytes(cols);
    ssw_cpu_norm(stand_in_worker(), &cpu);
}

static void run_norm(const void *given)
{
    const ssw_cuda_norm_args *args = given;
    int64_t cols = args->cols;
    uint64_t row_bytes = (uint64_t)cols * sizeof(float);
    float *row = malloc(row_bytes);
    if (!row)
        stand_in_end("no memory for a row");
    stand_in_require(args->x, (uint64_t)args->n * row_bytes, "norm's x");
    stand_in_require(args->weight, row_bytes, "norm's weight");
    stand_in_require(args->bias, row_bytes, "norm's bias");
    stand_in_require_acts(args->out, args->n, cols, "norm's out");
    stand_in_require(args->out_cpu_f32, (uint64_t)args->n * row_bytes, "norm's out_cpu_f32");
    stand_in_require(args->out_cpu_q8, (uint64_t)args->n * ssw_cpu_q8_row_bytes(cols), "norm's out_cpu_q8");
    for (int32_t r = 0; r < args->n; r++) {
        norm_row(args, r, row);
        stand_in_store_acts(row, cols, args->out, r * cols);
        if (args->out_cpu_f32)
            memcpy(args->out_cpu_f32 + r * cols, row, row_bytes);
    }
    free(row);
}

void ssw_cuda_norm(ssw_cuda_stream stream, const ssw_cuda_norm_args *args)
{
    assert((!args->out.q && !args->out_cpu_q8) || args->cols % SSW_CUDA_BLOCK == 0);
    assert(args->cols % 4 == 0 && args->cols <= SSW_CUDA_NORM_COLS_MAX);
    stand_in_enqueue(stream, run_norm, args, sizeof *args);
}

void ssw_cuda_norm_gemv(ssw_cuda_stream stream, const ssw_cuda_norm_args *norm,
                        const ssw_cuda_product_args *args, int n_products)
{
    assert(norm->n == args->n && norm->cols == args->w.cols && !norm->out_cpu_q8 && !norm->out_cpu_f32);
    ssw_cuda_norm(stream, norm);
    ssw_cuda_gemv_fused(stream, args, n_products);
}

typedef struct quantize_args {
    const float *x;
    int64_t n;
    ssw_cuda_acts out;
} quantize_args;

static void run_quantize(const void *given)
{
    const quantize_args *args = given;
    stand_in_require(args->x, (uint64_t)args->n * sizeof(float), "floats to quantise");
    stand_in_require_acts(args->out, 1, args->n, "quantised floats");
    stand_in_store_acts(args->x, args->n, args->out, 0);
}

void ssw_cuda_quantize(ssw_cuda_stream stream, const float *x, int32_t n, int64_t cols, ssw_cuda_acts out)
{
    assert(cols % SSW_CUDA_BLOCK == 0);
    stand_in_enqueue(stream, run_quantize, &(quantize_args){x, n * cols, out}, sizeof(quantize_args));
}

/* ---- rotation ---- */

/* A head's norm, if it has one, and its rotation; out may be head. */
static void turn_head(const ssw_cuda_rope_args *args, const float *cos_sin, const float *norm,
                      const float *head, float *out)
{
    int32_t d = args->head_dim, n_pairs = args->n_pairs;
    memmove(out, head, (size_t)d * sizeof *out);
    if (norm) {
        ssw_cpu_norm_args cpu = {
            .x = out, .n = 1, .cols = d, .weight = norm, .eps = args->norm_eps, .out = out, .alone = true};
        ssw_cpu_norm(stand_in_worker(), &cpu);
    }
    for (int32_t i = 0; i < n_pairs; i++) {
        float *first = out + (args->interleaved ? 2 * i : i);
        float *second = args->interleaved ? first + 1 : first + n_pairs;
        float a = *first, b = *second, cosine = cos_sin[i], sine = cos_sin[n_pairs + i];
        *first = a * cosine - b * sine;
        *second = b * cosine + a * sine;
    }
}

/* One head to keys or values from element `at` on; a block of Q8_0 as cuda_ops.h says. */
static void store_cache(const float *head, int64_t d, void *cache, uint16_t *scales, int64_t at,
                        const char *what)
{
    uint16_t *halves = (uint16_t *)cache + at;
    uint8_t *bytes = (uint8_t *)cache + at;
    stand_in_require(scales ? (void *)bytes : (void *)halves, (uint64_t)d * (scales ? 1 : 2), what);
    if (scales)
        stand_in_require(scales + at / SSW_CUDA_BLOCK, (uint64_t)d / SSW_CUDA_BLOCK * sizeof *scales, what);
    for (int64_t i = 0; i < d && !scales; i++)
        halves[i] = ssw_half_to_f16(head[i]);
    for (int64_t b = 0; b < d / SSW_CUDA_BLOCK && scales; b++) {
        const float *block = head + b * SSW_CUDA_BLOCK;
        float largest = 0;
        for (int i = 0; i < SSW_CUDA_BLOCK; i++)
            largest = fmaxf(largest, fabsf(block[i]));
        uint16_t half = ssw_half_to_f16(largest / 127);
        float scale = ssw_half_from_f16(half);
        scales[at / SSW_CUDA_BLOCK + b] = half;
        for (int i = 0; i < SSW_CUDA_BLOCK; i++)
            bytes[b * SSW_CUDA_BLOCK + i] =
                (uint8_t)(128 + (scale > 0 ? fminf(fmaxf(rintf(block[i] / scale), -127), 127) : 0));
    }
}

static void run_rope_store(const void *given)
{
    const ssw_cuda_rope_args *args = given;
    int64_t d = args->head_dim, n_kv = (int64_t)args->n_kv_heads * d, n_q = (int64_t)args->n_heads * d;
    float cos_sin[2 * SSW_CPU_ROPE_PAIRS_MAX], head[SSW_CUDA_HEAD_DIM_MAX];
    ssw_cpu_rope rope = {.n_pairs = args->n_pairs, .scale = args->magnitude};
    stand_in_require(args->rows, (uint64_t)args->n * sizeof *args->rows, "rows of a step");
    stand_in_require(args->inv_freq, (uint64_t)args->n_pairs * sizeof(float), "frequencies");
    stand_in_require(args->q, (uint64_t)(args->n * n_q) * sizeof(float), "queries");
    stand_in_require(args->k, (uint64_t)(args->n * n_kv) * sizeof(float), "keys");
    stand_in_require(args->v, (uint64_t)(args->n * n_kv) * sizeof(float), "values");
    memcpy(rope.inv_freq, args->inv_freq, (size_t)args->n_pairs * sizeof(float));
    for (int32_t r = 0; r < args->n; r++) {
        const ssw_cuda_row *row = &args->rows[r];
        ssw_cpu_rope_angles(&rope, row->position, cos_sin);
        for (int32_t h = 0; h < args->n_heads; h++)
            turn_head(args, cos_sin, args->q_norm, args->q + r * n_q + h * d, args->q + r * n_q + h * d);
        for (int32_t h = 0; h < args->n_kv_heads; h++) {
            int64_t at = row->sequence * args->kv.sequence_stride +
                         ((int64_t)h * args->kv.n_rows + row->position % args->kv.n_rows) * d;
            turn_head(args, cos_sin, args->k_norm, args->k + r * n_kv + h * d, head);
            store_cache(head, d, args->kv.k, args->kv.k_scales, at, "cache of keys");
            store_cache(args->v + r * n_kv + h * d, d, args->kv.v, args->kv.v_scales, at, "cache of values");
        }
    }
}

void ssw_cuda_rope_store(ssw_cuda_stream stream, const ssw_cuda_rope_args *args)
{
    assert(args->head_dim <= SSW_CUDA_HEAD_DIM_MAX && 2 * args->n_pairs <= args->head_dim);
    stand_in_enqueue(stream, run_rope_store, args, sizeof *args);
}

/* ---- routing ---- */

/* From the logits of row r. */
static void route_row(const ssw_cuda_route_args *args, const float *logits, int32_t r)
{
    static const ssw_cpu_route_kind kinds[] = {[SSW_CUDA_ROUTE_TOPK_SOFTMAX] = SSW_CPU_ROUTE_TOPK_SOFTMAX,
                                               [SSW_CUDA_ROUTE_SOFTMAX_TOPK] = SSW_CPU_ROUTE_SOFTMAX_TOPK,
                                               [SSW_CUDA_ROUTE_SPARSEMIXER] = SSW_CPU_ROUTE_SPARSEMIXER};
    ssw_cpu_route_args cpu = {.logits = logits,
                              .logits_stride = args->n_experts,
                              .n = 1,
                              .n_experts = args->n_experts,
                              .n_used = args->n_used,
                              .kind = kinds[args->kind],
                              .renormalise = args->renormalise,
                              .jitter = args->jitter,
                              .scale = args->scale,
                              .chosen = args->chosen + (int64_t)r * args->n_used,
                              .weights = args->weights + (int64_t)r * args->n_used,
                              .alone = true};
    ssw_cpu_route(stand_in_worker(), &cpu);
}

static void run_route(const void *given)
{
    const ssw_cuda_route_args *args = given;
    uint64_t n_pairs = (uint64_t)args->n * (uint64_t)args->n_used;
    stand_in_require(args->logits, (uint64_t)(args->n * args->n_experts) * sizeof(float), "router's logits");
    stand_in_require(args->chosen, n_pairs * sizeof(int32_t), "router's choice");
    stand_in_require(args->weights, n_pairs * sizeof(float), "router's weights");
    for (int32_t r = 0; r < args->n; r++)
        route_row(args, args->logits + (int64_t)r * args->n_experts, r);
}

void ssw_cuda_route(ssw_cuda_stream stream, const ssw_cuda_route_args *args)
{
    assert(args->n_experts <= SSW_CUDA_EXPERTS_MAX && args->n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    stand_in_enqueue(stream, run_route, args, sizeof *args);
}

uint64_t ssw_cuda_router_scratch_floats(int32_t n_experts)
{
    return (uint64_t)n_experts;
}

static void run_router(const void *given)
{
    const ssw_cuda_router_args *args = given;
    uint64_t cols = (uint64_t)args->norm.cols,
             n_pairs = (uint64_t)args->route.n * (uint64_t)args->route.n_used;
    ssw_cuda_acts row = {malloc(cols * sizeof(float)), malloc(cols), malloc(cols * sizeof(float))};
    float *logits = malloc((uint64_t)args->route.n_experts * sizeof *logits);
    if (!row.f32 || !row.q || !row.q_scales || !logits)
        stand_in_end("no memory for a row");
    stand_in_require(args->route.chosen, n_pairs * sizeof(int32_t), "router's choice");
    stand_in_require(args->route.weights, n_pairs * sizeof(float), "router's weights");
    run_norm(&args->norm);
    for (int32_t r = 0; r < args->norm.n; r++) {
        norm_row(&args->norm, r, row.f32);
        if (cols % SSW_CUDA_BLOCK == 0)
            stand_in_store_acts(row.f32, (int64_t)cols, row, 0);
        ssw_cuda_product_args product = {
            .w = args->w, .x = row, .n = 1, .bias = args->bias, .out = logits, .out_stride = args->w.rows};
        (void)stand_in_multiply(&product, NULL);
        route_row(&args->route, logits, r);
    }
    free(row.f32);
    free(row.q);
    free(row.q_scales);
    free(logits);
    if (!args->ready)
        return;
    stand_in_require(args->ready, sizeof *args->ready, "signal");
    stand_in_require(args->step, sizeof *args->step, "signal's step");
    stand_in_require(args->host_chosen, n_pairs * sizeof(int32_t), "choice for the host");
    stand_in_require(args->host_weights, n_pairs * sizeof(float), "weights for the host");
    memcpy(args->host_chosen, args->route.chosen, n_pairs * sizeof(int32_t));
    memcpy(args->host_weights, args->route.weights, n_pairs * sizeof(float));
    __atomic_store_n(&args->ready->value, *args->step, __ATOMIC_RELEASE);
}

void ssw_cuda_router(ssw_cuda_stream stream, const ssw_cuda_router_args *args)
{
    assert(args->norm.n >= 1 && args->norm.n <= SSW_CUDA_GEMV_TOKENS_MAX && args->route.n == args->norm.n);
    assert(args->w.cols == args->norm.cols && args->w.rows == args->route.n_experts && !args->w.table);
    stand_in_require(args->scratch, ssw_cuda_router_scratch_floats(args->route.n_experts) * sizeof(float),
                     "router's scratch");
    stand_in_enqueue(stream, run_router, args, sizeof *args);
}

typedef struct sort_args {
    const int32_t *chosen;
    int32_t n_pairs, n_experts;
    int32_t *first, *pair;
} sort_args;

static void run_sort_pairs(const void *given)
{
    const sort_args *args = given;
    int32_t n = 0;
    stand_in_require(args->chosen, (uint64_t)args->n_pairs * sizeof(int32_t), "choices to sort");
    stand_in_require(args->first, (uint64_t)(args->n_experts + 1) * sizeof(int32_t), "sorted pairs' first");
    stand_in_require(args->pair, (uint64_t)args->n_pairs * sizeof(int32_t), "sorted pairs");
    for (int32_t e = 0; e < args->n_experts; e++) {
        args->first[e] = n;
        for (int32_t p = 0; p < args->n_pairs; p++) {
            if (args->chosen[p] == e)
                args->pair[n++] = p;
        }
    }
    args->first[args->n_experts] = n;
}

void ssw_cuda_sort_pairs(ssw_cuda_stream stream, const int32_t *chosen, int32_t n_pairs, int32_t n_experts,
                         int32_t *first, int32_t *pair)
{
    assert(n_experts <= SSW_CUDA_EXPERTS_MAX);
    stand_in_enqueue(stream, run_sort_pairs, &(sort_args){chosen, n_pairs, n_experts, first, pair},
                     sizeof(sort_args));
}
