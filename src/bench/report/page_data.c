/* Chart data: arms, the trade-off, memory by server start, frames of each reply. docs/METHOD.md, "The page's
 * charts", says what is thinned and how. */
#include "bench/report/page_data.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/series.h"

enum { REAL_DIGITS = 9, BYTES_PER_FRAME = 8, NS_PER_US = 1000, BYTES_PER_KIB = 1024 };

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* [mean, low, high]: low and high are null for a single value. */
static json_t *summary_to_json(const ssw_summary *summary, double scale)
{
    json_t *out = json_array();
    json_array_append_new(out, real_or_null(summary->mean * scale));
    json_array_append_new(out, real_or_null(summary->ci_low * scale));
    json_array_append_new(out, real_or_null(summary->ci_high * scale));
    return out;
}

/* The mean of an arm's requests in one block. */
static double mean_of_block(const ssw_analysis *analysis, size_t arm, size_t block, ssw_metric metric)
{
    double sum = 0;
    size_t n = 0;
    for (size_t prompt = 0; prompt < analysis->n_prompts; prompt++) {
        double value = analysis->values[ssw_analysis_index(analysis, arm, prompt, block)][metric];
        if (isfinite(value)) {
            sum += value;
            n++;
        }
    }
    return n ? sum / (double)n : NAN;
}

/* Memory, rate and TTFT of each server start of the arm; none in the sequential design, which has one start.
 */
static json_t *starts_of_arm(const ssw_analysis *analysis, size_t arm, ssw_memory memory, ssw_metric rate)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    json_t *out = json_array();
    for (size_t i = 0; i < manifest->n_schedule && manifest->plan.design == SSW_PLAN_ABBA; i++) {
        const ssw_manifest_start *entry = &manifest->schedule[i];
        size_t start = (size_t)entry->block * analysis->n_arms + (size_t)entry->position;
        if (start >= analysis->n_starts || ssw_manifest_find_arm(manifest, entry->arm) != (int)arm)
            continue;
        double x = analysis->memory[start][memory][SSW_PHASE_LOADED] / 1048576;
        double y = mean_of_block(analysis, arm, (size_t)entry->block, rate);
        double ttft = mean_of_block(analysis, arm, (size_t)entry->block, SSW_METRIC_TTFT);
        if (isfinite(x) && isfinite(y) && isfinite(ttft))
            json_array_append_new(out, json_pack("[f,f,f]", x, y, ttft));
    }
    return out;
}

static json_t *arms_to_json(const ssw_analysis *analysis)
{
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    ssw_metric rate = ssw_analysis_headline_rate(analysis);
    json_t *out = json_array();
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        json_t *item = json_object();
        json_object_set_new(item, "name", json_string(analysis->evidence->manifest.arms[arm].name));
        json_object_set_new(item, "rate", summary_to_json(&analysis->arms[arm].metrics[rate], 1));
        json_object_set_new(item, "ttft", summary_to_json(&analysis->arms[arm].metrics[SSW_METRIC_TTFT], 1));
        json_object_set_new(item, "behind",
                            json_pack("[i,i]", (int)analysis->tradeoffs[arm].rate_dominated_by,
                                      (int)analysis->tradeoffs[arm].ttft_dominated_by));
        if (memory != SSW_MEMORY_COUNT) {
            const ssw_summary *loaded = &analysis->arms[arm].memory.phases[memory][SSW_PHASE_LOADED];
            json_object_set_new(item, "memory", summary_to_json(loaded, 1.0 / 1048576));
            json_object_set_new(item, "starts", starts_of_arm(analysis, arm, memory, rate));
        }
        json_array_append_new(out, item);
    }
    return out;
}

/* Columns: times in µs since the spawn, phases, and of each series KiB. */
static json_t *start_to_json(const ssw_series *series)
{
    static const char *const keys[SSW_SERIES_COUNT] = {"anon", "file", "shmem", "rss", "vram"};
    json_t *times = json_array(), *phases = json_array();
    for (size_t i = 0; i < series->n; i++) {
        json_array_append_new(times, json_integer(series->points[i].t_ns / NS_PER_US));
        json_array_append_new(phases, json_integer((json_int_t)series->points[i].phase));
    }
    json_t *out = json_pack("{s:i,s:i,s:i,s:o,s:o}", "arm", series->arm, "block", series->block, "step",
                            (int)series->step, "t", times, "phase", phases);
    for (int k = 0; k < SSW_SERIES_COUNT; k++) {
        json_t *column = json_array();
        for (size_t i = 0; i < series->n; i++) {
            int64_t bytes = series->points[i].bytes[k];
            json_array_append_new(column, bytes < 0 ? json_null() : json_integer(bytes / BYTES_PER_KIB));
        }
        json_object_set_new(out, keys[k], column);
    }
    return out;
}

static ssw_status starts_to_json(const ssw_analysis *analysis, json_t *out, int *n_left_out, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    size_t n_starts =
        analysis->n_starts < SSW_PAGE_DATA_STARTS_MAX ? analysis->n_starts : SSW_PAGE_DATA_STARTS_MAX;
    size_t share = SSW_PAGE_DATA_POINTS_MAX / n_starts;
    size_t most = share < SSW_PAGE_DATA_START_POINTS_MAX ? share : SSW_PAGE_DATA_START_POINTS_MAX;
    for (size_t from = 0, to; from < evidence->n_readings; from = to) {
        ssw_series series;
        to = ssw_series_end(evidence, from);
        if (json_array_size(out) == n_starts) {
            ++*n_left_out;
            continue;
        }
        ssw_status status = ssw_series_make(evidence, from, to, most, &series, err);
        if (status)
            return status;
        json_array_append_new(out, start_to_json(&series));
        ssw_series_deinit(&series);
    }
    return SSW_OK;
}

