/* From evidence to rows. */
#include "bench/compare/compare_row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/strbuf.h"
#include "bench/evidence/machine_id.h"
#include "bench/evidence/text_file.h"
#include "bench/report/compose.h"

enum { FIRST_CAPACITY = 16, SETTING_BYTES_MAX = 64 << 20, SETTING_DIGITS = 12 };

static const char *const figure_keys[SSW_COMPARE_FIGURES] = {
    "vram_bytes", "host_bytes",  "ttft_ms",    "decode_rate",
    "tps",        "saved_bytes", "ttft_ratio", "decode_rate_ratio"};
static const char *const text_keys[SSW_COMPARE_TEXTS] = {
    "created_utc", "model",   "model_sha256", "machine", "cpu",       "gpu",   "commit",
    "server",      "setting", "state",        "arm",     "treatment", "run_id"};

const char *ssw_compare_figure_key(ssw_compare_figure figure)
{
    return figure_keys[figure];
}

const char *ssw_compare_text_key(ssw_compare_text text)
{
    return text_keys[text];
}

void ssw_compare_rows_deinit(ssw_compare_rows *rows)
{
    free(rows->rows);
    *rows = (ssw_compare_rows){0};
}

ssw_status ssw_compare_rows_add(ssw_compare_rows *rows, ssw_compare_row **out, ssw_error *err)
{
    if (rows->n == SSW_COMPARE_ROWS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d rows", SSW_COMPARE_ROWS_MAX);
    if (rows->n == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : FIRST_CAPACITY;
        ssw_compare_row *grown = realloc(rows->rows, capacity * sizeof *grown);
        if (!grown)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu rows", capacity);
        rows->rows = grown;
        rows->capacity = capacity;
    }
    *out = &rows->rows[rows->n++];
    memset(*out, 0, sizeof **out);
    for (int i = 0; i < SSW_COMPARE_FIGURES; i++)
        (*out)->figures[i] = (ssw_compare_value){NAN, NAN, NAN};
    return SSW_OK;
}

void ssw_compare_copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size) {
        n = size - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) /* a character is kept whole or not at all */
            n--;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

static void put(ssw_compare_row *row, ssw_compare_text text, const char *value)
{
    ssw_compare_copy_text(row->texts[text], sizeof row->texts[text], value ? value : "");
}

/* What a request was, in words, and a hash over all prompts. */
static ssw_status describe_setting(const ssw_plan *plan, char out[SSW_COMPARE_TEXT_MAX], ssw_error *err)
{
    ssw_strbuf all;
    ssw_sha256_text sum = "";
    ssw_strbuf_init(&all, SETTING_BYTES_MAX);
    for (size_t i = 0; i < plan->n_prompts; i++)
        ssw_strbuf_append(&all, plan->prompts[i].text, strlen(plan->prompts[i].text) + 1);
    ssw_status status = ssw_strbuf_check(&all, "the prompts", err);
    if (!status)
        status = ssw_sha256_bytes(ssw_strbuf_text(&all), all.n_bytes, sum, err);
    ssw_strbuf_deinit(&all);
    snprintf(out, SSW_COMPARE_TEXT_MAX,
             "%zu prompts (%.*s), %d tokens, length %s, temperature %g, %s, page cache %s", plan->n_prompts,
             SETTING_DIGITS, sum, plan->max_tokens, ssw_plan_length_name(plan->fixed_length),
             plan->temperature, ssw_plan_ask_name(plan->ask), ssw_plan_page_cache_name(plan->page_cache));
    return status;
}

static const char *state_of(const ssw_analysis *analysis)
{
    static const char *const names[] = {"measured", "inconclusive", "invalid", "server-failed"};
    const char *end = analysis->evidence->end_reason;
    if (!end || strcmp(end, "complete") != 0)
        return "incomplete";
    return names[ssw_compose_worth(analysis)];
}

static ssw_compare_value of_summary(const ssw_summary *summary)
{
    return (ssw_compare_value){summary->mean, summary->ci_low, summary->ci_high};
}

static ssw_compare_value of_ratio(const ssw_comparison *comparison)
{
    const ssw_ratio *ratio = &comparison->by_pair;
    return (ssw_compare_value){ratio->ratio, ratio->ci_low, ratio->ci_high};
}

