/* Plots: scripts for gnuplot, its child process, and the drawing made fit for a page. */
#include "bench/report/plots.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "bench/report/plot_child.h"

#define SCRIPT_BYTES_MAX ((size_t)4 << 20)

/* Chosen to be told apart on white, on black and by colour-blind readers; page_style.c re-inks them by these
 * values. */
static const char *const colours[] = {"#2f6fbd", "#d9730d", "#6b4fbb", "#18794e"};

typedef struct plot_data {
    const char *title, *y_label;
    double scale; /* multiplies every value */
    const ssw_summary *(*summary)(const ssw_analysis *analysis, size_t arm, const void *which);
    size_t (*points)(const ssw_analysis *analysis, size_t arm, const void *which, double *out);
    const void *which;
} plot_data;

static const ssw_summary *metric_summary(const ssw_analysis *analysis, size_t arm, const void *which)
{
    return &analysis->arms[arm].metrics[*(const ssw_metric *)which];
}

static size_t metric_points(const ssw_analysis *analysis, size_t arm, const void *which, double *out)
{
    size_t n = 0;
    for (size_t i = 0; i < analysis->n_prompts * analysis->n_runs; i++) {
        double value =
            analysis->values[ssw_analysis_index(analysis, arm, 0, 0) + i][*(const ssw_metric *)which];
        if (isfinite(value))
            out[n++] = value;
    }
    return n;
}

static const ssw_summary *memory_summary(const ssw_analysis *analysis, size_t arm, const void *which)
{
    return &analysis->arms[arm].memory.phases[*(const ssw_memory *)which][SSW_PHASE_LOADED];
}

static size_t memory_points(const ssw_analysis *analysis, size_t arm, const void *which, double *out)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    size_t n = 0;
    for (size_t i = 0; i < manifest->n_schedule; i++) {
        const ssw_manifest_start *entry = &manifest->schedule[i];
        size_t start = (size_t)entry->block * analysis->n_arms + (size_t)entry->position;
        if (start >= analysis->n_starts || n == analysis->n_starts)
            continue;
        double value = analysis->memory[start][*(const ssw_memory *)which][SSW_PHASE_LOADED];
        if (ssw_manifest_find_arm(manifest, entry->arm) == (int)arm && isfinite(value))
            out[n++] = value;
    }
    return n;
}

/* gnuplot's single quotes take every byte as it is, but for the quote, which is doubled. */
static void put_quoted(ssw_strbuf *out, const char *text)
{
    ssw_strbuf_append_text(out, "'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            ssw_strbuf_append_text(out, "''");
        else
            ssw_strbuf_append(out, (unsigned char)*c < 0x20 ? " " : c, 1);
    }
    ssw_strbuf_append_text(out, "'");
}

static void put_data(ssw_strbuf *out, const ssw_analysis *analysis, const plot_data *data, double *scratch)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        size_t n = data->points(analysis, arm, data->which, scratch);
        size_t step = n / SSW_PLOTS_POINTS_MAX + 1;
        ssw_strbuf_append_format(out, "$p%zu << EOD\n", arm);
        for (size_t i = 0; i < n; i += step) {
            double place = n > 1 ? (double)i / (double)(n - 1) : 0.5;
            ssw_strbuf_append_format(out, "%.4f %.10g\n", (double)arm + 1 - 0.34 + 0.24 * place,
                                     scratch[i] * data->scale);
        }
        const ssw_summary *summary = data->summary(analysis, arm, data->which);
        double low = summary->n < 2 ? summary->mean : summary->ci_low;
        double high = summary->n < 2 ? summary->mean : summary->ci_high;
        ssw_strbuf_append_format(out, "EOD\n$m%zu << EOD\n", arm);
        if (summary->n)
            ssw_strbuf_append_format(out, "%.4f %.10g %.10g %.10g\n", (double)arm + 1 + 0.12,
                                     summary->mean * data->scale, low * data->scale, high * data->scale);
        ssw_strbuf_append_text(out, "EOD\n");
    }
}

