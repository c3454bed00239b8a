/* A growable byte string with a hard maximum, always NUL-terminated. Not thread-safe.
 *
 * A failed append (out of memory, or past max_bytes) sets `failed`, leaves the content as it was and makes
 * all later appends do nothing, so that a caller may append many times and check once. */
#ifndef SSW_BASE_STRBUF_H
#define SSW_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_strbuf {
    char *data;     /* NULL until the first append; use ssw_strbuf_text for a safe C string */
    size_t n_bytes; /* without the terminating NUL */
    size_t capacity_bytes;
    size_t max_bytes;
    bool failed;
} ssw_strbuf;

void ssw_strbuf_init(ssw_strbuf *buf, size_t max_bytes);
void ssw_strbuf_deinit(ssw_strbuf *buf);

void ssw_strbuf_clear(ssw_strbuf *buf); /* empties it, keeps the memory, resets `failed` */
void ssw_strbuf_append(ssw_strbuf *buf, const void *bytes, size_t n_bytes);
void ssw_strbuf_append_text(ssw_strbuf *buf, const char *text);
void ssw_strbuf_append_format(ssw_strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ssw_strbuf_drop_front(ssw_strbuf *buf, size_t n_bytes);

const char *ssw_strbuf_text(const ssw_strbuf *buf); /* "" when empty; valid until the next change */
char *ssw_strbuf_take(ssw_strbuf *buf);             /* the caller frees it; NULL if the buffer failed */

/* SSW_OK, or SSW_ERR_LIMIT with "<what> is larger than N bytes". */
ssw_status ssw_strbuf_check(const ssw_strbuf *buf, const char *what, ssw_error *err);

#ifdef __cplusplus
}
#endif
#endif
