/* AVX-512 VNNI: tile kernels for types of small codes.
 *
 * The mirror of kernels_avx2_codes.c for 16 rows at once. vpdpbusd takes unsigned weights: codes as they are,
 * entries of the book plus 128, and its sums start at what undoes the offset. A group's scale is multiplied
 * in floats; minima are products with the sums of the activations. */
#include "cpu/kernels_avx512_codes.h"

enum {
    BLOCK = SSW_QUANT_BLOCK,
    PREFETCH_BYTES = 4096, /* as in kernels_avx512_tiles.c */
    PREFETCH_TOKENS_MAX = 2
};

/* What the sums of a block, or of half a block, start at. */
INLINE __m512i start_dot(ssw_codes c, const ssw_q8_block *x, const int half)
{
    if (c.has_book)
        return _mm512_set1_epi32(x->minus_128_sums);
    if (!c.offset)
        return _mm512_setzero_si512();
    return _mm512_set1_epi32(-c.offset * (c.n_groups == 2 ? x->sums[half] : x->sums[0] + x->sums[1]));
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
    const __m512i book = load_iq4_book();
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
