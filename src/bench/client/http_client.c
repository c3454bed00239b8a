/* libcurl's multi interface with one transfer at a time, so that waiting can also end by cancel_fd. */
#include "bench/client/http_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/client/completion.h"
#include "bench/client/json_lines.h"
#include "bench/client/sse.h"

enum { WAIT_MS_MAX = 1000, FRAMES_FIRST = 256 };

struct ssw_client {
    ssw_client_options options;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
};

typedef struct raw_frame { /* a frame as it came: its data lies in exchange.data */
    int64_t t_ns;
    size_t offset, n_data, n_wire;
} raw_frame;

typedef struct exchange { /* one POST while it runs */
    ssw_client *client;
    ssw_sample *sample;
    ssw_client_observer *observer;
    void *observer_context;
    size_t n_body, n_given;
    ssw_sse_parser sse;
    ssw_json_lines lines;
    ssw_strbuf data;  /* every frame's data, one after another */
    ssw_strbuf plain; /* the body of an answer that is no stream */
    raw_frame *frames;
    size_t n_frames, frames_capacity;
    bool text_seen;
    ssw_completion live; /* the frames up to the first text */
    ssw_arena live_arena;
    ssw_status status; /* of the callbacks: curl only hears "stop" */
    ssw_error error;
    int64_t last_byte_ns;
} exchange;

ssw_status ssw_client_open(const ssw_client_options *options, ssw_client **out, ssw_error *err)
{
    *out = NULL;
    ssw_client *client = calloc(1, sizeof *client);
    if (!client)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the HTTP client");
    client->options = *options;
    client->easy = curl_easy_init();
    client->multi = curl_multi_init();
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more =
        client->headers ? curl_slist_append(client->headers, "Accept: text/event-stream") : NULL;
    if (more)
        more = curl_slist_append(more, "Expect:");
    if (!client->easy || !client->multi || !more) {
        ssw_client_close(client);
        return ssw_error_set(err, SSW_ERR_NOMEM, "libcurl does not start");
    }
    *out = client;
    return SSW_OK;
}

void ssw_client_close(ssw_client *client)
{
    if (!client)
        return;
    if (client->easy)
        curl_easy_cleanup(client->easy);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->headers);
    free(client);
}

static void set_common(ssw_client *client, const char *path)
{
    char url[SSW_CLIENT_URL_MAX];
    CURL *easy = client->easy;
    curl_easy_reset(easy);
    if (client->options.base_url)
        snprintf(url, sizeof url, "%s%s", client->options.base_url, path);
    else
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", client->options.port, path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(client->options.connect_timeout_ns / SSW_NS_PER_MS) + 1);
}

static ssw_status curl_failure(CURLcode code, ssw_error *err)
{
    ssw_status status = code == CURLE_OPERATION_TIMEDOUT ? SSW_ERR_TIMEOUT : SSW_ERR_UNAVAILABLE;
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return ssw_error_set(err, status, "connection refused");
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return ssw_error_set(err, status, "the server broke the connection off");
    default:
        return ssw_error_set(err, status, "%s", curl_easy_strerror(code));
    }
}

/* Runs the transfer to its end. *last_byte_ns is moved by the callbacks; silence longer than limit_ns ends
 * it. */
static ssw_status run_transfer(ssw_client *client, const int64_t *last_byte_ns, int64_t limit_ns,
                               CURLcode *code, ssw_error *err)
{
    struct curl_waitfd cancel = {.fd = client->options.cancel_fd, .events = CURL_WAIT_POLLIN};
    unsigned n_extra = client->options.cancel_fd >= 0;
    int running = 1;
    ssw_status status = SSW_OK;
    curl_multi_add_handle(client->multi, client->easy);
    while (!status) {
        curl_multi_perform(client->multi, &running);
        if (!running)
            break;
        int64_t left_ns = *last_byte_ns + limit_ns - ssw_clock_now_ns();
        if (left_ns <= 0) {
            status = ssw_error_set(err, SSW_ERR_TIMEOUT, "no byte for %.1f s",
                                   (double)limit_ns / (double)SSW_NS_PER_S);
            break;
        }
        int wait_ms =
            left_ns < WAIT_MS_MAX * SSW_NS_PER_MS ? (int)(left_ns / SSW_NS_PER_MS) + 1 : WAIT_MS_MAX;
        curl_multi_poll(client->multi, &cancel, n_extra, wait_ms, NULL);
        if (n_extra && (cancel.revents & CURL_WAIT_POLLIN))
            status = ssw_error_set(err, SSW_ERR_CANCELLED, "interrupted");
    }
    int n_left;
    const CURLMsg *message = curl_multi_info_read(client->multi, &n_left);
    *code = message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_OK;
    curl_multi_remove_handle(client->multi, client->easy);
    return status;
}

