/* The three routes that generate text, whole or as a stream.
 *
 * A stream is a state machine that makes one frame at a time: each token's text leaves in a frame and an HTTP
 * chunk of its own, as soon as it is there. */
#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/wire_text.h"

typedef enum stream_stage {
    STAGE_ROLE, /* chat: the first delta */
    STAGE_TEXT,
    STAGE_LAST,  /* finish_reason */
    STAGE_USAGE, /* with stream_options.include_usage */
    STAGE_MARK,  /* data: [DONE] */
    STAGE_END
} stream_stage;

static bool is_ndjson(const ssw_generation *generation)
{
    return generation->request.kind == SSW_REQUEST_GENERATE;
}

/* value is stolen. */
static void set_frame(ssw_generation *generation, json_t *value)
{
    ssw_strbuf *frame = &generation->frame;
    ssw_strbuf_clear(frame);
    generation->n_sent = 0;
    if (!is_ndjson(generation))
        ssw_strbuf_append_text(frame, "data: ");
    ssw_wire_append(frame, value);
    ssw_strbuf_append_text(frame, is_ndjson(generation) ? "\n" : "\n\n");
    json_decref(value);
}

static json_t *take_piece(ssw_generation *generation)
{
    ssw_text_stream *text = &generation->text;
    json_t *logprobs = text->content.n_bytes > 0 ? ssw_text_stream_take_logprobs(text) : NULL;
    json_t *piece =
        ssw_answer_piece(&generation->answer, ssw_strbuf_text(&text->content), text->content.n_bytes,
                         ssw_strbuf_text(&text->reasoning), text->reasoning.n_bytes, logprobs);
    ssw_strbuf_clear(&text->content);
    ssw_strbuf_clear(&text->reasoning);
    return piece;
}

static void fail_stream(ssw_generation *generation)
{
    json_t *fault = ssw_fault_to_json(&generation->fault);
    if (is_ndjson(generation)) { /* ollama's errors are plain strings */
        json_decref(fault);
        fault = json_pack("{s:s}", "error", generation->fault.message);
    }
    set_frame(generation, fault);
    generation->stage = STAGE_END;
}

/* False: close the connection. */
static bool next_text_frame(ssw_generation *generation)
{
    ssw_text_stream *text = &generation->text;
    switch (ssw_generation_advance(generation)) {
    case SSW_PROGRESS_TEXT:
        set_frame(generation, take_piece(generation));
        return true;
    case SSW_PROGRESS_DONE:
        generation->stage = STAGE_LAST;
        if (text->content.n_bytes > 0 || text->reasoning.n_bytes > 0)
            set_frame(generation, take_piece(generation));
        return true;
    case SSW_PROGRESS_FAILED:
        fail_stream(generation);
        return true;
    case SSW_PROGRESS_PEER_GONE:
        break;
    }
    return false;
}

static void next_closing_frame(ssw_generation *generation)
{
    switch ((stream_stage)generation->stage) {
    case STAGE_LAST:
        set_frame(generation, ssw_answer_last_piece(&generation->answer,
                                                    ssw_text_stream_take_logprobs(&generation->text)));
        generation->stage = generation->request.include_usage ? STAGE_USAGE : STAGE_MARK;
        if (is_ndjson(generation))
            generation->stage = STAGE_END;
        break;
    case STAGE_USAGE:
        set_frame(generation, ssw_answer_usage_piece(&generation->answer));
        generation->stage = STAGE_MARK;
        break;
    default:
        ssw_strbuf_clear(&generation->frame);
        generation->n_sent = 0;
        ssw_strbuf_append_text(&generation->frame, "data: [DONE]\n\n");
        generation->stage = STAGE_END;
        break;
    }
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t n_max)
{
    (void)position;
    ssw_generation *generation = context;
    while (generation->n_sent == generation->frame.n_bytes) {
        if (generation->stage == STAGE_END)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (generation->stage == STAGE_ROLE) {
            set_frame(generation, ssw_answer_role_piece(&generation->answer));
            generation->stage = STAGE_TEXT;
        } else if (generation->stage != STAGE_TEXT) {
            next_closing_frame(generation);
        } else if (!next_text_frame(generation)) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        if (generation->frame.failed)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = generation->frame.n_bytes - generation->n_sent;
    if (n > n_max)
        n = n_max;
    memcpy(out, generation->frame.data + generation->n_sent, n);
    generation->n_sent += n;
    return (ssize_t)n;
}

static void release_stream(void *context)
{
    ssw_generation_close(context);
}

static void reply_stream(ssw_exchange *exchange, ssw_generation *generation)
{
    generation->stage = generation->request.kind == SSW_REQUEST_CHAT ? STAGE_ROLE : STAGE_TEXT;
    ssw_exchange_reply_stream(exchange, is_ndjson(generation) ? "application/x-ndjson" : "text/event-stream",
                              read_stream, generation, release_stream);
}

static void reply_whole(ssw_exchange *exchange, ssw_generation *generation)
{
    ssw_text_stream *text = &generation->text;
    ssw_strbuf content, reasoning;
    ssw_strbuf_init(&content, SSW_TEXT_PIECE_BYTES_MAX);
    ssw_strbuf_init(&reasoning, SSW_TEXT_PIECE_BYTES_MAX);
    ssw_progress progress;
    do {
        progress = ssw_generation_advance(generation);
        ssw_strbuf_append(&content, ssw_strbuf_text(&text->content), text->content.n_bytes);
        ssw_strbuf_append(&reasoning, ssw_strbuf_text(&text->reasoning), text->reasoning.n_bytes);
        ssw_strbuf_clear(&text->content);
        ssw_strbuf_clear(&text->reasoning);
    } while (progress == SSW_PROGRESS_TEXT);
    if (progress == SSW_PROGRESS_DONE)
        ssw_exchange_reply_json(exchange, 200,
                                ssw_answer_whole(&generation->answer, ssw_strbuf_text(&content),
                                                 content.n_bytes, ssw_strbuf_text(&reasoning),
                                                 reasoning.n_bytes, ssw_text_stream_take_logprobs(text)));
    else if (progress == SSW_PROGRESS_FAILED)
        ssw_exchange_reply_fault(exchange, &generation->fault);
    else
        ssw_exchange_abandon(exchange);
    ssw_strbuf_deinit(&content);
    ssw_strbuf_deinit(&reasoning);
    ssw_generation_close(generation);
}

static void serve_generation(ssw_exchange *exchange, ssw_request_kind kind)
{
    ssw_generation *generation;
    ssw_http_fault fault = {0};
    if (!ssw_generation_open(exchange, kind, &generation, &fault))
        ssw_exchange_reply_fault(exchange, &fault);
    else if (generation->request.stream)
        reply_stream(exchange, generation);
    else
        reply_whole(exchange, generation);
}

void ssw_route_chat_completions(ssw_exchange *exchange)
{
    serve_generation(exchange, SSW_REQUEST_CHAT);
}

void ssw_route_completions(ssw_exchange *exchange)
{
    serve_generation(exchange, SSW_REQUEST_COMPLETION);
}

void ssw_route_api_generate(ssw_exchange *exchange)
{
    serve_generation(exchange, SSW_REQUEST_GENERATE);
}
