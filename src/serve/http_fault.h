/* What a client is told when its request is refused: an HTTP status and an error object in OpenAI's shape,
 * {"error": {"message", "type", "param", "code"}}. */
#ifndef SSW_SERVE_HTTP_FAULT_H
#define SSW_SERVE_HTTP_FAULT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

enum { SSW_FAULT_PARAM_BYTES_MAX = 64, SSW_FAULT_MESSAGE_BYTES_MAX = 512 };

typedef struct ssw_http_fault {
    int status;                            /* 0: none */
    const char *code;                      /* static; NULL: none, as OpenAI's null */
    char param[SSW_FAULT_PARAM_BYTES_MAX]; /* the field that is wrong; "" for none */
    char message[SSW_FAULT_MESSAGE_BYTES_MAX];
} ssw_http_fault;

/* Sets the fault and returns false, so that `return ssw_fault_set(...)` reads well. param may be NULL. */
bool ssw_fault_set(ssw_http_fault *fault, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* 400 for what the caller got wrong, 503 for a full queue, 500 for the rest. */
bool ssw_fault_set_error(ssw_http_fault *fault, const ssw_error *err);

/* "invalid_request_error", "authentication_error", ... by status. */
const char *ssw_fault_type(int status);

json_t *ssw_fault_to_json(const ssw_http_fault *fault); /* a new reference; NULL when memory runs out */

#endif
