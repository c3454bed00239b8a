/* Reads a run folder back. Each file is taken whole into memory, cut into lines, and each line parsed by
 * jansson. */
#include "bench/evidence/evidence_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/evidence/json_fields.h"
#include "bench/evidence/text_file.h"

#define FILE_BYTES_MAX  ((size_t)4 << 30)
#define ARENA_BYTES_MAX ((size_t)8 << 30)

static const ssw_json_field life_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_server_life, arm),
    SSW_JSON_FIELD(COUNT, ssw_server_life, block),
    SSW_JSON_FIELD(COUNT, ssw_server_life, position),
    SSW_JSON_FIELD(I64, ssw_server_life, pid),
    SSW_JSON_FIELD(I64, ssw_server_life, port),
    SSW_JSON_FIELD(I64, ssw_server_life, page_cache_bytes),
    SSW_JSON_FIELD_AS("t_ns", I64, ssw_server_life, start_ns),
};
static const ssw_json_field ready_fields[] = {
    SSW_JSON_FIELD(I64, ssw_server_life, spawn_ns),
    SSW_JSON_FIELD(I64, ssw_server_life, ready_ns),
    SSW_JSON_FIELD(TEXT, ssw_server_life, served_model),
};
static const ssw_json_field stop_fields[] = {
    SSW_JSON_FIELD_AS("t_ns", I64, ssw_server_life, stop_ns),
    SSW_JSON_FIELD_AS("reason", TEXT_NEEDED, ssw_server_life, stop_reason),
    SSW_JSON_FIELD(I64, ssw_server_life, exit_code),
    SSW_JSON_FIELD_AS("signal", I64, ssw_server_life, exit_signal),
    SSW_JSON_FIELD(I64, ssw_server_life, memory_back_ns),
};
static const ssw_json_field clock_fields[] = {
    SSW_JSON_FIELD(I64, ssw_clock_pair, monotonic_ns),
    SSW_JSON_FIELD(I64, ssw_clock_pair, wall_ns),
};
static const ssw_json_field count_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_token_count, id),       SSW_JSON_FIELD(I64, ssw_token_count, tokens),
    SSW_JSON_FIELD(I64, ssw_token_count, tokens_reasoning), SSW_JSON_FIELD(TEXT, ssw_token_count, ids_sha256),
    SSW_JSON_FIELD(I64, ssw_token_count, usage_tokens),
};

static const ssw_json_field left_out_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_left_out, arm),
    SSW_JSON_FIELD(COUNT, ssw_left_out, from_block),
    SSW_JSON_FIELD(I64, ssw_left_out, cost_ns),
    SSW_JSON_FIELD(I64, ssw_left_out, limit_ns),
};
static const ssw_json_field look_fields[] = {
    SSW_JSON_FIELD(COUNT, ssw_look, block), SSW_JSON_FIELD(TEXT, ssw_look, arm),
    SSW_JSON_FIELD(TEXT, ssw_look, metric), SSW_JSON_FIELD(REAL, ssw_look, half_width),
    SSW_JSON_FIELD(COUNT, ssw_look, stop),
};

/* Room for one more item in a doubling array; *items is freed by ssw_evidence_close. */
static ssw_status grow(void **items, size_t n, size_t size_bytes, size_t max, const char *what,
                       ssw_error *err)
{
    if (n == max)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %zu %s", max, what);
    if (n != 0 && (n < 16 || (n & (n - 1)) != 0))
        return SSW_OK;
    void *grown = realloc(*items, (n ? 2 * n : 16) * size_bytes);
    if (!grown)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %s", what);
    *items = grown;
    return SSW_OK;
}

