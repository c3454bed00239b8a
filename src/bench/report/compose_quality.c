/* The section on quality: what the arms say, beside what the first arm says twice. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

enum { VERDICT_ARMS_MAX = 3 }; /* that have a sentence at the top of the page; the table has all */

static const char *arm_name(const ssw_quality *quality, size_t arm)
{
    return quality->evidence->manifest.arms[arm].name;
}

static void head(ssw_composer *composer, const char *text)
{
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, text);
}

static void add_summary(ssw_composer *composer, const ssw_quality_traits *traits, const ssw_summary *summary,
                        const char *key, const char *arm)
{
    ssw_number_text text;
    ssw_figure figure = ssw_compose_spread(summary, traits->unit, traits->formula);
    ssw_page_cell_number(
        composer->page, SSW_PAGE_NEUTRAL,
        ssw_figures_put(composer->figures, &figure, "quality.%s.%s.%s", traits->key, arm, key),
        ssw_number_format(text, summary->mean, 3));
}

static const char *verdict_of(ssw_equivalence_verdict verdict)
{
    switch (verdict) {
    case SSW_EQUIVALENCE_SHOWN:
        return "equivalent";
    case SSW_EQUIVALENCE_DIFFERENT:
        return "different";
    case SSW_EQUIVALENCE_NOT_SHOWN:
        return "not shown: too few prompts to tell";
    case SSW_EQUIVALENCE_TOO_FEW:
        break;
    }
    return "too few prompts";
}

static ssw_page_tone tone_of(const ssw_equivalence *test, const ssw_quality_traits *traits)
{
    if (test->verdict == SSW_EQUIVALENCE_SHOWN)
        return SSW_PAGE_GOOD;
    if (test->verdict != SSW_EQUIVALENCE_DIFFERENT)
        return SSW_PAGE_QUIET;
    return (test->mean > 0) == traits->higher_better ? SSW_PAGE_GOOD : SSW_PAGE_BAD;
}

static void add_test(ssw_composer *composer, const ssw_quality_traits *traits, const ssw_equivalence *test,
                     const char *arm)
{
    ssw_number_text text;
    ssw_figure difference = {.value = test->mean,
                             .unit = traits->unit,
                             .formula = "mean over prompts of (arm − null); interval 90 %",
                             .n = test->n,
                             .sd = test->sd,
                             .ci_low = test->ci_low,
                             .ci_high = test->ci_high};
    ssw_page_cell_number(
        composer->page, SSW_PAGE_NEUTRAL,
        ssw_figures_put(composer->figures, &difference, "quality.%s.%s.difference", traits->key, arm),
        ssw_number_format(text, test->mean, 3));
    if (test->n >= 2) {
        ssw_page_break_line(composer->page);
        ssw_page_print(composer->page, SSW_PAGE_FAINT, "%s N = %zu",
                       ssw_number_format_interval(text, test->ci_low, test->ci_high), test->n);
    }
    ssw_page_cell_add(composer->page, false, tone_of(test, traits));
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, verdict_of(test->verdict));
    if (test->n < 2)
        return;
    ssw_figure p = ssw_compose_plain(test->p, "", "the larger p of two one-sided t tests (TOST)", test->n);
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, "p = ");
    ssw_page_write_figure(composer->page, SSW_PAGE_FAINT,
                          ssw_figures_put(composer->figures, &p, "quality.%s.%s.tost_p", traits->key, arm),
                          ssw_number_format(text, test->p, 3));
}

static void add_row(ssw_composer *composer, const ssw_quality *quality, size_t arm,
                    ssw_quality_measure measure)
{
    const ssw_quality_traits *traits = ssw_quality_describe(measure);
    const ssw_quality_result *result = &quality->arms[arm].results[measure];
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    if (measure == SSW_QUALITY_PASS_N)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "pass@%d", quality->n_runs);
    else
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, traits->name);
    if (*traits->unit)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, ", %s", traits->unit);
    ssw_page_break_line(composer->page);
    ssw_page_write(composer->page, SSW_PAGE_FAINT, traits->formula);
    ssw_page_cell_text(composer->page, SSW_PAGE_PLAIN, arm_name(quality, arm));
    add_summary(composer, traits, &result->null, "null", arm_name(quality, arm));
    add_summary(composer, traits, &result->arm, "mean", arm_name(quality, arm));
    add_test(composer, traits, &result->test, arm_name(quality, arm));
}