static size_t reply_bytes(const ssw_sample *sample)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < sample->n_frames; i++)
        n_bytes += BYTES_PER_FRAME + (sample->frames[i].text ? strlen(sample->frames[i].text) : 0);
    return n_bytes;
}

/* Frames with text only; times in µs after t_send. */
static json_t *reply_to_json(const ssw_analysis *analysis, size_t index, size_t arm, size_t prompt,
                             size_t run)
{
    const ssw_sample *sample = analysis->samples[index];
    json_t *times = json_array(), *texts = json_array();
    for (size_t i = 0; i < sample->n_frames; i++) {
        const ssw_frame *frame = &sample->frames[i];
        if (frame->kind > SSW_FRAME_TOOL)
            continue;
        json_array_append_new(times, json_integer((frame->t_ns - sample->send_ns) / NS_PER_US));
        json_array_append_new(texts, json_string(frame->text ? frame->text : ""));
    }
    return json_pack("{s:i,s:i,s:i,s:o,s:o,s:o}", "arm", (int)arm, "prompt", (int)prompt, "run", (int)run + 1,
                     "tokens", real_or_null(analysis->values[index][SSW_METRIC_TOKENS]), "t", times, "text",
                     texts);
}

/* The first run of every prompt and arm first, so that what is left out is whole runs at the end. */
static json_t *replies_to_json(const ssw_analysis *analysis, int *n_left_out)
{
    json_t *out = json_array();
    size_t budget = SSW_PAGE_DATA_REPLY_BYTES_MAX;
    for (size_t run = 0; run < analysis->n_runs; run++) {
        for (size_t i = 0; i < analysis->n_prompts * analysis->n_arms; i++) {
            size_t prompt = i / analysis->n_arms, arm = i % analysis->n_arms;
            size_t index = ssw_analysis_index(analysis, arm, prompt, run);
            size_t n_bytes = analysis->samples[index] ? reply_bytes(analysis->samples[index]) : 0;
            if (n_bytes > budget)
                ++*n_left_out;
            else if (analysis->samples[index])
                json_array_append_new(out, reply_to_json(analysis, index, arm, prompt, run));
            budget -= n_bytes > budget ? 0 : n_bytes;
        }
    }
    return out;
}

static json_t *names_to_json(const ssw_analysis *analysis)
{
    json_t *prompts = json_array(), *phases = json_array();
    const ssw_plan *plan = &analysis->evidence->manifest.plan;
    for (size_t i = 0; i < analysis->n_prompts; i++)
        json_array_append_new(
            prompts, json_pack("{s:s,s:s}", "id", plan->prompts[i].id, "label", plan->prompts[i].label));
    for (int i = 0; i < SSW_PHASE_COUNT; i++)
        json_array_append_new(phases, json_string(ssw_phase_name((ssw_phase)i)));
    ssw_memory memory = ssw_analysis_headline_memory(analysis);
    const ssw_metric_traits *rate = ssw_metric_describe(ssw_analysis_headline_rate(analysis));
    return json_pack("{s:o,s:o,s:s,s:s,s:s,s:s}", "prompts", prompts, "phases", phases, "memory",
                     memory == SSW_MEMORY_COUNT ? "" : ssw_memory_name(memory), "memory_key",
                     memory == SSW_MEMORY_COUNT ? "" : ssw_memory_key(memory), "rate", rate->name,
                     "rate_unit", rate->unit);
}

/* How many of the first arms are a sweep, of what, and MiB that were asked for. */
static json_t *sweep_to_json(const ssw_plan *plan)
{
    json_t *values = json_array();
    for (size_t i = 0; i < plan->sweep.n; i++)
        json_array_append_new(values, json_string(plan->sweep.values[i]));
    return json_pack("{s:i,s:s,s:o,s:f}", "n", (int)plan->sweep.n, "flag",
                     plan->sweep.flag ? plan->sweep.flag : "", "values", values, "fit",
                     (double)plan->fit_bytes / 1048576);
}

static void put_escaped(ssw_strbuf *out, const char *text)
{
    for (const char *from = text; *from;) {
        size_t n = strcspn(from, "<>&");
        ssw_strbuf_append(out, from, n);
        from += n;
        if (*from)
            ssw_strbuf_append_format(out, "\\u%04x", (unsigned)(unsigned char)*from++);
    }
}

ssw_status ssw_page_data_render(const ssw_analysis *analysis, ssw_strbuf *out, ssw_error *err)
{
    int starts_left_out = 0, replies_left_out = 0;
    json_t *root = json_object(), *starts = json_array();
    ssw_status status = starts_to_json(analysis, starts, &starts_left_out, err);
    json_object_set_new(root, "names", names_to_json(analysis));
    json_object_set_new(root, "arms", arms_to_json(analysis));
    json_object_set_new(root, "sweep", sweep_to_json(&analysis->evidence->manifest.plan));
    json_object_set_new(root, "starts", starts);
    json_object_set_new(root, "starts_left_out", json_integer(starts_left_out));
    json_object_set_new(root, "replies", replies_to_json(analysis, &replies_left_out));
    json_object_set_new(root, "replies_left_out", json_integer(replies_left_out));
    bool whole = json_object_size(root) == 7; /* a part for which memory ran out is not there */
    char *text = !status && whole
                     ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(REAL_DIGITS))
                     : NULL;
    json_decref(root);
    if (!status && !text)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the page's data");
    if (text)
        put_escaped(out, text);
    free(text);
    return status;
}
