/* Weights of 16 rows and 32 columns to a tile of bf16. Only kernels_amx.c may include this.
 *
 * Line 2 g of a tile holds columns 4 g and 4 g + 2 of the 16 rows, line 2 g + 1 columns 4 g + 1 and 4 g + 3:
 * so the nibbles at one place of a line's 16-bit lanes make a line of the tile, and one lookup decodes 32.
 *
 * F16 scales. A code times its scale is made as an F16 number, rounded to 8 bits while its bits move down by
 * three, and so is a bf16 number 2^-112 times as large. Where a block's scale is subnormal, or so large that
 * the product could overflow, that does not hold; `odd` says so, and the product is made again through
 * floats. MXFP4's scales above 1 are odd too. */
#ifndef SSW_CPU_KERNELS_AMX_DECODE_H
#define SSW_CPU_KERNELS_AMX_DECODE_H

#include "cpu/kernels_avx512_codes.h"

enum { BLOCK = SSW_QUANT_BLOCK, LINE_NUMBERS = 32 };

/* _LARGE, _FLOATS: any scale. */
typedef enum format {
    FORMAT_MXFP4,
    FORMAT_MXFP4_LARGE,
    FORMAT_Q4_0,
    FORMAT_Q4_0_FLOATS,
    FORMAT_Q8_0,
    FORMAT_Q8_0_FLOATS,
    FORMAT_CODES
} format;

typedef struct decoder {
    format format;
    ssw_codes codes; /* of FORMAT_CODES */
} decoder;

/* A block of a band on its way to a tile, in parts, so that they can stand between tile instructions. */
enum { DECODE_PARTS = 4 };

typedef struct decoding {
    const uint8_t *quants;
    uint16_t *out;
    __m512i scales;  /* 16-bit, two a row */
    __m512 floats;   /* of _FLOATS */
    row_scales rows; /* of FORMAT_CODES */
} decoding;

/* Whether numbers come out 2^-112 times as large. */
#define IS_MOVED(format) ((format) == FORMAT_Q4_0 || (format) == FORMAT_Q8_0)

/* Of a block: what stands before all the scales. */
INLINE int quant_bytes(decoder d)
{
    if (d.format == FORMAT_CODES)
        return ssw_codes_code_bytes(d.codes);
    return d.format == FORMAT_Q8_0 || d.format == FORMAT_Q8_0_FLOATS ? ROWS * BLOCK : ROWS * BLOCK / 2;
}

/* Where the nibbles at bit 4 * place of the lanes of line l go. */
INLINE uint16_t *line_of_nibbles(uint16_t *tile, int l, int place)
{
    return tile + LINE_NUMBERS * (2 * l + place / 2 + place % 2 * (ROWS / 2));
}

/* A word of each row in both halves of its 32 bits. */
INLINE __m512i twice(__m512i words)
{
    return _mm512_or_si512(words, _mm512_slli_epi32(words, 16));
}

/* Two columns of 16 rows, side by side. */
INLINE __m512i pack(__m512 first, __m512 second)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                           7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

/* The 16 bf16 values, twice; zeros without a sign. */
INLINE __m512i load_mxfp4_book(void)
{
    const __m256i book = _mm256_setr_epi16(0, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0, 0,
                                           (short)0xbf00, (short)0xbf80, (short)0xbfc0, (short)0xc000,
                                           (short)0xc040, (short)0xc080, (short)0xc0c0);
    return _mm512_broadcast_i64x4(book);
}

/* Scales up to 1 are taken off the exponents, with saturation: zeros stay zeros. A scale of 2^-127 counts as
 * 2^-126. odd: there are scales above 1. */
INLINE __m512i load_mxfp4_scales(const uint8_t *scales, __mmask16 *odd)
{
    __m128i e = _mm_loadu_si128((const void *)scales);
    *odd |= (__mmask16)_mm_movemask_epi8(e);
    __m128i less = _mm_min_epu8(_mm_sub_epi8(_mm_set1_epi8(127), e), _mm_set1_epi8(126));
    return twice(_mm512_slli_epi32(_mm512_cvtepu8_epi32(less), 7));
}

/* Any scales: added to the exponents, of all but zeros. */
INLINE __m512i load_large_mxfp4_scales(const uint8_t *scales)
{
    enum { BIAS = 127, LARGEST = 252 }; /* 6 * 2^(252 - 127) is a number */
    __m128i e = _mm_loadu_si128((const void *)scales);
    __m512i wide = _mm512_cvtepu8_epi32(_mm_min_epu8(e, _mm_set1_epi8((char)LARGEST)));
    wide = _mm512_max_epi32(wide, _mm512_set1_epi32(1));
    wide = _mm512_slli_epi32(_mm512_sub_epi32(wide, _mm512_set1_epi32(BIAS)), 7);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, wide, _mm512_slli_epi32(wide, 16));
}

