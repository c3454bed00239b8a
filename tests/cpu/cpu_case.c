#include "cpu_case.h"

#include <math.h>
#include <stdlib.h>
#if SSW_TEST_AMX
#include <cpuid.h>
#endif

#include "cpu/kernels_amx.h"
#include "quant/quant.h"

const ssw_dtype cpu_case_types[CASE_TYPES] = {
    SSW_DTYPE_F32,  SSW_DTYPE_F16,  SSW_DTYPE_BF16,   SSW_DTYPE_Q8_0,  SSW_DTYPE_Q4_0, SSW_DTYPE_MXFP4,
    SSW_DTYPE_Q4_1, SSW_DTYPE_Q5_0, SSW_DTYPE_Q5_1,   SSW_DTYPE_Q2_K,  SSW_DTYPE_Q3_K, SSW_DTYPE_Q4_K,
    SSW_DTYPE_Q5_K, SSW_DTYPE_Q6_K, SSW_DTYPE_IQ4_NL, SSW_DTYPE_IQ4_XS};

int64_t cpu_case_width(ssw_dtype dtype, int64_t cols)
{
    int64_t block = ssw_dtype_find((uint32_t)dtype)->block_elements;
    return block == 256 ? (cols + 31) / 32 * block : cols;
}

int cpu_case_say_isas(void **state)
{
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++)
        print_message("%s: %s\n", ssw_cpu_isa_name((ssw_cpu_isa)isa),
                      ssw_cpu_isa_available((ssw_cpu_isa)isa) ? "tested"
                                                              : "not on this processor, not tested");
    print_message("amx: %s, over tiles in plain C: %s\n",
                  cpu_case_find_bf16(CASE_BF16_AMX) ? "tested" : "not on this processor, not tested",
                  cpu_case_find_bf16(CASE_BF16_EMULATED) ? "tested" : "not on this processor, not tested");
    return 0;
}

#if SSW_TEST_AMX
const ssw_amx *ssw_amx_emulated_kernels(void);

static const ssw_amx *find_emulated(void)
{
    unsigned a, b, c, d;
    bool has_bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1;
    return has_bf16 && ssw_cpu_isa_available(SSW_CPU_ISA_AVX512VNNI) ? ssw_amx_emulated_kernels() : NULL;
}
#else
static const ssw_amx *find_emulated(void)
{
    return NULL;
}
#endif

const ssw_amx *cpu_case_find_bf16(cpu_case_bf16 which)
{
    return which == CASE_BF16_AMX ? ssw_amx_find() : which == CASE_BF16_EMULATED ? find_emulated() : NULL;
}

bool cpu_case_take_bf16(cpu_case *c, cpu_case_bf16 which)
{
    const ssw_amx *amx = cpu_case_find_bf16(which);
    if (which != CASE_BF16_NONE && (!amx || c->isa != SSW_CPU_ISA_AVX512VNNI))
        return false;
    for (int i = 0; i < ssw_pool_threads(c->pool); i++)
        ssw_cpu_team_worker(c->team, i)->amx = amx;
    return true;
}

bool cpu_case_open(cpu_case *c, ssw_cpu_isa isa, int n_threads)
{
    ssw_pool_options pool_options = {.n_threads = n_threads, .spin_ns = 1000};
    *c = (cpu_case){.isa = isa};
    if (!ssw_cpu_isa_available(isa))
        return false;
    assert_int_equal(ssw_pool_open(&pool_options, &c->pool, NULL), SSW_OK);
    ssw_cpu_team_options options = {c->pool, isa, CASE_TOKENS_MAX, CASE_USED_MAX};
    assert_int_equal(ssw_cpu_team_open(&options, &c->team, NULL), SSW_OK);
    return true;
}

void cpu_case_close(cpu_case *c)
{
    ssw_cpu_team_close(c->team);
    ssw_pool_close(c->pool);
}

typedef struct run {
    cpu_case *c;
    cpu_case_op *op;
    const void *args;
} run;

