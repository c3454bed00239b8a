/* See scale_search.h. Sums run in four lanes, which compilers turn into vectors without changing a bit. */
#include "quant/scale_search.h"

#include <math.h>

#include "quant/quant_block.h"

enum { LANES = 4, SYMMETRIC_STEPS = 9, AFFINE_STEPS = 20, BOOK_STEP = 2, BOOK_REACH = 7 };

static float sum_lanes(const float lanes[LANES])
{
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static void weigh(const float *values, int n, float *weights)
{
    float squares[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++)
            squares[k] += values[i + k] * values[i + k];
    }
    float rms = sqrtf(sum_lanes(squares) / (float)n);
    for (int i = 0; i < n; i++)
        weights[i] = 2 * rms + fabsf(values[i]);
}

/* The best factor for values ~ factor * codes; *gain is by how much it lowers the weighted squared error. */
static float fit_factor(const float *values, const float *weights, const float *codes, int n, float *gain)
{
    float products[LANES] = {0}, squares[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float weighted = weights[i + k] * codes[i + k];
            products[k] += weighted * values[i + k];
            squares[k] += weighted * codes[i + k];
        }
    }
    float product = sum_lanes(products), square = sum_lanes(squares);
    float factor = square > 0 ? product / square : 0;
    *gain = factor * product;
    return factor;
}

float ssw_search_symmetric(const float *values, int n, int limit)
{
    float weights[SSW_SEARCH_GROUP_MAX], codes[SSW_SEARCH_GROUP_MAX];
    float extreme = ssw_quant_find_extreme(values, n), best_gain = 0, best = 0;
    if (fabsf(extreme) < SSW_SEARCH_TINY)
        return 0;
    weigh(values, n, weights);
    for (int step = -SYMMETRIC_STEPS; step <= SYMMETRIC_STEPS; step++) {
        float inverse = -((float)limit + 0.1f * (float)step) / extreme, gain;
        for (int i = 0; i < n; i++)
            codes[i] = ssw_search_round(values[i] * inverse, (float)-limit, (float)(limit - 1));
        float factor = fit_factor(values, weights, codes, n, &gain);
        if (gain > best_gain) {
            best_gain = gain;
            best = factor;
        }
    }
    return best;
}

/* Weighted sums of the codes: c, c*c, c*x. */
typedef struct sums {
    float weight, x, c, cc, cx;
} sums;

static void add_codes(const float *values, const float *weights, const float *codes, int n, sums *s)
{
    float c[LANES] = {0}, cc[LANES] = {0}, cx[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float weighted = weights[i + k] * codes[i + k];
            c[k] += weighted;
            cc[k] += weighted * codes[i + k];
            cx[k] += weighted * values[i + k];
        }
    }
    s->c = sum_lanes(c);
    s->cc = sum_lanes(cc);
    s->cx = sum_lanes(cx);
}

/* Least squares for x ~ scale * c - min with min >= 0; returns the gain as fit_factor does. */
static float solve_affine(const sums *s, float *scale, float *min)
{
    float determinant = s->weight * s->cc - s->c * s->c;
    *scale = determinant > 0 ? (s->weight * s->cx - s->x * s->c) / determinant : 0;
    *min = determinant > 0 ? (s->c * s->cx - s->cc * s->x) / determinant : 0;
    if (*min <= 0) {
        *min = 0;
        *scale = s->cc > 0 ? s->cx / s->cc : 0;
    }
    return *scale * s->cx - *min * s->x;
}

float ssw_search_affine(const float *values, int n, int max_code, float *min)
{
    float weights[SSW_SEARCH_GROUP_MAX], codes[SSW_SEARCH_GROUP_MAX];
    float low = 0, high = values[0], best = 0, best_gain = -INFINITY;
    sums s = {0};
    weigh(values, n, weights);
    for (int i = 0; i < n; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
        s.weight += weights[i];
        s.x += weights[i] * values[i];
    }
    *min = -low;
    if (high - low < SSW_SEARCH_TINY)
        return 0;
    for (int step = 0; step <= AFFINE_STEPS; step++) {
        float inverse = ((float)max_code + 0.1f * (float)step - 1) / (high - low), scale, offset;
        for (int i = 0; i < n; i++)
            codes[i] = ssw_search_round((values[i] - low) * inverse, 0, (float)max_code);
        add_codes(values, weights, codes, n, &s);
        float gain = solve_affine(&s, &scale, &offset);
        if (scale > 0 && gain > best_gain) {
            best_gain = gain;
            best = scale;
            *min = offset;
        }
    }
    return best;
}

uint8_t ssw_search_nearest(const int8_t book[16], float value)
{
    int low = 0; /* the last entry that is not above value, or 0 */
    for (int half = 8; half > 0; half /= 2)
        low += value >= (float)book[low + half] ? half : 0;
    if (low < 15 && (float)book[low + 1] - value < value - (float)book[low])
        low++;
    return (uint8_t)low;
}

float ssw_search_book(const float *values, int n, const int8_t book[16])
{
    float weights[SSW_SEARCH_GROUP_MAX], codes[SSW_SEARCH_GROUP_MAX];
    float extreme = ssw_quant_find_extreme(values, n), best_gain = 0, best = 0;
    if (fabsf(extreme) < SSW_SEARCH_TINY)
        return 0;
    weigh(values, n, weights);
    for (int side = 0; side < 2; side++) { /* the extreme near the book's lowest entry, or near its highest */
        float end = (float)book[side * 15];
        for (int step = -BOOK_REACH; step <= BOOK_REACH; step += BOOK_STEP) {
            float inverse = (end + (float)step) / extreme, gain;
            for (int i = 0; i < n; i++)
                codes[i] = (float)book[ssw_search_nearest(book, values[i] * inverse)];
            float factor = fit_factor(values, weights, codes, n, &gain);
            if (gain > best_gain) {
                best_gain = gain;
                best = factor;
            }
        }
    }
    return best;
}
