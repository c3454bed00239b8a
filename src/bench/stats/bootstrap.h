/* BCa bootstrap intervals (Efron, 1987; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
 * chapter 14). Pure: the resamples come from the seed (GSL's mt19937), so the same data give the same
 * interval.
 *
 * They assume independent values, as Student's interval does, but no normal distribution: a second opinion
 * beside the t interval, which decides. */
#ifndef SSW_BENCH_STATS_BOOTSTRAP_H
#define SSW_BENCH_STATS_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SSW_BOOTSTRAP_VALUES_MIN = 5, SSW_BOOTSTRAP_RESAMPLES = 2000, SSW_BOOTSTRAP_RESAMPLES_MAX = 1 << 20 };

typedef struct ssw_bca {
    size_t n;
    double ci_low, ci_high; /* NAN when n < SSW_BOOTSTRAP_VALUES_MIN, or where all values are equal */
    double bias;            /* z0: Φ⁻¹ of the share of resamples below the estimate */
    double acceleration;    /* a: from the jackknife */
} ssw_bca;

typedef double ssw_statistic(const double *values, size_t n);

typedef struct ssw_bootstrap {
    ssw_statistic *statistic; /* NULL: the mean */
    double confidence;        /* 0.95 for a 95 % interval */
    int n_resamples;          /* 1 to SSW_BOOTSTRAP_RESAMPLES_MAX */
    uint64_t seed;
} ssw_bootstrap;

/* SSW_ERR_NOMEM for the resamples. */
ssw_status ssw_stats_bca(const ssw_bootstrap *bootstrap, const double *values, size_t n, ssw_bca *out,
                         ssw_error *err);

#endif
