/* Paired log-ratios: interval, smallest detectable effect, order effect, verdict. */
#include "bench/stats/paired.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "bench/stats/summary.h"

enum { POWER_STEPS = 400, BISECTIONS = 60 };
static const double LOG_RATIO_MAX = 13.815510557964274; /* ln 1e6 */

/* P(T > t_limit) for a noncentral T: the mean of P(Z > t_limit · √(v / df) − shift) over v ~ χ²(df), taken at
 * the middle of POWER_STEPS slices of equal probability. */
static double power_of(double shift, double t_limit, const double *root_v)
{
    double sum = 0;
    for (int i = 0; i < POWER_STEPS; i++)
        sum += gsl_cdf_ugaussian_Q(t_limit * root_v[i] - shift);
    return sum / POWER_STEPS;
}

double ssw_stats_detectable_ratio(size_t n, double log_sd)
{
    if (n < 2 || !isfinite(log_sd))
        return NAN;
    double df = (double)(n - 1), root_v[POWER_STEPS];
    for (int i = 0; i < POWER_STEPS; i++)
        root_v[i] = sqrt(gsl_cdf_chisq_Pinv((i + 0.5) / POWER_STEPS, df) / df);
    double t_limit = ssw_stats_t_quantile(n - 1), low = 0, high = 100;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        if (power_of(middle, t_limit, root_v) < SSW_STATS_POWER)
            low = middle;
        else
            high = middle;
    }
    double log_ratio = high * log_sd / sqrt((double)n);
    return log_ratio > LOG_RATIO_MAX ? INFINITY : exp(log_ratio);
}

void ssw_stats_ratio(const double *log_ratios, size_t n, ssw_ratio *out)
{
    *out = (ssw_ratio){n, n ? n - 1 : 0, NAN, NAN, NAN, NAN};
    if (n == 0)
        return;
    double mean = gsl_stats_mean(log_ratios, 1, n);
    out->ratio = exp(mean);
    if (n < 2)
        return;
    out->log_sd = gsl_stats_sd_m(log_ratios, 1, n, mean);
    double half = ssw_stats_t_quantile(n - 1) * out->log_sd / sqrt((double)n);
    out->ci_low = exp(mean - half);
    out->ci_high = exp(mean + half);
}

size_t ssw_stats_group_means(const double *values, const size_t *groups, size_t n, size_t n_groups,
                             double *out)
{
    size_t n_means = 0;
    for (size_t group = 0; group < n_groups; group++) {
        double sum = 0;
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            if (groups[i] != group)
                continue;
            sum += values[i];
            count++;
        }
        if (count)
            out[n_means++] = sum / (double)count;
    }
    return n_means;
}

void ssw_stats_order_effect(const double *log_ratios, const double *order, size_t n, ssw_order_effect *out)
{
    *out = (ssw_order_effect){n, n > 2 ? n - 2 : 0, NAN, NAN, NAN, NAN};
    size_t n_before = 0;
    for (size_t i = 0; i < n; i++)
        n_before += order[i] > 0;
    if (n < 3 || n_before == 0 || n_before == n)
        return;
    double intercept, slope, cov00, cov01, cov11, sum_squares;
    gsl_fit_linear(order, 1, log_ratios, 1, n, &intercept, &slope, &cov00, &cov01, &cov11, &sum_squares);
    double half = ssw_stats_t_quantile(n - 2) * sqrt(cov11);
    out->second_over_first = exp(slope);
    out->ci_low = exp(slope - half);
    out->ci_high = exp(slope + half);
    out->ratio = exp(intercept);
}

ssw_verdict ssw_stats_judge(const ssw_ratio *by_pair, const ssw_ratio *by_block, const ssw_ratio *same)
{
    if (by_pair->n < 2)
        return SSW_VERDICT_TOO_FEW;
    double low = by_pair->ci_low, high = by_pair->ci_high;
    if (by_block && by_block->n >= 2) {
        low = fmin(low, by_block->ci_low);
        high = fmax(high, by_block->ci_high);
    }
    if (same && same->n >= 2 && by_pair->ratio >= same->ci_low && by_pair->ratio <= same->ci_high)
        return SSW_VERDICT_NOT_SHOWN;
    if (low > 1)
        return SSW_VERDICT_HIGHER;
    if (high < 1)
        return SSW_VERDICT_LOWER;
    return SSW_VERDICT_NOT_SHOWN;
}

double ssw_stats_largest_allowed(const ssw_ratio *ratio)
{
    return ratio->n < 2 ? NAN : fmax(ratio->ci_high, 1 / ratio->ci_low);
}

double ssw_stats_reduction_percent(double ratio)
{
    return (1 - ratio) * 100;
}

double ssw_stats_overhead_percent(double ratio, int is_a_rate)
{
    return ((is_a_rate ? 1 / ratio : ratio) - 1) * 100;
}
