/* Kernels in plain C, twice: "reference", which multiplies dequantised weights with float activations in
 * double precision, and "generic", which does the integer arithmetic of the vector kernels step by step. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu/codes.h"
#include "quant/half.h"

enum { ROWS = SSW_TILE_ROWS, BLOCK = SSW_QUANT_BLOCK, HALF_BLOCK = BLOCK / 2 };

/* ---- float weights ---- */

static float load_f32(const uint8_t *at)
{
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

static float load_f16(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return ssw_half_from_f16(bits);
}

static float load_bf16(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return ssw_half_from_bf16(bits);
}

typedef float load_element(const uint8_t *at);

/* One band of a tile. */
static inline void tile_float(load_element *load, int element_bytes, const ssw_tile *tile, int index)
{
    const uint8_t *band = tile->band + (uint64_t)index * tile->band_bytes;
    float(*out)[ROWS] = tile->out + index * SSW_TILE_TOKENS;
    for (int t = 0; t < tile->n; t++) {
        const float *xt = tile->x[t];
        for (int r = 0; r < ROWS; r++) {
            double sum = 0;
            for (int64_t c = 0; c < tile->cols; c++)
                sum += (double)load(band + (c * ROWS + r) * element_bytes) * (double)xt[c];
            out[t][r] = (float)sum;
        }
    }
}

static void tile_f32(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_float(load_f32, 4, tile, band);
}

static void tile_f16(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_float(load_f16, 2, tile, band);
}

static void tile_bf16(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_float(load_bf16, 2, tile, band);
}

/* ---- quantised weights: row r of one block as integers, with its scale ---- */

static float unpack_q8_0(const uint8_t *band, int64_t n_blocks, int64_t b, int r, int8_t *w)
{
    const uint8_t *quants = band + b * ROWS * BLOCK;
    for (int i = 0; i < BLOCK; i++)
        w[i] = (int8_t)quants[(i / 4 * ROWS + r) * 4 + i % 4];
    return load_f16(band + n_blocks * ROWS * BLOCK + (b * ROWS + r) * 2);
}

static void unpack_nibbles(const uint8_t *band, int64_t b, int r, const int8_t *values, int8_t *w)
{
    const uint8_t *quants = band + b * ROWS * HALF_BLOCK;
    for (int i = 0; i < HALF_BLOCK; i++) {
        uint8_t pair = quants[(i / 4 * ROWS + r) * 4 + i % 4];
        w[i] = values[pair & 15];
        w[i + HALF_BLOCK] = values[pair >> 4];
    }
}

static float unpack_q4_0(const uint8_t *band, int64_t n_blocks, int64_t b, int r, int8_t *w)
{
    static const int8_t values[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    unpack_nibbles(band, b, r, values, w);
    return load_f16(band + n_blocks * ROWS * HALF_BLOCK + (b * ROWS + r) * 2);
}

static float unpack_mxfp4(const uint8_t *band, int64_t n_blocks, int64_t b, int r, int8_t *w)
{
    unpack_nibbles(band, b, r, ssw_quant_mxfp4_doubled, w);
    return ssw_quant_mxfp4_half_scale(band[n_blocks * ROWS * HALF_BLOCK + b * ROWS + r]);
}

typedef float unpack_block(const uint8_t *band, int64_t n_blocks, int64_t b, int r, int8_t *w);

static inline void tile_truth(unpack_block *unpack, const ssw_tile *tile, int index)
{
    const uint8_t *band = tile->band + (uint64_t)index * tile->band_bytes;
    float(*out)[ROWS] = tile->out + index * SSW_TILE_TOKENS;
    int64_t n_blocks = tile->cols / BLOCK;
    for (int r = 0; r < ROWS; r++) {
        double sums[SSW_TILE_TOKENS] = {0};
        for (int64_t b = 0; b < n_blocks; b++) {
            int8_t w[BLOCK];
            float scale = unpack(band, n_blocks, b, r, w);
            for (int t = 0; t < tile->n; t++) {
                const float *xt = (const float *)tile->x[t] + b * BLOCK;
                for (int i = 0; i < BLOCK; i++)
                    sums[t] += (double)((float)w[i] * scale) * (double)xt[i];
            }
        }
        for (int t = 0; t < tile->n; t++)
            out[t][r] = (float)sums[t];
    }
}

static void truth_q8_0(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_truth(unpack_q8_0, tile, band);
}

static void truth_q4_0(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_truth(unpack_q4_0, tile, band);
}

static void truth_mxfp4(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_truth(unpack_mxfp4, tile, band);
}

static inline void tile_integer(unpack_block *unpack, const ssw_tile *tile, int index)
{
    const uint8_t *band = tile->band + (uint64_t)index * tile->band_bytes;
    float(*out)[ROWS] = tile->out + index * SSW_TILE_TOKENS;
    int64_t n_blocks = tile->cols / BLOCK;
    for (int r = 0; r < ROWS; r++) {
        float sums[SSW_TILE_TOKENS] = {0};
        for (int64_t b = 0; b < n_blocks; b++) {
            int8_t w[BLOCK];
            float scale = unpack(band, n_blocks, b, r, w);
            for (int t = 0; t < tile->n; t++) {
                const ssw_q8_block *block = (const ssw_q8_block *)tile->x[t] + b;
                int32_t dot = 0;
                for (int i = 0; i < BLOCK; i++)
                    dot += w[i] * block->q[i];
                sums[t] += (float)dot * (scale * block->scale);
            }
        }
        for (int t = 0; t < tile->n; t++)
            out[t][r] = sums[t];
    }
}

static void integer_q8_0(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_integer(unpack_q8_0, tile, band);
}

static void integer_q4_0(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_integer(unpack_q4_0, tile, band);
}

static void integer_mxfp4(const ssw_tile *tile)
{
    for (int band = 0; band < tile->n_bands; band++)
        tile_integer(unpack_mxfp4, tile, band);
}

/* ---- the rest ---- */

static void quantize(const float *x, int64_t n, ssw_q8_block *out)
{
    for (int64_t b = 0; b < n / BLOCK; b++, x += BLOCK, out++) {
        float largest = 0;
        for (int i = 0; i < BLOCK; i++)
            largest = fmaxf(largest, fabsf(x[i]));
        bool tiny = largest < SSW_Q8_LARGEST_MIN;
        float inverse = tiny ? 0 : 127.0f / largest;
        int32_t sums[2] = {0, 0};
        out->scale = tiny ? 0 : largest / 127.0f;
        for (int i = 0; i < BLOCK; i++) {
            out->q[i] = (int8_t)lrintf(x[i] * inverse);
            sums[i / HALF_BLOCK] += out->q[i];
        }
        out->minus_16_sums = -16 * (sums[0] + sums[1]);
        out->minus_128_sums = -128 * (sums[0] + sums[1]);
        out->sums[0] = (int16_t)sums[0];
        out->sums[1] = (int16_t)sums[1];
    }
}

static void norm(const ssw_cpu_norm_args *args, const float *x, float *out)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; args->subtract_mean && i < args->cols; i++)
        mean += (double)x[i];
    mean /= (double)args->cols;
    for (int64_t i = 0; i < args->cols; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(squares / (double)args->cols + (double)args->eps);
    for (int64_t i = 0; i < args->cols; i++) {
        float value = (float)(((double)x[i] - mean) * scale) * args->weight[i];
        out[i] = args->bias ? value + args->bias[i] : value;
    }
}

static void glu(const ssw_cpu_moe_args *args, const float *gate, const float *up, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        if (args->glu == SSW_CPU_GLU_SILU) {
            out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
        } else {
            float g = fminf(gate[i], args->glu_limit);
            float u = fmaxf(fminf(up[i], args->glu_limit), -args->glu_limit);
            out[i] = g / (1 + expf(-args->glu_alpha * g)) * (u + 1);
        }
    }
}

