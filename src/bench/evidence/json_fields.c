/* Tables of fields over jansson. */
#include "bench/evidence/json_fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "bench/evidence/sample.h"

enum { TEXT_BYTES_MAX = 64 << 20 };

/* Length of the UTF-8 character at p (n bytes are there), 0 if it is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    size_t length = p[0] < 0x80                   ? 1
                    : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                    : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                    : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                  : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return length > 1 && (overlong || beyond) ? 0 : length;
}

json_t *ssw_json_make_text_n(const char *text, size_t n_bytes)
{
    json_t *plain = json_stringn(text, n_bytes);
    if (plain)
        return plain;
    ssw_strbuf mended;
    ssw_strbuf_init(&mended, TEXT_BYTES_MAX);
    for (size_t i = 0; i < n_bytes;) {
        size_t length = utf8_length((const unsigned char *)text + i, n_bytes - i);
        ssw_strbuf_append(&mended, length ? text + i : "\xef\xbf\xbd", length ? length : 3);
        i += length ? length : 1;
    }
    json_t *value = mended.failed ? NULL : json_stringn(ssw_strbuf_text(&mended), mended.n_bytes);
    ssw_strbuf_deinit(&mended);
    return value;
}

json_t *ssw_json_make_text(const char *text)
{
    return text ? ssw_json_make_text_n(text, strlen(text)) : json_null();
}

bool ssw_json_put(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

bool ssw_json_push(json_t *array, json_t *value)
{
    return value && json_array_append_new(array, value) == 0;
}

static json_t *field_value(const void *at, ssw_json_type type)
{
    switch (type) {
    case SSW_JSON_I64: {
        int64_t value = *(const int64_t *)at;
        return value == SSW_EVIDENCE_NONE ? json_null() : json_integer(value);
    }
    case SSW_JSON_COUNT:
    case SSW_JSON_COUNT_OR_0:
        return json_integer(*(const int *)at);
    case SSW_JSON_U64: {
        uint64_t value = *(const uint64_t *)at;
        return value <= INT64_MAX ? json_integer((json_int_t)value)
                                  : json_sprintf("%llu", (unsigned long long)value);
    }
    case SSW_JSON_TEXT:
    case SSW_JSON_TEXT_NEEDED:
        return ssw_json_make_text(*(const char *const *)at);
    case SSW_JSON_REAL: {
        double value = *(const double *)at;
        return value < 0 ? json_null() : json_real(value);
    }
    case SSW_JSON_REAL_OR_0:
        return json_real(*(const double *)at);
    }
    return NULL;
}

bool ssw_json_put_fields(json_t *object, const void *record, const ssw_json_field *fields, size_t n_fields)
{
    for (size_t i = 0; i < n_fields; i++) {
        const char *at = (const char *)record + fields[i].offset;
        if (!ssw_json_put(object, fields[i].key, field_value(at, fields[i].type)))
            return false;
    }
    return true;
}

static ssw_status wrong_type(const char *key, const char *wanted, ssw_error *err)
{
    return ssw_error_set(err, SSW_ERR_FORMAT, "\"%s\" is not %s", key, wanted);
}

static ssw_status get_text(ssw_arena *arena, const json_t *value, const char *key, bool needed,
                           const char **out, ssw_error *err)
{
    *out = NULL;
    if (!needed && (!value || json_is_null(value)))
        return SSW_OK;
    if (!json_is_string(value))
        return wrong_type(key, needed ? "a string" : "a string or null", err);
    if (memchr(json_string_value(value), '\0', json_string_length(value)))
        return ssw_error_set(err, SSW_ERR_FORMAT, "\"%s\" holds a NUL character", key);
    *out = ssw_arena_copy_text(arena, json_string_value(value), json_string_length(value));
    return *out ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"%s\"", key);
}

static ssw_status get_u64(const json_t *value, const char *key, uint64_t *out, ssw_error *err)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return SSW_OK;
    }
    const char *digits = json_string_value(value);
    char *end = NULL;
    if (!digits || *digits < '0' || *digits > '9')
        return wrong_type(key, "a number of 0 or more", err);
    *out = strtoull(digits, &end, 10);
    return *end ? wrong_type(key, "a number", err) : SSW_OK;
}

static ssw_status get_field(ssw_arena *arena, const json_t *object, void *at, const ssw_json_field *field,
                            ssw_error *err)
{
    const json_t *value = json_object_get(object, field->key);
    bool null = !value || json_is_null(value);
    switch (field->type) {
    case SSW_JSON_I64:
        if (!null && !json_is_integer(value))
            return wrong_type(field->key, "an integer or null", err);
        *(int64_t *)at = null ? SSW_EVIDENCE_NONE : json_integer_value(value);
        return SSW_OK;
    case SSW_JSON_COUNT_OR_0:
        *(int *)at = 0;
        if (null)
            return SSW_OK;
        __attribute__((fallthrough));
    case SSW_JSON_COUNT:
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > INT32_MAX)
            return wrong_type(field->key, "an integer from 0 to 2147483647", err);
        *(int *)at = (int)json_integer_value(value);
        return SSW_OK;
    case SSW_JSON_U64:
        return get_u64(value, field->key, at, err);
    case SSW_JSON_TEXT:
    case SSW_JSON_TEXT_NEEDED:
        return get_text(arena, value, field->key, field->type == SSW_JSON_TEXT_NEEDED, at, err);
    case SSW_JSON_REAL:
        if (!null && !json_is_number(value))
            return wrong_type(field->key, "a number or null", err);
        *(double *)at = null ? -1 : json_number_value(value);
        return SSW_OK;
    case SSW_JSON_REAL_OR_0:
        if (!null && !json_is_number(value))
            return wrong_type(field->key, "a number or null", err);
        *(double *)at = null ? 0 : json_number_value(value);
        return SSW_OK;
    }
    return SSW_ERR_INTERNAL;
}

ssw_status ssw_json_get_fields(ssw_arena *arena, const json_t *object, void *record,
                               const ssw_json_field *fields, size_t n_fields, ssw_error *err)
{
    if (!json_is_object(object))
        return ssw_error_set(err, SSW_ERR_FORMAT, "not a JSON object");
    for (size_t i = 0; i < n_fields; i++) {
        ssw_status status = get_field(arena, object, (char *)record + fields[i].offset, &fields[i], err);
        if (status)
            return status;
    }
    return SSW_OK;
}

ssw_status ssw_json_get_array(const json_t *object, const char *key, size_t max, const json_t **out,
                              ssw_error *err)
{
    const json_t *value = json_object_get(object, key);
    *out = NULL;
    if (!value || json_is_null(value))
        return SSW_OK;
    if (!json_is_array(value))
        return wrong_type(key, "an array", err);
    if (json_array_size(value) > max)
        return ssw_error_set(err, SSW_ERR_LIMIT, "\"%s\" has more than %zu entries", key, max);
    *out = value;
    return SSW_OK;
}

ssw_status ssw_json_get_object(const json_t *object, const char *key, const json_t **out, ssw_error *err)
{
    const json_t *value = json_object_get(object, key);
    *out = json_is_null(value) ? NULL : value;
    return *out && !json_is_object(*out) ? wrong_type(key, "an object", err) : SSW_OK;
}

ssw_status ssw_json_get_words(ssw_arena *arena, const json_t *object, const char *key, size_t max, size_t *n,
                              const char ***words, ssw_error *err)
{
    const json_t *array;
    ssw_status status = ssw_json_get_array(object, key, max, &array, err);
    *n = 0;
    if (status || !array)
        return status;
    *words = ssw_arena_alloc(arena, json_array_size(array) + 1, sizeof **words);
    if (!*words)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for \"%s\"", key);
    for (; !status && *n < json_array_size(array); ++*n)
        status = get_text(arena, json_array_get(array, *n), key, true, &(*words)[*n], err);
    return status;
}

json_t *ssw_json_words(const char *const *words, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++) {
        if (!ssw_json_push(array, ssw_json_make_text(words[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