/* Measures that some arm has; pass@n says nothing beside pass@1 when there is one sample. */
static bool is_shown(const ssw_quality *quality, ssw_quality_measure measure)
{
    return quality->arms[quality->null_arm].results[measure].arm.n > 0 &&
           !(measure == SSW_QUALITY_PASS_N && quality->n_runs == 1);
}

static void add_table(ssw_composer *composer, const ssw_quality *quality)
{
    static const char *const heads[] = {"measure and formula",
                                        "arm",
                                        "first arm, or first arm against itself",
                                        "arm, or arm against first",
                                        "difference [90 %]",
                                        "within the margin?"};
    enum { N_HEADS = sizeof heads / sizeof *heads };
    ssw_page_add_table(composer->page, N_HEADS);
    for (size_t i = 0; i < N_HEADS; i++)
        head(composer, heads[i]);
    for (int m = 0; m < SSW_QUALITY_COUNT; m++) {
        for (size_t arm = 1; arm < quality->n_arms && is_shown(quality, (ssw_quality_measure)m); arm++) {
            /* a pair measure of the null arm would be compared with itself */
            if (arm != quality->null_arm || !ssw_quality_describe((ssw_quality_measure)m)->of_pairs)
                add_row(composer, quality, arm, (ssw_quality_measure)m);
        }
    }
}

static void write_count(ssw_composer *composer, int value, const char *formula, const char *arm,
                        const char *key)
{
    ssw_number_text text;
    ssw_figure figure = ssw_compose_plain(value, "", formula, 1);
    ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN,
                          ssw_figures_put(composer->figures, &figure, "quality.%s.%s", key, arm),
                          ssw_number_format(text, value, 0));
}

/* "offload against baseline: 12 of 40 pairs are equal token for token; the others part at token 31 (median)."
 */
static void add_divergence(ssw_composer *composer, const ssw_quality *quality, size_t arm)
{
    const ssw_quality_arm *results = &quality->arms[arm];
    const char *name = arm_name(quality, arm);
    ssw_number_text text;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "First divergence, %s against %s%s: ", name,
                   arm_name(quality, 0), arm == quality->null_arm ? " (the null)" : "");
    if (results->n_pairs == 0) {
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, "unknown, since the replies were not tokenised.");
        return;
    }
    write_count(composer, results->n_equal, "pairs whose token ids are all the same", name, "equal_pairs");
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, " of ");
    write_count(composer, results->n_pairs, "pairs: same prompt, same seed", name, "pairs");
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, " pairs are equal token for token");
    ssw_figure median =
        ssw_compose_plain(results->median_divergence, "tokens",
                          "median index of the first token that differs, over pairs that differ",
                          (size_t)(results->n_pairs - results->n_equal));
    const ssw_figure *kept =
        ssw_figures_put(composer->figures, &median, "quality.first_divergence.%s.median", name);
    if (kept) {
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, "; the others part at token ");
        ssw_page_write_figure(composer->page, SSW_PAGE_PLAIN, kept, ssw_number_format(text, median.value, 0));
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, " (median)");
    }
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, ".");
}

static void add_kl_note(ssw_composer *composer, const ssw_quality *quality, size_t arm)
{
    const ssw_quality_arm *results = &quality->arms[arm];
    ssw_number_text text;
    if (results->kl_positions == 0)
        return;
    ssw_figure rest = ssw_compose_plain(
        results->kl_rest, "", "mean over tokens of 1 − Σ p over tokens in both lists", results->kl_positions);
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "KL of %s, over %zu tokens: the lists leave out ",
                   arm_name(quality, arm), results->kl_positions);
    ssw_page_write_figure(
        composer->page, SSW_PAGE_PLAIN,
        ssw_figures_put(composer->figures, &rest, "quality.kl_rest.%s.mean", arm_name(quality, arm)),
        ssw_number_format(text, results->kl_rest, 6));
    ssw_page_write(
        composer->page, SSW_PAGE_PLAIN,
        " of the probability on average; the printed KL is a lower bound, and exact where that is 0.");
}

