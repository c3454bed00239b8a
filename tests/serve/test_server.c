/* The server over raw sockets, above a stand-in engine that answers by script at a set pace. Tokenizer, chat
 * format, scheduler and all of src/serve are the real ones. Argument: the demo model, for its vocabulary. */
#include "../cmocka_all.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../engine/fake_engine.h"
#include "base/clock.h"
#include "raw_http.h"
#include "serve/server.h"
#include "token/chat.h"
#include "token/tokenizer.h"

static const char script[] =
    "<|channel|>final<|message|>One, two: h\xc3\xa9llo \xf0\x9f\x98\x80 world. The END is near.";
static const char content[] = "One, two: h\xc3\xa9llo \xf0\x9f\x98\x80 world. The END is near.";

typedef struct world {
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer;
    ssw_chat *chat;
    ssw_tokens reply;
    fake_engine_settings settings;
    ssw_server_options options;
    ssw_engine *engine;
    ssw_server *server;
} world;

static const char *model_path;

/* ---- setting up ---- */

static int open_world(void **state)
{
    world *w = calloc(1, sizeof *w);
    ssw_error err;
    assert_non_null(w);
    if (ssw_gguf_open(model_path, &w->gguf, &err) || ssw_tokenizer_open(w->gguf, &w->tokenizer, &err) ||
        ssw_chat_open(w->gguf, w->tokenizer, &w->chat, &err) ||
        ssw_tokenizer_encode(w->tokenizer, script, strlen(script), true, &w->reply, &err))
        fail_msg("%s", err.message);
    ssw_tokens role = {0};
    assert_int_equal(ssw_tokenizer_encode(w->tokenizer, "assistant", 9, false, &role, &err), SSW_OK);
    w->settings = (fake_engine_settings){
        .n_vocab = ssw_tokenizer_vocab_size(w->tokenizer),
        .n_embd = 16,
        .ctx_size = 512,
        .n_parallel = 1,
        .n_batch = 64,
        .tokenizer = w->tokenizer,
        .chat = w->chat,
        .reply = w->reply.ids,
        .n_reply = (int32_t)w->reply.n,
        .reply_marker = ssw_tokenizer_find(w->tokenizer, "<|start|>"),
        .reply_skip = (int32_t)role.n,
        .end_token = ssw_tokenizer_find(w->tokenizer, "<|return|>"),
    };
    ssw_tokens_deinit(&role);
    ssw_server_options_init(&w->options);
    w->options.port = 0;
    w->options.alias = "scripted";
    w->options.has_metrics = true;
    *state = w;
    return 0;
}

static void start(world *w)
{
    ssw_error err;
    w->engine = fake_engine_make(&w->settings);
    if (ssw_server_open(&w->options, &w->server, &err) != SSW_OK)
        fail_msg("%s", err.message);
    ssw_server_set_engine(w->server, w->engine);
}

static int close_world(void **state)
{
    world *w = *state;
    ssw_server_close(w->server);
    ssw_engine_close(w->engine);
    ssw_tokens_deinit(&w->reply);
    ssw_chat_close(w->chat);
    ssw_tokenizer_close(w->tokenizer);
    ssw_gguf_close(w->gguf);
    free(w);
    return 0;
}

static raw_reply *make_reply(void)
{
    raw_reply *reply = test_calloc(1, sizeof *reply);
    assert_non_null(reply);
    return reply;
}

#define CHAT  "/v1/chat/completions"
#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

static void expect_status(const raw_reply *reply, int status, const char *words)
{
    if (raw_status(reply) != status || !strstr(raw_body(reply), words))
        fail_msg("expected %d with '%s', got:\n%s", status, words, reply->bytes);
}

