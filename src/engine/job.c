/* Jobs as callers see them: submit, cancel, close, and the scheduler's life. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/scheduler_parts.h"
#include "token/tokenizer.h"

/* ---- the scheduler's life ---- */

static void free_scheduler(ssw_scheduler *scheduler)
{
    for (int32_t i = 0; scheduler->slots && i < scheduler->n_slots; i++) {
        ssw_slot *slot = &scheduler->slots[i];
        if (slot->session)
            ssw_session_close(slot->session);
        ssw_sampler_close(slot->sampler);
        free(slot->cached);
        free(slot->logits);
        free(slot->embedding);
        free(slot->piece_sum);
    }
    free(scheduler->slots);
    free(scheduler->end_tokens);
    pthread_cond_destroy(&scheduler->has_work);
    pthread_mutex_destroy(&scheduler->lock);
    free(scheduler);
}

static ssw_status open_slot(ssw_scheduler *scheduler, ssw_slot *slot, ssw_error *err)
{
    slot->cached = calloc((size_t)scheduler->ctx_size, sizeof *slot->cached);
    slot->logits = calloc(2 * (size_t)scheduler->n_vocab, sizeof *slot->logits);
    slot->embedding = calloc((size_t)scheduler->n_embd, sizeof *slot->embedding);
    slot->piece_sum = calloc((size_t)scheduler->n_embd, sizeof *slot->piece_sum);
    if (!slot->cached || !slot->logits || !slot->embedding || !slot->piece_sum)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a sequence of %d tokens",
                             scheduler->ctx_size);
    ssw_status status = ssw_sampler_open(scheduler->n_vocab, &slot->sampler, err);
    if (status != SSW_OK)
        return status;
    return ssw_session_open(scheduler->engine, &slot->session, err);
}

static ssw_status list_end_tokens(ssw_scheduler *scheduler, ssw_error *err)
{
    for (int pass = 0; pass < 2; pass++) {
        int32_t n = 0;
        for (int32_t token = 0; token < scheduler->n_vocab; token++) {
            if (!ssw_tokenizer_is_end(scheduler->tokenizer, token))
                continue;
            if (pass == 1)
                scheduler->end_tokens[n] = token;
            n++;
        }
        scheduler->n_end_tokens = n;
        if (pass == 1 || n == 0)
            break;
        scheduler->end_tokens = calloc((size_t)n, sizeof *scheduler->end_tokens);
        if (!scheduler->end_tokens)
            return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a list of %d tokens", n);
    }
    return SSW_OK;
}

static ssw_status open_scheduler(ssw_engine *engine, ssw_scheduler **out, ssw_error *err)
{
    ssw_scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the scheduler");
    const ssw_engine_info *info = ssw_engine_describe(engine);
    scheduler->engine = engine;
    scheduler->tokenizer = ssw_engine_tokenizer(engine);
    scheduler->n_vocab = info->n_vocab;
    scheduler->n_embd = info->n_embd;
    scheduler->finds_top = info->finds_top;
    scheduler->ctx_size = info->ctx_size;
    scheduler->n_batch = info->n_batch > 0 ? info->n_batch : 1;
    scheduler->n_slots = info->n_parallel;
    pthread_mutex_init(&scheduler->lock, NULL);
    pthread_cond_init(&scheduler->has_work, NULL);
    ssw_status status = list_end_tokens(scheduler, err);
    if (status != SSW_OK)
        goto cleanup;
    scheduler->slots = calloc((size_t)scheduler->n_slots, sizeof *scheduler->slots);
    if (!scheduler->slots) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "no memory for %d sequences", scheduler->n_slots);
        goto cleanup;
    }
    for (int32_t i = 0; i < scheduler->n_slots && status == SSW_OK; i++)
        status = open_slot(scheduler, &scheduler->slots[i], err);
    if (status != SSW_OK)
        goto cleanup;
    int failed = pthread_create(&scheduler->thread, NULL, ssw_scheduler_run, scheduler);
    if (failed)
        status = ssw_error_set_errno(err, SSW_ERR_IO, failed, "starting the scheduler's thread");
cleanup:
    if (status != SSW_OK)
        free_scheduler(scheduler);
    else
        *out = scheduler;
    return status;
}

ssw_status ssw_scheduler_slot_init(ssw_scheduler_slot *slot, ssw_error *err)
{
    slot->scheduler = NULL;
    int failed = pthread_mutex_init(&slot->lock, NULL);
    return failed ? ssw_error_set_errno(err, SSW_ERR_IO, failed, "making a lock") : SSW_OK;
}

void ssw_scheduler_slot_deinit(ssw_scheduler_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    ssw_scheduler *scheduler = slot->scheduler;
    slot->scheduler = NULL;
    pthread_mutex_unlock(&slot->lock);
    pthread_mutex_destroy(&slot->lock);
    if (!scheduler)
        return;
    pthread_mutex_lock(&scheduler->lock);
    scheduler->is_closing = true;
    atomic_store(&scheduler->attention, true);
    pthread_cond_signal(&scheduler->has_work);
    pthread_mutex_unlock(&scheduler->lock);
    pthread_join(scheduler->thread, NULL);
    free_scheduler(scheduler);
}

static ssw_status find_scheduler(ssw_engine *engine, ssw_scheduler **out, ssw_error *err)
{
    ssw_scheduler_slot *slot = ssw_engine_scheduler_slot(engine);
    ssw_status status = SSW_OK;
    pthread_mutex_lock(&slot->lock);
    if (!slot->scheduler)
        status = open_scheduler(engine, &slot->scheduler, err);
    *out = slot->scheduler;
    pthread_mutex_unlock(&slot->lock);
    return status;
}

