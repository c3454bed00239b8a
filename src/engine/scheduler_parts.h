/* What the scheduler's thread (scheduler.c) and the public functions of jobs (job.c) share; see there. */
#ifndef SSW_ENGINE_SCHEDULER_PARTS_H
#define SSW_ENGINE_SCHEDULER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/sampler.h"
#include "engine/scheduler.h"

struct ssw_job {
    ssw_scheduler *scheduler; /* valid until `ended` */
    ssw_job_request request;  /* request.prompt is `prompt` */
    int32_t *prompt;          /* owned */
    ssw_job_callback *callback;
    void *context;
    ssw_job *next; /* in the queue */
    int64_t submitted_ns;
    atomic_bool is_cancelled;
    pthread_mutex_t lock; /* guards `ended` */
    pthread_cond_t has_ended;
    bool ended;
};

typedef enum ssw_slot_phase { SSW_SLOT_IDLE, SSW_SLOT_PREFILL, SSW_SLOT_DECODE } ssw_slot_phase;

/* A sequence: a session, what is in its cache, and the job it works for. */
typedef struct ssw_slot {
    ssw_session *session;
    int32_t *cached; /* [ctx_size], the tokens evaluated */
    int32_t n_cached;
    ssw_sampler *sampler;
    float *logits; /* [2][n_vocab], the second half for a copy before the filters */
    ssw_top_logit top_logits[SSW_ENGINE_TOP_LOGITS]; /* instead of them, when the step gives only these */
    float *embedding;                                /* [n_embd], of the whole prompt so far */
    float *piece_sum;                                /* [n_embd], of one step's piece */
    ssw_slot_phase phase;
    ssw_job *job;
    int32_t next_token;   /* sampled, not evaluated yet */
    int64_t started_ns;   /* job taken from the queue */
    int64_t generated_ns; /* prompt done */
    ssw_job_timings timings;
    uint64_t last_used; /* step count */
    ssw_logprob top[SSW_ENGINE_TOP_LOGPROBS_MAX];
} ssw_slot;

struct ssw_scheduler {
    ssw_engine *engine;
    const struct ssw_tokenizer *tokenizer;
    int32_t n_vocab, n_embd, ctx_size, n_batch;
    int32_t *end_tokens; /* [n_end_tokens], for ignore_eos */
    int32_t n_end_tokens;
    bool finds_top;   /* as ssw_engine_info has it */
    bool is_top_step; /* the step gives the largest logits only */

    pthread_t thread;
    pthread_mutex_t lock; /* guards the queue and is_closing */
    pthread_cond_t has_work;
    ssw_job *queue_head, *queue_tail;
    bool is_closing;
    atomic_bool attention; /* the queue changed, a job was cancelled, or closing */

    int32_t n_slots, n_busy;
    ssw_slot *slots;
    ssw_eval_item items[SSW_ENGINE_PARALLEL_MAX];
    ssw_slot *item_slots[SSW_ENGINE_PARALLEL_MAX];
    int32_t next_prefill; /* slot whose prompt is served first, for fairness */
    uint64_t n_steps;

    atomic_int n_running, n_queued;
    atomic_uint_least64_t prompt_tokens_total, predicted_tokens_total, jobs_total;
    atomic_int_least64_t prompt_ns_total, predicted_ns_total, kv_tokens_used;
};

/* The thread; context: the scheduler. Ends when is_closing is set, after every job had its end event. */
void *ssw_scheduler_run(void *context);

#endif
