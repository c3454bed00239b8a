/* Growable byte string: capacity doubles up to max_bytes. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY_BYTES = 64 };

void ssw_strbuf_init(ssw_strbuf *buf, size_t max_bytes)
{
    *buf = (ssw_strbuf){.max_bytes = max_bytes};
}

void ssw_strbuf_deinit(ssw_strbuf *buf)
{
    free(buf->data);
    *buf = (ssw_strbuf){.max_bytes = buf->max_bytes};
}

void ssw_strbuf_clear(ssw_strbuf *buf)
{
    buf->n_bytes = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

static bool reserve(ssw_strbuf *buf, size_t more_bytes)
{
    if (buf->failed)
        return false;
    if (more_bytes > buf->max_bytes || buf->n_bytes > buf->max_bytes - more_bytes) {
        buf->failed = true;
        return false;
    }
    size_t needed = buf->n_bytes + more_bytes + 1;
    if (needed <= buf->capacity_bytes)
        return true;
    size_t capacity = buf->capacity_bytes ? buf->capacity_bytes : FIRST_CAPACITY_BYTES;
    while (capacity < needed)
        capacity *= 2;
    char *grown = realloc(buf->data, capacity);
    if (!grown) {
        buf->failed = true;
        return false;
    }
    buf->data = grown;
    buf->capacity_bytes = capacity;
    return true;
}

void ssw_strbuf_append(ssw_strbuf *buf, const void *bytes, size_t n_bytes)
{
    if (!reserve(buf, n_bytes))
        return;
    if (n_bytes)
        memcpy(buf->data + buf->n_bytes, bytes, n_bytes);
    buf->n_bytes += n_bytes;
    buf->data[buf->n_bytes] = '\0';
}

void ssw_strbuf_append_text(ssw_strbuf *buf, const char *text)
{
    ssw_strbuf_append(buf, text, strlen(text));
}

void ssw_strbuf_append_format(ssw_strbuf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && reserve(buf, (size_t)n)) {
        vsnprintf(buf->data + buf->n_bytes, (size_t)n + 1, format, again);
        buf->n_bytes += (size_t)n;
    } else {
        buf->failed = true;
    }
    va_end(again);
}

void ssw_strbuf_drop_front(ssw_strbuf *buf, size_t n_bytes)
{
    if (n_bytes >= buf->n_bytes) {
        n_bytes = buf->n_bytes;
    }
    if (!n_bytes)
        return;
    memmove(buf->data, buf->data + n_bytes, buf->n_bytes - n_bytes + 1);
    buf->n_bytes -= n_bytes;
}

const char *ssw_strbuf_text(const ssw_strbuf *buf)
{
    return buf->data ? buf->data : "";
}

char *ssw_strbuf_take(ssw_strbuf *buf)
{
    if (buf->failed || (!buf->data && !reserve(buf, 0)))
        return NULL;
    buf->data[buf->n_bytes] = '\0';
    char *taken = buf->data;
    *buf = (ssw_strbuf){.max_bytes = buf->max_bytes};
    return taken;
}

ssw_status ssw_strbuf_check(const ssw_strbuf *buf, const char *what, ssw_error *err)
{
    if (!buf->failed)
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_LIMIT, "%s is larger than %zu bytes, or memory ran out", what,
                         buf->max_bytes);
}
