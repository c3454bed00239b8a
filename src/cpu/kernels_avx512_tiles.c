/* AVX-512 VNNI: tile kernels for quantised and float weights.
 *
 * One register holds 16 rows' groups of four weights; vpdpbusd multiplies them with a token's four
 * activations, broadcast, so that lane r gathers row r. Weights are made unsigned by an offset (16 or 128)
 * and the accumulator starts at minus offset times the activations' sum, which makes the integer result
 * exact. A block's weights are unpacked once for up to eight tokens.
 *
 * Compiled twice, without and with VBMI: vpermb looks up 64 codes of 6 bits, so with the codebook repeated
 * four times it needs no masking of nibbles, and decoding takes three instructions for 128 weights instead
 * of five. */
#include "cpu/kernels_avx512.h"

#ifdef __AVX512VBMI__
#define NAME(type) ssw_avx512vbmi_tile_##type
#else
#define NAME(type) ssw_avx512_tile_##type
#endif

enum { ROWS = SSW_TILE_ROWS, BLOCK = SSW_QUANT_BLOCK, GROUPS = BLOCK / 4 };

typedef enum format { FORMAT_Q8_0, FORMAT_Q4_0, FORMAT_MXFP4 } format;

/* Bytes per block of a band. */
#define QUANT_BYTES(f) ((f) == FORMAT_Q8_0 ? ROWS * BLOCK : ROWS * BLOCK / 2)
#define SCALE_BYTES(f) ((f) == FORMAT_MXFP4 ? ROWS : 2 * ROWS)

/* The values of the 16 codes, plus 16. */
static inline __m512i load_codebook(format f)
{
    const __m128i mxfp4 = _mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4);
    const __m128i q4_0 = _mm_setr_epi8(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
    return _mm512_broadcast_i32x4(f == FORMAT_MXFP4 ? mxfp4 : q4_0);
}

static inline __attribute__((always_inline)) void unpack(format f, const uint8_t *quants, __m512i codebook,
                                                         __m512i w[GROUPS])
{
    if (f == FORMAT_Q8_0) {
        const __m512i flip = _mm512_set1_epi8((char)0x80);
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; g++)
            w[g] = _mm512_xor_si512(_mm512_load_si512(quants + 64 * g), flip);
        return;
    }
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS / 2; g++) {
        __m512i pairs = _mm512_load_si512(quants + 64 * g), high = _mm512_srli_epi16(pairs, 4);
#ifdef __AVX512VBMI__
        w[g] = _mm512_permutexvar_epi8(pairs, codebook);
        w[g + GROUPS / 2] = _mm512_permutexvar_epi8(high, codebook);
#else
        const __m512i low = _mm512_set1_epi8(15);
        w[g] = _mm512_shuffle_epi8(codebook, _mm512_and_si512(pairs, low));
        w[g + GROUPS / 2] = _mm512_shuffle_epi8(codebook, _mm512_and_si512(high, low));
#endif
    }
}

static inline __attribute__((always_inline)) __m512 load_scales(format f, const uint8_t *scales)
{
    if (f != FORMAT_MXFP4)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
    /* 2^(e - 128); e of 0 and 1, subnormal, count as 0 */
    __m128i e = _mm_subs_epu8(_mm_loadu_si128((const __m128i *)(const void *)scales), _mm_set1_epi8(1));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(e), 23));
}

static inline __attribute__((always_inline)) void tile_quantised(format f, const uint8_t *band, int64_t cols,
                                                                 const void *const *x, const int n,
                                                                 float out[][ROWS])
{
    const int64_t n_blocks = cols / BLOCK;
    const uint8_t *quants = band, *scales = band + n_blocks * QUANT_BYTES(f);
    const __m512i codebook = load_codebook(f);
    const ssw_q8_block *xs[SSW_TILE_TOKENS];
    __m512 acc[SSW_TILE_TOKENS];
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        xs[t] = x[t];
        acc[t] = _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < n_blocks; b++, quants += QUANT_BYTES(f), scales += SCALE_BYTES(f)) {
        __m512i w[GROUPS];
        unpack(f, quants, codebook, w);
        const __m512 w_scales = load_scales(f, scales);
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            const ssw_q8_block *block = xs[t] + b;
            __m512i dot = _mm512_set1_epi32(f == FORMAT_Q8_0 ? block->minus_128_sums : block->minus_16_sums);
#pragma GCC unroll 8
            for (int g = 0; g < GROUPS; g++)
                dot = _mm512_dpbusd_epi32(dot, w[g], ssw_broadcast_4(block->q + 4 * g));
            __m512 scale = _mm512_mul_ps(w_scales, _mm512_set1_ps(block->scale));
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, acc[t]);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < n; t++)
        _mm512_storeu_ps(out[t], acc[t]);
}

