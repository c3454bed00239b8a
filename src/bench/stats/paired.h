/* Comparison of two arms by paired log-ratios. Pure: no clock, no I/O.
 *
 * A pair is the same prompt in the same block on both arms; x = ln(b / a). The ratio is exp(mean x), its
 * interval the exponential of Student's interval of x. Pairing removes what both arms share (the prompt, the
 * hour), and logarithms make "twice as fast" and "half as fast" the same distance from 1. */
#ifndef SSW_BENCH_STATS_PAIRED_H
#define SSW_BENCH_STATS_PAIRED_H

#include <stddef.h>

#include "base/status.h"

#define SSW_STATS_POWER 0.8
enum { SSW_STATS_NEEDED_MAX = 100000 };

typedef struct ssw_ratio {
    size_t n;               /* pairs */
    size_t df;              /* n − 1; 0 when n < 2 */
    double ratio;           /* b over a; NAN when n = 0 */
    double ci_low, ci_high; /* 95 %; NAN when n < 2 */
    double log_sd;          /* σ of the log-ratios over n − 1; NAN when n < 2 */
} ssw_ratio;

/* From log-ratios, all finite. */
void ssw_stats_ratio(const double *log_ratios, size_t n, ssw_ratio *out);

/* The same with at most df_max degrees of freedom, for a run whose length was chosen by looking at the width
 * of this interval (docs/METHOD.md, "Stopping early"); 0 means no limit. */
void ssw_stats_ratio_stopped(const double *log_ratios, size_t n, size_t df_max, ssw_ratio *out);

/* The smallest true ratio above 1 (its inverse below 1 is the same) that n pairs whose log-ratios scatter by
 * log_sd would tell from 1 in 80 runs of 100, at the two-sided 5 % level: power of the paired t test by the
 * noncentral t distribution (Cohen, 1988), solved by bisection. NAN when n < 2; INFINITY past a ratio of 1e6.
 */
double ssw_stats_detectable_ratio(size_t n, double log_sd);

/* How many values a run needs to show a true ratio in 80 runs of 100, when a first run scattered by log_sd
 * with df degrees of freedom. A scatter from few values is itself uncertain, so its upper 80 % limit is
 * planned with (Browne, 1995, "On the use of a pilot sample for sample size determination"). 0 when it cannot
 * be told, at most SSW_STATS_NEEDED_MAX. */
size_t ssw_stats_needed_values(double true_ratio, double log_sd, size_t df);

/* One mean per group: log-ratios of equal group number are averaged. groups in 0 .. n_groups - 1; out has
 * n_groups places. Groups without a value are left out. Returns how many means were written, in the order of
 * groups. */
size_t ssw_stats_group_means(const double *values, const size_t *groups, size_t n, size_t n_groups,
                             double *out);

typedef struct ssw_order_effect {
    size_t n, df;             /* df = n − 2 */
    double second_over_first; /* what running second in its block multiplies a value by; NAN when it cannot be
                                 told */
    double ci_low, ci_high;
    double ratio; /* b over a with the order effect taken out */
} ssw_order_effect;

/* order[i] = +1 when a ran before b, −1 when after. Least squares on x = δ + γ · order:
 * second_over_first = exp(γ). Needs both orders and n ≥ 3, else NAN everywhere. */
void ssw_stats_order_effect(const double *log_ratios, const double *order, size_t n, ssw_order_effect *out);

/* The largest change, up or down, that the interval does not rule out, as a factor ≥ 1; NAN when n < 2. */
double ssw_stats_largest_allowed(const ssw_ratio *ratio);

/* How far the interval reaches to either side: √(upper / lower end) − 1; NAN when n < 2. */
double ssw_stats_half_width(const ssw_ratio *ratio);

double ssw_stats_reduction_percent(double ratio); /* (1 − ratio) · 100 */
double ssw_stats_overhead_percent(double ratio,
                                  int is_a_rate); /* time(b) / time(a) − 1, in %; for a rate 1 / ratio − 1 */

#endif
