/* The tables: overall, per prompt, the prompts themselves, memory by phase. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

enum { INTERVAL_TEXT_MAX = 2 * SSW_NUMBER_TEXT_MAX, UNFOLDED_ARMS_MAX = 3 };

static void head(ssw_composer *composer, const char *text)
{
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, text);
}

static void add_heading(ssw_composer *composer, const char *text)
{
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

/* "41.30 ± 0.62" and below it the interval and N. */
static void add_summary_cell(ssw_composer *composer, const ssw_figure *figure, const ssw_summary *summary)
{
    ssw_number_text text;
    ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL, figure,
                         ssw_number_format_spread(text, summary->mean, summary->sd));
    if (summary->n < 2)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_print(composer->page, SSW_PAGE_FAINT, "%s N = %zu",
                   ssw_number_format_interval(text, summary->ci_low, summary->ci_high), summary->n);
}

static void add_ratio_cell(ssw_composer *composer, const ssw_figure *figure, const ssw_ratio *ratio,
                           ssw_page_tone tone)
{
    ssw_number_text text;
    double half = (ratio->ci_high - ratio->ci_low) / 2;
    ssw_page_cell_number(composer->page, tone, figure,
                         ssw_number_format(text, ratio->ratio, ssw_number_decimals(ratio->ratio, half)));
    if (ratio->n < 2)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_print(composer->page, SSW_PAGE_FAINT, "%s df = %zu",
                   ssw_number_format_interval(text, ratio->ci_low, ratio->ci_high), ratio->df);
}

static const char *verdict_text(ssw_number_text text, const ssw_comparison *comparison)
{
    switch (comparison->verdict) {
    case SSW_VERDICT_HIGHER:
    case SSW_VERDICT_LOWER:
        return ssw_number_format_change(text, comparison->by_pair.ratio, "higher", "lower");
    case SSW_VERDICT_NOT_SHOWN:
        return strcpy(text, "no difference shown");
    case SSW_VERDICT_TOO_FEW:
        break;
    }
    return strcpy(text, ssw_compose_too_few(comparison));
}

static void add_overall_comparison(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    const char *key = ssw_metric_describe(metric)->key, *arm_name = ssw_compose_arm_name(composer, arm);
    ssw_better better = ssw_metric_describe(metric)->better;
    ssw_number_text text;
    add_ratio_cell(composer, ssw_compose_ratio(composer, arm, metric), &comparison->by_pair,
                   SSW_PAGE_NEUTRAL);
    ssw_figure by_block = {.value = comparison->by_block.ratio,
                           .unit = "",
                           .formula = "exp(mean over blocks of a block's mean ln(arm / first arm))",
                           .n = comparison->by_block.n,
                           .sd = comparison->by_block.log_sd,
                           .ci_low = comparison->by_block.ci_low,
                           .ci_high = comparison->by_block.ci_high};
    const ssw_figure *block_figure =
        ssw_figures_put(composer->figures, &by_block, "%s.%s.ratio_by_block", key, arm_name);
    if (block_figure) {
        double half = (by_block.ci_high - by_block.ci_low) / 2;
        ssw_page_break_line(composer->page);
        ssw_page_write(composer->page, SSW_PAGE_FAINT, "by block ");
        ssw_page_write_figure(
            composer->page, SSW_PAGE_FAINT, block_figure,
            ssw_number_format(text, by_block.value, ssw_number_decimals(by_block.value, half)));
        ssw_page_print(composer->page, SSW_PAGE_FAINT, " %s df = %zu",
                       ssw_number_format_interval(text, by_block.ci_low, by_block.ci_high),
                       comparison->by_block.df);
    }
    ssw_page_cell_add(composer->page, false, ssw_compose_tone(comparison, metric));
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, verdict_text(text, comparison));
    if (better == SSW_BETTER_NEITHER)
        return;
    double overhead = ssw_stats_overhead_percent(comparison->by_pair.ratio, better == SSW_BETTER_HIGHER);
    ssw_figure figure = ssw_compose_plain(
        overhead, "%", better == SSW_BETTER_HIGHER ? "(1 / ratio − 1) · 100" : "(ratio − 1) · 100",
        comparison->by_pair.n);
    const ssw_figure *kept =
        ssw_figures_put(composer->figures, &figure, "%s.%s.overhead_percent", key, arm_name);
    if (!kept)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "overhead ");
    ssw_page_write_figure(composer->page, SSW_PAGE_FAINT, kept,
                          ssw_number_format(text, overhead, fabs(overhead) < 10 ? 1 : 0));
    ssw_page_write(composer->page, SSW_PAGE_FAINT, " %");
}

/* The first arm and the one beside it; arm = 0 is the first alone. Returns how many. */
static size_t side_by_side(size_t arm, size_t out[2])
{
    out[0] = 0;
    out[1] = arm;
    return arm ? 2 : 1;
}

