/* The event-stream parser. */
#include "bench/client/sse.h"

#include <string.h>

void ssw_sse_init(ssw_sse_parser *parser, ssw_sse_handler *handler, void *context)
{
    *parser = (ssw_sse_parser){.handler = handler, .context = context};
    ssw_strbuf_init(&parser->line, SSW_SSE_LINE_BYTES_MAX);
    ssw_strbuf_init(&parser->data, SSW_SSE_EVENT_BYTES_MAX);
}

void ssw_sse_deinit(ssw_sse_parser *parser)
{
    ssw_strbuf_deinit(&parser->line);
    ssw_strbuf_deinit(&parser->data);
}

static ssw_status finish_event(ssw_sse_parser *parser, int64_t t_ns, ssw_error *err)
{
    ssw_status status = SSW_OK;
    if (parser->has_data) {
        const ssw_sse_event event = {
            .data = ssw_strbuf_text(&parser->data),
            .n_data = parser->data.n_bytes,
            .name = parser->name,
            .n_bytes = parser->n_event_bytes,
            .t_ns = t_ns,
        };
        status = parser->handler(parser->context, &event, err);
    }
    ssw_strbuf_clear(&parser->data);
    parser->name[0] = '\0';
    parser->has_data = false;
    parser->n_event_bytes = 0;
    return status;
}

static void take_field(ssw_sse_parser *parser, const char *name, size_t n_name, const char *value,
                       size_t n_value)
{
    if (n_name == 4 && memcmp(name, "data", 4) == 0) {
        if (parser->has_data)
            ssw_strbuf_append(&parser->data, "\n", 1);
        ssw_strbuf_append(&parser->data, value, n_value);
        parser->has_data = true;
    } else if (n_name == 5 && memcmp(name, "event", 5) == 0) {
        size_t n = n_value < SSW_SSE_NAME_BYTES_MAX ? n_value : SSW_SSE_NAME_BYTES_MAX;
        memcpy(parser->name, value, n);
        parser->name[n] = '\0';
    }
    /* `id` and `retry` mean nothing here, and unknown fields are ignored */
}

/* A line is complete, its end not included. */
static ssw_status take_line(ssw_sse_parser *parser, int64_t t_ns, ssw_error *err)
{
    const char *line = ssw_strbuf_text(&parser->line);
    size_t n = parser->line.n_bytes;
    if (!parser->started && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        n -= 3;
    }
    parser->started = true;
    ssw_status status = SSW_OK;
    if (n == 0) {
        status = finish_event(parser, t_ns, err);
    } else if (*line != ':') {
        const char *colon = memchr(line, ':', n);
        size_t n_name = colon ? (size_t)(colon - line) : n;
        const char *value = colon ? colon + 1 : line + n;
        if (colon && value < line + n && *value == ' ')
            value++;
        take_field(parser, line, n_name, value, (size_t)(line + n - value));
        status = ssw_strbuf_check(&parser->data, "an event of the stream", err);
    }
    ssw_strbuf_clear(&parser->line);
    return status;
}

/* The first CR or LF in the bytes, or their end. */
static const char *find_line_end(const char *bytes, size_t n_bytes)
{
    const char *lf = memchr(bytes, '\n', n_bytes);
    size_t before = lf ? (size_t)(lf - bytes) : n_bytes;
    const char *cr = memchr(bytes, '\r', before);
    return cr ? cr : bytes + before;
}

ssw_status ssw_sse_push(ssw_sse_parser *parser, const char *bytes, size_t n_bytes, int64_t t_ns,
                        ssw_error *err)
{
    const char *end = bytes + n_bytes;
    while (bytes < end) {
        if (parser->after_cr && *bytes == '\n') {
            parser->after_cr = false;
            bytes++;
            continue;
        }
        parser->after_cr = false;
        const char *stop = find_line_end(bytes, (size_t)(end - bytes));
        size_t n = (size_t)(stop - bytes);
        ssw_strbuf_append(&parser->line, bytes, n);
        parser->n_event_bytes += n;
        ssw_status status = ssw_strbuf_check(&parser->line, "a line of the stream", err);
        if (status)
            return status;
        if (parser->n_event_bytes > SSW_SSE_EVENT_BYTES_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "an event of the stream is larger than %d bytes",
                                 SSW_SSE_EVENT_BYTES_MAX);
        bytes = stop;
        if (bytes == end)
            break;
        bool cr = *bytes++ == '\r';
        parser->n_event_bytes++;
        if (cr && bytes < end && *bytes == '\n') {
            bytes++;
            parser->n_event_bytes++;
        } else {
            parser->after_cr = cr;
        }
        status = take_line(parser, t_ns, err);
        if (status)
            return status;
    }
    return SSW_OK;
}

bool ssw_sse_is_torn(const ssw_sse_parser *parser)
{
    return parser->has_data || parser->line.n_bytes > 0;
}
