/* The order of a report's sections, and the figures that several of them print. */
#include "bench/report/compose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ssw_compose_arm_name(const ssw_composer *composer, size_t arm)
{
    return composer->analysis->evidence->manifest.arms[arm].name;
}

const char *ssw_compose_prompt_name(const ssw_composer *composer, size_t prompt)
{
    return composer->analysis->evidence->manifest.plan.prompts[prompt].id;
}

ssw_figure ssw_compose_plain(double value, const char *unit, const char *formula, size_t n)
{
    return (ssw_figure){
        .value = value, .unit = unit, .formula = formula, .n = n, .sd = NAN, .ci_low = NAN, .ci_high = NAN};
}

ssw_figure ssw_compose_spread(const ssw_summary *summary, const char *unit, const char *formula)
{
    return (ssw_figure){.value = summary->mean,
                        .unit = unit,
                        .formula = formula,
                        .n = summary->n,
                        .sd = summary->sd,
                        .ci_low = summary->ci_low,
                        .ci_high = summary->ci_high};
}

const ssw_figure *ssw_compose_mean(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_summary *summary = &composer->analysis->arms[arm].metrics[metric];
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    const ssw_figure figure = ssw_compose_spread(summary, traits->unit, traits->formula);
    return ssw_figures_put(composer->figures, &figure, "%s.%s.mean", traits->key,
                           ssw_compose_arm_name(composer, arm));
}

const ssw_figure *ssw_compose_ratio(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_ratio *ratio = &composer->analysis->arms[arm].comparisons[metric].by_pair;
    return ssw_figures_put(
        composer->figures,
        &(ssw_figure){.value = ratio->ratio,
                      .unit = "",
                      .formula = "exp(mean ln(arm / first arm)) over pairs of one prompt and run",
                      .n = ratio->n,
                      .sd = ratio->log_sd,
                      .ci_low = ratio->ci_low,
                      .ci_high = ratio->ci_high},
        "%s.%s.ratio", ssw_metric_describe(metric)->key, ssw_compose_arm_name(composer, arm));
}

const ssw_figure *ssw_compose_memory_mean(ssw_composer *composer, size_t arm, ssw_memory memory, int phase)
{
    const ssw_summary *summary = &composer->analysis->arms[arm].memory.phases[memory][phase];
    bool median = phase == SSW_PHASE_IDLE || phase == SSW_PHASE_LOADED || phase == SSW_PHASE_BETWEEN;
    const ssw_figure figure = ssw_compose_spread(summary, "bytes",
                                                 median ? "mean over server starts of the median reading"
                                                        : "mean over server starts of the highest reading");
    return ssw_figures_put(composer->figures, &figure, "memory.%s.%s.%s.mean", ssw_memory_key(memory),
                           ssw_memory_phase_key(phase), ssw_compose_arm_name(composer, arm));
}

ssw_page_tone ssw_compose_tone(const ssw_comparison *comparison, ssw_metric metric)
{
    ssw_better better = ssw_metric_describe(metric)->better;
    bool higher = comparison->verdict == SSW_VERDICT_HIGHER, lower = comparison->verdict == SSW_VERDICT_LOWER;
    if (better == SSW_BETTER_NEITHER || (!higher && !lower))
        return SSW_PAGE_NEUTRAL;
    return higher == (better == SSW_BETTER_HIGHER) ? SSW_PAGE_GOOD : SSW_PAGE_BAD;
}

const char *ssw_compose_too_few(const ssw_comparison *comparison)
{
    return comparison->by_pair.n < 2 ? "too few pairs" : "one start each: too few";
}

ssw_report_worth ssw_compose_worth(const ssw_analysis *analysis)
{
    bool too_few = analysis->n_arms > 1;
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].n_crashed)
            return SSW_REPORT_SERVER_FAILED;
        if (arm > 0 && analysis->arms[arm].comparisons[SSW_METRIC_TTFT].verdict != SSW_VERDICT_TOO_FEW)
            too_few = false;
    }
    if (analysis->n_measured < analysis->n_expected || ssw_analysis_offload_is_refuted(analysis->proof))
        return SSW_REPORT_INVALID;
    return too_few ? SSW_REPORT_INCONCLUSIVE : SSW_REPORT_MEASURED;
}

/* "--n-cpu-moe 0, 8, 16" */
static void write_sweep_name(ssw_page *page, const ssw_plan_sweep *sweep)
{
    ssw_page_print(page, SSW_PAGE_PLAIN, "%.60s", sweep->flag);
    for (size_t i = 0; i < sweep->n; i++)
        ssw_page_print(page, SSW_PAGE_PLAIN, "%s %.40s", i ? "," : "", sweep->values[i]);
}

