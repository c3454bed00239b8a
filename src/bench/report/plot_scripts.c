/* What each plot shows, as a script for gnuplot. */
#include "bench/report/plot_scripts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/series.h"

#define BYTES_PER_MIB 1048576.0
enum { ARMS_SIDE_BY_SIDE = 4, TIMELINE_FRAMES_MAX = 20000, STRIP_OBJECTS_MAX = 2000 };
#define STRIP_HEIGHT     0.06 /* of the plot's */
#define STRIP_LABEL_PART 0.09 /* of the plot's width: a shorter phase has no room for its name */

/* Chosen to be told apart on white, on black and by colour-blind readers; web/page.css inks them again by
 * these values. */
static const char *const colours[] = {"#2f6fbd", "#d9730d", "#6b4fbb", "#18794e",
                                      "#b0387c", "#0e7c86", "#8a6d1a", "#5b6675"};

static const char *colour_of(size_t arm)
{
    return colours[arm % (sizeof colours / sizeof colours[0])];
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

static void put_frame(ssw_strbuf *out, const char *title, const char *x_label, const char *y_label)
{
    ssw_strbuf_append_text(out,
                           "set encoding utf8\nset border 3\nset tics nomirror out\n"
                           "set grid ytics lt 1 lw 1 lc rgb '#dde2e9'\nset yrange [0:*]\nset format y '%g'\n"
                           "set bars 2\nset title noenhanced ");
    put_quoted(out, title);
    ssw_strbuf_append_text(out, "\nset xlabel noenhanced ");
    put_quoted(out, x_label);
    ssw_strbuf_append_text(out, "\nset ylabel noenhanced ");
    put_quoted(out, y_label);
    ssw_strbuf_append_text(out, "\n");
}

/* One column of dots for each arm. */
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

static ssw_status put_dots(ssw_strbuf *out, const ssw_analysis *analysis, const plot_data *data,
                           ssw_error *err)
{
    size_t n_scratch = analysis->n_prompts * analysis->n_runs + analysis->n_starts;
    double *scratch = malloc(n_scratch * sizeof *scratch);
    if (!scratch)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu points", n_scratch);
    put_frame(out, data->title, "", data->y_label);
    ssw_strbuf_append_format(out,
                             "set key off\nset offsets 0, 0, graph 0.06, 0\nset xrange [0.45:%zu.55]\n"
                             "set xtics noenhanced (",
                             analysis->n_arms);
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        ssw_strbuf_append_text(out, arm ? ", " : "");
        put_quoted(out, analysis->evidence->manifest.arms[arm].name);
        ssw_strbuf_append_format(out, " %zu", arm + 1);
    }
    ssw_strbuf_append_text(out, analysis->n_arms > ARMS_SIDE_BY_SIDE ? ") rotate by -40\n" : ")\n");
    put_data(out, analysis, data, scratch);
    ssw_strbuf_append_text(out, "plot ");
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        ssw_strbuf_append_format(out,
                                 "%s$p%zu using 1:2 with points pt 6 ps 0.75 lw 1.2 lc rgb '%s', "
                                 "$m%zu using 1:2:3:4 with yerrorbars pt 7 ps 1.05 lw 2.2 lc rgb '%s'",
                                 arm ? ", " : "", arm, colour_of(arm), arm, colour_of(arm));
    ssw_strbuf_append_text(out, "\n");
    free(scratch);
    return SSW_OK;
}

static bool has_metric(const ssw_analysis *analysis, ssw_metric metric)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].metrics[metric].n == 0)
            return false;
    }
    return true;
}

static bool has_memory(const ssw_analysis *analysis)
{
    return ssw_analysis_headline_memory(analysis) != SSW_MEMORY_COUNT;
}

static bool has_ttft(const ssw_analysis *analysis)
{
    return has_metric(analysis, SSW_METRIC_TTFT);
}

static bool has_tps(const ssw_analysis *analysis)
{
    return has_metric(analysis, SSW_METRIC_TPS);
}

static bool has_tradeoff(const ssw_analysis *analysis)
{
    return has_memory(analysis) && has_metric(analysis, ssw_analysis_headline_rate(analysis));
}

static ssw_status put_memory(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    const ssw_memory memory = ssw_analysis_headline_memory(analysis);
    char label[64];
    snprintf(label, sizeof label, "%s, MiB", ssw_memory_name(memory));
    const plot_data data = {memory == SSW_MEMORY_VRAM ? "VRAM" : "Host memory",
                            label,
                            1.0 / BYTES_PER_MIB,
                            memory_summary,
                            memory_points,
                            &memory};
    return put_dots(out, analysis, &data, err);
}

