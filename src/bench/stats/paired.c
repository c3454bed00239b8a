/* Paired log-ratios: interval, smallest detectable effect, order effect, how many values a run needs. */
#include "bench/stats/paired.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "bench/stats/summary.h"

enum { POWER_STEPS = 400, BISECTIONS = 40 };
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

/* GSL's inverse gives up at some large df, where Wilson and Hilferty's (1931) is good to 1 part in 10⁴. */
static double chi_square_quantile(double p, double df)
{
    if (df < 100)
        return gsl_cdf_chisq_Pinv(p, df);
    double spread = 2 / (9 * df);
    return df * pow(1 - spread + gsl_cdf_ugaussian_Pinv(p) * sqrt(spread), 3);
}

double ssw_stats_detectable_ratio(size_t n, double log_sd)
{
    if (n < 2 || !isfinite(log_sd))
        return NAN;
    double df = (double)(n - 1), root_v[POWER_STEPS];
    for (int i = 0; i < POWER_STEPS; i++)
        root_v[i] = sqrt(chi_square_quantile((i + 0.5) / POWER_STEPS, df) / df);
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

size_t ssw_stats_needed_values(double true_ratio, double log_sd, size_t df)
{
    double wanted = exp(fabs(log(true_ratio)));
    if (df == 0 || !isfinite(log_sd) || !(wanted > 1))
        return 0;
    double upper_sd = log_sd * sqrt((double)df / chi_square_quantile(1 - SSW_STATS_POWER, (double)df));
    /* The normal distribution's answer is a few values too low: count on from there. */
    double z =
        gsl_cdf_ugaussian_Pinv(0.5 + SSW_STATS_CONFIDENCE / 2) + gsl_cdf_ugaussian_Pinv(SSW_STATS_POWER);
    double enough = pow(z * upper_sd / log(wanted), 2);
    if (enough >= SSW_STATS_NEEDED_MAX)
        return SSW_STATS_NEEDED_MAX;
    size_t n = enough < 2 ? 2 : (size_t)enough;
    while (n < SSW_STATS_NEEDED_MAX && ssw_stats_detectable_ratio(n, upper_sd) > wanted)
        n++;
    return n;
}

void ssw_stats_ratio(const double *log_ratios, size_t n, ssw_ratio *out)
{
    ssw_stats_ratio_stopped(log_ratios, n, 0, out);
}

void ssw_stats_ratio_stopped(const double *log_ratios, size_t n, size_t df_max, ssw_ratio *out)
{
    size_t df = n ? n - 1 : 0;
    if (df_max && df > df_max)
        df = df_max;
    *out = (ssw_ratio){n, df, NAN, NAN, NAN, NAN};
    if (n == 0)
        return;
    double mean = gsl_stats_mean(log_ratios, 1, n);
    out->ratio = exp(mean);
    if (n < 2)
        return;
    out->log_sd = gsl_stats_sd_m(log_ratios, 1, n, mean);
    double half = ssw_stats_t_quantile(df) * out->log_sd / sqrt((double)n);
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

double ssw_stats_largest_allowed(const ssw_ratio *ratio)
{
    return ratio->n < 2 ? NAN : fmax(ratio->ci_high, 1 / ratio->ci_low);
}

double ssw_stats_half_width(const ssw_ratio *ratio)
{
    return ratio->n < 2 ? NAN : sqrt(ratio->ci_high / ratio->ci_low) - 1;
}

double ssw_stats_reduction_percent(double ratio)
{
    return (1 - ratio) * 100;
}

double ssw_stats_overhead_percent(double ratio, int is_a_rate)
{
    return ((is_a_rate ? 1 / ratio : ratio) - 1) * 100;
}
