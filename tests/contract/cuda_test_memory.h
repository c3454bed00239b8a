/* Device copies of test operands, and leaving when there is no device. */
#ifndef SSW_TESTS_CUDA_TEST_MEMORY_H
#define SSW_TESTS_CUDA_TEST_MEMORY_H

#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"
#include "cuda/cuda_device.h"
#include "cuda/cuda_ops.h"

/* Ends the program with meson's code for "skipped" when there is nothing to test on. */
static inline void cuda_test_open(void)
{
    ssw_error why = {0};
    ssw_cuda_device device;
    if (ssw_cuda_device_count(&why) == 0 || ssw_cuda_device_open(0, &device, &why) != SSW_OK) {
        printf("skipped: %s\n", why.message);
        exit(77);
    }
    printf("on %s\n", device.name);
}

/* n_bytes of memory that the device has; from NULL: filled with 0xff, which is NaN and -1. */
static inline void *cuda_test_put(const void *from, uint64_t n_bytes)
{
    void *out = NULL, *nan = NULL;
    assert_int_equal(ssw_cuda_alloc(&out, n_bytes, NULL), SSW_OK);
    if (!from) {
        nan = malloc(n_bytes);
        assert_non_null(nan);
        memset(nan, 0xff, n_bytes);
    }
    assert_int_equal(ssw_cuda_copy_to_device(out, from ? from : nan, n_bytes, NULL), SSW_OK);
    free(nan);
    return out;
}

/* Waits for everything, and copies; free() it. */
static inline void *cuda_test_get(const void *from, uint64_t n_bytes)
{
    ssw_error error = {0};
    void *out = malloc(n_bytes);
    assert_non_null(out);
    if (ssw_cuda_stream_sync(NULL, &error) != SSW_OK ||
        ssw_cuda_copy_to_host(out, from, n_bytes, &error) != SSW_OK)
        fail_msg("%s", error.message);
    return out;
}

/* Activations as the device takes them: made by the CPU's plain kernels. */
typedef struct cuda_test_acts {
    int8_t *q;
    float *q_scales;
    float *rounded; /* the values that q stands for */
} cuda_test_acts;

static inline cuda_test_acts cuda_test_quantize(const float *x, int64_t n)
{
    int64_t n_blocks = n / SSW_QUANT_BLOCK;
    ssw_q8_block *blocks = malloc((size_t)n_blocks * sizeof *blocks);
    cuda_test_acts out = {malloc((size_t)n), malloc((size_t)n_blocks * 8), malloc((size_t)n * sizeof(float))};
    assert_true(blocks && out.q && out.q_scales && out.rounded);
    ssw_kernels_generic()->quantize(x, n, blocks);
    for (int64_t b = 0; b < n_blocks; b++) {
        memcpy(out.q + b * SSW_QUANT_BLOCK, blocks[b].q, SSW_QUANT_BLOCK);
        out.q_scales[2 * b] = blocks[b].scale;
        out.q_scales[2 * b + 1] = blocks[b].scale * (float)(blocks[b].minus_16_sums / -16);
        for (int i = 0; i < SSW_QUANT_BLOCK; i++)
            out.rounded[b * SSW_QUANT_BLOCK + i] = blocks[b].scale * (float)blocks[b].q[i];
    }
    free(blocks);
    return out;
}

static inline void cuda_test_acts_free(cuda_test_acts *a)
{
    free(a->q);
    free(a->q_scales);
    free(a->rounded);
}

/* What the device quantised must be what the CPU makes of the same floats. */
static inline void cuda_test_check_q8(const float *values, const int8_t *q, const float *q_scales, int64_t n)
{
    cuda_test_acts wanted = cuda_test_quantize(values, n);
    for (int64_t i = 0; i < n; i++) {
        if (q[i] != wanted.q[i])
            fail_msg("q[%lld] = %d, not %d", (long long)i, q[i], wanted.q[i]);
    }
    for (int64_t i = 0; i < n / 16; i++) {
        if (q_scales[i] != wanted.q_scales[i])
            fail_msg("q_scales[%lld] = %g, not %g", (long long)i, (double)q_scales[i],
                     (double)wanted.q_scales[i]);
    }
    cuda_test_acts_free(&wanted);
}

#endif