static float dot_key(const ssw_attention_tile *tile, const float *q, int position)
{
    const uint16_t *band = tile->k + position / ROWS * ROWS * tile->head_dim;
    float sum = 0;
    for (int d = 0; d < tile->head_dim; d++)
        sum += q[d] * ssw_half_from_f16(band[d * ROWS + position % ROWS]);
    return sum;
}

static void attend(const ssw_attention_tile *tile)
{
    int dim = tile->head_dim;
    for (int i = 0; i < tile->n; i++) {
        float scores[SSW_KV_TILE];
        float max = tile->max[i];
        float *acc = tile->acc + i * dim;
        for (int p = tile->from[i]; p < tile->to[i]; p++) {
            scores[p] = dot_key(tile, tile->q + i * dim, p);
            max = fmaxf(max, scores[p]);
        }
        if (tile->from[i] >= tile->to[i])
            continue;
        float keep = expf(tile->max[i] - max);
        tile->sum[i] *= keep;
        for (int d = 0; d < dim; d++)
            acc[d] *= keep;
        for (int p = tile->from[i]; p < tile->to[i]; p++) {
            float weight = expf(scores[p] - max);
            tile->sum[i] += weight;
            for (int d = 0; d < dim; d++)
                acc[d] += weight * ssw_half_from_f16(tile->v[p * dim + d]);
        }
        tile->max[i] = max;
    }
}

#define REFERENCE_ENTRY(TYPE, name, ...) .tile[SSW_DTYPE_##TYPE] = ssw_reference_tile_##name,
#define GENERIC_ENTRY(TYPE, name, ...)   .tile[SSW_DTYPE_##TYPE] = ssw_generic_tile_##name,

const ssw_kernels *ssw_kernels_reference(void)
{
    static const ssw_kernels table = {.isa = SSW_CPU_ISA_REFERENCE,
                                      .takes_q8 = false,
                                      .tile[SSW_DTYPE_F32] = tile_f32,
                                      .tile[SSW_DTYPE_F16] = tile_f16,
                                      .tile[SSW_DTYPE_BF16] = tile_bf16,
                                      .tile[SSW_DTYPE_Q8_0] = truth_q8_0,
                                      .tile[SSW_DTYPE_Q4_0] = truth_q4_0,
                                      .tile[SSW_DTYPE_MXFP4] = truth_mxfp4,
                                      .quantize = quantize,
                                      .norm = norm,
                                      .glu = glu,
                                      .attend = attend,
                                      SSW_CODES_TYPES(REFERENCE_ENTRY)};
    return &table;
}

const ssw_kernels *ssw_kernels_generic(void)
{
    static const ssw_kernels table = {.isa = SSW_CPU_ISA_GENERIC,
                                      .takes_q8 = true,
                                      .tile[SSW_DTYPE_F32] = tile_f32,
                                      .tile[SSW_DTYPE_F16] = tile_f16,
                                      .tile[SSW_DTYPE_BF16] = tile_bf16,
                                      .tile[SSW_DTYPE_Q8_0] = integer_q8_0,
                                      .tile[SSW_DTYPE_Q4_0] = integer_q4_0,
                                      .tile[SSW_DTYPE_MXFP4] = integer_mxfp4,
                                      .quantize = quantize,
                                      .norm = norm,
                                      .glu = glu,
                                      .attend = attend,
                                      SSW_CODES_TYPES(GENERIC_ENTRY)};
    return &table;
}
