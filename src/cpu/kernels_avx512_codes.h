/* Codes and scales of 16 rows of a block, for the types of codes.h: what the AVX-512 and the AMX kernels
 * share. Only they may include this. */
#ifndef SSW_CPU_KERNELS_AVX512_CODES_H
#define SSW_CPU_KERNELS_AVX512_CODES_H

#include "cpu/codes.h"
#include "cpu/kernels_avx512.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    ROWS = SSW_TILE_ROWS,
    LINE_BYTES = 4 * ROWS,
    QUADS = 4 /* fours of columns in half a block */
};

/* The entries plus 128. */
INLINE __m512i load_iq4_book(void)
{
    const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)ssw_quant_iq4_book));
    return _mm512_xor_si512(entries, _mm512_set1_epi8((char)0x80));
}

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

#endif
