/* The scheduler: one thread that gives queued jobs to idle sequences and runs all busy ones in common steps
 * (continuous batching). Each step evaluates one token of every sequence that decodes, and a piece of the
 * prompts that are still to be read.
 *
 * Threads: submit, cancel, close and read_load come from any thread; everything in `slots` belongs to the
 * scheduler's own. Lock order: a job's lock before the scheduler's. The decode loop takes no lock and
 * allocates nothing: it looks at the queue only when the atomic `attention` says that something changed. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "engine/scheduler_parts.h"
#include "token/tokenizer.h"

enum {
    /* Prompt tokens a step while others decode: their next token waits no longer than for this many. */
    MIXED_PREFILL_TOKENS_MAX = 128,
    /* An idle sequence is continued when it shares at least a tenth of the prompt; else the stalest one is
       used. */
    PREFIX_SHARE_DIVISOR = 10
};

typedef ssw_slot slot;

/* ---- the end of a job ---- */

static void finish_job(ssw_scheduler *scheduler, ssw_job *job, const ssw_job_event *event)
{
    atomic_fetch_add(&scheduler->jobs_total, 1);
    job->callback(job->context, event);
    pthread_mutex_lock(&job->lock);
    job->ended = true;
    pthread_cond_broadcast(&job->has_ended);
    pthread_mutex_unlock(&job->lock);
}

static void finish_slot(ssw_scheduler *scheduler, slot *s, ssw_finish finish, const ssw_error *error)
{
    ssw_job *job = s->job;
    if (s->phase == SSW_SLOT_PREFILL)
        s->timings.prompt_ns = ssw_clock_now_ns() - s->started_ns;
    atomic_fetch_add(&scheduler->prompt_tokens_total, (uint64_t)s->timings.prompt_n);
    atomic_fetch_add(&scheduler->prompt_ns_total, s->timings.prompt_ns);
    atomic_fetch_add(&scheduler->predicted_ns_total, s->timings.predicted_ns);
    ssw_job_event event = {.is_end = true, .finish = finish, .timings = s->timings, .error = error};
    if (job->request.embed_only && finish == SSW_FINISH_STOP)
        event.embedding = s->embedding;
    s->job = NULL;
    s->phase = SSW_SLOT_IDLE;
    s->last_used = scheduler->n_steps;
    scheduler->n_busy--;
    atomic_store(&scheduler->n_running, scheduler->n_busy);
    if (atomic_load(&scheduler->n_queued) > 0)
        atomic_store(&scheduler->attention, true); /* the slot is free for the next */
    finish_job(scheduler, job, &event);
}

static void finish_queued(ssw_scheduler *scheduler, ssw_job *job)
{
    ssw_job_event event = {.is_end = true, .finish = SSW_FINISH_CANCELLED};
    event.timings.queue_ns = ssw_clock_now_ns() - job->submitted_ns;
    finish_job(scheduler, job, &event);
}

/* ---- from the queue to a slot ---- */

static int32_t count_common(const slot *s, const ssw_job *job)
{
    int32_t n_max = (int32_t)job->request.n_prompt - 1; /* one token at least must give logits */
    if (n_max > s->n_cached)
        n_max = s->n_cached;
    int32_t n = 0;
    while (n < n_max && s->cached[n] == job->prompt[n])
        n++;
    return n;
}

/* There is an idle slot. */
static slot *choose_slot(ssw_scheduler *scheduler, const ssw_job *job)
{
    slot *stalest = NULL, *nearest = NULL;
    int32_t n_nearest = 0;
    for (int32_t i = 0; i < scheduler->n_slots; i++) {
        slot *s = &scheduler->slots[i];
        if (s->phase != SSW_SLOT_IDLE)
            continue;
        if (!stalest || s->last_used < stalest->last_used)
            stalest = s;
        int32_t n = job->request.cache_prompt ? count_common(s, job) : 0;
        if (n > n_nearest) {
            n_nearest = n;
            nearest = s;
        }
    }
    bool is_near = nearest && n_nearest >= (int32_t)job->request.n_prompt / PREFIX_SHARE_DIVISOR;
    return is_near ? nearest : stalest;
}

