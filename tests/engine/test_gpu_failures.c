/* What the engine does when the GPU fails: every call that can fail does so in turn, pins are refused, graphs
 * are, the device stops in the middle of a step, the host is late. On a fixture with biases and two types of
 * weights, whose experts are in host memory; the GPU is tests/stand_in. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_case.h"
#include "stand_in.h"

#define PATIENCE_NS INT64_C(200000000)

static char path[512];
static float *wanted; /* gpu_case_eval's where nothing fails */
static size_t wanted_bytes;

static int find_wanted(void **state)
{
    const char *folder = getenv("SSW_TEST_FIXTURES");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/gpt_oss/mxfp4_q8_0_gqa4_e7k4.gguf", folder);
    ssw_engine_options options = gpu_case_options(path);
    ssw_engine *engine = gpu_case_open(&options);
    wanted = gpu_case_eval(engine);
    wanted_bytes = (1 + GPU_CASE_DECODED) * (size_t)ssw_engine_describe(engine)->n_vocab * sizeof *wanted;
    ssw_engine_close(engine);
    gpu_case_expect_nothing();
    return 0;
}

static int free_wanted(void **state)
{
    free(wanted);
    return 0;
}

static void expect_wanted(ssw_engine *engine)
{
    float *logits = gpu_case_eval(engine);
    assert_memory_equal(logits, wanted, wanted_bytes);
    free(logits);
}

/* ---- opening ---- */

/* Nothing of a failed opening stays; what opens all the same computes the same. */
static void every_failing_call_is_survived(void **state)
{
    int32_t n_refused = 0;
    for (int64_t n = 1;; n++) {
        ssw_engine_options options = gpu_case_options(path);
        ssw_engine *engine = NULL;
        ssw_error err = {0};
        stand_in_fail(STAND_IN_ANY_CALL, n);
        ssw_status status = ssw_engine_open(&options, &engine, &err);
        bool has_failed = stand_in_has_failed();
        stand_in_fail(STAND_IN_ANY_CALL, 0);
        if (status != SSW_OK) {
            assert_true(has_failed);
            assert_null(engine);
            assert_true(status == SSW_ERR_NOMEM || status == SSW_ERR_UNAVAILABLE || status == SSW_ERR_LIMIT);
            print_message("call %d: %s\n", (int)n, err.message);
            assert_true(strlen(err.message) > 0);
            n_refused++;
        } else if (!has_failed) {
            expect_wanted(engine);
        }
        ssw_engine_close(engine);
        gpu_case_expect_nothing();
        if (!has_failed)
            break;
    }
    assert_true(n_refused > 20);
}

static void expect_refused(stand_in_call which, int64_t n, ssw_status wanted_status, const char *words)
{
    ssw_engine_options options = gpu_case_options(path);
    ssw_engine *engine = NULL;
    ssw_error err = {0};
    stand_in_fail(which, n);
    assert_int_equal(ssw_engine_open(&options, &engine, &err), wanted_status);
    if (!strstr(err.message, words))
        fail_msg("'%s' does not say '%s'", err.message, words);
    gpu_case_expect_nothing();
}

static void refusals_say_what_to_do(void **state)
{
    expect_refused(STAND_IN_ALLOC, 1, SSW_ERR_NOMEM, "MiB of GPU memory");
    expect_refused(STAND_IN_ALLOC, 2, SSW_ERR_NOMEM, "compute buffers (try a smaller --batch-size)");
    expect_refused(STAND_IN_ALLOC, 3, SSW_ERR_NOMEM,
                   "KV cache (try a smaller --ctx-size, or -ctk q8_0 -ctv q8_0)");
    expect_refused(STAND_IN_ALLOC_HOST, 1, SSW_ERR_NOMEM, "pinned host memory");
    expect_refused(STAND_IN_PIN, 1, SSW_ERR_LIMIT, "raise `ulimit -l', or use --cpu-moe-share 100");
}

/* Without a share of its own the GPU can do without pins: copies wait instead. */
static void unpinned_experts_compute_the_same(void **state)
{
    ssw_engine_options options = gpu_case_options(path);
    options.cpu_moe_share = 100;
    ssw_engine *engine = gpu_case_open(&options);
    stand_in_counts pinned = stand_in_count();
    float *logits = gpu_case_eval(engine);
    ssw_engine_close(engine);
    gpu_case_expect_nothing();
    assert_true(pinned.n_pinned > 4);
    for (int64_t n = 1; n <= pinned.n_pinned; n += 2) {
        options = gpu_case_options(path);
        options.cpu_moe_share = 100;
        stand_in_fail(STAND_IN_PIN, n);
        engine = gpu_case_open(&options);
        assert_true(stand_in_has_failed());
        assert_non_null(strstr(gpu_case_log(), "experts of 1 of"));
        assert_non_null(strstr(gpu_case_log(), "prompts will be slower"));
        assert_int_equal(stand_in_count().n_pinned, pinned.n_pinned - 3); /* a layer: gate, up, down */
        float *again = gpu_case_eval(engine);
        assert_memory_equal(again, logits, wanted_bytes);
        free(again);
        ssw_engine_close(engine);
        gpu_case_expect_nothing();
    }
    free(logits);
}

/* ---- running ---- */

