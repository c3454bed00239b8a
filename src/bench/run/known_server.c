/* The known-answer server's process. */
#include "bench/run/known_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { REQUEST_BYTES_MAX = 16384, FRAME_BYTES_MAX = 256, REPORT_TIMEOUT_MS = 2000, BACKLOG = 4 };

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/* Reads head and body; false when the connection ends before. */
static bool receive(int fd, int64_t *received_ns)
{
    char text[REQUEST_BYTES_MAX + 1];
    size_t n = 0, wanted = 0;
    while (n < REQUEST_BYTES_MAX) {
        ssize_t got = recv(fd, text + n, REQUEST_BYTES_MAX - n, 0);
        *received_ns = ssw_clock_now_ns();
        if (got <= 0)
            return false;
        n += (size_t)got;
        text[n] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
        if (end && !wanted)
            wanted = (size_t)(end + 4 - text) + (length ? strtoul(length + 17, NULL, 10) : 0);
        if (wanted && n >= wanted)
            return true;
    }
    return false;
}

static void answer(int fd, int64_t ttft_ns, int64_t gap_ns, ssw_known_times *times)
{
    static const char token[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" saw\"}}]}\n\n";
    char last[FRAME_BYTES_MAX];
    send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
    for (int i = 0; i < SSW_AUDIT_TOKENS; i++) {
        ssw_clock_sleep_until_ns(times->received_ns + ttft_ns + i * gap_ns);
        times->sent_ns[i] = ssw_clock_now_ns();
        send(fd, token, sizeof token - 1, MSG_NOSIGNAL);
    }
    int n = snprintf(
        last, sizeof last,
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n",
        SSW_AUDIT_TOKENS);
    send(fd, last, (size_t)n, MSG_NOSIGNAL);
}

static void serve(int listener, int report_fd, int64_t ttft_ns, int64_t gap_ns)
{
    for (;;) {
        int one = 1, fd = accept(listener, NULL, NULL);
        ssw_known_times times = {0};
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (receive(fd, &times.received_ns)) {
            answer(fd, ttft_ns, gap_ns, &times);
            ssize_t put = write(report_fd, &times, sizeof times); /* less than PIPE_BUF: whole */
            (void)put;
        }
        shutdown(fd, SHUT_WR);
        close(fd);
    }
}

static int listen_anywhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n_address = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG) ||
                    getsockname(fd, (struct sockaddr *)&address, &n_address))) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

ssw_status ssw_known_server_start(ssw_known_server *server, int64_t ttft_ns, int64_t gap_ns, ssw_error *err)
{
    int fds[2], listener = listen_anywhere(&server->port);
    pid_t parent = getpid();
    server->pid = 0;
    server->report_fd = -1;
    if (listener < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "the self-audit's server gets no port");
    if (pipe2(fds, O_CLOEXEC)) {
        close(listener);
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no pipe");
    }
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_TIMERSLACK, 1UL);
        signal(SIGINT, SIG_IGN); /* the terminal's Ctrl-C is the bench's affair */
        if (getppid() != parent)
            _exit(0);
        serve(listener, fds[1], ttft_ns, gap_ns);
    }
    int failed = errno;
    close(listener);
    close(fds[1]);
    server->report_fd = fds[0];
    if (server->pid < 0) {
        server->pid = 0;
        ssw_known_server_stop(server);
        return ssw_error_set_errno(err, SSW_ERR_IO, failed, "cannot fork");
    }
    return SSW_OK;
}

bool ssw_known_server_take_times(const ssw_known_server *server, ssw_known_times *out)
{
    struct pollfd fd = {.fd = server->report_fd, .events = POLLIN};
    return poll(&fd, 1, REPORT_TIMEOUT_MS) > 0 &&
           read(server->report_fd, out, sizeof *out) == (ssize_t)sizeof *out;
}

void ssw_known_server_stop(ssw_known_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    if (server->report_fd >= 0)
        close(server->report_fd);
    *server = (ssw_known_server){.report_fd = -1};
}