static void start_job(ssw_scheduler *scheduler, ssw_job *job)
{
    slot *s = choose_slot(scheduler, job);
    s->job = job;
    s->phase = SSW_SLOT_PREFILL;
    s->started_ns = ssw_clock_now_ns();
    s->timings = (ssw_job_timings){.queue_ns = s->started_ns - job->submitted_ns};
    scheduler->n_busy++;
    atomic_store(&scheduler->n_running, scheduler->n_busy);

    int32_t n_keep = 0;
    if (job->request.cache_prompt && !job->request.embed_only)
        n_keep = count_common(s, job);
    ssw_error err;
    /* Refused when a sliding window has moved past the prefix; the session is empty then. */
    if (ssw_session_truncate(s->session, n_keep, &err) != SSW_OK)
        n_keep = ssw_session_length(s->session) == 0 ? 0 : -1;
    if (n_keep < 0) { /* what it holds is not known: the next job starts it anew */
        atomic_fetch_sub(&scheduler->kv_tokens_used, s->n_cached);
        s->n_cached = 0;
        finish_slot(scheduler, s, SSW_FINISH_ERROR, &err);
        return;
    }
    atomic_fetch_sub(&scheduler->kv_tokens_used, s->n_cached - n_keep);
    s->n_cached = n_keep;
    s->timings.cache_n = n_keep;
    ssw_sampler_begin(s->sampler, &job->request.sampling);
    for (size_t i = 0; i < job->request.n_prompt; i++)
        ssw_sampler_accept(s->sampler, job->prompt[i]);
    if (job->request.embed_only)
        memset(s->embedding, 0, (size_t)scheduler->n_embd * sizeof *s->embedding);
}

/* Takes the first queued job if a slot is free, or any cancelled one. NULL: nothing to do. */
static ssw_job *take_queued(ssw_scheduler *scheduler, bool only_cancelled)
{
    ssw_job *last = NULL;
    for (ssw_job *job = scheduler->queue_head; job; last = job, job = job->next) {
        if (only_cancelled && !scheduler->is_closing && !atomic_load(&job->is_cancelled))
            continue;
        if (last)
            last->next = job->next;
        else
            scheduler->queue_head = job->next;
        if (scheduler->queue_tail == job)
            scheduler->queue_tail = last;
        atomic_fetch_sub(&scheduler->n_queued, 1);
        return job;
    }
    return NULL;
}

static void cancel_running(ssw_scheduler *scheduler, bool all)
{
    for (int32_t i = 0; i < scheduler->n_slots; i++) {
        slot *s = &scheduler->slots[i];
        if (s->phase != SSW_SLOT_IDLE && (all || atomic_load(&s->job->is_cancelled)))
            finish_slot(scheduler, s, SSW_FINISH_CANCELLED, NULL);
    }
}

/* Ends cancelled jobs and fills idle slots; sleeps while there is nothing to do. False: the scheduler closes.
 */
static bool attend(ssw_scheduler *scheduler)
{
    for (;;) {
        pthread_mutex_lock(&scheduler->lock);
        while (scheduler->n_busy == 0 && !scheduler->queue_head && !scheduler->is_closing)
            pthread_cond_wait(&scheduler->has_work, &scheduler->lock);
        atomic_store(&scheduler->attention, false);
        bool is_closing = scheduler->is_closing;
        ssw_job *dropped = take_queued(scheduler, true);
        ssw_job *started = NULL;
        if (!dropped && !is_closing && scheduler->n_busy < scheduler->n_slots)
            started = take_queued(scheduler, false);
        pthread_mutex_unlock(&scheduler->lock);

        cancel_running(scheduler, is_closing);
        if (dropped)
            finish_queued(scheduler, dropped);
        else if (started)
            start_job(scheduler, started);
        else if (is_closing)
            return false;
        else if (scheduler->n_busy > 0)
            return true;
    }
}

/* ---- one step ---- */