static void add_programs(ssw_composer *composer, const ssw_quality *quality)
{
    if (quality->no_programs) {
        ssw_page_add(composer->page, SSW_PAGE_NOTE);
        ssw_page_print(composer->page, SSW_PAGE_STRONG, "pass@k was not measured: %.300s.",
                       quality->no_programs);
        return;
    }
    for (size_t arm = 0; arm < quality->n_arms; arm++) {
        const ssw_quality_arm *results = &quality->arms[arm];
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Programs of %s: ", arm_name(quality, arm));
        write_count(composer, results->n_passed, "replies whose program passed its tests",
                    arm_name(quality, arm), "passed");
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, " of ");
        write_count(composer, results->n_programs, "replies to problems", arm_name(quality, arm), "judged");
        ssw_page_write(composer->page, SSW_PAGE_PLAIN, " passed their tests.");
    }
}

void ssw_compose_quality(ssw_composer *composer)
{
    const ssw_quality *quality = composer->analysis->quality;
    ssw_number_text text;
    if (!quality)
        return;
    const ssw_plan *plan = &quality->evidence->manifest.plan;
    ssw_page_add(composer->page, SSW_PAGE_HEADING);
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, "Quality");
    ssw_page_add(composer->page, SSW_PAGE_PARAGRAPH);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                   "%zu prompts, %zu of them Python problems with tests, %d samples each on every arm at "
                   "temperature %s, "
                   "natural length. Byte equality is no test of quality: each difference is set against the "
                   "null, the first "
                   "arm run again as ",
                   plan->n_prompts, quality->problems.n, quality->n_runs,
                   ssw_number_format(text, plan->temperature, 2));
    ssw_page_write(composer->page, SSW_PAGE_CODE, arm_name(quality, quality->null_arm));
    ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                   ". “Equivalent” means: shown at the 5 %% level to differ by less than %s (TOST).",
                   ssw_number_format(text, quality->settings.margin, 3));
    if (quality->n_measured < quality->n_expected) {
        ssw_page_add(composer->page, SSW_PAGE_NOTE);
        ssw_page_print(composer->page, SSW_PAGE_STRONG,
                       "%d of %d replies are there; the phase was not finished.", quality->n_measured,
                       quality->n_expected);
    }
    add_table(composer, quality);
    ssw_page_add(composer->page, SSW_PAGE_LIST);
    ssw_page_write(
        composer->page, SSW_PAGE_PLAIN,
        "A pair is one prompt and one seed on two arms. A prompt counts once, by the mean over its samples.");
    for (size_t arm = 1; arm < quality->n_arms; arm++) {
        add_divergence(composer, quality, arm);
        add_kl_note(composer, quality, arm);
    }
    if (quality->no_embeddings) {
        ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "No embeddings: %.300s.", quality->no_embeddings);
    }
    add_programs(composer, quality);
}

/* "offload against baseline, quality: pass@1 equivalent, agreement different, ...; margin 0.050" */
static void write_arm_verdict(ssw_composer *composer, const ssw_quality *quality, size_t arm)
{
    ssw_number_text text;
    const char *separator = ": ";
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "Quality of %s against %s", arm_name(quality, arm),
                   arm_name(quality, 0));
    for (int m = 0; m < SSW_QUALITY_COUNT; m++) {
        const ssw_equivalence *test = &quality->arms[arm].results[m].test;
        if (m == SSW_QUALITY_PASS_N || !is_shown(quality, (ssw_quality_measure)m))
            continue;
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s%s ", separator,
                       m == SSW_QUALITY_KL ? "KL" : ssw_quality_describe((ssw_quality_measure)m)->name);
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%s (N = %zu)", verdict_of(test->verdict), test->n);
        separator = ", ";
    }
    if (quality->no_programs)
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, "%spass@k not measured", separator);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN, "; margin %s, against the null of %s run twice.",
                   ssw_number_format(text, quality->settings.margin, 3), arm_name(quality, 0));
}

void ssw_compose_quality_verdict(ssw_composer *composer)
{
    const ssw_quality *quality = composer->analysis->quality;
    for (size_t arm = 1; quality && arm < quality->n_arms && arm <= VERDICT_ARMS_MAX; arm++) {
        if (arm != quality->null_arm)
            write_arm_verdict(composer, quality, arm);
    }
}
