/* Tile kernels for types of small codes in plain C: "reference" multiplies dequantised weights with float
 * activations in double precision, "generic" does the integer arithmetic of the vector kernels. */
#include "cpu/codes.h"

enum { ROWS = SSW_TILE_ROWS, BLOCK = SSW_QUANT_BLOCK, HALF_BLOCK = BLOCK / 2 };

static void add_truth(const ssw_codes_block *block, const float *x, double *sum)
{
    float weights[BLOCK];
    ssw_codes_read_weights(block, weights);
    for (int i = 0; i < BLOCK; i++)
        *sum += (double)weights[i] * (double)x[i];
}

static void reference_tile(ssw_codes c, const ssw_tile *tile)
{
    int64_t n_blocks = tile->cols / BLOCK;
    for (int i = 0; i < tile->n_bands * ROWS; i++) {
        int band = i / ROWS, r = i % ROWS;
        double sums[SSW_TILE_TOKENS] = {0};
        for (int64_t b = 0; b < n_blocks; b++) {
            ssw_codes_block block;
            ssw_codes_read_block(c, tile->band + (uint64_t)band * tile->band_bytes, n_blocks, b, r, &block);
            for (int t = 0; t < tile->n; t++)
                add_truth(&block, (const float *)tile->x[t] + b * BLOCK, &sums[t]);
        }
        for (int t = 0; t < tile->n; t++)
            tile->out[band * SSW_TILE_TOKENS + t][r] = (float)sums[t];
    }
}

static float dot_block(const ssw_codes_block *w, const ssw_q8_block *x)
{
    int32_t dot = 0, mins = 0;
    for (int half = 0; half < 2; half++) {
        int32_t sum = 0;
        for (int i = half * HALF_BLOCK; i < (half + 1) * HALF_BLOCK; i++)
            sum += w->values[i] * x->q[i];
        dot += w->scales[half] * sum;
        mins += w->mins[half] * x->sums[half];
    }
    return x->scale * (w->d * (float)dot - w->dmin * (float)mins);
}

static void generic_tile(ssw_codes c, const ssw_tile *tile)
{
    int64_t n_blocks = tile->cols / BLOCK;
    for (int i = 0; i < tile->n_bands * ROWS; i++) {
        int band = i / ROWS, r = i % ROWS;
        float sums[SSW_TILE_TOKENS] = {0};
        for (int64_t b = 0; b < n_blocks; b++) {
            ssw_codes_block block;
            ssw_codes_read_block(c, tile->band + (uint64_t)band * tile->band_bytes, n_blocks, b, r, &block);
            for (int t = 0; t < tile->n; t++)
                sums[t] += dot_block(&block, (const ssw_q8_block *)tile->x[t] + b);
        }
        for (int t = 0; t < tile->n; t++)
            tile->out[band * SSW_TILE_TOKENS + t][r] = sums[t];
    }
}

#define DEFINE_TILES(TYPE, name, ...)                                                                        \
    void ssw_reference_tile_##name(const ssw_tile *tile)                                                     \
    {                                                                                                        \
        reference_tile((ssw_codes){__VA_ARGS__}, tile);                                                      \
    }                                                                                                        \
    void ssw_generic_tile_##name(const ssw_tile *tile)                                                       \
    {                                                                                                        \
        generic_tile((ssw_codes){__VA_ARGS__}, tile);                                                        \
    }

SSW_CODES_TYPES(DEFINE_TILES)