static ssw_status put_ttft(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    static const ssw_metric metric = SSW_METRIC_TTFT;
    const plot_data data = {"TTFT", "ms", 1, metric_summary, metric_points, &metric};
    return put_dots(out, analysis, &data, err);
}

static ssw_status put_tps(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    static const ssw_metric metric = SSW_METRIC_TPS;
    const plot_data data = {"TPS", "tokens/s", 1, metric_summary, metric_points, &metric};
    return put_dots(out, analysis, &data, err);
}

/* mean low high: of a single value all three are it. */
static void put_interval(ssw_strbuf *out, const ssw_summary *summary, double scale)
{
    ssw_strbuf_append_format(out, " %.10g %.10g", (summary->n < 2 ? summary->mean : summary->ci_low) * scale,
                             (summary->n < 2 ? summary->mean : summary->ci_high) * scale);
}

/* In lines above the arm's point. The points of a sweep lie apart, on a line that goes up to the right; those
 * of other arms may be the same, so their labels take turns above and below. */
static double label_rise(const ssw_analysis *analysis, size_t arm)
{
    if (analysis->evidence->manifest.plan.sweep.n > 0)
        return -0.7;
    double rise = 0.7 + 0.9 * (double)(arm / 2);
    return arm % 2 ? -rise : rise;
}

/* A sweep's Pareto front, by memory: the values that no other beats. False where the run is no sweep. */
static bool put_front(ssw_strbuf *out, const ssw_analysis *analysis, ssw_memory memory)
{
    size_t order[SSW_PLAN_ARMS_MAX], n = 0, n_sweep = analysis->evidence->manifest.plan.sweep.n;
    double bytes[SSW_PLAN_ARMS_MAX];
    for (size_t arm = 0; arm < n_sweep; arm++) {
        size_t place = n;
        bytes[arm] = analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED].mean;
        if (analysis->tradeoffs[arm].rate_dominated_by != arm || !isfinite(bytes[arm]))
            continue;
        for (; place > 0 && bytes[order[place - 1]] > bytes[arm]; place--)
            order[place] = order[place - 1];
        order[place] = arm;
        n++;
    }
    if (n == 0)
        return false;
    ssw_strbuf_append_text(out, "$front << EOD\n");
    for (size_t i = 0; i < n; i++)
        ssw_strbuf_append_format(out, "%.10g %.10g\n", bytes[order[i]] / BYTES_PER_MIB,
                                 analysis->arms[order[i]].metrics[ssw_analysis_headline_rate(analysis)].mean);
    ssw_strbuf_append_text(out, "EOD\n");
    return true;
}

static ssw_status put_tradeoff(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    const ssw_metric_traits *rate = ssw_metric_describe(ssw_analysis_headline_rate(analysis));
    char x_label[96], y_label[96], title[96];
    snprintf(x_label, sizeof x_label, "%s after load, MiB", ssw_memory_name(memory));
    snprintf(y_label, sizeof y_label, "%s, %s", rate->name, rate->unit);
    const ssw_plan_sweep *sweep = &analysis->evidence->manifest.plan.sweep;
    snprintf(title, sizeof title, "What the memory buys%s%.60s", sweep->n ? ", by " : "",
             sweep->n ? sweep->flag : "");
    put_frame(out, title, x_label, y_label);
    ssw_strbuf_append_text(out, "set key off\nset xrange [0:*]\nset offsets 0, graph 0.14, graph 0.12, 0\n");
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        const ssw_summary *x = &analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED];
        const ssw_summary *y = &analysis->arms[arm].metrics[ssw_analysis_headline_rate(analysis)];
        ssw_strbuf_append_format(out, "$m%zu << EOD\n%.10g %.10g", arm, x->mean / BYTES_PER_MIB, y->mean);
        put_interval(out, x, 1.0 / BYTES_PER_MIB);
        put_interval(out, y, 1);
        ssw_strbuf_append_format(out, "\nEOD\nset label %zu ", arm + 1);
        put_quoted(out, arm < sweep->n ? sweep->values[arm] : analysis->evidence->manifest.arms[arm].name);
        ssw_strbuf_append_format(out, " at %.10g,%.10g offset 0.9,%g noenhanced textcolor rgb '%s'\n",
                                 x->mean / BYTES_PER_MIB, y->mean, label_rise(analysis, arm), colour_of(arm));
    }
    ssw_strbuf_append_text(out, put_front(out, analysis, memory)
                                    ? "plot $front using 1:2 with lines lw 1.2 lc rgb '#5b6675', "
                                    : "plot ");
    for (size_t arm = 0; arm < analysis->n_arms; arm++)
        ssw_strbuf_append_format(out,
                                 "%s$m%zu using 1:2:3:4:5:6 with xyerrorbars pt 7 ps 1.05 lw 2.2 lc rgb '%s'",
                                 arm ? ", " : "", arm, colour_of(arm));
    ssw_strbuf_append_text(out, "\n");
    return SSW_OK;
}

