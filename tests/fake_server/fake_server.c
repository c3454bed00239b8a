/* A chat server with known answers: every delay, token count and fault is set by its command line, and it can
 * write down when it received each request and sent each frame (CLOCK_MONOTONIC), so that a client's times
 * can be compared frame by frame. One thread per connection; sleeps end at absolute times, so that errors do
 * not add up. Test use. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "fake_options.h"

enum { REQUEST_BYTES_MAX = 4 << 20, REPLAY_BYTES_MAX = 1 << 20, BACKLOG = 16, N_WORDS = 8 };

static const char *const words[N_WORDS] = {" the", " sea", " saw", " a", " plank", " that", " tips", " over"};

static fake_options options;
static int64_t ready_ns;
static atomic_int n_requests;

typedef struct reply { /* one streamed answer under way */
    int fd;
    int request;  /* from 0 */
    int n_frames; /* sent so far */
    ssw_strbuf
        times; /* lines for --times, written at the end so that nothing is written while frames go out */
} reply;

static bool send_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t put = send(fd, bytes, n, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

static void send_answer(int fd, const char *status, const char *body)
{
    ssw_strbuf text;
    ssw_strbuf_init(&text, 1 << 20);
    ssw_strbuf_append_format(&text,
                             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                             "Connection: close\r\n\r\n%s",
                             status, strlen(body), body);
    send_all(fd, ssw_strbuf_text(&text), text.n_bytes);
    ssw_strbuf_deinit(&text);
}

/* Reads head and body; returns the body inside buf, NULL on a broken request. *t_ns: when its last byte was
 * read. */
static const char *receive(int fd, ssw_strbuf *buf, int64_t *t_ns)
{
    size_t n_needed = 0;
    for (;;) {
        char block[16384];
        ssize_t got = recv(fd, block, sizeof block, 0);
        *t_ns = ssw_clock_now_ns();
        if (got <= 0)
            return NULL;
        ssw_strbuf_append(buf, block, (size_t)got);
        const char *end = strstr(ssw_strbuf_text(buf), "\r\n\r\n");
        if (!end || buf->failed)
            continue;
        if (!n_needed) {
            const char *length = strcasestr(ssw_strbuf_text(buf), "\r\nContent-Length:");
            size_t n_body = length && length < end ? (size_t)atol(length + 17) : 0;
            n_needed = (size_t)(end + 4 - ssw_strbuf_text(buf)) + n_body;
        }
        if (buf->n_bytes >= n_needed)
            return end + 4;
    }
}

/* The fault of this request at this frame; false when the reply is over. */
static bool pass_fault(reply *r)
{
    bool here = r->request >= options.fault_request && r->n_frames == options.fault_at;
    if (!here)
        return true;
    switch (options.fault) {
    case FAKE_FAULT_DIE_STREAM:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return false;
    case FAKE_FAULT_CLOSE:
        return false;
    case FAKE_FAULT_HANG:
        for (;;)
            pause();
    case FAKE_FAULT_STREAM_ERROR: {
        static const char text[] = "data: {\"error\": {\"message\": \"out of luck\", \"code\": 500}}\n\n";
        char chunk[128];
        int n = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", sizeof text - 1, text);
        send_all(r->fd, chunk, (size_t)n);
        return true;
    }
    default:
        return true;
    }
}

static bool send_frame(reply *r, const char *data)
{
    if (!pass_fault(r))
        return false;
    ssw_strbuf chunk;
    ssw_strbuf_init(&chunk, 1 << 20);
    ssw_strbuf_append_format(&chunk, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);
    ssw_strbuf_append_format(&r->times, "frame %d %lld\n", r->n_frames, (long long)ssw_clock_now_ns());
    bool sent = send_all(r->fd, ssw_strbuf_text(&chunk), chunk.n_bytes);
    ssw_strbuf_deinit(&chunk);
    r->n_frames++;
    return sent;
}

static bool send_delta(reply *r, const char *key, const char *text, const char *finish)
{
    json_t *delta = *key ? json_pack("{s:s}", key, text) : json_object();
    json_t *root = json_pack("{s:s, s:s, s:[{s:i, s:o, s:s?}]}", "object", "chat.completion.chunk", "model",
                             options.name, "choices", "index", 0, "delta", delta, "finish_reason", finish);
    char *line = json_dumps(root, JSON_COMPACT);
    bool sent = send_frame(r, line);
    free(line);
    json_decref(root);
    return sent;
}

static bool send_usage(reply *r, int n_prompt, int n_tokens)
{
    json_t *root = json_pack("{s:s, s:[], s:{s:i, s:i, s:i}}", "model", options.name, "choices", "usage",
                             "prompt_tokens", n_prompt, "completion_tokens", n_tokens + options.usage_extra,
                             "total_tokens", n_prompt + n_tokens + options.usage_extra);
    if (options.cache_n >= 0)
        json_object_set_new(root, "timings",
                            json_pack("{s:i, s:f, s:i, s:f, s:i}", "prompt_n", n_prompt - options.cache_n,
                                      "prompt_ms", (double)options.ttft_ns / 1e6, "predicted_n", n_tokens,
                                      "predicted_ms", (double)options.itl_ns / 1e6 * n_tokens, "cache_n",
                                      options.cache_n));
    char *line = json_dumps(root, JSON_COMPACT);
    bool sent = send_frame(r, line);
    free(line);
    json_decref(root);
    return sent;
}

/* Token i belongs to one chunk with the tokens_per_chunk - 1 before it and goes out when the last of them is
 * due. */
static bool send_tokens(reply *r, int n_tokens, int64_t begin_ns)
{
    for (int i = 0; i < n_tokens;) {
        bool reasoning = i < options.reasoning_tokens;
        int limit = reasoning ? options.reasoning_tokens : n_tokens;
        char text[1024] = "";
        int n = 0;
        while (n < options.tokens_per_chunk && i < limit && i < n_tokens) {
            strncat(text, words[i % N_WORDS], sizeof text - strlen(text) - 1);
            n++;
            i++;
        }
        ssw_clock_sleep_until_ns(begin_ns + options.ttft_ns + (i - 1) * options.itl_ns);
        if (!send_delta(r, reasoning ? "reasoning_content" : "content", text, NULL))
            return false;
    }
    return true;
}

static void append_times(const reply *r)
{
    int fd = options.times_path ? open(options.times_path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (fd < 0)
        return;
    ssize_t put = write(fd, ssw_strbuf_text(&r->times), r->times.n_bytes);
    (void)put;
    close(fd);
}

static void chat(int fd, const char *body, int64_t received_ns)
{
    json_t *request = json_loads(body, 0, NULL);
    reply r = {.fd = fd, .request = atomic_fetch_add(&n_requests, 1)};
    const json_t *max = json_object_get(request, "max_tokens");
    const char *text = json_string_value(
        json_object_get(json_array_get(json_object_get(request, "messages"), 0), "content"));
    int n_tokens = json_is_integer(max) && json_integer_value(max) < options.tokens
                       ? (int)json_integer_value(max)
                       : options.tokens;
    bool cut = json_is_integer(max) && n_tokens == (int)json_integer_value(max);
    int n_prompt = 1;
    for (const char *c = text ? text : ""; *c; c++)
        n_prompt += *c == ' ';
    json_decref(request);
    bool strikes = r.request >= options.fault_request;
    if (!text) {
        send_answer(fd, "400 Bad Request", "{\"error\": {\"message\": \"no messages\"}}");
        return;
    }
    if (strikes && options.fault == FAKE_FAULT_HTML) {
        static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 32\r\n"
                                   "Connection: close\r\n\r\n<html><p>Gone fishing</p></html>";
        send_all(fd, page, sizeof page - 1);
        return;
    }
    if (strikes && options.fault == FAKE_FAULT_HTTP) {
        send_answer(fd, "500 Internal Server Error", "{\"error\": {\"message\": \"the model\\nfell over\"}}");
        return;
    }
    ssw_strbuf_init(&r.times, 64 << 20);
    ssw_strbuf_append_format(&r.times, "request %d %lld\n", r.request, (long long)received_ns);
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    bool going = send_all(fd, head, sizeof head - 1);
    if (strikes && options.fault == FAKE_FAULT_GARBAGE)
        going = going && send_all(fd, "9\r\n\x01\xff{]\r\r\ndz\r\n0\r\n\r\n", 18) && false;
    if (going && options.role_first)
        going = send_delta(&r, "role", "assistant", NULL);
    going =
        going && send_tokens(&r, n_tokens, received_ns) && send_delta(&r, "", "", cut ? "length" : "stop");
    if (going && options.usage)
        going = send_usage(&r, n_prompt, n_tokens);
    if (going && send_frame(&r, "[DONE]"))
        send_all(fd, "0\r\n\r\n", 5);
    append_times(&r);
    ssw_strbuf_deinit(&r.times);
}

/* The stream form of another server, from a file. */
static void replay(int fd)
{
    char *bytes = malloc(REPLAY_BYTES_MAX), head[256];
    FILE *file = fopen(options.replay_path, "rb");
    size_t n = file && bytes ? fread(bytes, 1, REPLAY_BYTES_MAX, file) : 0;
    bool lines = strstr(options.replay_path, ".ndjson") != NULL;
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
             lines ? "application/x-ndjson" : "text/event-stream", n);
    if (file)
        fclose(file);
    if (send_all(fd, head, strlen(head)))
        send_all(fd, bytes, n);
    free(bytes);
}

static void send_models(int fd, const char *list, const char *key)
{
    json_t *root =
        json_pack("{s:s, s:[{s:s, s:s}]}", "object", "list", list, key, options.name, "object", "model");
    char *text = json_dumps(root, 0);
    send_answer(fd, "200 OK", text);
    free(text);
    json_decref(root);
}

static void answer(int fd, const char *head, const char *body, int64_t received_ns)
{
    bool ready = ssw_clock_now_ns() >= ready_ns && options.fault != FAKE_FAULT_NEVER_READY;
    if (!ready) {
        send_answer(fd, "503 Service Unavailable", "{\"error\": {\"message\": \"loading\", \"code\": 503}}");
    } else if (strncmp(head, "GET /health ", 12) == 0) {
        send_answer(fd, "200 OK", "{\"status\": \"ok\"}");
    } else if (strncmp(head, "GET /v1/models ", 15) == 0) {
        send_models(fd, "data", "id");
    } else if (options.replay_path && strncmp(head, "GET /api/version ", 17) == 0) {
        send_answer(fd, "200 OK", "{\"version\": \"0\"}");
    } else if (options.replay_path && strncmp(head, "GET /api/tags ", 14) == 0) {
        send_models(fd, "models", "name");
    } else if (options.replay_path && strncmp(head, "POST ", 5) == 0) {
        replay(fd);
    } else if (strncmp(head, "POST /v1/chat/completions ", 26) == 0) {
        chat(fd, body, received_ns);
    } else {
        send_answer(fd, "404 Not Found", "{\"error\": {\"message\": \"no such route\"}}");
    }
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    int64_t received_ns;
    ssw_strbuf request;
    prctl(PR_SET_TIMERSLACK, 1UL);
    ssw_strbuf_init(&request, REQUEST_BYTES_MAX);
    const char *body = receive(fd, &request, &received_ns);
    if (body)
        answer(fd, ssw_strbuf_text(&request), body, received_ns);
    ssw_strbuf_deinit(&request);
    shutdown(fd, SHUT_WR);
    close(fd);
    return NULL;
}

static int listen_on(int port)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG)) {
        perror("fake_server: listen");
        exit(1);
    }
    socklen_t n_address = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &n_address);
    options.port = ntohs(address.sin_port); /* port 0 was asked: the kernel chose */
    return fd;
}

static void load(void)
{
    if (options.allocate_bytes) {
        char *block = malloc((size_t)options.allocate_bytes);
        for (int64_t i = 0; block && i < options.allocate_bytes; i += 4096)
            ((volatile char *)block)[i] = 1;
    }
    if (options.spawn_child && fork() == 0) { /* one that would outlive a careless supervisor */
        setsid();
        for (;;)
            pause();
    }
    if (options.fault == FAKE_FAULT_DIE_LOAD) {
        ssw_clock_sleep_until_ns(ready_ns);
        fprintf(stderr, "fake_server: cannot load %s: as ordered\n", options.model);
        exit(3);
    }
}

int main(int argc, char **argv)
{
    fake_options_parse(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (options.ignore_term)
        signal(SIGTERM, SIG_IGN);
    ready_ns = ssw_clock_now_ns() + options.load_ns;
    int listener = listen_on(options.port);
    printf("fake_server: %s on port %d\n", options.name, options.port);
    fflush(stdout);
    load();
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        int one = 1;
        pthread_t thread;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
}
