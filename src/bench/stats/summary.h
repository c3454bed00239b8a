/* Mean, spread and interval of one group of numbers. Pure: no clock, no I/O.
 *
 * The interval is Student's (1908): mean ± t(0.975, n − 1) · σ / √n, with σ over n − 1. It assumes values
 * that are independent and not far from normal; docs/METHOD.md says what that means for a bench. */
#ifndef SSW_BENCH_STATS_SUMMARY_H
#define SSW_BENCH_STATS_SUMMARY_H

#include <stddef.h>

#include "base/status.h"

#define SSW_STATS_CONFIDENCE 0.95

typedef struct ssw_summary {
    size_t n;
    double mean, median, min, max; /* NAN when n = 0 */
    double sd;                     /* σ over n − 1; NAN when n < 2 */
    double ci_low, ci_high;        /* 95 %; NAN when n < 2 */
} ssw_summary;

/* Every value must be finite. n = 0 gives an empty summary. SSW_ERR_NOMEM for the copy that the median needs.
 */
ssw_status ssw_stats_summarize(const double *values, size_t n, ssw_summary *out, ssw_error *err);

/* t for a two-sided 95 % interval with df degrees of freedom; NAN when df = 0. */
double ssw_stats_t_quantile(size_t df);

#endif
