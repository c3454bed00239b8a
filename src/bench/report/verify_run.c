/* Verification, check by check; it stops at the first difference. */
#include "bench/report/verify_run.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"
#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/text_file.h"
#include "bench/evidence/token_count.h"
#include "bench/report/report_make.h"

enum { SUMS_BYTES_MAX = 1 << 20, EXCERPT_MAX = 48 };

typedef struct verification {
    const char *dir;
    const char *name; /* of all its checks; NULL: their own */
    const ssw_verify_options *options;
    ssw_evidence *evidence;
    ssw_verify_result *result;
} verification;

static void note(verification *v, const char *name, ssw_verify_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void note(verification *v, const char *name, ssw_verify_outcome outcome, const char *format, ...)
{
    ssw_verify_check *check = &v->result->checks[v->result->n_checks++];
    check->name = v->name ? v->name : name;
    check->outcome = outcome;
    va_list args;
    va_start(args, format);
    vsnprintf(check->text, sizeof check->text, format, args);
    va_end(args);
    for (char *c = check->text; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    }
    if (outcome == SSW_VERIFY_DIFFERS)
        v->result->same = false;
}

static bool join(char path[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

/* One line of SHA256SUMS, cut into hash and name; false when it is not one. */
static bool parse_sum(char *line, const char **hash, const char **name)
{
    if (strspn(line, "0123456789abcdef") != SSW_SHA256_TEXT_SIZE - 1 || strncmp(line + 64, "  ", 2) != 0)
        return false;
    line[64] = '\0';
    *hash = line;
    *name = line + 66;
    return **name && **name != '.' && !strchr(*name, '/');
}

static bool check_sums(verification *v, char *text)
{
    static const char *const needed[] = {"manifest.json", "samples.jsonl", "tokens.jsonl", "telemetry.jsonl"};
    enum { N_NEEDED = sizeof needed / sizeof needed[0] };
    bool seen[N_NEEDED] = {false};
    int n_files = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && n_files < SSW_VERIFY_SUMS_MAX;) {
        char path[PATH_MAX];
        const char *hash, *name;
        ssw_sha256_text actual;
        ssw_error err;
        if (!*line)
            continue;
        if (!parse_sum(line, &hash, &name) || !join(path, v->dir, name)) {
            note(v, "evidence", SSW_VERIFY_DIFFERS, "SHA256SUMS: line %d is not a hash and a file's name",
                 n_files + 1);
            return false;
        }
        if (ssw_sha256_file(path, actual, NULL, &err)) {
            note(v, "evidence", SSW_VERIFY_DIFFERS, "%s", err.message);
            return false;
        }
        if (strcmp(hash, actual) != 0) {
            note(v, "evidence", SSW_VERIFY_DIFFERS,
                 "%s has changed: SHA-256 is %.12s..., SHA256SUMS says %.12s...", path, actual, hash);
            return false;
        }
        for (int i = 0; i < N_NEEDED; i++)
            seen[i] |= strcmp(needed[i], name) == 0;
        n_files++;
    }
    for (int i = 0; i < N_NEEDED; i++) {
        if (!seen[i]) {
            note(v, "evidence", SSW_VERIFY_DIFFERS, "SHA256SUMS does not name %s", needed[i]);
            return false;
        }
    }
    note(v, "evidence", SSW_VERIFY_SAME, "%d files have the SHA-256 that SHA256SUMS says", n_files);
    return true;
}

static bool check_evidence(verification *v)
{
    char path[PATH_MAX], *text = NULL;
    size_t n_bytes;
    ssw_error err;
    if (!join(path, v->dir, "SHA256SUMS")) {
        note(v, "evidence", SSW_VERIFY_DIFFERS, "the folder's path is too long");
        return false;
    }
    if (access(path, F_OK) != 0) {
        note(v, "evidence", SSW_VERIFY_DIFFERS,
             "%s is not there: no run folder, or the run was never completed", path);
        return false;
    }
    if (ssw_text_file_read(path, SUMS_BYTES_MAX, &text, &n_bytes, &err)) {
        note(v, "evidence", SSW_VERIFY_DIFFERS, "%s", err.message);
        return false;
    }
    bool same = check_sums(v, text);
    free(text);
    if (same && ssw_evidence_open(v->dir, &v->evidence, &err)) {
        note(v, "evidence", SSW_VERIFY_DIFFERS, "%s", err.message);
        return false;
    }
    return same;
}

/* Where the index-th file of the model lies now. */
static bool model_path(const verification *v, size_t index, char path[PATH_MAX])
{
    const char *recorded = v->evidence->manifest.model.files[index].path, *given = v->options->model;
    if (!given)
        return snprintf(path, PATH_MAX, "%s", recorded) < PATH_MAX;
    if (index == 0)
        return snprintf(path, PATH_MAX, "%s", given) < PATH_MAX;
    const char *name = strrchr(recorded, '/'), *slash = strrchr(given, '/'); /* a split set moves together */
    name = name ? name + 1 : recorded;
    return snprintf(path, PATH_MAX, "%.*s%s", slash ? (int)(slash + 1 - given) : 0, given, name) < PATH_MAX;
}

static bool check_file(verification *v, const char *what, const char *path, const char *recorded,
                       const char *hint)
{
    ssw_sha256_text actual;
    ssw_error err;
    if (access(path, F_OK) != 0) {
        note(v, what, SSW_VERIFY_DIFFERS, "%s is not there%s", path, hint);
        return false;
    }
    if (ssw_sha256_file(path, actual, NULL, &err)) {
        note(v, what, SSW_VERIFY_DIFFERS, "%s", err.message);
        return false;
    }
    if (strcmp(actual, recorded) != 0) {
        note(v, what, SSW_VERIFY_DIFFERS,
             "%s is not the file that was measured: SHA-256 is %.12s..., the manifest says %.12s...", path,
             actual, recorded);
        return false;
    }
    return true;
}

static bool check_model(verification *v)
{
    const ssw_manifest_model *model = &v->evidence->manifest.model;
    if (v->options->no_model) {
        note(v, "model", SSW_VERIFY_SKIPPED, "left out by --no-model");
        return true;
    }
    for (size_t i = 0; i < model->n_files; i++) {
        char path[PATH_MAX];
        if (!model->files[i].path || !model->files[i].sha256 || !model_path(v, i, path)) {
            note(v, "model", SSW_VERIFY_DIFFERS, "the manifest has no path or hash for file %zu of the model",
                 i + 1);
            return false;
        }
        if (!check_file(v, "model", path, model->files[i].sha256,
                        "; if the model moved, give --model PATH; --no-model leaves it out"))
            return false;
    }
    if (model->n_files == 0)
        note(v, "model", SSW_VERIFY_SKIPPED, "not a local file when it was measured");
    else
        note(v, "model", SSW_VERIFY_SAME, "%zu files have the SHA-256 that the manifest says",
             model->n_files);
    return true;
}

static bool check_servers(verification *v)
{
    const ssw_manifest *manifest = &v->evidence->manifest;
    if (v->options->no_server) {
        note(v, "server", SSW_VERIFY_SKIPPED, "left out by --no-server");
        return true;
    }
    for (size_t i = 0; i < manifest->n_arms; i++) {
        const ssw_manifest_file *server = &manifest->arms[i].server;
        bool checked = false;
        for (size_t k = 0; k < i; k++)
            checked |= server->path && manifest->arms[k].server.path &&
                       strcmp(server->path, manifest->arms[k].server.path) == 0;
        if (checked || manifest->plan.arms[i].url) /* its executable was never seen */
            continue;
        if (!server->path || !server->sha256) {
            note(v, "server", SSW_VERIFY_DIFFERS, "the manifest has no path or hash for the server of %s",
                 manifest->arms[i].name);
            return false;
        }
        if (!check_file(v, "server", server->path, server->sha256, " any more; --no-server leaves it out"))
            return false;
    }
    note(v, "server", SSW_VERIFY_SAME, "the servers have the SHA-256 that the manifest says");
    return true;
}

static bool check_count(verification *v, const ssw_token_counter *counter, const ssw_sample *sample)
{
    const ssw_token_count *recorded = ssw_evidence_find_tokens(v->evidence, sample->id);
    ssw_text_count count;
    ssw_tokens ids = {0};
    ssw_error err;
    if (!recorded) {
        note(v, "tokens", SSW_VERIFY_DIFFERS, "tokens.jsonl has no line for %s", sample->id);
        return false;
    }
    if (ssw_token_counter_count(counter, sample->text, sample->reasoning, &ids, &count, &err)) {
        note(v, "tokens", SSW_VERIFY_DIFFERS, "%s: %s", sample->id, err.message);
        return false;
    }
    bool same_ids = recorded->n_ids == 0 || (recorded->n_ids == ids.n &&
                                             memcmp(recorded->ids, ids.ids, ids.n * sizeof *ids.ids) == 0);
    ssw_tokens_deinit(&ids);
    if (!same_ids || recorded->tokens != count.tokens ||
        recorded->tokens_reasoning != count.tokens_reasoning || !recorded->ids_sha256 ||
        strcmp(recorded->ids_sha256, count.ids_sha256) != 0) {
        note(v, "tokens", SSW_VERIFY_DIFFERS, "%s: the reply has %lld tokens, tokens.jsonl says %lld",
             sample->id, (long long)count.tokens, (long long)recorded->tokens);
        return false;
    }
    return true;
}

static bool check_tokens(verification *v)
{
    const ssw_evidence *evidence = v->evidence;
    bool any = false;
    for (size_t i = 0; i < evidence->n_token_counts; i++)
        any |= evidence->token_counts[i].tokens != SSW_EVIDENCE_NONE;
    if (!any) {
        note(v, "tokens", SSW_VERIFY_SKIPPED, "they were not counted by the model's own tokenizer");
        return true;
    }
    if (v->options->no_model) {
        note(v, "tokens", SSW_VERIFY_SKIPPED, "left out by --no-model");
        return true;
    }
    char path[PATH_MAX];
    ssw_token_counter *counter = NULL;
    ssw_error err;
    if (evidence->manifest.model.n_files == 0 || !model_path(v, 0, path) ||
        ssw_token_counter_open(path, &counter, &err)) {
        note(v, "tokens", SSW_VERIFY_DIFFERS, "%s",
             evidence->manifest.model.n_files ? err.message : "the manifest names no model");
        return false;
    }
    bool same = true;
    int n_counted = 0;
    for (size_t i = 0; i < evidence->n_samples && same; i++) {
        if (!ssw_evidence_is_measured(&evidence->samples[i]))
            continue;
        same = check_count(v, counter, &evidence->samples[i]);
        n_counted++;
    }
    ssw_token_counter_close(counter);
    if (same)
        note(v, "tokens", SSW_VERIFY_SAME, "%d replies counted again", n_counted);
    return same;
}

/* The quality phase's folder, where there is one: its files and token counts. Its figures are in the report.
 */
static bool check_quality(const verification *of_run)
{
    char folder[PATH_MAX], manifest[PATH_MAX];
    verification v = {.dir = folder, .name = "quality", .options = of_run->options, .result = of_run->result};
    if (!join(folder, of_run->dir, "quality") || !join(manifest, folder, "manifest.json") ||
        access(manifest, F_OK) != 0)
        return true;
    bool same = check_evidence(&v) && check_tokens(&v);
    ssw_evidence_close(v.evidence);
    return same;
}

/* Where two texts part: line and what stands there. */
static void note_difference(verification *v, const char *path, const char *made, const char *found)
{
    size_t at = 0, line = 1, line_start = 0;
    while (made[at] && made[at] == found[at]) {
        if (made[at++] == '\n') {
            line++;
            line_start = at;
        }
    }
    size_t from = at - line_start > EXCERPT_MAX / 2 ? at - EXCERPT_MAX / 2 : line_start;
    note(v, "report", SSW_VERIFY_DIFFERS, "%s differs at line %zu: \"%.*s\", computed again \"%.*s\"", path,
         line,
         (int)strcspn(found + from, "\n") < EXCERPT_MAX ? (int)strcspn(found + from, "\n") : EXCERPT_MAX,
         found + from,
         (int)strcspn(made + from, "\n") < EXCERPT_MAX ? (int)strcspn(made + from, "\n") : EXCERPT_MAX,
         made + from);
}

/* *found: whether the file was there to compare. */
static bool compare_file(verification *v, const char *name, const char *made, size_t n_made, bool needed,
                         bool *found)
{
    char folder[PATH_MAX], path[PATH_MAX], *text = NULL;
    size_t n_bytes = 0;
    ssw_error err;
    *found = join(folder, v->dir, "report") && join(path, folder, name) && access(path, F_OK) == 0;
    if (!*found) {
        if (needed)
            note(v, "report", SSW_VERIFY_DIFFERS, "%s/report/%s is not there; `seesaw report %s` makes it",
                 v->dir, name, v->dir);
        return !needed;
    }
    if (ssw_text_file_read(path, SSW_REPORT_BYTES_MAX, &text, &n_bytes, &err)) {
        note(v, "report", SSW_VERIFY_DIFFERS, "%s", err.message);
        return false;
    }
    bool same = n_bytes == n_made && memcmp(text, made, n_made) == 0;
    if (!same)
        note_difference(v, path, made, text);
    free(text);
    return same;
}

/* How the report that lies there got its plots, from its figures.json. */
static ssw_status read_plot_origin(const char *dir, char made_with[64], char why_not[256], ssw_error *err)
{
    char path[PATH_MAX];
    json_error_t where;
    if (snprintf(path, sizeof path, "%s/report/figures.json", dir) >= (int)sizeof path)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    if (access(path, F_OK) != 0)
        return ssw_error_set(err, SSW_ERR_IO, "%s is not there; `seesaw report %s` makes it", path, dir);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    const char *with = json_string_value(json_object_get(json_object_get(root, "plots"), "made_with"));
    const char *why = json_string_value(json_object_get(json_object_get(root, "plots"), "why_not"));
    snprintf(made_with, 64, "%s", with ? with : "");
    snprintf(why_not, 256, "%s", why ? why : "");
    bool ok = with && why;
    json_decref(root);
    return ok ? SSW_OK : ssw_error_set(err, SSW_ERR_FORMAT, "%s: not a figures.json of this program", path);
}

static bool compare_report(verification *v, const ssw_report_pages *pages, bool redrawn,
                           const char *made_with)
{
    bool there, any;
    bool same =
        compare_file(v, "figures.json", ssw_strbuf_text(&pages->json), pages->json.n_bytes, true, &any) &&
        compare_file(v, "report.md", ssw_strbuf_text(&pages->md), pages->md.n_bytes, false, &there) &&
        compare_file(v, "report.html", ssw_strbuf_text(&pages->html), pages->html.n_bytes, false, &there) &&
        compare_file(v, "samples.csv", ssw_strbuf_text(&pages->samples_csv), pages->samples_csv.n_bytes,
                     false, &there) &&
        compare_file(v, "figures.csv", ssw_strbuf_text(&pages->figures_csv), pages->figures_csv.n_bytes,
                     false, &there);
    for (int i = 0; i < SSW_PLOTS_COUNT && same && redrawn; i++) {
        char name[64];
        const ssw_plot *plot = &pages->plots.plots[i];
        snprintf(name, sizeof name, "%s.svg", plot->name ? plot->name : "");
        if (plot->svg)
            same = compare_file(v, name, plot->svg, plot->svg_bytes, false, &there);
    }
    if (same && *made_with && !redrawn)
        note(v, "report", SSW_VERIFY_SAME,
             "made again byte for byte; its drawings are %s's, which is not here, and were "
             "taken as they are",
             made_with);
    else if (same)
        note(v, "report", SSW_VERIFY_SAME, "made again byte for byte");
    return same;
}

static ssw_status check_report(verification *v, ssw_error *err)
{
    char made_with[64], why_not[256], folder[PATH_MAX];
    ssw_error found;
    ssw_report_pages pages;
    if (read_plot_origin(v->dir, made_with, why_not, &found) || !join(folder, v->dir, "report")) {
        note(v, "report", SSW_VERIFY_DIFFERS, "%s", found.message);
        return SSW_OK;
    }
    ssw_report_make_options options = {.gnuplot = v->options->gnuplot,
                                       .no_plots = *made_with ? NULL : why_not};
    ssw_status status = ssw_report_make(v->dir, &options, &pages, err);
    bool redrawn = *made_with && !status && strcmp(pages.plots.made_with, made_with) == 0;
    if (!status && *made_with && !redrawn) { /* another gnuplot draws other bytes */
        ssw_report_pages_deinit(&pages);
        options.plots_from = folder;
        status = ssw_report_make(v->dir, &options, &pages, err);
    }
    if (status && status != SSW_ERR_NOMEM) {
        note(v, "report", SSW_VERIFY_DIFFERS, "%s", err ? err->message : "the report cannot be made again");
        status = SSW_OK;
    } else if (!status) {
        compare_report(v, &pages, redrawn, made_with);
    }
    ssw_report_pages_deinit(&pages);
    return status;
}

ssw_status ssw_verify_run(const char *dir, const ssw_verify_options *options, ssw_verify_result *out,
                          ssw_error *err)
{
    *out = (ssw_verify_result){.same = true};
    ssw_error kept = {0};
    verification v = {.dir = dir, .options = options, .result = out};
    ssw_status status = SSW_OK;
    if (check_evidence(&v) && check_model(&v) && check_servers(&v) && check_tokens(&v) && check_quality(&v))
        status = check_report(&v, &kept);
    ssw_evidence_close(v.evidence);
    return status ? ssw_error_set(err, status, "%s", kept.message) : SSW_OK;
}
