/* Paired ratios, detectable effects and order effects against R 4.2.2; the command stands beside each value.
 */
#include "../../cmocka_all.h"
#include "../near.h"

#include <math.h>

#include "bench/stats/paired.h"

/* R: A <- c(...); B <- c(...); r <- log(B / A) with the two rows below */
static const double arm_a[12] = {40.1, 41.3, 39.8, 40.6, 42.0, 38.9, 40.2, 41.1, 39.5, 40.0, 41.7, 40.9};
static const double arm_b[12] = {27.9, 28.8, 27.1, 28.4, 29.3, 26.5, 28.2, 28.9, 27.0, 27.7, 29.1, 28.3};

static void log_ratios(double out[12])
{
    for (int i = 0; i < 12; i++)
        out[i] = log(arm_b[i] / arm_a[i]);
}

/* R: exp(mean(r)); exp(t.test(r)$conf.int); sd(r) */
static void ratio_with_interval(void **state)
{
    double x[12];
    log_ratios(x);
    ssw_ratio ratio;
    ssw_stats_ratio(x, 12, &ratio);
    assert_int_equal(ratio.n, 12);
    assert_int_equal(ratio.df, 11);
    assert_near(ratio.ratio, 0.6935297276743683, 1e-13);
    assert_near(ratio.ci_low, 0.6886065303933889, 1e-12);
    assert_near(ratio.ci_high, 0.6984881233892829, 1e-12);
    assert_near(ratio.log_sd, 0.0112124809973167, 1e-14);
    ssw_stats_ratio(x, 1, &ratio);
    assert_near(ratio.ratio, 27.9 / 40.1, 1e-15);
    assert_true(isnan(ratio.ci_low) && isnan(ratio.log_sd));
    ssw_stats_ratio(x, 0, &ratio);
    assert_true(isnan(ratio.ratio));
}

/* R: power.t.test(n = N, sd = 0.1, power = .8, type = "paired", strict = TRUE)$delta. R's root finder stops
 * within 1.2e-4 of the answer (1 % of the last) and ours leaves out the far tail, hence 0.3 %; for N = 2 the
 * quadrature is coarser, hence 1 %. */
static void detectable_effect(void **state)
{
    static const struct {
        size_t n;
        double delta, tolerance;
    } cases[] = {{2, 1.15499580996927, 0.01},        {3, 0.326417754314257, 0.003},
                 {4, 0.212791462481759, 0.003},      {6, 0.143455849889617, 0.003},
                 {12, 0.0888396789621702, 0.003},    {24, 0.0597206459568405, 0.003},
                 {100, 0.0282978243957583, 0.003},   {400, 0.0140447224200478, 0.01},
                 {20000, 0.00200182462741206, 0.012}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double ours = log(ssw_stats_detectable_ratio(cases[i].n, 0.1));
        assert_near(ours / cases[i].delta, 1, cases[i].tolerance);
    }
    assert_true(isnan(ssw_stats_detectable_ratio(1, 0.1)));
    assert_true(isinf(ssw_stats_detectable_ratio(2, 50)));
    assert_near(ssw_stats_detectable_ratio(12, 0), 1, 0);
}

/* R: s <- c(1,1,1,1,-1,-1,-1,-1,1,1,1,1); fit <- lm(r ~ s); coef(fit); confint(fit) */
static void order_effect(void **state)
{
    static const double order[12] = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1};
    static const double all_first[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    double x[12];
    log_ratios(x);
    ssw_order_effect effect;
    ssw_stats_order_effect(x, order, 12, &effect);
    assert_int_equal(effect.df, 10);
    assert_near(log(effect.second_over_first), -0.00247528725570349, 1e-13);
    assert_near(log(effect.ci_low), -0.0103062182596834, 1e-12);
    assert_near(log(effect.ci_high), 0.00535564374827646, 1e-12);
    assert_near(log(effect.ratio), -0.36513607824502370, 1e-13);
    ssw_stats_order_effect(x, all_first, 12, &effect);
    assert_true(isnan(effect.second_over_first));
}

