/* The first thing that a reader sees: what the run showed, in sentences made from the figures, and the tiles.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

static void write(ssw_composer *composer, const char *text)
{
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static bool leaves_one(const ssw_ratio *ratio)
{
    return ratio->ci_low > 1 || ratio->ci_high < 1;
}

/* The interval over pairs; where that alone would claim a difference, also what stands against it. */
static void write_interval(ssw_composer *composer, const ssw_comparison *comparison)
{
    const ssw_ratio *pairs = &comparison->by_pair, *blocks = &comparison->by_block;
    ssw_number_text interval;
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, ", 95 %% interval %s, %zu pairs",
                   ssw_number_format_interval(interval, pairs->ci_low, pairs->ci_high), pairs->n);
    if (comparison->verdict == SSW_VERDICT_NOT_SHOWN && leaves_one(pairs)) {
        if (blocks->n >= 2 && !leaves_one(blocks))
            ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                           ", but %s over the %zu blocks: server starts differ",
                           ssw_number_format_interval(interval, blocks->ci_low, blocks->ci_high), blocks->n);
        else if (comparison->p_holm > SSW_STATS_LEVEL)
            write(composer, ", but not among so many arms: Holm");
        else
            write(composer, ", but inside what the A/A arm shows");
    }
    write(composer, ")");
}

static void write_ratio(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    const ssw_ratio *ratio = &comparison->by_pair;
    ssw_number_text text;
    int decimals = ssw_number_decimals(ratio->ratio, (ratio->ci_high - ratio->ci_low) / 2);
    write(composer, " (ratio ");
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_ratio(composer, arm, metric),
                          ssw_number_format(text, ratio->ratio, decimals));
    write_interval(composer, comparison);
}

/* "decode rate 30.6 % lower (ratio ...)", or why nothing can be said. */
static void write_effect(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    ssw_number_text text;
    const char *name = ssw_metric_describe(metric)->name;
    double margin = composer->analysis->evidence->manifest.plan.equivalence_margin;
    switch (comparison->verdict) {
    case SSW_VERDICT_TOO_FEW:
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s cannot be compared (%zu pairs%s)", name,
                       comparison->by_pair.n,
                       comparison->by_pair.n < 2
                           ? ""
                           : " of one start of each server, and starts differ; two runs "
                             "or more would tell");
        return;
    case SSW_VERDICT_HIGHER:
    case SSW_VERDICT_LOWER:
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s ", name);
        ssw_page_write(composer->page, SSW_PAGE_STRONG,
                       ssw_number_format_change(text, comparison->by_pair.ratio, "higher", "lower"));
        if (comparison->equivalent)
            ssw_page_print(composer->page, SSW_PAGE_PLAIN, ", yet within the declared %.3g %%", margin * 100);
        break;
    case SSW_VERDICT_NOT_SHOWN:
        if (comparison->equivalent)
            ssw_page_print(composer->page, SSW_PAGE_STRONG, "equal within %.3g %%", margin * 100);
        else
            ssw_page_write(composer->page, SSW_PAGE_STRONG, "no difference shown");
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " in %s", name);
        break;
    }
    write_ratio(composer, arm, metric);
}

static const ssw_figure *add_reduction(ssw_composer *composer, size_t arm, ssw_memory memory)
{
    const ssw_ratio *ratio =
        &composer->analysis->arms[arm].memory_comparisons[memory][SSW_PHASE_LOADED].ratio;
    ssw_figure figure = ssw_compose_plain(ssw_stats_reduction_percent(ratio->ratio), "%",
                                          "(1 − ratio) · 100, ratio over blocks", ratio->n);
    return ssw_figures_put(composer->figures, &figure, "memory.%s.loaded.%s.reduction_percent",
                           ssw_memory_key(memory), ssw_compose_arm_name(composer, arm));
}

static void write_memory_effect(ssw_composer *composer, size_t arm, ssw_memory memory)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_ratio *ratio = &analysis->arms[arm].memory_comparisons[memory][SSW_PHASE_LOADED].ratio;
    ssw_number_text change, first, second;
    double percent = ssw_stats_reduction_percent(ratio->ratio);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s after load ", ssw_memory_name(memory));
    snprintf(change, sizeof change, "%.40s %% %s", ssw_number_format(first, fabs(percent), 1),
             percent < 0 ? "higher" : "lower");
    ssw_page_write_figure(composer->page, SSW_PAGE_STRONG, add_reduction(composer, arm, memory), change);
    write(composer, " (");
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN, ssw_compose_memory_mean(composer, 0, memory, SSW_PHASE_LOADED),
        ssw_number_format_mib(first, analysis->arms[0].memory.phases[memory][SSW_PHASE_LOADED].mean));
    write(composer, " → ");
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN, ssw_compose_memory_mean(composer, arm, memory, SSW_PHASE_LOADED),
        ssw_number_format_mib(second, analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean));
    write(composer, " MiB)");
}

