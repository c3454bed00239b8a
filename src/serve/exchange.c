/* Replies. */
#include "serve/exchange.h"

#include "serve/wire_text.h"

enum { STREAM_BLOCK_BYTES = 16384, REPLY_BYTES_MAX = 256 << 20 };

static void add_common_headers(const ssw_exchange *exchange, struct MHD_Response *response)
{
    MHD_add_response_header(response, "Server", "seesaw");
    MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    if (atomic_load(&exchange->server->is_draining))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static void send_response(ssw_exchange *exchange, int status, struct MHD_Response *response)
{
    exchange->result = MHD_NO;
    if (!response)
        return;
    add_common_headers(exchange, response);
    exchange->result = MHD_queue_response(exchange->connection, (unsigned)status, response);
    MHD_destroy_response(response);
}

static struct MHD_Response *make_response(const char *content_type, ssw_strbuf *body)
{
    size_t n_bytes = body->n_bytes;
    char *text = ssw_strbuf_take(body);
    if (!text)
        return NULL;
    struct MHD_Response *response = MHD_create_response_from_buffer(n_bytes, text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(text);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    return response;
}

void ssw_exchange_reply_text(ssw_exchange *exchange, int status, const char *content_type, ssw_strbuf *body)
{
    send_response(exchange, status, make_response(content_type, body));
}

static struct MHD_Response *make_json_response(json_t *value)
{
    ssw_strbuf text;
    ssw_strbuf_init(&text, REPLY_BYTES_MAX);
    ssw_wire_append(&text, value);
    json_decref(value);
    struct MHD_Response *response = make_response("application/json; charset=utf-8", &text);
    ssw_strbuf_deinit(&text);
    return response;
}

void ssw_exchange_reply_json(ssw_exchange *exchange, int status, json_t *body)
{
    send_response(exchange, status, make_json_response(body));
}

void ssw_exchange_reply_fault(ssw_exchange *exchange, const ssw_http_fault *fault)
{
    struct MHD_Response *response = make_json_response(ssw_fault_to_json(fault));
    if (response && fault->status == 401)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (response && fault->status == 405 && exchange->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, exchange->allow);
    if (response && fault->status == 503)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (response && (fault->status == 413 || fault->status == 503))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    send_response(exchange, fault->status, response);
}

void ssw_exchange_reply_stream(ssw_exchange *exchange, const char *content_type,
                               MHD_ContentReaderCallback read, void *context,
                               MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read, context, release);
    if (!response) {
        release(context);
        exchange->result = MHD_NO;
        return;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    send_response(exchange, 200, response);
}

void ssw_exchange_abandon(ssw_exchange *exchange)
{
    exchange->result = MHD_NO;
}
