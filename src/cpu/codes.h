/* Types of small codes in groups with scales of their own: Q4_1, Q5_0, Q5_1, the K types, IQ4_NL and IQ4_XS.
 * One description per type, from which the layout, the plain-C functions and every kernel follow. Internal to
 * src/cpu.
 *
 * A weight is scale * value - min. Value: the code less an offset, or an entry of the IQ4 book. In types with
 * super-blocks scale and min are an F16 d and dmin, each of 256 columns, times a small integer of each group;
 * in the others they are F16 of 32 columns.
 *
 * Within a band: first the codes, for every block of 32 columns a plane of their 4 low bits, then one of the
 * next 2, then one of the next 1, as far as the type has them. Four bytes of a row stand together, those of
 * the 16 rows side by side make a 64-byte line, and byte j of a row's four holds columns j, j + 4, j + 8,
 * ...: 4 bits: line l of 4 holds columns 4 l + j (low half) and 4 l + j + 16 (high half); 2 bits: line l of 2
 * holds columns 16 l + 4 k + j in bits 2 k and 2 k + 1; 1 bit:  the one line holds column 4 k + j in bit k.
 * Then the scales: for every 256 columns of a type with super-blocks 16 rows' d and, where there are minima,
 * 16 rows' dmin; after them for each block 16 rows' scales, a byte for each group, and 16 rows' minima. In
 * Q2_K a group's scale (low half) and min share a byte. Types without super-blocks have for each block 16
 * rows' F16 scale and 16 rows' F16 min. The bytes are the file's but for the 6-bit scales, widened to 8. */
#ifndef SSW_CPU_CODES_H
#define SSW_CPU_CODES_H

#include "cpu/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_codes {
    int bits;     /* of a code, 2 to 6 */
    int n_groups; /* of 32 columns: 1 or 2 */
    int offset;   /* a power of two, or 0 */
    bool has_book, has_min, has_super;
    bool packs_min; /* scale and min in one byte */
} ssw_codes;

/* X(TYPE, name, description) */
#define SSW_CODES_TYPES(X)                                                                                   \
    X(Q4_1, q4_1, .bits = 4, .n_groups = 1, .has_min = true)                                                 \
    X(Q5_0, q5_0, .bits = 5, .n_groups = 1, .offset = 16)                                                    \
    X(Q5_1, q5_1, .bits = 5, .n_groups = 1, .has_min = true)                                                 \
    X(Q2_K, q2_k, .bits = 2, .n_groups = 2, .has_min = true, .has_super = true, .packs_min = true)           \
    X(Q3_K, q3_k, .bits = 3, .n_groups = 2, .offset = 4, .has_super = true)                                  \
    X(Q4_K, q4_k, .bits = 4, .n_groups = 1, .has_min = true, .has_super = true)                              \
    X(Q5_K, q5_k, .bits = 5, .n_groups = 1, .has_min = true, .has_super = true)                              \
    X(Q6_K, q6_k, .bits = 6, .n_groups = 2, .offset = 32, .has_super = true)                                 \
    X(IQ4_NL, iq4_nl, .bits = 4, .n_groups = 1, .has_book = true)                                            \
    X(IQ4_XS, iq4_xs, .bits = 4, .n_groups = 1, .has_book = true, .has_super = true)

enum { SSW_CODES_SUPER_BLOCKS = 8 }; /* blocks of 32 columns with one d */

/* Bytes of a block's codes, of a super-block's d and dmin, and of a block's scales and minima, of 16 rows. */
static inline int ssw_codes_code_bytes(ssw_codes c)
{
    return 4 * c.bits * SSW_TILE_ROWS;
}

static inline int ssw_codes_head_bytes(ssw_codes c)
{
    return c.has_super ? 2 * SSW_TILE_ROWS * (1 + c.has_min) : 0;
}

static inline int ssw_codes_scale_bytes(ssw_codes c)
{
    if (!c.has_super)
        return 2 * SSW_TILE_ROWS * (1 + c.has_min);
    return c.n_groups * SSW_TILE_ROWS * (1 + (c.has_min && !c.packs_min));
}

/* NULL for other types. */
const ssw_codes *ssw_codes_find(ssw_dtype dtype);

/* Of a band of n_blocks blocks of 32 columns. */
uint64_t ssw_codes_band_bytes(ssw_codes c, int64_t n_blocks);

/* Puts a row of the file in its place. */
void ssw_codes_fill_row(ssw_dtype dtype, int64_t n_blocks, uint8_t *band, int r, const uint8_t *file_row);

/* One row's block: weight i is d * scales[i / 16] * values[i] - dmin * mins[i / 16]. */
typedef struct ssw_codes_block {
    float d, dmin;
    int scales[2], mins[2];
    int8_t values[SSW_QUANT_BLOCK];
} ssw_codes_block;

void ssw_codes_read_block(ssw_codes c, const uint8_t *band, int64_t n_blocks, int64_t b, int r,
                          ssw_codes_block *out);
void ssw_codes_read_weights(const ssw_codes_block *block, float *out); /* [32], bit-exact with src/quant */

/* The tile kernels of each instruction set, one per type. */
#define SSW_CODES_DECLARE(TYPE, name, ...)                                                                   \
    extern ssw_tile_kernel ssw_reference_tile_##name, ssw_generic_tile_##name, ssw_avx2_tile_##name,         \
        ssw_avx512_tile_##name;
SSW_CODES_TYPES(SSW_CODES_DECLARE)

#ifdef __cplusplus
}
#endif
#endif
