/* Operands of the GPU operations and of their plain-C references (SSW_CPU_ISA_GENERIC), side by side: a
 * stream, a team of CPU workers, random weights and activations on both sides. Included by the tests of
 * operations. */
#ifndef SSW_TESTS_CUDA_OPERANDS_H
#define SSW_TESTS_CUDA_OPERANDS_H

#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/ops.h"
#include "cuda/cuda_device.h"
#include "cuda/cuda_ops.h"
#include "quant/quant.h"

enum { EXIT_SKIPPED = 77, ALLOCATIONS_MAX = 64, TOKENS = 8 };

/* Of sums of products of order one, relative to the largest result. */
#define SUM_TOLERANCE 2e-5f

static ssw_pool *pool;
static ssw_cpu_team *team;
static ssw_cuda_stream stream;
static void *allocations[ALLOCATIONS_MAX];
static int n_allocations;
static uint32_t random_state = 1;

static inline float uniform(float low, float high)
{
    random_state = random_state * 1664525u + 1013904223u;
    return low + (high - low) * (float)(random_state >> 8) / (float)(1 << 24);
}

static inline float *random_floats(size_t n, float low, float high)
{
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = uniform(low, high);
    return values;
}

/* On the device until the end of the test; poisoned when there is nothing to copy. */
static inline void *on_device(const void *from, size_t n_bytes)
{
    void *memory = NULL;
    ssw_error err;
    uint8_t *poison = NULL;
    assert_true(n_allocations < ALLOCATIONS_MAX);
    assert_int_equal(ssw_cuda_alloc(&memory, n_bytes, &err), SSW_OK);
    allocations[n_allocations++] = memory;
    if (!from) {
        poison = malloc(n_bytes);
        assert_non_null(poison);
        memset(poison, 0xff, n_bytes);
    }
    assert_int_equal(ssw_cuda_copy_to_device(memory, from ? from : poison, n_bytes, &err), SSW_OK);
    free(poison);
    return memory;
}

static inline void *from_device(const void *memory, size_t n_bytes)
{
    ssw_error err;
    void *copy = malloc(n_bytes);
    assert_non_null(copy);
    if (ssw_cuda_stream_sync(stream, &err) != SSW_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ssw_cuda_copy_to_host(copy, memory, n_bytes, &err), SSW_OK);
    return copy;
}

static inline int free_all(void **state)
{
    (void)state;
    while (n_allocations > 0)
        ssw_cuda_free(allocations[--n_allocations]);
    return 0;
}

static inline void assert_close(const char *what, const float *expected, const float *got, size_t n,
                                float tolerance)
{
    float largest = 0, distance = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(expected[i]));
        float d = fabsf(expected[i] - got[i]);
        distance = d <= distance ? distance : d; /* NaN sticks */
    }
    if (!(distance <= tolerance * fmaxf(largest, 1e-3f)))
        fail_msg("%s: off by %g where the largest is %g", what, (double)distance, (double)largest);
}

/* ---- operands on both sides ---- */

typedef struct weights {
    ssw_cpu_matrix cpu;
    ssw_cuda_matrix gpu;
} weights;

static inline weights make_weights(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n)
{
    weights w;
    ssw_error err;
    uint64_t row_bytes = ssw_dtype_row_bytes(dtype, (uint64_t)cols);
    uint8_t *file = malloc((size_t)(n * rows) * row_bytes);
    assert_non_null(file);
    for (int64_t r = 0; r < n * rows; r++) {
        float *values = random_floats((size_t)cols, -1, 1);
        assert_true(ssw_quant_quantize_row(dtype, values, (uint64_t)cols, file + (size_t)r * row_bytes));
        free(values);
    }
    assert_int_equal(ssw_cpu_matrix_init(&w.cpu, dtype, rows, cols, n, &err), SSW_OK);
    ssw_cpu_matrix_fill(&w.cpu, file, 0, 1);
    free(file);
    w.gpu = (ssw_cuda_matrix){.dtype = dtype,
                              .rows = rows,
                              .cols = cols,
                              .n_matrices = (int32_t)n,
                              .band_bytes = w.cpu.band_bytes,
                              .matrix_bytes = w.cpu.matrix_bytes,
                              .data = on_device(w.cpu.data, w.cpu.n_bytes)};
    return w;
}