static void put_script(ssw_strbuf *out, const ssw_analysis *analysis, const plot_data *data,
                       const char *terminal, double *scratch)
{
    ssw_strbuf_append_text(out, terminal);
    ssw_strbuf_append_text(out,
                           "set encoding utf8\nset key off\nset border 3\nset tics nomirror out\n"
                           "set grid ytics lt 1 lw 1 lc rgb '#dde2e9'\nset yrange [0:*]\nset format y '%g'\n"
                           "set bars 2\nset offsets 0, 0, graph 0.06, 0\nset title noenhanced ");
    put_quoted(out, data->title);
    ssw_strbuf_append_text(out, "\nset ylabel noenhanced ");
    put_quoted(out, data->y_label);
    ssw_strbuf_append_format(out, "\nset xrange [0.45:%zu.55]\nset xtics noenhanced (", analysis->n_arms);
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        ssw_strbuf_append_text(out, arm ? ", " : "");
        put_quoted(out, analysis->evidence->manifest.arms[arm].name);
        ssw_strbuf_append_format(out, " %zu", arm + 1);
    }
    ssw_strbuf_append_text(out, ")\n");
    put_data(out, analysis, data, scratch);
    ssw_strbuf_append_text(out, "plot ");
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        const char *colour = colours[arm % (sizeof colours / sizeof colours[0])];
        ssw_strbuf_append_format(out,
                                 "%s$p%zu using 1:2 with points pt 6 ps 0.75 lw 1.2 lc rgb '%s', "
                                 "$m%zu using 1:2:3:4 with yerrorbars pt 7 ps 1.05 lw 2.2 lc rgb '%s'",
                                 arm ? ", " : "", arm, colour, arm, colour);
    }
    ssw_strbuf_append_text(out, "\n");
}

static ssw_status draw_one(const ssw_analysis *analysis, const plot_data *data, const char *gnuplot,
                           bool with_png, double *scratch, ssw_plot *plot, ssw_error *err)
{
    char terminal[256];
    ssw_strbuf script;
    ssw_strbuf_init(&script, SCRIPT_BYTES_MAX);
    snprintf(terminal, sizeof terminal,
             "set terminal svg size 330,275 dynamic font 'sans-serif,13' name 'seesaw'\n");
    put_script(&script, analysis, data, terminal, scratch);
    ssw_status status = ssw_strbuf_check(&script, "a plot's script", err);
    if (!status)
        status = ssw_plot_run_child(gnuplot, &script, &plot->svg, &plot->svg_bytes, err);
    if (!status && with_png) {
        ssw_strbuf_clear(&script);
        put_script(&script, analysis, data,
                   "set terminal pngcairo size 1000,775 font 'sans-serif,13' fontscale 1.9 linewidth 2 "
                   "pointscale 2\n",
                   scratch);
        status = ssw_plot_run_child(gnuplot, &script, &plot->png, &plot->png_bytes, err);
    }
    ssw_strbuf_deinit(&script);
    return status;
}

static void read_version(ssw_plots *out)
{
    static const char before[] = "Produced by GNUPLOT ";
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        const char *at = out->plots[i].svg ? strstr(out->plots[i].svg, before) : NULL;
        if (!at)
            continue;
        at += sizeof before - 1;
        int n = (int)strcspn(at, "<\n");
        while (n > 0 && at[n - 1] == ' ')
            n--;
        snprintf(out->made_with, sizeof out->made_with, "gnuplot %.*s", n > 40 ? 40 : n, at);
        return;
    }
}

void ssw_plots_name(ssw_plots *plots)
{
    static const char *const names[SSW_PLOTS_COUNT] = {"plot-memory", "plot-ttft", "plot-tps"};
    static const char *const captions[SSW_PLOTS_COUNT] = {
        "Memory after load. Circles: each server start; dot and bar: mean with its 95 % interval.",
        "Time to first token. Circles: each run; dot and bar: mean with its 95 % interval.",
        ("Tokens per second over the whole reply. Circles: each run; dot and bar: mean with its 95 % "
         "interval.")};
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        plots->plots[i].name = names[i];
        plots->plots[i].caption = captions[i];
    }
    read_version(plots);
}

