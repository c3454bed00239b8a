/* AVX2: tile kernels for quantised and float weights.
 *
 * A band's 16 rows are done in two halves of 8, four tokens at a time. Nibble types: weights are offset by 16
 * as with AVX-512; vpmaddubsw sums pairs in 16 bits, and four groups still fit (4 * 2 * 28 * 127 < 32768).
 * Q8_0: the weights' signs are moved to the activations, and every group is widened at once (2 * 128 * 127 <
 * 32768). Both are exact. */
#include "cpu/kernels_avx2.h"

enum { ROWS = SSW_TILE_ROWS, HALF_ROWS = ROWS / 2, BLOCK = SSW_QUANT_BLOCK, GROUPS = BLOCK / 4, TOKENS = 4 };

typedef enum format { FORMAT_Q8_0, FORMAT_Q4_0, FORMAT_MXFP4 } format;

#define QUANT_BYTES(f) ((f) == FORMAT_Q8_0 ? ROWS * BLOCK : ROWS * BLOCK / 2)
#define SCALE_BYTES(f) ((f) == FORMAT_MXFP4 ? ROWS : 2 * ROWS)

static inline __m256i load_codebook(format f)
{
    const __m128i mxfp4 = _mm_setr_epi8(16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4);
    const __m128i q4_0 = _mm_setr_epi8(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
    return _mm256_broadcastsi128_si256(f == FORMAT_MXFP4 ? mxfp4 : q4_0);
}

static inline __attribute__((always_inline)) void unpack(format f, const uint8_t *quants, __m256i codebook,
                                                         __m256i w[GROUPS])
{
    if (f == FORMAT_Q8_0) {
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; g++)
            w[g] = _mm256_load_si256((const __m256i *)(const void *)(quants + 64 * g));
        return;
    }
    const __m256i low = _mm256_set1_epi8(15);
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS / 2; g++) {
        __m256i pairs = _mm256_load_si256((const __m256i *)(const void *)(quants + 64 * g));
        w[g] = _mm256_shuffle_epi8(codebook, _mm256_and_si256(pairs, low));
        w[g + GROUPS / 2] = _mm256_shuffle_epi8(codebook, _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low));
    }
}

static inline __attribute__((always_inline)) __m256 load_scales(format f, const uint8_t *scales)
{
    if (f != FORMAT_MXFP4)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)scales));
    /* 2^(e - 128); e of 0 and 1, subnormal, count as 0 */
    __m128i e = _mm_subs_epu8(_mm_loadl_epi64((const __m128i *)(const void *)scales), _mm_set1_epi8(1));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(e), 23));
}

static inline __m256i broadcast_4(const int8_t *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return _mm256_set1_epi32(word);
}

static inline __attribute__((always_inline)) __m256i dot_block(format f, const __m256i w[GROUPS],
                                                               const ssw_q8_block *block)
{
    const __m256i ones = _mm256_set1_epi16(1);
    if (f == FORMAT_Q8_0) {
        __m256i dot = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; g++) {
            __m256i x = _mm256_sign_epi8(broadcast_4(block->q + 4 * g), w[g]);
            __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w[g]), x);
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, ones));
        }
        return dot;
    }
    __m256i sums[2];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        sums[half] = _mm256_maddubs_epi16(w[4 * half], broadcast_4(block->q + 16 * half));
#pragma GCC unroll 3
        for (int g = 4 * half + 1; g < 4 * half + 4; g++)
            sums[half] =
                _mm256_add_epi16(sums[half], _mm256_maddubs_epi16(w[g], broadcast_4(block->q + 4 * g)));
    }
    __m256i dot = _mm256_add_epi32(_mm256_madd_epi16(sums[0], ones), _mm256_madd_epi16(sums[1], ones));
    return _mm256_add_epi32(dot, _mm256_set1_epi32(block->minus_16_sums));
}

static inline __attribute__((always_inline)) void tile_quantised(format f, const uint8_t *band, int64_t cols,
                                                                 const void *const *x, const int n,
                                                                 float out[][ROWS])
{
    const int64_t n_blocks = cols / BLOCK;
    const __m256i codebook = load_codebook(f);
    for (int half = 0; half < 2; half++) {
        const uint8_t *quants = band + half * 32;
        const uint8_t *scales = band + n_blocks * QUANT_BYTES(f) + half * SCALE_BYTES(f) / 2;
        const ssw_q8_block *xs[TOKENS];
        __m256 acc[TOKENS];
#pragma GCC unroll 4
        for (int t = 0; t < n; t++) {
            xs[t] = x[t];
            acc[t] = _mm256_setzero_ps();
        }
        for (int64_t b = 0; b < n_blocks; b++, quants += QUANT_BYTES(f), scales += SCALE_BYTES(f)) {
            __m256i w[GROUPS];
            unpack(f, quants, codebook, w);
            const __m256 w_scales = load_scales(f, scales);
#pragma GCC unroll 4
            for (int t = 0; t < n; t++) {
                const ssw_q8_block *block = xs[t] + b;
                __m256 scale = _mm256_mul_ps(w_scales, _mm256_set1_ps(block->scale));
                acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_block(f, w, block)), scale, acc[t]);
            }
        }
