/* The scheduler over a stand-in engine whose next token depends on the whole history: what a job generates
 * must be what that function gives, however jobs are batched, cut into pieces, cached or cancelled. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake_engine.h"
#include "token/tokenizer.h"

/* All that the scheduler asks of a tokenizer. */
bool ssw_tokenizer_is_end(const ssw_tokenizer *tokenizer, int32_t id)
{
    (void)tokenizer;
    return id == FAKE_END_TOKEN;
}

enum { TOKENS_MAX = 600, EMBD = 8 };

typedef struct outcome { /* what a job's callback saw */
    int32_t tokens[TOKENS_MAX];
    float logprobs[TOKENS_MAX];
    ssw_logprob top[SSW_ENGINE_TOP_LOGPROBS_MAX]; /* of the last token */
    int32_t n_top;
    atomic_int n_tokens;
    int32_t stop_after; /* callback returns false at this many; 0: never */
    atomic_int n_ends;
    ssw_finish finish;
    ssw_job_timings timings;
    ssw_status error;
    float embedding[EMBD];
    bool has_embedding;
} outcome;

static bool record(void *context, const ssw_job_event *event)
{
    outcome *seen = context;
    assert_int_equal(atomic_load(&seen->n_ends), 0);
    if (event->is_end) {
        seen->finish = event->finish;
        seen->timings = event->timings;
        seen->error = event->error ? event->error->status : SSW_OK;
        seen->has_embedding = event->embedding != NULL;
        if (event->embedding)
            memcpy(seen->embedding, event->embedding, sizeof seen->embedding);
        atomic_fetch_add(&seen->n_ends, 1);
        return true;
    }
    int n = atomic_load(&seen->n_tokens);
    assert_true(n < TOKENS_MAX);
    seen->tokens[n] = event->token;
    seen->logprobs[n] = event->logprob;
    seen->n_top = event->n_top;
    for (int32_t i = 0; i < event->n_top; i++)
        seen->top[i] = event->top[i];
    atomic_store(&seen->n_tokens, n + 1);
    return seen->stop_after == 0 || n + 1 < seen->stop_after;
}

static const fake_engine_settings small = {
    .n_vocab = 50, .n_embd = EMBD, .ctx_size = 512, .n_parallel = 1, .n_batch = 32};

static void fill_prompt(int32_t *prompt, int32_t n, int32_t salt)
{
    for (int32_t i = 0; i < n; i++)
        prompt[i] = 1 + (i * 7 + salt * 13) % 49;
}

static ssw_job_request make_request(const int32_t *prompt, int32_t n_prompt, int32_t max_tokens)
{
    ssw_job_request request = {.prompt = prompt, .n_prompt = (size_t)n_prompt, .max_tokens = max_tokens};
    ssw_sampling_init(&request.sampling);
    request.sampling.temperature = 0.0f;
    return request;
}

static ssw_job *submit(ssw_engine *engine, const ssw_job_request *request, outcome *seen)
{
    ssw_job *job = NULL;
    ssw_error err;
    if (ssw_job_submit(engine, request, record, seen, &job, &err) != SSW_OK)
        fail_msg("submit: %s", err.message);
    return job;
}

static void wait_end(const outcome *seen)
{
    int64_t deadline_ns = ssw_clock_now_ns() + 20 * SSW_NS_PER_S;
    while (atomic_load(&seen->n_ends) == 0) {
        if (ssw_clock_now_ns() > deadline_ns)
            fail_msg("no end event within 20 s");
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + 200 * SSW_NS_PER_US);
    }
}

static void run(ssw_engine *engine, const ssw_job_request *request, outcome *seen)
{
    ssw_job *job = submit(engine, request, seen);
    wait_end(seen);
    ssw_job_close(job);
}

/* The text that the function of the history gives. */
static void expect_text(const fake_engine_settings *settings, const int32_t *prompt, int32_t n_prompt,
                        const outcome *seen, int32_t n_expected)
{
    int32_t history[2 * TOKENS_MAX];
    memcpy(history, prompt, (size_t)n_prompt * sizeof *prompt);
    assert_int_equal(atomic_load(&seen->n_tokens), n_expected);
    for (int32_t i = 0; i < n_expected; i++) {
        int32_t next = fake_engine_next_token(settings, history, n_prompt + i);
        assert_int_equal(seen->tokens[i], next);
        history[n_prompt + i] = next;
    }
}

