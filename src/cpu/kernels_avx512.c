/* AVX-512: the row kernels (quantise, normalise, gated units) and the table. */
#include "cpu/kernels_avx512.h"

#include <math.h>

#include "cpu/codes.h"

enum { BLOCK = SSW_QUANT_BLOCK };

static void quantize(const float *x, int64_t n, ssw_q8_block *out)
{
    for (int64_t b = 0; b < n / BLOCK; b++, x += BLOCK, out++) {
        __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + 16);
        float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(x0), _mm512_abs_ps(x1)));
        bool tiny = largest < SSW_Q8_LARGEST_MIN;
        __m512 inverse = _mm512_set1_ps(tiny ? 0 : 127.0f / largest);
        __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
        __m512i q1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
        int32_t first = _mm512_reduce_add_epi32(q0), second = _mm512_reduce_add_epi32(q1);
        out->scale = tiny ? 0 : largest / 127.0f;
        out->minus_16_sums = -16 * (first + second);
        out->minus_128_sums = -128 * (first + second);
        out->sums[0] = (int16_t)first;
        out->sums[1] = (int16_t)second;
        _mm_storeu_si128((__m128i *)(void *)out->q, _mm512_cvtsepi32_epi8(q0));
        _mm_storeu_si128((__m128i *)(void *)(out->q + 16), _mm512_cvtsepi32_epi8(q1));
    }
}

static inline __mmask16 tail_mask(int64_t n)
{
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

static float sum_row(const float *x, int64_t n)
{
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i += 16)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(tail_mask(n - i), x + i));
    return _mm512_reduce_add_ps(sum);
}

static void norm(const ssw_cpu_norm_args *args, const float *x, float *out)
{
    int64_t n = args->cols;
    float mean = args->subtract_mean ? sum_row(x, n) / (float)n : 0;
    __m512 vmean = _mm512_set1_ps(mean);
    __m512 squares0 = _mm512_setzero_ps(), squares1 = squares0;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512 a = _mm512_sub_ps(_mm512_loadu_ps(x + i), vmean);
        __m512 b = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16), vmean);
        squares0 = _mm512_fmadd_ps(a, a, squares0);
        squares1 = _mm512_fmadd_ps(b, b, squares1);
    }
    for (; i < n; i += 16) {
        __mmask16 mask = tail_mask(n - i);
        __m512 a = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), vmean);
        squares0 = _mm512_fmadd_ps(a, a, squares0);
    }
    float variance = _mm512_reduce_add_ps(_mm512_add_ps(squares0, squares1)) / (float)n;
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(variance + args->eps));
    for (i = 0; i < n; i += 16) {
        __mmask16 mask = tail_mask(n - i);
        __m512 value = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), vmean), scale);
        value = _mm512_mul_ps(value, _mm512_maskz_loadu_ps(mask, args->weight + i));
        if (args->bias)
            value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, args->bias + i));
        _mm512_mask_storeu_ps(out + i, mask, value);
    }
}

static void glu(const ssw_cpu_moe_args *args, const float *gate, const float *up, int n, float *out)
{
    bool clamped = args->glu == SSW_CPU_GLU_SILU_CLAMPED;
    __m512 limit = _mm512_set1_ps(args->glu_limit), one = _mm512_set1_ps(1);
    __m512 minus_alpha = _mm512_set1_ps(clamped ? -args->glu_alpha : -1);
    for (int i = 0; i < n; i += 16) {
        __mmask16 mask = tail_mask(n - i);
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i), u = _mm512_maskz_loadu_ps(mask, up + i);
        if (clamped) {
            g = _mm512_min_ps(g, limit);
            u = _mm512_max_ps(_mm512_min_ps(u, limit), _mm512_sub_ps(_mm512_setzero_ps(), limit));
            u = _mm512_add_ps(u, one);
        }
        /* beyond 80, 1 + e^x is e^x and the quotient is 0 to within 1e-33 */
        __m512 power = _mm512_min_ps(_mm512_mul_ps(g, minus_alpha), _mm512_set1_ps(80));
        __m512 sigmoid = _mm512_div_ps(one, _mm512_add_ps(one, ssw_avx512_exp(power)));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_mul_ps(g, sigmoid), u));
    }
}

#define CODES_ENTRY(TYPE, name, ...) .tile[SSW_DTYPE_##TYPE] = ssw_avx512_tile_##name,

#define TABLE(q4_0_kernel, mxfp4_kernel)                                                                     \
    {                                                                                                        \
        .isa = SSW_CPU_ISA_AVX512VNNI, .takes_q8 = true, .tile[SSW_DTYPE_F32] = ssw_avx512_tile_f32,         \
        .tile[SSW_DTYPE_F16] = ssw_avx512_tile_f16, .tile[SSW_DTYPE_BF16] = ssw_avx512_tile_bf16,            \
        .tile[SSW_DTYPE_Q8_0] = ssw_avx512_tile_q8_0, .tile[SSW_DTYPE_Q4_0] = q4_0_kernel,                   \
        .tile[SSW_DTYPE_MXFP4] = mxfp4_kernel, .quantize = quantize, .norm = norm, .glu = glu,               \
        .attend = ssw_avx512_attend, SSW_CODES_TYPES(CODES_ENTRY)                                            \
    }

const ssw_kernels *ssw_kernels_avx512vnni(bool has_vbmi)
{
    static const ssw_kernels without = TABLE(ssw_avx512_tile_q4_0, ssw_avx512_tile_mxfp4);
    static const ssw_kernels with = TABLE(ssw_avx512vbmi_tile_q4_0, ssw_avx512vbmi_tile_mxfp4);
    return has_vbmi ? &with : &without;
}
