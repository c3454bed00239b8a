/* AMX: products of many tokens on bf16 tiles.
 *
 * Every 32 columns' weights are decoded in parts that stand between the tile instructions of the 32 columns
 * before: a processor that looks a few hundred instructions ahead then has products to wait for and something
 * to do meanwhile. Up to 48 tokens' sums stay in six tiles; more tokens' weights are decoded anew, which
 * takes hardly any time of its own where there are tiles of tokens to hide behind.
 *
 * Tests compile it a second time, with tile instructions in plain C and a name given from outside
 * (tests/cpu/amx_emulated.h). */
#include "cpu/kernels_amx.h"

#include <immintrin.h>

#ifndef SSW_AMX_KERNELS
#define SSW_AMX_KERNELS    ssw_amx_kernels
#define TILE_BEGIN(config) __asm__ volatile("ldtilecfg %0" ::"m"(config))
#define TILE_END()         __asm__ volatile("tilerelease" ::)
#define TILE_ZERO(tile)    __asm__ volatile("tilezero %%tmm" #tile ::)
/* gcc's intrinsics do not say that memory is read, and stores before them may move behind */
#define TILE_LOAD(tile, at)                                                                                  \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"((const void *)(at)), "r"(64L) : "memory")
#define TILE_STORE(tile, at)                                                                                 \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"((void *)(at)), "r"(64L) : "memory")
#define TILE_DOT(sums, x, w) __asm__ volatile("tdpbf16ps %%tmm" #w ", %%tmm" #x ", %%tmm" #sums ::)
#define MUL_F16(a, b)        _mm512_castph_si512(_mm512_mul_ph(_mm512_castsi512_ph(a), _mm512_castsi512_ph(b)))
#define INTEGERS_TO_F16(a)   _mm512_castph_si512(_mm512_cvtepi16_ph(a))
#endif

#include "cpu/kernels_amx_decode.h"

enum {
    TILES = 8,
    WEIGHTS = 6,           /* the tile of weights; the others have tokens for rows */
    SUMS = SSW_AMX_TOKENS, /* rows of a tile of sums */
    W_NUMBERS = SSW_AMX_BANDS * SSW_AMX_NUMBERS,
    FETCH_AHEAD = 8 /* blocks */
};

typedef struct tile_config { /* Intel's manual, volume 1, chapter 18.3 */
    uint8_t palette, start_row, reserved[14];
    uint16_t column_bytes[16];
    uint8_t rows[16];
} tile_config;

static void configure(int tile_tokens)
{
    tile_config config = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        config.column_bytes[i] = LINE_BYTES;
        config.rows[i] = i == WEIGHTS ? ROWS : (uint8_t)tile_tokens;
    }
    TILE_BEGIN(config);
}

/* Block b's weights, decoded; blocks take turns. */
INLINE uint16_t *scratch_of(const ssw_amx_product *p, int64_t b)
{
    return p->scratch + b % 2 * W_NUMBERS;
}

INLINE void fetch(const uint8_t *at, int n_lines)
{
    for (int line = 0; line < n_lines; line++)
        _mm_prefetch((const char *)at + line * LINE_BYTES, _MM_HINT_T0);
}

/* What will be decoded some blocks after block b of a band: at its end of the next product's, with scales. */
INLINE void fetch_ahead(decoder d, const ssw_amx_product *p, int i, int64_t b)
{
    const int64_t n_blocks = p->cols / BLOCK, past = b + FETCH_AHEAD - n_blocks;
    const uint8_t *band = (past < 0 ? p->band : p->next) + (uint64_t)i * p->band_bytes;
    fetch(band + (past < 0 ? past + n_blocks : past) * quant_bytes(d), quant_bytes(d) / LINE_BYTES);
    if (past >= 0)
        fetch(band + n_blocks * quant_bytes(d) + past * LINE_BYTES, 1);
}

/* Block b of band i to its place in the scratch; of a band that is not there the first. */
INLINE void begin_block(decoder d, const ssw_amx_product *p, int i, int64_t b, decoding *s, __mmask16 *odd)
{
    int band = i < p->n_bands ? i : 0;
    fetch_ahead(d, p, band, b);
    s->out = scratch_of(p, b) + i * SSW_AMX_NUMBERS;
    begin_decoding(d, p->band + (uint64_t)band * p->band_bytes, p->cols / BLOCK, b, s, odd);
}

