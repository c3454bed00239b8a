/* JSON objects, one a line, cut out of a byte stream that may be split anywhere (application/x-ndjson).
 *
 * Each line that is not blank is handed on as an event without a name. Lines end in LF or CRLF. The bytes are
 * taken as hostile: a line has the maximum of an event-stream's line. */
#ifndef SSW_BENCH_CLIENT_JSON_LINES_H
#define SSW_BENCH_CLIENT_JSON_LINES_H

#include "bench/client/sse.h"

typedef struct ssw_json_lines {
    ssw_strbuf line;
    ssw_sse_handler *handler;
    void *context;
} ssw_json_lines;

void ssw_json_lines_init(ssw_json_lines *lines, ssw_sse_handler *handler, void *context);
void ssw_json_lines_deinit(ssw_json_lines *lines);

/* As ssw_sse_push. */
ssw_status ssw_json_lines_push(ssw_json_lines *lines, const char *bytes, size_t n_bytes, int64_t t_ns,
                               ssw_error *err);

/* Whether the stream broke off inside a line. */
bool ssw_json_lines_are_torn(const ssw_json_lines *lines);

#endif
