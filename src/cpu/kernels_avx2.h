/* What the AVX2 files share. Only they may include this. */
#ifndef SSW_CPU_KERNELS_AVX2_H
#define SSW_CPU_KERNELS_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "cpu/kernels.h"

ssw_tile_kernel ssw_avx2_tile_f32, ssw_avx2_tile_f16, ssw_avx2_tile_bf16;
ssw_tile_kernel ssw_avx2_tile_q8_0, ssw_avx2_tile_q4_0, ssw_avx2_tile_mxfp4;
void ssw_avx2_attend(const ssw_attention_tile *tile);

/* e^x for x <= 88, as ssw_avx512_exp; below -87.3 it is 0. */
static inline __m256 ssw_avx2_exp(__m256 x)
{
    __m256 visible = _mm256_cmp_ps(x, _mm256_set1_ps(-87.3f), _CMP_GT_OQ);
    x = _mm256_max_ps(x, _mm256_set1_ps(-87.3f));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145752f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860677e-6f), r);
    __m256 p = _mm256_set1_ps(1.0f / 720);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_and_ps(visible, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

static inline float ssw_avx2_sum(__m256 x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline float ssw_avx2_max(__m256 x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

#endif