INLINE __m512i scale_mxfp4(__m512i v, __m512i scales, const bool is_large)
{
    if (is_large)
        return _mm512_maskz_add_epi16(_mm512_test_epi16_mask(v, v), v, scales);
    return _mm512_subs_epu16(v, scales);
}

/* ---- F16 scales ---- */

/* 16 rows' scales, twice each; odd: rows whose scale times a code up to 2^code_bits could be no normal
 * number.
 */
INLINE __m512i load_f16_scales(const uint8_t *scales, const int code_bits, __mmask16 *odd)
{
    enum { SMALLEST = 0x0400, INFINITE = 0x7c00, DOUBLED = 0x0400 };
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)scales));
    __m512i size = _mm512_and_si512(wide, _mm512_set1_epi32(0x7fff));
    __m512i above = _mm512_sub_epi32(size, _mm512_set1_epi32(SMALLEST));
    const __m512i limit = _mm512_set1_epi32(INFINITE - SMALLEST - DOUBLED * code_bits);
    *odd |= _mm512_mask_cmpge_epu32_mask(_mm512_test_epi32_mask(size, size), above, limit);
    return twice(wide);
}

/* Codes and scales as F16 numbers to the bits of a bf16. */
INLINE __m512i scale_f16(__m512i codes, __m512i scales)
{
    __m512i moved = _mm512_mulhrs_epi16(MUL_F16(codes, scales), _mm512_set1_epi16(1 << 12)); /* to nearest */
    return _mm512_and_si512(moved, _mm512_set1_epi16((short)0x8fff)); /* the sign came along, three times */
}

/* The 16 F16 numbers from -8 to 7, twice. */
INLINE __m512i load_q4_0_book(void)
{
    return _mm512_broadcast_i64x4(_mm256_setr_epi16(
        (short)0xc800, (short)0xc700, (short)0xc600, (short)0xc500, (short)0xc400, (short)0xc200,
        (short)0xc000, (short)0xbc00, 0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700));
}

/* Line l of nibbles, which index 16 numbers of 16 bits. */
INLINE void decode_nibbles(decoder d, const decoding *s, const int l)
{
    const bool is_q4_0 = d.format == FORMAT_Q4_0;
    const __m512i book = is_q4_0 ? load_q4_0_book() : load_mxfp4_book();
    __m512i line = _mm512_load_si512(s->quants + LINE_BYTES * l);
#pragma GCC unroll 4
    for (int place = 0; place < 4; place++) {
        __m512i v = _mm512_permutexvar_epi16(_mm512_srli_epi16(line, (unsigned)(4 * place)), book);
        v = is_q4_0 ? scale_f16(v, s->scales) : scale_mxfp4(v, s->scales, d.format == FORMAT_MXFP4_LARGE);
        _mm512_store_si512(line_of_nibbles(s->out, l, place), v);
    }
}

INLINE void decode_q8_0(const decoding *s, const int l)
{
    __m512i line = _mm512_load_si512(s->quants + LINE_BYTES * l);
    __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(line, 8), 8), uneven = _mm512_srai_epi16(line, 8);
    _mm512_store_si512(s->out + LINE_NUMBERS * 2 * l, scale_f16(INTEGERS_TO_F16(even), s->scales));
    _mm512_store_si512(s->out + LINE_NUMBERS * (2 * l + 1), scale_f16(INTEGERS_TO_F16(uneven), s->scales));
}

static __attribute__((noinline)) void decode_q4_0_floats(const decoding *s, int l)
{
    const __m512 book = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    __m512i line = _mm512_load_si512(s->quants + LINE_BYTES * l);
    for (int place = 0; place < 4; place++, line = _mm512_srli_epi32(line, 4)) {
        __m512 first = _mm512_mul_ps(s->floats, _mm512_permutexvar_ps(line, book));
        __m512 second = _mm512_mul_ps(s->floats, _mm512_permutexvar_ps(_mm512_srli_epi32(line, 16), book));
        _mm512_store_si512(line_of_nibbles(s->out, l, place), pack(first, second));
    }
}

static __attribute__((noinline)) void decode_q8_0_floats(const decoding *s, int l)
{
    __m512i line = _mm512_load_si512(s->quants + LINE_BYTES * l);
    for (int i = 0; i < 2; i++, line = _mm512_srli_epi32(line, 8)) {
        __m512i first = _mm512_srai_epi32(_mm512_slli_epi32(line, 24), 24);
        __m512i second = _mm512_srai_epi32(_mm512_slli_epi32(line, 8), 24);
        _mm512_store_si512(s->out + LINE_NUMBERS * (2 * l + i),
                           pack(_mm512_mul_ps(s->floats, _mm512_cvtepi32_ps(first)),
                                _mm512_mul_ps(s->floats, _mm512_cvtepi32_ps(second))));
    }
}