static void add_item(ssw_scheduler *scheduler, slot *s, const int32_t *tokens, int32_t n_tokens,
                     int32_t *n_items)
{
    ssw_eval_item *item = &scheduler->items[*n_items];
    *item = (ssw_eval_item){.session = s->session, .tokens = tokens, .n_tokens = n_tokens};
    scheduler->item_slots[*n_items] = s;
    if (s->phase == SSW_SLOT_DECODE)
        item->logits = s->logits;
    else if (s->job->request.embed_only)
        item->hidden_sum = s->piece_sum;
    else if (s->n_cached + n_tokens == (int32_t)s->job->request.n_prompt)
        item->logits = s->logits;
    (*n_items)++;
}

/* Whether the largest logits are enough for the slot's next token. */
static bool is_content_with_top(const ssw_scheduler *scheduler, const slot *s)
{
    int32_t n_excluded = s->job->request.ignore_eos ? scheduler->n_end_tokens : 0;
    return s->job->request.n_logprobs == 0 && !ssw_sampler_needs_all(s->sampler, n_excluded);
}

/* A step whose tokens can all be chosen among the largest logits asks for those only. */
static void ask_for_top(ssw_scheduler *scheduler, int32_t n_items)
{
    scheduler->is_top_step = scheduler->finds_top;
    for (int32_t i = 0; i < n_items && scheduler->is_top_step; i++) {
        if (scheduler->items[i].logits && !is_content_with_top(scheduler, scheduler->item_slots[i]))
            scheduler->is_top_step = false;
    }
    for (int32_t i = 0; i < n_items && scheduler->is_top_step; i++) {
        ssw_eval_item *item = &scheduler->items[i];
        if (item->logits)
            item->top = scheduler->item_slots[i]->top_logits;
        item->logits = NULL;
    }
}

static int32_t plan_step(ssw_scheduler *scheduler)
{
    int32_t n_items = 0, n_decoding = 0;
    for (int32_t i = 0; i < scheduler->n_slots; i++) {
        slot *s = &scheduler->slots[i];
        if (s->phase != SSW_SLOT_DECODE)
            continue;
        add_item(scheduler, s, &s->next_token, 1, &n_items);
        n_decoding++;
    }
    int32_t budget = scheduler->n_batch - n_decoding;
    if (n_decoding > 0 && budget > MIXED_PREFILL_TOKENS_MAX)
        budget = MIXED_PREFILL_TOKENS_MAX;
    if (budget < 1)
        budget = 1;
    int32_t first = scheduler->next_prefill;
    for (int32_t i = 0; i < scheduler->n_slots && budget > 0; i++) {
        int32_t index = (first + i) % scheduler->n_slots;
        slot *s = &scheduler->slots[index];
        if (s->phase != SSW_SLOT_PREFILL)
            continue;
        int32_t n = (int32_t)s->job->request.n_prompt - s->n_cached;
        if (n > budget)
            n = budget;
        add_item(scheduler, s, s->job->prompt + s->n_cached, n, &n_items);
        budget -= n;
        scheduler->next_prefill = (index + 1) % scheduler->n_slots;
    }
    ask_for_top(scheduler, n_items);
    return n_items;
}

/* From s->logits, or s->top_logits. */
static int32_t choose_token(const ssw_scheduler *scheduler, slot *s)
{
    int32_t n_excluded = s->job->request.ignore_eos ? scheduler->n_end_tokens : 0;
    if (scheduler->is_top_step)
        return ssw_sampler_choose_top(s->sampler, s->top_logits, scheduler->end_tokens, n_excluded);
    for (int32_t i = 0; i < n_excluded; i++)
        s->logits[scheduler->end_tokens[i]] = -INFINITY;
    return ssw_sampler_choose(s->sampler, s->logits);
}

