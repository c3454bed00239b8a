/* Matrix products of every weight type and instruction set against double-precision sums over dequantised
 * weights.
 *
 * Bounds: cpu_case_bound for the distance to the truth; 2e-6 of the sum of magnitudes for the distance
 * between the vector kernels and the plain-C integer ones; none at all between a token alone and the same
 * token in a batch. */
#include "cpu_case.h"

#include <math.h>
#include <string.h>

#include "cpu/kernels.h"

static bool is_float(ssw_dtype dtype)
{
    return dtype == SSW_DTYPE_F32 || dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16;
}

static void matmul_op(ssw_cpu_worker *worker, const void *args)
{
    const ssw_cpu_matmul_args *a = args;
    if (a->x.q8) {
        ssw_cpu_quantize_args q = {a->x.f32, a->x.f32_stride, a->n, a->w->cols, (void *)(uintptr_t)a->x.q8};
        ssw_cpu_quantize(worker, &q);
        ssw_cpu_barrier(worker);
    }
    ssw_cpu_matmul(worker, a);
}

typedef struct shape {
    int64_t rows, cols, n;
} shape;

static void check_product(cpu_case *c, const cpu_weights *w, const shape *s, const float *x, float *out)
{
    int64_t stride = s->rows + 3;
    bool q8 = !is_float(w->m.dtype);
    float *bias = cpu_case_floats(s->rows, 5);
    void *x_q8 = q8 ? ssw_cpu_memory_alloc(ssw_cpu_q8_row_bytes(s->cols) * (uint64_t)s->n) : NULL;
    for (int64_t i = 0; i < s->n * stride; i++)
        out[i] = (float)(i % 7);
    int64_t index = w->m.n_matrices - 1;
    ssw_cpu_matmul_args args = {.w = &w->m,
                                .index = index,
                                .x = {x, s->cols, x_q8},
                                .n = s->n,
                                .bias = s->n % 2 ? bias : NULL,
                                .out = out,
                                .out_stride = stride,
                                .accumulate = s->n % 3 == 0};
    cpu_case_run(c, matmul_op, &args);
    for (int64_t t = 0; t < s->n; t++) {
        for (int64_t r = 0; r < s->rows; r++) {
            const float *row = w->truth + (index * s->rows + r) * s->cols;
            double want = cpu_case_dot(row, x + t * s->cols, s->cols) + (args.bias ? (double)bias[r] : 0);
            double bound =
                cpu_case_bound(row, x + t * s->cols, s->cols, q8 && c->isa != SSW_CPU_ISA_REFERENCE);
            want += args.accumulate ? (double)((t * stride + r) % 7) : 0;
            bound += 1e-6 * fabs(want);
            if (!(fabs((double)out[t * stride + r] - want) <= bound))
                fail_msg("%s %s %dx%d, token %d of %d, row %d: %g, not %g (within %g)",
                         ssw_cpu_isa_name(c->isa), ssw_dtype_find((uint32_t)w->m.dtype)->name, (int)s->rows,
                         (int)s->cols, (int)t, (int)s->n, (int)r, (double)out[t * stride + r], want, bound);
        }
        for (int64_t r = s->rows; r < stride; r++) /* beyond the last row nothing is written */
            assert_true(out[t * stride + r] == (float)((t * stride + r) % 7));
    }
    ssw_cpu_memory_free(x_q8, ssw_cpu_q8_row_bytes(s->cols) * (uint64_t)s->n);
    test_free(bias);
}

static void check_shape(ssw_dtype dtype, const shape *s)
{
    cpu_weights w = cpu_weights_make(dtype, s->rows, s->cols, 2, (uint32_t)(s->rows + s->n));
    float *x = cpu_case_floats(s->n * s->cols, 3);
    size_t n_out = (size_t)(s->n * (s->rows + 3));
    float *out = test_malloc(n_out * sizeof *out), *generic = test_malloc(n_out * sizeof *out);
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 1 + (int)(s->rows + isa) % CASE_THREADS))
            continue;
        check_product(&c, &w, s, x, out);
        if (isa == SSW_CPU_ISA_GENERIC)
            memcpy(generic, out, n_out * sizeof *out);
        for (int64_t i = 0; isa > SSW_CPU_ISA_GENERIC && i < s->n * (s->rows + 3); i++) {
            int64_t r = i % (s->rows + 3), t = i / (s->rows + 3);
            double bound = 0;
            if (r < s->rows) /* with q8 false: float rounding only */
                bound =
                    cpu_case_bound(w.truth + (s->rows + r) * s->cols, x + t * s->cols, s->cols, false) / 2;
            assert_true(fabs((double)out[i] - (double)generic[i]) <= bound + 1e-6 * fabs((double)generic[i]));
        }
        cpu_case_close(&c);
    }
    cpu_weights_free(&w);
    test_free(x);
    test_free(out);
    test_free(generic);
}

