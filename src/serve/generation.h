/* One request for text from its body to its last piece: prompt, job, text. Runs on the connection's thread.
 */
#ifndef SSW_SERVE_GENERATION_H
#define SSW_SERVE_GENERATION_H

#include "serve/answer_format.h"
#include "serve/exchange.h"
#include "serve/generation_request.h"
#include "serve/text_stream.h"
#include "serve/token_queue.h"

typedef struct ssw_generation {
    ssw_server *server;
    int socket_fd;
    int64_t started_ns;
    ssw_generation_request request;
    ssw_answer answer;
    ssw_tokens prompt;
    ssw_token_queue queue;
    ssw_job *job;
    ssw_text_stream text;
    bool has_request, has_queue, has_text;
    bool is_over;         /* no more tokens will be read */
    ssw_http_fault fault; /* why it failed */
    int stage;            /* of a stream: see route_generation.c */
    ssw_strbuf frame;     /* being sent */
    size_t n_sent;
} ssw_generation;

/* Parses, renders and submits. On false the fault is set and *out is NULL. */
bool ssw_generation_open(ssw_exchange *exchange, ssw_request_kind kind, ssw_generation **out,
                         ssw_http_fault *fault);
void ssw_generation_close(ssw_generation *generation); /* cancels what still runs */

typedef enum ssw_progress {
    SSW_PROGRESS_TEXT, /* text.content or text.reasoning has more; clear them before the next call */
    SSW_PROGRESS_DONE, /* the same may hold; answer.finish_reason and timings are set */
    SSW_PROGRESS_FAILED,
    SSW_PROGRESS_PEER_GONE
} ssw_progress;

/* Waits for the next piece of text or the end. */
ssw_progress ssw_generation_advance(ssw_generation *generation);

/* The whole text as ids: adds the model's BOS if it wants one. Sets a fault named `param` on failure. */
bool ssw_generation_encode(ssw_engine *engine, const char *text, size_t n_bytes, bool parse_special,
                           const char *param, ssw_tokens *out, ssw_http_fault *fault);
bool ssw_generation_append_id(ssw_tokens *tokens, int32_t id);

#endif
