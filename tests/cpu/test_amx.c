/* Products on AMX tiles against dequantised weights in double precision: this processor's tiles, and the same
 * kernels over tiles in plain C. Skipped where there is neither.
 *
 * The bound: weights and activations are rounded to 8 bits of mantissa, half a step of 2^-8 each; sums are
 * floats. */
#include "cpu_case.h"

#include <math.h>
#include <string.h>

#include "cpu/kernels_amx.h"
#include "quant/half.h"
#include "quant/quant.h"

enum { ROWS_MAX = 32, SKIPPED = 77 };

typedef struct operands {
    cpu_weights w;
    int64_t cols;
    int n_bands, n_tiles, n_tokens, tile_tokens;
    float *x;        /* [n_tokens][cols] */
    uint16_t *tiles; /* what a kernel takes */
    uint16_t *scratch;
    float (*sums)[SSW_TILE_ROWS];
} operands;

static operands make_operands(cpu_weights w, int n_tokens)
{
    operands o = {.w = w, .cols = w.m.cols, .n_tokens = n_tokens, .n_tiles = (n_tokens + 15) / 16};
    o.n_bands = (int)(w.m.rows + 15) / 16;
    o.tile_tokens = (n_tokens + o.n_tiles - 1) / o.n_tiles;
    o.x = cpu_case_floats(n_tokens * o.cols, 5);
    o.tiles = ssw_cpu_memory_alloc((uint64_t)(o.n_tiles * 16 * o.cols * 2));
    o.scratch = ssw_cpu_memory_alloc(SSW_AMX_SCRATCH * sizeof *o.scratch);
    o.sums = ssw_cpu_memory_alloc((uint64_t)(o.n_tiles * 32) * sizeof *o.sums);
    return o;
}

static void free_operands(operands *o)
{
    test_free(o->x);
    ssw_cpu_memory_free(o->tiles, (uint64_t)(o->n_tiles * 16 * o->cols * 2));
    ssw_cpu_memory_free(o->scratch, SSW_AMX_SCRATCH * sizeof *o->scratch);
    ssw_cpu_memory_free(o->sums, (uint64_t)(o->n_tiles * 32) * sizeof *o->sums);
}

static void check_sums(const operands *o, const ssw_amx *amx, float factor, const float *bias)
{
    for (int t = 0; t < o->n_tokens; t++) {
        float got[ROWS_MAX];
        const float(*sums)[SSW_TILE_ROWS] =
            (const float(*)[SSW_TILE_ROWS])(o->sums + t / o->tile_tokens * 32 + t % o->tile_tokens);
        amx->finish(sums, factor, bias, (int)o->w.m.rows, got);
        for (int r = 0; r < o->w.m.rows; r++) {
            const float *w = o->w.truth + r * o->cols, *x = o->x + t * o->cols;
            double want = cpu_case_dot(w, x, o->cols) + (bias ? (double)bias[r] : 0);
            double bound =
                cpu_case_bf16_bound(w, x, o->cols) + cpu_case_bound(w, x, o->cols, false) + 1e-6 * fabs(want);
            if (!(fabs((double)got[r] - want) <= bound))
                fail_msg("%s, %d columns, token %d of %d, row %d: %g, not %g (within %g)",
                         ssw_dtype_find((uint32_t)o->w.m.dtype)->name, (int)o->cols, t, o->n_tokens, r,
                         (double)got[r], want, bound);
        }
    }
}

static void check_product(cpu_weights w, int n_tokens)
{
    operands o = make_operands(w, n_tokens);
    float bias[ROWS_MAX];
    for (int r = 0; r < ROWS_MAX; r++)
        bias[r] = (float)r - 7;
    for (int which = CASE_BF16_AMX; which < CASE_BF16_COUNT; which++) {
        const ssw_amx *amx = cpu_case_find_bf16((cpu_case_bf16)which);
        if (!amx)
            continue;
        memset(o.tiles, 0xff, (size_t)(o.n_tiles * 16 * o.cols * 2)); /* rows without a token: no numbers */
        for (int tile = 0; tile < o.n_tiles; tile++) {
            const float *rows[16];
            int n = 0;
            for (; n < o.tile_tokens && tile * o.tile_tokens + n < n_tokens; n++)
                rows[n] = o.x + (tile * o.tile_tokens + n) * o.cols;
            amx->fill_f32(rows, n, o.cols / 32, o.tiles + tile * 16 * o.cols);
        }
        ssw_amx_product p = {.band = w.m.data,
                             .band_bytes = w.m.band_bytes,
                             .next = w.m.data,
                             .n_bands = o.n_bands,
                             .n_tiles = o.n_tiles,
                             .tile_tokens = o.tile_tokens,
                             .cols = o.cols,
                             .x = o.tiles,
                             .scratch = o.scratch,
                             .sums = o.sums};
        float factor = amx->product[w.m.dtype](&p);
        check_sums(&o, amx, factor, NULL);
        check_sums(&o, amx, factor, bias);
    }
    free_operands(&o);
}

