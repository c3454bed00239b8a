/* Metadata values: sizes and names of the value types, and the typed reads. The bytes were checked at open.
 */
#include <string.h>

#include "gguf/gguf_internal.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [SSW_GGUF_U8] = {"u8", 1},       [SSW_GGUF_I8] = {"i8", 1},     [SSW_GGUF_U16] = {"u16", 2},
    [SSW_GGUF_I16] = {"i16", 2},     [SSW_GGUF_U32] = {"u32", 4},   [SSW_GGUF_I32] = {"i32", 4},
    [SSW_GGUF_F32] = {"f32", 4},     [SSW_GGUF_BOOL] = {"bool", 1}, [SSW_GGUF_STRING] = {"string", 0},
    [SSW_GGUF_ARRAY] = {"array", 0}, [SSW_GGUF_U64] = {"u64", 8},   [SSW_GGUF_I64] = {"i64", 8},
    [SSW_GGUF_F64] = {"f64", 8},
};

enum { N_TYPES = sizeof types / sizeof types[0] };

size_t ssw_gguf_type_bytes(uint32_t type)
{
    return type < N_TYPES ? types[type].bytes : 0;
}

const char *ssw_gguf_type_name(uint32_t type)
{
    return type < N_TYPES ? types[type].name : NULL;
}

uint32_t ssw_gguf_load_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint64_t ssw_gguf_load_u64(const unsigned char *bytes)
{
    return (uint64_t)ssw_gguf_load_u32(bytes) | (uint64_t)ssw_gguf_load_u32(bytes + 4) << 32;
}

const char *ssw_gguf_quote(char out[SSW_GGUF_QUOTE_MAX], const void *text, size_t n_bytes)
{
    const unsigned char *in = text;
    size_t room = SSW_GGUF_QUOTE_MAX - 1;
    bool cut = n_bytes > room;
    size_t n = cut ? room - 3 : n_bytes;
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] >= 0x20 && in[i] < 0x7f ? (char)in[i] : '?';
    memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
    return out;
}

const char *ssw_gguf_key_name(const ssw_gguf_key *key)
{
    return key->name;
}

ssw_gguf_type ssw_gguf_key_type(const ssw_gguf_key *key)
{
    return key->type;
}

/* Any integer as a sign and a magnitude. */
static bool read_integer(const ssw_gguf_key *key, bool *negative, uint64_t *magnitude)
{
    int64_t value;
    *negative = false;
    if (!key)
        return false;
    switch (key->type) {
    case SSW_GGUF_U8:
        *magnitude = key->value[0];
        return true;
    case SSW_GGUF_U16:
        *magnitude = (uint64_t)key->value[0] | (uint64_t)key->value[1] << 8;
        return true;
    case SSW_GGUF_U32:
        *magnitude = ssw_gguf_load_u32(key->value);
        return true;
    case SSW_GGUF_U64:
        *magnitude = ssw_gguf_load_u64(key->value);
        return true;
    case SSW_GGUF_I8:
        value = (int8_t)key->value[0];
        break;
    case SSW_GGUF_I16:
        value = (int16_t)(key->value[0] | key->value[1] << 8);
        break;
    case SSW_GGUF_I32:
        value = (int32_t)ssw_gguf_load_u32(key->value);
        break;
    case SSW_GGUF_I64:
        value = (int64_t)ssw_gguf_load_u64(key->value);
        break;
    default:
        return false;
    }
    *negative = value < 0;
    *magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    return true;
}

bool ssw_gguf_read_u64(const ssw_gguf_key *key, uint64_t *out)
{
    bool negative;
    uint64_t magnitude;
    if (!read_integer(key, &negative, &magnitude) || negative)
        return false;
    *out = magnitude;
    return true;
}

bool ssw_gguf_read_i64(const ssw_gguf_key *key, int64_t *out)
{
    bool negative;
    uint64_t magnitude;
    if (!read_integer(key, &negative, &magnitude) || (!negative && magnitude > INT64_MAX))
        return false;
    *out = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

bool ssw_gguf_read_f64(const ssw_gguf_key *key, double *out)
{
    bool negative;
    uint64_t magnitude;
    if (read_integer(key, &negative, &magnitude)) {
        *out = negative ? -(double)magnitude : (double)magnitude;
        return true;
    }
    if (key && key->type == SSW_GGUF_F32) {
        uint32_t bits = ssw_gguf_load_u32(key->value);
        float value;
        memcpy(&value, &bits, sizeof value);
        *out = (double)value;
        return true;
    }
    if (key && key->type == SSW_GGUF_F64) {
        uint64_t bits = ssw_gguf_load_u64(key->value);
        memcpy(out, &bits, sizeof *out);
        return true;
    }
    return false;
}

bool ssw_gguf_read_bool(const ssw_gguf_key *key, bool *out)
{
    if (!key || key->type != SSW_GGUF_BOOL)
        return false;
    *out = key->value[0] != 0;
    return true;
}

bool ssw_gguf_read_text(const ssw_gguf_key *key, ssw_gguf_text *out)
{
    if (!key || key->type != SSW_GGUF_STRING)
        return false;
    *out = (ssw_gguf_text){(const char *)key->value, (size_t)key->length};
    return true;
}

bool ssw_gguf_text_is(const ssw_gguf_text *text, const char *expected)
{
    return text->n_bytes == strlen(expected) && memcmp(text->bytes, expected, text->n_bytes) == 0;
}

uint64_t ssw_gguf_array_length(const ssw_gguf_key *key)
{
    return key && key->type == SSW_GGUF_ARRAY ? key->length : 0;
}

ssw_gguf_type ssw_gguf_array_type(const ssw_gguf_key *key)
{
    return key && key->type == SSW_GGUF_ARRAY ? key->element_type : SSW_GGUF_U8;
}

const void *ssw_gguf_array_data(const ssw_gguf_key *key)
{
    return key && key->type == SSW_GGUF_ARRAY && key->element_type != SSW_GGUF_STRING ? key->value : NULL;
}

bool ssw_gguf_array_text(const ssw_gguf_key *key, uint64_t index, ssw_gguf_text *out)
{
    if (!key || key->type != SSW_GGUF_ARRAY || key->element_type != SSW_GGUF_STRING || index >= key->length)
        return false;
    const unsigned char *at = key->value + key->starts[index];
    *out = (ssw_gguf_text){(const char *)at + 8, (size_t)ssw_gguf_load_u64(at)};
    return true;
}
