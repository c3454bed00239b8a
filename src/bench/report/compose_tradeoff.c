/* What the memory buys: a sweep's sentences, the table of arms as points of memory and speed, and what a
 * longer prompt costs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/compose.h"

#define BYTES_PER_GIB 1073741824.0

static void write(ssw_composer *composer, const char *text)
{
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static void head(ssw_composer *composer, const char *text)
{
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, text);
}

bool ssw_compose_is_sweep(const ssw_analysis *analysis)
{
    return analysis->evidence->manifest.plan.sweep.n > 1;
}

/* "a → b" of two arms' means. */
static void write_means(ssw_composer *composer, size_t from, size_t to, ssw_metric metric)
{
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    const size_t arms[] = {from, to};
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "; %s ", traits->name);
    for (int i = 0; i < 2; i++) {
        const ssw_summary *summary = &composer->analysis->arms[arms[i]].metrics[metric];
        ssw_number_text text;
        write(composer, i ? " → " : "");
        ssw_page_write_figure(
            composer->page, SSW_PAGE_STRONG, ssw_compose_mean(composer, arms[i], metric),
            ssw_number_format(text, summary->mean, ssw_number_decimals(summary->mean, summary->sd)));
    }
    const ssw_ratio *ratio = &composer->analysis->arms[to].comparisons[metric].by_pair;
    double half = (ratio->ci_high - ratio->ci_low) / 2;
    ssw_number_text text;
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s (ratio ", traits->unit);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, ssw_compose_ratio(composer, to, metric),
                          ssw_number_format(text, ratio->ratio, ssw_number_decimals(ratio->ratio, half)));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s)",
                   ssw_number_format_interval(text, ratio->ci_low, ratio->ci_high));
}

static const ssw_figure *add_highest(ssw_composer *composer, size_t arm, ssw_memory memory)
{
    ssw_figure figure =
        ssw_compose_plain(composer->analysis->tradeoffs[arm].highest_bytes, "bytes",
                          "highest reading after load over all server starts",
                          composer->analysis->arms[arm].memory.phases[memory][SSW_MEMORY_PEAK].n);
    return ssw_figures_put(composer->figures, &figure, "memory.%s.highest.%s", ssw_memory_key(memory),
                           ssw_compose_arm_name(composer, arm));
}

static const ssw_figure *add_price(ssw_composer *composer, size_t arm)
{
    const ssw_summary *price = &composer->analysis->tradeoffs[arm].exchange;
    const ssw_figure figure =
        ssw_compose_spread(price, "ms per token and GiB",
                           "mean over blocks of (mean over prompts of 1000 / rate − that of "
                           "the first arm) / GiB saved after load");
    return ssw_figures_put(composer->figures, &figure, "exchange.%s.ms_per_token_per_gib",
                           ssw_compose_arm_name(composer, arm));
}

void ssw_compose_write_price(ssw_composer *composer, size_t arm)
{
    const ssw_summary *price = &composer->analysis->tradeoffs[arm].exchange;
    ssw_number_text text;
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN, add_price(composer, arm),
        ssw_number_format(text, price->mean,
                          ssw_number_decimals(price->mean, (price->ci_high - price->ci_low) / 2)));
    if (price->n > 1)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s",
                       ssw_number_format_interval(text, price->ci_low, price->ci_high));
    write(composer, " ms per token");
}

static void write_fit(ssw_composer *composer, ssw_memory memory)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_plan *plan = &analysis->evidence->manifest.plan;
    size_t arm = ssw_analysis_find_fit(analysis);
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    if (arm == analysis->n_arms) {
        ssw_page_write(composer->page, SSW_PAGE_STRONG, "No value");
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " of the sweep fits in %s MiB of %s.",
                       ssw_number_format_mib(text, (double)plan->fit_bytes), ssw_memory_name(memory));
        return;
    }
    const ssw_summary *rate = &analysis->arms[arm].metrics[ssw_analysis_headline_rate(analysis)];
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "The smallest value that fits in %s MiB is ",
                   ssw_number_format_mib(text, (double)plan->fit_bytes));
    ssw_page_print(composer->page, SSW_PAGE_STRONG, "%.40s", plan->sweep.values[arm]);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (%s at most ", ssw_memory_name(memory));
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, add_highest(composer, arm, memory),
                          ssw_number_format_mib(text, analysis->tradeoffs[arm].highest_bytes));
    write(composer, " MiB), with ");
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_compose_mean(composer, arm, ssw_analysis_headline_rate(analysis)),
                          ssw_number_format(text, rate->mean, ssw_number_decimals(rate->mean, rate->sd)));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " %s %s.",
                   ssw_number_format_interval(text, rate->ci_low, rate->ci_high),
                   ssw_metric_describe(ssw_analysis_headline_rate(analysis))->unit);
}