static ssw_status add_sample(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->samples;
    ssw_status status = grow(&items, evidence->n_samples, sizeof *evidence->samples, SSW_EVIDENCE_SAMPLES_MAX,
                             "samples", err);
    evidence->samples = items;
    if (!status)
        status = ssw_sample_from_json(&evidence->arena, object, &evidence->samples[evidence->n_samples], err);
    if (status)
        return status;
    const ssw_sample *sample = &evidence->samples[evidence->n_samples];
    if (ssw_manifest_find_arm(&evidence->manifest, sample->arm) < 0)
        return ssw_error_set(err, SSW_ERR_FORMAT, "the manifest has no arm \"%.40s\"", sample->arm);
    if (!sample->warmup && ssw_manifest_find_prompt(&evidence->manifest, sample->prompt) < 0)
        return ssw_error_set(err, SSW_ERR_FORMAT, "the manifest has no prompt \"%.40s\"", sample->prompt);
    evidence->n_samples++;
    return SSW_OK;
}

static ssw_status add_life(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->servers;
    ssw_status status = grow(&items, evidence->n_servers, sizeof *evidence->servers, SSW_EVIDENCE_SAMPLES_MAX,
                             "server starts", err);
    evidence->servers = items;
    if (status)
        return status;
    ssw_server_life *life = &evidence->servers[evidence->n_servers];
    *life = (ssw_server_life){.spawn_ns = SSW_EVIDENCE_NONE,
                              .ready_ns = SSW_EVIDENCE_NONE,
                              .stop_ns = SSW_EVIDENCE_NONE,
                              .exit_code = SSW_EVIDENCE_NONE,
                              .exit_signal = SSW_EVIDENCE_NONE,
                              .memory_back_ns = SSW_EVIDENCE_NONE};
    status = ssw_json_get_fields(&evidence->arena, object, life, SSW_JSON_FIELDS(life_fields), err);
    if (!status)
        evidence->n_servers++;
    return status;
}

/* server_ready and server_stop belong to the last server_start. */
static ssw_status add_to_life(ssw_evidence *evidence, const json_t *object, const ssw_json_field *fields,
                              size_t n_fields, ssw_error *err)
{
    if (evidence->n_servers == 0)
        return ssw_error_set(err, SSW_ERR_FORMAT, "before any server_start");
    ssw_server_life *life = &evidence->servers[evidence->n_servers - 1];
    return ssw_json_get_fields(&evidence->arena, object, life, fields, n_fields, err);
}

static ssw_status add_ready(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    ssw_status status = add_to_life(evidence, object, SSW_JSON_FIELDS(ready_fields), err);
    if (status)
        return status;
    ssw_server_life *life = &evidence->servers[evidence->n_servers - 1];
    return ssw_server_buffers_from_json(&evidence->arena, object, &life->buffers, &life->n_buffers, err);
}

static ssw_status add_clock(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->clocks;
    ssw_status status = grow(&items, evidence->n_clocks, sizeof *evidence->clocks, SSW_EVIDENCE_SAMPLES_MAX,
                             "clock lines", err);
    evidence->clocks = items;
    if (!status)
        status = ssw_json_get_fields(&evidence->arena, object, &evidence->clocks[evidence->n_clocks],
                                     SSW_JSON_FIELDS(clock_fields), err);
    if (!status)
        evidence->n_clocks++;
    return status;
}

static ssw_status add_audit(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->audits;
    ssw_status status = grow(&items, evidence->n_audits, sizeof *evidence->audits, SSW_EVIDENCE_AUDITS_MAX,
                             "self-audits", err);
    evidence->audits = items;
    if (!status)
        status = ssw_self_audit_from_json(object, &evidence->audits[evidence->n_audits], err);
    if (!status)
        evidence->n_audits++;
    return status;
}

static ssw_status add_look(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->looks;
    ssw_status status =
        grow(&items, evidence->n_looks, sizeof *evidence->looks, SSW_PLAN_RUNS_MAX, "looks", err);
    evidence->looks = items;
    if (status)
        return status;
    ssw_look *look = &evidence->looks[evidence->n_looks];
    status = ssw_json_get_fields(&evidence->arena, object, look, SSW_JSON_FIELDS(look_fields), err);
    if (!status && look->block >= evidence->manifest.plan.runs)
        return ssw_error_set(err, SSW_ERR_FORMAT, "a look after block %d of %d", look->block,
                             evidence->manifest.plan.runs);
    if (!status)
        evidence->n_looks++;
    return status;
}