static void run_job(void *context, int worker, int n_workers)
{
    run *r = context;
    r->op(ssw_cpu_team_worker(r->c->team, worker), r->args);
}

void cpu_case_run(cpu_case *c, cpu_case_op *op, const void *args)
{
    run r = {c, op, args};
    ssw_pool_run(c->pool, run_job, &r);
}

uint32_t cpu_case_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

float cpu_case_uniform(uint32_t *state)
{
    return (float)cpu_case_random(state) / 8388608.0f - 1.0f;
}

float *cpu_case_floats(int64_t n, uint32_t seed)
{
    float *out = test_malloc((size_t)n * sizeof *out);
    uint32_t state = seed * 2654435761u + 1;
    for (int64_t i = 0; i < n; i++) {
        uint32_t kind = (uint32_t)(i / 32) * 2654435761u >> 28;
        out[i] = cpu_case_uniform(&state) * (kind == 0 ? 0.0f : kind == 1 ? 30.0f : 1.0f);
    }
    return out;
}

cpu_weights cpu_weights_from_file(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices,
                                  const uint8_t *file)
{
    cpu_weights w;
    int64_t n_rows = rows * n_matrices;
    uint64_t row_bytes = ssw_dtype_row_bytes(dtype, (uint64_t)cols);
    w.truth = test_malloc((size_t)(n_rows * cols) * sizeof *w.truth);
    for (int64_t r = 0; r < n_rows; r++)
        assert_true(ssw_quant_dequantize_row(dtype, file + (uint64_t)r * row_bytes, (uint64_t)cols,
                                             w.truth + r * cols));
    assert_int_equal(ssw_cpu_matrix_init(&w.m, dtype, rows, cols, n_matrices, NULL), SSW_OK);
    assert_int_equal(w.m.n_bytes, ssw_cpu_matrix_predict_bytes(dtype, rows, cols, n_matrices));
    for (int i = 0; i < 3; i++)
        ssw_cpu_matrix_fill(&w.m, file, i, 3);
    return w;
}

cpu_weights cpu_weights_make(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices, uint32_t seed)
{
    int64_t n_rows = rows * n_matrices;
    uint64_t row_bytes = ssw_dtype_row_bytes(dtype, (uint64_t)cols);
    uint8_t *file = test_malloc((size_t)n_rows * row_bytes);
    float *values = cpu_case_floats(n_rows * cols, seed);
    for (int64_t r = 0; r < n_rows; r++)
        assert_true(
            ssw_quant_quantize_row(dtype, values + r * cols, (uint64_t)cols, file + (uint64_t)r * row_bytes));
    cpu_weights w = cpu_weights_from_file(dtype, rows, cols, n_matrices, file);
    test_free(file);
    test_free(values);
    return w;
}

void cpu_weights_free(cpu_weights *w)
{
    ssw_cpu_matrix_deinit(&w->m);
    test_free(w->truth);
}

double cpu_case_dot(const float *w, const float *x, int64_t cols)
{
    double sum = 0;
    for (int64_t c = 0; c < cols; c++)
        sum += (double)w[c] * (double)x[c];
    return sum;
}

double cpu_case_bound(const float *w, const float *x, int64_t cols, bool q8)
{
    double bound = 0;
    for (int64_t start = 0; start < cols; start += 32) {
        double weights = 0, largest = 0, products = 0;
        for (int64_t c = start; c < start + 32 && c < cols; c++) {
            weights += fabs((double)w[c]);
            largest = fmax(largest, fabs((double)x[c]));
            products += fabs((double)w[c] * (double)x[c]);
        }
        bound += (q8 ? largest / 127 * 0.5001 * weights : 0) + 4e-6 * products;
    }
    return bound + 1e-12;
}

double cpu_case_bf16_bound(const float *w, const float *x, int64_t cols)
{
    double products = 0;
    for (int64_t c = 0; c < cols; c++)
        products += fabs((double)w[c] * (double)x[c]);
    return products * 0x1.1p-8; /* half of 2^-8 each, and what a gated unit adds to its rounding */
}
