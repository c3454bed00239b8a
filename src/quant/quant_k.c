/* Blocks of 256 weights in groups whose scales are themselves quantised: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K.
 *
 * Q2_K, Q4_K and Q5_K groups are scale * code - min with unsigned codes, Q3_K and Q6_K groups scale * code
 * with signed ones. Reading is bit-exact with ggml; writing finds its own scales (scale_search.h). */
#include <math.h>

#include "quant/half.h"
#include "quant/quant_block.h"
#include "quant/scale_search.h"

enum { BLOCK = SSW_QUANT_SUPER_BLOCK, GROUPS_MAX = SSW_QUANT_GROUPS_MAX };

/* Where the parts of each block lie, in bytes. */
enum { Q2_SCALES = 0, Q2_CODES = 16, Q2_D = 80, Q2_DMIN = 82 };
enum { Q3_HIGH = 0, Q3_CODES = 32, Q3_SCALES = 96, Q3_D = 108 };
enum { Q45_D = 0, Q45_DMIN = 2, Q45_SCALES = 4, Q4_CODES = 16, Q5_HIGH = 16, Q5_CODES = 48 };
enum { Q6_LOW = 0, Q6_HIGH = 128, Q6_SCALES = 192, Q6_D = 208 };

/* ---- groups with a scale and a minimum ---- */

typedef struct affine {
    int n_groups, max_code, max_scale; /* max_scale: of the groups' scale and min codes */
    ssw_quant_parts p;
} affine;

static void read_affine(const ssw_quant_parts *p, int n_groups, float *out)
{
    float d = ssw_half_from_f16(p->d), dmin = ssw_half_from_f16(p->dmin);
    int group = BLOCK / n_groups;
    for (int i = 0; i < BLOCK; i++) {
        float scale = d * (float)p->scales[i / group], min = dmin * (float)p->mins[i / group];
        out[i] = scale * (float)p->codes[i] - min;
    }
}

/* Codes for n values that are not negative: value ~ the returned F16 times code. */
static uint16_t round_steps(const float *values, int n, int max_code, uint8_t *codes)
{
    float max = ssw_quant_find_extreme(values, n), inverse = max > 0 ? (float)max_code / max : 0;
    for (int g = 0; g < n; g++)
        codes[g] = (uint8_t)ssw_search_round(values[g] * inverse, 0, (float)max_code);
    return ssw_half_to_f16(max / (float)max_code);
}

static void write_affine(affine *a, const float *values)
{
    float scales[GROUPS_MAX], mins[GROUPS_MAX];
    int group = BLOCK / a->n_groups;
    ssw_quant_parts *p = &a->p;
    for (int g = 0; g < a->n_groups; g++)
        scales[g] = ssw_search_affine(values + g * group, group, a->max_code, &mins[g]);
    p->d = round_steps(scales, a->n_groups, a->max_scale, (uint8_t *)p->scales);
    p->dmin = round_steps(mins, a->n_groups, a->max_scale, p->mins);
    float d = ssw_half_from_f16(p->d), dmin = ssw_half_from_f16(p->dmin);
    for (int i = 0; i < BLOCK; i++) { /* once more, with the scales as they will be read */
        float scale = d * (float)p->scales[i / group], min = dmin * (float)p->mins[i / group];
        p->codes[i] =
            scale > 0 ? (uint8_t)ssw_search_round((values[i] + min) / scale, 0, (float)a->max_code) : 0;
    }
}

/* Eight scales and eight minima of 6 bits in 12 bytes: those of groups 0-3 in the low bits of bytes 0-3 and
 * 4-7; of groups 4-7 the low halves share bytes 8-11, and the two top bits are the top bits of bytes 0-7. */
static void unpack_six_bits(const uint8_t *bytes, int8_t *scales, uint8_t *mins)
{
    for (int g = 0; g < 4; g++) {
        scales[g] = bytes[g] & 63;
        mins[g] = bytes[g + 4] & 63;
        scales[g + 4] = (int8_t)((bytes[g + 8] & 15) | ((bytes[g] >> 6) << 4));
        mins[g + 4] = (uint8_t)((bytes[g + 8] >> 4) | ((bytes[g + 4] >> 6) << 4));
    }
}