/* ---- small codes ---- */

/* What half a block's codes are multiplied by, and what is added then. */
INLINE void load_affine(ssw_codes c, const row_scales *s, const int half, __m512 *scale, __m512 *added)
{
    *scale = s->groups[half];
    if (c.has_min && c.has_super) {
        __m512i mins = half ? _mm512_srai_epi32(s->min_pairs, 16)
                            : _mm512_srai_epi32(_mm512_slli_epi32(s->min_pairs, 16), 16);
        *added = _mm512_fnmadd_ps(s->dmin, _mm512_cvtepi32_ps(mins), _mm512_setzero_ps());
    } else if (c.has_min) {
        *added = s->dmin;
    } else {
        *added = _mm512_mul_ps(*scale, _mm512_set1_ps(c.has_book ? -128.0f : (float)-c.offset));
    }
}

/* Column `place` of every four. */
INLINE __m512 column_of(__m512i fours, const int place, __m512 scale, __m512 added)
{
    __m512i codes =
        _mm512_and_si512(_mm512_srli_epi32(fours, (unsigned)(8 * place)), _mm512_set1_epi32(0xff));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(codes), scale, added);
}

INLINE void load_rows(ssw_codes c, const uint8_t *band, int64_t n_blocks, int64_t b, row_scales *s)
{
    const uint8_t *scales = band + n_blocks * ssw_codes_code_bytes(c) + b * ssw_codes_scale_bytes(c);
    const int64_t super = b / SSW_CODES_SUPER_BLOCKS;
    s->min_pairs = _mm512_setzero_si512();
    if (c.has_super) {
        const uint8_t *head = scales + super * ssw_codes_head_bytes(c);
        load_d(c, head - b % SSW_CODES_SUPER_BLOCKS * ssw_codes_scale_bytes(c), s);
        load_small(c, head + ssw_codes_head_bytes(c), s);
    } else {
        load_d(c, scales, s);
    }
}

/* A quarter of the columns. */
INLINE void decode_codes(ssw_codes c, const decoding *s, const int part)
{
    const int half = part / 2, first = part % 2 * QUADS / 2;
    __m512i fours[QUADS];
    __m512 scale, added;
    unpack(c, s->quants, half, load_iq4_book(), fours);
    load_affine(c, &s->rows, half, &scale, &added);
#pragma GCC unroll 2
    for (int k = first; k < first + QUADS / 2; k++) {
        uint16_t *line = s->out + LINE_NUMBERS * 2 * (QUADS * half + k);
        _mm512_store_si512(line,
                           pack(column_of(fours[k], 0, scale, added), column_of(fours[k], 2, scale, added)));
        _mm512_store_si512(line + LINE_NUMBERS,
                           pack(column_of(fours[k], 1, scale, added), column_of(fours[k], 3, scale, added)));
    }
}

/* Block b of a band, to out. */
INLINE void begin_decoding(decoder d, const uint8_t *band, int64_t n_blocks, int64_t b, decoding *s,
                           __mmask16 *odd)
{
    const uint8_t *scales = band + n_blocks * quant_bytes(d);
    s->quants = band + b * quant_bytes(d);
    switch (d.format) {
    case FORMAT_MXFP4:
        s->scales = load_mxfp4_scales(scales + b * ROWS, odd);
        break;
    case FORMAT_MXFP4_LARGE:
        s->scales = load_large_mxfp4_scales(scales + b * ROWS);
        break;
    case FORMAT_Q4_0:
        s->scales = load_f16_scales(scales + b * 2 * ROWS, 3, odd);
        break;
    case FORMAT_Q8_0:
        s->scales = load_f16_scales(scales + b * 2 * ROWS, 7, odd);
        break;
    case FORMAT_Q4_0_FLOATS:
    case FORMAT_Q8_0_FLOATS:
        s->floats = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(scales + b * 2 * ROWS)));
        break;
    case FORMAT_CODES:
        load_rows(d.codes, band, n_blocks, b, &s->rows);
        break;
    }
}

INLINE void decode_part(decoder d, const decoding *s, const int part)
{
    switch (d.format) {
    case FORMAT_MXFP4:
    case FORMAT_MXFP4_LARGE:
    case FORMAT_Q4_0:
        decode_nibbles(d, s, part);
        break;
    case FORMAT_Q4_0_FLOATS:
        decode_q4_0_floats(s, part);
        break;
    case FORMAT_Q8_0:
        decode_q8_0(s, 2 * part);
        decode_q8_0(s, 2 * part + 1);
        break;
    case FORMAT_Q8_0_FLOATS:
        decode_q8_0_floats(s, 2 * part);
        decode_q8_0_floats(s, 2 * part + 1);
        break;
    case FORMAT_CODES:
        decode_codes(d.codes, s, part);
        break;
    }
}

#endif