static size_t append_body(char *bytes, size_t size, size_t n, void *context)
{
    ssw_strbuf *body = context;
    ssw_strbuf_append(body, bytes, size * n);
    return body->failed ? 0 : size * n;
}

/* After set_common: runs the transfer and takes its answer whole. */
static ssw_status take_answer(ssw_client *client, int64_t timeout_ns, long *http_status, ssw_strbuf *body,
                              ssw_error *err)
{
    CURLcode code;
    int64_t begin_ns = ssw_clock_now_ns();
    *http_status = 0;
    curl_easy_setopt(client->easy, CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(client->easy, CURLOPT_WRITEDATA, body);
    ssw_status status = run_transfer(client, &begin_ns, timeout_ns, &code, err);
    if (status)
        return status;
    if (body->failed)
        return ssw_strbuf_check(body, "the server's answer", err);
    if (code != CURLE_OK)
        return curl_failure(code, err);
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, http_status);
    return SSW_OK;
}

ssw_status ssw_client_get(ssw_client *client, const char *path, int64_t timeout_ns, long *http_status,
                          ssw_strbuf *body, ssw_error *err)
{
    set_common(client, path);
    return take_answer(client, timeout_ns, http_status, body, err);
}

ssw_status ssw_client_post(ssw_client *client, const char *path, const char *request, int64_t timeout_ns,
                           long *http_status, ssw_strbuf *body, ssw_error *err)
{
    set_common(client, path);
    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, request);
    return take_answer(client, timeout_ns, http_status, body, err);
}

/* ---- the timed POST ---- */

/* Hands the body to libcurl, which sends it at once: the last piece's time is "handed to the socket". */
static size_t give_bytes(char *out, size_t size, size_t n, void *context)
{
    exchange *run = context;
    size_t left = run->n_body - run->n_given;
    size_t n_bytes = left < size * n ? left : size * n;
    memcpy(out, run->sample->request + run->n_given, n_bytes);
    run->n_given += n_bytes;
    if (n_bytes)
        run->sample->send_ns = run->last_byte_ns = ssw_clock_now_ns();
    return n_bytes;
}

static int watch_socket(CURL *easy, curl_infotype type, char *bytes, size_t n_bytes, void *context)
{
    exchange *run = context;
    (void)easy;
    (void)bytes;
    (void)n_bytes;
    if (type == CURLINFO_DATA_OUT || type == CURLINFO_HEADER_OUT) {
        run->last_byte_ns = ssw_clock_now_ns();
        if (type == CURLINFO_DATA_OUT)
            run->sample->sent_ns = run->last_byte_ns;
    }
    return 0;
}

static void show_frame(exchange *run, const ssw_frame *frame)
{
    if (run->observer)
        run->observer(run->observer_context, frame);
}

static ssw_status push_frame(const exchange *run, ssw_completion *reply, const char *data, size_t n_data,
                             ssw_frame *frame, ssw_error *err)
{
    return run->client->options.wire == SSW_WIRE_OLLAMA
               ? ssw_completion_push_ollama(reply, data, n_data, frame, err)
               : ssw_completion_push(reply, data, n_data, frame, err);
}

/* Parses frames as they come until one has text: telemetry needs to know when decoding begins. */
static ssw_status look_for_text(exchange *run, const ssw_sse_event *event, ssw_error *err)
{
    ssw_frame frame = {.t_ns = event->t_ns, .n_bytes = (uint32_t)event->n_bytes, .kind = SSW_FRAME_CONTENT};
    ssw_status status = SSW_OK;
    if (!run->text_seen) {
        status = push_frame(run, &run->live, event->data, event->n_data, &frame, err);
        run->text_seen = frame.kind == SSW_FRAME_CONTENT || frame.kind == SSW_FRAME_REASONING ||
                         frame.kind == SSW_FRAME_TOOL;
    }
    show_frame(run, &frame);
    return status;
}

