/* Known answers by simulation: servers whose truth we set, measured by the bench's own schedule and judged by
 * its own rules. Every number comes from a fixed seed; the figures are printed, and docs/METHOD.md quotes
 * them.
 *
 * A simulated time is exp(prompt + arm + restart + drift + bump + noise): each start of a server has a speed
 * of its own (restart), the machine drifts linearly over the run, the first start of the run finds a cold
 * machine and the first requests of every start a cold server, and single requests scatter. */
#include "../../cmocka_all.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdio.h>

#include "bench/plan/schedule.h"
#include "bench/stats/comparison.h"

enum { RUNS = 1000, PROMPTS = 4, BLOCKS_MAX = 64, ARMS_MAX = 6, PILOT_BLOCKS = 6 };

typedef struct world {
    const char *name;
    double restart_sd, request_sd;
    double effect;     /* ln of what arm 1 multiplies a time by */
    double drift;      /* ln of what the run's last request is multiplied by */
    double cold_start; /* ln, of the whole first start */
    double bump;       /* ln, of the first request of every start; a third of it for the second */
    double stuck;      /* ln, of one request of arm 1, drawn at random */
} world;

typedef struct outcome {
    ssw_comparison arm, same; /* arm 1, and the A/A arm, over arm 0 */
} outcome;

typedef struct bench { /* one simulated run */
    ssw_plan plan;
    ssw_schedule schedule;
    double log_times[ARMS_MAX][PROMPTS][BLOCKS_MAX];
    int positions[ARMS_MAX][BLOCKS_MAX];
} bench;

/* n_others: arms beside the first, all the same but in name. */
static void open_bench(bench *b, ssw_plan_design design, int n_blocks, bool with_same, uint64_t seed,
                       int n_others)
{
    static const char *const names[] = {"second", "third", "fourth", "fifth"};
    ssw_plan_init(&b->plan);
    b->plan.design = design;
    b->plan.runs = n_blocks;
    b->plan.seed = seed;
    assert_int_equal(ssw_plan_add_arm(&b->plan, "first", "", NULL), SSW_OK);
    for (int i = 0; i < n_others; i++)
        assert_int_equal(ssw_plan_add_arm(&b->plan, names[i], "-x", NULL), SSW_OK);
    if (with_same)
        assert_int_equal(ssw_plan_add_arm(&b->plan, "again", "", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&b->plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_schedule_init(&b->schedule, &b->plan, NULL), SSW_OK);
}

static void close_bench(bench *b)
{
    ssw_schedule_deinit(&b->schedule);
    ssw_plan_deinit(&b->plan);
}

static void measure(bench *b, const world *w, gsl_rng *rng)
{
    const ssw_schedule *schedule = &b->schedule;
    size_t n = schedule->n_starts * schedule->n_requests, done = 0;
    for (size_t i = 0; i < schedule->n_starts; i++) {
        const ssw_schedule_start *start = &schedule->starts[i];
        double of_start = gsl_ran_gaussian(rng, w->restart_sd) + (i == 0 ? w->cold_start : 0) +
                          (start->arm == 1 ? w->effect : 0);
        b->positions[start->arm][start->block] = start->position;
        for (size_t k = 0; k < schedule->n_requests; k++) {
            const ssw_schedule_request *request = &ssw_schedule_requests_of(schedule, i)[k];
            double bump = k == 0 ? w->bump : k == 1 ? w->bump / 3 : 0;
            b->log_times[start->arm][request->prompt][request->run - 1] =
                0.3 * request->prompt + of_start + bump + w->drift * (double)done++ / (double)(n - 1) +
                gsl_ran_gaussian(rng, w->request_sd);
        }
    }
    if (w->stuck > 0)
        b->log_times[1][gsl_rng_uniform_int(rng, PROMPTS)]
                    [gsl_rng_uniform_int(rng, (unsigned long)b->plan.runs)] += w->stuck;
}

static void compare(const bench *b, int arm, ssw_comparison *out)
{
    ssw_pair pairs[PROMPTS * BLOCKS_MAX];
    size_t n = 0;
    bool abba = b->plan.design == SSW_PLAN_ABBA;
    const ssw_compare_rules rules = {.n_blocks = abba ? (size_t)b->plan.runs : 0};
    for (int prompt = 0; prompt < PROMPTS; prompt++) {
        for (int run = 0; run < b->plan.runs; run++) {
            int block = abba ? run : 0;
            pairs[n++] =
                (ssw_pair){b->log_times[arm][prompt][run] - b->log_times[0][prompt][run], (size_t)run,
                           b->positions[0][block] < b->positions[arm][block] ? 1 : -1, false};
        }
    }
    assert_int_equal(ssw_stats_compare(pairs, n, &rules, out, NULL), SSW_OK);
}

/* One run from schedule to verdict. */
static void simulate(const world *w, ssw_plan_design design, int n_blocks, bool with_same, uint64_t seed,
                     outcome *out)
{
    bench b;
    double noise_floor = NAN;
    ssw_comparison *arm = &out->arm, *same = &out->same;
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 7919 * seed + 1);
    open_bench(&b, design, n_blocks, with_same, seed, 1);
    measure(&b, w, rng);
    compare(&b, 1, arm);
    if (with_same) {
        compare(&b, 2, same);
        assert_int_equal(ssw_stats_judge_family(&same, NULL, 1, NULL), SSW_OK);
        noise_floor = ssw_stats_noise_floor(same);
    }
    assert_int_equal(ssw_stats_judge_family(&arm, &noise_floor, 1, NULL), SSW_OK);
    close_bench(&b);
    gsl_rng_free(rng);
}

