/* Types of small codes: the order of a band's bytes, in and out. */
#include "cpu/codes.h"

#include <string.h>

#include "quant/half.h"

enum {
    ROWS = SSW_TILE_ROWS,
    BLOCK = SSW_QUANT_BLOCK,
    LINE_BYTES = 4 * ROWS,
    GROUPS = BLOCK / 4 /* of four columns */
};

const ssw_codes *ssw_codes_find(ssw_dtype dtype)
{
#define CASE(TYPE, name, ...)                                                                                \
    case SSW_DTYPE_##TYPE: {                                                                                 \
        static const ssw_codes codes = {__VA_ARGS__};                                                        \
        return &codes;                                                                                       \
    }
    switch (dtype) {
        SSW_CODES_TYPES(CASE)
    default:
        return NULL;
    }
#undef CASE
}

/* Where the scales of block b begin, from the first scale of the band. */
static uint64_t scales_offset(ssw_codes c, int64_t b)
{
    int64_t heads = c.has_super ? b / SSW_CODES_SUPER_BLOCKS + 1 : 0;
    return (uint64_t)(heads * ssw_codes_head_bytes(c) + b * ssw_codes_scale_bytes(c));
}

static uint64_t head_offset(ssw_codes c, int64_t b)
{
    int64_t first = b / SSW_CODES_SUPER_BLOCKS * SSW_CODES_SUPER_BLOCKS;
    return scales_offset(c, first) - (uint64_t)ssw_codes_head_bytes(c);
}

uint64_t ssw_codes_band_bytes(ssw_codes c, int64_t n_blocks)
{
    int64_t heads = c.has_super ? n_blocks / SSW_CODES_SUPER_BLOCKS : 0;
    return (uint64_t)(n_blocks * (ssw_codes_code_bytes(c) + ssw_codes_scale_bytes(c)) +
                      heads * ssw_codes_head_bytes(c));
}

/* ---- in ---- */

/* Bits `from` and up of four codes. */
static uint32_t take_bits(const uint8_t *codes, int from, uint32_t mask)
{
    uint32_t four;
    memcpy(&four, codes, sizeof four);
    return four >> from & mask * 0x01010101u;
}

static void put_four(uint8_t *line, int r, uint32_t four)
{
    memcpy(line + 4 * r, &four, sizeof four);
}

static void fill_codes(int bits, uint8_t *lines, int r, const uint8_t *codes)
{
    if (bits & 4) {
        for (int l = 0; l < 4; l++, lines += LINE_BYTES)
            put_four(lines, r, take_bits(codes + 4 * l, 0, 15) | take_bits(codes + 16 + 4 * l, 0, 15) << 4);
    }
    for (int l = 0; bits & 2 && l < 2; l++, lines += LINE_BYTES) {
        uint32_t four = 0;
        for (int k = 0; k < 4; k++)
            four |= take_bits(codes + 16 * l + 4 * k, bits & 4, 3) << 2 * k;
        put_four(lines, r, four);
    }
    if (bits & 1) {
        uint32_t four = 0;
        for (int k = 0; k < GROUPS; k++)
            four |= take_bits(codes + 4 * k, bits & 6, 1) << k;
        put_four(lines, r, four);
    }
}

static void put_halves(ssw_codes c, uint8_t *at, int r, const ssw_quant_parts *parts)
{
    memcpy(at + 2 * r, &parts->d, 2);
    if (c.has_min)
        memcpy(at + 2 * ROWS + 2 * r, &parts->dmin, 2);
}

/* Scales and minima of the groups of block b of a super-block. */
static void put_small_scales(ssw_codes c, uint8_t *at, int r, const ssw_quant_parts *parts, int b)
{
    for (int g = 0; g < c.n_groups; g++) {
        int from = b * c.n_groups + g, to = r * c.n_groups + g;
        at[to] = (uint8_t)parts->scales[from];
        if (c.packs_min)
            at[to] = (uint8_t)(at[to] | parts->mins[from] << 4);
        else if (c.has_min)
            at[ROWS * c.n_groups + to] = parts->mins[from];
    }
}

