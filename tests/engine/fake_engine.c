/* See fake_engine.h. Broken promises of the caller end the test by assert. */
#undef NDEBUG
#include "fake_engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct ssw_session {
    ssw_engine *engine;
    int32_t *tokens; /* [ctx_size] */
    int32_t n_tokens;
    bool is_open;
};

struct ssw_engine {
    fake_engine_settings settings;
    ssw_engine_info info;
    ssw_session *sessions; /* [n_parallel] */
    ssw_scheduler_slot slot;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool gate_is_closed;
    int32_t n_arrivals;
    fake_call calls[FAKE_CALLS_MAX];
    int32_t n_calls;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ (x >> 33);
}

static uint64_t hash_history(const int32_t *tokens, int32_t n_tokens)
{
    uint64_t hash = 7;
    for (int32_t i = 0; i < n_tokens; i++)
        hash = mix(hash * 31 + (uint64_t)(uint32_t)tokens[i] + 1);
    return hash;
}

/* -1: the history has no marker. */
static int32_t scripted_token(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens)
{
    for (int32_t n_after = 0; settings->reply && n_after < n_tokens; n_after++) {
        if (tokens[n_tokens - 1 - n_after] != settings->reply_marker)
            continue;
        int32_t at = n_after - settings->reply_skip;
        return at >= 0 && at < settings->n_reply ? settings->reply[at] : settings->end_token;
    }
    return -1;
}

int32_t fake_engine_next_token(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens)
{
    int32_t scripted = scripted_token(settings, tokens, n_tokens);
    if (scripted >= 0)
        return scripted;
    if (settings->end_after > 0 && n_tokens % settings->end_after == 0)
        return FAKE_END_TOKEN;
    return 1 + (int32_t)(hash_history(tokens, n_tokens) % (uint64_t)(settings->n_vocab - 1));
}

void fake_engine_logits(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens,
                        float *logits)
{
    uint64_t hash = hash_history(tokens, n_tokens);
    for (int32_t i = 0; i < settings->n_vocab; i++)
        logits[i] = (float)(mix(hash + (uint64_t)i) % 1000) / 1000.0f;
    logits[fake_engine_next_token(settings, tokens, n_tokens)] = settings->reply ? 60.0f : 6.0f;
}

void fake_engine_hidden(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens,
                        float *hidden)
{
    uint64_t hash = hash_history(tokens, n_tokens);
    for (int32_t i = 0; i < settings->n_embd; i++)
        hidden[i] = (float)(mix(hash + 1000u * (uint64_t)i) % 2001) / 1000.0f - 1.0f;
}

void ssw_engine_read_layer_times(const ssw_engine *engine, int32_t layer, ssw_engine_layer_times *out)
{
    (void)engine;
    *out = (ssw_engine_layer_times){.n_steps = 1, .wait_ns = 2000000000, .work_ns = 3000000000 + layer};
}

const char *ssw_engine_bound_name(ssw_engine_bound bound)
{
    static const char *const names[SSW_ENGINE_BOUNDS] = {"bytes", "vectors", "tiles"};
    return names[bound];
}

void ssw_engine_read_prompt_times(const ssw_engine *engine, ssw_engine_bound bound,
                                  ssw_engine_prompt_times *out)
{
    (void)engine;
    *out =
        (ssw_engine_prompt_times){.n_layers = 10u + bound, .predicted_ns = 500000000, .actual_ns = 750000000};
}

void ssw_engine_read_expert_cache(ssw_engine *engine, ssw_engine_expert_cache *out)
{
    (void)engine;
    *out = (ssw_engine_expert_cache){.n_slots = 3, .hits_total = 30, .misses_total = 10, .uploads_total = 2};
}

