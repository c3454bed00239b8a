/* See raw_http.h. */
#undef NDEBUG
#include "raw_http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int raw_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        abort();
    }
    return fd;
}

void raw_send(int fd, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0) {
        ssize_t n = send(fd, bytes, n_bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        n_bytes -= (size_t)n;
    }
}

void raw_send_text(int fd, const char *text)
{
    raw_send(fd, text, strlen(text));
}

void raw_post(int fd, const char *path, const char *body)
{
    char head[512];
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             path, strlen(body));
    raw_send_text(fd, head);
    raw_send_text(fd, body);
}

static bool is_complete(const raw_reply *reply)
{
    const char *end = strstr(reply->bytes, "\r\n\r\n");
    if (!end)
        return false;
    const char *length = strcasestr(reply->bytes, "\r\nContent-Length:");
    if (length && length < end)
        return strlen(end + 4) >= strtoul(length + 17, NULL, 10);
    const char *chunked = strcasestr(reply->bytes, "\r\nTransfer-Encoding: chunked");
    return chunked && chunked < end && strstr(end, "\r\n0\r\n\r\n");
}

/* False: closed, or nothing came in time. */
static bool read_more(int fd, raw_reply *reply, int timeout_ms)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    if (poll(&pollfd, 1, timeout_ms) != 1)
        return false;
    assert(reply->n_bytes + 1 < RAW_BYTES_MAX);
    ssize_t n = recv(fd, reply->bytes + reply->n_bytes, RAW_BYTES_MAX - 1 - reply->n_bytes, 0);
    if (n <= 0) {
        reply->is_closed = true;
        return false;
    }
    reply->n_bytes += (size_t)n;
    reply->bytes[reply->n_bytes] = '\0';
    if (reply->n_reads < RAW_READS_MAX) {
        reply->read_ns[reply->n_reads] = ssw_clock_now_ns();
        reply->read_end[reply->n_reads++] = reply->n_bytes;
    }
    return true;
}

static void clear(raw_reply *reply)
{
    reply->n_bytes = 0;
    reply->bytes[0] = '\0';
    reply->n_reads = 0;
    reply->is_closed = false;
}

void raw_read(int fd, raw_reply *reply, int timeout_ms)
{
    clear(reply);
    while (!is_complete(reply) && read_more(fd, reply, timeout_ms))
        ;
}

bool raw_read_until(int fd, raw_reply *reply, const char *words, int timeout_ms)
{
    clear(reply);
    while (!strstr(reply->bytes, words)) {
        if (!read_more(fd, reply, timeout_ms))
            return false;
    }
    return true;
}

void raw_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

int raw_status(const raw_reply *reply)
{
    int status = 0;
    return sscanf(reply->bytes, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

const char *raw_body(const raw_reply *reply)
{
    const char *end = strstr(reply->bytes, "\r\n\r\n");
    return end ? end + 4 : "";
}

const char *raw_joined(raw_reply *reply)
{
    char *joined = reply->joined;
    size_t n = 0;
    const char *at = raw_body(reply);
    for (;;) {
        char *end;
        size_t length = strtoul(at, &end, 16);
        if (end == at || length == 0 || strlen(end + 2) < length)
            break;
        memcpy(joined + n, end + 2, length);
        n += length;
        at = end + 2 + length + 2;
    }
    joined[n] = '\0';
    return joined;
}

void raw_exchange(int port, const char *path, const char *body, raw_reply *reply)
{
    int fd = raw_connect(port);
    if (body) {
        raw_post(fd, path, body);
    } else {
        char head[512];
        snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
        raw_send_text(fd, head);
    }
    raw_read(fd, reply, 20000);
    close(fd);
}
