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

enum {
    ROWS = SSW_TILE_ROWS,
    BLOCK = SSW_QUANT_BLOCK,
    PREFETCH_BYTES =
        4096, /* ahead; the hardware's prefetchers stop at page ends. It may pass the matrix's end */
    PREFETCH_TOKENS_MAX = 2 /* with more, arithmetic takes longer than reading */
};

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

/* One 64-byte line of a block: the weights of `line` (and for nibbles of `line + 4`), made unsigned. */
static inline __attribute__((always_inline)) void unpack_line(format f, const uint8_t *at, __m512i codebook,
                                                              __m512i w[2])
{
    __m512i bytes = _mm512_load_si512(at);
    if (f == FORMAT_Q8_0) {
        w[0] = _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
        return;
    }
    __m512i high = _mm512_srli_epi16(bytes, 4);
#ifdef __AVX512VBMI__
    w[0] = _mm512_permutexvar_epi8(bytes, codebook);
    w[1] = _mm512_permutexvar_epi8(high, codebook);
#else
    const __m512i low = _mm512_set1_epi8(15);
    w[0] = _mm512_shuffle_epi8(codebook, _mm512_and_si512(bytes, low));
    w[1] = _mm512_shuffle_epi8(codebook, _mm512_and_si512(high, low));
#endif
}

static inline __attribute__((always_inline)) __m512 load_scales(format f, const uint8_t *scales)
{
    if (f != FORMAT_MXFP4)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
    /* 2^(e - 128); e of 0 and 1, subnormal, count as 0 */
    __m128i e = _mm_subs_epu8(_mm_loadu_si128((const __m128i *)(const void *)scales), _mm_set1_epi8(1));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(e), 23));
}

/* Integer sums of one block for every band and token, line by line so that few weights are unpacked at a
 * time. */
static inline __attribute__((always_inline)) void
dot_block(format f, const uint8_t *quants, uint64_t band_bytes, const int n_bands, __m512i codebook,
          const ssw_q8_block *const *xs, int64_t b, const int n, __m512i dots[2][SSW_TILE_TOKENS])
{
    const int n_lines = QUANT_BYTES(f) / 64, n_groups = f == FORMAT_Q8_0 ? 1 : 2;
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        const ssw_q8_block *x = xs[t] + b;
        dots[0][t] = _mm512_set1_epi32(f == FORMAT_Q8_0 ? x->minus_128_sums : x->minus_16_sums);
        dots[1][t] = dots[0][t];
    }
#pragma GCC unroll 8
    for (int line = 0; line < n_lines; line++) {
        __m512i w[2][2];
        if (n_bands * n > 12)
            __asm__ volatile("" ::: "memory"); /* or gcc loads all lines at once, and spills */
#pragma GCC unroll 2
        for (int band = 0; band < n_bands; band++) {
            const uint8_t *at = quants + (uint64_t)band * band_bytes + 64 * line;
            if (n <= PREFETCH_TOKENS_MAX)
                _mm_prefetch((const char *)at + PREFETCH_BYTES, _MM_HINT_T0);
            unpack_line(f, at, codebook, w[band]);
        }
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
#pragma GCC unroll 2
            for (int g = 0; g < n_groups; g++) {
                const int8_t *four = (xs[t] + b)->q + 4 * (line + 4 * g);
                if (n_bands == 1) {
                    dots[0][t] = ssw_avx512_dot_4(dots[0][t], w[0][g], four);
                } else {
                    __m512i x = ssw_avx512_broadcast_4(four);
                    dots[0][t] = _mm512_dpbusd_epi32(dots[0][t], w[0][g], x);
                    dots[1][t] = _mm512_dpbusd_epi32(dots[1][t], w[1][g], x);
                }
            }
        }
    }
}

/* With few tokens the float sums stay in registers; with many they live in the output, which stays in the
 * first-level cache, and the registers hold the integer sums. */
