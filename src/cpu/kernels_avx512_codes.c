/* AVX-512 VNNI: tile kernels for types of small codes.
 *
 * The mirror of kernels_avx2_codes.c for 16 rows at once. vpdpbusd takes unsigned weights: codes as they are,
 * entries of the book plus 128, and its sums start at what undoes the offset. A group's scale is multiplied
 * in floats; minima are products with the sums of the activations. */
#include "cpu/codes.h"
#include "cpu/kernels_avx512.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    ROWS = SSW_TILE_ROWS,
    BLOCK = SSW_QUANT_BLOCK,
    LINE_BYTES = 4 * ROWS,
    QUADS = 4,             /* fours of columns in half a block */
    PREFETCH_BYTES = 4096, /* as in kernels_avx512_tiles.c */
    PREFETCH_TOKENS_MAX = 2
};

/* Bits `from` and up of every byte moved to `to` and up. */
INLINE __m512i move_bits(__m512i bytes, int from, int to, int mask)
{
    __m512i moved = from > to ? _mm512_srli_epi16(bytes, (unsigned)(from - to))
                              : _mm512_slli_epi16(bytes, (unsigned)(to - from));
    return _mm512_and_si512(from == to ? bytes : moved, _mm512_set1_epi8((char)(mask << to)));
}

/* Half a block of 16 rows: codes, or entries of the book plus 128. */
INLINE void unpack(ssw_codes c, const uint8_t *lines, const int half, __m512i book, __m512i w[QUADS])
{
    const uint8_t *twos = lines + (c.bits & 4 ? 4 * LINE_BYTES : 0);
    const uint8_t *ones = twos + (c.bits & 2 ? 2 * LINE_BYTES : 0);
#pragma GCC unroll 4
    for (int k = 0; k < QUADS; k++) {
        w[k] = _mm512_setzero_si512();
        if (c.bits & 4)
            w[k] = move_bits(_mm512_load_si512(lines + k * LINE_BYTES), 4 * half, 0, 15);
        if (c.bits & 2)
            w[k] = _mm512_or_si512(
                w[k], move_bits(_mm512_load_si512(twos + half * LINE_BYTES), 2 * k, c.bits & 4, 3));
        if (c.bits & 1)
            w[k] = _mm512_or_si512(w[k], move_bits(_mm512_load_si512(ones), 4 * half + k, c.bits & 6, 1));
        if (c.has_book)
            w[k] = _mm512_shuffle_epi8(book, w[k]);
    }
}

/* What the sums of a block, or of half a block, start at. */
INLINE __m512i start_dot(ssw_codes c, const ssw_q8_block *x, const int half)
{
    if (c.has_book)
        return _mm512_set1_epi32(x->minus_128_sums);
    if (!c.offset)
        return _mm512_setzero_si512();
    return _mm512_set1_epi32(-c.offset * (c.n_groups == 2 ? x->sums[half] : x->sums[0] + x->sums[1]));
}

/* What belongs to 16 rows of a block: the scale and the min of each group. min_pairs: of the first and of the
 * second half of the columns, 16 bits each. */
typedef struct row_scales {
    __m512 d, dmin, groups[2];
    __m512i min_pairs;
} row_scales;

INLINE __m512 load_halves(const uint8_t *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

/* Two signed bytes of every row, or one twice, as 16-bit numbers. */
INLINE __m512i load_pairs(ssw_codes c, const uint8_t *at)
{
    if (c.n_groups == 2)
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)at));
    __m512i single = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)at));
    return _mm512_mask_blend_epi16(0xaaaaaaaa, single, _mm512_slli_epi32(single, 16));
}

INLINE void load_d(ssw_codes c, const uint8_t *at, row_scales *s)
{
    s->d = load_halves(at);
    s->groups[0] = s->groups[1] = s->d;
    if (c.has_min)
        s->dmin = load_halves(at + 2 * ROWS);
}

INLINE void load_small(ssw_codes c, const uint8_t *at, row_scales *s)
{
    __m512i pairs = load_pairs(c, at);
    if (c.packs_min) {
        s->min_pairs = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), _mm512_set1_epi16(15));
        pairs = _mm512_and_si512(pairs, _mm512_set1_epi16(15));
    } else if (c.has_min) {
        s->min_pairs = load_pairs(c, at + ROWS * c.n_groups);
    }
    __m512i second = _mm512_srai_epi32(pairs, 16),
            first = _mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16);
    s->groups[0] = _mm512_mul_ps(s->d, _mm512_cvtepi32_ps(first));
    s->groups[1] = c.n_groups == 2 ? _mm512_mul_ps(s->d, _mm512_cvtepi32_ps(second)) : s->groups[0];
}

