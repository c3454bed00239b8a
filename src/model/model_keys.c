/* Metadata values with their ranges, and one-line complaints. */
#include "model/model_arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KEY_NAME_MAX = 128 };

void ssw_model_keys_refuse(ssw_model_keys *keys, ssw_status status, const char *format, ...)
{
    if (keys->status != SSW_OK)
        return;
    char text[SSW_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keys->status = ssw_error_set(keys->err, status, "%s: %s", ssw_gguf_file_path(keys->gguf, 0), text);
}

static const ssw_gguf_key *find(const ssw_model_keys *keys, const char *name, char full[KEY_NAME_MAX])
{
    snprintf(full, KEY_NAME_MAX, "%s.%s", keys->arch_name, name);
    return ssw_gguf_find_key(keys->gguf, full);
}

bool ssw_model_keys_has(const ssw_model_keys *keys, const char *name)
{
    char full[KEY_NAME_MAX];
    return find(keys, name, full) != NULL;
}

static int32_t read_int(ssw_model_keys *keys, const char *name, int32_t min, int32_t max,
                        const int32_t *fallback)
{
    char full[KEY_NAME_MAX];
    const ssw_gguf_key *key = find(keys, name, full);
    int64_t value;
    if (!key) {
        if (fallback)
            return *fallback;
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is missing", full);
    } else if (!ssw_gguf_read_i64(key, &value)) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is not an integer", full);
    } else if (value < min || value > max) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is %lld, expected %d to %d", full,
                              (long long)value, (int)min, (int)max);
    } else {
        return (int32_t)value;
    }
    return min;
}

int32_t ssw_model_keys_read_int(ssw_model_keys *keys, const char *name, int32_t min, int32_t max)
{
    return read_int(keys, name, min, max, NULL);
}

int32_t ssw_model_keys_read_int_or(ssw_model_keys *keys, const char *name, int32_t min, int32_t max,
                                   int32_t fallback)
{
    return read_int(keys, name, min, max, &fallback);
}

static float read_float(ssw_model_keys *keys, const char *name, double min, double max, const float *fallback)
{
    char full[KEY_NAME_MAX];
    const ssw_gguf_key *key = find(keys, name, full);
    double value;
    if (!key) {
        if (fallback)
            return *fallback;
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is missing", full);
    } else if (!ssw_gguf_read_f64(key, &value)) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is not a number", full);
    } else if (!(value >= min && value <= max)) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is %g, expected %g to %g", full, value, min,
                              max);
    } else {
        return (float)value;
    }
    return (float)min;
}

float ssw_model_keys_read_float(ssw_model_keys *keys, const char *name, double min, double max)
{
    return read_float(keys, name, min, max, NULL);
}

float ssw_model_keys_read_float_or(ssw_model_keys *keys, const char *name, double min, double max,
                                   float fallback)
{
    return read_float(keys, name, min, max, &fallback);
}

bool ssw_model_keys_read_bool(ssw_model_keys *keys, const char *name)
{
    char full[KEY_NAME_MAX];
    const ssw_gguf_key *key = find(keys, name, full);
    bool value = false;
    if (key && !ssw_gguf_read_bool(key, &value))
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is not a bool", full);
    return value;
}

bool ssw_model_keys_is_text(ssw_model_keys *keys, const char *name, const char *text)
{
    char full[KEY_NAME_MAX];
    const ssw_gguf_key *key = find(keys, name, full);
    ssw_gguf_text value;
    if (!key)
        return false;
    if (!ssw_gguf_read_text(key, &value)) {
        ssw_model_keys_refuse(keys, SSW_ERR_FORMAT, "key '%s' is not text", full);
        return false;
    }
    return ssw_gguf_text_is(&value, text);
}
