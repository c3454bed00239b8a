/* What an arm's memory buys: the front of arms that no other beats, the price of a GiB, and the price of a
 * longer prompt. */
#include <gsl/gsl_fit.h>
#include <math.h>
#include <stdlib.h>

#include "bench/report/analysis.h"

#define BYTES_PER_GIB  1073741824.0
#define SAVED_PART_MIN 0.01 /* of the first arm's memory: less has no price worth naming */

/* ln(b / a) of a metric over pairs of prompt and run. */
static void compare_arms(const ssw_analysis *analysis, size_t a, size_t b, ssw_metric metric, double *scratch,
                         ssw_ratio *out)
{
    size_t n = 0, n_pairs = analysis->n_prompts * analysis->n_runs;
    for (size_t i = 0; i < n_pairs; i++) {
        double x = log(analysis->values[b * n_pairs + i][metric] / analysis->values[a * n_pairs + i][metric]);
        if (isfinite(x))
            scratch[n++] = x;
    }
    ssw_stats_ratio(scratch, n, out);
}

/* Whether b holds at most as much as a after load; beyond_interval: less, by intervals that do not touch. */
static bool needs_less(const ssw_analysis *analysis, size_t a, size_t b, ssw_memory memory,
                       bool beyond_interval)
{
    const ssw_summary *first = &analysis->arms[a].memory.phases[memory][SSW_PHASE_LOADED];
    const ssw_summary *second = &analysis->arms[b].memory.phases[memory][SSW_PHASE_LOADED];
    if (!beyond_interval)
        return second->mean <= first->mean;
    return second->n > 1 && first->n > 1 && second->ci_high < first->ci_low;
}

static bool is_dominated(const ssw_analysis *analysis, size_t arm, size_t other, ssw_memory memory,
                         ssw_metric metric, double *scratch)
{
    ssw_ratio ratio;
    compare_arms(analysis, arm, other, metric, scratch, &ratio);
    bool lower_is_better = ssw_metric_describe(metric)->better == SSW_BETTER_LOWER;
    bool as_good = lower_is_better ? ratio.ratio <= 1 : ratio.ratio >= 1;
    bool better = lower_is_better ? ratio.ci_high < 1 : ratio.ci_low > 1;
    return needs_less(analysis, arm, other, memory, false) && as_good &&
           (better || needs_less(analysis, arm, other, memory, true));
}

static size_t find_dominator(const ssw_analysis *analysis, size_t arm, ssw_memory memory, ssw_metric metric,
                             double *scratch)
{
    for (size_t other = 0; other < analysis->n_arms && memory != SSW_MEMORY_COUNT; other++) {
        bool again =
            analysis->arms[arm].same_as_first || analysis->arms[other].same_as_first; /* A/A: noise */
        if (other != arm && !again && is_dominated(analysis, arm, other, memory, metric, scratch))
            return other;
    }
    return arm;
}

/* Mean over a block's prompts of ms per token on the arm less that on arm 0; the sequential design is one
 * block of all runs. */
static double cost_of_block(const ssw_analysis *analysis, size_t arm, size_t block, bool all_runs)
{
    ssw_metric rate = ssw_analysis_headline_rate(analysis);
    double sum = 0;
    size_t n = 0;
    for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
        for (size_t run = all_runs ? 0 : block; run < (all_runs ? analysis->n_runs : block + 1); run++) {
            double first = analysis->values[ssw_analysis_index(analysis, 0, prompt, run)][rate];
            double second = analysis->values[ssw_analysis_index(analysis, arm, prompt, run)][rate];
            double cost = 1000 / second - 1000 / first;
            sum += isfinite(cost) ? cost : 0;
            n += isfinite(cost);
        }
    }
    return n ? sum / (double)n : NAN;
}

static double memory_of(const ssw_analysis *analysis, size_t arm, size_t block, ssw_memory memory)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    for (size_t i = 0; i < manifest->n_schedule; i++) {
        const ssw_manifest_start *entry = &manifest->schedule[i];
        size_t start = (size_t)entry->block * analysis->n_arms + (size_t)entry->position;
        if ((size_t)entry->block == block && start < analysis->n_starts &&
            ssw_manifest_find_arm(manifest, entry->arm) == (int)arm)
            return analysis->memory[start][memory][SSW_PHASE_LOADED];
    }
    return NAN;
}

static ssw_status price_memory(const ssw_analysis *analysis, size_t arm, ssw_memory memory, double *scratch,
                               ssw_summary *out, ssw_error *err)
{
    const ssw_summary *saved = &analysis->arms[arm].memory_comparisons[memory][SSW_PHASE_LOADED].saved;
    const ssw_summary *first = &analysis->arms[0].memory.phases[memory][SSW_PHASE_LOADED];
    bool is_saved =
        saved->n > 0 && saved->mean > SAVED_PART_MIN * first->mean && (saved->n == 1 || saved->ci_low > 0);
    size_t n = 0, n_blocks = analysis->n_starts / analysis->n_arms;
    for (size_t block = 0; block < n_blocks && is_saved; block++) {
        double gib =
            (memory_of(analysis, 0, block, memory) - memory_of(analysis, arm, block, memory)) / BYTES_PER_GIB;
        double price = cost_of_block(analysis, arm, block, n_blocks == 1) / gib;
        if (gib > 0 && isfinite(price))
            scratch[n++] = price;
    }
    return ssw_stats_summarize(scratch, n, out, err);
}

