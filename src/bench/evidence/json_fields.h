/* Structs to JSON objects and back, by tables of fields: one table serves writer and reader, so they cannot
 * differ.
 *
 * SSW_EVIDENCE_NONE and NULL are `null`, both ways; an absent key reads as null. */
#ifndef SSW_BENCH_EVIDENCE_JSON_FIELDS_H
#define SSW_BENCH_EVIDENCE_JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum ssw_json_type {
    SSW_JSON_I64,        /* int64_t, nullable */
    SSW_JSON_COUNT,      /* int, required, 0 .. INT32_MAX */
    SSW_JSON_COUNT_OR_0, /* the same, but null and an absent key read as 0 */
    SSW_JSON_U64,  /* uint64_t, required; written as an integer up to INT64_MAX, else as a decimal string */
    SSW_JSON_TEXT, /* const char *, nullable */
    SSW_JSON_TEXT_NEEDED, /* const char *, required */
    SSW_JSON_REAL,        /* double, null reads as -1 and negative writes null */
    SSW_JSON_REAL_OR_0    /* double, null and an absent key read as 0 */
} ssw_json_type;

typedef struct ssw_json_field {
    const char *key;
    ssw_json_type type;
    size_t offset;
} ssw_json_field;

/* {SSW_JSON_FIELD(I64, ssw_usage, prompt_tokens)}: the key is the member's name. */
#define SSW_JSON_FIELD(type, record, member)                                                                 \
    {                                                                                                        \
#member, SSW_JSON_##type, offsetof(record, member)                                                   \
    }
#define SSW_JSON_FIELD_AS(key, type, record, member)                                                         \
    {                                                                                                        \
        key, SSW_JSON_##type, offsetof(record, member)                                                       \
    }
#define SSW_JSON_FIELDS(table) (table), sizeof(table) / sizeof *(table)

/* Adds every field; false when out of memory. */
bool ssw_json_put_fields(json_t *object, const void *record, const ssw_json_field *fields, size_t n_fields);
/* Reads every field; texts go to the arena. SSW_ERR_FORMAT names the key. */
ssw_status ssw_json_get_fields(ssw_arena *arena, const json_t *object, void *record,
                               const ssw_json_field *fields, size_t n_fields, ssw_error *err);

/* A JSON string, null for NULL; bytes that are not UTF-8 become U+FFFD. NULL when out of memory. */
json_t *ssw_json_make_text(const char *text);
json_t *ssw_json_make_text_n(const char *text, size_t n_bytes);
/* Adds a fresh value and takes it; false when value is NULL or memory runs out. */
bool ssw_json_put(json_t *object, const char *key, json_t *value);
bool ssw_json_push(json_t *array, json_t *value);

/* A borrowed array or object; absent or null gives NULL. */
ssw_status ssw_json_get_array(const json_t *object, const char *key, size_t max, const json_t **out,
                              ssw_error *err);
ssw_status ssw_json_get_object(const json_t *object, const char *key, const json_t **out, ssw_error *err);
/* A string array's texts, in the arena. */
ssw_status ssw_json_get_words(ssw_arena *arena, const json_t *object, const char *key, size_t max, size_t *n,
                              const char ***words, ssw_error *err);
json_t *ssw_json_words(const char *const *words, size_t n);

#endif
