/* The server's life, and libmicrohttpd's callbacks: they read a request whole, within its limits, then hand
 * it to its route. */
#include "serve/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/exchange.h"
#include "serve/listener.h"

enum {
    REFUSING_CONNECTIONS = 32, /* beyond the limit, kept only to be told so */
    DROPPED_BODY_FACTOR =
        4, /* a body larger than this many times the limit is cut off, not read to its end */
    THREAD_STACK_BYTES = 1 << 20,
    POOL_EXTRA_BYTES =
        24 << 10 /* libmicrohttpd's pool holds the request's headers and the answer's buffers */
};

void ssw_server_options_init(ssw_server_options *options)
{
    *options = (ssw_server_options){
        .host = "127.0.0.1",
        .port = 11435,
        .n_connections_max = 128,
        .body_bytes_max = (size_t)16 << 20,
        .header_bytes_max = (size_t)32 << 10,
        .header_timeout_ns = 10 * SSW_NS_PER_S,
        .body_timeout_ns = 60 * SSW_NS_PER_S,
        .idle_timeout_ns = 60 * SSW_NS_PER_S,
        .unacked_timeout_ns = 60 * SSW_NS_PER_S,
    };
}

/* ---- one request ---- */

static bool begin_exchange(ssw_exchange *exchange, const char *method)
{
    ssw_server *server = exchange->server;
    ssw_http_fault *fault = &exchange->fault;
    size_t limit = server->options.body_bytes_max;
    const char *length = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Content-Length");
    if (length && strtoull(length, NULL, 10) > limit)
        return ssw_fault_set(fault, 413, NULL, "the body is larger than %zu bytes", limit);
    if (ssw_guard_count(server->guard) > server->options.n_connections_max)
        return ssw_fault_set(fault, 503, NULL, "more than %d connections are open; try again later",
                             server->options.n_connections_max);
    ssw_route_find(exchange, method, fault); /* its fault is told after the body was read */
    return true;
}

static enum MHD_Result read_body(ssw_exchange *exchange, const char *bytes, size_t *n_bytes)
{
    size_t limit = exchange->server->options.body_bytes_max;
    exchange->n_body_bytes += *n_bytes;
    if (exchange->n_body_bytes > DROPPED_BODY_FACTOR * (uint64_t)limit)
        return MHD_NO;
    if (exchange->fault.status == 0)
        ssw_strbuf_append(&exchange->body, bytes, *n_bytes);
    *n_bytes = 0;
    return MHD_YES;
}

static enum MHD_Result answer(ssw_exchange *exchange)
{
    if (!ssw_guard_set_phase(exchange->server->guard, exchange->guard, SSW_GUARD_BUSY))
        return MHD_NO;
    if (exchange->fault.status == 0 && exchange->body.failed)
        ssw_fault_set(&exchange->fault, 413, NULL, "the body is larger than %zu bytes",
                      exchange->server->options.body_bytes_max);
    if (exchange->fault.status != 0)
        ssw_exchange_reply_fault(exchange, &exchange->fault);
    else
        exchange->route->handler(exchange);
    return exchange->result;
}

static enum MHD_Result handle_request(void *context, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *n_upload, void **request_context)
{
    (void)version;
    ssw_server *server = context;
    ssw_exchange *exchange = *request_context;
    if (exchange)
        return *n_upload > 0 ? read_body(exchange, upload, n_upload) : answer(exchange);

    ssw_guard_entry *guard =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    exchange = guard ? calloc(1, sizeof *exchange) : NULL;
    if (!exchange)
        return MHD_NO;
    *request_context = exchange;
    exchange->server = server;
    exchange->connection = connection;
    exchange->guard = guard;
    exchange->socket_fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    exchange->path = url;
    exchange->started_ns = ssw_clock_now_ns();
    ssw_strbuf_init(&exchange->body, server->options.body_bytes_max);
    atomic_fetch_add(&server->requests_total, 1);
    if (!begin_exchange(exchange, method))
        return answer(exchange);
    return ssw_guard_set_phase(server->guard, guard, SSW_GUARD_BODY) ? MHD_YES : MHD_NO;
}

static void complete_request(void *context, struct MHD_Connection *connection, void **request_context,
                             enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    ssw_server *server = context;
    ssw_exchange *exchange = *request_context;
    if (!exchange)
        return;
    ssw_guard_set_phase(server->guard, exchange->guard, SSW_GUARD_IDLE);
    ssw_strbuf_deinit(&exchange->body);
    free(exchange);
    *request_context = NULL;
}

static void notice_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    ssw_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *socket_context = ssw_guard_enter(server->guard, fd);
    } else if (*socket_context) {
        ssw_guard_leave(server->guard, *socket_context);
        *socket_context = NULL;
    }
}

/* The request line was read. */
static void *notice_request(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)uri;
    ssw_server *server = context;
    ssw_guard_entry *guard =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (guard)
        ssw_guard_set_phase(server->guard, guard, SSW_GUARD_HEADERS);
    return NULL;
}

