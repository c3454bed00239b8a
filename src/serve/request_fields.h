/* Typed reads of a JSON object's members. An absent member, or null, leaves *out as it was; one of the wrong
 * type or out of range sets a fault that names it (400) and returns false. Pure. */
#ifndef SSW_SERVE_REQUEST_FIELDS_H
#define SSW_SERVE_REQUEST_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/http_fault.h"

/* The member, or NULL when absent or null. */
const json_t *ssw_field_find(const json_t *object, const char *name);
bool ssw_field_bool(const json_t *object, const char *name, bool *out, ssw_http_fault *fault);
bool ssw_field_int(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out,
                   ssw_http_fault *fault);
bool ssw_field_number(const json_t *object, const char *name, double min, double max, float *out,
                      ssw_http_fault *fault);
/* *out is borrowed from the object. */
bool ssw_field_string(const json_t *object, const char *name, const char **out, ssw_http_fault *fault);
bool ssw_field_object(const json_t *object, const char *name, const json_t **out, ssw_http_fault *fault);

/* The whole body as an object; the caller releases *out. */
bool ssw_field_parse_body(const char *body, size_t n_bytes, json_t **out, ssw_http_fault *fault);

#endif
