/* Student's t, TOST, Holm and Welch, by GSL's distributions. */
#include "bench/stats/hypothesis.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "bench/stats/summary.h"

/* P(T > (distance of the mean log-ratio above limit) / its standard error). */
static double upper_p(const ssw_ratio *ratio, double limit)
{
    double distance = log(ratio->ratio) - limit;
    if (ratio->log_sd == 0)
        return distance > 0 ? 0 : 1;
    return gsl_cdf_tdist_Q(distance / (ratio->log_sd / sqrt((double)ratio->n)), (double)ratio->df);
}

double ssw_stats_ratio_p(const ssw_ratio *ratio)
{
    if (ratio->n < 2)
        return NAN;
    ssw_ratio above = *ratio;
    above.ratio = exp(fabs(log(ratio->ratio)));
    return fmin(1, 2 * upper_p(&above, 0));
}

double ssw_stats_equivalence_p(const ssw_ratio *ratio, double margin)
{
    if (ratio->n < 2)
        return NAN;
    ssw_ratio mirrored = *ratio;
    mirrored.ratio = 1 / ratio->ratio;
    double limit = -log1p(margin);
    return fmax(upper_p(ratio, limit), upper_p(&mirrored, limit));
}

ssw_status ssw_stats_holm(const double *p, size_t n, double *adjusted, ssw_error *err)
{
    size_t *order = malloc((n + 1) * sizeof *order), n_tested = 0;
    if (!order)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tests", n);
    for (size_t i = 0; i < n; i++) {
        adjusted[i] = isnan(p[i]) ? INFINITY : p[i];
        n_tested += !isnan(p[i]);
    }
    gsl_sort_index(order, adjusted, 1, n);
    double largest = 0;
    for (size_t k = 0; k < n_tested; k++) {
        largest = fmax(largest, fmin(1, (double)(n_tested - k) * p[order[k]]));
        adjusted[order[k]] = largest;
    }
    for (size_t k = n_tested; k < n; k++)
        adjusted[order[k]] = NAN;
    free(order);
    return SSW_OK;
}

void ssw_stats_unpaired_ratio(const double *first, size_t n_first, const double *second, size_t n_second,
                              ssw_unpaired_ratio *out)
{
    *out = (ssw_unpaired_ratio){n_first, n_second, NAN, NAN, NAN, NAN};
    if (n_first == 0 || n_second == 0)
        return;
    double difference = gsl_stats_mean(second, 1, n_second) - gsl_stats_mean(first, 1, n_first);
    out->ratio = exp(difference);
    if (n_first < 2 || n_second < 2)
        return;
    double of_first = gsl_stats_variance(first, 1, n_first) / (double)n_first;
    double of_second = gsl_stats_variance(second, 1, n_second) / (double)n_second;
    double sum = of_first + of_second;
    out->df = sum > 0 ? sum * sum /
                            (of_first * of_first / (double)(n_first - 1) +
                             of_second * of_second / (double)(n_second - 1))
                      : (double)(n_first + n_second - 2);
    double half = gsl_cdf_tdist_Pinv(0.5 + SSW_STATS_CONFIDENCE / 2, out->df) * sqrt(sum);
    out->ci_low = exp(difference - half);
    out->ci_high = exp(difference + half);
}
