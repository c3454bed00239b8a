/* Random blocks: mean and standard deviation through src/quant's definition of each format, spread of scales,
 * sameness per seed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"

#include "quant/quant.h"
#include "synth/random_blocks.h"

enum { N_WEIGHTS = 1 << 20, N_ROW = 4096 };

static const ssw_dtype types[] = {SSW_DTYPE_F32,  SSW_DTYPE_F16,   SSW_DTYPE_BF16,   SSW_DTYPE_Q8_0,
                                  SSW_DTYPE_Q4_0, SSW_DTYPE_MXFP4, SSW_DTYPE_Q4_1,   SSW_DTYPE_Q5_0,
                                  SSW_DTYPE_Q5_1, SSW_DTYPE_Q2_K,  SSW_DTYPE_Q3_K,   SSW_DTYPE_Q4_K,
                                  SSW_DTYPE_Q5_K, SSW_DTYPE_Q6_K,  SSW_DTYPE_IQ4_NL, SSW_DTYPE_IQ4_XS};

enum { N_TYPES = sizeof types / sizeof types[0] };

static void *make_blocks(ssw_dtype dtype, uint64_t seed, float sigma, size_t *n_bytes)
{
    *n_bytes = (size_t)ssw_dtype_row_bytes(dtype, N_WEIGHTS);
    void *bytes = malloc(*n_bytes);
    assert_non_null(bytes);
    ssw_random_blocks_fill(seed, dtype, sigma, bytes, N_WEIGHTS / ssw_dtype_find(dtype)->block_elements);
    return bytes;
}

/* Bounds: 0.5 % of sigma for the mean, whose standard error is 0.1 %; 1.5 % for sigma, since F16 mixes its
 * two exponents in steps of 1/32. */
static void assert_law(ssw_dtype dtype, float sigma)
{
    size_t n_bytes;
    double sum = 0, squares = 0, largest = 0;
    float row[N_ROW];
    unsigned char *bytes = make_blocks(dtype, 7, sigma, &n_bytes);
    size_t row_bytes = (size_t)ssw_dtype_row_bytes(dtype, N_ROW);
    for (size_t at = 0; at < n_bytes; at += row_bytes) {
        assert_true(ssw_quant_dequantize_row(dtype, bytes + at, N_ROW, row));
        for (int i = 0; i < N_ROW; i++) {
            assert_true(isfinite(row[i]));
            sum += row[i];
            squares += (double)row[i] * row[i];
            largest = fmax(largest, fabs((double)row[i]));
        }
    }
    double mean = sum / N_WEIGHTS, rms = sqrt(squares / N_WEIGHTS);
    if (fabs(mean) > 0.005 * sigma || fabs(rms / sigma - 1) > 0.015 || largest > 5 * sigma)
        fail_msg("%s, sigma %g: mean %g, rms %g, largest %g", ssw_dtype_find(dtype)->name, (double)sigma,
                 mean, rms, largest);
    free(bytes);
}

static void test_mean_and_sigma(void **state)
{
    (void)state;
    static const float sigmas[] = {1, 0.7f, 0.0186f, 0.00104f};
    for (size_t t = 0; t < N_TYPES; t++) {
        for (size_t i = 0; i < sizeof sigmas / sizeof sigmas[0]; i++)
            assert_law(types[t], sigmas[i]);
    }
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_TYPES; t++) {
        size_t n_bytes;
        void *a = make_blocks(types[t], 1, 0.02f, &n_bytes), *b = make_blocks(types[t], 1, 0.02f, &n_bytes),
             *c = make_blocks(types[t], 2, 0.02f, &n_bytes);
        assert_memory_equal(a, b, n_bytes);
        assert_memory_not_equal(a, c, n_bytes);
        free(a);
        free(b);
        free(c);
    }
}

/* Neighbouring seeds and lags within a stream must not resemble each other. */
static void test_uncorrelated(void **state)
{
    (void)state;
    size_t n_bytes;
    float *a = make_blocks(SSW_DTYPE_F32, 10, 1, &n_bytes), *b = make_blocks(SSW_DTYPE_F32, 11, 1, &n_bytes);
    static const int lags[] = {1, 2, 8, 16, 32, 64, 128, 2880, 4096};
    double cross = 0;
    for (int i = 0; i < N_WEIGHTS; i++)
        cross += (double)a[i] * b[i];
    assert_true(fabs(cross / N_WEIGHTS) < 0.006); /* six standard errors */
    for (size_t k = 0; k < sizeof lags / sizeof lags[0]; k++) {
        double sum = 0;
        for (int i = lags[k]; i < N_WEIGHTS; i++)
            sum += (double)a[i] * a[i - lags[k]];
        assert_true(fabs(sum / N_WEIGHTS) < 0.006);
    }
    free(a);
    free(b);
}

static void test_unsupported(void **state)
{
    (void)state;
    unsigned char block[256] = {0}, zero[256] = {0};
    assert_false(ssw_random_blocks_support(SSW_DTYPE_I32));
    ssw_random_blocks_fill(1, SSW_DTYPE_I32, 1, block, 1);
    assert_memory_equal(block, zero, sizeof block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mean_and_sigma),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_uncorrelated),
        cmocka_unit_test(test_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
