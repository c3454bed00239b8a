/* Blocks of 32 weights with one scale: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and MXFP4. */
#include <float.h>
#include <math.h>

#include "quant/half.h"
#include "quant/quant.h"
#include "quant/quant_block.h"

enum { BLOCK = SSW_QUANT_BLOCK, HALF_BLOCK = BLOCK / 2 };

const int8_t ssw_quant_mxfp4_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float ssw_quant_mxfp4_half_scale(uint8_t e)
{
    /* 2^-128 and 2^-127 are subnormal floats. ggml gives e = 255 no special meaning either. */
    return ssw_half_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

float ssw_quant_find_extreme(const float *values, int n)
{
    float extreme = 0;
    for (int i = 0; i < n; i++) {
        if (fabsf(extreme) < fabsf(values[i]))
            extreme = values[i];
    }
    return extreme;
}

static float load_half(const uint8_t *bytes)
{
    return ssw_half_from_f16(ssw_quant_load_u16(bytes));
}

void ssw_quant_read_q8_0(const uint8_t *block, float *out)
{
    float d = load_half(block);
    for (int i = 0; i < BLOCK; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

void ssw_quant_read_q4_0(const uint8_t *block, float *out)
{
    float d = load_half(block);
    for (int i = 0; i < HALF_BLOCK; i++) {
        out[i] = (float)((block[2 + i] & 15) - 8) * d;
        out[i + HALF_BLOCK] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

/* Fifth bits in the weights' order. Spread first, since loading a model waits for this loop and compilers
 * turn it into vector code so. */
static void add_fifth_bits(const uint8_t *bytes, uint8_t *codes)
{
    static const uint8_t masks[BLOCK] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                                         1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8_t spread[BLOCK];
    for (int i = 0; i < BLOCK / 8; i++)
        memset(spread + 8 * i, bytes[i], 8);
    for (int i = 0; i < BLOCK; i++)
        codes[i] = (uint8_t)(codes[i] | (spread[i] & masks[i] ? 16 : 0));
}

/* d, m, nibbles */
void ssw_quant_split_q4_1(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block);
    parts->dmin = ssw_quant_load_u16(block + 2);
    ssw_quant_unpack(block + 4, 4, HALF_BLOCK, BLOCK, parts->codes);
}

/* d, 32 fifth bits in the weights' order, nibbles */
void ssw_quant_split_q5_0(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block);
    ssw_quant_unpack(block + 6, 4, HALF_BLOCK, BLOCK, parts->codes);
    add_fifth_bits(block + 2, parts->codes);
}

/* d, m, 32 fifth bits, nibbles */
void ssw_quant_split_q5_1(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block);
    parts->dmin = ssw_quant_load_u16(block + 2);
    ssw_quant_unpack(block + 8, 4, HALF_BLOCK, BLOCK, parts->codes);
    add_fifth_bits(block + 4, parts->codes);
}

static void read_affine(const ssw_quant_parts *parts, float *out)
{
    float d = ssw_half_from_f16(parts->d), m = ssw_half_from_f16(parts->dmin);
    for (int i = 0; i < BLOCK; i++)
        out[i] = (float)parts->codes[i] * d + m;
}

void ssw_quant_read_q4_1(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q4_1(block, &parts);
    read_affine(&parts, out);
}

void ssw_quant_read_q5_0(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q5_0(block, &parts);
    float d = ssw_half_from_f16(parts.d);
    for (int i = 0; i < BLOCK; i++)
        out[i] = (float)(parts.codes[i] - 16) * d;
}

void ssw_quant_read_q5_1(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q5_1(block, &parts);
    read_affine(&parts, out);
}

void ssw_quant_read_mxfp4(const uint8_t *block, float *out)
{
    float d = ssw_quant_mxfp4_half_scale(block[0]);
    for (int i = 0; i < HALF_BLOCK; i++) {
        out[i] = (float)ssw_quant_mxfp4_doubled[block[1 + i] & 15] * d;
        out[i + HALF_BLOCK] = (float)ssw_quant_mxfp4_doubled[block[1 + i] >> 4] * d;
    }
}

void ssw_quant_write_q8_0(const float *values, uint8_t *block)
{
    float d = fabsf(ssw_quant_find_extreme(values, BLOCK)) / 127;
    float inverse = d != 0 ? 1 / d : 0;
    ssw_quant_store_u16(block, ssw_half_to_f16(d));
    for (int i = 0; i < BLOCK; i++)
        block[2 + i] = (uint8_t)(int8_t)roundf(values[i] * inverse);
}

/* Cuts the fraction off, as ggml does after adding a half. */
static uint8_t cut(float sum, int max)
{
    int code = (int8_t)sum;
    return (uint8_t)(code > max ? max : code);
}

/* Codes for value ~ d * (code - 2^(bits - 1)). */
static void round_signed(const float *values, int bits, uint8_t *scale, uint8_t *codes)
{
    float middle = (float)(1 << (bits - 1));
    float d = ssw_quant_find_extreme(values, BLOCK) / -middle; /* the extreme becomes code 0, exactly */
    float inverse = d != 0 ? 1 / d : 0;
    ssw_quant_store_u16(scale, ssw_half_to_f16(d));
    for (int i = 0; i < BLOCK; i++)
        codes[i] = cut(values[i] * inverse + (middle + 0.5f), (1 << bits) - 1);
}

/* Codes for value ~ d * code + m, from the least value to the largest. */
static void round_affine(const float *values, int bits, uint8_t *scales, uint8_t *codes)
{
    float low = FLT_MAX, high = -FLT_MAX;
    for (int i = 0; i < BLOCK; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    float d = (high - low) / (float)((1 << bits) - 1);
    float inverse = d != 0 ? 1 / d : 0;
    ssw_quant_store_u16(scales, ssw_half_to_f16(d));
    ssw_quant_store_u16(scales + 2, ssw_half_to_f16(low));
    for (int i = 0; i < BLOCK; i++)
        codes[i] = cut((values[i] - low) * inverse + 0.5f, (1 << bits) - 1);
}

void ssw_quant_write_q4_0(const float *values, uint8_t *block)
{
    uint8_t codes[BLOCK];
    round_signed(values, 4, block, codes);
    ssw_quant_pack(codes, 4, HALF_BLOCK, 0, BLOCK, block + 2);
}

void ssw_quant_write_q4_1(const float *values, uint8_t *block)
{
    uint8_t codes[BLOCK];
    round_affine(values, 4, block, codes);
    ssw_quant_pack(codes, 4, HALF_BLOCK, 0, BLOCK, block + 4);
}

void ssw_quant_write_q5_0(const float *values, uint8_t *block)
{
    uint8_t codes[BLOCK];
    round_signed(values, 5, block, codes);
    ssw_quant_pack(codes, 1, 1, 4, BLOCK, block + 2);
    ssw_quant_pack(codes, 4, HALF_BLOCK, 0, BLOCK, block + 6);
}

void ssw_quant_write_q5_1(const float *values, uint8_t *block)
{
    uint8_t codes[BLOCK];
    round_affine(values, 5, block, codes);
    ssw_quant_pack(codes, 1, 1, 4, BLOCK, block + 4);
    ssw_quant_pack(codes, 4, HALF_BLOCK, 0, BLOCK, block + 8);
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

void ssw_quant_write_mxfp4(const float *values, uint8_t *block)
{
    float magnitude = fabsf(ssw_quant_find_extreme(values, BLOCK));
    float exponent = magnitude > 0 ? floorf(log2f(magnitude)) - 2 + 127 : 0;
    block[0] = (uint8_t)(exponent < 0 ? 0 : exponent);
    float half_scale = ssw_quant_mxfp4_half_scale(block[0]);
    for (int i = 0; i < HALF_BLOCK; i++) {
        uint8_t low = round_mxfp4(values[i], half_scale);
        uint8_t high = round_mxfp4(values[i + HALF_BLOCK], half_scale);
        block[1 + i] = (uint8_t)(low | (high << 4));
    }
}