/* The text of an answer: choices[0].message.content, or that of all deltas. */
static void join_deltas(const char *stream, char *out, size_t n_out)
{
    size_t n = 0;
    for (const char *line = stream; (line = strstr(line, "data: {")); line++) {
        json_t *chunk = json_loads(line + 6, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(chunk);
        const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
        const char *piece = json_string_value(json_object_get(json_object_get(choice, "delta"), "content"));
        n += (size_t)snprintf(out + n, n_out - n, "%s", piece ? piece : "");
        json_decref(chunk);
    }
    out[n] = '\0';
}

/* ---- tests ---- */

static void health_waits_for_the_model(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    ssw_error err;
    assert_int_equal(ssw_server_open(&w->options, &w->server, &err), SSW_OK);
    int port = ssw_server_port(w->server);
    raw_exchange(port, "/health", NULL, reply);
    expect_status(reply, 503, "{\"status\":\"loading model\"}");
    raw_exchange(port, CHAT, "{" HELLO "}", reply);
    expect_status(reply, 503, "loading model");
    raw_exchange(port, "/v1/models", NULL, reply);
    expect_status(reply, 200, "\"id\":\"scripted\"");
    w->engine = fake_engine_make(&w->settings);
    ssw_server_set_engine(w->server, w->engine);
    raw_exchange(port, "/health", NULL, reply);
    expect_status(reply, 200, "{\"status\":\"ok\"}");
    test_free(reply);
}

static void wrong_requests_get_their_status(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    start(w);
    int port = ssw_server_port(w->server);
    raw_exchange(port, "/nowhere", NULL, reply);
    expect_status(reply, 404, "there is nothing at /nowhere");
    raw_exchange(port, "/health", "{}", reply);
    expect_status(reply, 405, "/health takes GET, not POST");
    assert_non_null(strstr(reply->bytes, "Allow: GET\r\n"));
    raw_exchange(port, CHAT, NULL, reply);
    expect_status(reply, 405, "takes POST");
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":\"x\"}", reply);
    expect_status(reply, 400, "\"param\":\"temperature\"");
    raw_exchange(port, CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"bad \xff byte\"}]}", reply);
    expect_status(reply, 400, "not valid JSON");
    raw_exchange(port, "/v1/completions", "{\"prompt\":[999999]}", reply);
    expect_status(reply, 400, "not in the vocabulary");
    char *body = test_malloc(40000);
    strcpy(body, "{\"prompt\":\"");
    for (int i = 0; i < 6000; i++)
        strcat(body + 11 + 5 * i, "word ");
    strcat(body, "\"}");
    raw_exchange(port, "/v1/completions", body, reply);
    expect_status(reply, 400, "context_length_exceeded");
    test_free(body);
    raw_exchange(port, "/v1/models/other", NULL, reply);
    expect_status(reply, 404, "model_not_found");
    test_free(reply);
}

static void keys_are_asked_for(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    static const char *const keys[] = {"first-key", "second-key"};
    w->options.api_keys = keys;
    w->options.n_api_keys = 2;
    start(w);
    int port = ssw_server_port(w->server);
    raw_exchange(port, "/tokenize", "{\"content\":\"x\"}", reply);
    expect_status(reply, 401, "an API key is required");
    static const struct {
        const char *header;
        int status;
    } tries[] = {
        {"Authorization: Bearer second-key", 200},
        {"authorization: bearer first-key", 200},
        {"X-Api-Key: first-key", 200},
        {"Authorization: Bearer second-kez", 401},
        {"Authorization: Bearer second-key2", 401},
        {"Authorization: Bearer ", 401},
        {"Authorization: Basic first-key", 401},
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        char request[300];
        snprintf(request, sizeof request,
                 "POST /tokenize HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 15\r\n\r\n{\"content\":\"x\"}",
                 tries[i].header);
        int fd = raw_connect(port);
        raw_send_text(fd, request);
        raw_read(fd, reply, 5000);
        close(fd);
        expect_status(reply, tries[i].status, "");
    }
    raw_exchange(port, "/health", NULL, reply);
    expect_status(reply, 200, "ok");
    test_free(reply);
}

