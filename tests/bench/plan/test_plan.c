/* Plans: the published default, options, words, files, and refusals; schedules: balance, pairing,
 * repeatability. */
#include <stdio.h>
#include <string.h>

#include "../../cmocka_all.h"

#include "base/clock.h"
#include "bench/plan/plan_sweep.h"
#include "bench/plan/plan_words.h"
#include "bench/plan/schedule.h"

static void test_the_default_is_the_published_test(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_int_equal(plan.n_arms, 2);
    assert_string_equal(plan.arms[0].name, "baseline");
    assert_int_equal(plan.arms[0].port, 11436);
    assert_int_equal(plan.arms[0].n_args, 0);
    assert_string_equal(plan.arms[1].name, "offload");
    assert_int_equal(plan.arms[1].port, 11437);
    assert_int_equal(plan.arms[1].n_args, 1);
    assert_string_equal(plan.arms[1].args[0], "--cpu-moe");
    static const int published[] = {7, 6, 10, 27};
    assert_int_equal(plan.n_prompts, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(plan.prompts[i].published_tokens, published[i]);
    assert_string_equal(plan.prompts[0].text, "Write a haiku about AI");
    assert_string_equal(plan.prompts[3].id, "q4");
    assert_int_equal(plan.runs, 3);
    assert_int_equal(plan.max_tokens, 100);
    assert_true(plan.temperature == 0.3);
    assert_true(plan.pause_ns == 5 * SSW_NS_PER_S);
    ssw_plan_deinit(&plan);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *line, *expected; /* words joined by '|'; NULL: refused */
    } cases[] = {
        {"", ""},
        {"  -t 4\t--x ", "-t|4|--x"},
        {"--name 'two words'", "--name|two words"},
        {"\"a \\\" b\" c\\ d", "a \" b|c d"},
        {"a'b'\"c\"", "abc"},
        {"''", ""},
        {"'\\'", "\\"},
        {"\"\\n\"", "\\n"},
        {"'open", NULL},
        {"\"open", NULL},
        {"end\\", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char joined[128] = "";
        const char *words[8];
        size_t n;
        ssw_arena arena;
        ssw_arena_init(&arena, 1 << 20);
        ssw_status status = ssw_plan_split_words(&arena, cases[i].line, words, 8, &n, NULL);
        assert_int_equal(status, cases[i].expected ? SSW_OK : SSW_ERR_USAGE);
        for (size_t k = 0; !status && k < n; k++) {
            strcat(joined, k ? "|" : "");
            strcat(joined, words[k]);
        }
        if (!status)
            assert_string_equal(joined, cases[i].expected);
        ssw_arena_deinit(&arena);
    }
    const char *words[2];
    size_t n;
    ssw_arena arena;
    ssw_arena_init(&arena, 1 << 20);
    assert_int_equal(ssw_plan_split_words(&arena, "a b c", words, 2, &n, NULL), SSW_ERR_LIMIT);
    ssw_arena_deinit(&arena);
}

static void test_arms(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_error err;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "gpu=CUDA_VISIBLE_DEVICES=1 X=a=b -t 4 Y=no", &err),
                     SSW_OK);
    assert_int_equal(plan.arms[0].n_env, 2);
    assert_string_equal(plan.arms[0].env[1], "X=a=b");
    assert_int_equal(plan.arms[0].n_args, 3);
    assert_string_equal(plan.arms[0].args[2], "Y=no");
    assert_int_equal(ssw_plan_add_arm_option(&plan, "gpu=", &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "declared twice"));
    assert_int_equal(ssw_plan_add_arm_option(&plan, "--cpu-moe", &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "../x=", &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "a-name-of-more-than-thirty-two-letters=", &err),
                     SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "b='open", &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_finish(&plan, 65535, &err), SSW_OK);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "b=", &err), SSW_OK);
    plan.arms[1].port = 65535;
    assert_int_equal(ssw_plan_finish(&plan, 0, &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "share port 65535"));
    ssw_plan_deinit(&plan);
}

static ssw_status read_prompts(const char *text, ssw_plan *plan, ssw_error *err)
{
    ssw_plan_init(plan);
    return ssw_plan_read_prompts(plan, "file", text, strlen(text), err);
}

