/* Server-sent events, cut out of a byte stream that may be split anywhere.
 *
 * Source: the HTML standard, section 9.2.6 "Interpreting an event stream": lines end in LF, CR or CRLF; an
 * empty line ends an event; several data lines are joined by LF; lines that begin with ':' are comments; an
 * event without data is not handed on. The bytes are taken as hostile: line and event lengths have maxima. */
#ifndef SSW_BENCH_CLIENT_SSE_H
#define SSW_BENCH_CLIENT_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

enum {
    SSW_SSE_LINE_BYTES_MAX = 4 << 20,
    SSW_SSE_EVENT_BYTES_MAX = 8 << 20, /* all lines of one event on the wire */
    SSW_SSE_NAME_BYTES_MAX = 64
};

typedef struct ssw_sse_event {
    const char *data; /* borrowed until the handler returns; NUL-terminated */
    size_t n_data;
    const char *name; /* of `event:`, "" when there is none */
    size_t n_bytes;   /* on the wire: every line since the last event, comments and line ends included */
    int64_t t_ns;     /* as given with the bytes that completed the event */
} ssw_sse_event;

/* A status other than SSW_OK stops the push and is returned by it. */
typedef ssw_status ssw_sse_handler(void *context, const ssw_sse_event *event, ssw_error *err);

typedef struct ssw_sse_parser {
    ssw_strbuf line, data;
    char name[SSW_SSE_NAME_BYTES_MAX + 1];
    bool has_data;
    bool after_cr; /* the last byte was CR: an LF that follows belongs to it */
    bool started;  /* past the place where a byte-order mark may stand */
    size_t n_event_bytes;
    ssw_sse_handler *handler;
    void *context;
} ssw_sse_parser;

void ssw_sse_init(ssw_sse_parser *parser, ssw_sse_handler *handler, void *context);
void ssw_sse_deinit(ssw_sse_parser *parser);

/* t_ns: when these bytes came. SSW_ERR_LIMIT past a maximum; nothing may be pushed after an error. */
ssw_status ssw_sse_push(ssw_sse_parser *parser, const char *bytes, size_t n_bytes, int64_t t_ns,
                        ssw_error *err);

/* Whether the stream broke off inside an event (which the standard discards). */
bool ssw_sse_is_torn(const ssw_sse_parser *parser);

#endif
