/* Tests of a ratio: against 1, against a margin, of two runs, and of many at once. Pure. */
#ifndef SSW_BENCH_STATS_HYPOTHESIS_H
#define SSW_BENCH_STATS_HYPOTHESIS_H

#include "bench/stats/paired.h"

#define SSW_STATS_LEVEL 0.05

/* The two-sided p of "the true ratio is 1", by Student's t with the ratio's own degrees of freedom; NAN when
 * n < 2. Log-ratios without any scatter give 0, or 1 where they are all 0. */
double ssw_stats_ratio_p(const ssw_ratio *ratio);

/* Two one-sided tests (Schuirmann, 1987): the p of "the true ratio lies outside 1 / (1 + margin) .. 1 +
 * margin", the larger of the two. margin: 0.02 for 2 %. */
double ssw_stats_equivalence_p(const ssw_ratio *ratio, double margin);

/* Holm (1979): adjusted[i] is the smallest level at which hypothesis i falls when all n are tested together.
 * NAN is no hypothesis and stays NAN. SSW_ERR_NOMEM for the order. */
ssw_status ssw_stats_holm(const double *p, size_t n, double *adjusted, ssw_error *err);

/* The ratio of two groups that are not paired (two runs), from logarithms: Welch's interval (1947) with
 * Satterthwaite's degrees of freedom, which need not be whole. */
typedef struct ssw_unpaired_ratio {
    size_t n_first, n_second;
    double df;
    double ratio;           /* second over first */
    double ci_low, ci_high; /* 95 %; NAN when a group has fewer than two values */
} ssw_unpaired_ratio;

void ssw_stats_unpaired_ratio(const double *first, size_t n_first, const double *second, size_t n_second,
                              ssw_unpaired_ratio *out);

#endif
