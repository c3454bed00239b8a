/* What the files of this folder share: the block functions behind quant.h's doors, and the packing of codes.
 * Internal to src/quant. */
#ifndef SSW_QUANT_QUANT_BLOCK_H
#define SSW_QUANT_QUANT_BLOCK_H

#include <stdint.h>
#include <string.h>

#include "quant/quant.h"

enum { SSW_QUANT_SUPER_BLOCK = 256, SSW_QUANT_GROUPS_MAX = 16 }; /* weights, and groups, of a K block */

/* One block; its length in weights and bytes is that of ssw_dtype_find. */
typedef void ssw_quant_read_block(const uint8_t *block, float *out);
typedef void ssw_quant_write_block(const float *values, uint8_t *block);
typedef void ssw_quant_split(const uint8_t *block, ssw_quant_parts *parts);

ssw_quant_read_block ssw_quant_read_q8_0, ssw_quant_read_q4_0, ssw_quant_read_q4_1, ssw_quant_read_q5_0,
    ssw_quant_read_q5_1, ssw_quant_read_mxfp4, ssw_quant_read_q2_k, ssw_quant_read_q3_k, ssw_quant_read_q4_k,
    ssw_quant_read_q5_k, ssw_quant_read_q6_k, ssw_quant_read_iq4_nl, ssw_quant_read_iq4_xs;
ssw_quant_write_block ssw_quant_write_q8_0, ssw_quant_write_q4_0, ssw_quant_write_q4_1, ssw_quant_write_q5_0,
    ssw_quant_write_q5_1, ssw_quant_write_mxfp4, ssw_quant_write_q2_k, ssw_quant_write_q3_k,
    ssw_quant_write_q4_k, ssw_quant_write_q5_k, ssw_quant_write_q6_k, ssw_quant_write_iq4_nl,
    ssw_quant_write_iq4_xs;
ssw_quant_split ssw_quant_split_q4_1, ssw_quant_split_q5_0, ssw_quant_split_q5_1, ssw_quant_split_q2_k,
    ssw_quant_split_q3_k, ssw_quant_split_q4_k, ssw_quant_split_q5_k, ssw_quant_split_q6_k,
    ssw_quant_split_iq4_nl, ssw_quant_split_iq4_xs;

static inline uint16_t ssw_quant_load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (bytes[1] << 8));
}

static inline void ssw_quant_store_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

/* Codes of 1, 2 or 4 bits in ggml's order: the first `span` codes take the lowest bits of `span` bytes, the
 * next `span` codes the bits above, and so on until the bytes are full. Sets codes[n] to them. */
static inline void ssw_quant_unpack(const uint8_t *bytes, int bits, int span, int n, uint8_t *codes)
{
    int mask = (1 << bits) - 1;
    for (int i = 0; i < n; bytes += span) {
        for (int shift = 0; shift < 8; shift += bits, i += span) {
            for (int j = 0; j < span; j++)
                codes[i + j] = (uint8_t)((bytes[j] >> shift) & mask);
        }
    }
}

/* The same for the codes' upper bits: adds them, shifted left by `up`. */
static inline void ssw_quant_unpack_upper(const uint8_t *bytes, int bits, int span, int up, int n,
                                          uint8_t *codes)
{
    int mask = (1 << bits) - 1;
    for (int i = 0; i < n; bytes += span) {
        for (int shift = 0; shift < 8; shift += bits, i += span) {
            for (int j = 0; j < span; j++)
                codes[i + j] = (uint8_t)(codes[i + j] | (((bytes[j] >> shift) & mask) << up));
        }
    }
}

/* The inverse: bits up, up + 1, ... of each code. The n * bits / 8 bytes are overwritten. */
static inline void ssw_quant_pack(const uint8_t *codes, int bits, int span, int up, int n, uint8_t *bytes)
{
    int per_byte = 8 / bits, mask = (1 << bits) - 1;
    memset(bytes, 0, (size_t)(n * bits / 8));
    for (int i = 0; i < n; i++) {
        int byte = i / (span * per_byte) * span + i % span, shift = bits * (i / span % per_byte);
        bytes[byte] = (uint8_t)(bytes[byte] | (((codes[i] >> up) & mask) << shift));
    }
}

/* The value of largest magnitude, with its sign; the first of equals. */
float ssw_quant_find_extreme(const float *values, int n);

#endif
