/* Typed reads of JSON members. */
#include "serve/request_fields.h"

#include <math.h>

const json_t *ssw_field_find(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

bool ssw_field_bool(const json_t *object, const char *name, bool *out, ssw_http_fault *fault)
{
    const json_t *value = ssw_field_find(object, name);
    if (!value)
        return true;
    if (!json_is_boolean(value))
        return ssw_fault_set(fault, 400, name, "'%s' must be true or false", name);
    *out = json_is_true(value);
    return true;
}

bool ssw_field_int(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out,
                   ssw_http_fault *fault)
{
    const json_t *value = ssw_field_find(object, name);
    if (!value)
        return true;
    int64_t number = json_integer_value(value);
    if (json_is_real(value)) { /* 100.0 is an integer to JavaScript */
        double real = json_real_value(value);
        if (real != floor(real) || fabs(real) > 9007199254740992.0)
            return ssw_fault_set(fault, 400, name, "'%s' must be an integer", name);
        number = (int64_t)real;
    } else if (!json_is_integer(value)) {
        return ssw_fault_set(fault, 400, name, "'%s' must be an integer", name);
    }
    if (number < min || number > max)
        return ssw_fault_set(fault, 400, name, "'%s' must lie between %lld and %lld", name, (long long)min,
                             (long long)max);
    *out = number;
    return true;
}

bool ssw_field_number(const json_t *object, const char *name, double min, double max, float *out,
                      ssw_http_fault *fault)
{
    const json_t *value = ssw_field_find(object, name);
    if (!value)
        return true;
    if (!json_is_number(value))
        return ssw_fault_set(fault, 400, name, "'%s' must be a number", name);
    double number = json_number_value(value);
    if (!(number >= min && number <= max))
        return ssw_fault_set(fault, 400, name, "'%s' must lie between %g and %g", name, min, max);
    *out = (float)number;
    return true;
}

bool ssw_field_string(const json_t *object, const char *name, const char **out, ssw_http_fault *fault)
{
    const json_t *value = ssw_field_find(object, name);
    if (!value)
        return true;
    if (!json_is_string(value))
        return ssw_fault_set(fault, 400, name, "'%s' must be a string", name);
    *out = json_string_value(value);
    return true;
}

bool ssw_field_object(const json_t *object, const char *name, const json_t **out, ssw_http_fault *fault)
{
    const json_t *value = ssw_field_find(object, name);
    if (!value)
        return true;
    if (!json_is_object(value))
        return ssw_fault_set(fault, 400, name, "'%s' must be an object", name);
    *out = value;
    return true;
}

bool ssw_field_parse_body(const char *body, size_t n_bytes, json_t **out, ssw_http_fault *fault)
{
    *out = NULL;
    if (n_bytes == 0)
        return ssw_fault_set(fault, 400, NULL, "the request has no body; a JSON object was expected");
    json_error_t error;
    json_t *root = json_loadb(body, n_bytes, 0, &error);
    if (!root)
        return ssw_fault_set(fault, 400, NULL, "the body is not valid JSON: line %d, column %d: %s",
                             error.line, error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return ssw_fault_set(fault, 400, NULL, "the body must be a JSON object");
    }
    *out = root;
    return true;
}
