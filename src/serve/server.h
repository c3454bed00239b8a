/* seesaw's HTTP server.
 *
 * It answers as soon as it is open: with 503 until an engine is set. One thread per connection
 * (libmicrohttpd's), bounded in number; the scheduler's thread hands tokens over without waiting for any of
 * them. */
#ifndef SSW_SERVE_SERVER_H
#define SSW_SERVE_SERVER_H

#include "base/log.h"
#include "base/status.h"
#include "seesaw/engine.h"

enum { SSW_SERVER_API_KEYS_MAX = 256, SSW_SERVER_API_KEY_BYTES_MAX = 512, SSW_SERVER_CONNECTIONS_MAX = 1024 };

typedef struct ssw_server ssw_server;

typedef struct ssw_server_options {
    const char *host;            /* name or address; NULL: 127.0.0.1 */
    int port;                    /* 0: any free one */
    const char *alias;           /* the model's name in answers; NULL: the engine's */
    const char *const *api_keys; /* [n_api_keys]; none: no key is asked for */
    size_t n_api_keys;
    bool has_metrics;
    int n_connections_max;   /* more get 503 */
    size_t body_bytes_max;   /* more gets 413 */
    size_t header_bytes_max; /* more gets 431 */
    int64_t header_timeout_ns, body_timeout_ns, idle_timeout_ns,
        unacked_timeout_ns; /* see connection_guard.h */
    ssw_log log;
} ssw_server_options;

void ssw_server_options_init(ssw_server_options *options);

/* Listens. Strings and keys are copied. SSW_ERR_IO names the address and port that could not be bound. */
ssw_status ssw_server_open(const ssw_server_options *options, ssw_server **out, ssw_error *err);
const char *ssw_server_url(const ssw_server *server); /* "http://127.0.0.1:11435" */
int ssw_server_port(const ssw_server *server);

/* Begins to serve the model. The engine stays the caller's and must outlive ssw_server_close. Once only. */
void ssw_server_set_engine(ssw_server *server, ssw_engine *engine);

/* Accepts no more, lets running requests finish for at most grace_ns, cancels the rest. */
void ssw_server_stop(ssw_server *server, int64_t grace_ns);
void ssw_server_close(ssw_server *server); /* stops without grace if need be; NULL is allowed */

#endif
