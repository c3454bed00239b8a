/* One HTTP request at a time to a server, timed. Owned by one thread.
 *
 * How the times are taken:
 * - send: the body goes to libcurl through a read callback, whose bytes it passes to send() at once (it has
 * no buffer of its own in between for them); the clock is read when the last piece is handed over: `send_ns`.
 * The debug callback reports CURLINFO_DATA_OUT after that send() has returned: `sent_ns`. The bytes were
 * handed to the socket between the two. The first counts, because on a busy machine the server is woken
 * inside send() and may run, and even answer, before this process gets to read the clock again.
 * (PRETRANSFER_TIME is before the request's first byte.)
 * - frames: the write callback reads the clock first of all, once per block of bytes; every event that the
 * block completes gets that time. JSON is parsed after the stream has ended, except up to the first text, so
 * that parsing one frame does not make the next one late. Every request has a connection of its own
 * (TCP_NODELAY, HTTP/1.1, no proxy, no redirect); connecting lies before send and is in none of the figures.
 */
#ifndef SSW_BENCH_CLIENT_HTTP_CLIENT_H
#define SSW_BENCH_CLIENT_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "bench/evidence/sample.h"

enum {
    SSW_CLIENT_REPLY_BYTES_MAX = 256 << 20, /* all frames of one reply */
    SSW_CLIENT_BODY_BYTES_MAX = 1 << 20,    /* of an answer that is not a stream */
    SSW_CLIENT_URL_MAX = 1024
};

typedef struct ssw_client ssw_client;

typedef enum ssw_wire {                  /* how a reply is streamed */
                        SSW_WIRE_OPENAI, /* server-sent events with OpenAI's chunks */
                        SSW_WIRE_OLLAMA  /* one JSON object a line */
} ssw_wire;

typedef struct ssw_client_options {
    int port; /* on 127.0.0.1 */
    const char
        *base_url; /* http://HOST:PORT without a slash at its end, instead of port; NULL: none. Borrowed */
    const char *ask_path; /* NULL: /v1/chat/completions. Borrowed */
    ssw_wire wire;
    int cancel_fd; /* a request ends when it becomes readable; -1 for none */
    int64_t connect_timeout_ns;
    int64_t silence_timeout_ns; /* longest time without a byte in either direction */
} ssw_client_options;

/* Called on the client's own thread, for live displays and phases. Frames before and including the first with
 * text come with their kind; later ones are SSW_FRAME_CONTENT until they have been parsed. Must be quick. */
typedef void ssw_client_observer(void *context, const ssw_frame *frame);

/* curl_global_init must have been called by the program. */
ssw_status ssw_client_open(const ssw_client_options *options, ssw_client **out, ssw_error *err);
void ssw_client_close(ssw_client *client); /* NULL is allowed */

/* GET; the body is appended. SSW_ERR_UNAVAILABLE when nobody answers, SSW_ERR_TIMEOUT, SSW_ERR_CANCELLED. */
ssw_status ssw_client_get(ssw_client *client, const char *path, int64_t timeout_ns, long *http_status,
                          ssw_strbuf *body, ssw_error *err);

/* The same with a JSON body. */
ssw_status ssw_client_post(ssw_client *client, const char *path, const char *request, int64_t timeout_ns,
                           long *http_status, ssw_strbuf *body, ssw_error *err);

/* POSTs sample->request to options.ask_path and fills the sample's times, frames, texts and error; what
 * it points to belongs to the arena. The returned status says what went wrong, and sample->error says it in
 * one line: SSW_ERR_UNAVAILABLE (connection refused or broken), SSW_ERR_TIMEOUT (silence), SSW_ERR_CANCELLED,
 * SSW_ERR_FORMAT (not a complete stream), SSW_ERR_LIMIT, SSW_ERR_USAGE (the server refused the request: HTTP
 * status other than 200). */
ssw_status ssw_client_chat(ssw_client *client, ssw_arena *arena, ssw_sample *sample,
                           ssw_client_observer *observer, void *context, ssw_error *err);

#endif
