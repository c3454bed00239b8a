/* AVX-512: attention of up to 64 queries over a tile of 64 positions.
 *
 * Scores: a lane is a position, keys come 16 positions to a register, queries are broadcast. Values: a lane
 * is a dimension, weights are broadcast. Eight queries share each load; with more than eight, keys and values
 * are first widened to float in scratch so that the conversion is paid once. */
#include "cpu/kernels_avx512.h"

#include <math.h>

enum { BAND = SSW_CPU_BAND_ROWS, TILE = SSW_KV_TILE, BANDS = TILE / BAND, SHARE = 8 };

/* Keys or values of the tile, as they are or widened. */
typedef struct source {
    const uint16_t *half;
    const float *wide; /* NULL: read half */
} source;

static inline __attribute__((always_inline)) __m512 load_16(bool wide, const source *s, int at)
{
    if (wide)
        return _mm512_loadu_ps(s->wide + at);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(s->half + at)));
}

static const float *widen(const uint16_t *half, int n, float *out)
{
    for (int i = 0; i < n; i += 16)
        _mm512_storeu_ps(out + i,
                         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(half + i))));
    return out;
}

/* scores[i][16 band ..] of n queries. Two sums each, of even and odd dimensions. */
static inline __attribute__((always_inline)) void score_band(bool wide, const source *keys, int dim, int band,
                                                             const float *q, const int n, float *scores)
{
    __m512 even[SHARE], odd[SHARE];
    int at = band * BAND * dim;
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        even[i] = odd[i] = _mm512_setzero_ps();
    for (int d = 0; d < dim; d += 2) {
        __m512 k0 = load_16(wide, keys, at + d * BAND), k1 = load_16(wide, keys, at + (d + 1) * BAND);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            even[i] = _mm512_fmadd_ps(k0, _mm512_set1_ps(q[i * dim + d]), even[i]);
            odd[i] = _mm512_fmadd_ps(k1, _mm512_set1_ps(q[i * dim + d + 1]), odd[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        _mm512_storeu_ps(scores + i * TILE + band * BAND, _mm512_add_ps(even[i], odd[i]));
}

static inline __mmask16 seen_mask(int from, int to, int band)
{
    int low = from - band * BAND, high = to - band * BAND;
    low = low < 0 ? 0 : low > BAND ? BAND : low;
    high = high < 0 ? 0 : high > BAND ? BAND : high;
    return (__mmask16)(((1u << high) - 1) & ~((1u << low) - 1));
}

/* Turns a query's scores into weights, updates its maximum and sum, returns the factor for what it gathered
 * before. */
static float weigh(const ssw_attention_tile *tile, int i, float *scores)
{
    __mmask16 seen[BANDS];
    __m512 s[BANDS], largest = _mm512_set1_ps(tile->max[i]);
    if (tile->from[i] >= tile->to[i]) {
        memset(scores, 0, TILE * sizeof *scores);
        return 1;
    }
#pragma GCC unroll 4
    for (int b = 0; b < BANDS; b++) {
        seen[b] = seen_mask(tile->from[i], tile->to[i], b);
        s[b] = _mm512_maskz_loadu_ps(seen[b], scores + b * BAND);
        largest = _mm512_mask_max_ps(largest, seen[b], largest, s[b]);
    }
    float max = _mm512_reduce_max_ps(largest), before = tile->max[i];
    __m512 sum = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int b = 0; b < BANDS; b++) {
        __m512 weight =
            _mm512_maskz_mov_ps(seen[b], ssw_avx512_exp(_mm512_sub_ps(s[b], _mm512_set1_ps(max))));
        _mm512_storeu_ps(scores + b * BAND, weight);
        sum = _mm512_add_ps(sum, weight);
    }
    float keep = expf(before - max);
    tile->sum[i] = tile->sum[i] * keep + _mm512_reduce_add_ps(sum);
    tile->max[i] = max;
    return keep;
}

/* acc[i][d ..] = keep[i] * acc + sum over positions of weight * value, for n queries and 16 * lanes
 * dimensions. */
static inline __attribute__((always_inline)) void gather(bool wide, const source *values, int dim, int d,
                                                         const int lanes, int from, int to,
                                                         const float *weights, const float *keep, const int n,
                                                         float *acc)
{
    __m512 sum[SHARE][2];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
#pragma GCC unroll 2
        for (int l = 0; l < lanes; l++)
            sum[i][l] = _mm512_mul_ps(_mm512_loadu_ps(acc + i * dim + d + 16 * l), _mm512_set1_ps(keep[i]));
    }
    for (int p = from; p < to; p++) {
        __m512 v[2];
#pragma GCC unroll 2
        for (int l = 0; l < lanes; l++)
            v[l] = load_16(wide, values, p * dim + d + 16 * l);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++) {
            __m512 weight = _mm512_set1_ps(weights[i * TILE + p]);
#pragma GCC unroll 2
            for (int l = 0; l < lanes; l++)
                sum[i][l] = _mm512_fmadd_ps(weight, v[l], sum[i][l]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
#pragma GCC unroll 2
        for (int l = 0; l < lanes; l++)
            _mm512_storeu_ps(acc + i * dim + d + 16 * l, sum[i][l]);
    }
}

static inline __attribute__((always_inline)) void attend_share(const ssw_attention_tile *tile, bool wide,
                                                               const source *keys, const source *values,
                                                               int first, const int n, float *scores)
{
    int dim = tile->head_dim, from = TILE, to = 0;
    float keep[SHARE];
    for (int i = first; i < first + n; i++) {
        from = tile->from[i] < from ? tile->from[i] : from;
        to = tile->to[i] > to ? tile->to[i] : to;
    }
    if (from >= to)
        return;
    for (int band = from / BAND; band * BAND < to; band++)
        score_band(wide, keys, dim, band, tile->q + first * dim, n, scores);
    for (int i = 0; i < n; i++)
        keep[i] = weigh(tile, first + i, scores + i * TILE);
    int d = 0;
    for (; d + 32 <= dim; d += 32)
        gather(wide, values, dim, d, 2, from, to, scores, keep, n, tile->acc + first * dim);
    if (d < dim)
        gather(wide, values, dim, d, 1, from, to, scores, keep, n, tile->acc + first * dim);
}

void ssw_avx512_attend(const ssw_attention_tile *tile)
{
    int dim = tile->head_dim;
    if (dim % 16 != 0) {
        ssw_kernels_generic()->attend(tile);
        return;
    }
    source keys = {tile->k, NULL}, values = {tile->v, NULL};
    float *scores = tile->scratch;
    bool wide = tile->n > SHARE;
    if (wide) {
        keys.wide = widen(tile->k, TILE * dim, scores + SHARE * TILE);
        values.wide = widen(tile->v, TILE * dim, scores + SHARE * TILE + TILE * dim);
    }
    int first = 0;
    for (; wide && first + SHARE <= tile->n; first += SHARE)
        attend_share(tile, true, &keys, &values, first, SHARE, scores);
    for (; wide && first < tile->n; first++)
        attend_share(tile, true, &keys, &values, first, 1, scores);
    if (tile->n == SHARE) {
        attend_share(tile, false, &keys, &values, 0, SHARE, scores);
        return;
    }
    for (; first + 4 <= tile->n; first += 4)
        attend_share(tile, false, &keys, &values, first, 4, scores);
    for (; first < tile->n; first++)
        attend_share(tile, false, &keys, &values, first, 1, scores);
}