static void pack_six_bits(const int8_t *scales, const uint8_t *mins, uint8_t *bytes)
{
    for (int g = 0; g < 4; g++) {
        bytes[g] = (uint8_t)(scales[g] | ((scales[g + 4] >> 4) << 6));
        bytes[g + 4] = (uint8_t)(mins[g] | ((mins[g + 4] >> 4) << 6));
        bytes[g + 8] = (uint8_t)((scales[g + 4] & 15) | ((mins[g + 4] & 15) << 4));
    }
}

void ssw_quant_split_q2_k(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block + Q2_D);
    parts->dmin = ssw_quant_load_u16(block + Q2_DMIN);
    for (int g = 0; g < GROUPS_MAX; g++) {
        parts->scales[g] = block[Q2_SCALES + g] & 15;
        parts->mins[g] = block[Q2_SCALES + g] >> 4;
    }
    ssw_quant_unpack(block + Q2_CODES, 2, 32, BLOCK, parts->codes);
}

void ssw_quant_read_q2_k(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q2_k(block, &parts);
    read_affine(&parts, 16, out);
}

void ssw_quant_write_q2_k(const float *values, uint8_t *block)
{
    affine a = {.n_groups = 16, .max_code = 3, .max_scale = 15};
    write_affine(&a, values);
    for (int g = 0; g < a.n_groups; g++)
        block[Q2_SCALES + g] = (uint8_t)(a.p.scales[g] | (a.p.mins[g] << 4));
    ssw_quant_pack(a.p.codes, 2, 32, 0, BLOCK, block + Q2_CODES);
    ssw_quant_store_u16(block + Q2_D, a.p.d);
    ssw_quant_store_u16(block + Q2_DMIN, a.p.dmin);
}

void ssw_quant_split_q4_k(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block + Q45_D);
    parts->dmin = ssw_quant_load_u16(block + Q45_DMIN);
    unpack_six_bits(block + Q45_SCALES, parts->scales, parts->mins);
    ssw_quant_unpack(block + Q4_CODES, 4, 32, BLOCK, parts->codes);
}

void ssw_quant_read_q4_k(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q4_k(block, &parts);
    read_affine(&parts, 8, out);
}

void ssw_quant_write_q4_k(const float *values, uint8_t *block)
{
    affine a = {.n_groups = 8, .max_code = 15, .max_scale = 63};
    write_affine(&a, values);
    ssw_quant_store_u16(block + Q45_D, a.p.d);
    ssw_quant_store_u16(block + Q45_DMIN, a.p.dmin);
    pack_six_bits(a.p.scales, a.p.mins, block + Q45_SCALES);
    ssw_quant_pack(a.p.codes, 4, 32, 0, BLOCK, block + Q4_CODES);
}

void ssw_quant_split_q5_k(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block + Q45_D);
    parts->dmin = ssw_quant_load_u16(block + Q45_DMIN);
    unpack_six_bits(block + Q45_SCALES, parts->scales, parts->mins);
    ssw_quant_unpack(block + Q5_CODES, 4, 32, BLOCK, parts->codes);
    ssw_quant_unpack_upper(block + Q5_HIGH, 1, 32, 4, BLOCK, parts->codes);
}

void ssw_quant_read_q5_k(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q5_k(block, &parts);
    read_affine(&parts, 8, out);
}

void ssw_quant_write_q5_k(const float *values, uint8_t *block)
{
    affine a = {.n_groups = 8, .max_code = 31, .max_scale = 63};
    write_affine(&a, values);
    ssw_quant_store_u16(block + Q45_D, a.p.d);
    ssw_quant_store_u16(block + Q45_DMIN, a.p.dmin);
    pack_six_bits(a.p.scales, a.p.mins, block + Q45_SCALES);
    ssw_quant_pack(a.p.codes, 1, 32, 4, BLOCK, block + Q5_HIGH);
    ssw_quant_pack(a.p.codes, 4, 32, 0, BLOCK, block + Q5_CODES);
}

/* ---- groups of 16 with a signed scale only ---- */

typedef struct symmetric {
    int limit, scale_limit; /* codes and scales run from -limit to limit - 1; codes are kept plus limit */
    ssw_quant_parts p;
} symmetric;

static void read_symmetric(const ssw_quant_parts *p, int limit, float *out)
{
    float d = ssw_half_from_f16(p->d);
    for (int i = 0; i < BLOCK; i++)
        out[i] = d * (float)p->scales[i / 16] * (float)(p->codes[i] - limit);
}