static bool is_claim(ssw_verdict verdict)
{
    return verdict == SSW_VERDICT_HIGHER || verdict == SSW_VERDICT_LOWER;
}

static int count_claims(const world *w, ssw_plan_design design, int n_blocks, bool with_same)
{
    int claims = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        outcome out;
        simulate(w, design, n_blocks, with_same, seed, &out);
        claims += is_claim(out.arm.verdict);
    }
    print_message("  %-46s %-10s %2d blocks %-8s: a difference claimed in %d of %d runs\n", w->name,
                  ssw_plan_design_name(design), n_blocks, with_same ? "with A/A" : "no A/A", claims, RUNS);
    return claims;
}

/* Restarts scatter by 1 %, requests by 2 %, unless said otherwise. */
#define USUAL .restart_sd = 0.01, .request_sd = 0.02

static void equal_arms_are_called_equal(void **state)
{
    const world equal = {.name = "equal arms", USUAL};
    const world restless = {
        .name = "equal arms, restarts scatter by 5 %", .restart_sd = 0.05, .request_sd = 0.02};
    assert_true(count_claims(&equal, SSW_PLAN_ABBA, 3, false) <= RUNS / 20);
    assert_true(count_claims(&equal, SSW_PLAN_ABBA, 3, true) <= RUNS / 20);
    assert_true(count_claims(&equal, SSW_PLAN_ABBA, 6, false) <= RUNS / 20);
    assert_true(count_claims(&equal, SSW_PLAN_ABBA, 6, true) <= RUNS / 20);
    assert_true(count_claims(&equal, SSW_PLAN_ABBA, 12, true) <= RUNS / 20);
    assert_true(count_claims(&restless, SSW_PLAN_ABBA, 6, true) <= RUNS / 20);
}

/* An A/A run says how many blocks show 5 %; a run of so many then has to find a planted 5 %. */
static void a_planted_slowdown_is_found(void **state)
{
    enum { PILOTS = 500 };
    const world equal = {.name = "pilot", USUAL};
    const world slower = {.name = "5 % slower", USUAL, .effect = 0.04879016416943205};
    int found = 0, wrong_side = 0;
    size_t least = BLOCKS_MAX, most = 0, sum = 0;
    for (uint64_t seed = 1; seed <= PILOTS; seed++) {
        outcome pilot, out;
        simulate(&equal, SSW_PLAN_ABBA, PILOT_BLOCKS, true, seed, &pilot);
        size_t n = ssw_stats_needed_values(1.05, pilot.same.by_block.log_sd, pilot.same.by_block.df);
        assert_in_range(n, 2, BLOCKS_MAX);
        simulate(&slower, SSW_PLAN_ABBA, (int)n, true, seed + 100000, &out);
        found += out.arm.verdict == SSW_VERDICT_HIGHER;
        wrong_side += out.arm.verdict == SSW_VERDICT_LOWER;
        least = n < least ? n : least;
        most = n > most ? n : most;
        sum += n;
    }
    print_message(
        "  a planted 5 %% with the N that an A/A pilot of %d blocks asked for (%zu to %zu, mean %.1f): "
        "found in %d of %d runs\n",
        PILOT_BLOCKS, least, most, (double)sum / PILOTS, found, PILOTS);
    assert_true(found >= PILOTS * 4 / 5);
    assert_int_equal(wrong_side, 0);
}