static void one_job_generates(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[100];
    fill_prompt(prompt, 100, 1);
    ssw_job_request request = make_request(prompt, 100, 20);
    outcome seen = {0};
    run(engine, &request, &seen);
    expect_text(&small, prompt, 100, &seen, 20);
    assert_int_equal(seen.finish, SSW_FINISH_LENGTH);
    assert_int_equal(seen.timings.prompt_n, 100);
    assert_int_equal(seen.timings.cache_n, 0);
    assert_int_equal(seen.timings.predicted_n, 20);
    assert_true(seen.timings.prompt_ns > 0 && seen.timings.predicted_ns > 0);
    /* the prompt came in pieces of n_batch: 32 + 32 + 32 + 4, then 19 single tokens */
    static fake_call calls[FAKE_CALLS_MAX];
    assert_int_equal(fake_engine_calls(engine, calls), 4 + 19);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i].n_tokens_total, 32);
    assert_int_equal(calls[3].n_tokens_total, 4);
    assert_int_equal(calls[4].n_tokens_total, 1);
    ssw_engine_load load;
    ssw_engine_read_load(engine, &load);
    assert_int_equal(load.prompt_tokens_total, 100);
    assert_int_equal(load.predicted_tokens_total, 20);
    assert_int_equal(load.jobs_total, 1);
    assert_int_equal(load.n_running + load.n_queued, 0);
    assert_int_equal(load.kv_tokens_used, 119);
    ssw_engine_close(engine);
}

static void ends_of_text(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.end_after = 16;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[10];
    fill_prompt(prompt, 10, 2);
    ssw_job_request request = make_request(prompt, 10, 40);
    outcome natural = {0};
    run(engine, &request, &natural);
    expect_text(&settings, prompt, 10, &natural, 6); /* the end token itself is not reported */
    assert_int_equal(natural.finish, SSW_FINISH_STOP);

    request.ignore_eos = true;
    outcome ignoring = {0};
    run(engine, &request, &ignoring);
    assert_int_equal(atomic_load(&ignoring.n_tokens), 40);
    assert_int_equal(ignoring.finish, SSW_FINISH_LENGTH);
    for (int i = 0; i < 40; i++)
        assert_int_not_equal(ignoring.tokens[i], FAKE_END_TOKEN);

    request.ignore_eos = false;
    outcome stopped = {.stop_after = 3};
    run(engine, &request, &stopped);
    assert_int_equal(atomic_load(&stopped.n_tokens), 3);
    assert_int_equal(stopped.finish, SSW_FINISH_STOP);

    request.max_tokens = 0;
    outcome nothing = {0};
    run(engine, &request, &nothing);
    assert_int_equal(atomic_load(&nothing.n_tokens), 0);
    assert_int_equal(nothing.finish, SSW_FINISH_LENGTH);
    assert_int_equal(nothing.timings.prompt_n, 10);
    ssw_engine_close(engine);
}

static void context_bounds_length(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.ctx_size = 64;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[65];
    fill_prompt(prompt, 65, 3);
    ssw_job_request request = make_request(prompt, 60, -1);
    outcome seen = {0};
    run(engine, &request, &seen);
    expect_text(&settings, prompt, 60, &seen, 5); /* the fifth needs no place in the cache */
    assert_int_equal(seen.finish, SSW_FINISH_LENGTH);

    ssw_job *job = NULL;
    ssw_error err;
    request.n_prompt = 65;
    assert_int_equal(ssw_job_submit(engine, &request, record, &seen, &job, &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "65 tokens"));
    assert_null(job);
    request.n_prompt = 0;
    assert_int_equal(ssw_job_submit(engine, &request, record, &seen, &job, &err), SSW_ERR_USAGE);
    request.n_prompt = 2;
    prompt[1] = 50;
    assert_int_equal(ssw_job_submit(engine, &request, record, &seen, &job, &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "token 50"));
    ssw_engine_close(engine);
}