static ssw_status keep_event(void *context, const ssw_sse_event *event, ssw_error *err)
{
    exchange *run = context;
    if (run->n_frames == SSW_SAMPLE_FRAMES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d frames", SSW_SAMPLE_FRAMES_MAX);
    if (run->n_frames == run->frames_capacity) {
        size_t capacity = run->frames_capacity ? 2 * run->frames_capacity : FRAMES_FIRST;
        raw_frame *grown = realloc(run->frames, capacity * sizeof *grown);
        if (!grown)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for frames");
        run->frames = grown;
        run->frames_capacity = capacity;
    }
    run->frames[run->n_frames++] = (raw_frame){
        .t_ns = event->t_ns, .offset = run->data.n_bytes, .n_data = event->n_data, .n_wire = event->n_bytes};
    ssw_strbuf_append(&run->data, event->data, event->n_data);
    ssw_status status = ssw_strbuf_check(&run->data, "the reply", err);
    return status ? status : look_for_text(run, event, err);
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *context)
{
    int64_t now_ns = ssw_clock_now_ns(); /* before anything else is done with them */
    exchange *run = context;
    size_t n_bytes = size * n;
    long code = 0;
    run->last_byte_ns = now_ns;
    curl_easy_getinfo(run->client->easy, CURLINFO_RESPONSE_CODE, &code);
    if (code == 200) {
        run->status = run->client->options.wire == SSW_WIRE_OLLAMA
                          ? ssw_json_lines_push(&run->lines, bytes, n_bytes, now_ns, &run->error)
                          : ssw_sse_push(&run->sse, bytes, n_bytes, now_ns, &run->error);
    } else {
        ssw_strbuf_append(&run->plain, bytes, n_bytes);
        if (run->plain.failed)
            run->status = ssw_strbuf_check(&run->plain, "the error's body", &run->error);
    }
    return run->status ? 0 : n_bytes;
}

/* Why a reply that came with HTTP 200 is no complete stream. */
static ssw_status say_incomplete(const exchange *run, ssw_error *err)
{
    const char *type = NULL;
    bool torn = ssw_sse_is_torn(&run->sse) || ssw_json_lines_are_torn(&run->lines);
    curl_easy_getinfo(run->client->easy, CURLINFO_CONTENT_TYPE, &type);
    if (run->n_frames == 0)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "the answer holds no frame of a stream (Content-Type: %.60s)",
                             type ? type : "none");
    return ssw_error_set(err, SSW_ERR_FORMAT, "the stream ended without [DONE] or a finish reason%s",
                         torn ? ", inside a frame" : "");
}

static const char *keep_logprobs(ssw_arena *arena, const json_t *logprobs)
{
    char *text = json_dumps(logprobs, JSON_COMPACT);
    const char *kept = text ? ssw_arena_copy_text(arena, text, strlen(text)) : NULL;
    free(text);
    return kept;
}

/* The parsing that was put off: fills the sample from the frames. */
static ssw_status parse_frames(exchange *run, ssw_arena *arena, ssw_error *err)
{
    ssw_sample *sample = run->sample;
    ssw_completion reply;
    ssw_frame *frames = ssw_arena_alloc(arena, run->n_frames + 1, sizeof *frames);
    if (!frames)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for frames");
    ssw_completion_init(&reply, arena);
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < run->n_frames; i++) {
        const raw_frame *raw = &run->frames[i];
        frames[i] = (ssw_frame){.t_ns = raw->t_ns, .n_bytes = (uint32_t)raw->n_wire};
        status =
            push_frame(run, &reply, ssw_strbuf_text(&run->data) + raw->offset, raw->n_data, &frames[i], err);
        sample->n_frames = i + 1;
    }
    sample->frames = frames;
    sample->finish_reason = reply.finish_reason;
    sample->has_usage = reply.has_usage;
    sample->usage = reply.usage;
    sample->has_timings = reply.has_timings;
    sample->timings = reply.timings;
    sample->text = ssw_arena_copy_text(arena, ssw_strbuf_text(&reply.content), reply.content.n_bytes);
    sample->reasoning =
        ssw_arena_copy_text(arena, ssw_strbuf_text(&reply.reasoning), reply.reasoning.n_bytes);
    if (reply.logprobs)
        sample->logprobs = keep_logprobs(arena, reply.logprobs);
    if (!status && (!sample->text || !sample->reasoning || (reply.logprobs && !sample->logprobs)))
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the reply");
    if (!status && reply.error)
        status = ssw_error_set(err, SSW_ERR_USAGE, "the server said: %s", reply.error);
    else if (!status && !reply.done && !reply.finish_reason && sample->http_status == 200)
        status = say_incomplete(run, err);
    ssw_completion_deinit(&reply);
    return status;
}