/* Chooses a token and reports it, or ends the job. */
static void emit_token(ssw_scheduler *scheduler, slot *s)
{
    static const ssw_error no_logits = {SSW_ERR_INTERNAL, "the model gave no finite logit"};
    ssw_job *job = s->job;
    const ssw_job_request *request = &job->request;
    float *raw = NULL;
    if (request->n_logprobs >
        0) { /* of the unmodified distribution: keep what the filters below would change */
        raw = s->logits + scheduler->n_vocab;
        memcpy(raw, s->logits, (size_t)scheduler->n_vocab * sizeof *raw);
    }
    int32_t token = choose_token(scheduler, s);
    s->timings.predicted_ns = ssw_clock_now_ns() - s->generated_ns;
    if (token < 0) {
        finish_slot(scheduler, s, SSW_FINISH_ERROR, &no_logits);
        return;
    }
    if (ssw_tokenizer_is_end(scheduler->tokenizer, token)) {
        finish_slot(scheduler, s, SSW_FINISH_STOP, NULL);
        return;
    }
    ssw_sampler_accept(s->sampler, token);
    s->next_token = token;
    s->timings.predicted_n++;
    atomic_fetch_add(&scheduler->predicted_tokens_total, 1);
    ssw_job_event event = {.token = token, .timings = s->timings};
    if (raw) {
        event.top = s->top;
        event.n_top =
            ssw_logprobs_compute(raw, scheduler->n_vocab, token, &event.logprob, s->top, request->n_logprobs);
    }
    if (!job->callback(job->context, &event))
        finish_slot(scheduler, s, SSW_FINISH_STOP, NULL);
    else if (request->max_tokens >= 0 && s->timings.predicted_n >= request->max_tokens)
        finish_slot(scheduler, s, SSW_FINISH_LENGTH, NULL);
    else if (s->n_cached >= scheduler->ctx_size)
        finish_slot(scheduler, s, SSW_FINISH_LENGTH, NULL);
}

static void end_prompt(ssw_scheduler *scheduler, slot *s)
{
    s->generated_ns = ssw_clock_now_ns();
    s->timings.prompt_ns = s->generated_ns - s->started_ns;
    s->phase = SSW_SLOT_DECODE;
    if (s->job->request.embed_only) {
        for (int32_t i = 0; i < scheduler->n_embd; i++)
            s->embedding[i] /= (float)s->job->request.n_prompt;
        finish_slot(scheduler, s, SSW_FINISH_STOP, NULL);
    } else if (s->job->request.max_tokens == 0) {
        finish_slot(scheduler, s, SSW_FINISH_LENGTH, NULL);
    } else {
        emit_token(scheduler, s);
    }
}

/* A slot's tokens were evaluated. */
static void advance_slot(ssw_scheduler *scheduler, slot *s, const ssw_eval_item *item)
{
    memcpy(s->cached + s->n_cached, item->tokens, (size_t)item->n_tokens * sizeof *s->cached);
    s->n_cached += item->n_tokens;
    atomic_fetch_add(&scheduler->kv_tokens_used, item->n_tokens);
    bool is_prefill = s->phase == SSW_SLOT_PREFILL;
    if (is_prefill)
        s->timings.prompt_n += item->n_tokens;
    for (int32_t i = 0; item->hidden_sum && i < scheduler->n_embd; i++)
        s->embedding[i] += s->piece_sum[i];

    if (atomic_load(&s->job->is_cancelled))
        finish_slot(scheduler, s, SSW_FINISH_CANCELLED, NULL);
    else if (!is_prefill)
        emit_token(scheduler, s);
    else if (s->n_cached == (int32_t)s->job->request.n_prompt)
        end_prompt(scheduler, s);
}

static void run_step(ssw_scheduler *scheduler)
{
    int32_t n_items = plan_step(scheduler);
    ssw_error err = {0};
    ssw_status status = ssw_engine_eval(scheduler->engine, scheduler->items, n_items, &err);
    scheduler->n_steps++;
    for (int32_t i = 0; i < n_items; i++) {
        if (status == SSW_OK)
            advance_slot(scheduler, scheduler->item_slots[i], &scheduler->items[i]);
        else
            finish_slot(scheduler, scheduler->item_slots[i], SSW_FINISH_ERROR, &err);
    }
}

void *ssw_scheduler_run(void *context)
{
    ssw_scheduler *scheduler = context;
    for (;;) {
        if ((scheduler->n_busy == 0 || atomic_load(&scheduler->attention)) && !attend(scheduler))
            return NULL;
        run_step(scheduler);
    }
}