static void prefix_is_reused(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[90];
    fill_prompt(prompt, 90, 4);
    ssw_job_request request = make_request(prompt, 80, 5);
    request.cache_prompt = true;
    outcome first = {0}, second = {0}, third = {0}, fourth = {0};
    run(engine, &request, &first);
    assert_int_equal(first.timings.cache_n, 0);
    request.n_prompt = 90; /* another tail after the same 80 */
    run(engine, &request, &second);
    expect_text(&small, prompt, 90, &second, 5);
    assert_int_equal(second.timings.cache_n, 80);
    assert_int_equal(second.timings.prompt_n, 10);
    run(engine, &request, &third); /* the same again: one token is evaluated for its logits */
    expect_text(&small, prompt, 90, &third, 5);
    assert_int_equal(third.timings.cache_n, 89);
    assert_int_equal(third.timings.prompt_n, 1);
    request.cache_prompt = false;
    run(engine, &request, &fourth);
    expect_text(&small, prompt, 90, &fourth, 5);
    assert_int_equal(fourth.timings.cache_n, 0);
    assert_int_equal(fourth.timings.prompt_n, 90);
    ssw_engine_close(engine);
}

static void passed_window_is_not_reused(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.window = 20;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[40];
    fill_prompt(prompt, 40, 5);
    ssw_job_request request = make_request(prompt, 40, 60);
    request.cache_prompt = true;
    outcome first = {0}, second = {0};
    run(engine, &request, &first);
    run(engine, &request, &second);
    expect_text(&settings, prompt, 40, &second, 60);
    assert_int_equal(second.timings.cache_n, 0);
    assert_int_equal(second.timings.prompt_n, 40);
    ssw_engine_close(engine);
}

static void sequences_share_steps(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.n_parallel = 4;
    ssw_engine *engine = fake_engine_make(&settings);
    enum { JOBS = 9 };
    int32_t prompts[JOBS][60];
    outcome seen[JOBS];
    ssw_job *jobs[JOBS];
    memset(seen, 0, sizeof seen);
    fake_engine_close_gate(engine);
    for (int i = 0; i < JOBS; i++) {
        fill_prompt(prompts[i], 60, 10 + i);
        ssw_job_request request = make_request(prompts[i], 20 + 5 * i, 30);
        request.cache_prompt = true;
        jobs[i] = submit(engine, &request, &seen[i]);
    }
    fake_engine_wait_arrivals(engine, 1);
    ssw_engine_load load;
    ssw_engine_read_load(engine, &load);
    assert_int_equal(load.n_running + load.n_queued, JOBS);
    fake_engine_open_gate(engine);
    for (int i = 0; i < JOBS; i++) {
        wait_end(&seen[i]);
        expect_text(&settings, prompts[i], 20 + 5 * i, &seen[i], 30);
        ssw_job_close(jobs[i]);
    }
    static fake_call calls[FAKE_CALLS_MAX];
    int32_t n_calls = fake_engine_calls(engine, calls), n_widest = 0;
    for (int32_t i = 0; i < n_calls; i++) {
        assert_true(calls[i].n_tokens_total <= settings.n_batch);
        n_widest = calls[i].n_items > n_widest ? calls[i].n_items : n_widest;
    }
    assert_int_equal(n_widest, 4);
    assert_true(n_calls < JOBS * 30 / 2); /* steps were shared */
    ssw_engine_close(engine);
}

static void long_prompt_does_not_starve_decode(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.n_parallel = 2;
    settings.n_batch = 256;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[500];
    fill_prompt(prompt, 500, 6);
    fake_engine_close_gate(engine);
    outcome short_one = {0}, long_one = {0};
    ssw_job_request request = make_request(prompt, 4, 60);
    ssw_job *first = submit(engine, &request, &short_one);
    fake_engine_wait_arrivals(engine, 1);
    request = make_request(prompt, 500, 4);
    ssw_job *second = submit(engine, &request, &long_one);
    fake_engine_open_gate(engine);
    wait_end(&short_one);
    wait_end(&long_one);
    expect_text(&settings, prompt, 4, &short_one, 60);
    expect_text(&settings, prompt, 500, &long_one, 4);
    static fake_call calls[FAKE_CALLS_MAX];
    int32_t n_calls = fake_engine_calls(engine, calls);
    for (int32_t i = 1; i < n_calls; i++)
        assert_true(calls[i].n_tokens_largest <= 128); /* while the first one decodes */
    ssw_job_close(first);
    ssw_job_close(second);
    ssw_engine_close(engine);
}