typedef struct run_case {
    ssw_engine *engine;
    ssw_session *session;
    int32_t tokens[GPU_CASE_PROMPT];
    float *logits;
} run_case;

static void open_run(run_case *run, int32_t n_cpu_moe, int64_t patience_ns)
{
    ssw_engine_options options = gpu_case_options(path);
    ssw_error err = {0};
    options.n_cpu_moe = n_cpu_moe;
    options.gpu_patience_ns = patience_ns;
    options.n_parallel = 2;
    run->engine = gpu_case_open(&options);
    run->logits = malloc((size_t)ssw_engine_describe(run->engine)->n_vocab * sizeof *run->logits);
    assert_non_null(run->logits);
    gpu_case_tokens(run->engine, 0, GPU_CASE_PROMPT, run->tokens);
    assert_int_equal(ssw_session_open(run->engine, &run->session, &err), SSW_OK);
}

static void close_run(run_case *run)
{
    free(run->logits);
    ssw_engine_close(run->engine);
    gpu_case_expect_nothing();
}

/* A step of the session, from where it stands. */
static ssw_status step(const run_case *run, int32_t n, ssw_error *err)
{
    int32_t length = ssw_session_length(run->session);
    ssw_eval_item item = {
        .session = run->session, .tokens = run->tokens, .n_tokens = n, .logits = run->logits};
    ssw_status status = ssw_engine_eval(run->engine, &item, 1, err);
    assert_int_equal(ssw_session_length(run->session), status == SSW_OK ? length + n : length);
    return status;
}

static void refused_graphs_are_tried_again(void **state)
{
    for (int64_t n = 1; n <= 3; n++) { /* recording, preparing, starting */
        run_case run;
        ssw_error err = {0};
        open_run(&run, SSW_ENGINE_LAYERS_ALL, 0);
        stand_in_fail(STAND_IN_GRAPH, n);
        assert_int_equal(step(&run, 1, &err), SSW_ERR_UNAVAILABLE);
        assert_non_null(strstr(err.message, "graph"));
        assert_int_equal(step(&run, 1, &err), SSW_OK);
        expect_wanted(run.engine);
        close_run(&run);
    }
}

/* Operations of a first step in which nothing fails. */
static int64_t count_operations(int32_t n_tokens, int32_t n_cpu_moe)
{
    run_case run;
    ssw_error err = {0};
    open_run(&run, n_cpu_moe, 0);
    int64_t before = stand_in_operations();
    assert_int_equal(step(&run, n_tokens, &err), SSW_OK);
    int64_t n = stand_in_operations() - before;
    close_run(&run);
    return n;
}

static void stop_in_step(int32_t n_tokens, int32_t n_cpu_moe, int64_t n_operations)
{
    run_case run;
    ssw_error err = {0};
    open_run(&run, n_cpu_moe, PATIENCE_NS);
    stand_in_stop_after(n_operations);
    ssw_status status = step(&run, n_tokens, &err);
    if (status == SSW_ERR_TIMEOUT) {
        assert_non_null(strstr(err.message, "the GPU has not answered for 0.2 s"));
    } else {
        assert_int_equal(status, SSW_ERR_UNAVAILABLE); /* it had answered, and what came after was not done */
        assert_non_null(strstr(err.message, "timed out"));
    }
    assert_int_not_equal(step(&run, n_tokens, &err), SSW_OK);
    close_run(&run);
}

static void a_device_that_stops_is_given_up(void **state)
{
    static const int32_t n_tokens[] = {1, GPU_CASE_PROMPT}, n_cpu_moe[] = {SSW_ENGINE_LAYERS_ALL, 0};
    for (int i = 0; i < 4; i++) {
        int64_t n_all = count_operations(n_tokens[i % 2], n_cpu_moe[i / 2]);
        assert_true(n_all > 20);
        for (int64_t n = 0; n < n_all; n += 1 + n / 2)
            stop_in_step(n_tokens[i % 2], n_cpu_moe[i / 2], n);
        stop_in_step(n_tokens[i % 2], n_cpu_moe[i / 2], n_all - 1);
    }
}

static void a_host_that_is_late_is_said(void **state)
{
    static const int32_t n_tokens[] = {1, GPU_CASE_PROMPT};
    for (int i = 0; i < 2; i++) {
        run_case run;
        ssw_error err = {0};
        open_run(&run, SSW_ENGINE_LAYERS_ALL, 0);
        int32_t n_layers = ssw_engine_describe(run.engine)->n_layers;
        for (int32_t n = 1; n <= n_layers; n++) { /* a wait a layer */
            stand_in_give_up(n);
            assert_int_equal(step(&run, n_tokens[i], &err), SSW_ERR_TIMEOUT);
            assert_string_equal(err.message, "the CPU's experts were not ready within 30 s");
            assert_int_equal(step(&run, n_tokens[i], &err), SSW_OK);
            assert_int_equal(ssw_session_truncate(run.session, 0, &err), SSW_OK);
        }
        expect_wanted(run.engine);
        close_run(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_call_is_survived),    cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(unpinned_experts_compute_the_same), cmocka_unit_test(refused_graphs_are_tried_again),
        cmocka_unit_test(a_device_that_stops_is_given_up),   cmocka_unit_test(a_host_that_is_late_is_said),
    };
    return cmocka_run_group_tests(tests, find_wanted, free_wanted);
}
