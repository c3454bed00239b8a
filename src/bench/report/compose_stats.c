/* How far each comparison can be trusted: both kinds of interval, the tests, the noise floor, what was
 * decided on the way. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

static const double PLANNED_RATIO =
    1.05; /* the change for which a reader is told how many blocks would show it */

static const ssw_metric shown[] = {SSW_METRIC_DECODE_RATE, SSW_METRIC_TPS, SSW_METRIC_TTFT, SSW_METRIC_E2E};
enum { N_SHOWN = sizeof shown / sizeof shown[0] };

static void write(ssw_composer *composer, const char *text)
{
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, text);
}

static const ssw_figure *put_plain(ssw_composer *composer, size_t arm, ssw_metric metric, const char *name,
                                   ssw_figure figure)
{
    return ssw_figures_put(composer->figures, &figure, "%s.%s.%s", ssw_metric_describe(metric)->key,
                           ssw_compose_arm_name(composer, arm), name);
}

const ssw_figure *ssw_compose_detectable(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    return put_plain(
        composer, arm, metric, "detectable_percent",
        ssw_compose_plain((comparison->detectable - 1) * 100, "%",
                          "smallest true change that 80 runs of 100 would show, by pair and by block",
                          comparison->by_pair.n));
}

static const ssw_figure *put_noise_floor(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *same = &composer->analysis->arms[arm].comparisons[metric];
    return put_plain(
        composer, arm, metric, "noise_floor_percent",
        ssw_compose_plain((ssw_stats_noise_floor(same) - 1) * 100, "%",
                          "exp(half the A/A interval of ln ratio, the wider of pairs' and blocks') − 1; "
                          "its farther end where it leaves 1",
                          same->by_pair.n));
}

static void write_percent(ssw_composer *composer, const ssw_figure *figure)
{
    ssw_number_text text;
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, figure,
                          ssw_number_format_percent(text, figure ? figure->value : NAN));
    write(composer, " %");
}

void ssw_compose_noise(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    size_t same = ssw_analysis_find_same(analysis);
    const ssw_metric metrics[] = {ssw_analysis_headline_rate(analysis), SSW_METRIC_TTFT};
    if (!same || isnan(ssw_stats_noise_floor(&analysis->arms[same].comparisons[metrics[0]])))
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    write(composer, "Noise floor, from the A/A arm: ");
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s%s ", i ? ", " : "",
                       ssw_metric_describe(metrics[i])->name);
        write_percent(composer, put_noise_floor(composer, same, metrics[i]));
        write(composer, " (this N shows ");
        write_percent(composer, ssw_compose_detectable(composer, same, metrics[i]));
        write(composer, " at best)");
    }
    write(composer, "; no verdict here claims less.");
}

static void add_interval(ssw_composer *composer, const ssw_figure *figure, double low, double high)
{
    ssw_number_text text;
    if (!figure || isnan(low)) {
        ssw_page_cell_number(composer->page, SSW_PAGE_QUIET, NULL, "–");
        return;
    }
    ssw_page_cell_number(
        composer->page, SSW_PAGE_NEUTRAL, figure,
        ssw_number_format(text, figure->value, ssw_number_decimals(figure->value, (high - low) / 2)));
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, ssw_number_format_interval(text, low, high));
}

static void add_bca(ssw_composer *composer, size_t arm, ssw_metric metric, const ssw_ratio *ratio,
                    const ssw_bca *bca, const char *name)
{
    const ssw_figure figure = {.value = isnan(bca->ci_low) ? NAN : ratio->ratio,
                               .unit = "",
                               .formula =
                                   "BCa bootstrap of the mean ln ratio, 2000 resamples from the run's seed",
                               .n = bca->n,
                               .sd = NAN,
                               .ci_low = bca->ci_low,
                               .ci_high = bca->ci_high};
    add_interval(composer, put_plain(composer, arm, metric, name, figure), bca->ci_low, bca->ci_high);
}

