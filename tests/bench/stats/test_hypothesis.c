/* p values, TOST, Holm and Welch against R 4.2.2; the command stands beside each value. */
#include "../../cmocka_all.h"
#include "../near.h"

#include <math.h>

#include "bench/stats/comparison.h"

/* R: q <- log(c(1.01, 0.99, 1.02, 1.0, 0.985, 1.012)) */
static const double changes[6] = {1.01, 0.99, 1.02, 1.0, 0.985, 1.012};

static ssw_ratio ratio_of_changes(void)
{
    double logs[6];
    ssw_ratio ratio;
    for (int i = 0; i < 6; i++)
        logs[i] = log(changes[i]);
    ssw_stats_ratio(logs, 6, &ratio);
    return ratio;
}

/* R: t.test(q)$p.value; m <- log(1.03); max(t.test(q, mu = -m, alternative = "greater")$p.value,
 *    t.test(q, mu = m, alternative = "less")$p.value) */
static void p_and_equivalence(void **state)
{
    ssw_ratio ratio = ratio_of_changes();
    assert_near(ssw_stats_ratio_p(&ratio), 0.639727543588444, 1e-12);
    assert_near(ssw_stats_equivalence_p(&ratio, 0.03), 0.00234220864087288, 1e-12);
    ratio.ratio = 1 / ratio.ratio; /* the mirror image is as far from 1 */
    assert_near(ssw_stats_ratio_p(&ratio), 0.639727543588444, 1e-12);
    assert_near(ssw_stats_equivalence_p(&ratio, 0.03), 0.00234220864087288, 1e-12);
    ratio.n = 1;
    assert_true(isnan(ssw_stats_ratio_p(&ratio)) && isnan(ssw_stats_equivalence_p(&ratio, 0.03)));
}

static void without_scatter(void **state)
{
    ssw_ratio ratio = {.n = 3, .df = 2, .ratio = 1, .log_sd = 0};
    assert_near(ssw_stats_ratio_p(&ratio), 1, 0);
    ratio.ratio = 0.9;
    assert_near(ssw_stats_ratio_p(&ratio), 0, 0);
    assert_near(ssw_stats_equivalence_p(&ratio, 0.02), 1, 0);
    assert_near(ssw_stats_equivalence_p(&ratio, 0.2), 0, 0);
}

/* R: p.adjust(c(.01, .04, .03, .005, .5), "holm"); a NAN between them is no test */
static void holm(void **state)
{
    const double p[6] = {0.01, 0.04, 0.03, NAN, 0.005, 0.5};
    const double expected[6] = {0.04, 0.09, 0.09, NAN, 0.025, 0.5};
    double adjusted[6];
    assert_int_equal(ssw_stats_holm(p, 6, adjusted, NULL), SSW_OK);
    for (int i = 0; i < 6; i++) {
        if (isnan(expected[i]))
            assert_true(isnan(adjusted[i]));
        else
            assert_near(adjusted[i], expected[i], 1e-15);
    }
}

/* R: x <- log(c(40.1, 41.3, 39.8, 40.6)); y <- log(c(38.9, 38.2, 39.4, 37.7, 38.8)); tt <- t.test(y, x)
 *    exp(mean(y) - mean(x)); exp(tt$conf.int); tt$parameter */
static void welch(void **state)
{
    const double x[4] = {log(40.1), log(41.3), log(39.8), log(40.6)};
    const double y[5] = {log(38.9), log(38.2), log(39.4), log(37.7), log(38.8)};
    ssw_unpaired_ratio out;
    ssw_stats_unpaired_ratio(x, 4, y, 5, &out);
    assert_near(out.ratio, 0.954246487209154, 1e-13);
    assert_near(out.ci_low, 0.929253389018977, 1e-12);
    assert_near(out.ci_high, 0.979911797052820, 1e-12);
    assert_near(out.df, 6.73315567230066, 1e-10);
    ssw_stats_unpaired_ratio(x, 1, y, 5, &out);
    assert_true(isfinite(out.ratio) && isnan(out.ci_low));
}

static ssw_comparison comparison(double ratio, size_t n, double log_sd)
{
    ssw_pair pairs[64];
    ssw_comparison out;
    const ssw_compare_rules rules = {.n_blocks = n, .equivalence_margin = 0.02, .seed = 1};
    for (size_t i = 0; i < n; i++)
        pairs[i] = (ssw_pair){log(ratio) + (i % 2 ? log_sd : -log_sd), i, i % 2 ? 1 : -1, false};
    assert_int_equal(ssw_stats_compare(pairs, n, &rules, &out, NULL), SSW_OK);
    return out;
}

static ssw_verdict verdict_of(ssw_comparison *one, double noise_floor)
{
    assert_int_equal(ssw_stats_judge_family(&one, &noise_floor, 1, NULL), SSW_OK);
    return one->verdict;
}