static void write_arm_sentence(ssw_composer *composer, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    const char *treatment = analysis->evidence->manifest.arms[arm].treatment;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(composer->page, SSW_PAGE_CODE, ssw_compose_arm_name(composer, arm));
    if (analysis->arms[arm].same_as_first)
        write(composer, " is the first arm again (A/A)");
    else if (treatment)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (%.200s)", treatment);
    write(composer, " against ");
    ssw_page_write(composer->page, SSW_PAGE_CODE, ssw_compose_arm_name(composer, 0));
    write(composer, ": ");
    if (analysis->arms[arm].memory_comparisons[SSW_MEMORY_VRAM][SSW_PHASE_LOADED].ratio.n > 0) {
        write_memory_effect(composer, arm, SSW_MEMORY_VRAM);
        write(composer, "; ");
    }
    write_effect(composer, arm, ssw_analysis_headline_rate(analysis));
    write(composer, "; ");
    write_effect(composer, arm, SSW_METRIC_TTFT);
    if (analysis->tradeoffs[arm].exchange.n > 0) {
        write(composer, "; each GiB saved costs ");
        ssw_compose_write_price(composer, arm);
    }
    write(composer, ".");
}

/* What a run of this size can show at best; only where something was not shown. */
static void write_limits(ssw_composer *composer, size_t arm)
{
    const ssw_metric metrics[] = {ssw_analysis_headline_rate(composer->analysis), SSW_METRIC_TTFT};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metrics[i]];
        if (comparison->verdict != SSW_VERDICT_NOT_SHOWN || comparison->equivalent)
            continue;
        const ssw_metric_traits *traits = ssw_metric_describe(metrics[i]);
        double by_pair = ssw_stats_largest_allowed(&comparison->by_pair);
        double allowed = (fmax(by_pair, ssw_stats_largest_allowed(&comparison->by_block)) - 1) * 100;
        ssw_number_text first, second;
        const ssw_figure *figure = ssw_compose_detectable(composer, arm, metrics[i]);
        double at_best = (comparison->detectable - 1) * 100;
        ssw_figure largest = ssw_compose_plain(
            allowed, "%", "farther end from 1 of the ratio's 95 % intervals, by pair and by block",
            comparison->by_pair.n);
        const char *arm_name = ssw_compose_arm_name(composer, arm);
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Inconclusive in %s: N = %zu shows ", traits->name,
                       comparison->by_pair.n);
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, figure,
                              ssw_number_format_percent(first, at_best));
        write(composer, " % at best, and this run does not rule out a change of up to ");
        figure = ssw_figures_put(composer->figures, &largest, "%s.%s.allowed_percent", traits->key, arm_name);
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, figure,
                              ssw_number_format_percent(second, allowed));
        write(composer, " %.");
    }
}

static void write_failures(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (!analysis->arms[arm].n_crashed)
            continue;
        ssw_page_cell_add(composer->page, false, SSW_PAGE_BAD);
        ssw_page_print(composer->page, SSW_PAGE_STRONG, "The server of %s failed %d times.",
                       ssw_compose_arm_name(composer, arm), analysis->arms[arm].n_crashed);
    }
    if (analysis->n_measured == analysis->n_expected)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_BAD);
    ssw_page_print(composer->page, SSW_PAGE_STRONG, "Incomplete: %d of %d requests were measured.",
                   analysis->n_measured, analysis->n_expected);
    write(composer, " What follows is of those alone.");
}

/* One arm: no comparison, only what it did. */
static void write_single(ssw_composer *composer)
{
    const ssw_metric metric = ssw_analysis_headline_rate(composer->analysis);
    const ssw_summary *rate = &composer->analysis->arms[0].metrics[metric];
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(composer->page, SSW_PAGE_CODE, ssw_compose_arm_name(composer, 0));
    write(composer, " alone, nothing to compare with: ");
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s ", ssw_metric_describe(metric)->name);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_mean(composer, 0, metric),
                          ssw_number_format_spread(text, rate->mean, rate->sd));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " tokens/s (N = %zu).", rate->n);
}