static void add_t(ssw_composer *composer, size_t arm, ssw_metric metric, const ssw_ratio *ratio,
                  const char *name, const char *formula)
{
    const ssw_figure figure = {.value = isnan(ratio->ci_low) ? NAN : ratio->ratio,
                               .unit = "",
                               .formula = formula,
                               .n = ratio->n,
                               .sd = ratio->log_sd,
                               .ci_low = ratio->ci_low,
                               .ci_high = ratio->ci_high};
    add_interval(composer, put_plain(composer, arm, metric, name, figure), ratio->ci_low, ratio->ci_high);
}

static void add_p(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    ssw_number_text text;
    const ssw_figure *figure =
        put_plain(composer, arm, metric, "p_holm",
                  ssw_compose_plain(comparison->p_holm, "",
                                    "larger p of the t tests over pairs and blocks, Holm over the arms",
                                    comparison->by_pair.n));
    snprintf(text, sizeof text, "%.2g", comparison->p_holm);
    ssw_page_cell_number(composer->page, SSW_PAGE_NEUTRAL, figure, figure ? text : "–");
    if (isnan(comparison->equivalence_p))
        return;
    figure = put_plain(
        composer, arm, metric, "equivalence_p",
        ssw_compose_plain(comparison->equivalence_p, "",
                          "larger p of two one-sided t tests against the margin, over pairs and blocks",
                          comparison->by_pair.n));
    snprintf(text, sizeof text, "%.2g", comparison->equivalence_p);
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "TOST ");
    ssw_page_write_figure(composer->page, SSW_PAGE_FAINT, figure, text);
}

/* What this scatter can show: now, and with how many blocks 5 %. */
static void add_power(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    bool by_block = comparison->by_block.n >= 2;
    const ssw_ratio *unit = by_block ? &comparison->by_block : &comparison->by_pair;
    size_t needed = ssw_stats_needed_values(PLANNED_RATIO, unit->log_sd, unit->df);
    ssw_number_text text;
    ssw_page_cell_add(composer->page, true, SSW_PAGE_NEUTRAL);
    if (comparison->by_pair.n < 2) {
        write(composer, "–");
        return;
    }
    write_percent(composer, ssw_compose_detectable(composer, arm, metric));
    const ssw_figure *figure = put_plain(
        composer, arm, metric, "needed_for_5_percent",
        ssw_compose_plain(needed ? (double)needed : NAN, by_block ? "blocks" : "pairs",
                          "smallest N that shows a true 5 % in 80 runs of 100, by the upper 80 % limit of σ",
                          unit->n));
    if (!figure)
        return;
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "5 % needs ");
    ssw_page_write_figure(composer->page, SSW_PAGE_FAINT, figure, ssw_number_format(text, (double)needed, 0));
    ssw_page_write(composer->page, SSW_PAGE_FAINT, by_block ? " blocks" : " pairs");
}

static void add_row(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s, %s", ssw_metric_describe(metric)->name,
                   ssw_compose_arm_name(composer, arm));
    if (composer->analysis->arms[arm].same_as_first)
        ssw_page_write(composer->page, SSW_PAGE_FAINT, " (A/A)");
    add_t(composer, arm, metric, &comparison->by_pair, "ratio_t",
          "Student's interval of the mean ln ratio over pairs");
    add_t(composer, arm, metric, &comparison->by_block, "ratio_by_block_t",
          "Student's interval of the mean ln ratio over blocks");
    add_bca(composer, arm, metric, &comparison->by_pair, &comparison->bca_pair, "ratio_bca");
    add_bca(composer, arm, metric, &comparison->by_block, &comparison->bca_block, "ratio_by_block_bca");
    add_p(composer, arm, metric);
    ssw_page_cell_add(composer->page, true, SSW_PAGE_NEUTRAL);
    if (composer->analysis->arms[arm].same_as_first && isfinite(ssw_stats_noise_floor(comparison)))
        write_percent(composer, put_noise_floor(composer, arm, metric));
    else
        write(composer, "–");
    add_power(composer, arm, metric);
}

