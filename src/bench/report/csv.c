/* samples.csv and figures.csv. */
#include "bench/report/csv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void ssw_csv_put_text(ssw_strbuf *out, const char *text)
{
    ssw_strbuf_append_text(out, "\"");
    if (text && *text && strchr("=+-@\t\r", *text))
        ssw_strbuf_append_text(out, "'");
    for (const char *c = text ? text : ""; *c; c++) {
        if (*c == '"')
            ssw_strbuf_append_text(out, "\"");
        ssw_strbuf_append(out, c, 1);
    }
    ssw_strbuf_append_text(out, "\"");
}

void ssw_csv_put_real(ssw_strbuf *out, double value)
{
    if (isfinite(value))
        ssw_strbuf_append_format(out, ",%.17g", value);
    else
        ssw_strbuf_append_text(out, ",");
}

static void put_count(ssw_strbuf *out, int64_t value)
{
    if (value != SSW_EVIDENCE_NONE)
        ssw_strbuf_append_format(out, ",%" PRId64, value);
    else
        ssw_strbuf_append_text(out, ",");
}

static void put_flags(ssw_strbuf *out, const ssw_sample *sample)
{
    ssw_strbuf flags;
    ssw_strbuf_init(&flags, SSW_EVIDENCE_LINE_BYTES_MAX);
    for (size_t i = 0; i < sample->n_flags; i++) {
        ssw_strbuf_append_text(&flags, i ? " " : "");
        ssw_strbuf_append_text(&flags, sample->flags[i]);
    }
    ssw_strbuf_append_text(out, ",");
    ssw_csv_put_text(out, ssw_strbuf_text(&flags));
    ssw_strbuf_deinit(&flags);
}

static void put_sample(ssw_strbuf *out, const ssw_analysis *analysis, const ssw_sample *sample)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    const double *values = NULL;
    if (ssw_evidence_is_measured(sample)) {
        size_t arm = (size_t)ssw_manifest_find_arm(manifest, sample->arm);
        size_t prompt = (size_t)ssw_manifest_find_prompt(manifest, sample->prompt);
        values = analysis->values[ssw_analysis_index(analysis, arm, prompt, (size_t)sample->run - 1)];
    }
    ssw_csv_put_text(out, sample->id);
    ssw_strbuf_append_text(out, ",");
    ssw_csv_put_text(out, sample->arm);
    ssw_strbuf_append_format(out, ",%d,%d,", sample->block, sample->position);
    ssw_csv_put_text(out, sample->prompt);
    ssw_strbuf_append_format(out, ",%d,%d,%s", sample->run, sample->attempt,
                             sample->warmup ? "warmup" : "measure");
    for (int metric = 0; metric < SSW_METRIC_COUNT; metric++)
        ssw_csv_put_real(out, values ? values[metric] : NAN);
    put_count(out, sample->has_usage ? sample->usage.prompt_tokens : SSW_EVIDENCE_NONE);
    put_count(out, sample->has_usage ? sample->usage.completion_tokens : SSW_EVIDENCE_NONE);
    put_count(out, sample->http_status);
    ssw_strbuf_append_text(out, ",");
    ssw_csv_put_text(out, sample->finish_reason);
    put_flags(out, sample);
    ssw_strbuf_append_text(out, ",");
    ssw_csv_put_text(out, sample->error);
    ssw_strbuf_append_text(out, "\r\n");
}

void ssw_csv_put_samples(const ssw_analysis *analysis, ssw_strbuf *out)
{
    ssw_strbuf_append_text(out, "id,arm,block,position,prompt,run,attempt,phase");
    for (int metric = 0; metric < SSW_METRIC_COUNT; metric++) {
        const ssw_metric_traits *traits = ssw_metric_describe((ssw_metric)metric);
        ssw_strbuf_append_format(out, ",%s%s", traits->key, strcmp(traits->unit, "ms") == 0 ? "_ms" : "");
    }
    ssw_strbuf_append_text(
        out, ",usage_prompt_tokens,usage_completion_tokens,http_status,finish_reason,flags,error\r\n");
    for (size_t i = 0; i < analysis->evidence->n_samples; i++)
        put_sample(out, analysis, &analysis->evidence->samples[i]);
}

ssw_status ssw_csv_put_figures(const ssw_figures *figures, ssw_strbuf *out, ssw_error *err)
{
    const ssw_figure **order = malloc((figures->n + 1) * sizeof *order);
    if (!order)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu figures", figures->n);
    size_t n = figures->n;
    for (const ssw_figure *figure = figures->last; figure; figure = figure->next)
        order[--n] = figure; /* the list is newest first */
    ssw_strbuf_append_text(out, "key,value,unit,n,sd,ci_low,ci_high,formula\r\n");
    for (n = 0; n < figures->n; n++) {
        ssw_csv_put_text(out, order[n]->key);
        ssw_csv_put_real(out, order[n]->value);
        ssw_strbuf_append_text(out, ",");
        ssw_csv_put_text(out, order[n]->unit);
        ssw_strbuf_append_format(out, ",%zu", order[n]->n);
        ssw_csv_put_real(out, order[n]->sd);
        ssw_csv_put_real(out, order[n]->ci_low);
        ssw_csv_put_real(out, order[n]->ci_high);
        ssw_strbuf_append_text(out, ",");
        ssw_csv_put_text(out, order[n]->formula);
        ssw_strbuf_append_text(out, "\r\n");
    }
    free(order);
    return SSW_OK;
}
