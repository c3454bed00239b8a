/* From a request's body to a running job, and from its tokens to text. */
#include "serve/generation.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

/* ---- the prompt ---- */

bool ssw_generation_append_id(ssw_tokens *tokens, int32_t id)
{
    if (tokens->n == tokens->capacity) {
        size_t capacity = tokens->capacity ? 2 * tokens->capacity : 16;
        int32_t *grown = realloc(tokens->ids, capacity * sizeof *grown);
        if (!grown)
            return false;
        tokens->ids = grown;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->n++] = id;
    return true;
}

bool ssw_generation_encode(ssw_engine *engine, const char *text, size_t n_bytes, bool parse_special,
                           const char *param, ssw_tokens *out, ssw_http_fault *fault)
{
    const ssw_tokenizer *tokenizer = ssw_engine_tokenizer(engine);
    ssw_token_special special = ssw_tokenizer_special(tokenizer);
    ssw_error err;
    if (special.add_bos && special.bos >= 0 && !ssw_generation_append_id(out, special.bos))
        return ssw_fault_set(fault, 500, NULL, "memory ran out");
    if (ssw_tokenizer_encode(tokenizer, text, n_bytes, parse_special, out, &err) != SSW_OK)
        return ssw_fault_set_error(fault, &err);
    return out->n > 0 || ssw_fault_set(fault, 400, param, "'%s' is empty", param);
}

static bool render_messages(ssw_generation *generation, const ssw_chat *chat, ssw_http_fault *fault)
{
    const ssw_generation_request *request = &generation->request;
    ssw_chat_options options = {
        .effort = request->effort,
        .date_unix_s = ssw_clock_wall_ns() / SSW_NS_PER_S,
    };
    ssw_error err;
    if (ssw_chat_render(chat, request->messages, request->n_messages, &options, &generation->prompt, &err) ==
        SSW_OK)
        return true;
    return ssw_fault_set_error(fault, &err);
}

static bool make_prompt(ssw_generation *generation, ssw_engine *engine, ssw_http_fault *fault)
{
    const ssw_generation_request *request = &generation->request;
    const ssw_chat *chat = ssw_engine_chat(engine);
    if (request->n_messages > 0 && chat)
        return render_messages(generation, chat, fault);
    if (request->prompt_ids) {
        for (size_t i = 0; i < request->n_prompt_ids; i++) {
            if (!ssw_generation_append_id(&generation->prompt, request->prompt_ids[i]))
                return ssw_fault_set(fault, 500, NULL, "memory ran out");
        }
        return request->n_prompt_ids > 0 || ssw_fault_set(fault, 400, "prompt", "'prompt' is empty");
    }
    if (request->prompt)
        return ssw_generation_encode(engine, request->prompt, request->n_prompt_bytes, true, "prompt",
                                     &generation->prompt, fault);
    return ssw_fault_set(
        fault, 400, "messages",
        "this model's chat template (tokenizer.chat_template) is none that is known; use "
        "/v1/completions, or start the server with --chat-template NAME, one of: " SSW_CHAT_FORMATS);
}

static bool check_prompt(const ssw_generation *generation, const ssw_engine_info *info, ssw_http_fault *fault)
{
    if (generation->prompt.n <= (size_t)info->ctx_size)
        return true;
    ssw_fault_set(fault, 400, generation->request.kind == SSW_REQUEST_CHAT ? "messages" : "prompt",
                  "the prompt has %zu tokens, the context only %d (see --ctx-size)", generation->prompt.n,
                  info->ctx_size);
    fault->code = "context_length_exceeded";
    return false;
}

/* ---- the job ---- */

static uint64_t draw_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)ssw_clock_now_ns();
    return seed;
}

static void describe_answer(ssw_generation *generation, const ssw_exchange *exchange)
{
    ssw_server *server = generation->server;
    ssw_answer *answer = &generation->answer;
    const char *prefix = generation->request.kind == SSW_REQUEST_CHAT ? "chatcmpl" : "cmpl";
    answer->kind = generation->request.kind;
    answer->created_unix_s = ssw_clock_wall_ns() / SSW_NS_PER_S;
    answer->model = ssw_server_model_name(server, exchange->engine);
    answer->n_prompt = (int32_t)generation->prompt.n;
    answer->wants_logprobs = generation->request.wants_logprobs;
    snprintf(answer->id, sizeof answer->id, "%s-%llx%llx", prefix, (unsigned long long)server->started_unix_s,
             (unsigned long long)atomic_fetch_add(&server->next_id, 1));
}

static bool submit(ssw_generation *generation, ssw_engine *engine, ssw_http_fault *fault)
{
    const ssw_generation_request *request = &generation->request;
    const ssw_engine_info *info = ssw_engine_describe(engine);
    int32_t capacity = info->ctx_size - (int32_t)generation->prompt.n + 1;
    if (request->max_tokens >= 0 && request->max_tokens < capacity)
        capacity = request->max_tokens;
    int32_t n_logprobs = request->wants_logprobs ? request->n_top_logprobs : 0;
    ssw_job_request job = {
        .prompt = generation->prompt.ids,
        .n_prompt = generation->prompt.n,
        .max_tokens = request->max_tokens,
        .ignore_eos = request->ignore_eos,
        .cache_prompt = request->cache_prompt,
        .n_logprobs = request->wants_logprobs && n_logprobs == 0 ? 1 : n_logprobs,
        .sampling = request->sampling,
    };
    if (!request->has_seed)
        job.sampling.seed = draw_seed();
    ssw_error err;
    if (ssw_token_queue_init(&generation->queue, capacity, job.n_logprobs, 0, &err) != SSW_OK)
        return ssw_fault_set_error(fault, &err);
    generation->has_queue = true;
    if (ssw_job_submit(engine, &job, ssw_token_queue_put, &generation->queue, &generation->job, &err) !=
        SSW_OK)
        return ssw_fault_set_error(fault, &err);
    return true;
}

