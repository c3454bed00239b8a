/* Scales that make the weighted squared error of a group of weights small. Internal to src/quant.
 *
 * For every candidate of the scale the codes are rounded, and the best real scale for these codes follows by
 * least squares; the best of all candidates wins. A weight's error counts by 2 rms + |weight|: large
 * weights are kept a little better than small ones. Pure. */
#ifndef SSW_QUANT_SCALE_SEARCH_H
#define SSW_QUANT_SCALE_SEARCH_H

#include <stdint.h>

enum { SSW_SEARCH_GROUP_MAX = 32 };

/* Below it a group counts as zeros: far less than the smallest step that F16 scales can hold. */
#define SSW_SEARCH_TINY 1e-15f

/* To the nearest integer, halves to even, then into low..high; NaN gives low. */
static inline float ssw_search_round(float value, float low, float high)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds away the fraction */
    float rounded = value + magic - magic;
    return rounded > low ? (rounded < high ? rounded : high) : low;
}

/* scale such that values[i] ~ scale * code with codes -limit .. limit - 1. Of either sign; 0 for zeros.
 * n: a multiple of 4, at most SSW_SEARCH_GROUP_MAX. */
float ssw_search_symmetric(const float *values, int n, int limit);

/* scale and *min such that values[i] ~ scale * code - *min with codes 0 .. max_code; neither is negative. */
float ssw_search_affine(const float *values, int n, int max_code, float *min);

/* scale such that values[i] ~ scale * (the nearest of book[16], increasing). */
float ssw_search_book(const float *values, int n, const int8_t book[16]);

/* The nearest of book[16] to value. */
uint8_t ssw_search_nearest(const int8_t book[16], float value);

#endif