static void fill_figures(ssw_compare_row *row, const ssw_analysis *analysis, size_t arm)
{
    const ssw_arm_results *results = &analysis->arms[arm];
    const ssw_summary(*memory)[SSW_MEMORY_PHASES] = results->memory.phases;
    ssw_memory host = memory[SSW_MEMORY_PSS][SSW_PHASE_LOADED].n ? SSW_MEMORY_PSS : SSW_MEMORY_RSS;
    ssw_memory headline = ssw_analysis_headline_memory(analysis);
    row->figures[SSW_COMPARE_VRAM] = of_summary(&memory[SSW_MEMORY_VRAM][SSW_PHASE_LOADED]);
    row->figures[SSW_COMPARE_HOST] = of_summary(&memory[host][SSW_PHASE_LOADED]);
    row->figures[SSW_COMPARE_TTFT] = of_summary(&results->metrics[SSW_METRIC_TTFT]);
    row->figures[SSW_COMPARE_RATE] = of_summary(&results->metrics[SSW_METRIC_DECODE_RATE]);
    row->figures[SSW_COMPARE_TPS] = of_summary(&results->metrics[SSW_METRIC_TPS]);
    row->n_samples = results->n_measured;
    row->position = (int)arm;
    if (arm == 0)
        return;
    row->figures[SSW_COMPARE_TTFT_RATIO] = of_ratio(&results->comparisons[SSW_METRIC_TTFT]);
    row->figures[SSW_COMPARE_RATE_RATIO] = of_ratio(&results->comparisons[SSW_METRIC_DECODE_RATE]);
    if (headline != SSW_MEMORY_COUNT)
        row->figures[SSW_COMPARE_SAVED] =
            of_summary(&results->memory_comparisons[headline][SSW_PHASE_LOADED].saved);
}

static void fill_texts(ssw_compare_row *row, const ssw_analysis *analysis, size_t arm)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    const ssw_manifest_arm *own = &manifest->arms[arm];
    char server[SSW_COMPARE_TEXT_MAX];
    put(row, SSW_COMPARE_CREATED, manifest->created_utc);
    put(row, SSW_COMPARE_MODEL, manifest->model.name);
    put(row, SSW_COMPARE_MODEL_SHA256, manifest->model.n_files ? manifest->model.files[0].sha256 : NULL);
    put(row, SSW_COMPARE_CPU, manifest->machine.cpu);
    put(row, SSW_COMPARE_GPU, manifest->machine.n_gpus ? manifest->machine.gpus[0].name : NULL);
    put(row, SSW_COMPARE_COMMIT, manifest->tool_commit);
    snprintf(server, sizeof server, "%s%s%.150s", own->adapter ? own->adapter : "?",
             own->server_version ? ": " : "", own->server_version ? own->server_version : "");
    put(row, SSW_COMPARE_SERVER, server);
    put(row, SSW_COMPARE_STATE, state_of(analysis));
    put(row, SSW_COMPARE_ARM, own->name);
    put(row, SSW_COMPARE_TREATMENT, own->treatment);
}

/* Names the run, wherever its folder lies. */
static ssw_status identify(const char *dir, ssw_sha256_text out, ssw_error *err)
{
    char path[SSW_COMPARE_DIR_MAX + 16];
    if (strlen(dir) >= SSW_COMPARE_DIR_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    return ssw_sha256_file(path, out, NULL, err);
}

ssw_status ssw_compare_read_run(const char *dir, ssw_compare_rows *rows, ssw_error *err)
{
    ssw_analysis *analysis = NULL;
    ssw_sha256_text id;
    char setting[SSW_COMPARE_TEXT_MAX];
    ssw_machine_id_text machine = "";
    ssw_status status = identify(dir, id, err);
    if (!status)
        status = ssw_analysis_open(dir, &analysis, err);
    if (!status)
        status = describe_setting(&analysis->evidence->manifest.plan, setting, err);
    if (!status)
        status = ssw_machine_id(&analysis->evidence->manifest.machine, machine, err);
    for (size_t arm = 0; !status && arm < analysis->n_arms; arm++) {
        ssw_compare_row *row = NULL;
        if (strcmp(analysis->evidence->manifest.arms[arm].name, SSW_PLAN_AA_NAME) == 0)
            continue;
        status = ssw_compare_rows_add(rows, &row, err);
        if (status)
            break;
        snprintf(row->dir, sizeof row->dir, "%s", dir);
        fill_texts(row, analysis, arm);
        put(row, SSW_COMPARE_MACHINE, machine);
        put(row, SSW_COMPARE_SETTING, setting);
        put(row, SSW_COMPARE_RUN_ID, id);
        fill_figures(row, analysis, arm);
    }
    ssw_analysis_close(analysis);
    return status;
}
