/* The tile instructions of kernels_amx.c in plain C, for processors that lack them: each thread has tiles of
 * its own. Only the sums' order within a tile is another than the processor's. */
#ifndef SSW_TESTS_AMX_EMULATED_H
#define SSW_TESTS_AMX_EMULATED_H

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels_amx.h"

static _Thread_local uint8_t amx_tiles[8][16][64];
static _Thread_local uint8_t amx_rows[8]; /* what a configuration allows of them */

static inline void amx_begin(const uint8_t *rows)
{
    memset(amx_tiles, 0xee, sizeof amx_tiles);
    memcpy(amx_rows, rows, sizeof amx_rows);
}

static inline float amx_from_bf16(const uint8_t *at)
{
    uint16_t half;
    memcpy(&half, at, 2);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    if ((half & 0x7f80) == 0) /* subnormal numbers count as zero */
        bits &= 0x80000000u;
    memcpy(&value, &bits, 4);
    return value;
}

static inline void amx_dot(int c, int a, int b)
{
    if (amx_rows[c] != amx_rows[a] || amx_rows[b] != 16)
        abort();
    for (int m = 0; m < amx_rows[c]; m++) {
        for (int n = 0; n < 16; n++) {
            float sum;
            memcpy(&sum, &amx_tiles[c][m][4 * n], 4);
            for (int k = 0; k < 16; k++) {
                sum += amx_from_bf16(&amx_tiles[a][m][4 * k]) * amx_from_bf16(&amx_tiles[b][k][4 * n]);
                sum +=
                    amx_from_bf16(&amx_tiles[a][m][4 * k + 2]) * amx_from_bf16(&amx_tiles[b][k][4 * n + 2]);
            }
            memcpy(&amx_tiles[c][m][4 * n], &sum, 4);
        }
    }
}

/* Products of F16 numbers, and integers below 2048 as such: exact in floats, rounded once. */
static inline __m512i amx_mul_f16(__m512i a, __m512i b)
{
    __m256i halves[2];
    for (int i = 0; i < 2; i++) {
        __m512 x = _mm512_cvtph_ps(i ? _mm512_extracti64x4_epi64(a, 1) : _mm512_castsi512_si256(a));
        __m512 y = _mm512_cvtph_ps(i ? _mm512_extracti64x4_epi64(b, 1) : _mm512_castsi512_si256(b));
        halves[i] = _mm512_cvtps_ph(_mm512_mul_ps(x, y), _MM_FROUND_TO_NEAREST_INT);
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(halves[0]), halves[1], 1);
}

static inline __m512i amx_to_f16(__m512i a)
{
    __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(a)));
    __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(a, 1)));
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtps_ph(low, _MM_FROUND_TO_NEAREST_INT)),
                              _mm512_cvtps_ph(high, _MM_FROUND_TO_NEAREST_INT), 1);
}

#define SSW_AMX_KERNELS ssw_amx_emulated_kernels
const ssw_amx *ssw_amx_emulated_kernels(void);

#define TILE_BEGIN(config) amx_begin((config).rows)
#define TILE_END()         memset(amx_tiles, 0xff, sizeof amx_tiles)
#define TILE_ZERO(c)       memset(amx_tiles[c], 0, sizeof amx_tiles[c])
#define TILE_LOAD(t, at)   memcpy(amx_tiles[t], (at), amx_rows[t] * sizeof amx_tiles[t][0])
#define TILE_STORE(t, at)  memcpy((at), amx_tiles[t], amx_rows[t] * sizeof amx_tiles[t][0])
#define TILE_DOT(c, a, b)  amx_dot(c, a, b)
#define MUL_F16(a, b)      amx_mul_f16(a, b)
#define INTEGERS_TO_F16(a) amx_to_f16(a)

#endif
