/* BCa intervals against published figures and against R 4.2.2's package boot 1.3-28.1 (by its own authors).
 */
#include "../../cmocka_all.h"
#include "../near.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "bench/stats/bootstrap.h"

/* The spatial test, children's score A: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993),
 * table 14.1. */
static const double spatial[26] = {48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6,
                                   0,  33, 28, 34, 4,  32, 24, 47, 41, 24, 26, 30, 41};
/* Hours between failures of an aircraft's air conditioning (Proschan, 1963): boot's data set aircondit. */
static const double aircondit[12] = {3, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487};

/* Over n, as in the book. */
static double variance(const double *values, size_t n)
{
    return gsl_stats_variance(values, 1, n) * (double)(n - 1) / (double)n;
}

/* The book, section 14.3: the variance is 171.5, its 90 % BCa interval from 2,000 resamples (115.8, 259.6),
 * the acceleration 0.061, the bias 0.146. R with 200,000 resamples: (115.763, 261.457), 0.0612401198123075
 * and 0.1773: v <- function(x) mean((x - mean(x))^2); set.seed(1); b <- boot(spatial, function(x, i) v(x[i]),
 * R = 200000) L <- sapply(1:26, function(i) 25 * (v(spatial) - v(spatial[-i]))) boot.ci(b, conf = .9, type =
 * "bca", L = L); qnorm(mean(b$t < b$t0)) */
static void published_example(void **state)
{
    const ssw_bootstrap book = {variance, 0.90, 200000, 1};
    ssw_bca out;
    assert_near(variance(spatial, 26), 171.5, 0.05);
    assert_int_equal(ssw_stats_bca(&book, spatial, 26, &out, NULL), SSW_OK);
    assert_near(out.acceleration, 0.0612401198123075, 1e-12);
    assert_near(out.bias, 0.1773, 0.01);
    assert_near(out.ci_low, 115.8, 0.5);
    assert_near(out.ci_high, 261.457, 1);
    const ssw_bootstrap few = {variance, 0.90, 2000, 1};
    assert_int_equal(ssw_stats_bca(&few, spatial, 26, &out, NULL), SSW_OK);
    assert_near(out.ci_low, 115.8, 4);
    assert_near(out.ci_high, 259.6, 8);
}

/* R: b <- boot(aircondit$hours, function(x, i) mean(x[i]), R = 200000)
 *    boot.ci(b, type = "bca", L = sapply(1:12, function(i) 11 * (mean(x) - mean(x[-i])))), x the hours:
 *    (57.000, 225.833) with set.seed(1), (57.000, 225.566) with set.seed(2). Far from symmetric about 108.1.
 */
static void skewed_mean(void **state)
{
    const ssw_bootstrap bootstrap = {NULL, 0.95, 200000, 3};
    ssw_bca out;
    assert_int_equal(ssw_stats_bca(&bootstrap, aircondit, 12, &out, NULL), SSW_OK);
    assert_near(out.acceleration, 0.0937980738838676, 1e-12);
    assert_near(out.ci_low, 57.0, 0.5);
    assert_near(out.ci_high, 225.7, 2);
}

static void the_seed_decides(void **state)
{
    ssw_bootstrap bootstrap = {NULL, 0.95, 2000, 3};
    ssw_bca first, again, other;
    ssw_stats_bca(&bootstrap, aircondit, 12, &first, NULL);
    ssw_stats_bca(&bootstrap, aircondit, 12, &again, NULL);
    bootstrap.seed = 4;
    ssw_stats_bca(&bootstrap, aircondit, 12, &other, NULL);
    assert_true(first.ci_low == again.ci_low && first.ci_high == again.ci_high);
    assert_true(first.ci_high != other.ci_high);
}

static void no_interval_from_too_little(void **state)
{
    const ssw_bootstrap bootstrap = {NULL, 0.95, 2000, 3};
    const double equal[6] = {2, 2, 2, 2, 2, 2};
    ssw_bca out;
    assert_int_equal(ssw_stats_bca(&bootstrap, aircondit, 4, &out, NULL), SSW_OK);
    assert_true(isnan(out.ci_low) && isnan(out.ci_high));
    assert_int_equal(ssw_stats_bca(&bootstrap, equal, 6, &out, NULL), SSW_OK);
    assert_true(isnan(out.ci_low) && isnan(out.ci_high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_example),
        cmocka_unit_test(skewed_mean),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(no_interval_from_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