INLINE void decode_block(decoder d, const ssw_amx_product *p, int64_t b, __mmask16 *odd)
{
    for (int i = 0; i < SSW_AMX_BANDS; i++) {
        decoding s;
        begin_block(d, p, i, b, &s, odd);
#pragma GCC unroll 4
        for (int part = 0; part < DECODE_PARTS; part++)
            decode_part(d, &s, part);
    }
}

/* Block b, one tile of tokens or two. decodes: the next block meanwhile. */
INLINE void multiply_block(decoder d, const ssw_amx_product *p, const uint16_t *x, int64_t b,
                           const bool has_second, const bool decodes, __mmask16 *odd)
{
    const uint16_t *w = scratch_of(p, b), *second_x = x + p->cols / BLOCK * SSW_AMX_NUMBERS;
    decoding s;
    if (decodes)
        begin_block(d, p, 0, b + 1, &s, odd);
    TILE_LOAD(6, w);
    TILE_LOAD(4, x);
    if (decodes)
        decode_part(d, &s, 0);
    TILE_DOT(0, 4, 6);
    if (has_second)
        TILE_LOAD(5, second_x);
    if (decodes) {
        decode_part(d, &s, 1);
        decode_part(d, &s, 2);
    }
    if (has_second)
        TILE_DOT(2, 5, 6);
    if (decodes) {
        decode_part(d, &s, 3);
        begin_block(d, p, 1, b + 1, &s, odd);
    }
    TILE_LOAD(6, w + SSW_AMX_NUMBERS);
    if (decodes) {
        decode_part(d, &s, 0);
        decode_part(d, &s, 1);
    }
    TILE_DOT(1, 4, 6);
    if (decodes) {
        decode_part(d, &s, 2);
        decode_part(d, &s, 3);
    }
    if (has_second)
        TILE_DOT(3, 5, 6);
}

/* The same of three tiles of tokens, for which one register is left. */
INLINE void multiply_block_of_three(decoder d, const ssw_amx_product *p, const uint16_t *x, int64_t b,
                                    const bool decodes, __mmask16 *odd)
{
    const int64_t n_tile = p->cols / BLOCK * SSW_AMX_NUMBERS;
    const uint16_t *w = scratch_of(p, b);
    decoding s;
    if (decodes)
        begin_block(d, p, 0, b + 1, &s, odd);
    TILE_LOAD(6, w);
    TILE_LOAD(7, x);
    if (decodes)
        decode_part(d, &s, 0);
    TILE_DOT(0, 7, 6);
    TILE_LOAD(7, x + n_tile);
    if (decodes)
        decode_part(d, &s, 1);
    TILE_DOT(2, 7, 6);
    TILE_LOAD(7, x + 2 * n_tile);
    if (decodes)
        decode_part(d, &s, 2);
    TILE_DOT(4, 7, 6);
    if (decodes) {
        decode_part(d, &s, 3);
        begin_block(d, p, 1, b + 1, &s, odd);
    }
    TILE_LOAD(6, w + SSW_AMX_NUMBERS);
    if (decodes)
        decode_part(d, &s, 0);
    TILE_DOT(5, 7, 6);
    TILE_LOAD(7, x + n_tile);
    if (decodes)
        decode_part(d, &s, 1);
    TILE_DOT(3, 7, 6);
    TILE_LOAD(7, x);
    if (decodes)
        decode_part(d, &s, 2);
    TILE_DOT(1, 7, 6);
    if (decodes)
        decode_part(d, &s, 3);
}

/* n tiles of tokens from `first` on. */
INLINE void multiply(decoder d, const ssw_amx_product *p, int first, const int n, __mmask16 *odd)
{
    const int64_t n_blocks = p->cols / BLOCK;
    const uint16_t *x = p->x + first * n_blocks * SSW_AMX_NUMBERS;
    float(*sums)[ROWS] = p->sums + (int64_t)first * SSW_AMX_BANDS * SUMS;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    if (n == 3) {
        TILE_ZERO(4);
        TILE_ZERO(5);
    }
    decode_block(d, p, 0, odd);
    for (int64_t b = 0; b < n_blocks; b++, x += SSW_AMX_NUMBERS) {
        const bool decodes = b + 1 < n_blocks;
        if (n == 3 && decodes)
            multiply_block_of_three(d, p, x, b, true, odd);
        else if (n == 3)
            multiply_block_of_three(d, p, x, b, false, odd);
        else if (decodes)
            multiply_block(d, p, x, b, n == 2, true, odd);
        else
            multiply_block(d, p, x, b, n == 2, false, odd);
    }
    TILE_STORE(0, sums);
    TILE_STORE(1, sums + SUMS);
    if (n >= 2) {
        TILE_STORE(2, sums + 2 * SUMS);
        TILE_STORE(3, sums + 3 * SUMS);
    }
    if (n == 3) {
        TILE_STORE(4, sums + 4 * SUMS);
        TILE_STORE(5, sums + 5 * SUMS);
    }
}

