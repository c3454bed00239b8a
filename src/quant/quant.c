/* Dequantise and quantise rows, block by block. */
#include "quant/quant.h"

#include <math.h>
#include <string.h>

#include "quant/half.h"

enum { BLOCK = SSW_QUANT_BLOCK, HALF_BLOCK = BLOCK / 2, Q8_0_BYTES = 34, Q4_0_BYTES = 18, MXFP4_BYTES = 17 };

const int8_t ssw_quant_mxfp4_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float ssw_quant_mxfp4_half_scale(uint8_t e)
{
    /* 2^-128 and 2^-127 are subnormal floats. ggml gives e = 255 no special meaning either. */
    return ssw_half_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (bytes[1] << 8));
}

static void store_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

bool ssw_quant_supports(ssw_dtype dtype)
{
    switch (dtype) {
    case SSW_DTYPE_F32:
    case SSW_DTYPE_F16:
    case SSW_DTYPE_BF16:
    case SSW_DTYPE_Q8_0:
    case SSW_DTYPE_Q4_0:
    case SSW_DTYPE_MXFP4:
        return true;
    default:
        return false;
    }
}

static void dequantize_q8_0(const uint8_t *block, float *out)
{
    float d = ssw_half_from_f16(load_u16(block));
    for (int i = 0; i < BLOCK; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

static void dequantize_q4_0(const uint8_t *block, float *out)
{
    float d = ssw_half_from_f16(load_u16(block));
    for (int i = 0; i < HALF_BLOCK; i++) {
        out[i] = (float)((block[2 + i] & 15) - 8) * d;
        out[i + HALF_BLOCK] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

static void dequantize_mxfp4(const uint8_t *block, float *out)
{
    float d = ssw_quant_mxfp4_half_scale(block[0]);
    for (int i = 0; i < HALF_BLOCK; i++) {
        out[i] = (float)ssw_quant_mxfp4_doubled[block[1 + i] & 15] * d;
        out[i + HALF_BLOCK] = (float)ssw_quant_mxfp4_doubled[block[1 + i] >> 4] * d;
    }
}

bool ssw_quant_dequantize_row(ssw_dtype dtype, const void *row, uint64_t n, float *out)
{
    const uint8_t *bytes = row;
    if (!ssw_quant_supports(dtype) || (n > 0 && ssw_dtype_row_bytes(dtype, n) == 0))
        return false;
    switch (dtype) {
    case SSW_DTYPE_F32:
        memcpy(out, row, n * sizeof *out);
        break;
    case SSW_DTYPE_F16:
        for (uint64_t i = 0; i < n; i++)
            out[i] = ssw_half_from_f16(load_u16(bytes + 2 * i));
        break;
    case SSW_DTYPE_BF16:
        for (uint64_t i = 0; i < n; i++)
            out[i] = ssw_half_from_bf16(load_u16(bytes + 2 * i));
        break;
    case SSW_DTYPE_Q8_0:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            dequantize_q8_0(bytes + i * Q8_0_BYTES, out + i * BLOCK);
        break;
    case SSW_DTYPE_Q4_0:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            dequantize_q4_0(bytes + i * Q4_0_BYTES, out + i * BLOCK);
        break;
    default:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            dequantize_mxfp4(bytes + i * MXFP4_BYTES, out + i * BLOCK);
        break;
    }
    return true;
}

/* The value of largest magnitude, with its sign; the first of equals. */
static float find_extreme(const float *values)
{
    float extreme = 0;
    for (int i = 0; i < BLOCK; i++) {
        if (fabsf(extreme) < fabsf(values[i]))
            extreme = values[i];
    }
    return extreme;
}

static void quantize_q8_0(const float *values, uint8_t *block)
{
    float d = fabsf(find_extreme(values)) / 127;
    float inverse = d != 0 ? 1 / d : 0;
    store_u16(block, ssw_half_to_f16(d));
    for (int i = 0; i < BLOCK; i++)
        block[2 + i] = (uint8_t)(int8_t)roundf(values[i] * inverse);
}

static uint8_t round_q4_0(float scaled)
{
    int code = (int8_t)(scaled + 8.5f);
    return (uint8_t)(code > 15 ? 15 : code);
}

static void quantize_q4_0(const float *values, uint8_t *block)
{
    float d = find_extreme(values) / -8; /* the extreme itself becomes code 0, which is exact */
    float inverse = d != 0 ? 1 / d : 0;
    store_u16(block, ssw_half_to_f16(d));
    for (int i = 0; i < HALF_BLOCK; i++) {
        uint8_t low = round_q4_0(values[i] * inverse);
        uint8_t high = round_q4_0(values[i + HALF_BLOCK] * inverse);
        block[2 + i] = (uint8_t)(low | (high << 4));
    }
}

/* The code whose value is nearest; the lower code of equals. */
static uint8_t round_mxfp4(float value, float half_scale)
{
    int best = 0;
    float best_distance = fabsf(value);
    for (int code = 1; code < 16; code++) {
        float distance = fabsf((float)ssw_quant_mxfp4_doubled[code] * half_scale - value);
        if (distance < best_distance) {
            best = code;
            best_distance = distance;
        }
    }
    return (uint8_t)best;
}

static void quantize_mxfp4(const float *values, uint8_t *block)
{
    float magnitude = fabsf(find_extreme(values));
    float exponent = magnitude > 0 ? floorf(log2f(magnitude)) - 2 + 127 : 0;
    block[0] = (uint8_t)(exponent < 0 ? 0 : exponent);
    float half_scale = ssw_quant_mxfp4_half_scale(block[0]);
    for (int i = 0; i < HALF_BLOCK; i++) {
        uint8_t low = round_mxfp4(values[i], half_scale);
        uint8_t high = round_mxfp4(values[i + HALF_BLOCK], half_scale);
        block[1 + i] = (uint8_t)(low | (high << 4));
    }
}

bool ssw_quant_quantize_row(ssw_dtype dtype, const float *values, uint64_t n, void *row)
{
    uint8_t *bytes = row;
    if (!ssw_quant_supports(dtype) || (n > 0 && ssw_dtype_row_bytes(dtype, n) == 0))
        return false;
    switch (dtype) {
    case SSW_DTYPE_F32:
        memcpy(row, values, n * sizeof *values);
        break;
    case SSW_DTYPE_F16:
        for (uint64_t i = 0; i < n; i++)
            store_u16(bytes + 2 * i, ssw_half_to_f16(values[i]));
        break;
    case SSW_DTYPE_BF16:
        for (uint64_t i = 0; i < n; i++)
            store_u16(bytes + 2 * i, ssw_half_to_bf16(values[i]));
        break;
    case SSW_DTYPE_Q8_0:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            quantize_q8_0(values + i * BLOCK, bytes + i * Q8_0_BYTES);
        break;
    case SSW_DTYPE_Q4_0:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            quantize_q4_0(values + i * BLOCK, bytes + i * Q4_0_BYTES);
        break;
    default:
        for (uint64_t i = 0; i < n / BLOCK; i++)
            quantize_mxfp4(values + i * BLOCK, bytes + i * MXFP4_BYTES);
        break;
    }
    return true;
}
