/* Two one-sided t tests. */
#include "bench/stats/equivalence.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

static double one_sided_p(double distance, double standard_error, double df)
{
    if (standard_error > 0)
        return gsl_cdf_tdist_Q(distance / standard_error, df);
    return distance > 0 ? 0 : distance < 0 ? 1 : 0.5;
}

void ssw_stats_equivalence(const double *differences, size_t n, double margin, ssw_equivalence *out)
{
    *out = (ssw_equivalence){.n = n,
                             .mean = NAN,
                             .sd = NAN,
                             .ci_low = NAN,
                             .ci_high = NAN,
                             .p = NAN,
                             .verdict = SSW_EQUIVALENCE_TOO_FEW};
    if (n == 0)
        return;
    out->mean = gsl_stats_mean(differences, 1, n);
    if (n < 2)
        return;
    double df = (double)(n - 1);
    out->sd = gsl_stats_sd_m(differences, 1, n, out->mean);
    double standard_error = out->sd / sqrt((double)n);
    double half = gsl_cdf_tdist_Pinv(1 - SSW_STATS_LEVEL, df) * standard_error;
    out->ci_low = out->mean - half;
    out->ci_high = out->mean + half;
    out->p = fmax(one_sided_p(out->mean + margin, standard_error, df),
                  one_sided_p(margin - out->mean, standard_error, df));
    if (out->p < SSW_STATS_LEVEL)
        out->verdict = SSW_EQUIVALENCE_SHOWN;
    else if (out->ci_low > margin || out->ci_high < -margin)
        out->verdict = SSW_EQUIVALENCE_DIFFERENT;
    else
        out->verdict = SSW_EQUIVALENCE_NOT_SHOWN;
}
