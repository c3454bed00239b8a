/* Conversions between float and the two 16-bit float types, bit-exact with ggml and with F16C: round to
 * nearest even. */
#ifndef SSW_QUANT_HALF_H
#define SSW_QUANT_HALF_H

#include <stdint.h>
#include <string.h>

static inline float ssw_half_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t ssw_half_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float ssw_half_from_bf16(uint16_t half)
{
    return ssw_half_from_bits((uint32_t)half << 16);
}

static inline uint16_t ssw_half_to_bf16(float value)
{
    uint32_t bits = ssw_half_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u); /* a quiet NaN */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float ssw_half_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in float */
        float magnitude = (float)mantissa * 0x1p-24f;
        return ssw_half_from_bits(sign | ssw_half_to_bits(magnitude));
    }
    if (exponent == 31)
        return ssw_half_from_bits(sign | 0x7f800000u | (mantissa << 13));
    return ssw_half_from_bits(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

static inline uint16_t ssw_half_to_f16(float value)
{
    uint32_t bits = ssw_half_to_bits(value);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 rounds to a multiple of 2^-24 */
        float rounded = ssw_half_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (ssw_half_to_bits(rounded) - 0x3f000000u));
    }
    magnitude += 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
}

#endif