typedef struct acts {
    float *f32;
    void *q8;
    ssw_cpu_acts cpu;
    ssw_cuda_acts gpu;
} acts;

typedef struct cpu_call {
    void (*run)(ssw_cpu_worker *worker, const void *args);
    const void *args;
} cpu_call;

static inline void call_cpu(void *context, int worker, int n_workers)
{
    const cpu_call *call = context;
    (void)n_workers;
    call->run(ssw_cpu_team_worker(team, worker), call->args);
}

#define CPU(operation, arguments)                                                                            \
    ssw_pool_run(                                                                                            \
        pool, call_cpu,                                                                                      \
        &(cpu_call){(void (*)(ssw_cpu_worker *, const void *))(void (*)(void))(operation), (arguments)})

static inline ssw_cuda_acts empty_acts(int64_t n, int64_t cols)
{
    ssw_cuda_acts out = {.f32 = on_device(NULL, (size_t)(n * cols) * sizeof(float))};
    if (cols % SSW_CUDA_BLOCK == 0) {
        out.q = on_device(NULL, (size_t)(n * cols));
        out.q_scales = on_device(NULL, (size_t)(n * cols / SSW_CUDA_BLOCK) * 2 * sizeof(float));
    }
    return out;
}

static inline acts make_acts(int64_t n, int64_t cols)
{
    acts x = {.f32 = random_floats((size_t)(n * cols), -2, 2)};
    float *device = on_device(x.f32, (size_t)(n * cols) * sizeof(float));
    x.cpu = (ssw_cpu_acts){.f32 = x.f32, .f32_stride = cols};
    x.gpu = empty_acts(n, cols);
    x.gpu.f32 = device;
    if (cols % SSW_CUDA_BLOCK == 0) {
        x.q8 = ssw_cpu_memory_alloc((uint64_t)n * ssw_cpu_q8_row_bytes(cols));
        CPU(ssw_cpu_quantize, (&(ssw_cpu_quantize_args){x.f32, cols, n, cols, x.q8}));
        x.cpu.q8 = x.q8;
        ssw_cuda_acts q_only = {.q = x.gpu.q, .q_scales = x.gpu.q_scales};
        ssw_cuda_quantize(stream, device, (int32_t)n, cols, q_only);
    }
    return x;
}

static inline void drop_acts(acts *x, int64_t n, int64_t cols)
{
    free(x->f32);
    ssw_cpu_memory_free(x->q8, (uint64_t)n * ssw_cpu_q8_row_bytes(cols));
}

/* Everything above, before the first test; another status than 0 is the program's. */
static inline int open_operands(void)
{
    ssw_cuda_device device;
    ssw_error err;
    if (ssw_cuda_device_count(&err) == 0) {
        printf("no GPU: %s\n", err.message);
        return EXIT_SKIPPED;
    }
    ssw_pool_options pool_options = {.n_threads = 2};
    if (ssw_cuda_device_open(0, &device, &err) != SSW_OK || ssw_cuda_stream_open(&stream, &err) != SSW_OK ||
        ssw_pool_open(&pool_options, &pool, &err) != SSW_OK) {
        printf("%s\n", err.message);
        return 1;
    }
    ssw_cpu_team_options team_options = {pool, SSW_CPU_ISA_GENERIC, TOKENS, 8};
    if (ssw_cpu_team_open(&team_options, &team, &err) != SSW_OK) {
        printf("%s\n", err.message);
        return 1;
    }
    printf("%s\n", device.name);
    return 0;
}

#endif
