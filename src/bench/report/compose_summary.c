/* The closing lines on a terminal: a small table, then the verdict. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/compose.h"

enum { LABEL_COLUMNS = 25, VALUE_COLUMNS = 17, ARMS_BESIDE_MAX = 4, VERDICT_LINES = 5 };

/* printf's widths count bytes; characters such as ± are two. At least one blank follows. */
static void put_padded(ssw_strbuf *out, const char *text, int columns)
{
    int width = 0;
    for (const char *c = text; *c; c++)
        width += ((unsigned char)*c & 0xc0) != 0x80;
    ssw_strbuf_append_text(out, text);
    for (int i = width; i < columns || i == width; i++)
        ssw_strbuf_append_text(out, " ");
}

static void put_metric(const ssw_composer *composer, size_t n_arms, ssw_metric metric, ssw_strbuf *out)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_metric_traits *traits = ssw_metric_describe(metric);
    ssw_number_text text, change;
    char label[64];
    snprintf(label, sizeof label, "%s, %s", traits->name, traits->unit);
    put_padded(out, label, LABEL_COLUMNS);
    for (size_t arm = 0; arm < n_arms; arm++) {
        const ssw_summary *summary = &analysis->arms[arm].metrics[metric];
        put_padded(out, ssw_number_format_spread(text, summary->mean, summary->sd), VALUE_COLUMNS);
    }
    if (n_arms == 2) {
        const ssw_comparison *comparison = &analysis->arms[1].comparisons[metric];
        bool shown = comparison->verdict == SSW_VERDICT_HIGHER || comparison->verdict == SSW_VERDICT_LOWER;
        ssw_strbuf_append_format(
            out, "%s %s",
            ssw_number_format_interval(text, comparison->by_pair.ci_low, comparison->by_pair.ci_high),
            shown ? ssw_number_format_change(change, comparison->by_pair.ratio, "higher", "lower")
            : comparison->verdict == SSW_VERDICT_TOO_FEW ? ssw_compose_too_few(comparison)
                                                         : "no difference shown");
    }
    ssw_strbuf_append_text(out, "\n");
}

static void put_memory(const ssw_composer *composer, size_t n_arms, ssw_strbuf *out)
{
    const ssw_analysis *analysis = composer->analysis;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    ssw_number_text text;
    if (memory == SSW_MEMORY_COUNT)
        return;
    put_padded(out, memory == SSW_MEMORY_VRAM ? "VRAM loaded, MiB" : "host memory loaded, MiB",
               LABEL_COLUMNS);
    for (size_t arm = 0; arm < n_arms; arm++)
        put_padded(
            out,
            ssw_number_format_mib(text, analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean),
            VALUE_COLUMNS);
    ssw_strbuf_append_text(out, "\n");
}

/* A row for each arm: more of them than fit beside one another. Arms past rows_max are said to be missing. */
static void put_arms(const ssw_composer *composer, size_t n_arms, size_t rows_max, ssw_strbuf *out)
{
    const ssw_analysis *analysis = composer->analysis;
    const ssw_metric metrics[] = {ssw_analysis_headline_rate(analysis), SSW_METRIC_TTFT};
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    size_t n_rows = n_arms <= rows_max ? n_arms : rows_max - 1;
    ssw_number_text text;
    char label[64];
    put_padded(out, "mean ± σ", LABEL_COLUMNS);
    put_padded(out, memory == SSW_MEMORY_VRAM ? "VRAM, MiB" : "memory, MiB", VALUE_COLUMNS);
    for (size_t i = 0; i < 2; i++) {
        const ssw_metric_traits *traits = ssw_metric_describe(metrics[i]);
        snprintf(label, sizeof label, "%.20s, %.20s", traits->name, traits->unit);
        put_padded(out, label, LABEL_COLUMNS);
    }
    ssw_strbuf_append_text(out, "Pareto front\n");
    for (size_t arm = 0; arm < n_rows; arm++) {
        size_t ahead = analysis->tradeoffs[arm].rate_dominated_by;
        put_padded(out, ssw_compose_arm_name(composer, arm), LABEL_COLUMNS);
        put_padded(out,
                   memory == SSW_MEMORY_COUNT
                       ? "–"
                       : ssw_number_format_mib(
                             text, analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean),
                   VALUE_COLUMNS);
        for (size_t i = 0; i < 2; i++) {
            const ssw_summary *summary = &analysis->arms[arm].metrics[metrics[i]];
            put_padded(out, ssw_number_format_spread(text, summary->mean, summary->sd), LABEL_COLUMNS);
        }
        ssw_strbuf_append_format(out, "%s%s\n", ahead == arm ? "on it" : "behind ",
                                 ahead == arm ? "" : ssw_compose_arm_name(composer, ahead));
    }
    if (n_rows < n_arms)
        ssw_strbuf_append_format(out, "and %zu more in the report\n", n_arms - n_rows);
}

void ssw_compose_summary(ssw_composer *composer, int lines_max, ssw_strbuf *out)
{
    static const ssw_metric metrics[] = {SSW_METRIC_DECODE_RATE, SSW_METRIC_TPS, SSW_METRIC_TTFT,
                                         SSW_METRIC_E2E};
    const ssw_analysis *analysis = composer->analysis;
    size_t n_arms = analysis->n_arms, same = ssw_analysis_find_same(analysis);
    if (n_arms > 2 && same == n_arms - 1) /* the verdict below says what it showed */
        n_arms--;
    if (n_arms > ARMS_BESIDE_MAX) {
        put_arms(composer, n_arms, (size_t)lines_max - VERDICT_LINES, out);
    } else {
        put_padded(out, "mean ± σ", LABEL_COLUMNS);
        for (size_t arm = 0; arm < n_arms; arm++)
            put_padded(out, ssw_compose_arm_name(composer, arm), VALUE_COLUMNS);
        ssw_strbuf_append_text(out, n_arms == 2 ? "ratio, 95 %\n" : "\n");
        put_memory(composer, n_arms, out);
        for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
            put_metric(composer, n_arms, metrics[i], out);
    }
    ssw_compose_verdict(composer);
    int used = 0;
    const char *text = ssw_strbuf_text(out);
    for (; *text; text++)
        used += *text == '\n';
    ssw_page_render_verdict(composer->page, lines_max - used, out);
}