static void large_requests_are_refused(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->options.body_bytes_max = 1000;
    w->options.header_bytes_max = 4096;
    start(w);
    int port = ssw_server_port(w->server);

    int fd = raw_connect(port); /* told by its length: refused before the body is sent */
    raw_send_text(fd, "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n");
    raw_read(fd, reply, 5000);
    expect_status(reply, 413, "larger than 1000 bytes");
    close(fd);

    fd = raw_connect(port); /* chunked: refused when it has come */
    raw_send_text(fd, "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[512];
    memset(chunk, 'a', sizeof chunk);
    for (int i = 0; i < 4; i++) {
        raw_send_text(fd, "200\r\n");
        raw_send(fd, chunk, sizeof chunk);
        raw_send_text(fd, "\r\n");
    }
    raw_send_text(fd, "0\r\n\r\n");
    raw_read(fd, reply, 5000);
    expect_status(reply, 413, "larger than 1000 bytes");
    close(fd);

    fd = raw_connect(port); /* chunked without end: cut off */
    raw_send_text(fd, "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2000; i++) {
        raw_send_text(fd, "200\r\n");
        raw_send(fd, chunk, sizeof chunk);
        raw_send_text(fd, "\r\n");
    }
    raw_read(fd, reply, 5000);
    assert_true(reply->is_closed);
    close(fd);

    fd = raw_connect(port);
    raw_send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 200; i++) {
        char header[300];
        snprintf(header, sizeof header, "X-Filler-%d: %0200d\r\n", i, i);
        raw_send_text(fd, header);
    }
    raw_send_text(fd, "\r\n");
    raw_read(fd, reply, 5000);
    assert_int_equal(raw_status(reply), 431);
    close(fd);
    test_free(reply);
}

/* Sends a byte at a time, each well within any silence limit. */
static void trickle(int fd, const char *text, int pause_ms, raw_reply *reply)
{
    for (size_t i = 0; text[i]; i++) {
        raw_send(fd, text + i, 1);
        raw_read(fd, reply, pause_ms);
        if (reply->n_bytes > 0 || reply->is_closed)
            return;
    }
    raw_read(fd, reply, 5000);
}

