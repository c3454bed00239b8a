/* Reading problems, finding the code in replies, making programs. */
#include "bench/quality/problems.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/json_fields.h"

static const ssw_json_field problem_fields[] = {
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_problem, name),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_problem, prompt),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_problem, entry),
    SSW_JSON_FIELD(TEXT_NEEDED, ssw_problem, tests),
};

static ssw_status read_problems(ssw_arena *arena, const json_t *root, ssw_problems *out, ssw_error *err)
{
    const json_t *array;
    if (json_integer_value(json_object_get(root, "schema")) != SSW_PROBLEMS_SCHEMA)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "problems: \"schema\" is not %d", SSW_PROBLEMS_SCHEMA);
    ssw_status status = ssw_json_get_array(root, "problems", SSW_PROBLEMS_MAX, &array, err);
    if (!status && json_array_size(array) == 0)
        return ssw_error_set(err, SSW_ERR_FORMAT, "problems: there are none");
    ssw_problem *items = status ? NULL : ssw_arena_alloc(arena, json_array_size(array), sizeof *items);
    if (!status && !items)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the problems");
    for (size_t i = 0; !status && i < json_array_size(array); i++) {
        status = ssw_json_get_fields(arena, json_array_get(array, i), &items[i],
                                     SSW_JSON_FIELDS(problem_fields), err);
        if (!status &&
            (!*items[i].name || strlen(items[i].name) > SSW_PROBLEMS_NAME_MAX || !*items[i].prompt))
            status = ssw_error_set(err, SSW_ERR_FORMAT, "a name of 1 to %d bytes and a prompt are needed",
                                   SSW_PROBLEMS_NAME_MAX);
        *out = (ssw_problems){.n = i, .items = items};
        if (!status && ssw_problems_find(out, items[i].name))
            status = ssw_error_set(err, SSW_ERR_FORMAT, "\"%s\" is there twice", items[i].name);
        if (status)
            return ssw_error_prefix(err, "problem %zu", i + 1);
    }
    *out = (ssw_problems){.n = json_array_size(array), .items = items};
    return status;
}

ssw_status ssw_problems_parse(ssw_arena *arena, const char *json, size_t n_bytes, ssw_problems *out,
                              ssw_error *err)
{
    json_error_t where;
    *out = (ssw_problems){0};
    if (n_bytes > SSW_PROBLEMS_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "problems: larger than %d bytes", SSW_PROBLEMS_BYTES_MAX);
    json_t *root = json_loadb(json, n_bytes, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return ssw_error_set(err, SSW_ERR_FORMAT, "problems: line %d: %s", where.line, where.text);
    ssw_status status = read_problems(arena, root, out, err);
    json_decref(root);
    return status;
}

const ssw_problem *ssw_problems_find(const ssw_problems *problems, const char *name)
{
    for (size_t i = 0; i < problems->n; i++) {
        if (strcmp(problems->items[i].name, name) == 0)
            return &problems->items[i];
    }
    return NULL;
}

static bool defines_something(const char *text, size_t n)
{
    return memmem(text, n, "def ", 4) || memmem(text, n, "class ", 6) || memmem(text, n, "lambda", 6);
}

/* The next fenced block from *at on: its content, and *at behind it. An open fence runs to the end. */
static bool next_block(const char **at, const char **content, size_t *n)
{
    const char *fence = strstr(*at, "```");
    const char *line_end = fence ? strchr(fence, '\n') : NULL;
    if (!line_end)
        return false;
    *content = line_end + 1;
    const char *close = strstr(*content, "```");
    *n = close ? (size_t)(close - *content) : strlen(*content);
    *at = close ? close + 3 : *content + *n;
    return true;
}

bool ssw_problem_extract_code(const char *reply, ssw_strbuf *out)
{
    const char *at = reply, *content, *first = NULL;
    size_t n, n_first = 0;
    ssw_strbuf_clear(out);
    while (next_block(&at, &content, &n)) {
        if (!first || (defines_something(content, n) && !defines_something(first, n_first))) {
            first = content;
            n_first = n;
        }
    }
    if (!first && defines_something(reply, strlen(reply))) {
        first = reply;
        n_first = strlen(reply);
    }
    if (!first)
        return false;
    ssw_strbuf_append(out, first, n_first);
    return true;
}

/* A JSON string of UTF-8 is a Python string too: its escapes are a subset. */
static void append_literal(ssw_strbuf *out, const char *text)
{
    json_t *string = ssw_json_make_text(text);
    char *literal = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    if (literal)
        ssw_strbuf_append_text(out, literal);
    else
        out->failed = true;
    free(literal);
    json_decref(string);
}

ssw_status ssw_problem_make_program(const ssw_problem *problem, const char *code, const char *marker,
                                    ssw_strbuf *out, ssw_error *err)
{
    ssw_strbuf_append_text(
        out, "import os as _os, types as _types\n_names = {'__name__': 'reply'}\nexec(compile(");
    append_literal(out, code);
    ssw_strbuf_append_text(out, ", 'reply', 'exec'), _names)\ncandidate = _names.get(");
    append_literal(out, problem->entry);
    ssw_strbuf_append_format(out,
                             ") or [f for f in _names.values() if isinstance(f, "
                             "_types.FunctionType)][-1]\n%s\n_os.write(1, b'\\n%s\\n')\n",
                             problem->tests, marker);
    return ssw_strbuf_check(out, "a program", err);
}
