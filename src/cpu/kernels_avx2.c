/* AVX2: the row kernels (quantise, normalise, gated units) and the table. */
#include "cpu/kernels_avx2.h"

#include <math.h>

#include "cpu/codes.h"

enum { BLOCK = SSW_QUANT_BLOCK, LANES = 8 };

static inline int32_t sum_words(__m256i words)
{
    __m256i sums = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
}

static void quantize(const float *x, int64_t n, ssw_q8_block *out)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    for (int64_t b = 0; b < n / BLOCK; b++, x += BLOCK, out++) {
        __m256 v[4], largest8 = _mm256_setzero_ps();
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + i * LANES);
            largest8 = _mm256_max_ps(largest8, _mm256_and_ps(v[i], magnitude));
        }
        float largest = ssw_avx2_max(largest8);
        bool tiny = largest < SSW_Q8_LARGEST_MIN;
        __m256 inverse = _mm256_set1_ps(tiny ? 0 : 127.0f / largest);
        __m256i q[4];
        for (int i = 0; i < 4; i++)
            q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        /* packs work within 128-bit halves: the permutation puts the groups of four back in order */
        __m256i words01 = _mm256_packs_epi32(q[0], q[1]), words23 = _mm256_packs_epi32(q[2], q[3]);
        __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words01, words23),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        int32_t first = sum_words(words01), second = sum_words(words23);
        out->scale = tiny ? 0 : largest / 127.0f;
        out->minus_16_sums = -16 * (first + second);
        out->minus_128_sums = -128 * (first + second);
        out->sums[0] = (int16_t)first;
        out->sums[1] = (int16_t)second;
        _mm256_storeu_si256((__m256i *)(void *)out->q, bytes);
    }
}

static float sum_row(const float *x, int64_t n)
{
    __m256 sum = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum = _mm256_add_ps(sum, _mm256_loadu_ps(x + i));
    float total = ssw_avx2_sum(sum);
    for (; i < n; i++)
        total += x[i];
    return total;
}

static float sum_squares(const float *x, int64_t n, float mean)
{
    __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0, vmean = _mm256_set1_ps(mean);
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        __m256 a = _mm256_sub_ps(_mm256_loadu_ps(x + i), vmean);
        __m256 b = _mm256_sub_ps(_mm256_loadu_ps(x + i + LANES), vmean);
        sum0 = _mm256_fmadd_ps(a, a, sum0);
        sum1 = _mm256_fmadd_ps(b, b, sum1);
    }
    float total = ssw_avx2_sum(_mm256_add_ps(sum0, sum1));
    for (; i < n; i++)
        total += (x[i] - mean) * (x[i] - mean);
    return total;
}

static void norm(const ssw_cpu_norm_args *args, const float *x, float *out)
{
    int64_t n = args->cols, i = 0;
    float mean = args->subtract_mean ? sum_row(x, n) / (float)n : 0;
    float scale = 1.0f / sqrtf(sum_squares(x, n, mean) / (float)n + args->eps);
    __m256 vmean = _mm256_set1_ps(mean), vscale = _mm256_set1_ps(scale);
    for (; i + LANES <= n; i += LANES) {
        __m256 value = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), vmean), vscale);
        value = _mm256_mul_ps(value, _mm256_loadu_ps(args->weight + i));
        if (args->bias)
            value = _mm256_add_ps(value, _mm256_loadu_ps(args->bias + i));
        _mm256_storeu_ps(out + i, value);
    }
    for (; i < n; i++) {
        float value = (x[i] - mean) * scale * args->weight[i];
        out[i] = args->bias ? value + args->bias[i] : value;
    }
}

static void glu(const ssw_cpu_moe_args *args, const float *gate, const float *up, int n, float *out)
{
    bool clamped = args->glu == SSW_CPU_GLU_SILU_CLAMPED;
    __m256 limit = _mm256_set1_ps(args->glu_limit), one = _mm256_set1_ps(1);
    __m256 minus_alpha = _mm256_set1_ps(clamped ? -args->glu_alpha : -1);
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256 g = _mm256_loadu_ps(gate + i), u = _mm256_loadu_ps(up + i);
        if (clamped) {
            g = _mm256_min_ps(g, limit);
            u = _mm256_max_ps(_mm256_min_ps(u, limit), _mm256_sub_ps(_mm256_setzero_ps(), limit));
            u = _mm256_add_ps(u, one);
        }
        /* beyond 80, 1 + e^x is e^x and the quotient is 0 to within 1e-33 */
        __m256 power = _mm256_min_ps(_mm256_mul_ps(g, minus_alpha), _mm256_set1_ps(80));
        __m256 sigmoid = _mm256_div_ps(one, _mm256_add_ps(one, ssw_avx2_exp(power)));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(g, sigmoid), u));
    }
    if (i < n)
        ssw_kernels_generic()->glu(args, gate + i, up + i, n - i, out + i);
}

#define CODES_ENTRY(TYPE, name, ...) .tile[SSW_DTYPE_##TYPE] = ssw_avx2_tile_##name,

const ssw_kernels *ssw_kernels_avx2(void)
{
    static const ssw_kernels table = {.isa = SSW_CPU_ISA_AVX2,
                                      .takes_q8 = true,
                                      .tile[SSW_DTYPE_F32] = ssw_avx2_tile_f32,
                                      .tile[SSW_DTYPE_F16] = ssw_avx2_tile_f16,
                                      .tile[SSW_DTYPE_BF16] = ssw_avx2_tile_bf16,
                                      .tile[SSW_DTYPE_Q8_0] = ssw_avx2_tile_q8_0,
                                      .tile[SSW_DTYPE_Q4_0] = ssw_avx2_tile_q4_0,
                                      .tile[SSW_DTYPE_MXFP4] = ssw_avx2_tile_mxfp4,
                                      .quantize = quantize,
                                      .norm = norm,
                                      .glu = glu,
                                      .attend = ssw_avx2_attend,
                                      SSW_CODES_TYPES(CODES_ENTRY)};
    return &table;
}
