/* AVX2: tile kernels for types of small codes.
 *
 * A band's 16 rows are done in two halves of 8, four tokens at a time; a block's 32 columns in two halves of
 * 16, since a group of columns with its own scale is never shorter. vpmaddubsw sums pairs of products in 16
 * bits: codes of at most 5 bits, unsigned, still fit after four of them (4 * 2 * 31 * 127 < 32768), those of
 * 6 bits after two; entries of the book take the sign of the weights to the activations and fit once.
 * vpmaddwd then widens, and multiplies with the group's scale at the same time. Offsets and minima are
 * products of the scales with the sums of the activations. All of it is exact. */
#include "cpu/codes.h"
#include "cpu/kernels_avx2.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    ROWS = SSW_TILE_ROWS,
    HALF_ROWS = ROWS / 2,
    BLOCK = SSW_QUANT_BLOCK,
    LINE_BYTES = 4 * ROWS,
    QUADS = 4, /* fours of columns in half a block */
    TOKENS = 4
};

INLINE __m256i load_line(const uint8_t *at)
{
    return _mm256_load_si256((const __m256i *)(const void *)at);
}

/* Bits `from` and up of every byte moved to `to` and up. */
INLINE __m256i move_bits(__m256i bytes, int from, int to, int mask)
{
    __m256i moved = from > to ? _mm256_srli_epi16(bytes, from - to) : _mm256_slli_epi16(bytes, to - from);
    return _mm256_and_si256(from == to ? bytes : moved, _mm256_set1_epi8((char)(mask << to)));
}

/* Half a block of 8 rows: codes, or entries of the book. */
INLINE void unpack(ssw_codes c, const uint8_t *lines, const int half, __m256i book, __m256i w[QUADS])
{
    const uint8_t *twos = lines + (c.bits & 4 ? 4 * LINE_BYTES : 0);
    const uint8_t *ones = twos + (c.bits & 2 ? 2 * LINE_BYTES : 0);
#pragma GCC unroll 4
    for (int k = 0; k < QUADS; k++) {
        w[k] = _mm256_setzero_si256();
        if (c.bits & 4)
            w[k] = move_bits(load_line(lines + k * LINE_BYTES), 4 * half, 0, 15);
        if (c.bits & 2)
            w[k] =
                _mm256_or_si256(w[k], move_bits(load_line(twos + half * LINE_BYTES), 2 * k, c.bits & 4, 3));
        if (c.bits & 1)
            w[k] = _mm256_or_si256(w[k], move_bits(load_line(ones), 4 * half + k, c.bits & 6, 1));
        if (c.has_book)
            w[k] = _mm256_shuffle_epi8(book, w[k]);
    }
}

INLINE __m256i broadcast_4(const void *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return _mm256_set1_epi32(word);
}

INLINE __m256i multiply_quad(ssw_codes c, __m256i w, const int8_t *q)
{
    __m256i x = broadcast_4(q);
    if (c.has_book)
        return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_maddubs_epi16(w, x);
}

/* Half a block: sums of products times the scale, one per row. scale: in both 16-bit halves of a row's lane.
 */
INLINE __m256i dot_half(ssw_codes c, const __m256i w[QUADS], const int8_t *q, __m256i scale)
{
    const int per_sum = c.has_book ? 1 : c.bits == 6 ? 2 : 4;
    __m256i dot = _mm256_setzero_si256(), sum = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int k = 0; k < QUADS; k++) {
        __m256i pairs = multiply_quad(c, w[k], q + 4 * k);
        sum = k % per_sum == 0 ? pairs : _mm256_add_epi16(sum, pairs);
        if (k % per_sum == per_sum - 1)
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(sum, scale));
    }
    return dot;
}

/* What belongs to 8 rows of a block. pairs: scale or min of the first and of the second half of the columns,
 * 16 bits each. */
typedef struct row_scales {
    __m256 d, dmin;
    __m256i pairs, min_pairs;
} row_scales;

INLINE __m256 load_halves(const uint8_t *at)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)at));
}

INLINE __m256i load_pairs(ssw_codes c, const uint8_t *at)
{
    if (c.n_groups == 2)
        return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)at));
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(bytes, bytes));
}

/* d and dmin, which stand before the scales of each super-block or of each block; at: of the first row. */
INLINE void load_d(ssw_codes c, const uint8_t *at, int first_row, row_scales *s)
{
    s->d = load_halves(at + 2 * first_row);
    if (c.has_min)
        s->dmin = load_halves(at + 2 * ROWS + 2 * first_row);
}

INLINE void load_small(ssw_codes c, const uint8_t *at, int first_row, row_scales *s)
{
    at += first_row * c.n_groups;
    s->pairs = load_pairs(c, at);
    if (c.packs_min) {
        s->min_pairs = _mm256_and_si256(_mm256_srli_epi16(s->pairs, 4), _mm256_set1_epi16(15));
        s->pairs = _mm256_and_si256(s->pairs, _mm256_set1_epi16(15));
    } else if (c.has_min) {
        s->min_pairs = load_pairs(c, at + ROWS * c.n_groups);
    }
}