static void put_lines(ssw_strbuf *out, const ssw_analysis *analysis, const bool *drawn, const char *style)
{
    const char *between = "plot ";
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        if (!drawn[arm])
            continue;
        ssw_strbuf_append_format(out, "%s$t%zu using 1:2 with %s lw 1.8 lc rgb '%s' title ", between, arm,
                                 style, colour_of(arm));
        put_quoted(out, analysis->evidence->manifest.arms[arm].name);
        between = ", ";
    }
    ssw_strbuf_append_text(out, "\n");
}

/* A start's phases as a strip of rectangles, `row` strips from the top; object numbers go on from *n. */
static void put_phases(ssw_strbuf *out, const ssw_series *series, int row, int *n)
{
    static const int colour_of_phase[SSW_PHASE_COUNT] = {
        [SSW_PHASE_LOADING] = 3, [SSW_PHASE_LOADED] = 5, [SSW_PHASE_WARMUP] = 6,   [SSW_PHASE_PREFILL] = 4,
        [SSW_PHASE_DECODE] = 2,  [SSW_PHASE_IDLE] = -1,  [SSW_PHASE_BETWEEN] = -1, [SSW_PHASE_STOPPED] = -1};
    size_t last = series->n - 1;
    while (last > 0 && series->points[last].phase == SSW_PHASE_STOPPED)
        last--;
    double span = (double)(series->points[last].t_ns - series->points[0].t_ns);
    double bottom = 0.995 - STRIP_HEIGHT * (row + 1);
    for (size_t from = 0, to; from < series->n && *n < STRIP_OBJECTS_MAX; from = to) {
        ssw_phase phase = series->points[from].phase;
        for (to = from + 1; to < series->n && series->points[to].phase == phase; to++)
            ;
        int64_t begin_ns = series->points[from].t_ns,
                end_ns = series->points[to < series->n ? to : to - 1].t_ns;
        if (colour_of_phase[phase] < 0)
            continue;
        ssw_strbuf_append_format(out,
                                 "set object %d rect from first %.4f, graph %.3f to first %.4f, graph %.3f "
                                 "fc rgb '%s' fs transparent solid 0.35 noborder\n",
                                 ++*n, (double)begin_ns / 1e9, bottom, (double)end_ns / 1e9,
                                 bottom + STRIP_HEIGHT * 0.9, colours[colour_of_phase[phase]]);
        if ((double)(end_ns - begin_ns) > STRIP_LABEL_PART * span)
            ssw_strbuf_append_format(out, "set label %d '%s' at first %.4f, graph %.3f left font ',9'\n", *n,
                                     ssw_phase_name(phase), (double)begin_ns / 1e9 + span * 0.003 / 1e9,
                                     bottom + STRIP_HEIGHT * 0.42);
    }
}

/* The first start of each arm. */
static ssw_status put_memory_time(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    bool drawn[SSW_PLAN_ARMS_MAX] = {0};
    int n_objects = 0;
    char label[64];
    snprintf(label, sizeof label, "%s, MiB", ssw_memory_name(memory));
    put_frame(out, "Memory over time", "seconds since the server was started", label);
    ssw_strbuf_append_format(out, "set key outside right top noenhanced\nset offsets 0, 0, graph %.3f, 0\n",
                             0.06 + STRIP_HEIGHT * (double)analysis->n_arms);
    for (size_t from = 0, to; from < evidence->n_readings; from = to) {
        int arm = ssw_manifest_find_arm(&evidence->manifest, evidence->readings[from].arm);
        ssw_series series;
        to = ssw_series_end(evidence, from);
        if (arm < 0 || drawn[arm])
            continue;
        ssw_status status = ssw_series_make(evidence, from, to, SSW_PLOTS_POINTS_MAX, &series, err);
        if (status)
            return status;
        drawn[arm] = true;
        ssw_strbuf_append_format(out, "$t%d << EOD\n", arm);
        for (size_t i = 0; i < series.n; i++) {
            int64_t bytes = ssw_series_value(&series.points[i], memory);
            if (bytes >= 0)
                ssw_strbuf_append_format(out, "%.4f %.4f\n", (double)series.points[i].t_ns / 1e9,
                                         (double)bytes / BYTES_PER_MIB);
        }
        ssw_strbuf_append_text(out, "EOD\n");
        put_phases(out, &series, arm, &n_objects);
        ssw_series_deinit(&series);
    }
    put_lines(out, analysis, drawn, "lines");
    return SSW_OK;
}