void ssw_codes_fill_row(ssw_dtype dtype, int64_t n_blocks, uint8_t *band, int r, const uint8_t *file_row)
{
    ssw_codes c = *ssw_codes_find(dtype);
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    int code_bytes = ssw_codes_code_bytes(c), step = (int)traits->block_elements / BLOCK;
    uint8_t *scales = band + n_blocks * code_bytes;
    ssw_quant_parts parts;
    for (int64_t first = 0; first < n_blocks; first += step, file_row += traits->block_bytes) {
        ssw_quant_split_block(dtype, file_row, &parts);
        put_halves(c, scales + (c.has_super ? head_offset(c, first) : scales_offset(c, first)), r, &parts);
        for (int b = 0; b < step; b++) {
            fill_codes(c.bits, band + (first + b) * code_bytes, r, parts.codes + b * BLOCK);
            if (c.has_super)
                put_small_scales(c, scales + scales_offset(c, first + b), r, &parts, b);
        }
    }
}

/* ---- out ---- */

static float get_half(const uint8_t *at, int r)
{
    uint16_t bits;
    memcpy(&bits, at + 2 * r, sizeof bits);
    return ssw_half_from_f16(bits);
}

static void read_codes(int bits, const uint8_t *lines, int r, uint8_t *codes)
{
    memset(codes, 0, BLOCK);
    lines += 4 * r;
    for (int i = 0; bits & 4 && i < BLOCK; i++)
        codes[i] = lines[i % 16 / 4 * LINE_BYTES + i % 4] >> i / 16 * 4 & 15;
    lines += bits & 4 ? 4 * LINE_BYTES : 0;
    for (int i = 0; bits & 2 && i < BLOCK; i++)
        codes[i] |= (uint8_t)((lines[i / 16 * LINE_BYTES + i % 4] >> i % 16 / 4 * 2 & 3) << (bits & 4));
    lines += bits & 2 ? 2 * LINE_BYTES : 0;
    for (int i = 0; bits & 1 && i < BLOCK; i++)
        codes[i] |= (uint8_t)((lines[i % 4] >> i / 4 & 1) << (bits & 6));
}

static void read_small_scales(ssw_codes c, const uint8_t *at, int r, ssw_codes_block *out)
{
    for (int half = 0; half < 2; half++) {
        int i = r * c.n_groups + half * (c.n_groups - 1);
        out->scales[half] = c.packs_min ? at[i] & 15 : (int8_t)at[i];
        if (c.has_min)
            out->mins[half] = c.packs_min ? at[i] >> 4 : at[ROWS * c.n_groups + i];
    }
}

void ssw_codes_read_block(ssw_codes c, const uint8_t *band, int64_t n_blocks, int64_t b, int r,
                          ssw_codes_block *out)
{
    uint8_t codes[BLOCK];
    const uint8_t *scales = band + n_blocks * ssw_codes_code_bytes(c);
    const uint8_t *halves = scales + (c.has_super ? head_offset(c, b) : scales_offset(c, b));
    *out = (ssw_codes_block){.d = get_half(halves, r), .scales = {1, 1}, .mins = {c.has_min, c.has_min}};
    if (c.has_min)
        out->dmin = get_half(halves + 2 * ROWS, r) * (c.has_super ? 1 : -1); /* there it is added */
    if (c.has_super)
        read_small_scales(c, scales + scales_offset(c, b), r, out);
    read_codes(c.bits, band + b * ssw_codes_code_bytes(c), r, codes);
    for (int i = 0; i < BLOCK; i++)
        out->values[i] = c.has_book ? ssw_quant_iq4_book[codes[i]] : (int8_t)(codes[i] - c.offset);
}

void ssw_codes_read_weights(const ssw_codes_block *block, float *out)
{
    for (int i = 0; i < BLOCK; i++) {
        float scale = block->d * (float)block->scales[i / 16], min = block->dmin * (float)block->mins[i / 16];
        out[i] = scale * (float)block->values[i] - min;
    }
}
