/* Means, σ and intervals against values that others computed.
 *
 * NIST: Statistical Reference Datasets, univariate summary statistics
 * (https://www.itl.nist.gov/div898/strd/), certified to 15 digits. R: R 4.2.2, the command stands beside each
 * value. */
#include "../../cmocka_all.h"
#include "../near.h"

#include <math.h>
#include <stdlib.h>

#include "bench/stats/summary.h"

static ssw_summary summary_of(const double *values, size_t n)
{
    ssw_summary out;
    assert_int_equal(ssw_stats_summarize(values, n, &out, NULL), SSW_OK);
    return out;
}

/* NumAcc datasets: a first value, then two values in turn. */
static ssw_summary alternating(double first, double even, double odd)
{
    enum { N = 1001 };
    static double values[N];
    values[0] = first;
    for (int i = 1; i < N; i++)
        values[i] = i % 2 ? even : odd;
    return summary_of(values, N);
}

static void nist_numacc(void **state)
{
    const double numacc1[] = {10000001, 10000003, 10000002};
    ssw_summary out = summary_of(numacc1, 3);
    assert_near(out.mean, 10000002, 0);
    assert_near(out.sd, 1, 0);
    assert_near(out.median, 10000002, 0);
    out = alternating(1.2, 1.1, 1.3); /* NumAcc2 */
    assert_near(out.mean, 1.2, 1e-14);
    assert_near(out.sd, 0.1, 1e-14);
    out = alternating(1000000.2, 1000000.1, 1000000.3); /* NumAcc3 */
    assert_near(out.mean, 1000000.2, 1e-9);
    assert_near(out.sd, 0.1, 1e-9); /* the inputs themselves are only good to 1e-10 in binary */
    out = alternating(10000000.2, 10000000.1, 10000000.3); /* NumAcc4 */
    assert_near(out.mean, 10000000.2, 1e-8);
    assert_near(out.sd, 0.1, 1e-8);
}

/* NIST Michelso: Michelson's 100 speeds of light, which R has as morley$Speed / 1000 + 299. */
static void nist_michelso(void **state)
{
    static const int speed[100] = {
        850,  740, 900, 1070, 930, 850, 950, 980, 980, 880, 1000, 980, 930, 650, 760, 810, 1000,
        1000, 960, 960, 960,  940, 960, 940, 880, 800, 850, 880,  900, 840, 830, 790, 810, 880,
        880,  830, 800, 790,  760, 800, 880, 880, 880, 860, 720,  720, 620, 860, 970, 950, 880,
        910,  850, 870, 840,  840, 850, 840, 840, 840, 890, 810,  810, 820, 800, 770, 760, 740,
        750,  760, 910, 920,  890, 860, 880, 720, 840, 850, 850,  780, 890, 840, 780, 810, 760,
        810,  790, 810, 820,  850, 870, 870, 810, 740, 810, 940,  950, 800, 810, 870};
    double values[100];
    for (int i = 0; i < 100; i++)
        values[i] = speed[i] / 1000.0 + 299;
    ssw_summary out = summary_of(values, 100);
    assert_near(out.mean, 299.852400000000, 1e-12); /* certified */
    assert_near(out.sd, 0.0790105478190518, 1e-12); /* certified */
    /* R: m <- morley$Speed / 1000 + 299; median(m); t.test(m)$conf.int */
    assert_near(out.median, 299.85, 1e-12);
    assert_near(out.ci_low, 299.836722593166, 1e-11);
    assert_near(out.ci_high, 299.868077406834, 1e-11);
}

/* Student's sleep data (1908). R: d <- with(sleep, extra[group == 1] - extra[group == 2]); t.test(d) */
static void student_1908(void **state)
{
    const double first[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    const double second[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    double difference[10];
    for (int i = 0; i < 10; i++)
        difference[i] = first[i] - second[i];
    ssw_summary out = summary_of(difference, 10);
    assert_near(out.mean, -1.58, 1e-14);
    assert_near(out.sd, 1.22999548327987, 1e-13);
    assert_near(out.ci_low, -2.459885763276982, 1e-12);
    assert_near(out.ci_high, -0.700114236723018, 1e-12);
}

/* R: qt(.975, c(1, 2, 3, 11, 30, 1000)) */
static void t_quantiles(void **state)
{
    assert_near(ssw_stats_t_quantile(1), 12.70620473617469, 1e-10);
    assert_near(ssw_stats_t_quantile(2), 4.30265272974946, 1e-11);
    assert_near(ssw_stats_t_quantile(3), 3.18244630528371, 1e-11);
    assert_near(ssw_stats_t_quantile(11), 2.20098516009164, 1e-11);
    assert_near(ssw_stats_t_quantile(30), 2.04227245630124, 1e-11);
    assert_near(ssw_stats_t_quantile(1000), 1.96233908082641, 1e-11);
    assert_true(isnan(ssw_stats_t_quantile(0)));
}

static void too_few_values_have_no_interval(void **state)
{
    const double values[] = {5, 1, 4, 2};
    ssw_summary out = summary_of(values, 0);
    assert_int_equal(out.n, 0);
    assert_true(isnan(out.mean) && isnan(out.sd) && isnan(out.median));
    out = summary_of(values, 1);
    assert_near(out.mean, 5, 0);
    assert_true(isnan(out.sd) && isnan(out.ci_low) && isnan(out.ci_high));
    out = summary_of(values, 4);
    assert_near(out.median, 3, 0);
    assert_near(out.min, 1, 0);
    assert_near(out.max, 5, 0);
    assert_near(values[0], 5, 0); /* the caller's order is kept: pairs depend on it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nist_numacc),
        cmocka_unit_test(nist_michelso),
        cmocka_unit_test(student_1908),
        cmocka_unit_test(t_quantiles),
        cmocka_unit_test(too_few_values_have_no_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