/* The first prompt's first run of each arm. */
static ssw_status put_timeline(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    bool drawn[SSW_PLAN_ARMS_MAX] = {0};
    put_frame(out, "One reply, frame by frame", "ms since the request was sent", "frames with text so far");
    ssw_strbuf_append_text(out, "set key outside right top noenhanced\nset xrange [0:*]\n");
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        const ssw_sample *sample = analysis->samples[ssw_analysis_index(analysis, arm, 0, 0)];
        int n = 0;
        if (!sample)
            continue;
        drawn[arm] = true;
        ssw_strbuf_append_format(out, "$t%zu << EOD\n0 0\n", arm);
        for (size_t i = 0; i < sample->n_frames; i++) {
            if (sample->frames[i].kind <= SSW_FRAME_TOOL)
                ssw_strbuf_append_format(out, "%.3f %d\n",
                                         (double)(sample->frames[i].t_ns - sample->send_ns) / 1e6, ++n);
        }
        ssw_strbuf_append_text(out, "EOD\n");
    }
    put_lines(out, analysis, drawn, "steps");
    return SSW_OK;
}

static bool has_timeline(const ssw_analysis *analysis)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        const ssw_sample *sample = analysis->samples[ssw_analysis_index(analysis, arm, 0, 0)];
        if (sample && sample->n_frames <= TIMELINE_FRAMES_MAX && ssw_sample_first_text(sample))
            return true;
    }
    return false;
}

static bool has_lengths(const ssw_analysis *analysis)
{
    return analysis->n_arms > 1 && analysis->length_costs[1].n > 0;
}

/* TTFT's overhead against the prompt's length, an arm's prompts joined. */
static ssw_status put_lengths(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err)
{
    put_frame(out, "Overhead against prompt length", "prompt tokens, as prefilled", "TTFT overhead, %");
    ssw_strbuf_append_text(out, "set key outside right top noenhanced\nset yrange [*:*]\n"
                                "set offsets graph 0.02, graph 0.02, graph 0.06, graph 0.06\n"
                                "set xzeroaxis lt 1 lw 1 lc rgb '#5b6675'\n");
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        ssw_strbuf_append_format(out, "$t%zu << EOD\n", arm);
        for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
            const ssw_ratio *ratio =
                &analysis->prompts[arm * analysis->n_prompts + prompt].comparisons[SSW_METRIC_TTFT].by_pair;
            double tokens = ssw_analysis_prompt_tokens(analysis, prompt);
            if (ratio->n > 0 && isfinite(tokens))
                ssw_strbuf_append_format(
                    out, "%.0f %.6g %.6g %.6g\n", tokens, ssw_stats_overhead_percent(ratio->ratio, 0),
                    ssw_stats_overhead_percent(ratio->n < 2 ? ratio->ratio : ratio->ci_low, 0),
                    ssw_stats_overhead_percent(ratio->n < 2 ? ratio->ratio : ratio->ci_high, 0));
        }
        ssw_strbuf_append_text(out, "EOD\n");
    }
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        ssw_strbuf_append_format(out,
                                 "%s$t%zu using 1:2 smooth unique with lines lw 1.2 lc rgb '%s' notitle, "
                                 "$t%zu using 1:2:3:4 with yerrorbars pt 7 ps 1 lw 1.8 lc rgb '%s' title ",
                                 arm > 1 ? ", " : "plot ", arm, colour_of(arm), arm, colour_of(arm));
        put_quoted(out, analysis->evidence->manifest.arms[arm].name);
    }
    ssw_strbuf_append_text(out, "\n");
    return SSW_OK;
}

const ssw_plot_kind ssw_plot_kinds[SSW_PLOTS_COUNT] = {
    {"plot-tradeoff",
     "Each arm's memory after load against its rate: dot and bars are means with 95 % intervals. The line of "
     "a "
     "sweep joins the values that no other one beats: its Pareto front.",
     true, has_tradeoff, put_tradeoff},
    {"plot-memory",
     "Memory after load. Circles: each server start; dot and bar: mean with its 95 % interval.", false,
     has_memory, put_memory},
    {"plot-ttft", "Time to first token. Circles: each run; dot and bar: mean with its 95 % interval.", false,
     has_ttft, put_ttft},
    {"plot-tps",
     "Tokens per second over the whole reply. Circles: each run; dot and bar: mean with its 95 % interval.",
     false, has_tps, put_tps},
    {"plot-memory-time",
     "Memory over time, of the first start of each arm; the strips name its phases, one row for each arm.",
     true, has_memory, put_memory_time},
    {"plot-timeline", "When each frame of a reply came: the first prompt's first run on each arm.", true,
     has_timeline, put_timeline},
    {"plot-length",
     "What an arm adds to TTFT by the prompt's length: mean with its 95 % interval over each prompt's runs.",
     true, has_lengths, put_lengths},
};