/* Four equal arms against the first, corrected by Holm: how often is a difference claimed in any of them? */
static void many_equal_arms_are_called_equal(void **state)
{
    enum { CLAIMANTS = 4, BLOCKS = 10 };
    const world equal = {.name = "five equal arms", USUAL};
    int runs_with_claims = 0, uncorrected = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        bench b;
        ssw_comparison arms[CLAIMANTS], *family[CLAIMANTS];
        bool claimed = false, below = false;
        gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
        gsl_rng_set(rng, 104729 * seed);
        open_bench(&b, SSW_PLAN_ABBA, BLOCKS, false, seed, CLAIMANTS);
        measure(&b, &equal, rng);
        for (int arm = 1; arm <= CLAIMANTS; arm++) {
            compare(&b, arm, &arms[arm - 1]);
            family[arm - 1] = &arms[arm - 1];
            below = below || arms[arm - 1].p <= SSW_STATS_LEVEL;
        }
        assert_int_equal(ssw_stats_judge_family(family, NULL, CLAIMANTS, NULL), SSW_OK);
        for (int i = 0; i < CLAIMANTS; i++)
            claimed = claimed || is_claim(arms[i].verdict);
        runs_with_claims += claimed;
        uncorrected += below;
        close_bench(&b);
        gsl_rng_free(rng);
    }
    print_message("  five equal arms, %d blocks, no A/A: a difference claimed for any arm in %d of %d runs "
                  "(without Holm %d)\n",
                  BLOCKS, runs_with_claims, RUNS, uncorrected);
    assert_true(runs_with_claims <= RUNS / 20);
    assert_true(uncorrected > RUNS / 20);
}

static void nuisances_make_no_verdict(void **state)
{
    const world drift = {.name = "drift of 30 % over the run", USUAL, .drift = 0.26236426446749106};
    const world bump = {
        .name = "cold machine 20 %, cold servers 30 %", USUAL, .cold_start = 0.1823, .bump = 0.2624};
    const world stuck = {.name = "one request stuck, 20 times as long", USUAL, .stuck = 2.995732273553991};
    const world *const worlds[] = {&drift, &bump, &stuck};
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        assert_true(count_claims(worlds[i], SSW_PLAN_ABBA, 3, true) <= RUNS / 20);
        assert_true(count_claims(worlds[i], SSW_PLAN_ABBA, 6, true) <= RUNS / 20);
        assert_true(count_claims(worlds[i], SSW_PLAN_ABBA, 6, false) <= RUNS / 20);
    }
    /* what the balanced blocks are for: the published form takes the same drift for an effect */
    assert_true(count_claims(&drift, SSW_PLAN_SEQUENTIAL, 6, false) > RUNS * 9 / 10);
}

/* A drift of 30 % over six blocks of two arms: running second costs about a twelfth of it. */
static void the_order_effect_is_seen(void **state)
{
    const world drift = {.name = "drift", USUAL, .drift = 0.26236426446749106};
    const world equal = {.name = "equal", USUAL};
    int covered = 0, covered_equal = 0;
    double step = 0.26236426446749106 * PROMPTS / (2 * 6 * PROMPTS - 1);
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        outcome out;
        simulate(&drift, SSW_PLAN_ABBA, 6, false, seed, &out);
        covered += log(out.arm.order.ci_low) <= step && step <= log(out.arm.order.ci_high);
        simulate(&equal, SSW_PLAN_ABBA, 6, false, seed, &out);
        covered_equal += out.arm.order.ci_low <= 1 && 1 <= out.arm.order.ci_high;
    }
    print_message("  the order effect's interval holds the truth in %d of %d runs with drift, %d without\n",
                  covered, RUNS, covered_equal);
    assert_true(covered >= RUNS * 93 / 100 && covered_equal >= RUNS * 93 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_arms_are_called_equal),      cmocka_unit_test(a_planted_slowdown_is_found),
        cmocka_unit_test(many_equal_arms_are_called_equal), cmocka_unit_test(nuisances_make_no_verdict),
        cmocka_unit_test(the_order_effect_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
