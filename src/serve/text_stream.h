/* From a job's tokens to the text a client sees: chat channels or plain detokenisation, stop strings, and the
 * log- probabilities that belong to each piece of text. One thread.
 *
 * Stop strings apply to the content, not to the reasoning before it. */
#ifndef SSW_SERVE_TEXT_STREAM_H
#define SSW_SERVE_TEXT_STREAM_H

#include <jansson.h>

#include "serve/generation_request.h"
#include "serve/stop_filter.h"
#include "serve/token_queue.h"
#include "token/chat.h"
#include "token/tokenizer.h"

enum { SSW_TEXT_PIECE_BYTES_MAX = 4 << 20 };

typedef struct ssw_text_stream {
    const ssw_tokenizer *tokenizer; /* borrowed */
    ssw_chat_parser *parser;        /* NULL: plain text */
    ssw_detokenizer detokenizer;
    ssw_stop_filter filter;
    bool wants_logprobs;
    int32_t n_top;
    json_t *undecided; /* logprobs of tokens that gave no text yet, with the place in the content where they
                          begin */
    json_t *logprobs;  /* of the content, that which the filter holds back too */
    int64_t n_before_filter, n_given; /* bytes of content so far */
    ssw_strbuf raw;                   /* content before the filter */
    /* what the last push or flush gave; the caller clears them */
    ssw_strbuf content;
    ssw_strbuf reasoning;
} ssw_text_stream;

/* chat: NULL for plain text. The request's stop strings are borrowed. On an error nothing needs deinit. */
ssw_status ssw_text_stream_init(ssw_text_stream *stream, const ssw_tokenizer *tokenizer, const ssw_chat *chat,
                                const ssw_generation_request *request, ssw_error *err);
void ssw_text_stream_deinit(ssw_text_stream *stream);

/* Appends to content and reasoning. True when a stop string was found. */
bool ssw_text_stream_push(ssw_text_stream *stream, const ssw_queued_token *token);
void ssw_text_stream_flush(ssw_text_stream *stream);

/* The list of {token, logprob, bytes, top_logprobs} of the content given so far and not taken yet; a new
 * reference, NULL when none were asked for. */
json_t *ssw_text_stream_take_logprobs(ssw_text_stream *stream);

#endif
