/* Bit for bit what ggml's reference functions give, and where the scales are searched for, an error no larger
 * than ggml's by more than a few per cent (ggml_vectors.bin, made by make_vectors.py). */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/half.h"
#include "quant/quant.h"

/* Our squared error over ggml's. */
#define ERROR_RATIO_MAX 1.02
enum { FILE_BYTES_MAX = 1 << 20, ROW_MAX = 32 * 256 };

typedef struct reader {
    uint8_t *bytes;
    size_t n, at;
} reader;

static reader open_vectors(void)
{
    reader r = {.bytes = test_malloc(FILE_BYTES_MAX)};
    FILE *file = fopen(SSW_TESTS_QUANT_VECTORS, "rb");
    assert_non_null(file);
    r.n = fread(r.bytes, 1, FILE_BYTES_MAX, file);
    assert_true(r.n > 0 && r.n < FILE_BYTES_MAX);
    fclose(file);
    return r;
}

static void take(reader *r, void *out, size_t n_bytes)
{
    assert_true(n_bytes <= r->n - r->at);
    memcpy(out, r->bytes + r->at, n_bytes);
    r->at += n_bytes;
}

/* A record of kind 3. */
static void check_errors(reader *r, uint32_t n, float *given, float *got, uint8_t *row)
{
    uint32_t count, number;
    take(r, given, n * 4);
    take(r, &count, 4);
    for (uint32_t i = 0; i < count; i++) {
        double want, error = 0;
        take(r, &number, 4);
        take(r, &want, 8);
        assert_true(ssw_quant_quantize_row((ssw_dtype)number, given, n, row));
        assert_true(ssw_quant_dequantize_row((ssw_dtype)number, row, n, got));
        for (uint32_t k = 0; k < n; k++)
            error += ((double)given[k] - got[k]) * ((double)given[k] - got[k]);
        printf("%-6s squared error %.4g, ggml's %.4g: %.4f of it\n", ssw_dtype_find(number)->name, error,
               want, error / want);
        assert_true(error < want * ERROR_RATIO_MAX);
    }
}

static void rows_match_ggml(void **state)
{
    reader r = open_vectors();
    float *given = test_malloc(ROW_MAX * 4), *want = test_malloc(ROW_MAX * 4),
          *got = test_malloc(ROW_MAX * 4);
    uint8_t *row = test_malloc(ROW_MAX * 4), *own = test_malloc(ROW_MAX * 4);
    int n_records = 0;
    for (uint32_t head[3];; n_records++) {
        take(&r, &head[0], 4);
        if (head[0] == 2)
            break;
        take(&r, &head[1], 8);
        uint32_t n = head[2], n_bytes;
        assert_true(n <= ROW_MAX);
        if (head[0] == 3) {
            check_errors(&r, n, given, got, row);
            continue;
        }
        if (head[0] == 0)
            take(&r, given, n * 4);
        take(&r, &n_bytes, 4);
        assert_int_equal(n_bytes, ssw_dtype_row_bytes((ssw_dtype)head[1], n));
        take(&r, row, n_bytes);
        take(&r, want, n * 4);
        assert_true(ssw_quant_dequantize_row((ssw_dtype)head[1], row, n, got));
        assert_memory_equal(got, want, n * 4);
        if (head[0] == 0) {
            assert_true(ssw_quant_quantize_row((ssw_dtype)head[1], given, n, own));
            assert_memory_equal(own, row, n_bytes);
        }
    }
    assert_int_equal(n_records, 8 + 3 + 10 + 2);
    void *owned[] = {given, want, got, row, own, r.bytes};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        test_free(owned[i]);
}

