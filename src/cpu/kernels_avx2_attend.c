/* AVX2: attention of up to 64 queries over a tile of 64 positions; the plan is that of the AVX-512 version
 * with registers of 8 and four queries to share each load. */
#include "cpu/kernels_avx2.h"

#include <math.h>

enum { BAND = SSW_CPU_BAND_ROWS, TILE = SSW_KV_TILE, SHARE = 4, LANES = 8 };

static inline __m256 load_8(const uint16_t *half)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half));
}

static inline __attribute__((always_inline)) void score_band(const ssw_attention_tile *tile, int band,
                                                             int first, const int n, float *scores)
{
    int dim = tile->head_dim;
    const uint16_t *keys = tile->k + band * BAND * dim;
    const float *q = tile->q + first * dim;
    __m256 low[SHARE], high[SHARE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
        low[i] = high[i] = _mm256_setzero_ps();
    for (int d = 0; d < dim; d++) {
        __m256 k0 = load_8(keys + d * BAND), k1 = load_8(keys + d * BAND + LANES);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
            __m256 factor = _mm256_set1_ps(q[i * dim + d]);
            low[i] = _mm256_fmadd_ps(k0, factor, low[i]);
            high[i] = _mm256_fmadd_ps(k1, factor, high[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        _mm256_storeu_ps(scores + i * TILE + band * BAND, low[i]);
        _mm256_storeu_ps(scores + i * TILE + band * BAND + LANES, high[i]);
    }
}

/* Turns a query's scores into weights, updates its maximum and sum, returns the factor for what it gathered
 * before. */
static float weigh(const ssw_attention_tile *tile, int i, float *scores)
{
    int from = tile->from[i], to = tile->to[i];
    if (from >= to) {
        memset(scores, 0, TILE * sizeof *scores);
        return 1;
    }
    for (int p = 0; p < from; p++)
        scores[p] = -INFINITY;
    for (int p = to; p < TILE; p++)
        scores[p] = -INFINITY;
    __m256 largest = _mm256_set1_ps(tile->max[i]), sum = _mm256_setzero_ps();
    for (int p = 0; p < TILE; p += LANES)
        largest = _mm256_max_ps(largest, _mm256_loadu_ps(scores + p));
    float max = ssw_avx2_max(largest), keep = expf(tile->max[i] - max);
    for (int p = 0; p < TILE; p += LANES) {
        __m256 weight = ssw_avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(scores + p), _mm256_set1_ps(max)));
        _mm256_storeu_ps(scores + p, weight);
        sum = _mm256_add_ps(sum, weight);
    }
    tile->sum[i] = tile->sum[i] * keep + ssw_avx2_sum(sum);
    tile->max[i] = max;
    return keep;
}

/* 16 dimensions from d of n queries: acc = keep * acc + sum over positions of weight * value. */
static inline __attribute__((always_inline)) void gather(const ssw_attention_tile *tile, int d, int from,
                                                         int to, const float *weights, const float *keep,
                                                         int first, const int n)
{
    int dim = tile->head_dim;
    float *acc = tile->acc + first * dim + d;
    __m256 low[SHARE], high[SHARE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        low[i] = _mm256_mul_ps(_mm256_loadu_ps(acc + i * dim), _mm256_set1_ps(keep[i]));
        high[i] = _mm256_mul_ps(_mm256_loadu_ps(acc + i * dim + LANES), _mm256_set1_ps(keep[i]));
    }
    for (int p = from; p < to; p++) {
        __m256 v0 = load_8(tile->v + p * dim + d), v1 = load_8(tile->v + p * dim + d + LANES);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
            __m256 weight = _mm256_set1_ps(weights[i * TILE + p]);
            low[i] = _mm256_fmadd_ps(weight, v0, low[i]);
            high[i] = _mm256_fmadd_ps(weight, v1, high[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        _mm256_storeu_ps(acc + i * dim, low[i]);
        _mm256_storeu_ps(acc + i * dim + LANES, high[i]);
    }
}

static inline __attribute__((always_inline)) void attend_share(const ssw_attention_tile *tile, int first,
                                                               const int n)
{
    float keep[SHARE], *scores = tile->scratch;
    int from = TILE, to = 0;
    for (int i = first; i < first + n; i++) {
        from = tile->from[i] < from ? tile->from[i] : from;
        to = tile->to[i] > to ? tile->to[i] : to;
    }
    if (from >= to)
        return;
    for (int band = from / BAND; band * BAND < to; band++)
        score_band(tile, band, first, n, scores);
    for (int i = 0; i < n; i++)
        keep[i] = weigh(tile, first + i, scores + i * TILE);
    for (int d = 0; d < tile->head_dim; d += 2 * LANES)
        gather(tile, d, from, to, scores, keep, first, n);
}

void ssw_avx2_attend(const ssw_attention_tile *tile)
{
    if (tile->head_dim % (2 * LANES) != 0) {
        ssw_kernels_generic()->attend(tile);
        return;
    }
    int first = 0;
    for (; first + SHARE <= tile->n; first += SHARE)
        attend_share(tile, first, SHARE);
    for (; first < tile->n; first++)
        attend_share(tile, first, 1);
}