static void every_type_and_size(void **state)
{
    static const shape shapes[] = {{16, 32, 1},  {1, 64, 2},   {17, 96, 3},   {31, 32, 4},  {33, 320, 5},
                                   {48, 160, 6}, {15, 128, 7}, {100, 288, 8}, {21, 64, 9},  {16, 32, 16},
                                   {35, 96, 17}, {64, 64, 31}, {130, 64, 64}, {19, 32, 128}};
    for (int d = 0; d < CASE_TYPES; d++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            shape s = shapes[i];
            s.cols = cpu_case_width(cpu_case_types[d], s.cols);
            check_shape(cpu_case_types[d], &s);
        }
    }
}

static void float_types_take_any_width(void **state)
{
    for (int d = 0; d < CASE_FLOAT_TYPES; d++) {
        check_shape(cpu_case_types[d], &(shape){18, 1, 3});
        check_shape(cpu_case_types[d], &(shape){5, 33, 10});
        check_shape(cpu_case_types[d], &(shape){40, 47, 1});
    }
}

static void batch_does_not_change_a_token(void **state)
{
    enum { ROWS = 40, N = 37, COLS_MAX = 6 * 256 };
    float *x = cpu_case_floats(N * COLS_MAX, 9);
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 2))
            continue;
        for (int d = 0; d < CASE_TYPES; d++) {
            int64_t cols = cpu_case_width(cpu_case_types[d], 192);
            cpu_weights w = cpu_weights_make(cpu_case_types[d], ROWS, cols, 1, 77);
            float together[N * ROWS], alone[N * ROWS];
            uint64_t row_bytes = ssw_cpu_q8_row_bytes(cols);
            void *q8 = ssw_cpu_memory_alloc(row_bytes * N);
            ssw_cpu_matmul_args args = {
                .w = &w.m, .x = {x, cols, q8}, .n = N, .out = together, .out_stride = ROWS};
            cpu_case_run(&c, matmul_op, &args);
            for (int t = 0; t < N; t++) {
                args.x.f32 = x + t * cols;
                args.n = 1;
                args.out = alone + t * ROWS;
                cpu_case_run(&c, matmul_op, &args);
            }
            assert_memory_equal(together, alone, sizeof alone);
            ssw_cpu_memory_free(q8, row_bytes * N);
            cpu_weights_free(&w);
        }
        cpu_case_close(&c);
    }
    test_free(x);
}

/* The other tests run the variant that this processor has; both give the same bits. */
static void vbmi_changes_no_bit(void **state)
{
#if defined(__x86_64__)
    if (!ssw_cpu_isa_available(SSW_CPU_ISA_AVX512VNNI) || !__builtin_cpu_supports("avx512vbmi"))
        skip();
    static const ssw_dtype types[] = {SSW_DTYPE_Q4_0, SSW_DTYPE_MXFP4};
    for (int d = 0; d < 2; d++) {
        cpu_weights w = cpu_weights_make(types[d], 32, 320, 1, 5);
        _Alignas(64) float with[16][16] = {{0}}, without[16][16] = {{0}};
        ssw_q8_block x[SSW_TILE_TOKENS][10];
        float *values = cpu_case_floats(SSW_TILE_TOKENS * 320, 6);
        ssw_tile tile = {.band = w.m.data, .band_bytes = w.m.band_bytes, .n_bands = 2, .cols = 320};
        for (int t = 0; t < SSW_TILE_TOKENS; t++) {
            ssw_kernels_generic()->quantize(values + t * 320, 320, x[t]);
            tile.x[t] = x[t];
        }
        for (tile.n = 1; tile.n <= SSW_TILE_TOKENS; tile.n++) {
            tile.out = with;
            ssw_kernels_tile(ssw_kernels_avx512vnni(true), types[d])(&tile);
            tile.out = without;
            ssw_kernels_tile(ssw_kernels_avx512vnni(false), types[d])(&tile);
            assert_memory_equal(with, without, sizeof with);
        }
        test_free(values);
        cpu_weights_free(&w);
    }
#else
    skip();
#endif
}