/* The scale of half the columns in both halves of every lane. */
INLINE __m256i spread_scale(ssw_codes c, __m256i pairs, const int half)
{
    if (c.n_groups == 1)
        return pairs;
    const __m128i first = _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13);
    const __m128i which = half ? _mm_add_epi8(first, _mm_set1_epi8(2)) : first;
    return _mm256_shuffle_epi8(pairs, _mm256_broadcastsi128_si256(which));
}

/* The block's part of one token's sums, but for the activations' scale. */
INLINE __m256 finish_block(ssw_codes c, const row_scales *s, __m256i dot, const ssw_q8_block *x)
{
    const __m256i sums = broadcast_4(x->sums);
    if (c.offset) {
        const int shift = c.offset == 4 ? 2 : c.offset == 16 ? 4 : 5;
        dot = _mm256_sub_epi32(dot, _mm256_slli_epi32(_mm256_madd_epi16(s->pairs, sums), shift));
    }
    __m256 value = _mm256_mul_ps(s->d, _mm256_cvtepi32_ps(dot));
    if (!c.has_min)
        return value;
    __m256 mins = _mm256_cvtepi32_ps(_mm256_madd_epi16(s->min_pairs, sums));
    return c.has_super ? _mm256_fnmadd_ps(s->dmin, mins, value) : _mm256_fmadd_ps(s->dmin, mins, value);
}

/* 8 rows from first_row, n tokens. */
INLINE void tile_rows(ssw_codes c, const uint8_t *band, int first_row, int64_t cols, const void *const *x,
                      const int n, float out[][ROWS])
{
    const int64_t n_blocks = cols / BLOCK;
    const int code_bytes = ssw_codes_code_bytes(c), scale_bytes = ssw_codes_scale_bytes(c);
    const uint8_t *lines = band + 4 * first_row, *scales = band + n_blocks * code_bytes;
    const __m256i book = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)ssw_quant_iq4_book));
    row_scales s = {.pairs = _mm256_set1_epi16(1), .min_pairs = _mm256_set1_epi16(1)};
    const ssw_q8_block *xs[TOKENS];
    __m256 acc[TOKENS];
#pragma GCC unroll 4
    for (int t = 0; t < n; t++) {
        xs[t] = x[t];
        acc[t] = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; b++, lines += code_bytes, scales += scale_bytes) {
        if (!c.has_super || b % SSW_CODES_SUPER_BLOCKS == 0) {
            load_d(c, scales, first_row, &s);
            scales += ssw_codes_head_bytes(c);
        }
        if (c.has_super)
            load_small(c, scales, first_row, &s);
        __m256i dots[TOKENS];
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            __m256i w[QUADS];
            unpack(c, lines, half, book, w);
            const __m256i scale = spread_scale(c, s.pairs, half);
#pragma GCC unroll 4
            for (int t = 0; t < n; t++) {
                __m256i dot = dot_half(c, w, xs[t][b].q + half * BLOCK / 2, scale);
                dots[t] = half ? _mm256_add_epi32(dots[t], dot) : dot;
            }
        }
#pragma GCC unroll 4
        for (int t = 0; t < n; t++)
            acc[t] = _mm256_fmadd_ps(finish_block(c, &s, dots[t], xs[t] + b), _mm256_set1_ps(xs[t][b].scale),
                                     acc[t]);
    }
#pragma GCC unroll 4
    for (int t = 0; t < n; t++)
        _mm256_storeu_ps(out[t] + first_row, acc[t]);
}

INLINE void tile_codes(ssw_codes c, const ssw_tile *tile)
{
    for (int i = 0; i < 2 * tile->n_bands; i++) {
        const uint8_t *band = tile->band + (uint64_t)(i / 2) * tile->band_bytes;
        float(*out)[ROWS] = tile->out + i / 2 * SSW_TILE_TOKENS;
        int first_row = i % 2 * HALF_ROWS, t = 0;
        for (; t + TOKENS <= tile->n; t += TOKENS)
            tile_rows(c, band, first_row, tile->cols, tile->x + t, TOKENS, out + t);
        if (tile->n - t == 1)
            tile_rows(c, band, first_row, tile->cols, tile->x + t, 1, out + t);
        else if (tile->n - t == 2)
            tile_rows(c, band, first_row, tile->cols, tile->x + t, 2, out + t);
        else if (tile->n - t == 3)
            tile_rows(c, band, first_row, tile->cols, tile->x + t, 3, out + t);
    }
}

#define DEFINE_TILE(TYPE, name, ...)                                                                         \
    void ssw_avx2_tile_##name(const ssw_tile *tile)                                                          \
    {                                                                                                        \
        tile_codes((ssw_codes){__VA_ARGS__}, tile);                                                          \
    }

SSW_CODES_TYPES(DEFINE_TILE)
