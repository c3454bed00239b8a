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

const ssw_adapter *ssw_runner_adapter_of(const ssw_manifest_arm *arm)
{
    const ssw_adapter *adapter = arm->adapter ? ssw_adapter_find(arm->adapter) : NULL;
    return adapter ? adapter : ssw_adapter_find("llama-server");
}

char *ssw_runner_make_request(const ssw_runner *runner, int prompt, int run, const char *text, int max_tokens)
{
    const ssw_ask ask = {.model = *runner->served_model ? runner->served_model : runner->manifest->model.name,
                         .text = text,
                         .how = runner->plan->ask,
                         .max_tokens = max_tokens,
                         .temperature = runner->plan->temperature,
                         .seed = make_seed(runner->plan, prompt, run),
                         .fixed_length = runner->plan->fixed_length,
                         .top_logprobs = runner->plan->top_logprobs};
    return ssw_adapter_make_body(runner->adapter, &ask);
}

/* Where a server always says "stop", only usage can tell. */
static bool is_short(const ssw_runner *runner, const ssw_sample *sample)
{
    if (sample->finish_reason && runner->adapter->finish_is_true)
        return strcmp(sample->finish_reason, "length") != 0;
    return sample->has_usage && sample->usage.completion_tokens < runner->plan->max_tokens;
}

/* Below 80 % of the highest SM clock while it was busy. */
static bool is_slow_clock(const ssw_runner *runner, int64_t busy_clock_mhz)
{
    const ssw_manifest_machine *machine = &runner->manifest->machine;
    int64_t most_mhz = machine->n_gpus ? machine->gpus[0].clock_sm_max_mhz : SSW_EVIDENCE_NONE;
    return most_mhz > 0 && busy_clock_mhz != SSW_EVIDENCE_NONE && busy_clock_mhz * 5 < most_mhz * 4;
}

void ssw_runner_flag_sample(const ssw_runner *runner, ssw_sample *sample, const ssw_sampler_watch *watch,
                            int64_t clock_step_ns)
{
    if ((sample->has_timings && sample->timings.cache_n > 0) ||
        (sample->has_usage && sample->usage.cached_tokens > 0))
        ssw_sample_add_flag(sample, "prompt-cache");
    if (!sample->error && is_short(runner, sample))
        ssw_sample_add_flag(sample, "short");
    if (watch->major_faults > 0)
        ssw_sample_add_flag(sample, "major-faults");
    if (watch->swap_bytes_max > 0)
        ssw_sample_add_flag(sample, "swap");
    if ((uint64_t)watch->throttle & SSW_NVML_THROTTLED)
        ssw_sample_add_flag(sample, "throttled");
    if (is_slow_clock(runner, watch->busy_clock_mhz))
        ssw_sample_add_flag(sample, "low-clock");
    if (watch->gpu_lost)
        ssw_sample_add_flag(sample, "gpu-lost");
    if (watch->foreign_bytes_max > 0)
        ssw_sample_add_flag(sample, "foreign-gpu");
    if (llabs(clock_step_ns) > CLOCK_STEP_NS_MAX)
        ssw_sample_add_flag(sample, "clock-stepped");
}
