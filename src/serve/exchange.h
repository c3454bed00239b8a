/* One request and its answer, and the server as the routes see it. Everything here runs on the connection's
 * thread. */
#ifndef SSW_SERVE_EXCHANGE_H
#define SSW_SERVE_EXCHANGE_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>

#include "base/strbuf.h"
#include "serve/connection_guard.h"
#include "serve/http_fault.h"
#include "serve/server.h"

struct ssw_server {
    ssw_server_options options; /* strings owned */
    char *host;
    char *alias;
    char **api_keys;
    int port;
    char url[300];
    int64_t started_unix_s;
    struct MHD_Daemon *daemon;
    ssw_guard *guard;
    int stop_fd; /* eventfd, readable once requests shall end */
    _Atomic(ssw_engine *) engine;
    atomic_bool has_started, is_draining;
    atomic_uint_least64_t requests_total, peers_gone_total, next_id;
};

typedef struct ssw_exchange ssw_exchange;
typedef void ssw_route_handler(ssw_exchange *exchange);

typedef struct ssw_route {
    const char *method; /* "GET" also serves HEAD */
    const char *path;   /* one that ends in '*' matches what begins like it */
    ssw_route_handler *handler;
    bool needs_engine; /* 503 while loading */
    bool is_public;    /* no API key */
} ssw_route;

struct ssw_exchange {
    ssw_server *server;
    ssw_engine *engine; /* set if the route needs it */
    struct MHD_Connection *connection;
    ssw_guard_entry *guard;
    int socket_fd;
    const char *path; /* libmicrohttpd's */
    const ssw_route *route;
    const char *allow; /* for 405 */
    ssw_strbuf body;
    uint64_t n_body_bytes; /* those past the limit too */
    ssw_http_fault fault;  /* known before the body came */
    int64_t started_ns;
    enum MHD_Result result; /* of the reply */
};

/* Finds the route, or sets a fault: 404, 405 (and exchange->allow), 401, 503. */
bool ssw_route_find(ssw_exchange *exchange, const char *method, ssw_http_fault *fault);

/* Each handler calls one of these once. */
void ssw_exchange_reply_json(ssw_exchange *exchange, int status, json_t *body); /* body is stolen */
void ssw_exchange_reply_fault(ssw_exchange *exchange, const ssw_http_fault *fault);
void ssw_exchange_reply_text(ssw_exchange *exchange, int status, const char *content_type, ssw_strbuf *body);
/* read gives the next bytes or MHD_CONTENT_READER_END_...; it may block. context is freed by `release`
 * always. */
void ssw_exchange_reply_stream(ssw_exchange *exchange, const char *content_type,
                               MHD_ContentReaderCallback read, void *context,
                               MHD_ContentReaderFreeCallback release);
/* The client is gone: close without an answer. */
void ssw_exchange_abandon(ssw_exchange *exchange);

const char *ssw_server_model_name(const ssw_server *server, ssw_engine *engine);

ssw_route_handler ssw_route_health, ssw_route_models, ssw_route_model, ssw_route_metrics, ssw_route_preflight;
ssw_route_handler ssw_route_chat_completions, ssw_route_completions, ssw_route_api_generate;
ssw_route_handler ssw_route_embeddings, ssw_route_tokenize, ssw_route_detokenize;

#endif