#ifndef __AVX512VBMI__ /* float weights gain nothing from it */
typedef enum element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16 } element;

static inline __attribute__((always_inline)) __m512 load_column(element e, const uint8_t *at)
{
    if (e == ELEMENT_F32)
        return _mm512_load_ps(at);
    __m256i halves = _mm256_load_si256((const __m256i *)(const void *)at);
    if (e == ELEMENT_F16)
        return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* Two sums per token, of even and of odd columns, to hide the latency of the additions when there is one
 * token. */
static inline __attribute__((always_inline)) void
tile_float(element e, const uint8_t *band, int64_t cols, const void *const *x, const int n, float out[][ROWS])
{
    const int column_bytes = e == ELEMENT_F32 ? 64 : 32;
    const float *xs[SSW_TILE_TOKENS];
    __m512 even[SSW_TILE_TOKENS], odd[SSW_TILE_TOKENS];
    int64_t c = 0;
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        xs[t] = x[t];
        even[t] = odd[t] = _mm512_setzero_ps();
    }
    for (; c + 1 < cols; c += 2, band += 2 * column_bytes) {
        __m512 w0 = load_column(e, band), w1 = load_column(e, band + column_bytes);
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            even[t] = _mm512_fmadd_ps(w0, _mm512_set1_ps(xs[t][c]), even[t]);
            odd[t] = _mm512_fmadd_ps(w1, _mm512_set1_ps(xs[t][c + 1]), odd[t]);
        }
    }
    if (c < cols) {
        __m512 w = load_column(e, band);
#pragma GCC unroll 8
        for (int t = 0; t < n; t++)
            even[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(xs[t][c]), even[t]);
    }
#pragma GCC unroll 8
    for (int t = 0; t < n; t++)
        _mm512_storeu_ps(out[t], _mm512_add_ps(even[t], odd[t]));
}
#endif

#define DEFINE_TILE(name, inner, kind)                                                                       \
    void name(const uint8_t *band, int64_t cols, const void *const *x, int n, float out[][ROWS])             \
    {                                                                                                        \
        switch (n) {                                                                                         \
        case 1:                                                                                              \
            inner(kind, band, cols, x, 1, out);                                                              \
            break;                                                                                           \
        case 2:                                                                                              \
            inner(kind, band, cols, x, 2, out);                                                              \
            break;                                                                                           \
        case 3:                                                                                              \
            inner(kind, band, cols, x, 3, out);                                                              \
            break;                                                                                           \
        case 4:                                                                                              \
            inner(kind, band, cols, x, 4, out);                                                              \
            break;                                                                                           \
        case 5:                                                                                              \
            inner(kind, band, cols, x, 5, out);                                                              \
            break;                                                                                           \
        case 6:                                                                                              \
            inner(kind, band, cols, x, 6, out);                                                              \
            break;                                                                                           \
        case 7:                                                                                              \
            inner(kind, band, cols, x, 7, out);                                                              \
            break;                                                                                           \
        case 8:                                                                                              \
            inner(kind, band, cols, x, 8, out);                                                              \
            break;                                                                                           \
        default:                                                                                             \
            break;                                                                                           \
        }                                                                                                    \
    }

DEFINE_TILE(NAME(q4_0), tile_quantised, FORMAT_Q4_0)
DEFINE_TILE(NAME(mxfp4), tile_quantised, FORMAT_MXFP4)
#ifndef __AVX512VBMI__
DEFINE_TILE(NAME(q8_0), tile_quantised, FORMAT_Q8_0)
DEFINE_TILE(NAME(f32), tile_float, ELEMENT_F32)
DEFINE_TILE(NAME(f16), tile_float, ELEMENT_F16)
DEFINE_TILE(NAME(bf16), tile_float, ELEMENT_BF16)
#endif