static void heads_op(ssw_cpu_worker *worker, const void *args)
{
    const ssw_cpu_matmul_heads_args *a = args;
    if (a->x.q8) {
        ssw_cpu_quantize_args q = {a->x.f32, a->x.f32_stride, a->n * a->w->n_matrices, a->w->cols,
                                   (void *)(uintptr_t)a->x.q8};
        ssw_cpu_quantize(worker, &q);
        ssw_cpu_barrier(worker);
    }
    ssw_cpu_matmul_heads(worker, a);
}

/* Every head's product is that of its matrix alone; rows wider than the matrices on both sides. */
static void check_heads(ssw_dtype dtype, ssw_cpu_isa isa, int64_t n)
{
    enum { HEADS = 5, ROWS = 40, COLS = 64, X_DIM = 70, OUT_DIM = 48 };
    cpu_case c;
    if (!cpu_case_open(&c, isa, CASE_THREADS))
        return;
    cpu_weights w = cpu_weights_make(dtype, ROWS, COLS, HEADS, 31);
    float *x = cpu_case_floats(n * HEADS * X_DIM, 32), *out = cpu_case_floats(n * HEADS * OUT_DIM, 33);
    bool q8 = !is_float(dtype);
    uint64_t q8_bytes = ssw_cpu_q8_row_bytes(COLS) * (uint64_t)(n * HEADS);
    void *x_q8 = q8 ? ssw_cpu_memory_alloc(q8_bytes) : NULL;
    float beyond = out[ROWS];
    ssw_cpu_matmul_heads_args args = {
        .w = &w.m, .x = {x, X_DIM, x_q8}, .n = n, .out = out, .out_dim = OUT_DIM};
    cpu_case_run(&c, heads_op, &args);
    for (int64_t i = 0; i < n * HEADS * ROWS; i++) {
        int64_t row = i / ROWS, r = i % ROWS;
        const float *weights = w.truth + (row % HEADS * ROWS + r) * COLS, *in = x + row * X_DIM;
        double bound = cpu_case_bound(weights, in, COLS, q8 && isa != SSW_CPU_ISA_REFERENCE);
        double want = cpu_case_dot(weights, in, COLS), got = (double)out[row * OUT_DIM + r];
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, token %d, head %d, row %d: %g, not %g", ssw_cpu_isa_name(isa), (int)(row / HEADS),
                     (int)(row % HEADS), (int)r, got, want);
    }
    assert_true(out[ROWS] == beyond);
    ssw_cpu_memory_free(x_q8, q8_bytes);
    test_free(x);
    test_free(out);
    cpu_weights_free(&w);
    cpu_case_close(&c);
}

static void heads_are_products_of_their_own(void **state)
{
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        check_heads(SSW_DTYPE_F32, (ssw_cpu_isa)isa, 3);
        check_heads(SSW_DTYPE_Q8_0, (ssw_cpu_isa)isa, 1);
        check_heads(SSW_DTYPE_Q8_0, (ssw_cpu_isa)isa, 21);
    }
}

/* Blocks of one byte only, but for F16 numbers of 0.5 at `halves`: all codes, and all scales, as large as
 * they can be. */
static void check_extreme(ssw_dtype dtype, const int halves[2], uint8_t byte, float x_value)
{
    enum { ROWS = 16, BLOCKS = 3, COLS_MAX = BLOCKS * 256 };
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    uint8_t file[ROWS * BLOCKS * 210];
    int64_t cols = BLOCKS * traits->block_elements;
    float x[COLS_MAX], out[ROWS];
    memset(file, byte, sizeof file);
    for (int i = 0; i < 2 * ROWS * BLOCKS; i++) {
        uint8_t *half = file + (uint32_t)(i / 2) * traits->block_bytes + halves[i % 2];
        half[0] = 0;
        half[1] = 0x38;
    }
    for (int i = 0; i < cols; i++)
        x[i] = x_value;
    cpu_weights w = cpu_weights_from_file(dtype, ROWS, cols, 1, file);
    void *q8 = ssw_cpu_memory_alloc(ssw_cpu_q8_row_bytes(cols));
    ssw_cpu_matmul_args args = {.w = &w.m, .x = {x, cols, q8}, .n = 1, .out = out, .out_stride = ROWS};
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 1))
            continue;
        cpu_case_run(&c, matmul_op, &args);
        double want = cpu_case_dot(w.truth, x, cols), bound = cpu_case_bound(w.truth, x, cols, false);
        for (int r = 0; r < ROWS; r++) {
            if (!(fabs((double)out[r] - want) <= bound))
                fail_msg("%s %s of %02x: %g, not %g", ssw_cpu_isa_name(c.isa), traits->name, byte,
                         (double)out[r], want);
        }
        cpu_case_close(&c);
    }
    ssw_cpu_memory_free(q8, ssw_cpu_q8_row_bytes(cols));
    cpu_weights_free(&w);
}

