/* quality.json, executions.jsonl and embeddings.jsonl. */
#include "bench/evidence/quality_files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/evidence/json_fields.h"
#include "bench/evidence/text_file.h"

#define FILE_BYTES_MAX ((size_t)2 << 30)

enum { SCHEMA = 1 };

static const ssw_json_field settings_fields[] = {
    SSW_JSON_FIELD(REAL, ssw_quality_settings, margin),
    SSW_JSON_FIELD(TEXT, ssw_quality_settings, embeddings_url),
};
static const ssw_json_field execution_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_execution, id),      SSW_JSON_FIELD(TEXT_NEEDED, ssw_execution, problem),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_execution, outcome), SSW_JSON_FIELD(I64, ssw_execution, exit_code),
    SSW_JSON_FIELD(I64, ssw_execution, wall_ns),         SSW_JSON_FIELD(TEXT, ssw_execution, detail),
};
static const ssw_json_field embedding_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_embedding, id),
    SSW_JSON_FIELD(TEXT, ssw_embedding, error),
};

static ssw_status join(char path[PATH_MAX], const char *dir, const char *name, ssw_error *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    return SSW_OK;
}

static json_t *record(const void *data, const ssw_json_field *fields, size_t n_fields)
{
    json_t *object = json_object();
    if (object && !ssw_json_put_fields(object, data, fields, n_fields)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

ssw_status ssw_quality_settings_write(const ssw_quality_settings *settings, const char *dir, ssw_error *err)
{
    char path[PATH_MAX];
    json_t *object = record(settings, SSW_JSON_FIELDS(settings_fields));
    bool ok = object && ssw_json_put(object, "schema", json_integer(SCHEMA)) &&
              ssw_json_put(object, "problems", json_loads(settings->problems, JSON_REJECT_DUPLICATES, NULL));
    char *text = ok ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    ssw_status status = text ? join(path, dir, "quality.json", err)
                             : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for quality.json");
    if (!status)
        status = ssw_text_file_create(path, text, strlen(text), err);
    free(text);
    return status;
}

static ssw_status parse_settings(ssw_arena *arena, const json_t *object, ssw_quality_settings *out,
                                 ssw_error *err)
{
    const json_t *problems;
    if (json_integer_value(json_object_get(object, "schema")) != SCHEMA)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "\"schema\" is not %d", SCHEMA);
    ssw_status status = ssw_json_get_fields(arena, object, out, SSW_JSON_FIELDS(settings_fields), err);
    if (!status)
        status = ssw_json_get_object(object, "problems", &problems, err);
    if (!status && (!problems || !(out->margin > 0)))
        status = ssw_error_set(err, SSW_ERR_FORMAT, "no problems or no margin");
    char *text = status ? NULL : json_dumps(problems, JSON_COMPACT);
    out->problems = text ? ssw_arena_copy_text(arena, text, strlen(text)) : NULL;
    free(text);
    if (!status && !out->problems)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the problems");
    return status;
}

ssw_status ssw_quality_settings_read(ssw_arena *arena, const char *dir, ssw_quality_settings *out,
                                     ssw_error *err)
{
    char path[PATH_MAX], *text = NULL;
    size_t n_bytes;
    json_error_t where;
    *out = (ssw_quality_settings){0};
    ssw_status status = join(path, dir, "quality.json", err);
    if (!status)
        status = ssw_text_file_read(path, SSW_QUALITY_SETTINGS_BYTES_MAX, &text, &n_bytes, err);
    if (status)
        return status;
    json_t *object = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &where);
    status = object ? parse_settings(arena, object, out, err)
                    : ssw_error_set(err, SSW_ERR_FORMAT, "line %d: %s", where.line, where.text);
    if (status)
        ssw_error_prefix(err, "%s", path);
    json_decref(object);
    free(text);
    return status;
}

json_t *ssw_execution_to_json(const ssw_execution *execution)
{
    return record(execution, SSW_JSON_FIELDS(execution_fields));
}

json_t *ssw_embedding_to_json(const ssw_embedding *embedding)
{
    json_t *object = record(embedding, SSW_JSON_FIELDS(embedding_fields));
    json_t *values = json_array();
    for (size_t i = 0; values && i < embedding->n; i++) {
        if (!ssw_json_push(values, json_real(embedding->values[i]))) {
            json_decref(values);
            values = NULL;
        }
    }
    if (object && !ssw_json_put(object, "values", values)) {
        json_decref(object);
        return NULL;
    }
    if (!object)
        json_decref(values);
    return object;
}

