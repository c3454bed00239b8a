/* See random_blocks.h. The generator is xorshift128+ in eight lanes, which compilers turn into vector code.
 */
#include "synth/random_blocks.h"

#include <math.h>
#include <string.h>

#include "quant/half.h"

enum { LANES = 8, STEP_BYTES = LANES * 8 };

uint64_t ssw_random_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + (b + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void fill_bytes(uint64_t seed, unsigned char *out, size_t n_bytes)
{
    uint64_t a[LANES], b[LANES], sum[LANES];
    for (int i = 0; i < LANES; i++) {
        a[i] = ssw_random_mix(seed, (uint64_t)i);
        b[i] = ssw_random_mix(seed, (uint64_t)i + LANES) | 1;
    }
    for (size_t at = 0; at < n_bytes; at += STEP_BYTES) {
        for (int i = 0; i < LANES; i++) {
            uint64_t x = a[i], y = b[i];
            sum[i] = x + y;
            x ^= x << 23;
            a[i] = y;
            b[i] = x ^ y ^ (x >> 17) ^ (y >> 26);
        }
        if (n_bytes - at >= STEP_BYTES)
            memcpy(out + at, sum, STEP_BYTES);
        else
            memcpy(out + at, sum, n_bytes - at);
    }
}

/* Two neighbouring powers of two, the larger with probability p, whose mean square is value squared. */
typedef struct two_powers {
    int exponent; /* of the smaller */
    double p;
} two_powers;

static two_powers split_powers(double value)
{
    two_powers split = {.exponent = (int)floor(log2(value))};
    double square = pow(value / ldexp(1, split.exponent), 2); /* in [1, 4) */
    split.p = (square - 1) / 3;
    return split;
}

/* A float whose mantissa is uniform has mean square 7/3 times that of its power of two. */
#define MANTISSA_RMS 1.5275252316519468

/* sign, exponent and mantissa of n_mantissa bits: the spare random bits between them choose the exponent. */
static void shape_f32(double sigma, void *out, size_t n)
{
    two_powers split = split_powers(sigma / MANTISSA_RMS);
    uint32_t low = (uint32_t)(split.exponent + 127), limit = (uint32_t)lround(split.p * 256);
    unsigned char *at = out;
    for (size_t i = 0; i < n; i++, at += 4) {
        uint32_t r;
        memcpy(&r, at, 4);
        r = (r & 0x807FFFFFu) | (low + (((r >> 23) & 255) < limit)) << 23;
        memcpy(at, &r, 4);
    }
}

static void shape_bf16(double sigma, uint16_t *out, size_t n)
{
    two_powers split = split_powers(sigma / MANTISSA_RMS);
    uint16_t low = (uint16_t)(split.exponent + 127), limit = (uint16_t)lround(split.p * 256);
    for (size_t i = 0; i < n; i++) {
        uint16_t r = out[i], step = ((r >> 7) & 255) < limit;
        out[i] = (uint16_t)((r & 0x807F) | (low + step) << 7);
    }
}

/* The smallest exponent of F16 stands for numbers below 2^-14: sigmas of 1e-4 and less are raised to about
 * that. */
static void shape_f16(double sigma, uint16_t *out, size_t n)
{
    two_powers split = split_powers(sigma / MANTISSA_RMS);
    int exponent = split.exponent + 15;
    uint16_t low = (uint16_t)(exponent < 1 ? 1 : exponent > 29 ? 29 : exponent);
    uint16_t limit = (uint16_t)lround(split.p * 32);
    for (size_t i = 0; i < n; i++) {
        uint16_t r = out[i], step = ((r >> 10) & 31) < limit;
        out[i] = (uint16_t)((r & 0x83FF) | (low + step) << 10);
    }
}

/* Scales between 3/4 and 5/4 of the right one, whose mean square is `rms` squared; SCALE_SPREAD is that of
 * 3/4 + u/2 for uniform u. */
#define SCALE_SPREAD 1.0103629710818451
enum { N_SCALES = 256 };

static void make_scales(double rms, uint16_t scales[N_SCALES])
{
    for (int i = 0; i < N_SCALES; i++)
        scales[i] = ssw_half_to_f16((float)(rms / SCALE_SPREAD * (0.75 + 0.5 * (i + 0.5) / N_SCALES)));
}

/* 34 bytes: F16 scale, 32 int8. A random byte has mean 0 and rms 73.5 once -128, which no quantiser writes,
 * has become 0. */
#define INT8_RMS 73.467680

static void shape_q8_0(double sigma, unsigned char *out, size_t n_blocks)
{
    uint16_t scales[N_SCALES];
    make_scales(sigma / INT8_RMS, scales);
    size_t n_bytes = n_blocks * 34;
    for (size_t i = 0; i < n_bytes; i++)
        out[i] = out[i] == 0x80 ? 0 : out[i];
    for (size_t i = 0; i < n_blocks; i++)
        memcpy(out + i * 34, &scales[out[i * 34]], 2);
}

/* Types whose blocks hold codes and, but for F16 numbers, groups' scales: all of them stay random. Where a
 * group has a minimum, it is made as many steps as its scale has, so that dmin = middle * d centres every
 * group. Codes without one have a mean of half a step, and the book has -5.9: scales of either sign, as
 * quantisers write them too, take that away. */
typedef struct code_law {
    ssw_dtype dtype;
    int d_at, dmin_at; /* of F16 numbers in the block; dmin_at < 0: none */
    double rms;        /* of the weights for d = 1 */
    double middle;     /* of the codes */
} code_law;

/* 2^n codes from -2^(n-1) have rms sqrt((4^n + 2) / 12), around their middle sqrt((4^n - 1) / 12); scales of
 * the K types and IQ4_XS are such codes too, of 8 (Q6_K), 6 (Q3_K, IQ4_XS), or from 0 of 4 (Q2_K) and of 6
 * bits (Q4_K, Q5_K); the book's rms is 67.4389. */
static const code_law code_laws[] = {
    {SSW_DTYPE_Q4_0, 0, -1, 4.636809, 0},    {SSW_DTYPE_Q4_1, 0, 2, 4.609772, 7.5},
    {SSW_DTYPE_Q5_0, 0, -1, 9.246621, 0},    {SSW_DTYPE_Q5_1, 0, 2, 9.233093, 15.5},
    {SSW_DTYPE_Q2_K, 80, 82, 9.842510, 1.5}, {SSW_DTYPE_Q3_K, 108, -1, 43.338205, 0},
    {SSW_DTYPE_Q4_K, 0, 2, 168.335726, 7.5}, {SSW_DTYPE_Q5_K, 0, 2, 337.168758, 15.5},
    {SSW_DTYPE_Q6_K, 208, -1, 1365.615, 0},  {SSW_DTYPE_IQ4_NL, 0, -1, 67.438861, 0},
    {SSW_DTYPE_IQ4_XS, 0, -1, 1246.2506, 0}};

static const code_law *find_law(ssw_dtype dtype)
{
    for (size_t i = 0; i < sizeof code_laws / sizeof code_laws[0]; i++) {
        if (code_laws[i].dtype == dtype)
            return &code_laws[i];
    }
    return NULL;
}

/* Makes the minima of a K block's groups equal to their scales; see src/quant/quant_k.c for the bytes. */
static void tie_minima(ssw_dtype dtype, unsigned char *block)
{
    for (int i = 0; dtype == SSW_DTYPE_Q2_K && i < 16; i++)
        block[i] = (unsigned char)((block[i] & 15) * 17);
    for (int i = 4; (dtype == SSW_DTYPE_Q4_K || dtype == SSW_DTYPE_Q5_K) && i < 8; i++) {
        block[i + 4] = block[i];
        block[i + 8] = (unsigned char)((block[i + 8] & 15) * 17);
    }
}

static void shape_codes(const code_law *law, double sigma, unsigned char *out, size_t n_blocks)
{
    uint16_t scales[N_SCALES], minima[N_SCALES];
    uint32_t block_bytes = ssw_dtype_find((uint32_t)law->dtype)->block_bytes;
    bool is_added = law->dtype == SSW_DTYPE_Q4_1 || law->dtype == SSW_DTYPE_Q5_1; /* K types subtract it */
    make_scales(sigma / law->rms, scales);
    for (int i = 0; i < N_SCALES; i++)
        minima[i] =
            ssw_half_to_f16(ssw_half_from_f16(scales[i]) * (float)(is_added ? -law->middle : law->middle));
    for (size_t i = 0; i < n_blocks; i++) {
        unsigned char *block = out + i * block_bytes, *d = block + law->d_at;
        unsigned char which = d[0], sign = law->dmin_at < 0 ? d[1] & 1 : 0;
        uint16_t scale = (uint16_t)(scales[which] | sign << 15);
        memcpy(d, &scale, 2);
        if (law->dmin_at >= 0)
            memcpy(block + law->dmin_at, &minima[which], 2);
        tie_minima(law->dtype, block);
    }
}

/* 17 bytes: scale 2^(e-127), 32 nibbles out of 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their negatives. */
#define FP4_RMS 2.926175

static void shape_mxfp4(double sigma, unsigned char *out, size_t n_blocks)
{
    two_powers split = split_powers(sigma / FP4_RMS);
    unsigned char low = (unsigned char)(split.exponent + 127);
    int limit = (int)lround(split.p * 256);
    for (size_t i = 0; i < n_blocks; i++)
        out[i * 17] = (unsigned char)(low + (out[i * 17] < limit));
}

bool ssw_random_blocks_support(ssw_dtype dtype)
{
    return dtype == SSW_DTYPE_F32 || dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16 ||
           dtype == SSW_DTYPE_Q8_0 || dtype == SSW_DTYPE_MXFP4 || find_law(dtype);
}

void ssw_random_blocks_fill(uint64_t seed, ssw_dtype dtype, float sigma, void *out, size_t n_blocks)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)dtype);
    if (!traits || !ssw_random_blocks_support(dtype))
        return;
    fill_bytes(seed, out, n_blocks * traits->block_bytes);
    switch ((int)dtype) {
    case SSW_DTYPE_F32:
        shape_f32(sigma, out, n_blocks);
        break;
    case SSW_DTYPE_F16:
        shape_f16(sigma, out, n_blocks);
        break;
    case SSW_DTYPE_BF16:
        shape_bf16(sigma, out, n_blocks);
        break;
    case SSW_DTYPE_Q8_0:
        shape_q8_0(sigma, out, n_blocks);
        break;
    case SSW_DTYPE_MXFP4:
        shape_mxfp4(sigma, out, n_blocks);
        break;
    default:
        shape_codes(find_law(dtype), sigma, out, n_blocks);
        break;
    }
}
