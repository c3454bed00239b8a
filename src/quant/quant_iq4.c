/* Codes that stand for the 16 unevenly spaced values of a book: IQ4_NL (32 weights, one scale) and IQ4_XS
 * (256 weights, one scale of 6 bits for each 32). Reading is bit-exact with ggml; writing finds its own
 * scales. */
#include "quant/half.h"
#include "quant/quant.h"
#include "quant/quant_block.h"
#include "quant/scale_search.h"

enum { BLOCK = SSW_QUANT_BLOCK, HALF_BLOCK = BLOCK / 2, GROUPS = SSW_QUANT_SUPER_BLOCK / BLOCK };
enum { XS_D = 0, XS_SCALES_HIGH = 2, XS_SCALES_LOW = 4, XS_CODES = 8, NL_CODES = 2 };

const int8_t ssw_quant_iq4_book[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};

static void read_group(const uint8_t *codes, float scale, float *out)
{
    for (int i = 0; i < BLOCK; i++)
        out[i] = scale * (float)ssw_quant_iq4_book[codes[i]];
}

static void write_group(const float *values, float scale, uint8_t *bytes)
{
    uint8_t codes[BLOCK];
    float inverse = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < BLOCK; i++)
        codes[i] = ssw_search_nearest(ssw_quant_iq4_book, values[i] * inverse);
    ssw_quant_pack(codes, 4, HALF_BLOCK, 0, BLOCK, bytes);
}

void ssw_quant_split_iq4_nl(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block);
    ssw_quant_unpack(block + NL_CODES, 4, HALF_BLOCK, BLOCK, parts->codes);
}

void ssw_quant_read_iq4_nl(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_iq4_nl(block, &parts);
    read_group(parts.codes, ssw_half_from_f16(parts.d), out);
}

void ssw_quant_write_iq4_nl(const float *values, uint8_t *block)
{
    uint16_t d = ssw_half_to_f16(ssw_search_book(values, BLOCK, ssw_quant_iq4_book));
    ssw_quant_store_u16(block, d);
    write_group(values, ssw_half_from_f16(d), block + NL_CODES);
}

void ssw_quant_split_iq4_xs(const uint8_t *block, ssw_quant_parts *parts)
{
    uint8_t scales[GROUPS];
    ssw_quant_unpack(block + XS_SCALES_LOW, 4, 1, GROUPS, scales);
    ssw_quant_unpack_upper(block + XS_SCALES_HIGH, 2, 1, 4, GROUPS, scales);
    parts->d = ssw_quant_load_u16(block + XS_D);
    for (int g = 0; g < GROUPS; g++)
        parts->scales[g] = (int8_t)(scales[g] - 32);
    ssw_quant_unpack(block + XS_CODES, 4, HALF_BLOCK, SSW_QUANT_SUPER_BLOCK, parts->codes);
}

void ssw_quant_read_iq4_xs(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_iq4_xs(block, &parts);
    for (int g = 0; g < GROUPS; g++)
        read_group(parts.codes + g * BLOCK, ssw_half_from_f16(parts.d) * (float)parts.scales[g],
                   out + g * BLOCK);
}

void ssw_quant_write_iq4_xs(const float *values, uint8_t *block)
{
    float found[GROUPS];
    uint8_t scales[GROUPS];
    for (int g = 0; g < GROUPS; g++)
        found[g] = ssw_search_book(values + g * BLOCK, BLOCK, ssw_quant_iq4_book);
    float extreme = ssw_quant_find_extreme(found, GROUPS), inverse = extreme != 0 ? -32 / extreme : 0;
    uint16_t d_bits = ssw_half_to_f16(-extreme / 32);
    float d = ssw_half_from_f16(d_bits);
    for (int g = 0; g < GROUPS; g++) {
        float scale = ssw_search_round(found[g] * inverse, -32, 31);
        scales[g] = (uint8_t)(int)(scale + 32);
        write_group(values + g * BLOCK, d * scale, block + XS_CODES + g * HALF_BLOCK);
    }
    ssw_quant_store_u16(block + XS_D, d_bits);
    ssw_quant_pack(scales, 4, 1, 0, GROUPS, block + XS_SCALES_LOW);
    ssw_quant_pack(scales, 2, 1, 4, GROUPS, block + XS_SCALES_HIGH);
}