static void cancel_takes_one_step(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.step_ns = 2 * SSW_NS_PER_MS;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[8];
    fill_prompt(prompt, 8, 7);
    ssw_job_request request = make_request(prompt, 8, 400);
    outcome running = {0}, waiting = {0}, after = {0};
    ssw_job *job = submit(engine, &request, &running);
    ssw_job *queued = submit(engine, &request, &waiting);
    while (atomic_load(&running.n_tokens) < 3)
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + SSW_NS_PER_MS);
    ssw_job_cancel(queued);
    wait_end(&waiting); /* ends while the other still runs */
    assert_int_equal(waiting.finish, SSW_FINISH_CANCELLED);
    assert_int_equal(atomic_load(&running.n_ends), 0);
    ssw_job_cancel(job);
    int n_then = atomic_load(&running.n_tokens);
    wait_end(&running);
    assert_int_equal(running.finish, SSW_FINISH_CANCELLED);
    assert_true(atomic_load(&running.n_tokens) <= n_then + 1);
    ssw_job_close(job);
    ssw_job_close(queued);
    /* what was cached before the cancel is still good */
    request.max_tokens = 5;
    request.cache_prompt = true;
    run(engine, &request, &after);
    expect_text(&settings, prompt, 8, &after, 5);
    assert_int_equal(after.timings.cache_n, 7);
    ssw_engine_close(engine);
}

static void close_of_engine_ends_jobs(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.step_ns = SSW_NS_PER_MS;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[8];
    fill_prompt(prompt, 8, 8);
    ssw_job_request request = make_request(prompt, 8, 400);
    outcome running = {0}, waiting = {0};
    ssw_job *first = submit(engine, &request, &running);
    ssw_job *second = submit(engine, &request, &waiting);
    while (atomic_load(&running.n_tokens) < 2)
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + SSW_NS_PER_MS);
    ssw_engine_close(engine);
    assert_int_equal(atomic_load(&running.n_ends), 1);
    assert_int_equal(atomic_load(&waiting.n_ends), 1);
    assert_int_equal(running.finish, SSW_FINISH_CANCELLED);
    assert_int_equal(waiting.finish, SSW_FINISH_CANCELLED);
    ssw_job_close(first); /* handles outlive the engine once ended */
    ssw_job_close(second);
}

static void queue_is_bounded(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[4];
    fill_prompt(prompt, 4, 9);
    ssw_job_request request = make_request(prompt, 4, 1);
    static outcome seen[SSW_ENGINE_QUEUE_MAX + 2];
    static ssw_job *jobs[SSW_ENGINE_QUEUE_MAX + 2];
    memset(seen, 0, sizeof seen);
    fake_engine_close_gate(engine);
    jobs[0] = submit(engine, &request, &seen[0]);
    fake_engine_wait_arrivals(engine, 1);
    for (int i = 1; i <= SSW_ENGINE_QUEUE_MAX; i++)
        jobs[i] = submit(engine, &request, &seen[i]);
    ssw_error err;
    ssw_job *refused = NULL;
    assert_int_equal(
        ssw_job_submit(engine, &request, record, &seen[SSW_ENGINE_QUEUE_MAX + 1], &refused, &err),
        SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "wait already"));
    fake_engine_open_gate(engine);
    for (int i = 0; i <= SSW_ENGINE_QUEUE_MAX; i++) {
        wait_end(&seen[i]);
        ssw_job_close(jobs[i]);
    }
    ssw_engine_close(engine);
}