static ssw_status set_left_out(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    ssw_status status = ssw_json_get_fields(&evidence->arena, object, &evidence->left_out,
                                            SSW_JSON_FIELDS(left_out_fields), err);
    if (!status && ssw_manifest_find_arm(&evidence->manifest, evidence->left_out.arm) < 1)
        return ssw_error_set(err, SSW_ERR_FORMAT, "the arm that is left out is no arm after the first");
    return status;
}

static ssw_status read_sample_line(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    if (!kind)
        return ssw_error_set(err, SSW_ERR_FORMAT, "no \"kind\"");
    if (strcmp(kind, "sample") == 0)
        return add_sample(evidence, object, err);
    if (strcmp(kind, "server_start") == 0)
        return add_life(evidence, object, err);
    if (strcmp(kind, "server_ready") == 0)
        return add_ready(evidence, object, err);
    if (strcmp(kind, "server_stop") == 0)
        return add_to_life(evidence, object, SSW_JSON_FIELDS(stop_fields), err);
    if (strcmp(kind, "clock") == 0)
        return add_clock(evidence, object, err);
    if (strcmp(kind, "self_audit") == 0)
        return add_audit(evidence, object, err);
    if (strcmp(kind, "look") == 0)
        return add_look(evidence, object, err);
    if (strcmp(kind, "left_out") == 0)
        return set_left_out(evidence, object, err);
    if (strcmp(kind, "run_end") == 0) {
        const ssw_json_field reason[] = {{"reason", SSW_JSON_TEXT_NEEDED, 0}};
        return ssw_json_get_fields(&evidence->arena, object, &evidence->end_reason, SSW_JSON_FIELDS(reason),
                                   err);
    }
    return ssw_error_set(err, SSW_ERR_FORMAT, "unknown kind \"%.40s\"", kind);
}

static ssw_status read_telemetry_line(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->readings;
    ssw_status status = grow(&items, evidence->n_readings, sizeof *evidence->readings,
                             SSW_EVIDENCE_READINGS_MAX, "memory readings", err);
    evidence->readings = items;
    if (!status)
        status =
            ssw_reading_from_json(&evidence->arena, object, &evidence->readings[evidence->n_readings], err);
    if (!status)
        evidence->n_readings++;
    return status;
}

static ssw_status read_ids(ssw_evidence *evidence, const json_t *object, ssw_token_count *count,
                           ssw_error *err)
{
    const json_t *array;
    ssw_status status = ssw_json_get_array(object, "ids", SSW_SAMPLE_FRAMES_MAX, &array, err);
    if (status || !array)
        return status;
    int32_t *ids = ssw_arena_alloc(&evidence->arena, json_array_size(array) + 1, sizeof *ids);
    if (!ids)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for token ids");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return ssw_error_set(err, SSW_ERR_FORMAT, "\"ids\": item %zu is no token id", i);
        ids[i] = (int32_t)json_integer_value(id);
    }
    count->ids = ids;
    count->n_ids = json_array_size(array);
    return SSW_OK;
}

static ssw_status read_count_line(ssw_evidence *evidence, const json_t *object, ssw_error *err)
{
    void *items = evidence->token_counts;
    const json_t *flags, *flag;
    size_t i;
    ssw_status status = grow(&items, evidence->n_token_counts, sizeof *evidence->token_counts,
                             SSW_EVIDENCE_SAMPLES_MAX, "token counts", err);
    evidence->token_counts = items;
    if (status)
        return status;
    ssw_token_count *count = &evidence->token_counts[evidence->n_token_counts];
    *count = (ssw_token_count){0};
    status = ssw_json_get_fields(&evidence->arena, object, count, SSW_JSON_FIELDS(count_fields), err);
    if (!status)
        status = read_ids(evidence, object, count, err);
    if (!status)
        status = ssw_json_get_array(object, "flags", SSW_SAMPLE_FLAGS_MAX, &flags, err);
    if (status)
        return status;
    json_array_foreach(flags, i, flag)
    {
        if (json_is_string(flag) && strcmp(json_string_value(flag), "token-count") == 0)
            count->disagrees = true;
    }
    evidence->n_token_counts++;
    return SSW_OK;
}

