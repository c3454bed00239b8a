/* Products of many tokens on AMX tiles. Internal to src/cpu.
 *
 * Weights are decoded, their scales included, to bf16; activations are bf16; sums are floats. A tile of
 * weights is 16 rows by 32 columns, one of activations 16 tokens by 32 columns. This rounds otherwise than
 * the tile kernels of kernels.h do, so only who allows it gets it: see may_use_bf16 of ssw_cpu_moe_args. */
#ifndef SSW_CPU_KERNELS_AMX_H
#define SSW_CPU_KERNELS_AMX_H

#include <stdint.h>

#include "cpu/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_AMX_TOKENS = 16,                                  /* of a tile */
    SSW_AMX_NUMBERS = SSW_AMX_TOKENS * SSW_QUANT_BLOCK,   /* of a tile */
    SSW_AMX_BANDS = 2,                                    /* most bands in one product */
    SSW_AMX_SCRATCH = 2 * SSW_AMX_BANDS * SSW_AMX_NUMBERS /* numbers */
};

/* Of each tile of tokens the first tile_tokens rows are used: a product of fewer takes less time, so tokens
 * are spread evenly.
 *
 * sums[(2 * tile + band) * 16 + token][row] = factor * the sum over c of W[16 band + row][c] * x[token][c];
 * the factor, a power of two, is returned. */
typedef struct ssw_amx_product {
    const uint8_t *band;          /* the first */
    uint64_t band_bytes;          /* to the second */
    const uint8_t *next;          /* the first of the product after this: fetched meanwhile */
    int n_bands;                  /* 1 or 2 */
    int n_tiles, tile_tokens;     /* of tokens; 1 to 16 in each */
    int64_t cols;                 /* a multiple of 32 */
    const uint16_t *x;            /* [n_tiles][cols / 32][16][32], made by fill_q8 or fill_f32 */
    uint16_t *scratch;            /* SSW_AMX_SCRATCH */
    float (*sums)[SSW_TILE_ROWS]; /* [n_tiles * 2 * 16], 64-byte aligned */
} ssw_amx_product;

typedef float ssw_amx_kernel(const ssw_amx_product *product);

/* n tokens' 32 rows of a gate's and an up's product to a block of the hidden layer, as the next product takes
 * it. The unit's relative error is below 2^-12. */
typedef struct ssw_amx_hidden {
    const ssw_cpu_moe_args *args;                             /* which unit */
    const float (*gate)[SSW_TILE_ROWS], (*up)[SSW_TILE_ROWS]; /* sums of two bands each */
    float gate_factor, up_factor;
    const float *gate_bias, *up_bias; /* [32] or NULL */
    int n, tile_tokens;
    uint16_t *out;        /* the block's tile of the first tokens */
    int64_t tile_numbers; /* to that of the next ones */
} ssw_amx_hidden;

typedef struct ssw_amx {
    ssw_amx_kernel *product[SSW_KERNELS_DTYPES]; /* NULL for types without */
    /* n <= 16 tokens' rows to n_blocks tiles one after the other. */
    void (*fill_q8)(const ssw_q8_block *const *x, int n, int64_t n_blocks, uint16_t *out);
    void (*fill_f32)(const float *const *x, int n, int64_t n_blocks, uint16_t *out);
    void (*make_hidden)(const ssw_amx_hidden *hidden);
    /* One token's n <= 32 rows: out = sums / factor + bias. sums: those of the first band; bias may be NULL.
     */
    void (*finish)(const float (*sums)[SSW_TILE_ROWS], float factor, const float *bias, int n, float *out);
} ssw_amx;

/* What was compiled for processors that have it, and NULL where this one has not or where the system does not
 * let the process use it, which is asked for here. */
const ssw_amx *ssw_amx_kernels(void);
const ssw_amx *ssw_amx_find(void);

#ifdef __cplusplus
}
#endif
#endif