/* acc with a block's minima times the activations' sums. */
INLINE __m512 add_mins(ssw_codes c, const row_scales *s, const ssw_q8_block *x, __m512 acc)
{
    int32_t word;
    memcpy(&word, x->sums, sizeof word);
    __m512 mins = _mm512_cvtepi32_ps(_mm512_madd_epi16(s->min_pairs, _mm512_set1_epi32(word)));
    __m512 scale = _mm512_mul_ps(s->dmin, _mm512_set1_ps(x->scale));
    return c.has_super ? _mm512_fnmadd_ps(mins, scale, acc) : _mm512_fmadd_ps(mins, scale, acc);
}

/* A block's products, of n tokens. */
INLINE void add_block(ssw_codes c, const uint8_t *lines, __m512i book, const row_scales *s,
                      const ssw_q8_block *const *xs, int64_t b, const int n, __m512 *acc)
{
    __m512i dots[SSW_TILE_TOKENS];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        __m512i w[QUADS];
        unpack(c, lines, half, book, w);
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            const ssw_q8_block *x = xs[t] + b;
            if (half == 0 || c.n_groups == 2)
                dots[t] = start_dot(c, x, half);
#pragma GCC unroll 4
            for (int k = 0; k < QUADS; k++)
                dots[t] = ssw_avx512_dot_4(dots[t], w[k], x->q + half * BLOCK / 2 + 4 * k);
            if (half == 1 || c.n_groups == 2) {
                __m512 scale = _mm512_mul_ps(s->groups[half], _mm512_set1_ps(x->scale));
                acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale, acc[t]);
            }
        }
    }
    if (c.has_min) {
#pragma GCC unroll 8
        for (int t = 0; t < n; t++)
            acc[t] = add_mins(c, s, xs[t] + b, acc[t]);
    }
}

INLINE void tile_tokens(ssw_codes c, const uint8_t *band, int64_t cols, const void *const *x, const int n,
                        float out[][ROWS])
{
    const int64_t n_blocks = cols / BLOCK;
    const int code_bytes = ssw_codes_code_bytes(c), scale_bytes = ssw_codes_scale_bytes(c);
    const uint8_t *lines = band, *scales = band + n_blocks * code_bytes;
    const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)ssw_quant_iq4_book));
    const __m512i book = _mm512_xor_si512(entries, _mm512_set1_epi8((char)0x80));
    row_scales s = {.min_pairs = _mm512_set1_epi16(1)};
    const ssw_q8_block *xs[SSW_TILE_TOKENS];
    __m512 acc[SSW_TILE_TOKENS];
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        xs[t] = x[t];
        acc[t] = _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; b++, lines += code_bytes, scales += scale_bytes) {
        if (!c.has_super || b % SSW_CODES_SUPER_BLOCKS == 0) {
            load_d(c, scales, &s);
            scales += ssw_codes_head_bytes(c);
        }
        if (c.has_super)
            load_small(c, scales, &s);
        for (int l = 0; l < (n <= PREFETCH_TOKENS_MAX ? c.bits : 0); l++)
            _mm_prefetch((const char *)lines + l * LINE_BYTES + PREFETCH_BYTES, _MM_HINT_T0);
        add_block(c, lines, book, &s, xs, b, n, acc);
    }
#pragma GCC unroll 8
    for (int t = 0; t < n; t++)
        _mm512_store_ps(out[t], acc[t]);
}

INLINE void tile_codes(ssw_codes c, const ssw_tile *tile)
{
    for (int i = 0; i < tile->n_bands; i++) {
        const uint8_t *band = tile->band + (uint64_t)i * tile->band_bytes;
        float(*out)[ROWS] = tile->out + i * SSW_TILE_TOKENS;
        int t = 0;
        if (tile->n == SSW_TILE_TOKENS) {
            tile_tokens(c, band, tile->cols, tile->x, SSW_TILE_TOKENS, out);
            continue;
        }
        for (; t + 4 <= tile->n; t += 4)
            tile_tokens(c, band, tile->cols, tile->x + t, 4, out + t);
        if (tile->n - t == 1)
            tile_tokens(c, band, tile->cols, tile->x + t, 1, out + t);
        else if (tile->n - t == 2)
            tile_tokens(c, band, tile->cols, tile->x + t, 2, out + t);
        else if (tile->n - t == 3)
            tile_tokens(c, band, tile->cols, tile->x + t, 3, out + t);
    }
}

#define DEFINE_TILE(TYPE, name, ...)                                                                         \
    void ssw_avx512_tile_##name(const ssw_tile *tile)                                                        \
    {                                                                                                        \
        tile_codes((ssw_codes){__VA_ARGS__}, tile);                                                          \
    }

SSW_CODES_TYPES(DEFINE_TILE)