ssw_engine *fake_engine_make(const fake_engine_settings *settings)
{
    ssw_engine *engine = calloc(1, sizeof *engine);
    assert(engine);
    engine->settings = *settings;
    engine->info = (ssw_engine_info){
        .finds_top = settings->finds_top,
        .architecture = "fake",
        .name = "fake model",
        .isa = "reference",
        .n_layers = 1,
        .copy_bytes_per_s = 50e9,
        .cpu_moe_rates = {1e11, 2.2e11},
        .n_embd = settings->n_embd,
        .n_vocab = settings->n_vocab,
        .ctx_size = settings->ctx_size,
        .ctx_train = settings->ctx_size,
        .n_parallel = settings->n_parallel,
        .n_batch = settings->n_batch,
        .n_threads = 1,
        .n_places = 1,
        .places = {{"everything", "CPU", "imagined", 10, 10}},
    };
    engine->sessions = calloc((size_t)settings->n_parallel, sizeof *engine->sessions);
    assert(engine->sessions);
    for (int32_t i = 0; i < settings->n_parallel; i++) {
        engine->sessions[i].engine = engine;
        engine->sessions[i].tokens = calloc((size_t)settings->ctx_size, sizeof(int32_t));
        assert(engine->sessions[i].tokens);
    }
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->changed, NULL);
    ssw_status status = ssw_scheduler_slot_init(&engine->slot, NULL);
    assert(status == SSW_OK);
    return engine;
}

void ssw_engine_close(ssw_engine *engine)
{
    if (!engine)
        return;
    ssw_scheduler_slot_deinit(&engine->slot);
    for (int32_t i = 0; i < engine->settings.n_parallel; i++) {
        assert(!engine->sessions[i].is_open);
        free(engine->sessions[i].tokens);
    }
    free(engine->sessions);
    pthread_mutex_destroy(&engine->lock);
    pthread_cond_destroy(&engine->changed);
    free(engine);
}

const ssw_engine_info *ssw_engine_describe(const ssw_engine *engine)
{
    return &engine->info;
}

const struct ssw_tokenizer *ssw_engine_tokenizer(const ssw_engine *engine)
{
    return engine->settings.tokenizer;
}

const struct ssw_chat *ssw_engine_chat(const ssw_engine *engine)
{
    return engine->settings.chat;
}

ssw_scheduler_slot *ssw_engine_scheduler_slot(ssw_engine *engine)
{
    return &engine->slot;
}

void fake_engine_close_gate(ssw_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    engine->gate_is_closed = true;
    pthread_mutex_unlock(&engine->lock);
}

void fake_engine_open_gate(ssw_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    engine->gate_is_closed = false;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

void fake_engine_wait_arrivals(ssw_engine *engine, int32_t count)
{
    pthread_mutex_lock(&engine->lock);
    while (engine->n_arrivals < count)
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
}

int32_t fake_engine_calls(ssw_engine *engine, fake_call calls[FAKE_CALLS_MAX])
{
    pthread_mutex_lock(&engine->lock);
    int32_t n = engine->n_calls;
    memcpy(calls, engine->calls, (size_t)n * sizeof *calls);
    pthread_mutex_unlock(&engine->lock);
    return n;
}

/* ---- sessions ---- */

ssw_status ssw_session_open(ssw_engine *engine, ssw_session **out, ssw_error *err)
{
    for (int32_t i = 0; i < engine->settings.n_parallel; i++) {
        ssw_session *session = &engine->sessions[i];
        if (session->is_open)
            continue;
        session->is_open = true;
        session->n_tokens = 0;
        *out = session;
        return SSW_OK;
    }
    return ssw_error_set(err, SSW_ERR_LIMIT, "all sessions are open");
}

void ssw_session_close(ssw_session *session)
{
    assert(session->is_open);
    session->is_open = false;
}

int32_t ssw_session_length(const ssw_session *session)
{
    return session->n_tokens;
}

ssw_status ssw_session_truncate(ssw_session *session, int32_t n, ssw_error *err)
{
    int32_t window = session->engine->settings.window;
    assert(n >= 0 && n <= session->n_tokens);
    if (window > 0 && n > 0 && session->n_tokens - n > window) {
        session->n_tokens = 0;
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "the window has moved on");
    }
    session->n_tokens = n;
    return SSW_OK;
}

/* ---- eval ---- */