ssw_status ssw_execution_from_json(ssw_arena *arena, const json_t *object, ssw_execution *out, ssw_error *err)
{
    return ssw_json_get_fields(arena, object, out, SSW_JSON_FIELDS(execution_fields), err);
}

ssw_status ssw_embedding_from_json(ssw_arena *arena, const json_t *object, ssw_embedding *out, ssw_error *err)
{
    const json_t *values;
    ssw_status status = ssw_json_get_fields(arena, object, out, SSW_JSON_FIELDS(embedding_fields), err);
    if (!status)
        status = ssw_json_get_array(object, "values", SSW_QUALITY_DIMENSIONS_MAX, &values, err);
    if (status)
        return status;
    out->n = json_array_size(values);
    double *numbers = ssw_arena_alloc(arena, out->n + 1, sizeof *numbers);
    if (!numbers)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for an embedding");
    for (size_t i = 0; i < out->n; i++) {
        if (!json_is_number(json_array_get(values, i)))
            return ssw_error_set(err, SSW_ERR_FORMAT, "\"values\": item %zu is no number", i);
        numbers[i] = json_number_value(json_array_get(values, i));
    }
    out->values = numbers;
    return SSW_OK;
}

static ssw_status parse_execution(ssw_arena *arena, const json_t *object, void *out, ssw_error *err)
{
    return ssw_execution_from_json(arena, object, out, err);
}

static ssw_status parse_embedding(ssw_arena *arena, const json_t *object, void *out, ssw_error *err)
{
    return ssw_embedding_from_json(arena, object, out, err);
}

typedef ssw_status line_parser(ssw_arena *arena, const json_t *object, void *out, ssw_error *err);

static size_t count_lines(const char *text, size_t n_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        n += text[i] == '\n';
    return n;
}

/* A torn last line has no newline and is left out. */
static ssw_status parse_lines(ssw_arena *arena, char *text, size_t n_bytes, size_t size, line_parser *parser,
                              size_t *n, char **items, ssw_error *err)
{
    size_t n_lines = count_lines(text, n_bytes);
    if (n_lines > SSW_QUALITY_LINES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d lines", SSW_QUALITY_LINES_MAX);
    *items = ssw_arena_alloc(arena, n_lines + 1, size);
    if (!*items)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu lines", n_lines);
    const char *line = text;
    for (*n = 0; *n < n_lines; ++*n) {
        const char *newline = memchr(line, '\n', n_bytes - (size_t)(line - text));
        json_error_t where;
        json_t *object = json_loadb(line, (size_t)(newline - line), JSON_REJECT_DUPLICATES, &where);
        ssw_status status = object ? parser(arena, object, *items + *n * size, err)
                                   : ssw_error_set(err, SSW_ERR_FORMAT, "%s", where.text);
        json_decref(object);
        if (status)
            return ssw_error_prefix(err, "line %zu", *n + 1);
        line = newline + 1;
    }
    return SSW_OK;
}

static ssw_status read_lines(ssw_arena *arena, const char *dir, const char *name, size_t size,
                             line_parser *parser, size_t *n, void **out, ssw_error *err)
{
    char path[PATH_MAX], *text = NULL, *items = NULL;
    size_t n_bytes;
    *n = 0;
    *out = NULL;
    ssw_status status = join(path, dir, name, err);
    if (status || access(path, F_OK) != 0)
        return status;
    status = ssw_text_file_read(path, FILE_BYTES_MAX, &text, &n_bytes, err);
    if (!status && (status = parse_lines(arena, text, n_bytes, size, parser, n, &items, err)))
        ssw_error_prefix(err, "%s", path);
    *out = items;
    free(text);
    return status;
}

ssw_status ssw_executions_read(ssw_arena *arena, const char *dir, size_t *n, ssw_execution **out,
                               ssw_error *err)
{
    void *items;
    ssw_status status =
        read_lines(arena, dir, "executions.jsonl", sizeof **out, parse_execution, n, &items, err);
    *out = items;
    return status;
}

ssw_status ssw_embeddings_read(ssw_arena *arena, const char *dir, size_t *n, ssw_embedding **out,
                               ssw_error *err)
{
    void *items;
    ssw_status status =
        read_lines(arena, dir, "embeddings.jsonl", sizeof **out, parse_embedding, n, &items, err);
    *out = items;
    return status;
}
