/* Kernels of every instruction set read and write nothing beyond their operands: each operand ends at a page
 * that may not be touched. Weights may only be prefetched beyond. */
#include "cpu_case.h"

#include <string.h>
#include <sys/mman.h>

#include "cpu/kernels_amx.h"

enum { PAGE_BYTES = 4096, OPERAND_PAGES = 16, OPERANDS_MAX = SSW_TILE_TOKENS + 8 };

typedef struct guarded {
    uint8_t *map[OPERANDS_MAX];
    int n;
} guarded;

/* n_bytes that end where the guard page begins (but for what keeps them aligned). */
static void *end_at_guard(guarded *g, size_t n_bytes, size_t align)
{
    size_t used = OPERAND_PAGES * PAGE_BYTES;
    assert_true(n_bytes <= used && g->n < OPERANDS_MAX);
    uint8_t *map = mmap(NULL, used + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + used, PAGE_BYTES, PROT_NONE), 0);
    g->map[g->n++] = map;
    return map + (used - n_bytes) / align * align;
}

static void release(guarded *g)
{
    while (g->n > 0)
        munmap(g->map[--g->n], (OPERAND_PAGES + 1) * PAGE_BYTES);
}

static const ssw_kernels *kernels_of(int isa)
{
    if (!ssw_cpu_isa_available((ssw_cpu_isa)isa))
        return NULL;
#if defined(__x86_64__)
    if (isa == SSW_CPU_ISA_AVX2)
        return ssw_kernels_avx2();
    if (isa == SSW_CPU_ISA_AVX512VNNI)
        return ssw_kernels_avx512vnni(__builtin_cpu_supports("avx512vbmi"));
#endif
    return isa == SSW_CPU_ISA_REFERENCE ? ssw_kernels_reference() : ssw_kernels_generic();
}

static void check_tile(const ssw_kernels *kernels, ssw_dtype dtype, int64_t cols, int n_bands, int n)
{
    guarded g = {.n = 0};
    uint64_t bytes = ssw_cpu_matrix_predict_bytes(dtype, n_bands * SSW_TILE_ROWS, cols, 1);
    bool q8 = kernels->takes_q8 && !ssw_kernels_dtype_is_float(dtype);
    ssw_tile tile = {.band_bytes = bytes / (uint64_t)n_bands, .n_bands = n_bands, .n = n, .cols = cols};
    tile.band = end_at_guard(&g, bytes, 64);
    /* unused tokens of the last band have no room */
    tile.out = end_at_guard(&g, (size_t)((n_bands - 1) * SSW_TILE_TOKENS + n) * sizeof *tile.out, 64);
    for (int t = 0; t < n; t++)
        tile.x[t] = end_at_guard(&g, q8 ? ssw_cpu_q8_row_bytes(cols) : (size_t)cols * sizeof(float), 4);
    memset(tile.out, 0x7f, sizeof *tile.out);
    ssw_kernels_tile(kernels, dtype)(&tile);
    assert_float_equal(tile.out[0][SSW_TILE_ROWS - 1], 0, 0); /* zero weights times zeros */
    release(&g);
}

static void tiles(void **state)
{
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        const ssw_kernels *kernels = kernels_of(isa);
        for (int i = 0; kernels && i < CASE_TYPES * SSW_TILE_TOKENS * SSW_TILE_BANDS; i++) {
            ssw_dtype dtype = cpu_case_types[i % CASE_TYPES];
            int n = 1 + i / CASE_TYPES % SSW_TILE_TOKENS, n_bands = 1 + i / CASE_TYPES / SSW_TILE_TOKENS;
            check_tile(kernels, dtype, cpu_case_width(dtype, 32), n_bands, n);
            check_tile(kernels, dtype, ssw_kernels_dtype_is_float(dtype) ? 37 : cpu_case_width(dtype, 96),
                       n_bands, n);
        }
    }
}

