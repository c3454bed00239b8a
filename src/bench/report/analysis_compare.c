/* Groups of one arm, and arms against arm 0, by pairs and by blocks. */
#include <math.h>
#include <stdlib.h>

#include "bench/report/analysis.h"

typedef struct pairs { /* scratch for one comparison */
    double *logs, *orders, *clean_logs, *means;
    size_t *blocks;
    size_t n, n_clean;
} pairs;

static bool is_flagged(const ssw_sample *sample)
{
    return sample->n_flags > 0;
}

/* The pairs of one prompt, or of all (prompt = n_prompts). */
static void collect(const ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric, pairs *out)
{
    size_t from = prompt == analysis->n_prompts ? 0 : prompt;
    size_t to = prompt == analysis->n_prompts ? prompt : prompt + 1;
    out->n = out->n_clean = 0;
    for (size_t p = from; p < to; p++) {
        for (size_t run = 0; run < analysis->n_runs; run++) {
            size_t a = ssw_analysis_index(analysis, 0, p, run), b = ssw_analysis_index(analysis, arm, p, run);
            double x = log(analysis->values[b][metric] / analysis->values[a][metric]);
            if (!isfinite(x))
                continue;
            const ssw_sample *first = analysis->samples[a], *second = analysis->samples[b];
            out->orders[out->n] = first->position < second->position ? 1 : -1;
            out->blocks[out->n] = (size_t)(second->run - 1);
            out->logs[out->n++] = x;
            if (!is_flagged(first) && !is_flagged(second))
                out->clean_logs[out->n_clean++] = x;
        }
    }
}

static void compare(const ssw_analysis *analysis, size_t arm, size_t prompt, ssw_metric metric,
                    pairs *scratch, ssw_comparison *out)
{
    bool abba = analysis->evidence->manifest.plan.design == SSW_PLAN_ABBA;
    collect(analysis, arm, prompt, metric, scratch);
    ssw_stats_ratio(scratch->logs, scratch->n, &out->by_pair);
    ssw_stats_ratio(scratch->clean_logs, scratch->n_clean, &out->clean);
    size_t n_means = 0;
    if (abba) /* the sequential design starts each server once: there are no blocks to compare */
        n_means = ssw_stats_group_means(scratch->logs, scratch->blocks, scratch->n, analysis->n_runs,
                                        scratch->means);
    ssw_stats_ratio(scratch->means, n_means, &out->by_block);
    ssw_stats_order_effect(scratch->logs, scratch->orders, scratch->n, &out->order);
    out->detectable = ssw_stats_detectable_ratio(out->by_pair.n, out->by_pair.log_sd);
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

static void compare_arm(ssw_analysis *analysis, size_t arm, pairs *scratch)
{
    ssw_arm_results *results = &analysis->arms[arm];
    for (int metric = 0; metric < SSW_METRIC_COUNT; metric++) {
        compare(analysis, arm, analysis->n_prompts, metric, scratch, &results->comparisons[metric]);
        for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
            ssw_prompt_results *of_prompt = &analysis->prompts[arm * analysis->n_prompts + prompt];
            compare(analysis, arm, prompt, metric, scratch, &of_prompt->comparisons[metric]);
        }
    }
}

/* Verdicts need the A/A comparison, where the run has one. */
static void judge_arms(ssw_analysis *analysis)
{
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        for (int metric = 0; metric < SSW_METRIC_COUNT; metric++) {
            const ssw_ratio *same = NULL;
            for (size_t other = 1; other < analysis->n_arms; other++) {
                if (other != arm && analysis->arms[other].same_as_first)
                    same = &analysis->arms[other].comparisons[metric].by_pair;
            }
            ssw_comparison *whole = &analysis->arms[arm].comparisons[metric];
            whole->verdict = ssw_stats_judge(&whole->by_pair, &whole->by_block, same);
            for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
                ssw_comparison *part =
                    &analysis->prompts[arm * analysis->n_prompts + prompt].comparisons[metric];
                part->verdict = ssw_stats_judge(&part->by_pair, NULL, same);
            }
        }
    }
}

ssw_status ssw_analysis_compare(ssw_analysis *analysis, ssw_error *err)
{
    size_t n = analysis->n_prompts * analysis->n_runs;
    ssw_arena *arena = &analysis->arena;
    double *values = ssw_arena_alloc(arena, n, sizeof *values);
    pairs scratch = {.logs = ssw_arena_alloc(arena, n, sizeof(double)),
                     .orders = ssw_arena_alloc(arena, n, sizeof(double)),
                     .clean_logs = ssw_arena_alloc(arena, n, sizeof(double)),
                     .means = ssw_arena_alloc(arena, analysis->n_runs, sizeof(double)),
                     .blocks = ssw_arena_alloc(arena, n, sizeof(size_t))};
    if (!values || !scratch.logs || !scratch.orders || !scratch.clean_logs || !scratch.means ||
        !scratch.blocks)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu pairs", n);
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        ssw_status status = summarize_arm(analysis, arm, values, err);
        if (status)
            return status;
        if (arm > 0)
            compare_arm(analysis, arm, &scratch);
    }
    judge_arms(analysis);
    return SSW_OK;
}