/* Of two arms and more each has a table beside the first; those of many, and of the A/A arm, are folded away.
 */
static void add_arm_heading(ssw_composer *composer, const char *text, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    bool folded = analysis->n_arms > UNFOLDED_ARMS_MAX || analysis->arms[arm].same_as_first;
    ssw_page_add(composer->page, arm && folded ? SSW_PAGE_FOLD : SSW_PAGE_HEADING);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
    if (analysis->n_arms > 2)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, ": %s against %s", ssw_compose_arm_name(composer, arm),
                       ssw_compose_arm_name(composer, 0));
}

static void add_load_row(ssw_composer *composer, size_t arm)
{
    size_t shown[2], n_shown = side_by_side(arm, shown);
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, "load time, ms");
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "GET /health says 200 − spawn");
    for (size_t i = 0; i < n_shown; i++) {
        const ssw_summary *load = &composer->analysis->arms[shown[i]].load_ms;
        ssw_figure figure = ssw_compose_spread(load, "ms", "GET /health says 200 − spawn");
        add_summary_cell(composer,
                         ssw_figures_put(composer->figures, &figure, "load_time.%s.mean",
                                         ssw_compose_arm_name(composer, shown[i])),
                         load);
    }
    if (arm) {
        ssw_page_cell_number(composer->page, SSW_PAGE_QUIET, NULL, "–");
        ssw_page_cell_text(composer->page, SSW_PAGE_FAINT, "not judged");
    }
}

static void add_overall_table(ssw_composer *composer, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    size_t shown[2], n_shown = side_by_side(arm, shown);
    add_arm_heading(composer, "Overall", arm);
    ssw_page_add_table(composer->page, arm ? 5 : 2);
    head(composer, "metric and formula");
    for (size_t i = 0; i < n_shown; i++) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, mean ± σ [95 %%]",
                       ssw_compose_arm_name(composer, shown[i]));
    }
    if (arm) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s / %s [95 %%]", ssw_compose_arm_name(composer, arm),
                       ssw_compose_arm_name(composer, 0));
        head(composer, "verdict");
    }
    for (int metric = 0; metric < SSW_METRIC_COUNT; metric++) {
        const ssw_metric_traits *traits = ssw_metric_describe(metric);
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s", traits->name, traits->unit);
        ssw_page_break_line(composer->page);
        ssw_page_write(composer->page, SSW_PAGE_FAINT, traits->formula);
        for (size_t i = 0; i < n_shown; i++)
            add_summary_cell(composer, ssw_compose_mean(composer, shown[i], metric),
                             &analysis->arms[shown[i]].metrics[metric]);
        if (arm)
            add_overall_comparison(composer, arm, metric);
    }
    add_load_row(composer, arm);
}

static void write_overall_note(ssw_composer *composer)
{
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(composer->page, SSW_PAGE_FAINT,
                   "σ is over n − 1. Brackets hold 95 % intervals by Student's t. A pair is the same prompt "
                   "and run on both "
                   "arms; a block holds one start of each server. A difference is claimed only where both "
                   "intervals leave 1.");
}

void ssw_compose_overall(ssw_composer *composer)
{
    size_t arm = composer->analysis->n_arms > 1;
    do {
        add_overall_table(composer, arm);
        if (arm <= 1)
            write_overall_note(composer);
    } while (++arm < composer->analysis->n_arms);
}

static void add_prompt_row(ssw_composer *composer, size_t arm, size_t prompt, ssw_metric metric,
                           bool first_row)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    const char *prompt_name = ssw_compose_prompt_name(composer, prompt);
    const char *label = analysis->evidence->manifest.plan.prompts[prompt].label;
    size_t shown[2], n_shown = side_by_side(arm, shown);
    ssw_number_text text;
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, first_row ? prompt_name : "");
    if (first_row && label)
        ssw_page_print(composer->page, SSW_PAGE_FAINT, " %.40s", label);
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s", traits->name, traits->unit);
    for (size_t i = 0; i < n_shown; i++) {
        const ssw_summary *summary =
            &analysis->prompts[shown[i] * analysis->n_prompts + prompt].metrics[metric];
        ssw_figure figure = ssw_compose_spread(summary, traits->unit, traits->formula);
        ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL,
                             ssw_figures_put(composer->figures, &figure, "%s.%s.%s.mean", traits->key,
                                             ssw_compose_arm_name(composer, shown[i]), prompt_name),
                             ssw_number_format_spread(text, summary->mean, summary->sd));
    }
    if (!arm)
        return;
    const ssw_comparison *comparison =
        &analysis->prompts[arm * analysis->n_prompts + prompt].comparisons[metric];
    ssw_figure figure = {.value = comparison->by_pair.ratio,
                         .unit = "",
                         .formula = "exp(mean ln(arm / first arm)) over this prompt's runs",
                         .n = comparison->by_pair.n,
                         .sd = comparison->by_pair.log_sd,
                         .ci_low = comparison->by_pair.ci_low,
                         .ci_high = comparison->by_pair.ci_high};
    add_ratio_cell(composer,
                   ssw_figures_put(composer->figures, &figure, "%s.%s.%s.ratio", traits->key,
                                   ssw_compose_arm_name(composer, arm), prompt_name),
                   &comparison->by_pair, ssw_compose_tone(comparison, metric));
}

