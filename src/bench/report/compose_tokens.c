/* Whose count of a reply's tokens: ours, or the server's usage. */
#include <math.h>

#include "bench/evidence/token_count.h"
#include "bench/report/compose.h"

#define VERDICT_PART_MIN 0.1 /* of the replies: fewer disagreements are left to "Validity" */

static int count_disagreements(const ssw_analysis *analysis)
{
    int n = 0;
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        n += analysis->arms[arm].n_token_disagreements;
    return n;
}

/* The decode rate with usage's count in place of ours. NULL where no reply has one. */
static const ssw_figure *put_rate(ssw_composer *composer, size_t arm)
{
    const ssw_analysis *analysis = composer->analysis;
    size_t n_samples = analysis->n_prompts * analysis->n_runs, n = 0;
    double sum = 0;
    for (size_t i = arm * n_samples; i < (arm + 1) * n_samples; i++) {
        const ssw_sample *sample = analysis->samples[i];
        const ssw_frame *first = sample ? ssw_sample_first_text(sample) : NULL;
        const ssw_frame *last = sample ? ssw_sample_last_text(sample) : NULL;
        if (!first || !sample->has_usage || sample->usage.completion_tokens < 2 || last->t_ns <= first->t_ns)
            continue;
        sum += (double)(sample->usage.completion_tokens - 1) / ((double)(last->t_ns - first->t_ns) / 1e9);
        n++;
    }
    ssw_figure figure = ssw_compose_plain(sum / (double)n, "tokens/s",
                                          "(usage.completion_tokens − 1) / (t_last − t_first), mean", n);
    return n ? ssw_figures_put(composer->figures, &figure, "decode_rate.%s.by_usage",
                               ssw_compose_arm_name(composer, arm))
             : NULL;
}

/* "By the server's counts the decode rate is 252 (baseline), 26.6 (offload) tokens/s." */
static void write_rates(ssw_composer *composer)
{
    ssw_number_text text;
    bool any = false;
    for (size_t arm = 0; arm < composer->analysis->n_arms; arm++) {
        const ssw_figure *figure = put_rate(composer, arm);
        if (!figure)
            continue;
        ssw_page_write(composer->page, SSW_PAGE_PLAIN,
                       any ? ", " : " By the server's counts the decode rate is ");
        ssw_page_write_figure(
            composer->page, SSW_PAGE_PLAIN, figure,
            ssw_number_format(text, figure->value, ssw_number_decimals(figure->value, figure->value / 50)));
        ssw_page_print(composer->page, SSW_PAGE_PLAIN, " (%s)", ssw_compose_arm_name(composer, arm));
        any = true;
    }
    ssw_page_write(composer->page, SSW_PAGE_PLAIN, any ? " tokens/s." : "");
}

void ssw_compose_token_verdict(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    int n = count_disagreements(analysis);
    if (!analysis->tokens_are_ours || n <= VERDICT_PART_MIN * analysis->n_measured)
        return;
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(
        composer->page, SSW_PAGE_PLAIN,
        "Rates count the replies' text, tokenised again; in %d of %d replies the server counted "
        "otherwise, as it does where a text can be cut in several ways (random weights write such).",
        n, analysis->n_measured);
    write_rates(composer);
}

void ssw_compose_token_agreement(ssw_composer *composer)
{
    const ssw_analysis *analysis = composer->analysis;
    if (!analysis->tokens_are_ours)
        return;
    int n = count_disagreements(analysis);
    ssw_page_cell_add(composer->page, false, SSW_PAGE_NEUTRAL);
    ssw_page_print(composer->page, SSW_PAGE_PLAIN,
                   "Token counts: ours and the server's usage cannot both be right in %d of %d replies "
                   "(usage may exceed "
                   "ours by up to %d control tokens). Both stay on record; figures use ours.",
                   n, analysis->n_measured, SSW_TOKEN_COUNT_CONTROL_MAX);
    if (n > 0)
        write_rates(composer);
}