static const ssw_dtype *types = cpu_case_types + CASE_FLOAT_TYPES;
enum { N_TYPES = CASE_TYPES - CASE_FLOAT_TYPES };

static void every_type_and_shape(void **state)
{
    static const struct {
        int64_t rows, cols;
        int n_tokens;
    } shapes[] = {{32, 32, 16}, {16, 64, 1},  {32, 512, 33}, {27, 544, 48}, {32, 1600, 70},
                  {5, 96, 17},  {16, 96, 40}, {32, 640, 64}, {32, 96, 100}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int t = 0; t < N_TYPES; t++) {
            int64_t cols = cpu_case_width(types[t], shapes[i].cols);
            cpu_weights w = cpu_weights_make(types[t], shapes[i].rows, cols, 1, (uint32_t)i);
            check_product(w, shapes[i].n_tokens);
            cpu_weights_free(&w);
        }
    }
}

/* Random codes, and scales as given: of all rows or only of one block in some. */
static void check_scales(ssw_dtype dtype, uint16_t scale, uint16_t others)
{
    enum { ROWS = 32, COLS = 160 };
    const int scale_bytes = dtype == SSW_DTYPE_MXFP4 ? 1 : 2;
    const uint64_t row_bytes = ssw_dtype_row_bytes(dtype, COLS);
    uint8_t *file = test_malloc(ROWS * row_bytes);
    uint32_t state = scale;
    for (uint64_t i = 0; i < ROWS * row_bytes; i++)
        file[i] = (uint8_t)cpu_case_random(&state);
    for (uint64_t i = 0; i < ROWS * COLS / 32; i++) {
        uint16_t put = i % 7 == 3 ? scale : others;
        memcpy(file + i * (row_bytes / (COLS / 32)), &put, (size_t)scale_bytes);
    }
    cpu_weights w = cpu_weights_from_file(dtype, ROWS, COLS, 1, file);
    check_product(w, 20);
    cpu_weights_free(&w);
    test_free(file);
}

/* F16 scales that a product of F16 numbers cannot carry, and exponents on both sides of 1. */
static void scales_of_every_size(void **state)
{
    static const uint16_t halves[] = {0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x8400, 0x3c00,
                                      0x5bff, 0x5c00, 0x6bff, 0x6c00, 0x7bff, 0xfbff};
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        check_scales(SSW_DTYPE_Q4_0, halves[i], 0x1c00);
        check_scales(SSW_DTYPE_Q4_0, halves[i], halves[i]);
        check_scales(SSW_DTYPE_Q8_0, halves[i], 0x1c00);
        check_scales(SSW_DTYPE_Q8_0, halves[i], halves[i]);
    }
    for (uint16_t exponent = 2; exponent < 180; exponent = (uint16_t)(exponent + 3)) {
        check_scales(SSW_DTYPE_MXFP4, exponent, 120);
        check_scales(SSW_DTYPE_MXFP4, exponent, exponent);
    }
}

/* 8-bit blocks are the same numbers as floats. */
static void blocks_as_floats(void **state)
{
    enum { COLS = 96 };
    cpu_case c;
    float *x = cpu_case_floats(COLS, 3), back[COLS];
    ssw_q8_block blocks[COLS / 32];
    if (!cpu_case_open(&c, SSW_CPU_ISA_AVX512VNNI, 1))
        skip();
    ssw_cpu_team_worker(c.team, 0)->kernels->quantize(x, COLS, blocks);
    for (int i = 0; i < COLS; i++)
        back[i] = blocks[i / 32].scale * (float)blocks[i / 32].q[i % 32];
    for (int which = CASE_BF16_AMX; which < CASE_BF16_COUNT; which++) {
        const ssw_amx *amx = cpu_case_find_bf16((cpu_case_bf16)which);
        uint16_t from_blocks[COLS * 16], from_floats[COLS * 16];
        if (!amx)
            continue;
        amx->fill_q8((const ssw_q8_block *const[]){blocks, blocks}, 2, COLS / 32, from_blocks);
        amx->fill_f32((const float *const[]){back, back}, 2, COLS / 32, from_floats);
        for (int b = 0; b < COLS / 32; b++)
            assert_memory_equal(from_blocks + b * SSW_AMX_NUMBERS, from_floats + b * SSW_AMX_NUMBERS, 2 * 64);
        assert_true(from_floats[1] == ssw_half_to_bf16(back[2] * 0x1p64f)); /* the order of a tile */
    }
    cpu_case_close(&c);
    test_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_shape),
        cmocka_unit_test(scales_of_every_size),
        cmocka_unit_test(blocks_as_floats),
    };
    if (!cpu_case_find_bf16(CASE_BF16_AMX) && !cpu_case_find_bf16(CASE_BF16_EMULATED)) {
        print_message("this processor has neither AMX nor AVX-512 BF16: skipped\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
