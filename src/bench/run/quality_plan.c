/* The quality phase's plan. */
#include "bench/run/quality_plan.h"

#include <string.h>

void ssw_quality_options_init(ssw_quality_options *options)
{
    *options = (ssw_quality_options){
        .samples = 5, .max_tokens = 512, .temperature = -1, .margin = 0.05, .problems = ssw_problems_python};
}

static const char **copy_words(ssw_arena *arena, size_t n, const char *const *words)
{
    const char **copy = ssw_arena_alloc(arena, n + 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = ssw_arena_copy_text(arena, words[i], strlen(words[i]));
        if (!copy[i])
            return NULL;
    }
    return copy;
}

static ssw_status add_arm(ssw_plan *plan, const ssw_plan_arm *from, ssw_error *err)
{
    ssw_plan_arm arm = {.name = ssw_arena_copy_text(&plan->arena, from->name, strlen(from->name)),
                        .url = from->url ? ssw_arena_copy_text(&plan->arena, from->url, strlen(from->url))
                                         : NULL,
                        .port = from->port,
                        .n_args = from->n_args,
                        .args = copy_words(&plan->arena, from->n_args, from->args),
                        .n_env = from->n_env,
                        .env = copy_words(&plan->arena, from->n_env, from->env)};
    if (!arm.name || !arm.args || !arm.env || (from->url && !arm.url))
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for an arm");
    plan->arms[plan->n_arms++] = arm;
    return SSW_OK;
}

static ssw_status add_prompts(ssw_plan *out, const ssw_plan *plan, const ssw_problems *problems,
                              ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < plan->n_prompts; i++)
        status = ssw_plan_add_prompt(out, NULL, plan->prompts[i].text, strlen(plan->prompts[i].text),
                                     SSW_PLAN_NO_COUNT, err);
    for (size_t i = 0; !status && i < problems->n; i++)
        status = ssw_plan_add_prompt(out, problems->items[i].name, problems->items[i].prompt,
                                     strlen(problems->items[i].prompt), SSW_PLAN_NO_COUNT, err);
    return status;
}

ssw_status ssw_quality_make_plan(const ssw_plan *plan, const ssw_quality_options *options,
                                 const ssw_problems *problems, ssw_plan *out, ssw_error *err)
{
    ssw_plan_init(out);
    out->design = SSW_PLAN_SEQUENTIAL;
    out->seed = plan->seed;
    out->runs = options->samples;
    out->warmup_runs = 0;
    out->max_tokens = options->max_tokens;
    out->temperature = options->temperature < 0 ? plan->temperature : options->temperature;
    out->ask = plan->ask;
    out->page_cache = plan->page_cache;
    out->top_logprobs = SSW_QUALITY_TOP_LOGPROBS;
    out->pause_ns = plan->pause_ns;
    out->ready_timeout_ns = plan->ready_timeout_ns;
    out->hang_timeout_ns = plan->hang_timeout_ns;
    out->stop_grace_ns = plan->stop_grace_ns;
    out->memory_timeout_ns = plan->memory_timeout_ns;
    out->aa = SSW_PLAN_AA_ON;
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < plan->n_arms; i++)
        status = add_arm(out, &plan->arms[i], err);
    for (size_t i = 0; !status && i < plan->n_allowed; i++)
        status = ssw_plan_allow_difference(out, plan->allowed[i], err);
    if (!status)
        status = add_prompts(out, plan, problems, err);
    if (!status)
        status = ssw_plan_finish(out, 0, err);
    if (!status)
        status = ssw_plan_add_same_arm(out, err);
    return status ? ssw_error_prefix(err, "quality") : SSW_OK;
}