static void group_means(void **state)
{
    const double values[] = {1, 2, 3, 10, 20};
    const size_t groups[] = {0, 0, 0, 2, 2};
    double means[3];
    assert_int_equal(ssw_stats_group_means(values, groups, 5, 3, means), 2);
    assert_near(means[0], 2, 0);
    assert_near(means[1], 15, 0);
}

static void largest_allowed(void **state)
{
    const ssw_ratio lower = {.n = 12, .df = 11, .ratio = 0.7, .ci_low = 0.68, .ci_high = 0.72};
    const ssw_ratio higher = {.n = 3, .df = 2, .ratio = 1.3, .ci_low = 1.1, .ci_high = 1.5};
    assert_near(ssw_stats_largest_allowed(&lower), 1 / 0.68, 1e-15);
    assert_near(ssw_stats_largest_allowed(&higher), 1.5, 1e-15);
}

/* R: up <- 0.06 * sqrt(11 / qchisq(.2, 11)); ceiling(power.t.test(delta = log(1.05), sd = up, power = .8,
 * type = "paired", strict = TRUE)$n), and the same from df = 5, sd = 0.02 and log(1.03). */
static void values_that_a_run_needs(void **state)
{
    assert_int_equal(ssw_stats_needed_values(1.05, 0.06, 11), 21);
    assert_int_equal(ssw_stats_needed_values(1 / 1.05, 0.06, 11), 21);
    assert_int_equal(ssw_stats_needed_values(1.03, 0.02, 5), 10);
    assert_int_equal(ssw_stats_needed_values(1.05, 0, 5), 2);
    assert_int_equal(ssw_stats_needed_values(1.0000001, 0.5, 5), SSW_STATS_NEEDED_MAX);
    assert_in_range(ssw_stats_needed_values(1.05, 2, 3), 38000, 41000); /* the normal answer: 39,351 */
    assert_int_equal(ssw_stats_needed_values(1.05, NAN, 5), 0);
    assert_int_equal(ssw_stats_needed_values(1.05, 0.1, 0), 0);
    assert_int_equal(ssw_stats_needed_values(1, 0.1, 4), 0);
}

/* R: mean(q) -+ qt(.975, 3) * sd(q) / sqrt(6), q as in test_hypothesis.c: six values, but three degrees of
 * freedom */
static void fewer_degrees_of_freedom_after_looking(void **state)
{
    const double q[] = {0.00995033085316809,  -0.01005033585350145, 0.01980262729617973, 0,
                        -0.01511363781004818, 0.01192857086527381};
    ssw_ratio ratio;
    ssw_stats_ratio_stopped(q, 6, 3, &ratio);
    assert_int_equal(ratio.df, 3);
    assert_near(log(ratio.ci_low), -0.0148457779998246, 1e-12);
    assert_near(log(ratio.ci_high), 0.0203516297835153, 1e-12);
    ssw_stats_ratio_stopped(q, 6, 9, &ratio);
    assert_int_equal(ratio.df, 5);
}

/* The published test's own figures: 12,666 to 3,602 MiB was printed as 71.5 %, 46.88 to 6.77 tokens/s as 6.9
 * times. */
static void percentages(void **state)
{
    assert_near(ssw_stats_reduction_percent(3602.0 / 12666), 71.56, 0.005);
    assert_near(ssw_stats_overhead_percent(6.77 / 46.88, 1), 592.5, 0.05);
    assert_near(ssw_stats_overhead_percent(1499.0 / 217, 0), 590.8, 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratio_with_interval),
        cmocka_unit_test(detectable_effect),
        cmocka_unit_test(order_effect),
        cmocka_unit_test(group_means),
        cmocka_unit_test(largest_allowed),
        cmocka_unit_test(values_that_a_run_needs),
        cmocka_unit_test(fewer_degrees_of_freedom_after_looking),
        cmocka_unit_test(percentages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