ssw_status ssw_plots_draw(const ssw_analysis *analysis, const char *gnuplot, bool with_png, ssw_plots *out,
                          ssw_error *err)
{
    static const ssw_metric ttft = SSW_METRIC_TTFT, tps = SSW_METRIC_TPS;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    *out = (ssw_plots){0};
    ssw_plots_name(out);
    char label[64];
    snprintf(label, sizeof label, "%s, MiB", memory == SSW_MEMORY_COUNT ? "memory" : ssw_memory_name(memory));
    const plot_data data[SSW_PLOTS_COUNT] = {
        {memory == SSW_MEMORY_VRAM ? "VRAM" : "Host memory", label, 1.0 / 1048576, memory_summary,
         memory_points, &memory},
        {"TTFT", "ms", 1, metric_summary, metric_points, &ttft},
        {"TPS", "tokens/s", 1, metric_summary, metric_points, &tps},
    };
    size_t n_scratch = analysis->n_prompts * analysis->n_runs + analysis->n_starts;
    double *scratch = malloc(n_scratch * sizeof *scratch);
    if (!scratch)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu points", n_scratch);
    ssw_error why = {0};
    for (int i = 0; i < SSW_PLOTS_COUNT && !*out->why_not; i++) {
        out->plots[i].has_data = i > 0 || memory != SSW_MEMORY_COUNT;
        for (size_t arm = 0; arm < analysis->n_arms && out->plots[i].has_data; arm++)
            out->plots[i].has_data = data[i].summary(analysis, arm, data[i].which)->n > 0;
        if (out->plots[i].has_data && draw_one(analysis, &data[i], gnuplot ? gnuplot : "gnuplot", with_png,
                                               scratch, &out->plots[i], &why))
            snprintf(out->why_not, sizeof out->why_not, "%.250s", why.message);
    }
    free(scratch);
    if (*out->why_not) { /* all or none */
        char kept[sizeof out->why_not];
        memcpy(kept, out->why_not, sizeof kept);
        ssw_plots_deinit(out);
        memcpy(out->why_not, kept, sizeof kept);
    }
    read_version(out);
    if (!*out->made_with && !*out->why_not)
        snprintf(out->why_not, sizeof out->why_not, "there is nothing to draw");
    return SSW_OK;
}

void ssw_plots_deinit(ssw_plots *plots)
{
    for (int i = 0; i < SSW_PLOTS_COUNT; i++) {
        free(plots->plots[i].svg);
        free(plots->plots[i].png);
        plots->plots[i].svg = plots->plots[i].png = NULL;
    }
}

/* gnuplot names its markers gpPt0 ... and more; on one page with two drawings each needs ids of its own. */
static size_t match_id(const char *at)
{
    static const char *const ids[] = {"gpPt",    "gpDot",          "textbox",
                                      "greybox", "gnuplot_canvas", "seesaw_plot_"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (strncmp(at, ids[i], strlen(ids[i])) == 0)
            return strlen(ids[i]);
    }
    return 0;
}

char *ssw_plot_inline_svg(const ssw_plot *plot)
{
    const char *at = plot->svg ? strstr(plot->svg, "<svg") : NULL;
    if (!at)
        return NULL;
    ssw_strbuf out;
    ssw_strbuf_init(&out, 2 * SSW_PLOTS_BYTES_MAX);
    ssw_strbuf_append_format(&out, "<svg role=\"img\" aria-label=\"%s\"", plot->caption);
    for (at += strlen("<svg"); *at;) {
        size_t id = match_id(at);
        if (strncmp(at, "<title>", 7) == 0 &&
            strstr(at, "</title>")) { /* else each part shows its name under the pointer */
            at = strstr(at, "</title>") + strlen("</title>");
        } else if (id && (at[-1] == '\'' || at[-1] == '"' || at[-1] == '#')) {
            ssw_strbuf_append_format(&out, "%s-%.*s", plot->name, (int)id, at);
            at += id;
        } else {
            ssw_strbuf_append(&out, at++, 1);
        }
    }
    char *text = ssw_strbuf_take(&out);
    ssw_strbuf_deinit(&out);
    return text;
}
