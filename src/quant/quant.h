/* Block formats of GGUF weights: what the bits of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K,
 * Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS and MXFP4 rows mean.
 *
 * Plain C, and the definition of truth for every kernel. Reading is bit-exact with ggml's reference functions
 * (ggml-quants.c of https://github.com/ggml-org/ggml); MXFP4 is the OCP Microscaling format v1.0 with ggml's
 * order of nibbles: byte j of a block holds weight j in its low half and weight j + 16 in its high half.
 * Pure, any thread. */
#ifndef SSW_QUANT_QUANT_H
#define SSW_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_QUANT_BLOCK = 32 }; /* weights per block, but for the K types and IQ4_XS: 256 */

/* Whether rows of this type can be read and written here. */
bool ssw_quant_supports(ssw_dtype dtype);

/* row: ssw_dtype_row_bytes(dtype, n) bytes, any alignment. out: [n]. False, and nothing written, for a type
 * that is not supported or an n that is not a multiple of its block. */
bool ssw_quant_dequantize_row(ssw_dtype dtype, const void *row, uint64_t n, float *out);

/* The inverse. Types without a search for scales (floats, Q4_0 to Q8_0, MXFP4) round as ggml's reference
 * does, bit for bit; for the K and IQ4 types the scales are our own, with an error at most a few per cent
 * above ggml's (tests/quant). Values must be finite. */
bool ssw_quant_quantize_row(ssw_dtype dtype, const float *values, uint64_t n, void *row);

/* A block of Q4_1, Q5_0, Q5_1, a K type or an IQ4 type taken apart: what stands in the file, each number by
 * itself. A group's weights are d * scale * value - min, with value the code less the type's offset (or the
 * book's entry) and min dmin * the group's min; in Q4_1 and Q5_1 dmin is added as it stands. */
typedef struct ssw_quant_parts {
    uint16_t d, dmin;  /* F16 */
    int8_t scales[16]; /* of each group, for types that have d for 256 weights */
    uint8_t mins[16];
    uint8_t codes[256];
} ssw_quant_parts;

/* False, and nothing written, for other types. */
bool ssw_quant_split_block(ssw_dtype dtype, const void *block, ssw_quant_parts *parts);

/* The values behind the codes of IQ4_NL and IQ4_XS. */
extern const int8_t ssw_quant_iq4_book[16];

/* Half the value of an E8M0 scale, 2^(e - 128): the factor for MXFP4 weights kept as doubled integers. */
float ssw_quant_mxfp4_half_scale(uint8_t e);

/* E2M1 values times two, in the order of the codes: 0 1 2 3 4 6 8 12 and their negatives. */
extern const int8_t ssw_quant_mxfp4_doubled[16];

#ifdef __cplusplus
}
#endif
#endif