static void check_amx(const ssw_amx *amx, ssw_dtype dtype, int64_t cols, int n_bands, int n_tiles)
{
    guarded g = {.n = 0};
    const int tile_tokens = SSW_AMX_TOKENS + 1 - n_tiles;
    const size_t n_left_out = (size_t)(SSW_AMX_TOKENS - tile_tokens); /* rows at the end */
    uint64_t bytes = ssw_cpu_matrix_predict_bytes(dtype, n_bands * SSW_TILE_ROWS, cols, 1);
    ssw_amx_product p = {.band_bytes = bytes / (uint64_t)n_bands,
                         .n_bands = n_bands,
                         .n_tiles = n_tiles,
                         .tile_tokens = tile_tokens,
                         .cols = cols};
    size_t n_x = (size_t)(n_tiles * SSW_AMX_TOKENS * cols) - n_left_out * SSW_QUANT_BLOCK;
    size_t n_sums = (size_t)(n_tiles * SSW_AMX_BANDS * SSW_AMX_TOKENS) - n_left_out;
    uint16_t *x = end_at_guard(&g, n_x * sizeof *x, 64);
    p.band = end_at_guard(&g, bytes, 64);
    p.x = x;
    p.scratch = end_at_guard(&g, SSW_AMX_SCRATCH * sizeof *p.scratch, 64);
    p.sums = end_at_guard(&g, n_sums * sizeof *p.sums, 64);
    float *row = end_at_guard(&g, (size_t)cols * sizeof *row, 4),
          *bias = end_at_guard(&g, 17 * sizeof *bias, 4);
    float *out = end_at_guard(&g, 17 * sizeof *out, 4);
    ssw_q8_block *blocks = end_at_guard(&g, ssw_cpu_q8_row_bytes(cols), 4);
    const float *rows[SSW_AMX_TOKENS];
    const ssw_q8_block *q8_rows[SSW_AMX_TOKENS];
    for (int t = 0; t < SSW_AMX_TOKENS; t++) {
        rows[t] = row;
        q8_rows[t] = blocks;
    }
    for (int tile = 0; tile < n_tiles; tile++) {
        uint16_t *tiles = x + tile * SSW_AMX_TOKENS * cols;
        amx->fill_f32(rows, tile_tokens, cols / SSW_QUANT_BLOCK, tiles);
        amx->fill_q8(q8_rows, tile_tokens, cols / SSW_QUANT_BLOCK, tiles);
    }
    memset(p.sums, 0x7f, sizeof *p.sums);
    float factor = amx->product[dtype](&p);
    amx->finish((const float(*)[SSW_TILE_ROWS])p.sums, factor, bias, n_bands == 1 ? 7 : 17, out);
    assert_float_equal(out[6], 0, 0);
    release(&g);
}

static void amx_tiles(void **state)
{
    static const ssw_dtype types[] = {SSW_DTYPE_MXFP4, SSW_DTYPE_Q4_0, SSW_DTYPE_Q8_0};
    for (int which = CASE_BF16_AMX; which < CASE_BF16_COUNT; which++) {
        const ssw_amx *amx = cpu_case_find_bf16((cpu_case_bf16)which);
        for (int i = 0; amx && i < 3 * 2 * 5; i++) {
            check_amx(amx, types[i % 3], 32, 1 + i / 3 % 2, 1 + i / 6);
            check_amx(amx, types[i % 3], 288, 1 + i / 3 % 2, 1 + i / 6);
        }
    }
}

static void rows(void **state)
{
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        const ssw_kernels *kernels = kernels_of(isa);
        for (int n = 1; kernels && n <= 70; n++) {
            guarded g = {.n = 0};
            float *x = end_at_guard(&g, (size_t)n * 4, 4), *weight = end_at_guard(&g, (size_t)n * 4, 4);
            float *bias = end_at_guard(&g, (size_t)n * 4, 4), *out = end_at_guard(&g, (size_t)n * 4, 4);
            ssw_cpu_norm_args norm = {
                .cols = n, .weight = weight, .bias = bias, .eps = 1, .subtract_mean = n & 1};
            ssw_cpu_moe_args glu = {.glu = SSW_CPU_GLU_SILU_CLAMPED, .glu_alpha = 1.702f, .glu_limit = 7};
            kernels->norm(&norm, x, out);
            kernels->glu(&glu, x, weight, n, out);
            if (n % SSW_QUANT_BLOCK == 0)
                kernels->quantize(x, n, end_at_guard(&g, ssw_cpu_q8_row_bytes(n), 4));
            release(&g);
        }
    }
}

static void attention(void **state)
{
    static const int widths[] = {8, 16, 48, 64, 128};
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        const ssw_kernels *kernels = kernels_of(isa);
        for (int i = 0; kernels && i < 5 * 10; i++) {
            guarded g = {.n = 0};
            int dim = widths[i % 5], n = 1 + i / 5;
            size_t half_bytes = (size_t)(SSW_KV_TILE * dim) * 2, row_bytes = (size_t)(n * dim) * 4;
            ssw_attention_tile tile = {.head_dim = dim, .n = n};
            tile.k = end_at_guard(&g, half_bytes, 64);
            tile.v = end_at_guard(&g, half_bytes, 64);
            tile.q = end_at_guard(&g, row_bytes, 4);
            tile.acc = end_at_guard(&g, row_bytes, 4);
            tile.max = end_at_guard(&g, (size_t)n * 4, 4);
            tile.sum = end_at_guard(&g, (size_t)n * 4, 4);
            int *from = end_at_guard(&g, (size_t)n * 4, 4), *to = end_at_guard(&g, (size_t)n * 4, 4);
            for (int q = 0; q < n; q++)
                to[q] = SSW_KV_TILE - q;
            tile.from = from;
            tile.to = to;
            tile.scratch = ssw_cpu_memory_alloc(SSW_ATTENTION_SCRATCH_FLOATS * sizeof(float));
            kernels->attend(&tile);
            assert_float_equal(tile.sum[0], SSW_KV_TILE, 1e-3); /* 64 scores of 0, from sums of 0 */
            ssw_cpu_memory_free(tile.scratch, SSW_ATTENTION_SCRATCH_FLOATS * sizeof(float));
            release(&g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles),
        cmocka_unit_test(amx_tiles),
        cmocka_unit_test(rows),
        cmocka_unit_test(attention),
    };
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
