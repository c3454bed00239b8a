/* What the AVX-512 files share. Only they may include this. */
#ifndef SSW_CPU_KERNELS_AVX512_H
#define SSW_CPU_KERNELS_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "cpu/kernels.h"

ssw_tile_kernel ssw_avx512_tile_f32, ssw_avx512_tile_f16, ssw_avx512_tile_bf16;
ssw_tile_kernel ssw_avx512_tile_q8_0, ssw_avx512_tile_q4_0, ssw_avx512_tile_mxfp4;
ssw_tile_kernel ssw_avx512vbmi_tile_q4_0, ssw_avx512vbmi_tile_mxfp4;
void ssw_avx512_attend(const ssw_attention_tile *tile);

static inline __m512i ssw_avx512_broadcast_4(const int8_t *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return _mm512_set1_epi32(word);
}

/* sums + the products of each lane's four unsigned weights with the same four activations. In assembly
 * because gcc 12 loads the broadcast apart, and those extra instructions are a third of the loop. */
static inline __m512i ssw_avx512_dot_4(__m512i sums, __m512i weights, const int8_t *activations)
{
    typedef struct {
        int8_t bytes[4];
    } four;
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sums)
            : "v"(weights), "m"(*(const four *)(const void *)activations));
    return sums;
}

/* e^x for x <= 88: relative error below 2e-7 against expf over [-87, 88]; below -104 it is 0.
 * Range reduction by multiples of ln 2 in two parts, then the Taylor polynomial of degree 6 on |r| <= ln 2
 * / 2. */
static inline __m512 ssw_avx512_exp(__m512 x)
{
    x = _mm512_max_ps(x, _mm512_set1_ps(-105.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
    __m512 p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

#endif
