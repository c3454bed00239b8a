/* Validity flags, each from the reading that calls for it and from nothing else; and seeds that pair samples
 * over arms. */
#include <stdlib.h>
#include <string.h>

#include "../../cmocka_all.h"

#include "base/clock.h"
#include "bench/run/runner_internal.h"

static ssw_manifest_gpu gpu = {.clock_sm_max_mhz = 2000};
static ssw_manifest manifest;

static const ssw_sampler_watch quiet = {.foreign_bytes_max = SSW_EVIDENCE_NONE,
                                        .swap_bytes_max = SSW_EVIDENCE_NONE,
                                        .major_faults = SSW_EVIDENCE_NONE,
                                        .busy_clock_mhz = SSW_EVIDENCE_NONE};

static ssw_runner make_runner(const char *adapter)
{
    ssw_manifest_init(&manifest);
    manifest.plan.max_tokens = 10;
    manifest.machine.n_gpus = 1;
    manifest.machine.gpus = &gpu;
    return (ssw_runner){.manifest = &manifest, .plan = &manifest.plan, .adapter = ssw_adapter_find(adapter)};
}

/* The flags of a sample, joined by blanks. */
static const char *flags_of(const char *adapter, ssw_sample sample, ssw_sampler_watch watch, int64_t step_ns)
{
    static char text[256];
    ssw_runner runner = make_runner(adapter);
    text[0] = '\0';
    ssw_runner_flag_sample(&runner, &sample, &watch, step_ns);
    for (size_t i = 0; i < sample.n_flags; i++) {
        strcat(text, i ? " " : "");
        strcat(text, sample.flags[i]);
    }
    ssw_manifest_deinit(&manifest);
    return text;
}

static void test_what_the_reply_says(void **state)
{
    (void)state;
    const ssw_sample whole = {.finish_reason = "length"}, ended = {.finish_reason = "stop"};
    const ssw_sample failed = {.finish_reason = "stop", .error = "HTTP 500"};
    assert_string_equal(flags_of("llama-server", whole, quiet, 0), "");
    assert_string_equal(flags_of("llama-server", ended, quiet, 0), "short");
    assert_string_equal(flags_of("llama-server", failed, quiet, 0), "");
    assert_string_equal(flags_of("shimmy", ended, quiet, 0), ""); /* it always says "stop" */
    const ssw_sample nine = {.has_usage = true, .usage = {5, 9, 0}},
                     ten = {.has_usage = true, .usage = {5, 10, 0}};
    assert_string_equal(flags_of("openai", nine, quiet, 0), "short");
    assert_string_equal(flags_of("openai", ten, quiet, 0), "");
    const ssw_sample by_usage = {.finish_reason = "length", .has_usage = true, .usage = {5, 10, 1}};
    const ssw_sample by_timings = {.finish_reason = "length", .has_timings = true, .timings = {.cache_n = 1}};
    assert_string_equal(flags_of("vllm", by_usage, quiet, 0), "prompt-cache");
    assert_string_equal(flags_of("seesaw", by_timings, quiet, 0), "prompt-cache");
}

static void test_what_the_machine_says(void **state)
{
    (void)state;
    const ssw_sample whole = {.finish_reason = "length"};
    ssw_sampler_watch watch = quiet;
    watch.major_faults = 1;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "major-faults");
    watch = quiet;
    watch.swap_bytes_max = 4096;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "swap");
    watch = quiet;
    watch.throttle = 0x1 | 0x2; /* idle, and clocks that a person has set */
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "");
    watch.throttle = 0x4; /* the power cap */
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "throttled");
    watch = quiet;
    watch.busy_clock_mhz = 1600;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "");
    watch.busy_clock_mhz = 1599;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "low-clock");
    watch = quiet;
    watch.gpu_lost = true;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "gpu-lost");
    watch = quiet;
    watch.foreign_bytes_max = 1;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "foreign-gpu");
    watch = (ssw_sampler_watch){0}; /* everything is known, and nothing happened */
    watch.busy_clock_mhz = SSW_EVIDENCE_NONE;
    assert_string_equal(flags_of("seesaw", whole, watch, 0), "");
    assert_string_equal(flags_of("seesaw", whole, quiet, 20 * SSW_NS_PER_MS), "");
    assert_string_equal(flags_of("seesaw", whole, quiet, -21 * SSW_NS_PER_MS), "clock-stepped");
}

static json_int_t seed_of(int prompt, int run)
{
    ssw_runner runner = make_runner("llama-server");
    strcpy(runner.served_model, "m");
    char *body = ssw_runner_make_request(&runner, prompt, run, "x", 3);
    json_t *root = json_loads(body, 0, NULL);
    json_int_t seed = json_integer_value(json_object_get(root, "seed"));
    json_decref(root);
    free(body);
    ssw_manifest_deinit(&manifest);
    return seed;
}

static void test_seeds(void **state)
{
    (void)state;
    assert_true(seed_of(0, 1) == seed_of(0, 1)); /* whatever the arm */
    assert_true(seed_of(0, 1) != seed_of(0, 2) && seed_of(0, 1) != seed_of(1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_reply_says),
        cmocka_unit_test(test_what_the_machine_says),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
