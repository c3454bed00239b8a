/* Stopping on the interval's width: how often the interval holds the truth when the run ended because it was
 * narrow. Simulation with fixed seeds; the figures are printed, and docs/METHOD.md quotes them.
 *
 * Looking again and again and stopping at a narrow interval favours samples whose scatter happens to be
 * small, so the usual interval then holds the truth less often than it says. The rule takes t with the
 * degrees of freedom of the first look throughout. (Stein, 1945, proves this exact where the scatter is taken
 * from the first look alone; here it is taken from all blocks, so it is counted.) */
#include "../../cmocka_all.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "bench/plan/plan.h"
#include "bench/stats/paired.h"

enum { RUNS = 4000, BLOCKS_MAX = 40 };

typedef struct tally {
    int covered, stopped;
    double blocks;
} tally;

/* df_max = 0: the usual interval, for comparison. */
static tally simulate(double log_sd, double precision, int first_look, size_t df_max)
{
    const double truth = log(1.05);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 42);
    tally out = {0};
    for (int run = 0; run < RUNS; run++) {
        double x[BLOCKS_MAX];
        ssw_ratio ratio = {0};
        int n = 0;
        while (n < BLOCKS_MAX) {
            x[n++] = truth + gsl_ran_gaussian(rng, log_sd);
            if (n < first_look || n % 2 != 0)
                continue;
            ssw_stats_ratio_stopped(x, (size_t)n, df_max, &ratio);
            if (ssw_stats_half_width(&ratio) <= precision)
                break;
        }
        out.covered += log(ratio.ci_low) <= truth && truth <= log(ratio.ci_high);
        out.stopped += ssw_stats_half_width(&ratio) <= precision;
        out.blocks += n;
    }
    out.blocks /= RUNS;
    gsl_rng_free(rng);
    return out;
}

static void a_stopped_interval_holds_the_truth(void **state)
{
    static const double log_sds[] = {0.01, 0.02, 0.03, 0.04, 0.06, 0.1};
    static const int min_runs[] = {4, 6, 10};
    int worst_usual = RUNS;
    for (size_t i = 0; i < sizeof min_runs / sizeof *min_runs; i++) {
        const ssw_plan plan = {.min_runs = min_runs[i]};
        int first_look = ssw_plan_first_look(&plan);
        for (size_t k = 0; k < sizeof log_sds / sizeof *log_sds; k++) {
            tally rule = simulate(log_sds[k], 0.03, first_look, (size_t)first_look - 1);
            tally usual = simulate(log_sds[k], 0.03, first_look, 0);
            print_message("  3 %%, first look after %2d, blocks scatter by %4.1f %%: %4.1f blocks, holds the "
                          "truth in %.1f %% "
                          "(the usual interval: %4.1f blocks, %.1f %%)\n",
                          first_look, log_sds[k] * 100, rule.blocks, 100.0 * rule.covered / RUNS,
                          usual.blocks, 100.0 * usual.covered / RUNS);
            assert_true(rule.covered >= RUNS * 0.94); /* 95 % less three standard errors of the count */
            worst_usual = usual.covered < worst_usual ? usual.covered : worst_usual;
        }
    }
    assert_true(worst_usual < RUNS * 0.93); /* what the rule is for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_stopped_interval_holds_the_truth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
