/* Error objects for clients. */
#include "serve/http_fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "serve/wire_text.h"

bool ssw_fault_set(ssw_http_fault *fault, int status, const char *param, const char *format, ...)
{
    fault->status = status;
    fault->code = NULL;
    snprintf(fault->param, sizeof fault->param, "%s", param ? param : "");
    va_list args;
    va_start(args, format);
    vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    return false;
}

bool ssw_fault_set_error(ssw_http_fault *fault, const ssw_error *err)
{
    int status = 500;
    if (err->status == SSW_ERR_USAGE || err->status == SSW_ERR_FORMAT || err->status == SSW_ERR_UNSUPPORTED)
        status = 400;
    else if (err->status == SSW_ERR_LIMIT || err->status == SSW_ERR_UNAVAILABLE)
        status = 503;
    return ssw_fault_set(fault, status, NULL, "%s", err->message);
}

const char *ssw_fault_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    case 501:
        return "not_supported_error";
    case 503:
        return "unavailable_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

json_t *ssw_fault_to_json(const ssw_http_fault *fault)
{
    json_t *message = ssw_wire_text(fault->message, strlen(fault->message));
    return json_pack("{s:{s:o, s:s, s:s?, s:s?}}", "error", "message", message, "type",
                     ssw_fault_type(fault->status), "param", fault->param[0] ? fault->param : NULL, "code",
                     fault->code);
}