/* The integer sums have room for the largest codes, scales and activations. */
static void extremes_do_not_overflow(void **state)
{
    static const struct {
        ssw_dtype dtype;
        int halves[2];
    } types[] = {{SSW_DTYPE_Q8_0, {0, 0}},     {SSW_DTYPE_Q4_0, {0, 0}},   {SSW_DTYPE_Q4_1, {0, 2}},
                 {SSW_DTYPE_Q5_0, {0, 0}},     {SSW_DTYPE_Q5_1, {0, 2}},   {SSW_DTYPE_Q2_K, {80, 82}},
                 {SSW_DTYPE_Q3_K, {108, 108}}, {SSW_DTYPE_Q4_K, {0, 2}},   {SSW_DTYPE_Q5_K, {0, 2}},
                 {SSW_DTYPE_Q6_K, {208, 208}}, {SSW_DTYPE_IQ4_NL, {0, 0}}, {SSW_DTYPE_IQ4_XS, {0, 0}}};
    static const uint8_t bytes[] = {0xff, 0x00, 0x7f, 0x80, 0xf0, 0x0f};
    for (size_t i = 0; i < sizeof types / sizeof types[0] * sizeof bytes; i++) {
        check_extreme(types[i / sizeof bytes].dtype, types[i / sizeof bytes].halves, bytes[i % sizeof bytes],
                      1);
        check_extreme(types[i / sizeof bytes].dtype, types[i / sizeof bytes].halves, bytes[i % sizeof bytes],
                      -1);
    }
}

static void rows_read_back_exactly(void **state)
{
    for (int d = 0; d < CASE_TYPES; d++) {
        int64_t cols = cpu_case_width(cpu_case_types[d], 64);
        cpu_weights w = cpu_weights_make(cpu_case_types[d], 37, cols, 3, 21);
        float row[512];
        for (int64_t i = 0; i < 3 * 37; i++) {
            ssw_cpu_matrix_read_row(&w.m, i / 37, i % 37, row);
            assert_memory_equal(row, w.truth + i * cols, (size_t)cols * sizeof *row);
        }
        cpu_weights_free(&w);
    }
}

static void sizes_are_exact(void **state)
{
    ssw_cpu_matrix m;
    ssw_error err;
    /* 2880 x 2880 MXFP4: 180 bands of 90 blocks of 16 * 17 bytes, each band to a multiple of 64 */
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_MXFP4, 2880, 2880, 32),
                     UINT64_C(32) * 180 * 24512);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_F32, 1, 1, 1), 64);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_Q8_0, 16, 33, 1), 0);
    /* for each 256 columns of a row: 4 bits and d, dmin, 8 scales, 8 minima; 6 bits and d, 16 scales */
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_Q4_K, 16, 512, 1), 16 * 2 * (128 + 4 + 16));
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_Q6_K, 16, 512, 1), 16 * 2 * (192 + 2 + 16));
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_Q4_K, 16, 288, 1), 0);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_I32, 16, 256, 1), 0);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_F32, 0, 1, 1), 0);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_F32, INT64_MAX, 1, 1), 0);
    assert_int_equal(ssw_cpu_matrix_predict_bytes(SSW_DTYPE_F32, INT64_C(1) << 39, INT64_C(1) << 39, 1), 0);
    assert_int_equal(ssw_cpu_matrix_init(&m, SSW_DTYPE_Q5_K, 16, 128, 1, &err), SSW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "Q5_K"));
}

static void large_memory_is_aligned(void **state)
{
    const uint64_t sizes[] = {1, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (5 << 20) + 4097};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *memory = ssw_cpu_memory_alloc(sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % (sizes[i] < (2 << 20) ? 64 : 2 << 20), 0);
        assert_int_equal(memory[sizes[i] - 1], 0);
        memset(memory, 1, sizes[i]);
        ssw_cpu_memory_free(memory, sizes[i]);
    }
    assert_null(ssw_cpu_memory_alloc(0));
    assert_null(ssw_cpu_memory_alloc(UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_size),
        cmocka_unit_test(float_types_take_any_width),
        cmocka_unit_test(batch_does_not_change_a_token),
        cmocka_unit_test(vbmi_changes_no_bit),
        cmocka_unit_test(heads_are_products_of_their_own),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(rows_read_back_exactly),
        cmocka_unit_test(sizes_are_exact),
        cmocka_unit_test(large_memory_is_aligned),
    };
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
