/* What a request says, and what makes its answer suspect. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/run/runner_internal.h"

#define CLOCK_STEP_NS_MAX (20 * SSW_NS_PER_MS)

/* Samples of one prompt and run get the same seed in every arm, so that a pair differs in nothing but the
 * arm. */
static int64_t make_seed(const ssw_plan *plan, int prompt, int run)
{
    uint64_t mixed = plan->seed * UINT64_C(1000003) + (uint64_t)(prompt + 1) * UINT64_C(8191) + (uint64_t)run;
    return (int64_t)(mixed & 0x7fffffff);
}

char *ssw_runner_make_request(const ssw_plan *plan, const char *model, int prompt, int run, const char *text,
                              int max_tokens)
{
    /* cache_prompt is llama-server's: without it a repeated prompt would skip its prefill. */
    json_t *root =
        json_pack("{s:s, s:[{s:s, s:s}], s:i, s:f, s:I, s:b, s:{s:b}, s:b}", "model", model, "messages",
                  "role", "user", "content", text, "max_tokens", max_tokens, "temperature", plan->temperature,
                  "seed", (json_int_t)make_seed(plan, prompt, run), "stream", 1, "stream_options",
                  "include_usage", 1, "cache_prompt", 0);
    if (root && plan->fixed_length)
        json_object_set_new(root, "ignore_eos", json_true());
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return body;
}

static bool is_short(const ssw_sample *sample, const ssw_plan *plan)
{
    if (sample->finish_reason)
        return strcmp(sample->finish_reason, "length") != 0;
    return sample->has_usage && sample->usage.completion_tokens < plan->max_tokens;
}

void ssw_runner_flag_sample(ssw_sample *sample, const ssw_plan *plan, const ssw_sampler_watch *watch,
                            int64_t clock_step_ns)
{
    if ((sample->has_timings && sample->timings.cache_n > 0) ||
        (sample->has_usage && sample->usage.cached_tokens > 0))
        ssw_sample_add_flag(sample, "prompt-cache");
    if (!sample->error && is_short(sample, plan))
        ssw_sample_add_flag(sample, "short");
    if (watch->major_faults > 0)
        ssw_sample_add_flag(sample, "major-faults");
    if (watch->swap_bytes_max > 0)
        ssw_sample_add_flag(sample, "swap");
    if ((uint64_t)watch->throttle & SSW_NVML_THROTTLED)
        ssw_sample_add_flag(sample, "throttled");
    if (watch->foreign_bytes_max > 0)
        ssw_sample_add_flag(sample, "foreign-gpu");
    if (llabs(clock_step_ns) > CLOCK_STEP_NS_MAX)
        ssw_sample_add_flag(sample, "clock-stepped");
}
