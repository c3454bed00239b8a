/* Summary of one group, by GSL. */
#include "bench/stats/summary.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double ssw_stats_t_quantile(size_t df)
{
    return df ? gsl_cdf_tdist_Pinv(0.5 + SSW_STATS_CONFIDENCE / 2, (double)df) : NAN;
}

ssw_status ssw_stats_summarize(const double *values, size_t n, ssw_summary *out, ssw_error *err)
{
    *out = (ssw_summary){n, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (n == 0)
        return SSW_OK;
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu values", n);
    memcpy(sorted, values, n * sizeof *sorted);
    gsl_sort(sorted, 1, n);
    out->min = sorted[0];
    out->max = sorted[n - 1];
    out->median = gsl_stats_median_from_sorted_data(sorted, 1, n);
    free(sorted);
    out->mean = gsl_stats_mean(values, 1, n);
    if (n < 2)
        return SSW_OK;
    out->sd = gsl_stats_sd_m(values, 1, n, out->mean);
    double half = ssw_stats_t_quantile(n - 1) * out->sd / sqrt((double)n);
    out->ci_low = out->mean - half;
    out->ci_high = out->mean + half;
    return SSW_OK;
}