void ssw_compose_verdict(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    ssw_report_worth worth = ssw_compose_worth(analysis);
    bool refuted = ssw_analysis_offload_is_refuted(analysis->proof);
    ssw_page_block *block = ssw_page_add(composer->page, SSW_PAGE_VERDICT);
    if (worth == SSW_REPORT_INVALID || worth == SSW_REPORT_SERVER_FAILED)
        block->tone = SSW_PAGE_BAD;
    write_failures(composer);
    if (refuted)
        ssw_compose_offload(composer);
    if (analysis->n_arms == 1)
        write_single(composer);
    size_t first = ssw_compose_is_sweep(analysis) ? analysis->evidence->manifest.plan.sweep.n : 1;
    if (first > 1)
        ssw_compose_sweep_verdict(composer);
    for (size_t arm = first; arm < analysis->n_arms; arm++)
        write_arm_sentence(composer, arm);
    ssw_compose_token_verdict(composer);
    ssw_compose_quality_verdict(composer);
    if (!refuted)
        ssw_compose_offload(composer);
    for (size_t arm = first; arm < analysis->n_arms; arm++) {
        if (!analysis->arms[arm].same_as_first)
            write_limits(composer, arm);
    }
    ssw_compose_noise(composer);
}

static void add_metric_tile(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    const ssw_summary *first = &analysis->arms[0].metrics[metric],
                      *second = &analysis->arms[arm].metrics[metric];
    const ssw_comparison *comparison = &analysis->arms[arm].comparisons[metric];
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s", traits->name, traits->unit);
    ssw_page_cell_add(composer->page, false, ssw_compose_tone(comparison, metric));
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_mean(composer, 0, metric),
                          ssw_number_format(text, first->mean, ssw_number_decimals(first->mean, first->sd)));
    write(composer, " → ");
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN, ssw_compose_mean(composer, arm, metric),
        ssw_number_format(text, second->mean, ssw_number_decimals(second->mean, second->sd)));
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    write(composer, comparison->verdict == SSW_VERDICT_NOT_SHOWN ? "no difference shown"
                    : comparison->verdict == SSW_VERDICT_TOO_FEW
                        ? ssw_compose_too_few(comparison)
                        : ssw_number_format_change(text, comparison->by_pair.ratio, "higher", "lower"));
    write(composer, "; ratio ");
    write(composer,
          ssw_number_format_interval(text, comparison->by_pair.ci_low, comparison->by_pair.ci_high));
}

static void add_memory_tile(ssw_composer *composer, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    if (memory == SSW_MEMORY_COUNT)
        return;
    const ssw_memory_comparison *comparison =
        &analysis->arms[arm].memory_comparisons[memory][SSW_PHASE_LOADED];
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s after load, MiB", ssw_memory_name(memory));
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    for (int side = 0; side < 2; side++) {
        size_t which = side ? arm : 0;
        write(composer, side ? " → " : "");
        ssw_page_write_figure(
            composer->page, SSW_PAGE_PLAIN,
            ssw_compose_memory_mean(composer, which, memory, SSW_PHASE_LOADED),
            ssw_number_format_mib(text, analysis->arms[which].memory.phases[memory][SSW_PHASE_LOADED].mean));
    }
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    double reduction = ssw_stats_reduction_percent(comparison->ratio.ratio);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, add_reduction(composer, arm, memory),
                          ssw_number_format(text, fabs(reduction), 1));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %% %s; %zu pairs of server starts",
                   reduction < 0 ? "more" : "less", comparison->ratio.n);
}

void ssw_compose_tiles(ssw_composer *composer)
{
    size_t first =
        ssw_compose_is_sweep(composer->analysis) ? composer->analysis->n_arms : 1; /* its table follows */
    for (size_t arm = first; arm < composer->analysis->n_arms; arm++) {
        if (composer->analysis->arms[arm].same_as_first) /* its figures are in the tables */
            continue;
        if (composer->analysis->n_arms > 2) {
            ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
            ssw_page_write(composer->page, SSW_PAGE_STRONG, ssw_compose_arm_name(composer, arm));
        }
        ssw_page_add(composer->page, SSW_PAGE_TILES);
        add_memory_tile(composer, arm);
        add_metric_tile(composer, arm, SSW_METRIC_DECODE_RATE);
        add_metric_tile(composer, arm, SSW_METRIC_TPS);
        add_metric_tile(composer, arm, SSW_METRIC_TTFT);
    }
}