static void errors_of_the_engine_arrive(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.fail_after = 3;
    ssw_engine *engine = fake_engine_make(&settings);
    int32_t prompt[4];
    fill_prompt(prompt, 4, 10);
    ssw_job_request request = make_request(prompt, 4, 50);
    outcome seen = {0};
    run(engine, &request, &seen);
    assert_int_equal(seen.finish, SSW_FINISH_ERROR);
    assert_int_equal(seen.error, SSW_ERR_INTERNAL);
    assert_int_equal(atomic_load(&seen.n_tokens), 3);
    ssw_engine_close(engine);

    settings.fail_after = 0;
    settings.no_finite_logits = true;
    engine = fake_engine_make(&settings);
    outcome blank = {0};
    run(engine, &request, &blank);
    assert_int_equal(blank.finish, SSW_FINISH_ERROR);
    ssw_engine_close(engine);
}

static void embedding_is_the_mean(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[70];
    fill_prompt(prompt, 70, 11);
    ssw_job_request request = make_request(prompt, 70, -1);
    request.embed_only = true;
    request.cache_prompt = true;
    for (int round = 0; round < 2; round++) { /* the second must not reuse the first's cache */
        outcome seen = {0};
        run(engine, &request, &seen);
        assert_true(seen.has_embedding);
        assert_int_equal(seen.finish, SSW_FINISH_STOP);
        assert_int_equal(atomic_load(&seen.n_tokens), 0);
        double mean[EMBD] = {0};
        for (int32_t n = 1; n <= 70; n++) {
            float hidden[EMBD];
            fake_engine_hidden(&small, prompt, n, hidden);
            for (int i = 0; i < EMBD; i++)
                mean[i] += (double)hidden[i] / 70.0;
        }
        for (int i = 0; i < EMBD; i++)
            assert_true(fabs(mean[i] - (double)seen.embedding[i]) < 1e-5);
    }
    ssw_engine_close(engine);
}

static void logprobs_are_of_the_raw_distribution(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[12];
    fill_prompt(prompt, 12, 12);
    ssw_job_request request = make_request(prompt, 12, 1);
    request.n_logprobs = 5;
    request.sampling.temperature = 0.3f;
    request.sampling.top_k = 1;
    request.sampling.repeat_penalty = 1.5f;
    request.ignore_eos = true;
    outcome seen = {0};
    run(engine, &request, &seen);
    float logits[50];
    fake_engine_logits(&small, prompt, 12, logits);
    double sum = 0.0;
    for (int i = 0; i < 50; i++)
        sum += exp((double)logits[i]);
    assert_int_equal(seen.n_top, 5);
    assert_true(fabs((double)seen.logprobs[0] - ((double)logits[seen.tokens[0]] - log(sum))) < 1e-5);
    for (int i = 0; i < 5; i++) {
        assert_true(fabs((double)seen.top[i].logprob - ((double)logits[seen.top[i].token] - log(sum))) <
                    1e-5);
        assert_true(i == 0 || seen.top[i].logprob <= seen.top[i - 1].logprob);
    }
    ssw_engine_close(engine);
}

static void same_seed_same_text(void **state)
{
    (void)state;
    ssw_engine *engine = fake_engine_make(&small);
    int32_t prompt[12];
    fill_prompt(prompt, 12, 13);
    ssw_job_request request = make_request(prompt, 12, 40);
    request.sampling.temperature = 2.0f;
    request.sampling.top_k = 0;
    request.sampling.top_p = 1.0f;
    request.sampling.min_p = 0.0f;
    outcome seen[3];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 3; i++) {
        request.sampling.seed = i < 2 ? 42 : 43;
        request.cache_prompt = i == 1;
        run(engine, &request, &seen[i]);
    }
    request.ignore_eos = true;
    assert_int_equal(atomic_load(&seen[0].n_tokens), atomic_load(&seen[1].n_tokens));
    assert_memory_equal(seen[0].tokens, seen[1].tokens, sizeof seen[0].tokens);
    assert_memory_not_equal(seen[0].tokens, seen[2].tokens, sizeof seen[0].tokens);
    ssw_engine_close(engine);
}

/* Where the engine finds the largest logits, jobs that need no others ask for those, and get the same text.
 */