/* Where the two kinds of interval say different things about 1, a reader must know. */
static void write_disagreement(ssw_composer *composer, size_t arm, ssw_metric metric)
{
    const ssw_comparison *comparison = &composer->analysis->arms[arm].comparisons[metric];
    const ssw_bca *bca =
        comparison->by_block.n >= SSW_BOOTSTRAP_VALUES_MIN ? &comparison->bca_block : &comparison->bca_pair;
    bool claimed = comparison->verdict == SSW_VERDICT_HIGHER || comparison->verdict == SSW_VERDICT_LOWER;
    if (!claimed || isnan(bca->ci_low) || bca->ci_low > 1 || bca->ci_high < 1)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(
        composer->page, SSW_PAGE_PLAIN,
        "%s of %s: the t intervals leave 1, the bootstrap's does not; the scatter is skewed or an outlier "
        "weighs much.",
        ssw_metric_describe(metric)->name, ssw_compose_arm_name(composer, arm));
}

/* "decode rate" for "decode_rate"; an unknown key is shown as it is. */
static const char *name_of(const char *key)
{
    for (int metric = 0; key && metric < SSW_METRIC_COUNT; metric++) {
        if (strcmp(ssw_metric_describe(metric)->key, key) == 0)
            return ssw_metric_describe(metric)->name;
    }
    return key ? key : "?";
}

static void write_looks(ssw_composer *composer)
{
    const ssw_evidence *evidence = composer->analysis->evidence;
    const ssw_plan *plan = &evidence->manifest.plan;
    if (plan->precision <= 0)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(
        composer->page, SSW_PAGE_PLAIN,
        "Stopping: asked for ± %.3g %%, first look after %d blocks, then after every second, at most %d. "
        "Intervals over blocks take t with %d degrees of freedom, however many blocks there are.",
        plan->precision * 100, ssw_plan_first_look(plan), plan->runs, ssw_plan_first_look(plan) - 1);
    for (size_t i = 0; i < evidence->n_looks; i++) {
        const ssw_look *look = &evidence->looks[i];
        if (look->half_width < 0)
            continue;
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " After %d: ", look->block + 1);
        ssw_figure figure =
            ssw_compose_plain(look->half_width * 100, "%",
                              "√(upper / lower end) − 1 of the widest interval over blocks, as seen "
                              "while the run went on",
                              (size_t)look->block + 1);
        write_percent(composer, ssw_figures_put(composer->figures, &figure, "look.%d.half_width_percent",
                                                look->block + 1));
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (%.40s of %.40s)%s", name_of(look->metric),
                       look->arm ? look->arm : "?", look->stop ? ", enough." : ",");
    }
    if (ssw_evidence_count_runs(evidence) == plan->runs)
        write(composer, " The run went to its last block.");
}

static void write_left_out(ssw_composer *composer)
{
    const ssw_left_out *left_out = &composer->analysis->evidence->left_out;
    if (!left_out->arm)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(
        composer->page, SSW_PAGE_PLAIN,
        "The A/A arm %.40s took no part after block %d: its start there took %.0f s, and the rest of the run "
        "would have exceeded %.0f s. So there is no noise floor.",
        left_out->arm, left_out->from_block, (double)left_out->cost_ns / 1e9,
        (double)left_out->limit_ns / 1e9);
}

void ssw_compose_statistics(ssw_composer *composer)
{
    static const char *const heads[] = {
        "ratio to the first arm", "t, pairs",     "t, blocks", "BCa, pairs", "BCa, blocks", "p, Holm",
        "A/A noise floor",        "shows at best"};
    const ssw_analysis *analysis = composer->analysis;
    if (analysis->n_arms < 2)
        return;
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    write(composer, "How sure");
    ssw_page_add_table(composer->page, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, heads[i]);
    for (size_t i = 0; i < N_SHOWN; i++) {
        for (size_t arm = 1; arm < analysis->n_arms; arm++)
            add_row(composer, arm, shown[i]);
    }
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    write(composer,
          "The t intervals decide, over pairs and over blocks: a difference is claimed where Holm's p is at "
          "most "
          "0.05, both leave 1 on the same side, and the ratio is farther from 1 than the noise floor. The "
          "bootstrap is a second opinion, from five values on.");
    write_looks(composer);
    write_left_out(composer);
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        for (size_t i = 0; i < N_SHOWN; i++)
            write_disagreement(composer, arm, shown[i]);
    }
}
