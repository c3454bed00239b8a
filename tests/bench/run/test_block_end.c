/* Decisions between blocks: the A/A arm's time, and when there is a look at the interval's width. */
#include "../../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/run/runner_internal.h"

typedef struct fixture {
    char dir[64];
    ssw_manifest manifest;
    ssw_run_options options;
    ssw_run_result result;
    ssw_runner runner;
    int n_looks;
    double half_width; /* what the looker sees */
} fixture;

static ssw_status look(void *context, int block, ssw_look *out, ssw_error *err)
{
    fixture *f = context;
    f->n_looks++;
    *out = (ssw_look){.block = block, .arm = "second", .metric = "tps", .half_width = f->half_width};
    out->stop = f->half_width <= f->manifest.plan.precision;
    return SSW_OK;
}

static void open_fixture(fixture *f, ssw_plan_aa aa, double precision, int runs)
{
    *f = (fixture){.dir = "/tmp/seesaw-block-end-XXXXXX", .half_width = 0.05};
    assert_non_null(mkdtemp(f->dir));
    ssw_manifest_init(&f->manifest);
    ssw_plan *plan = &f->manifest.plan;
    plan->aa = aa;
    plan->precision = precision;
    plan->runs = runs;
    assert_int_equal(ssw_plan_add_arm(plan, "first", "", NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_arm(plan, "second", "-x", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_plan_add_same_arm(plan, NULL), SSW_OK);
    f->manifest.n_arms = plan->n_arms;
    for (size_t i = 0; i < plan->n_arms; i++)
        f->manifest.arms[i].name = plan->arms[i].name;
    f->options =
        (ssw_run_options){.dir = f->dir, .manifest = &f->manifest, .looker = look, .looker_context = f};
    f->result.n_total = runs * (int)(plan->n_arms * plan->n_prompts);
    f->runner =
        (ssw_runner){.options = &f->options, .manifest = &f->manifest, .plan = plan, .result = &f->result};
    assert_int_equal(ssw_evidence_writer_open(&f->runner.writer, f->dir, NULL), SSW_OK);
    ssw_runner_recall_decisions(&f->runner);
}

/* How many lines of the kind were written. */
static int close_fixture(fixture *f, const char *kind)
{
    char path[128], line[1024];
    int n = 0;
    assert_int_equal(ssw_evidence_writer_close(&f->runner.writer, NULL), SSW_OK);
    snprintf(path, sizeof path, "%s/samples.jsonl", f->dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        n += strstr(line, kind) != NULL;
    fclose(file);
    unlink(path);
    rmdir(f->dir);
    ssw_manifest_deinit(&f->manifest);
    return n;
}

static bool takes_part(fixture *f, int arm, int block)
{
    f->runner.start = (ssw_schedule_start){.arm = arm, .block = block};
    return !ssw_runner_leaves_out(&f->runner);
}

/* Five blocks follow the first: 180 s each are the 15 minutes that are allowed, 181 s are too much. */
static void time_for_the_same_arm(void **state)
{
    static const struct {
        ssw_plan_aa aa;
        int64_t cost_s;
        bool goes_on;
    } cases[] = {
        {SSW_PLAN_AA_AUTO, 180, true}, {SSW_PLAN_AA_AUTO, 181, false}, {SSW_PLAN_AA_ON, 100000, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        open_fixture(&f, cases[i].aa, 0, 6);
        assert_int_equal(ssw_runner_end_block(&f.runner, cases[i].cost_s * SSW_NS_PER_S, NULL), SSW_OK);
        assert_int_equal(takes_part(&f, 2, 0), true);
        assert_int_equal(takes_part(&f, 2, 1), cases[i].goes_on);
        assert_int_equal(takes_part(&f, 1, 1), true);
        assert_int_equal(f.result.n_total, 6 * 3 * 4 - (cases[i].goes_on ? 0 : 5 * 4));
        assert_int_equal(close_fixture(&f, "\"left_out\""), cases[i].goes_on ? 0 : 1);
    }
}

static void looks(void **state)
{
    fixture f;
    open_fixture(&f, SSW_PLAN_AA_OFF, 0.03, 12);
    for (int block = 0; block < 12; block++) {
        f.runner.start.block = block;
        assert_int_equal(ssw_runner_end_block(&f.runner, SSW_EVIDENCE_NONE, NULL), SSW_OK);
        assert_false(f.runner.stopped);
    }
    assert_int_equal(f.n_looks, 3); /* after 6, 8 and 10 blocks; after 12 there is nothing to decide */
    f.half_width = 0.03;
    f.runner.start.block = 7;
    assert_int_equal(ssw_runner_end_block(&f.runner, SSW_EVIDENCE_NONE, NULL), SSW_OK);
    assert_true(f.runner.stopped);
    assert_int_equal(close_fixture(&f, "\"look\""), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_for_the_same_arm),
        cmocka_unit_test(looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