/* What the transfer's own end means, before the frames are looked at. */
static ssw_status judge_transfer(exchange *run, ssw_arena *arena, CURLcode code, ssw_error *err)
{
    if (run->status) {
        if (err)
            *err = run->error;
        return run->status;
    }
    if (code != CURLE_OK)
        return curl_failure(code, err);
    if (run->sample->http_status != 200) {
        const char *line =
            ssw_completion_quote_error(arena, ssw_strbuf_text(&run->plain), run->plain.n_bytes);
        return ssw_error_set(err, SSW_ERR_USAGE, "HTTP %lld: %s", (long long)run->sample->http_status,
                             line ? line : "");
    }
    return SSW_OK;
}

static void init_exchange(exchange *run, ssw_client *client, ssw_sample *sample)
{
    *run = (exchange){.client = client, .sample = sample, .n_body = strlen(sample->request)};
    ssw_sse_init(&run->sse, keep_event, run);
    ssw_json_lines_init(&run->lines, keep_event, run);
    ssw_strbuf_init(&run->data, SSW_CLIENT_REPLY_BYTES_MAX);
    ssw_strbuf_init(&run->plain, SSW_CLIENT_BODY_BYTES_MAX);
    ssw_arena_init(&run->live_arena, SSW_CLIENT_REPLY_BYTES_MAX);
    ssw_completion_init(&run->live, &run->live_arena);
}

static void deinit_exchange(exchange *run)
{
    ssw_sse_deinit(&run->sse);
    ssw_json_lines_deinit(&run->lines);
    ssw_strbuf_deinit(&run->data);
    ssw_strbuf_deinit(&run->plain);
    ssw_completion_deinit(&run->live);
    ssw_arena_deinit(&run->live_arena);
    free(run->frames);
}

ssw_status ssw_client_chat(ssw_client *client, ssw_arena *arena, ssw_sample *sample,
                           ssw_client_observer *observer, void *context, ssw_error *err)
{
    exchange run;
    CURLcode code = CURLE_OK;
    long http_status = 0;
    ssw_error failure = {0}, later = {0};
    init_exchange(&run, client, sample);
    run.observer = observer;
    run.observer_context = context;
    set_common(client, client->options.ask_path ? client->options.ask_path : "/v1/chat/completions");
    CURL *easy = client->easy;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)run.n_body);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_bytes);
    curl_easy_setopt(easy, CURLOPT_READDATA, &run);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &run);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, watch_socket);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &run);
    curl_easy_setopt(easy, CURLOPT_VERBOSE,
                     1L); /* without it the debug callback is not called; it prints nothing */
    sample->send_ns = sample->sent_ns = sample->http_status = SSW_EVIDENCE_NONE;
    sample->start_ns = run.last_byte_ns = ssw_clock_now_ns();
    ssw_status status =
        run_transfer(client, &run.last_byte_ns, client->options.silence_timeout_ns, &code, &failure);
    sample->end_ns = ssw_clock_now_ns();
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http_status);
    if (http_status)
        sample->http_status = http_status;
    if (!status)
        status = judge_transfer(&run, arena, code, &failure);
    ssw_status parsed = parse_frames(&run, arena, &later);
    if (!status && parsed) {
        status = parsed;
        failure = later;
    }
    deinit_exchange(&run);
    if (status) {
        sample->error = ssw_arena_copy_text(arena, failure.message, strlen(failure.message));
        if (!sample->error)
            sample->error = "out of memory";
        if (err)
            *err = failure;
    }
    return status;
}