/* False when a scale was odd: then the sums are nothing. */
INLINE bool product(decoder d, const ssw_amx_product *p)
{
    __mmask16 odd = 0;
    int tile = 0;
    configure(p->tile_tokens);
    for (; p->n_tiles - tile > 4 || p->n_tiles - tile == 3; tile += 3)
        multiply(d, p, tile, 3, &odd);
    for (; p->n_tiles - tile > 1; tile += 2)
        multiply(d, p, tile, 2, &odd);
    if (tile < p->n_tiles)
        multiply(d, p, tile, 1, &odd);
    TILE_END();
    return odd == 0;
}

/* Activations are multiplied by X_FACTOR, so that sums with weights 2^-112 times as large stay normal
 * numbers. */
#define X_FACTOR  0x1p64f
#define FACTOR(f) (IS_MOVED(f) ? 0x1p-48f : X_FACTOR)

static float product_mxfp4(const ssw_amx_product *p)
{
    if (!product((decoder){.format = FORMAT_MXFP4}, p))
        product((decoder){.format = FORMAT_MXFP4_LARGE}, p);
    return FACTOR(FORMAT_MXFP4);
}

static float product_q4_0(const ssw_amx_product *p)
{
    if (product((decoder){.format = FORMAT_Q4_0}, p))
        return FACTOR(FORMAT_Q4_0);
    product((decoder){.format = FORMAT_Q4_0_FLOATS}, p);
    return FACTOR(FORMAT_Q4_0_FLOATS);
}

static float product_q8_0(const ssw_amx_product *p)
{
    if (product((decoder){.format = FORMAT_Q8_0}, p))
        return FACTOR(FORMAT_Q8_0);
    product((decoder){.format = FORMAT_Q8_0_FLOATS}, p);
    return FACTOR(FORMAT_Q8_0_FLOATS);
}

#define DEFINE_PRODUCT(TYPE, name, ...)                                                                      \
    static float product_##name(const ssw_amx_product *p)                                                    \
    {                                                                                                        \
        product((decoder){.format = FORMAT_CODES, .codes = {__VA_ARGS__}}, p);                               \
        return FACTOR(FORMAT_CODES);                                                                         \
    }

SSW_CODES_TYPES(DEFINE_PRODUCT)

/* ---- activations ---- */

/* 32 columns in a tile's order: the middle two of every four change places. */
INLINE void store_line(__m512 low, __m512 high, uint16_t *out)
{
    __m512i line = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    line = _mm512_shufflehi_epi16(_mm512_shufflelo_epi16(line, _MM_SHUFFLE(3, 1, 2, 0)),
                                  _MM_SHUFFLE(3, 1, 2, 0));
    _mm512_storeu_si512(out, line);
}

/* In the order of memory: lines that other cores hold come quicker one after the other. */
static void fill_q8(const ssw_q8_block *const *rows, int n, int64_t n_blocks, uint16_t *out)
{
    for (int64_t b = 0; b < n_blocks; b++, out += SSW_AMX_NUMBERS) {
        for (int t = 0; t < n; t++) {
            const ssw_q8_block *x = rows[t] + b;
            __m512 scale = _mm512_set1_ps(x->scale * X_FACTOR);
            __m128i low = _mm_loadu_si128((const void *)x->q),
                    high = _mm_loadu_si128((const void *)(x->q + BLOCK / 2));
            store_line(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(low))),
                       _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(high))), out + t * BLOCK);
        }
    }
}

static void fill_f32(const float *const *rows, int n, int64_t n_blocks, uint16_t *out)
{
    const __m512 scale = _mm512_set1_ps(X_FACTOR);
    for (int64_t b = 0; b < n_blocks; b++, out += SSW_AMX_NUMBERS) {
        for (int t = 0; t < n; t++) {
            const float *x = rows[t] + b * BLOCK;
            store_line(_mm512_mul_ps(scale, _mm512_loadu_ps(x)),
                       _mm512_mul_ps(scale, _mm512_loadu_ps(x + BLOCK / 2)), out + t * BLOCK);
        }
    }
}

