/* Simulation with a fixed seed: how often the 95 % intervals hold the truth, how often equal arms are called
 * different, and whether the detectable ratio is detected as often as it says. Bounds are three standard
 * errors of the count. */
#include "../../cmocka_all.h"
#include "../near.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "bench/stats/comparison.h"
#include "bench/stats/summary.h"

enum { RUNS = 4000, PAIRS = 12, PROMPTS = 4 };

static void assert_share(int count, double expected)
{
    double share = (double)count / RUNS;
    assert_near(share, expected, 3 * sqrt(expected * (1 - expected) / RUNS));
}

static void mean_interval_covers(void **state)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 20251001);
    int covered = 0;
    for (int run = 0; run < RUNS; run++) {
        double values[PAIRS];
        for (int i = 0; i < PAIRS; i++)
            values[i] = 217 + gsl_ran_gaussian(rng, 9);
        ssw_summary out;
        assert_int_equal(ssw_stats_summarize(values, PAIRS, &out, NULL), SSW_OK);
        covered += out.ci_low <= 217 && 217 <= out.ci_high;
    }
    gsl_rng_free(rng);
    assert_share(covered, 0.95);
}

static int runs_called_different(double true_ratio, double log_sd, int *covered)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 7);
    int different = 0;
    *covered = 0;
    for (int run = 0; run < RUNS; run++) {
        double x[PAIRS];
        for (int i = 0; i < PAIRS; i++)
            x[i] = log(true_ratio) + gsl_ran_gaussian(rng, log_sd);
        ssw_ratio out;
        ssw_stats_ratio(x, PAIRS, &out);
        *covered += out.ci_low <= true_ratio && true_ratio <= out.ci_high;
        different += ssw_stats_ratio_p(&out) <= SSW_STATS_LEVEL;
    }
    gsl_rng_free(rng);
    return different;
}

static void ratio_interval_covers(void **state)
{
    int covered;
    runs_called_different(0.7, 0.05, &covered);
    assert_share(covered, 0.95);
}

static void equal_arms_are_rarely_called_different(void **state)
{
    int covered;
    assert_share(runs_called_different(1, 0.05, &covered), 0.05);
}

static void the_detectable_ratio_is_detected(void **state)
{
    int covered;
    double detectable = ssw_stats_detectable_ratio(PAIRS, 0.1);
    assert_share(runs_called_different(detectable, 0.1, &covered), SSW_STATS_POWER);
    assert_share(runs_called_different(1 / detectable, 0.1, &covered), SSW_STATS_POWER);
}

/* Why the rule asks for block means too: when each start of a server has a speed of its own, pairs of one
 * block are not independent, and the interval over pairs alone calls equal arms different far too often. */
static void restarts_that_differ_do_not_fool_the_rule(void **state)
{
    enum { BLOCKS = PAIRS / PROMPTS };
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 11);
    int by_pair_alone = 0, by_rule = 0;
    for (int run = 0; run < RUNS; run++) {
        const ssw_compare_rules rules = {.n_blocks = BLOCKS};
        ssw_pair pairs[PAIRS];
        ssw_comparison out, *family = &out;
        for (int block = 0; block < BLOCKS; block++) {
            double restart = gsl_ran_gaussian(rng, 0.03);
            for (int i = block * PROMPTS; i < (block + 1) * PROMPTS; i++)
                pairs[i] = (ssw_pair){restart + gsl_ran_gaussian(rng, 0.01), (size_t)block, 1, false};
        }
        assert_int_equal(ssw_stats_compare(pairs, PAIRS, &rules, &out, NULL), SSW_OK);
        assert_int_equal(ssw_stats_judge_family(&family, NULL, 1, NULL), SSW_OK);
        by_pair_alone += ssw_stats_ratio_p(&out.by_pair) <= SSW_STATS_LEVEL;
        by_rule += out.verdict != SSW_VERDICT_NOT_SHOWN;
    }
    gsl_rng_free(rng);
    assert_true(by_pair_alone > RUNS / 5);
    assert_true(by_rule <= RUNS * 0.065);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_interval_covers),
        cmocka_unit_test(ratio_interval_covers),
        cmocka_unit_test(equal_arms_are_rarely_called_different),
        cmocka_unit_test(the_detectable_ratio_is_detected),
        cmocka_unit_test(restarts_that_differ_do_not_fool_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