/* ---- jobs ---- */

static ssw_status check_request(const ssw_engine_info *info, const ssw_job_request *request, ssw_error *err)
{
    const ssw_sampling *sampling = &request->sampling;
    if (request->n_prompt == 0)
        return ssw_error_set(err, SSW_ERR_USAGE, "the prompt is empty");
    if (request->n_prompt > (size_t)info->ctx_size)
        return ssw_error_set(err, SSW_ERR_LIMIT, "the prompt has %zu tokens, the context only %d",
                             request->n_prompt, info->ctx_size);
    for (size_t i = 0; i < request->n_prompt; i++) {
        if (request->prompt[i] < 0 || request->prompt[i] >= info->n_vocab)
            return ssw_error_set(err, SSW_ERR_USAGE, "token %d of the prompt is not in the vocabulary of %d",
                                 request->prompt[i], info->n_vocab);
    }
    if (request->n_logprobs < 0 || request->n_logprobs > SSW_ENGINE_TOP_LOGPROBS_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "%d log-probabilities asked for, at most %d are given",
                             request->n_logprobs, (int)SSW_ENGINE_TOP_LOGPROBS_MAX);
    if (!isfinite(sampling->temperature) || sampling->temperature < 0.0f || !isfinite(sampling->top_p) ||
        !isfinite(sampling->min_p) || !isfinite(sampling->repeat_penalty) || sampling->repeat_penalty <= 0.0f)
        return ssw_error_set(err, SSW_ERR_USAGE, "a sampling setting is out of range");
    return SSW_OK;
}

static void free_job(ssw_job *job)
{
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->has_ended);
    free(job->prompt);
    free(job);
}

static ssw_job *copy_request(const ssw_job_request *request)
{
    ssw_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->prompt = malloc(request->n_prompt * sizeof *job->prompt);
    if (!job->prompt) {
        free(job);
        return NULL;
    }
    memcpy(job->prompt, request->prompt, request->n_prompt * sizeof *job->prompt);
    job->request = *request;
    job->request.prompt = job->prompt;
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->has_ended, NULL);
    return job;
}

ssw_status ssw_job_submit(ssw_engine *engine, const ssw_job_request *request, ssw_job_callback *callback,
                          void *context, ssw_job **out, ssw_error *err)
{
    *out = NULL;
    ssw_status status = check_request(ssw_engine_describe(engine), request, err);
    if (status != SSW_OK)
        return status;
    ssw_scheduler *scheduler;
    status = find_scheduler(engine, &scheduler, err);
    if (status != SSW_OK)
        return status;
    ssw_job *job = copy_request(request);
    if (!job)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a prompt of %zu tokens", request->n_prompt);
    job->scheduler = scheduler;
    job->callback = callback;
    job->context = context;
    job->submitted_ns = ssw_clock_now_ns();

    pthread_mutex_lock(&scheduler->lock);
    if (atomic_load(&scheduler->n_queued) >= SSW_ENGINE_QUEUE_MAX) {
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%d requests wait already; try again later",
                               (int)SSW_ENGINE_QUEUE_MAX);
    } else {
        *out = job; /* before the first callback */
        if (scheduler->queue_tail)
            scheduler->queue_tail->next = job;
        else
            scheduler->queue_head = job;
        scheduler->queue_tail = job;
        atomic_fetch_add(&scheduler->n_queued, 1);
        atomic_store(&scheduler->attention, true);
        pthread_cond_signal(&scheduler->has_work);
    }
    pthread_mutex_unlock(&scheduler->lock);
    if (status != SSW_OK)
        free_job(job);
    return status;
}

void ssw_job_cancel(ssw_job *job)
{
    pthread_mutex_lock(&job->lock);
    if (!job->ended) { /* so the scheduler is still there */
        ssw_scheduler *scheduler = job->scheduler;
        atomic_store(&job->is_cancelled, true);
        pthread_mutex_lock(&scheduler->lock);
        atomic_store(&scheduler->attention, true);
        pthread_cond_signal(&scheduler->has_work);
        pthread_mutex_unlock(&scheduler->lock);
    }
    pthread_mutex_unlock(&job->lock);
}

void ssw_job_close(ssw_job *job)
{
    if (!job)
        return;
    ssw_job_cancel(job);
    pthread_mutex_lock(&job->lock);
    while (!job->ended)
        pthread_cond_wait(&job->has_ended, &job->lock);
    pthread_mutex_unlock(&job->lock);
    free_job(job);
}

void ssw_engine_read_load(ssw_engine *engine, ssw_engine_load *load)
{
    *load = (ssw_engine_load){0};
    ssw_scheduler_slot *slot = ssw_engine_scheduler_slot(engine);
    pthread_mutex_lock(&slot->lock);
    ssw_scheduler *scheduler = slot->scheduler;
    if (scheduler) {
        load->n_running = atomic_load(&scheduler->n_running);
        load->n_queued = atomic_load(&scheduler->n_queued);
        load->prompt_tokens_total = atomic_load(&scheduler->prompt_tokens_total);
        load->predicted_tokens_total = atomic_load(&scheduler->predicted_tokens_total);
        load->jobs_total = atomic_load(&scheduler->jobs_total);
        load->prompt_ns_total = atomic_load(&scheduler->prompt_ns_total);
        load->predicted_ns_total = atomic_load(&scheduler->predicted_ns_total);
        load->kv_tokens_used = atomic_load(&scheduler->kv_tokens_used);
    }
    pthread_mutex_unlock(&slot->lock);
}