double ssw_analysis_prompt_tokens(const ssw_analysis *analysis, size_t prompt)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        for (size_t run = 0; run < analysis->n_runs; run++) {
            const ssw_sample *sample = analysis->samples[ssw_analysis_index(analysis, arm, prompt, run)];
            if (sample && sample->has_usage && sample->usage.prompt_tokens > 0)
                return (double)sample->usage.prompt_tokens;
        }
    }
    int64_t tokens = analysis->evidence->manifest.plan.prompts[prompt].tokens;
    return tokens > 0 ? (double)tokens : NAN;
}

/* Least squares; the slope's interval from its standard error, as R's confint(lm(y ~ x)). scratch: 2 values
 * for each pair. */
static void price_length(const ssw_analysis *analysis, size_t arm, double *scratch, ssw_length_cost *out)
{
    size_t n = 0, n_pairs = analysis->n_prompts * analysis->n_runs;
    double *x = scratch, *y = scratch + n_pairs, low = INFINITY, high = -INFINITY;
    for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
        double tokens = ssw_analysis_prompt_tokens(analysis, prompt);
        for (size_t run = 0; run < analysis->n_runs; run++) {
            size_t first = ssw_analysis_index(analysis, 0, prompt, run);
            size_t second = ssw_analysis_index(analysis, arm, prompt, run);
            double cost =
                analysis->values[second][SSW_METRIC_TTFT] - analysis->values[first][SSW_METRIC_TTFT];
            if (!isfinite(cost) || !isfinite(tokens))
                continue;
            x[n] = tokens;
            y[n++] = cost;
            low = fmin(low, tokens);
            high = fmax(high, tokens);
        }
    }
    *out = (ssw_length_cost){.ci_low = NAN, .ci_high = NAN};
    if (n < 2 || low == high)
        return;
    double cov00, cov01, cov11, residual;
    gsl_fit_linear(x, 1, y, 1, n, &out->ms_at_0, &out->ms_per_token, &cov00, &cov01, &cov11, &residual);
    out->n = n;
    if (n > 2) {
        double half = ssw_stats_t_quantile(n - 2) * sqrt(cov11);
        out->ci_low = out->ms_per_token - half;
        out->ci_high = out->ms_per_token + half;
    }
}

size_t ssw_analysis_find_fit(const ssw_analysis *analysis)
{
    const ssw_plan *plan = &analysis->evidence->manifest.plan;
    size_t best = analysis->n_arms;
    double least = INFINITY;
    for (size_t arm = 0; arm < plan->sweep.n && arm < analysis->n_arms; arm++) {
        char *end;
        double value = strtod(plan->sweep.values[arm], &end);
        if (*end || end == plan->sweep.values[arm])
            value = best == analysis->n_arms ? 0 : INFINITY; /* no number: the first that fits */
        if (analysis->tradeoffs[arm].highest_bytes <= (double)plan->fit_bytes && value < least) {
            best = arm;
            least = value;
        }
    }
    return best;
}

ssw_status ssw_analysis_trade_off(ssw_analysis *analysis, ssw_error *err)
{
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    ssw_metric rate = ssw_analysis_headline_rate(analysis);
    size_t n_scratch = 2 * analysis->n_prompts * analysis->n_runs + analysis->n_starts;
    double *scratch = ssw_arena_alloc(&analysis->arena, n_scratch, sizeof *scratch);
    analysis->tradeoffs = ssw_arena_alloc(&analysis->arena, analysis->n_arms, sizeof *analysis->tradeoffs);
    analysis->length_costs =
        ssw_arena_alloc(&analysis->arena, analysis->n_arms, sizeof *analysis->length_costs);
    if (!scratch || !analysis->tradeoffs || !analysis->length_costs)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu arms", analysis->n_arms);
    ssw_status status = SSW_OK;
    for (size_t arm = 0; arm < analysis->n_arms && !status; arm++) {
        ssw_tradeoff *out = &analysis->tradeoffs[arm];
        out->rate_dominated_by = find_dominator(analysis, arm, memory, rate, scratch);
        out->ttft_dominated_by = find_dominator(analysis, arm, memory, SSW_METRIC_TTFT, scratch);
        out->highest_bytes = NAN;
        if (memory != SSW_MEMORY_COUNT) {
            out->highest_bytes = analysis->arms[arm].memory.phases[memory][SSW_MEMORY_PEAK].max;
            status = price_memory(analysis, arm, memory, scratch, &out->exchange, err);
        }
        if (arm > 0)
            price_length(analysis, arm, scratch, &analysis->length_costs[arm]);
    }
    return status;
}