static void log_daemon(void *context, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void log_daemon(void *context, const char *format, va_list args)
{
    ssw_server *server = context;
    char line[512];
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    /* Later lines are about single connections, and clients that go away are no news. */
    ssw_log_write(&server->options.log, atomic_load(&server->has_started) ? SSW_LOG_DEBUG : SSW_LOG_WARN,
                  "libmicrohttpd: %s", line);
}

/* ---- life ---- */

static ssw_status copy_options(ssw_server *server, const ssw_server_options *options, ssw_error *err)
{
    server->options = *options;
    server->host = strdup(options->host ? options->host : "127.0.0.1");
    server->alias = options->alias ? strdup(options->alias) : NULL;
    server->api_keys = calloc(options->n_api_keys + 1, sizeof *server->api_keys);
    bool ok = server->host && server->api_keys && (!options->alias || server->alias);
    for (size_t i = 0; ok && i < options->n_api_keys; i++) {
        server->api_keys[i] = strdup(options->api_keys[i]);
        ok = server->api_keys[i] != NULL;
    }
    server->options.host = server->host;
    server->options.alias = server->alias;
    return ok ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the server's options");
}

static ssw_status start_daemon(ssw_server *server, int listen_fd, ssw_error *err)
{
    const ssw_server_options *options = &server->options;
    unsigned flags =
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_daemon, server,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->n_connections_max + REFUSING_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        options->header_bytes_max + POOL_EXTRA_BYTES, MHD_OPTION_NOTIFY_CONNECTION, notice_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, complete_request, server, MHD_OPTION_URI_LOG_CALLBACK, notice_request,
        server, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES, MHD_OPTION_END);
    if (!server->daemon) { /* it has closed listen_fd */
        return ssw_error_set(err, SSW_ERR_IO, "the HTTP server on %s port %d did not start", server->host,
                             server->port);
    }
    atomic_store(&server->has_started, true);
    return SSW_OK;
}

ssw_status ssw_server_open(const ssw_server_options *options, ssw_server **out, ssw_error *err)
{
    *out = NULL;
    if (options->n_connections_max < 1 || options->n_connections_max > SSW_SERVER_CONNECTIONS_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "%d connections are not between 1 and %d",
                             options->n_connections_max, (int)SSW_SERVER_CONNECTIONS_MAX);
    ssw_server *server = calloc(1, sizeof *server);
    if (!server)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the server");
    int listen_fd = -1;
    server->started_unix_s = ssw_clock_wall_ns() / SSW_NS_PER_S;
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ssw_status status = SSW_OK;
    if (server->stop_fd < 0)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "making an eventfd");
    if (status == SSW_OK)
        status = copy_options(server, options, err);
    if (status == SSW_OK)
        status = ssw_listener_open(server->host, options->port, &listen_fd, &server->port, err);
    if (status != SSW_OK)
        goto cleanup;
    bool is_ipv6 = strchr(server->host, ':') != NULL;
    snprintf(server->url, sizeof server->url, is_ipv6 ? "http://[%s]:%d" : "http://%s:%d", server->host,
             server->port);
    const ssw_guard_options guard_options = {
        .n_connections_max = options->n_connections_max + REFUSING_CONNECTIONS + 1,
        .header_timeout_ns = options->header_timeout_ns,
        .body_timeout_ns = options->body_timeout_ns,
        .idle_timeout_ns = options->idle_timeout_ns,
        .unacked_timeout_ns = options->unacked_timeout_ns,
    };
    status = ssw_guard_open(&guard_options, &server->guard, err);
    if (status == SSW_OK)
        status = start_daemon(server, listen_fd, err);
    else
        close(listen_fd);
cleanup:
    if (status != SSW_OK) {
        ssw_server_close(server);
        return status;
    }
    *out = server;
    return SSW_OK;
}

const char *ssw_server_url(const ssw_server *server)
{
    return server->url;
}

int ssw_server_port(const ssw_server *server)
{
    return server->port;
}

void ssw_server_set_engine(ssw_server *server, ssw_engine *engine)
{
    atomic_store(&server->engine, engine);
}

const char *ssw_server_model_name(const ssw_server *server, ssw_engine *engine)
{
    if (server->alias)
        return server->alias;
    const char *name = engine ? ssw_engine_describe(engine)->name : NULL;
    return name && name[0] ? name : "model";
}

static void wait_until_idle(ssw_server *server, int64_t for_ns)
{
    int64_t deadline_ns = ssw_clock_now_ns() + for_ns;
    while (ssw_guard_count_busy(server->guard) > 0 && ssw_clock_now_ns() < deadline_ns)
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + 5 * SSW_NS_PER_MS);
}

void ssw_server_stop(ssw_server *server, int64_t grace_ns)
{
    static const uint64_t one = 1;
    if (atomic_exchange(&server->is_draining, true))
        return;
    if (server->daemon) {
        int listen_fd = MHD_quiesce_daemon(server->daemon);
        if (listen_fd >= 0)
            close(listen_fd);
        wait_until_idle(server, grace_ns);
    }
    if (write(server->stop_fd, &one, sizeof one) < 0)
        ssw_log_write(&server->options.log, SSW_LOG_WARN, "requests could not be told to stop");
    if (server->daemon)
        wait_until_idle(server, 2 * SSW_NS_PER_S); /* so that their last frame gets out */
}

void ssw_server_close(ssw_server *server)
{
    if (!server)
        return;
    ssw_server_stop(server, 0);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    ssw_guard_close(server->guard);
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    for (size_t i = 0; server->api_keys && i < server->options.n_api_keys; i++)
        free(server->api_keys[i]);
    free(server->api_keys);
    free(server->alias);
    free(server->host);
    free(server);
}