static void largest_logits_are_enough(void **state)
{
    enum { N_CASES = 6 };
    static const struct {
        float temperature, repeat_penalty;
        int32_t top_k, n_logprobs;
        bool ignore_eos, is_enough;
    } cases[N_CASES] = {{0, 1, 0, 0, false, true},     {0, 1, 0, 0, true, true},
                        {0.9f, 1, 20, 0, true, true},  {0.9f, 1, 0, 0, false, false},
                        {0, 1.3f, 0, 0, false, false}, {0.5f, 1, 5, 2, false, false}};
    (void)state;
    for (int c = 0; c < N_CASES; c++) {
        outcome seen[2] = {{.n_tokens = 0}};
        for (int finds_top = 0; finds_top < 2; finds_top++) {
            fake_engine_settings settings = small;
            settings.finds_top = finds_top;
            ssw_engine *engine = fake_engine_make(&settings);
            static fake_call calls[FAKE_CALLS_MAX];
            int32_t prompt[12], n_logits = 0, n_top = 0;
            fill_prompt(prompt, 12, 5);
            ssw_job_request request = make_request(prompt, 12, 40);
            request.sampling.temperature = cases[c].temperature;
            request.sampling.repeat_penalty = cases[c].repeat_penalty;
            request.sampling.top_k = cases[c].top_k;
            request.sampling.top_p = 1.0f;
            request.sampling.min_p = 0.0f;
            request.sampling.seed = 11;
            request.n_logprobs = cases[c].n_logprobs;
            request.ignore_eos = cases[c].ignore_eos;
            run(engine, &request, &seen[finds_top]);
            int32_t n_calls = fake_engine_calls(engine, calls);
            for (int32_t i = 0; i < n_calls; i++) {
                n_logits += calls[i].n_logits;
                n_top += calls[i].n_top;
            }
            assert_int_equal(n_logits + n_top, 40);
            assert_int_equal(n_top, finds_top && cases[c].is_enough ? 40 : 0);
            ssw_engine_close(engine);
        }
        assert_int_equal(seen[0].n_tokens, 40);
        assert_memory_equal(seen[0].tokens, seen[1].tokens, 40 * sizeof(int32_t));
    }
}

/* A step in which one job needs all logits gives all to every job. */
static void one_job_that_needs_all_logits(void **state)
{
    (void)state;
    fake_engine_settings settings = small;
    settings.finds_top = true;
    settings.n_parallel = 2;
    settings.step_ns = SSW_NS_PER_MS;
    ssw_engine *engine = fake_engine_make(&settings);
    static fake_call calls[FAKE_CALLS_MAX];
    int32_t prompt[2][12], n_both = 0, n_top = 0;
    outcome seen[2] = {{.n_tokens = 0}};
    ssw_job *jobs[2];
    for (int j = 0; j < 2; j++) {
        fill_prompt(prompt[j], 12, 5 + j);
        ssw_job_request request = make_request(prompt[j], 12, j == 0 ? 60 : 20);
        request.n_logprobs = j;
        jobs[j] = submit(engine, &request, &seen[j]);
    }
    for (int j = 0; j < 2; j++) {
        wait_end(&seen[j]);
        ssw_job_close(jobs[j]);
        expect_text(&settings, prompt[j], 12, &seen[j], j == 0 ? 60 : 20);
    }
    int32_t n_calls = fake_engine_calls(engine, calls);
    for (int32_t i = 0; i < n_calls; i++) {
        n_both += calls[i].n_logits == 2;
        n_top += calls[i].n_top;
        assert_true(calls[i].n_items < 2 || calls[i].n_top == 0);
    }
    assert_true(n_both > 0 && n_top > 0);
    ssw_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_job_generates),
        cmocka_unit_test(ends_of_text),
        cmocka_unit_test(context_bounds_length),
        cmocka_unit_test(prefix_is_reused),
        cmocka_unit_test(passed_window_is_not_reused),
        cmocka_unit_test(sequences_share_steps),
        cmocka_unit_test(long_prompt_does_not_starve_decode),
        cmocka_unit_test(cancel_takes_one_step),
        cmocka_unit_test(close_of_engine_ends_jobs),
        cmocka_unit_test(queue_is_bounded),
        cmocka_unit_test(errors_of_the_engine_arrive),
        cmocka_unit_test(embedding_is_the_mean),
        cmocka_unit_test(largest_logits_are_enough),
        cmocka_unit_test(one_job_that_needs_all_logits),
        cmocka_unit_test(logprobs_are_of_the_raw_distribution),
        cmocka_unit_test(same_seed_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