static bool prepare(ssw_generation *generation, ssw_exchange *exchange, ssw_request_kind kind,
                    ssw_http_fault *fault)
{
    ssw_engine *engine = exchange->engine;
    if (!ssw_generation_request_parse(kind, ssw_strbuf_text(&exchange->body), exchange->body.n_bytes,
                                      &generation->request, fault))
        return false;
    generation->has_request = true;
    if (!make_prompt(generation, engine, fault) ||
        !check_prompt(generation, ssw_engine_describe(engine), fault))
        return false;
    describe_answer(generation, exchange);
    const ssw_chat *chat = generation->request.n_messages > 0 ? ssw_engine_chat(engine) : NULL;
    ssw_error err;
    if (ssw_text_stream_init(&generation->text, ssw_engine_tokenizer(engine), chat, &generation->request,
                             &err) != SSW_OK)
        return ssw_fault_set_error(fault, &err);
    generation->has_text = true;
    return submit(generation, engine, fault);
}

bool ssw_generation_open(ssw_exchange *exchange, ssw_request_kind kind, ssw_generation **out,
                         ssw_http_fault *fault)
{
    *out = NULL;
    ssw_generation *generation = calloc(1, sizeof *generation);
    if (!generation)
        return ssw_fault_set(fault, 500, NULL, "memory ran out");
    generation->server = exchange->server;
    generation->socket_fd = exchange->socket_fd;
    generation->started_ns = exchange->started_ns;
    ssw_strbuf_init(&generation->frame, SSW_TEXT_PIECE_BYTES_MAX);
    if (!prepare(generation, exchange, kind, fault)) {
        ssw_generation_close(generation);
        return false;
    }
    *out = generation;
    return true;
}

static void log_end(ssw_generation *generation)
{
    ssw_server *server = generation->server;
    const ssw_answer *answer = &generation->answer;
    const ssw_job_timings *t = &generation->queue.timings;
    const char *how = answer->finish_reason;
    if (!how)
        how = generation->fault.status ? "failed" : "client gone";
    ssw_log_write(&server->options.log, SSW_LOG_INFO,
                  "%s: %d prompt tokens (%d cached) in %.1f ms, %d tokens in %.1f ms, %s", answer->id,
                  answer->n_prompt, t->cache_n, (double)t->prompt_ns / 1e6, t->predicted_n,
                  (double)t->predicted_ns / 1e6, how);
}

void ssw_generation_close(ssw_generation *generation)
{
    if (!generation)
        return;
    if (generation->job) {
        ssw_job_close(generation->job);
        if (!generation->answer.finish_reason && !generation->fault.status)
            atomic_fetch_add(&generation->server->peers_gone_total, 1);
        log_end(generation);
    }
    if (generation->has_queue)
        ssw_token_queue_deinit(&generation->queue);
    if (generation->has_text)
        ssw_text_stream_deinit(&generation->text);
    if (generation->has_request)
        ssw_generation_request_deinit(&generation->request);
    ssw_tokens_deinit(&generation->prompt);
    ssw_strbuf_deinit(&generation->frame);
    free(generation);
}

/* ---- text ---- */

static ssw_progress end_text(ssw_generation *generation, const char *reason, const ssw_job_timings *timings)
{
    generation->is_over = true;
    generation->answer.finish_reason = reason;
    generation->answer.timings = *timings;
    generation->answer.total_ns = ssw_clock_now_ns() - generation->started_ns;
    return SSW_PROGRESS_DONE;
}

static ssw_progress end_job(ssw_generation *generation)
{
    const ssw_token_queue *queue = &generation->queue;
    generation->is_over = true;
    if (queue->finish == SSW_FINISH_ERROR) {
        ssw_fault_set(&generation->fault, 500, NULL, "%s", queue->error.message);
        return SSW_PROGRESS_FAILED;
    }
    if (queue->finish == SSW_FINISH_CANCELLED) {
        ssw_fault_set(&generation->fault, 503, NULL, "the server is shutting down");
        return SSW_PROGRESS_FAILED;
    }
    ssw_text_stream_flush(&generation->text);
    return end_text(generation, queue->finish == SSW_FINISH_LENGTH ? "length" : "stop", &queue->timings);
}

ssw_progress ssw_generation_advance(ssw_generation *generation)
{
    ssw_text_stream *text = &generation->text;
    for (;;) {
        const ssw_queued_token *token = NULL;
        switch (ssw_token_queue_get(&generation->queue, generation->socket_fd, generation->server->stop_fd,
                                    &token)) {
        case SSW_WAIT_TOKEN:
            if (ssw_text_stream_push(text, token)) {
                ssw_job_cancel(generation->job);
                return end_text(generation, "stop", &token->timings);
            }
            if (text->content.n_bytes > 0 || text->reasoning.n_bytes > 0)
                return SSW_PROGRESS_TEXT;
            break;
        case SSW_WAIT_END:
            return end_job(generation);
        case SSW_WAIT_PEER_GONE:
            ssw_job_cancel(generation->job);
            return SSW_PROGRESS_PEER_GONE;
        case SSW_WAIT_STOPPING:
            ssw_job_cancel(generation->job);
            ssw_fault_set(&generation->fault, 503, NULL, "the server is shutting down");
            return SSW_PROGRESS_FAILED;
        }
    }
}
