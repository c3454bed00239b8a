/* BCa: percentiles of the resampled statistic, moved by its bias and by how its spread changes with its
 * value. */
#include "bench/stats/bootstrap.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

static double mean_of(const double *values, size_t n)
{
    return gsl_stats_mean(values, 1, n);
}

/* Efron and Tibshirani (14.15); rest has room for n − 1 values, left_out for n. */
static double find_acceleration(ssw_statistic *statistic, const double *values, size_t n, double *rest,
                                double *left_out)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_rest = 0;
        for (size_t k = 0; k < n; k++) {
            if (k != i)
                rest[n_rest++] = values[k];
        }
        left_out[i] = statistic(rest, n_rest);
    }
    double mean = mean_of(left_out, n), squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = mean - left_out[i];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : NAN;
}

/* The p quantile of sorted replicates at place (n + 1) · p, between neighbours in proportion. */
static double quantile(const double *sorted, size_t n, double p)
{
    double place = (double)(n + 1) * p;
    if (place <= 1)
        return sorted[0];
    if (place >= (double)n)
        return sorted[n - 1];
    size_t below = (size_t)place;
    return sorted[below - 1] + (place - (double)below) * (sorted[below] - sorted[below - 1]);
}

static double moved(const ssw_bca *bca, double z)
{
    double sum = bca->bias + z;
    return gsl_cdf_ugaussian_P(bca->bias + sum / (1 - bca->acceleration * sum));
}

static void resample(ssw_statistic *statistic, const double *values, size_t n, gsl_rng *rng, double *drawn,
                     double *replicates, size_t n_replicates)
{
    for (size_t i = 0; i < n_replicates; i++) {
        for (size_t k = 0; k < n; k++)
            drawn[k] = values[gsl_rng_uniform_int(rng, n)];
        replicates[i] = statistic(drawn, n);
    }
}

ssw_status ssw_stats_bca(const ssw_bootstrap *bootstrap, const double *values, size_t n, ssw_bca *out,
                         ssw_error *err)
{
    size_t n_replicates = (size_t)bootstrap->n_resamples;
    ssw_statistic *statistic = bootstrap->statistic ? bootstrap->statistic : mean_of;
    *out = (ssw_bca){n, NAN, NAN, NAN, NAN};
    if (n < SSW_BOOTSTRAP_VALUES_MIN)
        return SSW_OK;
    ssw_status status = SSW_OK;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    double *scratch = calloc(2 * n + n_replicates, sizeof *scratch);
    if (!rng || !scratch) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu resamples", n_replicates);
        goto cleanup;
    }
    double *replicates = scratch + 2 * n, estimate = statistic(values, n);
    out->acceleration = find_acceleration(statistic, values, n, scratch, scratch + n);
    gsl_rng_set(rng, (unsigned long)bootstrap->seed);
    resample(statistic, values, n, rng, scratch, replicates, n_replicates);
    size_t n_below = 0, n_equal = 0;
    for (size_t i = 0; i < n_replicates; i++) {
        n_below += replicates[i] < estimate;
        n_equal += replicates[i] == estimate;
    }
    double share = ((double)n_below + (double)n_equal / 2) / (double)n_replicates;
    if (!isfinite(out->acceleration) || share <= 0 || share >= 1)
        goto cleanup;
    out->bias = gsl_cdf_ugaussian_Pinv(share);
    gsl_sort(replicates, 1, n_replicates);
    double z = gsl_cdf_ugaussian_Pinv(0.5 + bootstrap->confidence / 2);
    out->ci_low = quantile(replicates, n_replicates, moved(out, -z));
    out->ci_high = quantile(replicates, n_replicates, moved(out, z));
cleanup:
    free(scratch);
    if (rng)
        gsl_rng_free(rng);
    return status;
}
