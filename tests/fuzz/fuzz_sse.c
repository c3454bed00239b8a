/* Bytes of a hostile server: the event stream, or ollama's JSON lines, cut at places that the input chooses,
 * and the chunks inside. Whatever the cut, the same events must come out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/completion.h"
#include "bench/client/json_lines.h"
#include "bench/client/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

typedef struct events {
    ssw_completion completion;
    ssw_strbuf all;
    bool lines; /* ollama's */
} events;

static ssw_status take_event(void *context, const ssw_sse_event *event, ssw_error *err)
{
    events *seen = context;
    ssw_frame frame = {.t_ns = event->t_ns};
    if (strlen(event->data) > event->n_data)
        abort();
    ssw_strbuf_append(&seen->all, event->data, event->n_data);
    ssw_strbuf_append(&seen->all, "\n\n", 2);
    return seen->lines
               ? ssw_completion_push_ollama(&seen->completion, event->data, event->n_data, &frame, err)
               : ssw_completion_push(&seen->completion, event->data, event->n_data, &frame, err);
}

/* Pushes the stream in pieces of at most piece bytes. */
static void parse(const char *stream, size_t n, size_t piece, bool lines, ssw_strbuf *all)
{
    ssw_arena arena;
    ssw_sse_parser parser;
    ssw_json_lines splitter;
    events seen = {.lines = lines};
    ssw_arena_init(&arena, 16 << 20);
    ssw_completion_init(&seen.completion, &arena);
    ssw_strbuf_init(&seen.all, 64 << 20);
    ssw_sse_init(&parser, take_event, &seen);
    ssw_json_lines_init(&splitter, take_event, &seen);
    for (size_t at = 0; at < n; at += piece) {
        size_t n_piece = n - at < piece ? n - at : piece;
        if (lines ? ssw_json_lines_push(&splitter, stream + at, n_piece, 0, NULL)
                  : ssw_sse_push(&parser, stream + at, n_piece, 0, NULL))
            break;
    }
    ssw_sse_deinit(&parser);
    ssw_json_lines_deinit(&splitter);
    ssw_completion_deinit(&seen.completion);
    ssw_arena_deinit(&arena);
    *all = seen.all;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    const char *stream = (const char *)bytes + 1;
    ssw_strbuf whole, cut;
    ssw_arena arena;
    bool lines = bytes[0] >= 128;
    parse(stream, n_bytes - 1, n_bytes, lines, &whole);
    parse(stream, n_bytes - 1, (size_t)bytes[0] % 16 + 1, lines, &cut);
    if (whole.n_bytes != cut.n_bytes ||
        memcmp(ssw_strbuf_text(&whole), ssw_strbuf_text(&cut), whole.n_bytes) != 0)
        abort();
    ssw_arena_init(&arena, 1 << 20);
    const char *line = ssw_completion_quote_error(&arena, stream, n_bytes - 1);
    if (line && (strchr(line, '\n') || strlen(line) > SSW_COMPLETION_ERROR_BYTES_MAX))
        abort();
    ssw_arena_deinit(&arena);
    ssw_strbuf_deinit(&whole);
    ssw_strbuf_deinit(&cut);
    return 0;
}