static void test_prompt_files(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_error err;
    assert_int_equal(read_prompts("# comment\nfirst \r\n\n second\n", &plan, &err), SSW_OK);
    assert_int_equal(plan.n_prompts, 2);
    assert_string_equal(plan.prompts[0].text, "first");
    assert_string_equal(plan.prompts[1].text, " second");
    assert_int_equal(plan.prompts[1].published_tokens, SSW_PLAN_NO_COUNT);
    ssw_plan_deinit(&plan);
    assert_int_equal(read_prompts("[\"a \\\"b\\\"\",\n \"c\"]\n", &plan, &err), SSW_OK);
    assert_int_equal(plan.n_prompts, 2);
    assert_string_equal(plan.prompts[0].text, "a \"b\"");
    ssw_plan_deinit(&plan);
    assert_int_equal(read_prompts("- one\n- \"two\\nlines\"\n", &plan, &err), SSW_OK);
    assert_string_equal(plan.prompts[1].text, "two\nlines");
    ssw_plan_deinit(&plan);
    static const char *const bad[] = {"",        "# nothing\n",   "[]",    "[{\"a\": 1}]",
                                      "[\"open", "- a\n -b\n: x", "[\"\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssw_status status = read_prompts(bad[i], &plan, &err);
        if (status == SSW_OK)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(strncmp(err.message, "file: ", 6), 0);
        assert_null(strchr(err.message, '\n'));
        ssw_plan_deinit(&plan);
    }
}

static void test_plan_files(void **state)
{
    (void)state;
    static const char text[] =
        "design: sequential\nseed: 7\nruns: 2\nwarmup: 0\nmax_tokens: 12\ntemperature: 0\n"
        "pause_s: 0.25\ntimeout_s: 9\nlength: fixed\nprompts:\n  - text: hello\n"
        "    label: hi\n    published_tokens: 4\n  - text: there\narms:\n  - name: a\n"
        "    args: -t 1\n    port: 5001\n  - name: b\nmodels: [one.gguf, two]\nquant: "
        "Q4_K_M,as-is\nquality:\n  samples: 10\n  margin: 0.1\n";
    ssw_plan plan;
    ssw_error err = {0};
    ssw_plan_init(&plan);
    if (ssw_plan_read_yaml(&plan, "plan", text, sizeof text - 1, &err) || ssw_plan_finish(&plan, 6000, &err))
        fail_msg("%s", err.message);
    assert_int_equal(plan.n_models, 2);
    assert_string_equal(plan.models[1], "two");
    assert_string_equal(plan.quant, "Q4_K_M,as-is");
    assert_true(plan.quality.wanted && !plan.quality.tokens && !plan.quality.problems);
    assert_string_equal(plan.quality.samples, "10");
    assert_string_equal(plan.quality.margin, "0.1");
    assert_int_equal(plan.design, SSW_PLAN_SEQUENTIAL);
    assert_true(plan.seed == 7 && plan.runs == 2 && plan.warmup_runs == 0 && plan.max_tokens == 12);
    assert_true(plan.temperature == 0 && plan.pause_ns == SSW_NS_PER_S / 4 && plan.fixed_length == 1);
    assert_true(plan.hang_timeout_ns == 9 * SSW_NS_PER_S);
    assert_string_equal(plan.prompts[0].label, "hi");
    assert_int_equal(plan.prompts[0].published_tokens, 4);
    assert_string_equal(plan.prompts[1].label, "prompt 2");
    assert_int_equal(plan.arms[0].port, 5001);
    assert_int_equal(plan.arms[1].port, 6001);
    ssw_plan_deinit(&plan);
    static const char *const bad[] = {"runs: two\n",
                                      "bogus: 1\n",
                                      "design: alphabet\n",
                                      "pause_s: -1\n",
                                      "pause_s: .nan\n",
                                      "prompts: []\n",
                                      "arms:\n  - args: x\n",
                                      "runs: [1]\n",
                                      "runs: 99999999999\n",
                                      "models: one.gguf\n",
                                      "models: []\n",
                                      "quant: [Q8_0]\n",
                                      "quality: yes\n",
                                      "quality:\n  sample: 1\n",
                                      "quality:\n  samples: [1]\n",
                                      "",
                                      "{{{",
                                      "temperature: x\n",
                                      "prompts:\n  - label: only\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssw_plan_init(&plan);
        err.message[0] = '\0';
        ssw_status status = ssw_plan_read_yaml(&plan, "plan.yaml", bad[i], strlen(bad[i]), &err);
        if (status == SSW_OK || strncmp(err.message, "plan.yaml: ", 11) != 0 || strchr(err.message, '\n'))
            fail_msg("%s: %s", bad[i], status ? err.message : "accepted");
        ssw_plan_deinit(&plan);
    }
}

