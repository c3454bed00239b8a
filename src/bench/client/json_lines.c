/* The splitter of JSON lines. */
#include "bench/client/json_lines.h"

#include <string.h>

void ssw_json_lines_init(ssw_json_lines *lines, ssw_sse_handler *handler, void *context)
{
    *lines = (ssw_json_lines){.handler = handler, .context = context};
    ssw_strbuf_init(&lines->line, SSW_SSE_LINE_BYTES_MAX);
}

void ssw_json_lines_deinit(ssw_json_lines *lines)
{
    ssw_strbuf_deinit(&lines->line);
}

static ssw_status finish_line(ssw_json_lines *lines, int64_t t_ns, ssw_error *err)
{
    const char *text = ssw_strbuf_text(&lines->line);
    size_t n = lines->line.n_bytes;
    ssw_status status = SSW_OK;
    if (strspn(text, " \t\r") != n) {
        const ssw_sse_event event = {
            .data = text, .n_data = n, .name = "", .n_bytes = n + 1, .t_ns = t_ns}; /* + its LF */
        status = lines->handler(lines->context, &event, err);
    }
    ssw_strbuf_clear(&lines->line);
    return status;
}

ssw_status ssw_json_lines_push(ssw_json_lines *lines, const char *bytes, size_t n_bytes, int64_t t_ns,
                               ssw_error *err)
{
    const char *end = bytes + n_bytes;
    ssw_status status = SSW_OK;
    while (!status && bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = newline ? newline : end;
        ssw_strbuf_append(&lines->line, bytes, (size_t)(stop - bytes));
        status = ssw_strbuf_check(&lines->line, "a line of the stream", err);
        if (!status && newline)
            status = finish_line(lines, t_ns, err);
        bytes = stop + (newline != NULL);
    }
    return status;
}

bool ssw_json_lines_are_torn(const ssw_json_lines *lines)
{
    return lines->line.n_bytes > 0;
}
