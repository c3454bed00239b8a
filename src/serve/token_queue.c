/* A written-once array: entry i is published by n_written > i. */
#include "serve/token_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

ssw_status ssw_token_queue_init(ssw_token_queue *queue, int32_t capacity, int32_t n_top_max, int32_t n_embd,
                                ssw_error *err)
{
    memset(queue, 0, sizeof *queue);
    queue->capacity = capacity;
    queue->n_top_max = n_top_max;
    queue->n_embd = n_embd;
    queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake_fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "making an eventfd");
    queue->tokens = calloc((size_t)capacity + 1, sizeof *queue->tokens);
    queue->tops = calloc((size_t)capacity * (size_t)n_top_max + 1, sizeof *queue->tops);
    queue->embedding = calloc((size_t)n_embd + 1, sizeof *queue->embedding);
    if (!queue->tokens || !queue->tops || !queue->embedding) {
        ssw_token_queue_deinit(queue);
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for an answer of %d tokens", capacity);
    }
    return SSW_OK;
}

void ssw_token_queue_deinit(ssw_token_queue *queue)
{
    free(queue->tokens);
    free(queue->tops);
    free(queue->embedding);
    if (queue->wake_fd >= 0)
        close(queue->wake_fd);
    queue->tokens = NULL;
    queue->tops = NULL;
    queue->embedding = NULL;
    queue->wake_fd = -1;
}

static void wake(ssw_token_queue *queue)
{
    static const uint64_t one = 1;
    while (write(queue->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void put_end(ssw_token_queue *queue, const ssw_job_event *event)
{
    queue->finish = event->finish;
    queue->timings = event->timings;
    if (event->error)
        queue->error = *event->error;
    if (event->embedding && queue->n_embd > 0) {
        memcpy(queue->embedding, event->embedding, (size_t)queue->n_embd * sizeof *queue->embedding);
        queue->has_embedding = true;
    }
    atomic_store(&queue->has_ended, true);
}

bool ssw_token_queue_put(void *context, const ssw_job_event *event)
{
    ssw_token_queue *queue = context;
    int32_t at = atomic_load(&queue->n_written);
    if (event->is_end) {
        put_end(queue, event);
    } else if (at < queue->capacity) {
        int32_t n_top = event->n_top < queue->n_top_max ? event->n_top : queue->n_top_max;
        ssw_logprob *top = queue->tops + (size_t)at * (size_t)queue->n_top_max;
        if (n_top > 0)
            memcpy(top, event->top, (size_t)n_top * sizeof *top);
        queue->tokens[at] = (ssw_queued_token){event->token, event->logprob, top, n_top, event->timings};
        atomic_store(&queue->n_written, at + 1);
    } else {
        return false; /* more than was asked for: end here */
    }
    wake(queue);
    return true;
}

ssw_wait ssw_token_queue_get(ssw_token_queue *queue, int socket_fd, int stop_fd,
                             const ssw_queued_token **token)
{
    enum { GONE = POLLRDHUP | POLLHUP | POLLERR | POLLNVAL };
    for (;;) {
        /* has_ended before n_written: the end comes after the last token */
        bool has_ended = atomic_load(&queue->has_ended);
        bool is_ready = queue->n_read < atomic_load(&queue->n_written);
        struct pollfd fds[] = {
            {.fd = queue->wake_fd, .events = POLLIN},
            {.fd = socket_fd, .events = POLLRDHUP},
            {.fd = stop_fd, .events = POLLIN},
        };
        int n = poll(fds, 3, is_ready || has_ended ? 0 : -1);
        if (n > 0 && (fds[1].revents & GONE))
            return SSW_WAIT_PEER_GONE;
        if (n > 0 && fds[2].revents)
            return SSW_WAIT_STOPPING;
        if (is_ready) {
            *token = &queue->tokens[queue->n_read++];
            return SSW_WAIT_TOKEN;
        }
        if (has_ended)
            return SSW_WAIT_END;
        uint64_t count;
        if (n > 0 && read(queue->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
            return SSW_WAIT_STOPPING;
    }
}