static void write_symmetric(symmetric *s, const float *values)
{
    float scales[GROUPS_MAX];
    for (int g = 0; g < GROUPS_MAX; g++)
        scales[g] = ssw_search_symmetric(values + g * 16, 16, s->limit);
    float limit = (float)s->scale_limit, extreme = ssw_quant_find_extreme(scales, GROUPS_MAX);
    float inverse = extreme != 0 ? -limit / extreme : 0; /* the extreme itself becomes -limit */
    s->p.d = ssw_half_to_f16(-extreme / limit);
    float d = ssw_half_from_f16(s->p.d);
    for (int g = 0; g < GROUPS_MAX; g++)
        s->p.scales[g] = (int8_t)ssw_search_round(scales[g] * inverse, -limit, limit - 1);
    for (int i = 0; i < BLOCK; i++) {
        float scale = d * (float)s->p.scales[i / 16];
        float code =
            scale != 0 ? ssw_search_round(values[i] / scale, (float)-s->limit, (float)(s->limit - 1)) : 0;
        s->p.codes[i] = (uint8_t)(int)(code + (float)s->limit);
    }
}

/* Scales of 6 bits, plus 32: the low four in bytes 0-7, the high two in bytes 8-11. */
void ssw_quant_split_q3_k(const uint8_t *block, ssw_quant_parts *parts)
{
    uint8_t scales[GROUPS_MAX];
    ssw_quant_unpack(block + Q3_SCALES, 4, 8, GROUPS_MAX, scales);
    ssw_quant_unpack_upper(block + Q3_SCALES + 8, 2, 4, 4, GROUPS_MAX, scales);
    parts->d = ssw_quant_load_u16(block + Q3_D);
    for (int g = 0; g < GROUPS_MAX; g++)
        parts->scales[g] = (int8_t)(scales[g] - 32);
    ssw_quant_unpack(block + Q3_CODES, 2, 32, BLOCK, parts->codes);
    ssw_quant_unpack_upper(block + Q3_HIGH, 1, 32, 2, BLOCK, parts->codes);
}

void ssw_quant_read_q3_k(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q3_k(block, &parts);
    read_symmetric(&parts, 4, out);
}

void ssw_quant_write_q3_k(const float *values, uint8_t *block)
{
    symmetric s = {.limit = 4, .scale_limit = 32};
    uint8_t scales[GROUPS_MAX];
    write_symmetric(&s, values);
    for (int g = 0; g < GROUPS_MAX; g++)
        scales[g] = (uint8_t)(s.p.scales[g] + 32);
    ssw_quant_pack(scales, 4, 8, 0, GROUPS_MAX, block + Q3_SCALES);
    ssw_quant_pack(scales, 2, 4, 4, GROUPS_MAX, block + Q3_SCALES + 8);
    ssw_quant_pack(s.p.codes, 1, 32, 2, BLOCK, block + Q3_HIGH);
    ssw_quant_pack(s.p.codes, 2, 32, 0, BLOCK, block + Q3_CODES);
    ssw_quant_store_u16(block + Q3_D, s.p.d);
}

void ssw_quant_split_q6_k(const uint8_t *block, ssw_quant_parts *parts)
{
    parts->d = ssw_quant_load_u16(block + Q6_D);
    memcpy(parts->scales, block + Q6_SCALES, GROUPS_MAX);
    ssw_quant_unpack(block + Q6_LOW, 4, 64, BLOCK, parts->codes);
    ssw_quant_unpack_upper(block + Q6_HIGH, 2, 32, 4, BLOCK, parts->codes);
}

void ssw_quant_read_q6_k(const uint8_t *block, float *out)
{
    ssw_quant_parts parts;
    ssw_quant_split_q6_k(block, &parts);
    read_symmetric(&parts, 32, out);
}

void ssw_quant_write_q6_k(const float *values, uint8_t *block)
{
    symmetric s = {.limit = 32, .scale_limit = 128};
    write_symmetric(&s, values);
    ssw_quant_pack(s.p.codes, 4, 64, 0, BLOCK, block + Q6_LOW);
    ssw_quant_pack(s.p.codes, 2, 32, 4, BLOCK, block + Q6_HIGH);
    memcpy(block + Q6_SCALES, s.p.scales, GROUPS_MAX);
    ssw_quant_store_u16(block + Q6_D, s.p.d);
}