void ssw_compose_sweep_verdict(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_plan_sweep *sweep = &analysis->evidence->manifest.plan.sweep;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    size_t last = sweep->n - 1;
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_CODE, "%.60s", sweep->flag);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " from %.40s to %.40s: ", sweep->values[0],
                   sweep->values[last]);
    if (memory != SSW_MEMORY_COUNT) {
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s after load ", ssw_memory_name(memory));
        for (size_t arm = 0; arm <= last; arm += last) {
            write(composer, arm ? " → " : "");
            ssw_page_write_figure(
                composer->page, SSW_PAGE_STRONG,
                ssw_compose_memory_mean(composer, arm, memory, SSW_PHASE_LOADED),
                ssw_number_format_mib(text,
                                      analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean));
        }
        write(composer, " MiB");
    }
    write_means(composer, 0, last, ssw_analysis_headline_rate(analysis));
    write_means(composer, 0, last, SSW_METRIC_TTFT);
    write(composer, ".");
    if (analysis->tradeoffs[last].exchange.n > 0) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "At %.40s each GiB saved costs ", sweep->values[last]);
        ssw_compose_write_price(composer, last);
        write(composer, ".");
    }
    if (analysis->evidence->manifest.plan.fit_bytes && memory != SSW_MEMORY_COUNT)
        write_fit(composer, memory);
}

static void add_mean_cell(ssw_composer *composer, const ssw_figure *figure, const ssw_summary *summary)
{
    ssw_number_text text;
    double half = (summary->ci_high - summary->ci_low) / 2;
    ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL, figure,
                         ssw_number_format(text, summary->mean, ssw_number_decimals(summary->mean, half)));
    if (summary->n < 2)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT,
                   ssw_number_format_interval(text, summary->ci_low, summary->ci_high));
}

static void add_front_cell(ssw_composer *composer, size_t arm, size_t dominated_by)
{
    ssw_page_cell_add(composer->page, false, dominated_by == arm ? SSW_PAGE_GOOD : SSW_PAGE_QUIET);
    write(composer, dominated_by == arm ? "on it" : "behind ");
    if (dominated_by != arm)
        write(composer, ssw_compose_arm_name(composer, dominated_by));
}

static void add_arm_row(ssw_composer *composer, size_t arm, ssw_memory memory)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_tradeoff *tradeoff = &analysis->tradeoffs[arm];
    ssw_metric rate = ssw_analysis_headline_rate(analysis);
    int64_t fit_bytes = analysis->evidence->manifest.plan.fit_bytes;
    ssw_number_text text;
    head(composer, ssw_compose_arm_name(composer, arm));
    ssw_page_cell_number(
        composer->page, SSW_PAGE_NEUTRAL, ssw_compose_memory_mean(composer, arm, memory, SSW_PHASE_LOADED),
        ssw_number_format_mib(text, analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean));
    ssw_page_cell_number(composer->page,
                         fit_bytes == 0                                 ? SSW_PAGE_NEUTRAL
                         : tradeoff->highest_bytes <= (double)fit_bytes ? SSW_PAGE_GOOD
                                                                        : SSW_PAGE_BAD,
                         add_highest(composer, arm, memory),
                         ssw_number_format_mib(text, tradeoff->highest_bytes));
    add_mean_cell(composer, ssw_compose_mean(composer, arm, rate), &analysis->arms[arm].metrics[rate]);
    add_mean_cell(composer, ssw_compose_mean(composer, arm, SSW_METRIC_TTFT),
                  &analysis->arms[arm].metrics[SSW_METRIC_TTFT]);
    if (tradeoff->exchange.n > 0)
        add_mean_cell(composer, add_price(composer, arm), &tradeoff->exchange);
    else
        ssw_page_cell_number(composer->page, SSW_PAGE_QUIET, NULL, "–");
    add_front_cell(composer, arm, tradeoff->rate_dominated_by);
    add_front_cell(composer, arm, tradeoff->ttft_dominated_by);
}

void ssw_compose_tradeoff(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    size_t n_different = analysis->n_arms - (ssw_analysis_find_same(analysis) > 0);
    if (memory == SSW_MEMORY_COUNT || (n_different < 3 && !ssw_compose_is_sweep(analysis)))
        return;
    const ssw_metric_traits *rate = ssw_metric_describe(ssw_analysis_headline_rate(analysis));
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    write(composer, "What the memory buys");
    ssw_page_add_table(composer->page, 8);
    head(composer, "arm");
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s after load, MiB", ssw_memory_name(memory));
    head(composer, "highest, MiB");
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s", rate->name, rate->unit);
    head(composer, "TTFT, ms");
    head(composer, "ms per token for each GiB saved");
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Pareto front, by %s", rate->name);
    head(composer, "Pareto front, by TTFT");
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (!analysis->arms[arm].same_as_first)
            add_arm_row(composer, arm, memory);
    }
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(
        composer->page, SSW_PAGE_FAINT,
        "Brackets hold 95 % intervals. An arm is behind another that is at least as good in memory and "
        "speed by the means, and in one of them better beyond its 95 % interval. The price of a GiB is "
        "relative to the first arm, and is given only where memory was shown to be saved.");
}