static void slow_requests_time_out(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->options.header_timeout_ns = 800 * SSW_NS_PER_MS;
    w->options.body_timeout_ns = 800 * SSW_NS_PER_MS;
    w->options.idle_timeout_ns = 800 * SSW_NS_PER_MS;
    start(w);
    int port = ssw_server_port(w->server);

    int fd = raw_connect(port);
    trickle(fd, "GET /health HTTP/1.1\r\nHost: very-long-name-of-a-host\r\n\r\n", 40, reply);
    expect_status(reply, 408, "request_timeout");
    close(fd);

    fd = raw_connect(port);
    raw_send_text(fd, "POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    trickle(fd, "{\"content\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 40, reply);
    expect_status(reply, 408, "request_timeout");
    close(fd);

    fd = raw_connect(port); /* answered, then idle: closed without a word */
    raw_send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read(fd, reply, 5000);
    expect_status(reply, 200, "ok");
    raw_read(fd, reply, 5000);
    assert_true(reply->is_closed);
    assert_int_equal(reply->n_bytes, 0);
    close(fd);
    test_free(reply);
}

static void connections_are_bounded(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    enum { LIMIT = 4 };
    w->options.n_connections_max = LIMIT;
    start(w);
    int port = ssw_server_port(w->server), fds[LIMIT];
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = raw_connect(port);
        raw_send_text(fds[i], "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        raw_read(fds[i], reply, 5000);
        expect_status(reply, 200, "ok");
    }
    raw_exchange(port, "/health", NULL, reply);
    expect_status(reply, 503, "more than 4 connections");
    close(fds[0]);
    for (int tries = 0; tries < 100; tries++) {
        raw_exchange(port, "/health", NULL, reply);
        if (raw_status(reply) == 200)
            break;
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + 10 * SSW_NS_PER_MS);
    }
    expect_status(reply, 200, "ok");
    for (int i = 1; i < LIMIT; i++)
        close(fds[i]);
    test_free(reply);
}

static int count_words(const char *text, const char *words)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static void stream_is_one_frame_a_token(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->settings.step_ns = 30 * SSW_NS_PER_MS;
    start(w);
    raw_exchange(ssw_server_port(w->server), CHAT,
                 "{" HELLO ",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"temperature\":0}",
                 reply);
    assert_int_equal(raw_status(reply), 200);
    assert_non_null(strstr(reply->bytes, "Content-Type: text/event-stream"));
    char text[1000];
    join_deltas(raw_joined(reply), text, sizeof text);
    assert_string_equal(text, content);
    const char *stream = raw_joined(reply);
    assert_non_null(strstr(stream, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"));
    assert_non_null(strstr(stream, "\"finish_reason\":\"stop\""));
    assert_non_null(strstr(stream, "\"choices\":[],\"usage\""));
    assert_string_equal(stream + strlen(stream) - 14, "data: [DONE]\n\n");
    /* every frame is a chunk of its own, and they came one by one: a busy machine may make this client read
     * two at once now and then, but tokens are 30 ms apart */
    int n_frames = count_words(stream, "data: "), n_reads = 0;
    assert_int_equal(count_words(raw_body(reply), "\r\ndata: "), n_frames);
    for (int i = 1; i < reply->n_reads; i++) {
        const char *words = strstr(reply->bytes + reply->read_end[i - 1], "\"delta\":{\"content\"");
        n_reads += words && words < reply->bytes + reply->read_end[i];
    }
    assert_true(n_frames >= 20);
    assert_true(n_reads >= n_frames / 2);
    test_free(reply);
}

static void whole_answer_and_stop_strings(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    start(w);
    int port = ssw_server_port(w->server);
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":0}", reply);
    assert_int_equal(raw_status(reply), 200);
    json_t *answer = json_loads(raw_body(reply), 0, NULL);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(choice, "message"), "content")),
                        content);
    json_t *usage = json_object_get(answer, "usage");
    assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), w->reply.n);
    json_decref(answer);

    /* found inside the text, and across tokens */
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":0,\"stop\":[\"nowhere\",\" END\"]}", reply);
    expect_status(reply, 200, " world. The\"");
    expect_status(reply, 200, "\"finish_reason\":\"stop\"");
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":0,\"stream\":true,\"stop\":\"o world. Th\"}", reply);
    char text[1000];
    join_deltas(raw_joined(reply), text, sizeof text);
    assert_string_equal(text, content); /* "llo" is followed by the face, not by " world" */
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":0,\"stream\":true,\"stop\":\" world. Th\"}", reply);
    join_deltas(raw_joined(reply), text, sizeof text);
    assert_string_equal(text, "One, two: h\xc3\xa9llo \xf0\x9f\x98\x80");
    /* log-probabilities stream with their text and end with it */
    raw_exchange(port, CHAT,
                 "{" HELLO
                 ",\"temperature\":0,\"stream\":true,\"logprobs\":true,\"top_logprobs\":2,\"stop\":\" END\"}",
                 reply);
    assert_non_null(strstr(raw_joined(reply), "\"top_logprobs\":[{"));
    assert_null(strstr(raw_joined(reply), "\"token\":\" near"));
    assert_null(strstr(raw_joined(reply), "\"place\""));
    raw_exchange(port, CHAT, "{" HELLO ",\"temperature\":0,\"max_tokens\":5}", reply);
    expect_status(reply, 200, "\"finish_reason\":\"length\"");
    expect_status(reply, 200, "\"completion_tokens\":5");
    test_free(reply);
}

static void api_generate_speaks_ndjson(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    start(w);
    int port = ssw_server_port(w->server);
    raw_exchange(port, "/api/generate", "{\"prompt\":\"hello\",\"options\":{\"temperature\":0}}", reply);
    assert_int_equal(raw_status(reply), 200);
    char text[1000];
    size_t n = 0;
    int n_done = 0;
    for (const char *line = raw_joined(reply); *line; line = strchr(line, '\n') + 1) {
        json_t *piece = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(piece);
        assert_int_equal(n_done, 0);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s",
                              json_string_value(json_object_get(piece, "response")));
        n_done += json_is_true(json_object_get(piece, "done"));
        json_decref(piece);
    }
    assert_int_equal(n_done, 1);
    assert_string_equal(text, content);
    raw_exchange(port, "/api/generate",
                 "{\"prompt\":\"hello\",\"stream\":false,\"temperature\":0,\"max_tokens\":100}", reply);
    expect_status(reply, 200, "\"done\":true,\"done_reason\":\"stop\"");
    expect_status(reply, 200, "The END is near.");
    test_free(reply);
}

