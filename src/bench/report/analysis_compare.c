/* Groups of one arm, and arms against arm 0, by pairs and by blocks. */
#include <math.h>
#include <stdlib.h>

#include "bench/report/analysis.h"

static bool is_flagged(const ssw_sample *sample)
{
    return sample->n_flags > 0;
}

/* The pairs of one prompt, or of all (prompt = n_prompts). Returns how many. */
static size_t collect(const ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric,
                      ssw_pair *out)
{
    size_t from = prompt == analysis->n_prompts ? 0 : prompt;
    size_t to = prompt == analysis->n_prompts ? prompt : prompt + 1;
    size_t n = 0;
    for (size_t p = from; p < to; p++) {
        for (size_t run = 0; run < analysis->n_runs; run++) {
            size_t a = ssw_analysis_index(analysis, 0, p, run), b = ssw_analysis_index(analysis, arm, p, run);
            double x = log(analysis->values[b][metric] / analysis->values[a][metric]);
            if (!isfinite(x))
                continue;
            const ssw_sample *first = analysis->samples[a], *second = analysis->samples[b];
            out[n++] = (ssw_pair){.log_ratio = x,
                                  .block = (size_t)(second->run - 1),
                                  .order = first->position < second->position ? 1 : -1,
                                  .flagged = is_flagged(first) || is_flagged(second)};
        }
    }
    return n;
}

static ssw_status compare(const ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric,
                          ssw_pair *scratch, ssw_comparison *out, ssw_error *err)
{
    const ssw_plan *plan = &analysis->evidence->manifest.plan;
    const ssw_compare_rules rules = {
        .n_blocks = plan->design == SSW_PLAN_ABBA ? analysis->n_runs : 0, /* sequential starts servers once */
        .equivalence_margin = plan->equivalence_margin,
        .df_max = plan->precision > 0 ? (size_t)ssw_plan_first_look(plan) - 1 : 0,
        .thorough = prompt == analysis->n_prompts && ssw_analysis_is_headline(metric),
        .seed = plan->seed};
    size_t n = collect(analysis, arm, prompt, metric, scratch);
    return ssw_stats_compare(scratch, n, &rules, out, err);
}

static ssw_status summarize(const ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric,
                            bool clean, double *scratch, ssw_summary *out, ssw_error *err)
{
    size_t from = prompt == analysis->n_prompts ? 0 : prompt;
    size_t to = prompt == analysis->n_prompts ? prompt : prompt + 1;
    size_t n = 0;
    for (size_t p = from; p < to; p++) {
        for (size_t run = 0; run < analysis->n_runs; run++) {
            size_t index = ssw_analysis_index(analysis, arm, p, run);
            double value = analysis->values[index][metric];
            if (isfinite(value) && !(clean && is_flagged(analysis->samples[index])))
                scratch[n++] = value;
        }
    }
    return ssw_stats_summarize(scratch, n, out, err);
}

static ssw_status summarize_arm(ssw_analysis *analysis, size_t arm, double *scratch, ssw_error *err)
{
    ssw_arm_results *results = &analysis->arms[arm];
    ssw_status status = SSW_OK;
    for (int metric = 0; metric < SSW_METRIC_COUNT && !status; metric++) {
        size_t all = analysis->n_prompts;
        status = summarize(analysis, arm, all, metric, false, scratch, &results->metrics[metric], err);
        if (!status)
            status =
                summarize(analysis, arm, all, metric, true, scratch, &results->metrics_clean[metric], err);
        for (size_t prompt = 0; prompt < analysis->n_prompts && !status; prompt++) {
            ssw_prompt_results *of_prompt = &analysis->prompts[arm * analysis->n_prompts + prompt];
            status =
                summarize(analysis, arm, prompt, metric, false, scratch, &of_prompt->metrics[metric], err);
        }
    }
    return status;
}

static ssw_status compare_arm(ssw_analysis *analysis, size_t arm, ssw_pair *scratch, ssw_error *err)
{
    ssw_arm_results *results = &analysis->arms[arm];
    ssw_status status = SSW_OK;
    for (int metric = 0; metric < SSW_METRIC_COUNT && !status; metric++) {
        status =
            compare(analysis, arm, analysis->n_prompts, metric, scratch, &results->comparisons[metric], err);
        for (size_t prompt = 0; prompt < analysis->n_prompts && !status; prompt++) {
            ssw_prompt_results *of_prompt = &analysis->prompts[arm * analysis->n_prompts + prompt];
            status = compare(analysis, arm, prompt, metric, scratch, &of_prompt->comparisons[metric], err);
        }
    }
    return status;
}

size_t ssw_analysis_find_same(const ssw_analysis *analysis)
{
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].same_as_first)
            return arm;
    }
    return 0;
}

/* prompt = n_prompts: over all prompts. */
static ssw_comparison *comparison_of(ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric)
{
    return prompt == analysis->n_prompts
               ? &analysis->arms[arm].comparisons[metric]
               : &analysis->prompts[arm * analysis->n_prompts + prompt].comparisons[metric];
}

/* The comparisons of one metric that are tested together: of all arms, over the prompts from .. to − 1. The
 * A/A arm is no claim and is judged by itself; the others must exceed what it shows. */
static ssw_status judge_metric(ssw_analysis *analysis, ssw_metric metric, size_t from, size_t to,
                               ssw_comparison **family, double *floors, ssw_error *err)
{
    size_t n = 0, same_arm = ssw_analysis_find_same(analysis);
    ssw_status status = SSW_OK;
    for (size_t prompt = from; prompt < to && !status; prompt++) {
        double noise_floor = NAN;
        if (same_arm) {
            ssw_comparison *same = comparison_of(analysis, same_arm, prompt, metric);
            status = ssw_stats_judge_family(&same, NULL, 1, err);
            noise_floor = ssw_stats_noise_floor(same);
        }
        for (size_t arm = 1; arm < analysis->n_arms; arm++) {
            if (arm == same_arm)
                continue;
            floors[n] = noise_floor;
            family[n++] = comparison_of(analysis, arm, prompt, metric);
        }
    }
    return status ? status : ssw_stats_judge_family(family, floors, n, err);
}

static ssw_status judge_all(ssw_analysis *analysis, ssw_error *err)
{
    size_t all = analysis->n_prompts, n = analysis->n_arms * all;
    ssw_comparison **family = ssw_arena_alloc(&analysis->arena, n, sizeof *family);
    double *floors = ssw_arena_alloc(&analysis->arena, n, sizeof *floors);
    if (!family || !floors)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu comparisons", n);
    ssw_status status = SSW_OK;
    for (int metric = 0; metric < SSW_METRIC_COUNT && !status; metric++) {
        status = judge_metric(analysis, metric, all, all + 1, family, floors, err);
        if (!status)
            status = judge_metric(analysis, metric, 0, all, family, floors, err);
    }
    return status;
}

ssw_status ssw_analysis_compare(ssw_analysis *analysis, ssw_error *err)
{
    size_t n = analysis->n_prompts * analysis->n_runs;
    double *values = ssw_arena_alloc(&analysis->arena, n, sizeof *values);
    ssw_pair *pairs = ssw_arena_alloc(&analysis->arena, n, sizeof *pairs);
    if (!values || !pairs)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu pairs", n);
    ssw_status status = SSW_OK;
    for (size_t arm = 0; arm < analysis->n_arms && !status; arm++) {
        status = summarize_arm(analysis, arm, values, err);
        if (!status && arm > 0)
            status = compare_arm(analysis, arm, pairs, err);
    }
    return status ? status : judge_all(analysis, err);
}