static void test_the_same_arm(void **state)
{
    (void)state;
    static const struct {
        ssw_plan_aa aa;
        ssw_plan_design design;
        const char *second; /* NULL: one arm */
        size_t n_arms;      /* then */
    } cases[] = {
        {SSW_PLAN_AA_OFF, SSW_PLAN_ABBA, "-x", 2},      {SSW_PLAN_AA_AUTO, SSW_PLAN_ABBA, "-x", 3},
        {SSW_PLAN_AA_AUTO, SSW_PLAN_ABBA, "-t 1", 2},   {SSW_PLAN_AA_AUTO, SSW_PLAN_SEQUENTIAL, "-x", 2},
        {SSW_PLAN_AA_ON, SSW_PLAN_SEQUENTIAL, "-x", 3}, {SSW_PLAN_AA_AUTO, SSW_PLAN_ABBA, NULL, 1},
        {SSW_PLAN_AA_ON, SSW_PLAN_ABBA, NULL, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ssw_plan plan;
        ssw_plan_init(&plan);
        plan.aa = cases[i].aa;
        plan.design = cases[i].design;
        assert_int_equal(ssw_plan_add_arm(&plan, "a", "-t 1", NULL), SSW_OK);
        if (cases[i].second)
            assert_int_equal(ssw_plan_add_arm(&plan, "b", cases[i].second, NULL), SSW_OK);
        assert_int_equal(ssw_plan_finish(&plan, 7000, NULL), SSW_OK);
        assert_int_equal(ssw_plan_add_same_arm(&plan, NULL), SSW_OK);
        assert_int_equal(plan.n_arms, cases[i].n_arms);
        const ssw_plan_arm *last = &plan.arms[plan.n_arms - 1];
        if (strcmp(last->name, SSW_PLAN_AA_NAME) == 0) {
            assert_true(ssw_plan_is_same_arm(last, &plan.arms[0]));
            assert_int_equal(last->port, 7000 + (int)plan.n_arms - 1);
        }
        ssw_plan_deinit(&plan);
    }
}

static void test_claims(void **state)
{
    (void)state;
    static const char good[] =
        "aa: true\nequivalence_percent: 2\nprecision_percent: 3\nmin_runs: 5\nruns: 40\n";
    static const char *const bad[] = {"precision_percent: 3\nruns: 5\n",
                                      "precision_percent: 3\nmin_runs: 3\nruns: 40\n",
                                      "precision_percent: 300\nruns: 40\n", "equivalence_percent: -1\n",
                                      "precision_percent: 3\nruns: 40\ndesign: sequential\n"};
    ssw_plan plan;
    ssw_error err = {0};
    ssw_plan_init(&plan);
    if (ssw_plan_read_yaml(&plan, "plan", good, sizeof good - 1, &err) || ssw_plan_finish(&plan, 0, &err))
        fail_msg("%s", err.message);
    assert_true(plan.aa == SSW_PLAN_AA_ON && plan.equivalence_margin == 0.02 && plan.precision == 0.03);
    assert_int_equal(ssw_plan_first_look(&plan), 6); /* blocks are balanced in twos */
    ssw_plan_deinit(&plan);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ssw_plan_init(&plan);
        assert_int_equal(ssw_plan_read_yaml(&plan, "plan", bad[i], strlen(bad[i]), &err), SSW_OK);
        assert_int_equal(ssw_plan_finish(&plan, 0, &err), SSW_ERR_USAGE);
        ssw_plan_deinit(&plan);
    }
}

static void test_limits_of_numbers(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_error err;
    ssw_plan_init(&plan);
    plan.runs = 0;
    assert_int_equal(ssw_plan_finish(&plan, 0, &err), SSW_ERR_USAGE);
    assert_string_equal(err.message, "runs must be 1 to 1000, not 0");
    plan.runs = 1;
    plan.temperature = -1;
    assert_int_equal(ssw_plan_finish(&plan, 0, &err), SSW_ERR_USAGE);
    plan.temperature = 0;
    plan.hang_timeout_ns = 0;
    assert_int_equal(ssw_plan_finish(&plan, 0, &err), SSW_ERR_USAGE);
    ssw_plan_deinit(&plan);
}

/* Every arm answers each prompt in each run once; blocks are balanced over each two; arms of a block share
 * the order of prompts. */