/* Twelve pairs of one block agree, but they share a start of each server. */
static void one_block_gives_no_verdict(void **state)
{
    (void)state;
    ssw_pair pairs[12];
    ssw_comparison out;
    const ssw_compare_rules blocked = {.n_blocks = 1}, sequential = {.n_blocks = 0};
    for (size_t i = 0; i < 12; i++)
        pairs[i] = (ssw_pair){log(0.5) + (i % 2 ? 0.01 : -0.01), 0, 1, false};
    assert_int_equal(ssw_stats_compare(pairs, 12, &blocked, &out, NULL), SSW_OK);
    assert_int_equal(verdict_of(&out, NAN), SSW_VERDICT_TOO_FEW);
    assert_int_equal(ssw_stats_compare(pairs, 12, &sequential, &out, NULL), SSW_OK);
    assert_int_equal(verdict_of(&out, NAN), SSW_VERDICT_LOWER);
}

static void verdicts(void **state)
{
    ssw_comparison lower = comparison(0.7, 12, 0.02), higher = comparison(1.3, 12, 0.02);
    ssw_comparison noisy = comparison(1.01, 12, 0.05), single = comparison(0.7, 1, 0.02);
    ssw_comparison equal = comparison(1.001, 12, 0.005);
    assert_int_equal(verdict_of(&lower, NAN), SSW_VERDICT_LOWER);
    assert_int_equal(verdict_of(&higher, NAN), SSW_VERDICT_HIGHER);
    assert_int_equal(verdict_of(&noisy, NAN), SSW_VERDICT_NOT_SHOWN);
    assert_false(noisy.equivalent);
    assert_int_equal(verdict_of(&single, NAN), SSW_VERDICT_TOO_FEW);
    assert_int_equal(verdict_of(&equal, NAN), SSW_VERDICT_NOT_SHOWN);
    assert_true(equal.equivalent); /* a margin was declared: now the absence of a difference is shown */
    assert_int_equal(verdict_of(&higher, 1.29), SSW_VERDICT_HIGHER);
    assert_int_equal(verdict_of(&higher, 1.31), SSW_VERDICT_NOT_SHOWN);
    assert_int_equal(verdict_of(&lower, 1.42), SSW_VERDICT_LOWER);
    assert_int_equal(verdict_of(&lower, 1.43), SSW_VERDICT_NOT_SHOWN);
}

/* Server starts that differ: pairs inside a block agree, blocks do not. */
static void blocks_speak_against_pairs(void **state)
{
    static const double block_means[3] = {0.02, 0.11, 0.05};
    ssw_pair pairs[12];
    ssw_comparison out;
    const ssw_compare_rules rules = {.n_blocks = 3, .thorough = true, .seed = 1};
    for (size_t i = 0; i < 12; i++)
        pairs[i] = (ssw_pair){block_means[i / 4] + (i % 2 ? 0.001 : -0.001), i / 4, 1, i == 5};
    assert_int_equal(ssw_stats_compare(pairs, 12, &rules, &out, NULL), SSW_OK);
    assert_true(out.by_pair.ci_low > 1 && out.by_block.ci_low < 1);
    assert_int_equal(out.clean.n, 11);
    assert_near(out.p, ssw_stats_ratio_p(&out.by_block), 0);
    assert_near(out.detectable, ssw_stats_detectable_ratio(3, out.by_block.log_sd), 0);
    assert_int_equal(verdict_of(&out, NAN), SSW_VERDICT_NOT_SHOWN);
}

static void many_at_once(void **state)
{
    ssw_comparison parts[20], *family[20];
    for (int i = 0; i < 20; i++) {
        parts[i] = comparison(i == 0 ? 1.03 : 1.0, 6, 0.025); /* alone, the first would pass */
        family[i] = &parts[i];
    }
    assert_true(parts[0].p < 0.05);
    assert_int_equal(ssw_stats_judge_family(family, NULL, 20, NULL), SSW_OK);
    assert_int_equal(parts[0].verdict, SSW_VERDICT_NOT_SHOWN);
    assert_near(parts[0].p_holm, 20 * parts[0].p, 1e-12);
    assert_int_equal(verdict_of(&parts[0], NAN), SSW_VERDICT_HIGHER);
}

static void noise_floor(void **state)
{
    ssw_comparison same = comparison(1.001, 12, 0.02), apart = comparison(1.1, 12, 0.02),
                   single = comparison(1, 1, 0);
    double half = (log(same.by_pair.ci_high) - log(same.by_pair.ci_low)) / 2;
    assert_near(log(ssw_stats_noise_floor(&same)), half, 1e-12);
    assert_near(ssw_stats_noise_floor(&apart), apart.by_pair.ci_high, 1e-12);
    assert_true(isnan(ssw_stats_noise_floor(&single)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_and_equivalence),
        cmocka_unit_test(without_scatter),
        cmocka_unit_test(holm),
        cmocka_unit_test(welch),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(one_block_gives_no_verdict),
        cmocka_unit_test(blocks_speak_against_pairs),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(noise_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