static void add_prompt_texts(ssw_composer *composer)
{
    const ssw_plan *plan = &composer->analysis->evidence->manifest.plan;
    ssw_page_add_table(composer->page, 5);
    head(composer, "prompt");
    head(composer, "label");
    head(composer, "text");
    head(composer, "tokens, by the model's tokenizer");
    head(composer, "tokens, as published");
    for (size_t i = 0; i < plan->n_prompts; i++) {
        const ssw_plan_prompt *prompt = &plan->prompts[i];
        ssw_number_text text;
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, prompt->id);
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, prompt->label ? prompt->label : "");
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, prompt->text);
        ssw_figure figure =
            ssw_compose_plain(prompt->tokens < 0 ? NAN : (double)prompt->tokens, "tokens",
                              "the prompt's text, tokenised whole, without the chat format", 1);
        ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL,
                             ssw_figures_put(composer->figures, &figure, "prompt_tokens.%s", prompt->id),
                             ssw_number_format(text, figure.value, 0));
        ssw_page_cell_number(
            composer->page, SSW_PAGE_QUIET, NULL,
            ssw_number_format(text, prompt->published_tokens < 0 ? NAN : (double)prompt->published_tokens,
                              0));
    }
}

static void add_prompt_table(ssw_composer *composer, size_t arm)
{
    static const ssw_metric metrics[] = {SSW_METRIC_TTFT, SSW_METRIC_DECODE_RATE, SSW_METRIC_TPS,
                                         SSW_METRIC_TOKENS};
    size_t shown[2], n_shown = side_by_side(arm, shown);
    ssw_page_add_table(composer->page, arm ? 5 : 3);
    head(composer, "prompt");
    head(composer, "metric");
    for (size_t i = 0; i < n_shown; i++)
        head(composer, ssw_compose_arm_name(composer, shown[i]));
    if (arm) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s / %s", ssw_compose_arm_name(composer, arm),
                       ssw_compose_arm_name(composer, 0));
    }
    for (size_t prompt = 0; prompt < composer->analysis->n_prompts; prompt++) {
        for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
            add_prompt_row(composer, arm, prompt, metrics[i], i == 0);
    }
}

void ssw_compose_prompts(ssw_composer *composer)
{
    size_t n_arms = composer->analysis->n_arms, arm = n_arms > 1;
    add_heading(composer, "Prompts");
    add_prompt_texts(composer);
    do {
        add_arm_heading(composer, "Per prompt", arm);
        add_prompt_table(composer, arm);
    } while (++arm < n_arms);
}

static bool was_measured(const ssw_analysis *analysis, ssw_memory memory)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].memory.phases[memory][SSW_MEMORY_PEAK].n > 0)
            return true;
    }
    return false;
}

void ssw_compose_memory(ssw_composer *composer)
{
    static const int phases[] = {SSW_PHASE_LOADED, SSW_PHASE_WARMUP, SSW_PHASE_PREFILL, SSW_PHASE_DECODE,
                                 SSW_MEMORY_PEAK};
    const ssw_analysis *analysis = composer->analysis;
    add_heading(composer, "Memory by phase, MiB");
    ssw_page_add_table(composer->page, 2 + sizeof phases / sizeof phases[0]);
    static const char *const heads[] = {"memory",       "arm",         "loaded", "warm-up peak",
                                        "prefill peak", "decode peak", "peak"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        head(composer, heads[i]);
    for (int memory = 0; memory < SSW_MEMORY_COUNT; memory++) {
        for (size_t arm = 0; arm < analysis->n_arms && was_measured(analysis, memory); arm++) {
            ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, arm == 0 ? ssw_memory_name(memory) : "");
            ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, ssw_compose_arm_name(composer, arm));
            for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
                const ssw_summary *summary = &analysis->arms[arm].memory.phases[memory][phases[i]];
                ssw_number_text text;
                if (summary->sd > 0)
                    ssw_number_format_spread(text, summary->mean / 1048576, summary->sd / 1048576);
                else
                    ssw_number_format_mib(text, summary->mean);
                ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL,
                                     ssw_compose_memory_mean(composer, arm, memory, phases[i]), text);
            }
        }
    }
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(
        composer->page, SSW_PAGE_FAINT,
        "Mean ± σ over server starts. Of each start: loaded is the median reading, a peak the highest one. ");
    ssw_page_print(composer->page, SSW_PAGE_FAINT, "Source of VRAM: %.60s.",
                   analysis->vram_source ? analysis->vram_source : "none, it was not measured");
}
