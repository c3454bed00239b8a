/* Status codes and error text. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void flatten(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20)
            *text = ' ';
    }
}

ssw_status ssw_error_set(ssw_error *err, ssw_status status, const char *format, ...)
{
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    flatten(err->message);
    err->status = status;
    return status;
}

ssw_status ssw_error_set_errno(ssw_error *err, ssw_status status, int error_number, const char *format, ...)
{
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    char text[128];
    snprintf(err->message + used, sizeof err->message - used, ": %s",
             strerror_r(error_number, text, sizeof text));
    flatten(err->message);
    err->status = status;
    return status;
}

ssw_status ssw_error_prefix(ssw_error *err, const char *format, ...)
{
    if (!err)
        return SSW_ERR_INTERNAL;
    char old[SSW_ERROR_MESSAGE_MAX];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", old);
    flatten(err->message);
    return err->status;
}

const char *ssw_status_name(ssw_status status)
{
    switch (status) {
    case SSW_OK:
        return "ok";
    case SSW_ERR_USAGE:
        return "usage";
    case SSW_ERR_FORMAT:
        return "format";
    case SSW_ERR_UNSUPPORTED:
        return "unsupported";
    case SSW_ERR_IO:
        return "io";
    case SSW_ERR_NOMEM:
        return "out of memory";
    case SSW_ERR_LIMIT:
        return "limit";
    case SSW_ERR_TIMEOUT:
        return "timeout";
    case SSW_ERR_CANCELLED:
        return "cancelled";
    case SSW_ERR_UNAVAILABLE:
        return "unavailable";
    case SSW_ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