#pragma GCC unroll 4
        for (int t = 0; t < n; t++)
            _mm256_storeu_ps(out[t] + half * HALF_ROWS, acc[t]);
    }
}

typedef enum element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16 } element;

static inline __attribute__((always_inline)) __m256 load_column(element e, const uint8_t *at)
{
    if (e == ELEMENT_F32)
        return _mm256_load_ps((const float *)(const void *)at);
    __m128i halves = _mm_load_si128((const __m128i *)(const void *)at);
    if (e == ELEMENT_F16)
        return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

/* Sums of even and of odd columns apart, as the AVX-512 kernels do. */
static inline __attribute__((always_inline)) void
tile_float(element e, const uint8_t *band, int64_t cols, const void *const *x, const int n, float out[][ROWS])
{
    const int column_bytes = e == ELEMENT_F32 ? 64 : 32;
    for (int half = 0; half < 2; half++) {
        const uint8_t *at = band + half * column_bytes / 2;
        const float *xs[TOKENS];
        __m256 even[TOKENS], odd[TOKENS];
        int64_t c = 0;
#pragma GCC unroll 4
        for (int t = 0; t < n; t++) {
            xs[t] = x[t];
            even[t] = odd[t] = _mm256_setzero_ps();
        }
        for (; c + 1 < cols; c += 2, at += 2 * column_bytes) {
            __m256 w0 = load_column(e, at), w1 = load_column(e, at + column_bytes);
#pragma GCC unroll 4
            for (int t = 0; t < n; t++) {
                even[t] = _mm256_fmadd_ps(w0, _mm256_set1_ps(xs[t][c]), even[t]);
                odd[t] = _mm256_fmadd_ps(w1, _mm256_set1_ps(xs[t][c + 1]), odd[t]);
            }
        }
        if (c < cols) {
            __m256 w = load_column(e, at);
#pragma GCC unroll 4
            for (int t = 0; t < n; t++)
                even[t] = _mm256_fmadd_ps(w, _mm256_set1_ps(xs[t][c]), even[t]);
        }
#pragma GCC unroll 4
        for (int t = 0; t < n; t++)
            _mm256_storeu_ps(out[t] + half * HALF_ROWS, _mm256_add_ps(even[t], odd[t]));
    }
}

#define DEFINE_TILE(name, inner, kind)                                                                       \
    void name(const ssw_tile *tile)                                                                          \
    {                                                                                                        \
        for (int band = 0; band < tile->n_bands; band++) {                                                   \
            const uint8_t *at = tile->band + (uint64_t)band * tile->band_bytes;                              \
            float(*out)[ROWS] = tile->out + band * SSW_TILE_TOKENS;                                          \
            int t = 0;                                                                                       \
            for (; t + TOKENS <= tile->n; t += TOKENS)                                                       \
                inner(kind, at, tile->cols, tile->x + t, TOKENS, out + t);                                   \
            if (tile->n - t == 1)                                                                            \
                inner(kind, at, tile->cols, tile->x + t, 1, out + t);                                        \
            else if (tile->n - t == 2)                                                                       \
                inner(kind, at, tile->cols, tile->x + t, 2, out + t);                                        \
            else if (tile->n - t == 3)                                                                       \
                inner(kind, at, tile->cols, tile->x + t, 3, out + t);                                        \
        }                                                                                                    \
    }

DEFINE_TILE(ssw_avx2_tile_q8_0, tile_quantised, FORMAT_Q8_0)
DEFINE_TILE(ssw_avx2_tile_q4_0, tile_quantised, FORMAT_Q4_0)
DEFINE_TILE(ssw_avx2_tile_mxfp4, tile_quantised, FORMAT_MXFP4)
DEFINE_TILE(ssw_avx2_tile_f32, tile_float, ELEMENT_F32)
DEFINE_TILE(ssw_avx2_tile_f16, tile_float, ELEMENT_F16)
DEFINE_TILE(ssw_avx2_tile_bf16, tile_float, ELEMENT_BF16)
