/* The tokens of one job on their way from the scheduler's thread to the connection's.
 *
 * One writer (ssw_token_queue_put is an ssw_job_callback), one reader. All memory is made at init for as many
 * tokens as the job may give, so the writer never waits, locks or allocates; it wakes the reader by an
 * eventfd. */
#ifndef SSW_SERVE_TOKEN_QUEUE_H
#define SSW_SERVE_TOKEN_QUEUE_H

#include <stdatomic.h>

#include "seesaw/engine.h"

typedef struct ssw_queued_token {
    int32_t token;
    float logprob;
    const ssw_logprob *top; /* [n_top], in the queue's memory */
    int32_t n_top;
    ssw_job_timings timings;
} ssw_queued_token;

typedef struct ssw_token_queue {
    ssw_queued_token *tokens; /* [capacity] */
    ssw_logprob *tops;        /* [capacity][n_top_max] */
    float *embedding;         /* [n_embd], when the job only embeds */
    int32_t capacity, n_top_max, n_embd;
    atomic_int n_written;
    int32_t n_read;
    atomic_bool has_ended;
    /* after has_ended */
    ssw_finish finish;
    ssw_job_timings timings;
    ssw_error error;
    bool has_embedding;
    int wake_fd; /* eventfd */
} ssw_token_queue;

/* n_embd 0: no embedding is kept. */
ssw_status ssw_token_queue_init(ssw_token_queue *queue, int32_t capacity, int32_t n_top_max, int32_t n_embd,
                                ssw_error *err);
void ssw_token_queue_deinit(ssw_token_queue *queue);

bool ssw_token_queue_put(void *queue, const ssw_job_event *event);

typedef enum ssw_wait { SSW_WAIT_TOKEN, SSW_WAIT_END, SSW_WAIT_PEER_GONE, SSW_WAIT_STOPPING } ssw_wait;

/* Waits for the next token or the end. Returns early when the peer of socket_fd has closed its side, or
 * stop_fd has become readable; either may be -1. The token is valid until deinit. */
ssw_wait ssw_token_queue_get(ssw_token_queue *queue, int socket_fd, int stop_fd,
                             const ssw_queued_token **token);

#endif
