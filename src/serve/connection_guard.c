/* Deadlines of connections. */
#include "serve/connection_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_EVERY_NS (100 * SSW_NS_PER_MS)

struct ssw_guard_entry {
    bool is_used;
    bool is_cut;
    int fd; /* our duplicate */
    ssw_guard_phase phase;
    int64_t deadline_ns; /* 0: none */
};

struct ssw_guard {
    ssw_guard_options options;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t closing;
    bool is_closing;
    pthread_t thread;
    ssw_guard_entry entries[];
};

static void refuse_slow_client(int fd)
{
    static const char body[] = "{\"error\":{\"message\":\"the request did not arrive in time\",\"type\":"
                               "\"invalid_request_error\",\"param\":null,\"code\":\"request_timeout\"}}";
    static const char head[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n";
    char text[512];
    int n = snprintf(text, sizeof text, "%sContent-Length: %zu\r\n\r\n%s", head, sizeof body - 1, body);
    if (send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* it will be cut all the same */
}

static void cut(ssw_guard_entry *entry)
{
    if (entry->phase != SSW_GUARD_IDLE)
        refuse_slow_client(entry->fd);
    shutdown(entry->fd, SHUT_RDWR); /* the connection's thread sees the end and cleans up */
    entry->is_cut = true;
}

static void *watch(void *context)
{
    ssw_guard *guard = context;
    pthread_mutex_lock(&guard->lock);
    while (!guard->is_closing) {
        int64_t now_ns = ssw_clock_now_ns(), wake_ns = now_ns + LOOK_EVERY_NS;
        for (int i = 0; i < guard->options.n_connections_max; i++) {
            ssw_guard_entry *entry = &guard->entries[i];
            if (entry->is_used && !entry->is_cut && entry->deadline_ns > 0 && now_ns >= entry->deadline_ns)
                cut(entry);
        }
        struct timespec until = {.tv_sec = (time_t)(wake_ns / SSW_NS_PER_S),
                                 .tv_nsec = (long)(wake_ns % SSW_NS_PER_S)};
        pthread_cond_timedwait(&guard->closing, &guard->lock, &until);
    }
    pthread_mutex_unlock(&guard->lock);
    return NULL;
}

ssw_status ssw_guard_open(const ssw_guard_options *options, ssw_guard **out, ssw_error *err)
{
    *out = NULL;
    if (options->n_connections_max < 1 || options->n_connections_max > SSW_GUARD_CONNECTIONS_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "%d connections are not between 1 and %d",
                             options->n_connections_max, (int)SSW_GUARD_CONNECTIONS_MAX);
    size_t n = (size_t)options->n_connections_max;
    ssw_guard *guard = calloc(1, sizeof *guard + n * sizeof guard->entries[0]);
    if (!guard)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %zu connections", n);
    guard->options = *options;
    pthread_mutex_init(&guard->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&guard->closing, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = pthread_create(&guard->thread, NULL, watch, guard);
    if (failed) {
        pthread_cond_destroy(&guard->closing);
        pthread_mutex_destroy(&guard->lock);
        free(guard);
        return ssw_error_set_errno(err, SSW_ERR_IO, failed, "starting a thread");
    }
    *out = guard;
    return SSW_OK;
}

void ssw_guard_close(ssw_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&guard->lock);
    guard->is_closing = true;
    pthread_cond_signal(&guard->closing);
    pthread_mutex_unlock(&guard->lock);
    pthread_join(guard->thread, NULL);
    pthread_cond_destroy(&guard->closing);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}

static void set_socket_options(const ssw_guard *guard, int fd)
{
    /* Best effort: a socket without them only notices later that its peer is gone. */
    int on = 1;
    unsigned unacked_ms = (unsigned)(guard->options.unacked_timeout_ns / SSW_NS_PER_MS);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
}

ssw_guard_entry *ssw_guard_enter(ssw_guard *guard, int socket_fd)
{
    int fd = fcntl(socket_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    set_socket_options(guard, fd);
    ssw_guard_entry *found = NULL;
    pthread_mutex_lock(&guard->lock);
    for (int i = 0; i < guard->options.n_connections_max && !found; i++) {
        if (!guard->entries[i].is_used)
            found = &guard->entries[i];
    }
    if (found)
        *found = (ssw_guard_entry){
            .is_used = true,
            .fd = fd,
            .phase = SSW_GUARD_NEW,
            .deadline_ns = ssw_clock_now_ns() + guard->options.header_timeout_ns,
        };
    pthread_mutex_unlock(&guard->lock);
    if (!found)
        close(fd);
    return found;
}

void ssw_guard_leave(ssw_guard *guard, ssw_guard_entry *entry)
{
    pthread_mutex_lock(&guard->lock);
    close(entry->fd);
    entry->is_used = false;
    pthread_mutex_unlock(&guard->lock);
}

bool ssw_guard_set_phase(ssw_guard *guard, ssw_guard_entry *entry, ssw_guard_phase phase)
{
    int64_t now_ns = ssw_clock_now_ns();
    pthread_mutex_lock(&guard->lock);
    if (phase == SSW_GUARD_BODY)
        entry->deadline_ns = now_ns + guard->options.body_timeout_ns;
    else if (phase == SSW_GUARD_IDLE)
        entry->deadline_ns = now_ns + guard->options.idle_timeout_ns;
    else if (phase == SSW_GUARD_BUSY)
        entry->deadline_ns = 0;
    else if (entry->phase ==
             SSW_GUARD_IDLE) /* headers of a later request; of the first one the clock runs already */
        entry->deadline_ns = now_ns + guard->options.header_timeout_ns;
    entry->phase = phase;
    bool is_open = !entry->is_cut;
    pthread_mutex_unlock(&guard->lock);
    return is_open;
}

static int count(ssw_guard *guard, bool only_busy)
{
    int n = 0;
    pthread_mutex_lock(&guard->lock);
    for (int i = 0; i < guard->options.n_connections_max; i++)
        n += guard->entries[i].is_used && (!only_busy || guard->entries[i].phase == SSW_GUARD_BUSY);
    pthread_mutex_unlock(&guard->lock);
    return n;
}

int ssw_guard_count(ssw_guard *guard)
{
    return count(guard, false);
}

int ssw_guard_count_busy(ssw_guard *guard)
{
    return count(guard, true);
}
