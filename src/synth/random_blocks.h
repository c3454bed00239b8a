/* Random weights straight in their block format: no float is made and quantised, so that a file can be
 * written at disk speed. Each format's bits come from the generator's; only scales (and the exponents of
 * floats) are set, so that the weights have mean 0 and the standard deviation asked for.
 *
 * Block layouts are those of src/quant. Pure: the same seed gives the same bytes, on any thread. */
#ifndef SSW_SYNTH_RANDOM_BLOCKS_H
#define SSW_SYNTH_RANDOM_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

/* A well-mixed number of two (splitmix64). */
uint64_t ssw_random_mix(uint64_t a, uint64_t b);

/* Every type of src/quant. */
bool ssw_random_blocks_support(ssw_dtype dtype);

/* n_blocks blocks of a supported type (a block of F32, F16 and BF16 is one weight); sigma > 0. */
void ssw_random_blocks_fill(uint64_t seed, ssw_dtype dtype, float sigma, void *out, size_t n_blocks);

#endif