/* "half and all against none"; an A/A arm is no treatment and stays out */
static void write_arm_names(ssw_composer *composer)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    ssw_page *page = composer->page;
    const char *between = "";
    for (size_t arm = 1; arm < manifest->n_arms; arm++) {
        if (composer->analysis->arms[arm].same_as_first && manifest->n_arms > 2)
            continue;
        ssw_page_print(page, SSW_PAGE_PLAIN, "%s%s", between, ssw_compose_arm_name(composer, arm));
        between = " and ";
    }
    ssw_page_print(page, SSW_PAGE_PLAIN, "%s%s", *between ? " against " : "",
                   ssw_compose_arm_name(composer, 0));
}

static void write_title(ssw_composer *composer)
{
    const ssw_manifest *manifest = &composer->analysis->evidence->manifest;
    ssw_page *page = composer->page;
    ssw_page_add(page, SSW_PAGE_TITLE);
    ssw_page_print(page, SSW_PAGE_PLAIN, "%.200s", manifest->model.name ? manifest->model.name : "model");
    ssw_page_write(page, SSW_PAGE_PLAIN, ": ");
    if (ssw_compose_is_sweep(composer->analysis))
        write_sweep_name(page, &manifest->plan.sweep);
    else
        write_arm_names(composer);
    ssw_page_add(page, SSW_PAGE_PARAGRAPH);
    ssw_page_print(page, SSW_PAGE_FAINT, "%.40s · %.80s · %zu prompts × %zu runs × %zu arms · ",
                   manifest->created_utc ? manifest->created_utc : "undated",
                   manifest->machine.cpu ? manifest->machine.cpu : "unknown CPU",
                   composer->analysis->n_prompts, composer->analysis->n_runs, composer->analysis->n_arms);
    ssw_page_write(page, SSW_PAGE_FAINT,
                   manifest->plan.design == SSW_PLAN_ABBA
                       ? "balanced blocks (ABBA), servers restarted between"
                       : "sequential: one arm complete, then the next");
}

static void write_plots(ssw_composer *composer)
{
    const ssw_plots *plots = composer->plots;
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        const ssw_plot *plot = &plots->plots[i];
        char *svg = ssw_plot_inline_svg(plot);
        if (!svg && !(plot->wide && plot->has_data)) /* the wide ones the page's script can draw by itself */
            continue;
        ssw_page_block *block = ssw_page_add(composer->page, SSW_PAGE_PLOT);
        block->text = svg ? ssw_arena_copy_text(composer->page->arena, svg, strlen(svg)) : NULL;
        block->name = plot->name;
        block->wide = plot->wide;
        if (svg && !block->text)
            composer->page->failed = true;
        free(svg);
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, plots->plots[i].caption);
    }
    if (!*plots->made_with) {
        ssw_page_add(composer->page, SSW_PAGE_NOTE);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "The plots were not drawn: %s.", plots->why_not);
    }
}

void ssw_compose_page(ssw_composer *composer)
{
    write_title(composer);
    ssw_compose_verdict(composer);
    ssw_compose_tiles(composer);
    write_plots(composer);
    ssw_compose_tradeoff(composer);
    ssw_compose_overall(composer);
    ssw_compose_statistics(composer);
    ssw_compose_prompts(composer);
    ssw_compose_lengths(composer);
    ssw_compose_memory(composer);
    ssw_compose_energy(composer);
    ssw_compose_quality(composer);
    ssw_compose_validity(composer);
    ssw_compose_servers(composer);
    ssw_compose_missing(composer);
    ssw_compose_replies(composer);
    ssw_compose_method(composer);
    ssw_compose_provenance(composer);
}

void ssw_compose_section(ssw_composer *composer)
{
    write_title(composer);
    ssw_compose_verdict(composer);
    ssw_compose_tradeoff(composer);
    if (!ssw_compose_is_sweep(
            composer->analysis)) { /* of a sweep that table says what these would, at length */
        ssw_compose_overall(composer);
        ssw_compose_prompts(composer);
        ssw_compose_lengths(composer);
    }
    ssw_compose_memory(composer);
    ssw_compose_energy(composer);
    ssw_compose_quality(composer);
    ssw_compose_validity(composer);
    ssw_compose_servers(composer);
    ssw_compose_missing(composer);
    ssw_compose_hashes(composer);
}