static void check_abba(int n_arms, int runs, uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    ssw_plan plan;
    ssw_schedule schedule;
    ssw_plan_init(&plan);
    plan.runs = runs;
    plan.seed = seed;
    for (int i = 0; i < n_arms; i++)
        assert_int_equal(ssw_plan_add_arm(&plan, names[i], "", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_schedule_init(&schedule, &plan, NULL), SSW_OK);
    assert_int_equal(schedule.n_starts, n_arms * runs);
    assert_int_equal(schedule.n_requests, 4);
    for (size_t i = 0; i < schedule.n_starts; i++) {
        const ssw_schedule_start *start = &schedule.starts[i];
        assert_int_equal(start->block, (int)i / n_arms);
        assert_int_equal(start->position, (int)i % n_arms);
        int prompts = 0;
        for (int k = 0; k < 4; k++) {
            const ssw_schedule_request *request = &ssw_schedule_requests_of(&schedule, i)[k];
            assert_int_equal(request->run, start->block + 1);
            prompts |= 1 << request->prompt;
            size_t first = (size_t)start->block * (size_t)n_arms;
            assert_int_equal(request->prompt, ssw_schedule_requests_of(&schedule, first)[k].prompt);
        }
        assert_int_equal(prompts, 15);
        if (start->block % 2 == 1) { /* the mirror of the block before */
            size_t mirror =
                (size_t)(start->block - 1) * (size_t)n_arms + (size_t)(n_arms - 1 - start->position);
            assert_int_equal(start->arm, schedule.starts[mirror].arm);
        }
    }
    for (int block = 0; block < runs; block++) {
        int arms = 0;
        for (int i = 0; i < n_arms; i++)
            arms |= 1 << schedule.starts[block * n_arms + i].arm;
        assert_int_equal(arms, (1 << n_arms) - 1);
    }
    ssw_schedule_deinit(&schedule);
    ssw_plan_deinit(&plan);
}

static void test_abba(void **state)
{
    (void)state;
    for (int n_arms = 1; n_arms <= 4; n_arms++) {
        for (int runs = 1; runs <= 5; runs++) {
            for (uint64_t seed = 0; seed < 5; seed++)
                check_abba(n_arms, runs, seed);
        }
    }
}

/* What makes a Williams square: over a whole cycle every arm stands at every position equally often, and
 * follows every other arm equally often. */
static void check_williams(int n_arms, uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    int cycle = n_arms % 2 == 0 ? n_arms : 2 * n_arms, at[8][8] = {{0}}, after[8][8] = {{0}};
    ssw_plan plan;
    ssw_schedule schedule;
    ssw_plan_init(&plan);
    plan.runs = 2 * cycle; /* two cycles: the second is drawn again, and is as balanced */
    plan.seed = seed;
    for (int i = 0; i < n_arms; i++)
        assert_int_equal(ssw_plan_add_arm(&plan, names[i], "", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_schedule_init(&schedule, &plan, NULL), SSW_OK);
    for (size_t i = 0; i < schedule.n_starts; i++) {
        const ssw_schedule_start *start = &schedule.starts[i];
        at[start->arm][start->position]++;
        if (start->position > 0)
            after[start->arm][schedule.starts[i - 1].arm]++;
    }
    for (int arm = 0; arm < n_arms; arm++) {
        for (int other = 0; other < n_arms; other++) {
            assert_int_equal(at[arm][other], 2 * cycle / n_arms);
            assert_int_equal(after[arm][other], arm == other ? 0 : 2 * cycle / n_arms);
        }
    }
    ssw_schedule_deinit(&schedule);
    ssw_plan_deinit(&plan);
}

static void test_williams(void **state)
{
    (void)state;
    for (int n_arms = 1; n_arms <= 8; n_arms++) {
        for (uint64_t seed = 0; seed < 5; seed++)
            check_williams(n_arms, seed);
    }
}

static int first_arm(uint64_t seed)
{
    ssw_plan plan;
    ssw_schedule schedule;
    ssw_plan_init(&plan);
    plan.seed = seed;
    ssw_plan_finish(&plan, 0, NULL);
    assert_int_equal(ssw_schedule_init(&schedule, &plan, NULL), SSW_OK);
    int arm = schedule.starts[0].arm;
    ssw_schedule_deinit(&schedule);
    ssw_plan_deinit(&plan);
    return arm;
}

static void test_the_seed_decides(void **state)
{
    (void)state;
    int n_second = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        assert_int_equal(first_arm(seed), first_arm(seed));
        n_second += first_arm(seed);
    }
    assert_in_range(n_second, 150, 250); /* 200 +- 5 sigma */
}

static void test_sequential(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_schedule schedule;
    ssw_plan_init(&plan);
    plan.design = SSW_PLAN_SEQUENTIAL;
    ssw_plan_finish(&plan, 0, NULL);
    assert_int_equal(ssw_schedule_init(&schedule, &plan, NULL), SSW_OK);
    assert_int_equal(schedule.n_starts, 2);
    assert_int_equal(schedule.n_requests, 12);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(ssw_schedule_requests_of(&schedule, 1)[i].prompt, i / 3);
        assert_int_equal(ssw_schedule_requests_of(&schedule, 1)[i].run, i % 3 + 1);
    }
    ssw_schedule_deinit(&schedule);
    ssw_plan_deinit(&plan);
}