static void wait_idle(world *w, int64_t within_ns)
{
    ssw_engine_load load;
    int64_t deadline_ns = ssw_clock_now_ns() + within_ns;
    do {
        ssw_engine_read_load(w->engine, &load);
        if (load.n_running + load.n_queued == 0)
            return;
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + SSW_NS_PER_MS);
    } while (ssw_clock_now_ns() < deadline_ns);
    fail_msg("%d jobs run and %d wait after the client has gone", load.n_running, load.n_queued);
}

/* A client that goes away: by RST or FIN, between tokens of a stream, while a whole answer is made, or in the
 * queue. */
static void gone_client_stops_its_job(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->settings.step_ns = 120 * SSW_NS_PER_MS;
    start(w);
    int port = ssw_server_port(w->server);
    for (int way = 0; way < 4; way++) {
        bool by_reset = way % 2 == 0, is_stream = way < 2;
        int fd = raw_connect(port), queued = raw_connect(port);
        raw_post(fd, CHAT, is_stream ? "{" HELLO ",\"stream\":true}" : "{" HELLO "}");
        if (is_stream)
            assert_true(raw_read_until(fd, reply, "\"delta\":{\"content\":", 5000));
        raw_post(queued, CHAT, "{" HELLO "}");
        ssw_engine_load before, after;
        do {
            ssw_engine_read_load(w->engine, &before);
        } while (before.n_running != 1 || before.n_queued != 1 || before.predicted_tokens_total == 0);
        raw_reset(queued);
        if (by_reset)
            raw_reset(fd);
        else
            close(fd);
        ssw_engine_read_load(w->engine, &before);
        wait_idle(w, 5 * SSW_NS_PER_S);
        ssw_engine_read_load(w->engine, &after);
        assert_true(after.predicted_tokens_total <=
                    before.predicted_tokens_total + 1); /* one was being made */
    }
    int64_t deadline_ns = ssw_clock_now_ns() + 5 * SSW_NS_PER_S;
    do { /* counted after the job has ended */
        raw_exchange(port, "/metrics", NULL, reply);
    } while (!strstr(reply->bytes, "seesaw_clients_gone_total 8\n") && ssw_clock_now_ns() < deadline_ns);
    expect_status(reply, 200, "seesaw_clients_gone_total 8\n");
    expect_status(reply, 200, "seesaw_jobs_running 0\n");
    expect_status(reply, 200, "seesaw_expert_cache_hits_total 30\n");
    expect_status(reply, 200, "seesaw_expert_wait_seconds_total 2\n");
    expect_status(reply, 200, "seesaw_expert_cpu_seconds_total 3\n");
    expect_status(reply, 200, "seesaw_cpu_moe_rate{on=\"tiles\"} 220000000000\n");
    expect_status(reply, 200, "seesaw_prompt_expert_layers_total{bound=\"vectors\"} 11\n");
    expect_status(reply, 200, "seesaw_prompt_expert_predicted_seconds_total{bound=\"bytes\"} 0.5\n");
    expect_status(reply, 200, "seesaw_prompt_expert_cpu_seconds_total{bound=\"tiles\"} 0.75\n");
    expect_status(
        reply, 200,
        "seesaw_placement_actual_bytes{tensors=\"everything\",device=\"CPU\",how=\"imagined\"} 10\n");
    test_free(reply);
}

typedef struct client {
    pthread_t thread;
    int port, index;
    bool is_right;
} client;

static void *run_client(void *context)
{
    client *c = context;
    raw_reply *reply = calloc(1, sizeof *reply);
    char text[1000] = "";
    if (c->index % 2) {
        raw_exchange(c->port, CHAT, "{" HELLO ",\"stream\":true,\"temperature\":0}", reply);
        join_deltas(raw_joined(reply), text, sizeof text);
        c->is_right = raw_status(reply) == 200 && strcmp(text, content) == 0;
    } else {
        raw_exchange(c->port, CHAT, "{" HELLO ",\"temperature\":0}", reply);
        c->is_right = raw_status(reply) == 200 && strstr(raw_body(reply), "The END is near.\"");
    }
    free(reply);
    return NULL;
}

