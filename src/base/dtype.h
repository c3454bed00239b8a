/* The tensor types of GGUF: their numbers, names and block shapes.
 *
 * Numbers, block lengths and block sizes are those of the GGUF specification (ggml's `enum ggml_type`,
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Here is only the geometry that readers need;
 * the bits inside a block belong to src/quant. */
#ifndef SSW_BASE_DTYPE_H
#define SSW_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssw_dtype {
    SSW_DTYPE_F32 = 0,
    SSW_DTYPE_F16 = 1,
    SSW_DTYPE_Q4_0 = 2,
    SSW_DTYPE_Q4_1 = 3,
    SSW_DTYPE_Q5_0 = 6,
    SSW_DTYPE_Q5_1 = 7,
    SSW_DTYPE_Q8_0 = 8,
    SSW_DTYPE_Q2_K = 10,
    SSW_DTYPE_Q3_K = 11,
    SSW_DTYPE_Q4_K = 12,
    SSW_DTYPE_Q5_K = 13,
    SSW_DTYPE_Q6_K = 14,
    SSW_DTYPE_IQ4_NL = 20,
    SSW_DTYPE_IQ4_XS = 23,
    SSW_DTYPE_I8 = 24,
    SSW_DTYPE_I16 = 25,
    SSW_DTYPE_I32 = 26,
    SSW_DTYPE_I64 = 27,
    SSW_DTYPE_F64 = 28,
    SSW_DTYPE_BF16 = 30,
    SSW_DTYPE_MXFP4 = 39
} ssw_dtype;

typedef struct ssw_dtype_traits {
    ssw_dtype dtype;
    const char *name;        /* as in llama.cpp: "MXFP4" */
    uint32_t block_elements; /* weights per block; rows must be a multiple of it */
    uint32_t block_bytes;
} ssw_dtype_traits;

/* NULL for a number this program does not know. */
const ssw_dtype_traits *ssw_dtype_find(uint32_t number);
const ssw_dtype_traits *ssw_dtype_find_name(const char *name); /* case-insensitive */

/* Bytes of one row of n elements; 0 when the type is unknown or n is not a multiple of the block. */
uint64_t ssw_dtype_row_bytes(ssw_dtype dtype, uint64_t n_elements);

#ifdef __cplusplus
}
#endif
#endif