typedef ssw_status line_reader(ssw_evidence *evidence, const json_t *object, ssw_error *err);

static ssw_status read_line(ssw_evidence *evidence, const char *line, size_t n, line_reader *reader,
                            ssw_error *err)
{
    if (n > SSW_EVIDENCE_LINE_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "longer than %d bytes", SSW_EVIDENCE_LINE_BYTES_MAX);
    json_error_t where;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &where);
    if (!object)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%.200s", where.text);
    ssw_status status = reader(evidence, object, err);
    json_decref(object);
    return status;
}

static ssw_status read_lines(ssw_evidence *evidence, const char *name, bool needed, line_reader *reader,
                             ssw_error *err)
{
    char path[SSW_EVIDENCE_PATH_MAX + 32];
    char *text = NULL;
    size_t n_bytes = 0;
    snprintf(path, sizeof path, "%s/%s", evidence->dir, name);
    if (!needed && access(path, F_OK) != 0)
        return SSW_OK;
    ssw_status status = ssw_text_file_read(path, FILE_BYTES_MAX, &text, &n_bytes, err);
    const char *end = text ? text + n_bytes : NULL;
    size_t number = 1;
    for (const char *line = text; !status && line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) {
            evidence->torn_lines++;
            break;
        }
        status = read_line(evidence, line, (size_t)(newline - line), reader, err);
        line = newline + 1;
    }
    if (status && text)
        ssw_error_prefix(err, "%s: line %zu", path, number - 1);
    free(text);
    return status;
}

ssw_status ssw_evidence_open(const char *dir, ssw_evidence **out, ssw_error *err)
{
    *out = NULL;
    ssw_evidence *evidence = calloc(1, sizeof *evidence);
    if (!evidence)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the evidence");
    ssw_manifest_init(&evidence->manifest);
    ssw_arena_init(&evidence->arena, ARENA_BYTES_MAX);
    ssw_status status = SSW_OK;
    if ((size_t)snprintf(evidence->dir, sizeof evidence->dir, "%s", dir) >= sizeof evidence->dir)
        status = ssw_error_set(err, SSW_ERR_LIMIT, "the path of the run folder is too long");
    if (!status)
        status = ssw_manifest_read(&evidence->manifest, dir, err);
    if (!status)
        status = read_lines(evidence, "samples.jsonl", true, read_sample_line, err);
    if (!status)
        status = read_lines(evidence, "tokens.jsonl", false, read_count_line, err);
    if (!status)
        status = read_lines(evidence, "telemetry.jsonl", false, read_telemetry_line, err);
    if (status)
        ssw_evidence_close(evidence);
    else
        *out = evidence;
    return status;
}

void ssw_evidence_close(ssw_evidence *evidence)
{
    if (!evidence)
        return;
    ssw_manifest_deinit(&evidence->manifest);
    ssw_arena_deinit(&evidence->arena);
    free(evidence->samples);
    free(evidence->servers);
    free(evidence->clocks);
    free(evidence->audits);
    free(evidence->readings);
    free(evidence->looks);
    free(evidence->token_counts);
    free(evidence);
}

const ssw_token_count *ssw_evidence_find_tokens(const ssw_evidence *evidence, const char *sample_id)
{
    for (size_t i = 0; i < evidence->n_token_counts; i++) {
        if (strcmp(evidence->token_counts[i].id, sample_id) == 0)
            return &evidence->token_counts[i];
    }
    return NULL;
}

bool ssw_evidence_is_measured(const ssw_sample *sample)
{
    return !sample->warmup && !sample->error;
}

int ssw_evidence_count_runs(const ssw_evidence *evidence)
{
    for (size_t i = 0; i < evidence->n_looks; i++) {
        if (evidence->looks[i].stop)
            return evidence->looks[i].block + 1;
    }
    return evidence->manifest.plan.runs;
}