static void many_clients_at_once(void **state)
{
    world *w = *state;
    enum { CLIENTS = 24 };
    static client clients[CLIENTS];
    w->settings.n_parallel = 4;
    w->settings.step_ns = SSW_NS_PER_MS;
    start(w);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.port = ssw_server_port(w->server), .index = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_true(clients[i].is_right);
    }
    static fake_call calls[FAKE_CALLS_MAX];
    int32_t n_calls = fake_engine_calls(w->engine, calls), n_widest = 0;
    for (int32_t i = 0; i < n_calls; i++)
        n_widest = calls[i].n_items > n_widest ? calls[i].n_items : n_widest;
    assert_int_equal(n_widest, 4);
}

static void errors_of_the_engine_are_told(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->settings.fail_after = 10;
    start(w);
    int port = ssw_server_port(w->server);
    raw_exchange(port, CHAT, "{" HELLO ",\"stream\":true}", reply);
    assert_int_equal(raw_status(reply), 200);
    assert_non_null(
        strstr(raw_joined(reply), "data: {\"error\":{\"message\":\"the fake engine fails as told\""));
    assert_null(strstr(raw_joined(reply), "[DONE]"));
    raw_exchange(port, CHAT, "{" HELLO "}", reply);
    expect_status(reply, 500, "the fake engine fails as told");
    raw_exchange(port, "/v1/embeddings", "{\"input\":\"x\"}", reply);
    expect_status(reply, 500, "the fake engine fails as told");
    test_free(reply);
}

static void *stop_server(void *context)
{
    ssw_server_stop(context, 10 * SSW_NS_PER_S);
    return NULL;
}

static void stop_lets_requests_finish(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->settings.step_ns = 5 * SSW_NS_PER_MS;
    start(w);
    int fd = raw_connect(ssw_server_port(w->server));
    raw_post(fd, CHAT, "{" HELLO ",\"temperature\":0}");
    ssw_engine_load load;
    do {
        ssw_engine_read_load(w->engine, &load);
    } while (load.predicted_tokens_total == 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_server, w->server), 0);
    raw_read(fd, reply, 20000);
    expect_status(reply, 200, "The END is near.");
    pthread_join(thread, NULL);
    close(fd);
    test_free(reply);
}

static void close_cancels_in_bounded_time(void **state)
{
    world *w = *state;
    raw_reply *reply = make_reply();
    w->settings.step_ns = 100 * SSW_NS_PER_MS; /* the answer would take seconds */
    start(w);
    int fd = raw_connect(ssw_server_port(w->server)), idle = raw_connect(ssw_server_port(w->server));
    raw_post(fd, CHAT, "{" HELLO ",\"stream\":true}");
    assert_true(raw_read_until(fd, reply, "\"role\":\"assistant\"", 5000));
    int64_t started_ns = ssw_clock_now_ns();
    ssw_server_close(w->server);
    w->server = NULL;
    assert_true(ssw_clock_now_ns() - started_ns < 4 * SSW_NS_PER_S);
    raw_read(fd, reply, 5000);
    assert_non_null(strstr(reply->bytes, "the server is shutting down"));
    close(fd);
    close(idle);
    test_free(reply);
}

static void taken_port_is_named(void **state)
{
    world *w = *state;
    start(w);
    ssw_server_options options = w->options;
    options.port = ssw_server_port(w->server);
    ssw_server *second = NULL;
    ssw_error err;
    char words[32];
    snprintf(words, sizeof words, "port %d", options.port);
    assert_int_equal(ssw_server_open(&options, &second, &err), SSW_ERR_IO);
    assert_null(second);
    assert_non_null(strstr(err.message, words));
    assert_non_null(strstr(err.message, "in use"));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return 2;
    }
    model_path = argv[1];
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(health_waits_for_the_model),  TEST(wrong_requests_get_their_status),
        TEST(keys_are_asked_for),          TEST(large_requests_are_refused),
        TEST(slow_requests_time_out),      TEST(connections_are_bounded),
        TEST(stream_is_one_frame_a_token), TEST(whole_answer_and_stop_strings),
        TEST(api_generate_speaks_ndjson),  TEST(gone_client_stops_its_job),
        TEST(many_clients_at_once),        TEST(errors_of_the_engine_are_told),
        TEST(stop_lets_requests_finish),   TEST(close_cancels_in_bounded_time),
        TEST(taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