/* Prompts in the order of their length. */
static const size_t *sort_prompts(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    size_t *order = ssw_arena_alloc(composer->page->arena, analysis->n_prompts, sizeof *order);
    for (size_t i = 0; order && i < analysis->n_prompts; i++) {
        size_t place = i;
        for (; place > 0 && ssw_analysis_prompt_tokens(analysis, order[place - 1]) >
                                ssw_analysis_prompt_tokens(analysis, i);
             place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
    return order;
}

static void add_overhead_cell(ssw_composer *composer, size_t arm, size_t prompt, ssw_metric metric)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_comparison *comparison =
        &analysis->prompts[arm * analysis->n_prompts + prompt].comparisons[metric];
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    bool is_a_rate = traits->better == SSW_BETTER_HIGHER;
    double low = ssw_stats_overhead_percent(
        is_a_rate ? comparison->by_pair.ci_high : comparison->by_pair.ci_low, is_a_rate);
    double high = ssw_stats_overhead_percent(
        is_a_rate ? comparison->by_pair.ci_low : comparison->by_pair.ci_high, is_a_rate);
    ssw_figure figure = {.value = ssw_stats_overhead_percent(comparison->by_pair.ratio, is_a_rate),
                         .unit = "%",
                         .formula = is_a_rate ? "(1 / ratio − 1) · 100, this prompt's runs"
                                              : "(ratio − 1) · 100, this prompt's runs",
                         .n = comparison->by_pair.n,
                         .sd = NAN,
                         .ci_low = low,
                         .ci_high = high};
    ssw_number_text text;
    ssw_page_cell_number(composer->page, ssw_compose_tone(comparison, metric),
                         ssw_figures_put(composer->figures, &figure, "%s.%s.%s.overhead_percent", traits->key,
                                         ssw_compose_arm_name(composer, arm),
                                         ssw_compose_prompt_name(composer, prompt)),
                         ssw_number_format(text, figure.value, fabs(figure.value) < 10 ? 1 : 0));
    ssw_page_write(composer->page, SSW_PAGE_FAINT, " ");
    ssw_page_write(composer->page, SSW_PAGE_FAINT, ssw_number_format_interval(text, low, high));
}

static void write_slope(ssw_composer *composer, size_t arm)
{
    const ssw_length_cost *cost = &composer->analysis->length_costs[arm];
    ssw_number_text text;
    ssw_figure figure = {
        .value = cost->ms_per_token,
        .unit = "ms per prompt token",
        .formula = "slope of TTFT − the first arm's against prompt tokens, least squares over pairs",
        .n = cost->n,
        .sd = NAN,
        .ci_low = cost->ci_low,
        .ci_high = cost->ci_high};
    const ssw_figure *kept = ssw_figures_put(composer->figures, &figure, "ttft.%s.ms_per_prompt_token",
                                             ssw_compose_arm_name(composer, arm));
    if (cost->n == 0 || !kept)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(composer->page, SSW_PAGE_CODE, ssw_compose_arm_name(composer, arm));
    write(composer, ": each further prompt token adds ");
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN, kept,
        ssw_number_format(text, cost->ms_per_token,
                          ssw_number_decimals(cost->ms_per_token, (cost->ci_high - cost->ci_low) / 2)));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, " ms %s to TTFT, beyond what it adds on the first arm.",
                   ssw_number_format_interval(text, cost->ci_low, cost->ci_high));
}

void ssw_compose_lengths(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    const size_t *order = sort_prompts(composer);
    if (analysis->n_arms < 2 || analysis->length_costs[1].n == 0 || !order)
        return;
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    write(composer, "Overhead against prompt length");
    ssw_page_add_table(composer->page, 5);
    head(composer, "prompt");
    head(composer, "tokens, as prefilled");
    head(composer, "arm");
    head(composer, "TTFT overhead, %");
    head(composer, "time per token overhead, %");
    for (size_t i = 0; i < analysis->n_prompts; i++) {
        for (size_t arm = 1; arm < analysis->n_arms; arm++) {
            double tokens = ssw_analysis_prompt_tokens(analysis, order[i]);
            ssw_figure figure =
                ssw_compose_plain(tokens, "tokens", "usage.prompt_tokens; without it the text's", 1);
            ssw_number_text text;
            head(composer, arm == 1 ? ssw_compose_prompt_name(composer, order[i]) : "");
            ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL,
                                 ssw_figures_put(composer->figures, &figure, "prefilled_tokens.%s",
                                                 ssw_compose_prompt_name(composer, order[i])),
                                 arm == 1 ? ssw_number_format(text, tokens, 0) : "");
            head(composer, ssw_compose_arm_name(composer, arm));
            add_overhead_cell(composer, arm, order[i], SSW_METRIC_TTFT);
            add_overhead_cell(composer, arm, order[i], ssw_analysis_headline_rate(analysis));
        }
    }
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    for (size_t arm = 1; arm < analysis->n_arms; arm++)
        write_slope(composer, arm);
}
