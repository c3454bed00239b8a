/* The self-audit's requests. */
#include "bench/run/self_audit_run.h"

#include <string.h>

#include "base/clock.h"
#include "bench/client/http_client.h"
#include "bench/run/known_server.h"

#define TTFT_NS    (20 * SSW_NS_PER_MS)
#define GAP_NS     (5 * SSW_NS_PER_MS)
#define SILENCE_NS (5 * SSW_NS_PER_S)
enum { REPLY_BYTES_MAX = 4 << 20 };

static const char request_text[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"see\"}],\"stream\":true}";

static bool has_text(const ssw_frame *frame)
{
    return frame->kind == SSW_FRAME_CONTENT;
}

static ssw_status audit_once(ssw_client *client, const ssw_known_server *server, ssw_audit_request *out,
                             ssw_error *err)
{
    ssw_arena arena;
    ssw_known_times times = {0};
    ssw_sample sample = {.request = request_text};
    ssw_arena_init(&arena, REPLY_BYTES_MAX);
    *out = (ssw_audit_request){.tokens_told = SSW_EVIDENCE_NONE};
    ssw_status status = ssw_client_chat(client, &arena, &sample, NULL, NULL, err);
    out->send_ns = sample.send_ns;
    if (sample.has_usage)
        out->tokens_told = sample.usage.completion_tokens;
    for (size_t i = 0; i < sample.n_frames; i++) {
        if (!has_text(&sample.frames[i]))
            continue;
        if (out->n_frames < SSW_AUDIT_TOKENS)
            out->seen_ns[out->n_frames] = sample.frames[i].t_ns;
        out->n_frames++;
    }
    ssw_arena_deinit(&arena);
    if (!status && !ssw_known_server_take_times(server, &times))
        status = ssw_error_set(err, SSW_ERR_UNAVAILABLE, "the self-audit's server does not tell its times");
    out->received_ns = times.received_ns;
    memcpy(out->sent_ns, times.sent_ns, sizeof out->sent_ns);
    return status;
}

ssw_status ssw_self_audit_run(int cancel_fd, ssw_self_audit *out, ssw_error *err)
{
    ssw_known_server server;
    ssw_client *client = NULL;
    *out = (ssw_self_audit){.ttft_ns = TTFT_NS, .gap_ns = GAP_NS};
    ssw_status status = ssw_known_server_start(&server, TTFT_NS, GAP_NS, err);
    if (status)
        return status;
    const ssw_client_options options = {.port = server.port,
                                        .cancel_fd = cancel_fd,
                                        .connect_timeout_ns = SILENCE_NS,
                                        .silence_timeout_ns = SILENCE_NS};
    status = ssw_client_open(&options, &client, err);
    for (int i = 0; !status && i < SSW_AUDIT_REQUESTS; i++) {
        status = audit_once(client, &server, &out->requests[i], err);
        out->n_requests += !status;
    }
    ssw_client_close(client);
    ssw_known_server_stop(&server);
    if (status)
        ssw_error_prefix(err, "self-audit");
    return status;
}