static void pass_gate(ssw_engine *engine, const ssw_eval_item *items, int32_t n_items)
{
    fake_call call = {.n_items = n_items};
    for (int32_t i = 0; i < n_items; i++) {
        call.n_tokens_total += items[i].n_tokens;
        if (items[i].n_tokens > call.n_tokens_largest)
            call.n_tokens_largest = items[i].n_tokens;
        call.n_logits += items[i].logits != NULL;
        call.n_top += items[i].top != NULL;
        assert(!items[i].top || engine->settings.finds_top);
    }
    assert(call.n_logits == 0 || call.n_top == 0);
    pthread_mutex_lock(&engine->lock);
    if (engine->n_calls < FAKE_CALLS_MAX)
        engine->calls[engine->n_calls] = call;
    engine->n_calls += engine->n_calls < FAKE_CALLS_MAX;
    engine->n_arrivals++;
    pthread_cond_broadcast(&engine->changed);
    while (engine->gate_is_closed)
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
    int64_t pause_ns = engine->settings.step_ns + engine->settings.token_ns * call.n_tokens_total;
    if (pause_ns > 0)
        ssw_clock_sleep_until_ns(ssw_clock_now_ns() + pause_ns);
}

static void make_logits(const fake_engine_settings *settings, const ssw_session *session, float *logits)
{
    fake_engine_logits(settings, session->tokens, session->n_tokens, logits);
    for (int32_t i = 0; settings->no_finite_logits && i < settings->n_vocab; i++)
        logits[i] = -__builtin_inff();
}

/* Each time the first of the largest that are left. */
static void make_top(const fake_engine_settings *settings, const ssw_session *session, ssw_top_logit *top)
{
    float *logits = calloc((size_t)settings->n_vocab, sizeof *logits);
    assert(logits);
    make_logits(settings, session, logits);
    for (int k = 0; k < SSW_ENGINE_TOP_LOGITS; k++) {
        top[k] = (ssw_top_logit){-__builtin_inff(), -1};
        for (int32_t i = 0; i < settings->n_vocab; i++) {
            if (logits[i] > top[k].logit)
                top[k] = (ssw_top_logit){logits[i], i};
        }
        if (top[k].token >= 0)
            logits[top[k].token] = -__builtin_inff();
    }
    free(logits);
}

static void eval_item(const fake_engine_settings *settings, const ssw_eval_item *item)
{
    ssw_session *session = item->session;
    float *hidden = calloc((size_t)settings->n_embd, sizeof *hidden);
    assert(hidden);
    if (item->hidden_sum)
        memset(item->hidden_sum, 0, (size_t)settings->n_embd * sizeof *hidden);
    for (int32_t i = 0; i < item->n_tokens; i++) {
        session->tokens[session->n_tokens++] = item->tokens[i];
        if (!item->hidden_sum)
            continue;
        fake_engine_hidden(settings, session->tokens, session->n_tokens, hidden);
        for (int32_t j = 0; j < settings->n_embd; j++)
            item->hidden_sum[j] += hidden[j];
    }
    free(hidden);
    if (item->logits)
        make_logits(settings, session, item->logits);
    if (item->top)
        make_top(settings, session, item->top);
}

ssw_status ssw_engine_eval(ssw_engine *engine, const ssw_eval_item *items, int32_t n_items, ssw_error *err)
{
    const fake_engine_settings *settings = &engine->settings;
    assert(n_items >= 1 && n_items <= settings->n_parallel);
    for (int32_t i = 0; i < n_items; i++) {
        assert(items[i].session->is_open && items[i].n_tokens >= 1);
        assert(items[i].session->n_tokens + items[i].n_tokens <= settings->ctx_size);
        for (int32_t j = 0; j < i; j++)
            assert(items[j].session != items[i].session);
    }
    pass_gate(engine, items, n_items);
    if (settings->fail_after > 0 && engine->n_arrivals > settings->fail_after)
        return ssw_error_set(err, SSW_ERR_INTERNAL, "the fake engine fails as told");
    for (int32_t i = 0; i < n_items; i++)
        eval_item(settings, &items[i]);
    return SSW_OK;
}