static uint64_t add_fnv(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void halves_match_ggml(void **state)
{
    const uint64_t start = UINT64_C(0xcbf29ce484222325);
    reader r = open_vectors();
    uint64_t want_wide, want_narrow, wide = start, narrow = start;
    r.at = r.n - 16;
    take(&r, &want_wide, 8);
    take(&r, &want_narrow, 8);
    for (uint32_t code = 0; code < 65536; code++) {
        float value = ssw_half_from_f16((uint16_t)code);
        uint32_t bits = isnan(value) ? 0x7fc00000u : ssw_half_to_bits(value);
        wide = add_fnv(wide, &bits, 4);
    }
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 9973) {
        uint16_t codes[2] = {ssw_half_to_f16(ssw_half_from_bits(bits)),
                             ssw_half_to_f16(ssw_half_from_bits(bits | 0x80000000u))};
        narrow = add_fnv(narrow, codes, 4);
    }
    assert_true(wide == want_wide);
    assert_true(narrow == want_narrow);
    assert_int_equal(ssw_half_to_f16(NAN) & 0x7e00, 0x7e00);
    assert_int_equal(ssw_half_to_f16(INFINITY), 0x7c00);
    assert_int_equal(ssw_half_to_bf16(NAN) & 0x7fc0, 0x7fc0);
    test_free(r.bytes);
}

static void refuses_what_it_does_not_know(void **state)
{
    float values[64] = {0};
    uint8_t row[256] = {0};
    assert_false(ssw_quant_dequantize_row(SSW_DTYPE_Q4_K, row, 32, values));
    assert_false(ssw_quant_dequantize_row(SSW_DTYPE_Q8_0, row, 33, values));
    assert_false(ssw_quant_quantize_row(SSW_DTYPE_I32, values, 32, row));
    assert_false(ssw_quant_quantize_row(SSW_DTYPE_MXFP4, values, 31, row));
    assert_true(ssw_quant_dequantize_row(SSW_DTYPE_Q8_0, row, 0, values));
    assert_true(ssw_quant_supports(SSW_DTYPE_BF16));
    assert_true(ssw_quant_supports(SSW_DTYPE_Q6_K));
    assert_false(ssw_quant_supports(SSW_DTYPE_I8));
    /* too small for the smallest scale: zeros, not a wrapped exponent */
    values[0] = 1e-40f;
    assert_true(ssw_quant_quantize_row(SSW_DTYPE_MXFP4, values, 32, row));
    assert_int_equal(row[0], 0);
}

static const ssw_dtype all_types[] = {SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_1, SSW_DTYPE_Q5_0,   SSW_DTYPE_Q5_1,
                                      SSW_DTYPE_Q8_0, SSW_DTYPE_Q2_K, SSW_DTYPE_Q3_K,   SSW_DTYPE_Q4_K,
                                      SSW_DTYPE_Q5_K, SSW_DTYPE_Q6_K, SSW_DTYPE_IQ4_NL, SSW_DTYPE_IQ4_XS,
                                      SSW_DTYPE_MXFP4};

/* Rows that give a search nothing to divide by: what comes back is finite, and zeros come back as zeros. */
static void survives_odd_rows(void **state)
{
    enum { N = 256 };
    static const float scales[] = {0, 1e-40f, 1e-30f, 1e-2f, 1, 1e3f};
    float values[N], got[N];
    uint8_t row[N * 2];
    for (size_t t = 0; t < sizeof all_types / sizeof all_types[0]; t++) {
        for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
            for (int shape = 0; shape < 4; shape++) { /* equal, one alone, all negative, all positive */
                for (int i = 0; i < N; i++)
                    values[i] = scales[s] * (shape == 0   ? 1.0f
                                             : shape == 1 ? (float)(i == 77)
                                             : shape == 2 ? (float)-(i % 7 + 1)
                                                          : (float)(i % 5 + 3));
                assert_true(ssw_quant_quantize_row(all_types[t], values, N, row));
                assert_true(ssw_quant_dequantize_row(all_types[t], row, N, got));
                for (int i = 0; i < N; i++) {
                    /* a third of the largest: Q2_K has four steps */
                    float largest = shape == 0 || shape == 1 ? 1 : 7;
                    if (fabsf(got[i] - values[i]) > scales[s] * largest * 0.34f + 1e-4f)
                        fail_msg("%s: %g became %g", ssw_dtype_find((uint32_t)all_types[t])->name,
                                 (double)values[i], (double)got[i]);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_ggml),
        cmocka_unit_test(halves_match_ggml),
        cmocka_unit_test(survives_odd_rows),
        cmocka_unit_test(refuses_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
