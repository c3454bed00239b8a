/* Normalisation and quantisation of rows, of every instruction set, against double precision. */
#include "cpu_case.h"

#include <math.h>
#include <string.h>

#include "cpu/kernels.h"

static void norm_op(ssw_cpu_worker *worker, const void *args)
{
    ssw_cpu_norm(worker, args);
}

static void check_norm(cpu_case *c, int64_t cols, int64_t n, bool subtract_mean, bool with_bias)
{
    float *x = cpu_case_floats(n * cols, 1), *weight = cpu_case_floats(cols, 2),
          *bias = cpu_case_floats(cols, 3);
    float *out = test_malloc((size_t)(n * cols) * 4);
    uint64_t q8_bytes = ssw_cpu_q8_row_bytes(cols) * (uint64_t)n;
    ssw_q8_block *q8 = q8_bytes ? ssw_cpu_memory_alloc(q8_bytes) : NULL;
    ssw_cpu_norm_args args = {.x = x,
                              .x_stride = cols,
                              .n = n,
                              .cols = cols,
                              .weight = weight,
                              .bias = with_bias ? bias : NULL,
                              .eps = 1e-5f,
                              .subtract_mean = subtract_mean,
                              .out = out,
                              .out_stride = cols,
                              .out_q8 = q8};
    cpu_case_run(c, norm_op, &args);
    for (int64_t t = 0; t < n; t++) {
        double mean = 0, squares = 0;
        for (int64_t i = 0; subtract_mean && i < cols; i++)
            mean += (double)x[t * cols + i] / (double)cols;
        for (int64_t i = 0; i < cols; i++)
            squares += ((double)x[t * cols + i] - mean) * ((double)x[t * cols + i] - mean);
        double scale = 1 / sqrt(squares / (double)cols + 1e-5);
        for (int64_t i = 0; i < cols; i++) {
            double want = ((double)x[t * cols + i] - mean) * scale * (double)weight[i];
            want += with_bias ? (double)bias[i] : 0;
            double bound = 3e-6 * fabs(want) + 3e-6 * fabs((double)weight[i]) * (1 + fabs(mean * scale));
            bound += with_bias ? 1e-6 * fabs((double)bias[i]) : 0;
            assert_true(fabs((double)out[t * cols + i] - want) <= bound);
            if (q8) { /* the quantised row is within half a step of the row */
                const ssw_q8_block *b = &q8[(t * cols + i) / 32];
                double back = (double)b->scale * b->q[i % 32];
                assert_true(fabs(back - (double)out[t * cols + i]) <= 0.5001 * (double)b->scale);
            }
        }
    }
    ssw_cpu_memory_free(q8, q8_bytes);
    test_free(x);
    test_free(weight);
    test_free(bias);
    test_free(out);
}

static void norms(void **state)
{
    static const int64_t widths[] = {1, 15, 16, 17, 33, 64, 96, 2880};
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 2))
            continue;
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
            for (int kind = 0; kind < 4; kind++)
                check_norm(&c, widths[i], 1 + kind, kind & 1, kind & 2);
        }
        cpu_case_close(&c);
    }
}

typedef struct quantize_case {
    ssw_cpu_quantize_args args;
} quantize_case;

static void quantize_op(ssw_cpu_worker *worker, const void *args)
{
    ssw_cpu_quantize(worker, args);
}

static void quantised_blocks_agree(void **state)
{
    enum { COLS = 160, N = 5, BLOCKS = COLS / 32 * N };
    float *x = cpu_case_floats(COLS * N, 6);
    x[3] = 1e-38f; /* a block of subnormal scale among zeros */
    memset(x + 32, 0, 32 * sizeof *x);
    x[40] = -3e-38f;
    x[64] = 3e38f;
    ssw_q8_block want[BLOCKS], got[BLOCKS];
    for (int isa = SSW_CPU_ISA_GENERIC; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 3))
            continue;
        ssw_cpu_quantize_args args = {x, COLS, N, COLS, got};
        memset(got, 0, sizeof got);
        cpu_case_run(&c, quantize_op, &args);
        if (isa == SSW_CPU_ISA_GENERIC)
            memcpy(want, got, sizeof got);
        assert_memory_equal(want, got, sizeof got);
        cpu_case_close(&c);
    }
    for (int b = 0; b < BLOCKS; b++) {
        int32_t sum = 0;
        for (int i = 0; i < 32; i++)
            sum += want[b].q[i];
        assert_int_equal(want[b].minus_16_sums, -16 * sum);
        assert_int_equal(want[b].minus_128_sums, -128 * sum);
    }
    assert_float_equal(want[1].scale, 0, 0);
    test_free(x);
}

static void instruction_sets_have_names(void **state)
{
    assert_true(ssw_cpu_isa_available(SSW_CPU_ISA_AUTO));
    assert_true(ssw_cpu_isa_available(SSW_CPU_ISA_REFERENCE));
    assert_true(ssw_cpu_isa_available(SSW_CPU_ISA_GENERIC));
    assert_false(ssw_cpu_isa_available(SSW_CPU_ISA_COUNT));
    assert_string_equal(ssw_cpu_isa_name(SSW_CPU_ISA_AVX512VNNI), "avx512vnni");
    cpu_case c;
    assert_true(cpu_case_open(&c, SSW_CPU_ISA_AUTO, 2));
    assert_true(ssw_cpu_team_isa(c.team) >= SSW_CPU_ISA_GENERIC);
    assert_int_equal(ssw_cpu_team_bytes(c.team),
                     ssw_cpu_team_predict_bytes(2, CASE_TOKENS_MAX, CASE_USED_MAX));
    assert_int_equal(ssw_cpu_worker_index(ssw_cpu_team_worker(c.team, 1)), 1);
    ssw_cpu_team *team;
    ssw_error err;
    ssw_cpu_team_options options = {.pool = c.pool, .max_tokens = 0};
    assert_int_equal(ssw_cpu_team_open(&options, &team, &err), SSW_ERR_LIMIT);
    options = (ssw_cpu_team_options){.pool = c.pool, .max_tokens = 1, .max_experts_used = 1000};
    assert_int_equal(ssw_cpu_team_open(&options, &team, &err), SSW_ERR_LIMIT);
    cpu_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms),
        cmocka_unit_test(quantised_blocks_agree),
        cmocka_unit_test(instruction_sets_have_names),
    };
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