/* 2^-12: degree 4 of |r| <= ln 2 / 2, and a reciprocal of 14 bits. */
INLINE __m512 sigmoid_of_minus(__m512 x)
{
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693147181f), x);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.0f / 24), r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_rcp14_ps(_mm512_add_ps(_mm512_scalef_ps(p, n), _mm512_set1_ps(1)));
}

INLINE __m512 gated(__m512 gate, __m512 up, const bool is_clamped, __m512 limit, __m512 minus_alpha)
{
    if (is_clamped) {
        gate = _mm512_min_ps(gate, limit);
        up = _mm512_max_ps(_mm512_min_ps(up, limit), _mm512_sub_ps(_mm512_setzero_ps(), limit));
        up = _mm512_add_ps(up, _mm512_set1_ps(1));
    }
    /* beyond 80 the quotient is 0 to within 1e-33 */
    __m512 power = _mm512_min_ps(_mm512_mul_ps(gate, minus_alpha), _mm512_set1_ps(80));
    return _mm512_mul_ps(_mm512_mul_ps(gate, sigmoid_of_minus(power)), up);
}

INLINE void make_hidden_of(const ssw_amx_hidden *h, const bool is_clamped)
{
    const __m512 limit = _mm512_set1_ps(h->args->glu_limit), scale = _mm512_set1_ps(X_FACTOR);
    const __m512 minus_alpha = _mm512_set1_ps(is_clamped ? -h->args->glu_alpha : -1);
    const __m512 gate_scale = _mm512_set1_ps(1 / h->gate_factor), up_scale = _mm512_set1_ps(1 / h->up_factor);
    __m512 gate_bias[SSW_AMX_BANDS], up_bias[SSW_AMX_BANDS], values[SSW_AMX_BANDS];
    for (int i = 0; i < SSW_AMX_BANDS; i++) {
        gate_bias[i] = h->gate_bias ? _mm512_loadu_ps(h->gate_bias + i * ROWS) : _mm512_setzero_ps();
        up_bias[i] = h->up_bias ? _mm512_loadu_ps(h->up_bias + i * ROWS) : _mm512_setzero_ps();
    }
    uint16_t *tile = h->out;
    for (int64_t t = 0, at = 0; t < h->n; tile += h->tile_numbers, at += SSW_AMX_BANDS * SUMS) {
        for (int row = 0; row < h->tile_tokens && t < h->n; row++, t++) {
#pragma GCC unroll 2
            for (int i = 0; i < SSW_AMX_BANDS; i++) {
                const int64_t sum = at + i * SUMS + row;
                __m512 gate = _mm512_fmadd_ps(_mm512_load_ps(h->gate[sum]), gate_scale, gate_bias[i]);
                __m512 up = _mm512_fmadd_ps(_mm512_load_ps(h->up[sum]), up_scale, up_bias[i]);
                values[i] = _mm512_mul_ps(gated(gate, up, is_clamped, limit, minus_alpha), scale);
            }
            store_line(values[0], values[1], tile + row * BLOCK);
        }
    }
}

static void make_hidden(const ssw_amx_hidden *h)
{
    if (h->args->glu == SSW_CPU_GLU_SILU_CLAMPED)
        make_hidden_of(h, true);
    else
        make_hidden_of(h, false);
}

static void finish(const float (*sums)[ROWS], float factor, const float *bias, int n, float *out)
{
    const __m512 scale = _mm512_set1_ps(1 / factor);
    for (int i = 0; i < n; i += ROWS, sums += SUMS) {
        __mmask16 mask = n - i >= ROWS ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        __m512 added = bias ? _mm512_maskz_loadu_ps(mask, bias + i) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(out + i, mask, _mm512_fmadd_ps(_mm512_load_ps(sums), scale, added));
    }
}

#define CODES_ENTRY(TYPE, name, ...) .product[SSW_DTYPE_##TYPE] = product_##name,

const ssw_amx *SSW_AMX_KERNELS(void)
{
    static const ssw_amx kernels = {.product[SSW_DTYPE_MXFP4] = product_mxfp4,
                                    .product[SSW_DTYPE_Q4_0] = product_q4_0,
                                    .product[SSW_DTYPE_Q8_0] = product_q8_0,
                                    SSW_CODES_TYPES(CODES_ENTRY).fill_q8 = fill_q8,
                                    .fill_f32 = fill_f32,
                                    .make_hidden = make_hidden,
                                    .finish = finish};
    return &kernels;
}