static void expect_sweep(const char *option, const char *flag, const char *joined)
{
    ssw_plan plan;
    char found[256] = "";
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_sweep_option(&plan, option, NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_string_equal(plan.sweep.flag, flag);
    assert_int_equal(plan.n_arms, plan.sweep.n);
    for (size_t i = 0; i < plan.n_arms; i++) {
        const ssw_plan_arm *arm = &plan.arms[i];
        assert_int_equal(arm->n_args, 2);
        assert_string_equal(arm->args[0], flag);
        assert_string_equal(arm->args[1], plan.sweep.values[i]);
        assert_int_equal(arm->port, 11436 + (int)i);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? " " : "", arm->name);
    }
    assert_string_equal(found, joined);
    ssw_plan_deinit(&plan);
}

static void test_sweeps(void **state)
{
    (void)state;
    expect_sweep("n-cpu-moe=0:24:8", "--n-cpu-moe", "n-cpu-moe-0 n-cpu-moe-8 n-cpu-moe-16 n-cpu-moe-24");
    expect_sweep("--n-cpu-moe=0:10:4", "--n-cpu-moe", "n-cpu-moe-0 n-cpu-moe-4 n-cpu-moe-8");
    expect_sweep("t=1:3", "-t", "t-1 t-2 t-3");
    expect_sweep("-ngl=99,0", "-ngl", "ngl-99 ngl-0");
    expect_sweep("ot=a=CPU,b:1", "--ot", "ot-a_CPU ot-b_1"); /* colons in a list stay in the value */
    static const char *const refused[] = {"n",
                                          "n=",
                                          "=1",
                                          "n=1,,2",
                                          "n=3:1",
                                          "n=0:10:0",
                                          "n=1:2:3:4,",
                                          "n=0:99:1",
                                          "a b=1,2",
                                          "n=1,1",
                                          "n=0:99999999999999999999"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ssw_plan plan;
        ssw_plan_init(&plan);
        bool ok = ssw_plan_sweep_option(&plan, refused[i], NULL) == SSW_OK &&
                  ssw_plan_finish(&plan, 0, NULL) == SSW_OK;
        if (ok)
            print_error("accepted: %s\n", refused[i]);
        assert_false(ok);
        ssw_plan_deinit(&plan);
    }
}

static void test_a_sweep_takes_the_words_of_one_arm(void **state)
{
    (void)state;
    ssw_plan plan;
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_sweep_option(&plan, "n-cpu-moe=0,4", NULL), SSW_OK);
    assert_int_equal(ssw_plan_sweep_option(&plan, "t=1,2", NULL), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_add_arm_option(&plan, "moe=OMP_NUM_THREADS=4 -ngl 99", NULL), SSW_OK);
    assert_int_equal(ssw_plan_fit_option(&plan, "7.5 GiB", NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL), SSW_OK);
    assert_int_equal(ssw_plan_finish(&plan, 0, NULL),
                     SSW_OK); /* as a manifest is read: nothing is made twice */
    assert_int_equal(plan.n_arms, 2);
    assert_string_equal(plan.arms[1].name, "moe-4");
    assert_int_equal(plan.arms[1].n_args, 4);
    assert_string_equal(plan.arms[1].args[1], "99");
    assert_string_equal(plan.arms[1].args[3], "4");
    assert_string_equal(plan.arms[1].env[0], "OMP_NUM_THREADS=4");
    assert_true(plan.fit_bytes == INT64_C(8053063680));
    assert_int_equal(ssw_plan_fit_option(&plan, "8 bananas", NULL), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_fit_option(&plan, "-1GiB", NULL), SSW_ERR_USAGE);
    assert_int_equal(ssw_plan_fit_option(&plan, "nan", NULL), SSW_ERR_USAGE);
    ssw_plan_deinit(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_default_is_the_published_test),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_arms),
        cmocka_unit_test(test_prompt_files),
        cmocka_unit_test(test_plan_files),
        cmocka_unit_test(test_sweeps),
        cmocka_unit_test(test_a_sweep_takes_the_words_of_one_arm),
        cmocka_unit_test(test_the_same_arm),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_limits_of_numbers),
        cmocka_unit_test(test_abba),
        cmocka_unit_test(test_williams),
        cmocka_unit_test(test_the_seed_decides),
        cmocka_unit_test(test_sequential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