static inline __attribute__((always_inline)) void tile_quantised(format f, const ssw_tile *tile,
                                                                 const int n_bands, const int n)
{
    const int64_t n_blocks = tile->cols / BLOCK;
    const uint64_t band_bytes = tile->band_bytes;
    const uint8_t *quants = tile->band, *scales = tile->band + n_blocks * QUANT_BYTES(f);
    const __m512i codebook = load_codebook(f);
    const bool in_registers = n * n_bands <= 8;
    const ssw_q8_block *xs[SSW_TILE_TOKENS];
    __m512 acc[2][SSW_TILE_TOKENS];
    float(*out)[ROWS] = tile->out;
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        xs[t] = tile->x[t];
        acc[0][t] = acc[1][t] = _mm512_setzero_ps();
        for (int band = 0; !in_registers && band < n_bands; band++)
            _mm512_store_ps(out[band * SSW_TILE_TOKENS + t], acc[0][t]);
    }
    for (int64_t b = 0; b < n_blocks; b++, quants += QUANT_BYTES(f), scales += SCALE_BYTES(f)) {
        __m512i dots[2][SSW_TILE_TOKENS];
        dot_block(f, quants, band_bytes, n_bands, codebook, xs, b, n, dots);
#pragma GCC unroll 2
        for (int band = 0; band < n_bands; band++) {
            const __m512 w_scales = load_scales(f, scales + (uint64_t)band * band_bytes);
#pragma GCC unroll 8
            for (int t = 0; t < n; t++) {
                float *sum = out[band * SSW_TILE_TOKENS + t];
                __m512 scale = _mm512_mul_ps(w_scales, _mm512_set1_ps((xs[t] + b)->scale));
                __m512 before = in_registers ? acc[band][t] : _mm512_load_ps(sum);
                __m512 after = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[band][t]), scale, before);
                if (in_registers)
                    acc[band][t] = after;
                else
                    _mm512_store_ps(sum, after);
            }
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
#pragma GCC unroll 2
        for (int band = 0; in_registers && band < n_bands; band++)
            _mm512_store_ps(out[band * SSW_TILE_TOKENS + t], acc[band][t]);
    }
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
 * token. Tokens first .. first + n - 1 of the tile. */
static inline __attribute__((always_inline)) void add_columns(element e, const ssw_tile *tile,
                                                              const int n_bands, int first, const int n)
{
    const int column_bytes = e == ELEMENT_F32 ? 64 : 32;
    const uint8_t *at = tile->band;
    const float *xs[SSW_TILE_TOKENS];
    __m512 even[2][SSW_TILE_TOKENS], odd[2][SSW_TILE_TOKENS];
    int64_t c = 0;
#pragma GCC unroll 8
    for (int t = 0; t < n; t++) {
        xs[t] = tile->x[first + t];
        even[0][t] = odd[0][t] = even[1][t] = odd[1][t] = _mm512_setzero_ps();
    }
    for (; c + 1 < tile->cols; c += 2, at += 2 * column_bytes) {
        __m512 w[2][2];
#pragma GCC unroll 2
        for (int band = 0; band < n_bands; band++) {
            if (n <= PREFETCH_TOKENS_MAX)
                _mm_prefetch((const char *)at + (uint64_t)band * tile->band_bytes + PREFETCH_BYTES,
                             _MM_HINT_T0);
            w[band][0] = load_column(e, at + (uint64_t)band * tile->band_bytes);
            w[band][1] = load_column(e, at + (uint64_t)band * tile->band_bytes + column_bytes);
        }
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            __m512 x0 = _mm512_set1_ps(xs[t][c]), x1 = _mm512_set1_ps(xs[t][c + 1]);
#pragma GCC unroll 2
            for (int band = 0; band < n_bands; band++) {
                even[band][t] = _mm512_fmadd_ps(w[band][0], x0, even[band][t]);
                odd[band][t] = _mm512_fmadd_ps(w[band][1], x1, odd[band][t]);
            }
        }
    }
#pragma GCC unroll 2
    for (int band = 0; band < n_bands; band++) {
        bool last = c < tile->cols;
        __m512 w = last ? load_column(e, at + (uint64_t)band * tile->band_bytes) : _mm512_setzero_ps();
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            if (last)
                even[band][t] = _mm512_fmadd_ps(w, _mm512_set1_ps(xs[t][c]), even[band][t]);
            _mm512_store_ps(tile->out[band * SSW_TILE_TOKENS + first + t],
                            _mm512_add_ps(even[band][t], odd[band][t]));
        }
    }
}

/* Two bands of eight tokens need more registers than there are: four tokens at a time. */
static inline __attribute__((always_inline)) void tile_float(element e, const ssw_tile *tile,
                                                             const int n_bands, const int n)
{
    if (n_bands == 2 && n > 4) {
        add_columns(e, tile, n_bands, 0, 4);
        add_columns(e, tile, n_bands, 4, n - 4);
    } else {
        add_columns(e, tile, n_bands, 0, n);
    }
}
#endif

#define CASE(inner, kind, n)                                                                                 \
    case 2 * (n):                                                                                            \
        inner(kind, tile, 1, n);                                                                             \
        break;                                                                                               \
    case 2 * (n) + 1:                                                                                        \
        inner(kind, tile, 2, n);                                                                             \
        break;

#define DEFINE_TILE(name, inner, kind)                                                                       \
    void name(const ssw_tile *tile)                                                                          \
    {                                                                                                        \
        switch (2 * tile->n + tile->n_bands - 1) {                                                           \
            CASE(inner, kind, 1)                                                                             \
            CASE(inner, kind, 2)                                                                             \
            CASE(inner, kind, 3)                                                                             \
            CASE(inner, kind, 4)                                                                             \
            CASE(inner, kind, 5)                                                                             \
            CASE(inner, kind, 6)                                                                             \
            CASE(inner, kind, 7)                                                                             \
            CASE(inner, kind, 8)                                                                             \
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
