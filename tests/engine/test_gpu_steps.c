/* Steps of every shape, one schedule in several placements: prompts and decoding of 1 to 8 sequences in all
 * mixtures, graphs for every number of rows, contexts that grow from one class of length to the next, rings
 * that wrap around, truncated sessions. Against the same model in host memory; the GPU is tests/stand_in. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../contract/logits.h"
#include "gpu_case.h"
#include "stand_in.h"
#include "tiny_gpt_oss.h"

enum {
    CTX = 600,
    N_BATCH = 16, /* so that layers with a window have rings of 64 rows */
    N_SEQUENCES = 8,
    N_VOCAB = 96,
    N_EMBD = 64,
    ITEM_TOKENS_MAX = 40,
    RANDOM_STEPS = 30,
    RESULTS_MAX = 2000 /* rows of logits */
};

/* Float weights: sums in another order, keys and values as F16 on both sides. */
#define LOGITS_MAX 0.02f
#define HIDDEN_MAX 0.05f /* of sums over up to ITEM_TOKENS_MAX tokens */

static char path[64];

static int write_model(void **state)
{
    tiny_shape shape = tiny_shape_default();
    shape.ctx = CTX;
    snprintf(path, sizeof path, "tiny-gpu-steps-%d.gguf", (int)getpid());
    tiny_gpt_oss_write(path, &shape, 11, NULL);
    return 0;
}

static int remove_model(void **state)
{
    unlink(path);
    return 0;
}

typedef struct schedule {
    ssw_engine *engine;
    ssw_session *sessions[N_SEQUENCES];
    uint32_t random;
    int32_t n_logits, n_hidden; /* rows */
    float *logits, *hidden;
    uint64_t n_host_layers; /* prompts' in which experts were left to the CPU */
    ssw_eval_item items[N_SEQUENCES];
    int32_t tokens[N_SEQUENCES][CTX];
    int32_t n_items;
} schedule;

static int32_t draw(schedule *s, int32_t n)
{
    s->random = s->random * 1664525u + 1013904223u;
    return (int32_t)((s->random >> 8) % (uint32_t)n);
}

typedef enum wish { WANTS_NOTHING, WANTS_LAST, WANTS_ALL, WANTS_HIDDEN, N_WISHES } wish;

/* Of one sequence in the next step; what is wanted of it goes to the next rows of results. */
static void add_item(schedule *s, int32_t sequence, int32_t n, wish what)
{
    int32_t at = s->n_items++;
    ssw_eval_item *item = &s->items[at];
    *item = (ssw_eval_item){.session = s->sessions[sequence], .tokens = s->tokens[at], .n_tokens = n};
    for (int32_t i = 0; i < n; i++)
        s->tokens[at][i] = draw(s, N_VOCAB);
    float *logits = s->logits + (size_t)s->n_logits * N_VOCAB;
    if (what == WANTS_LAST)
        item->logits = logits;
    if (what == WANTS_ALL)
        item->logits_all = logits;
    if (what == WANTS_HIDDEN)
        item->hidden_sum = s->hidden + (size_t)s->n_hidden++ * N_EMBD;
    s->n_logits += what == WANTS_ALL ? n : what == WANTS_LAST;
    assert_true(s->n_logits <= RESULTS_MAX);
}

static void run_step(schedule *s)
{
    ssw_error err = {0};
    if (ssw_engine_eval(s->engine, s->items, s->n_items, &err) != SSW_OK)
        fail_msg("%s", err.message);
    s->n_items = 0;
}

static void forget(schedule *s, int32_t sequence)
{
    ssw_error err;
    assert_int_equal(ssw_session_truncate(s->sessions[sequence], 0, &err), SSW_OK);
}

/* Every number of rows that has a graph of its own, and one more. */
static void decode_together(schedule *s)
{
    for (int32_t n = 1; n <= N_SEQUENCES; n++) {
        for (int32_t i = 0; i < n; i++)
            add_item(s, i, 1, WANTS_LAST);
        run_step(s);
    }
}

/* Past the length at which another graph is recorded, 512. */
static void grow(schedule *s)
{
    add_item(s, 0, 505 - ssw_session_length(s->sessions[0]), WANTS_LAST);
    run_step(s);
    for (int32_t i = 0; i < 12; i++) {
        add_item(s, 0, 1, WANTS_LAST);
        if (i % 3 == 0)
            add_item(s, 3, 1, WANTS_LAST);
        run_step(s);
    }
    forget(s, 0);
}

static void step_at_random(schedule *s)
{
    int32_t first = draw(s, N_SEQUENCES), n = 1 + draw(s, N_SEQUENCES);
    bool is_decode = draw(s, 3) == 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t sequence = (first + i) % N_SEQUENCES;
        int32_t n_tokens = is_decode || draw(s, 2) ? 1 : 1 + draw(s, ITEM_TOKENS_MAX);
        if (ssw_session_length(s->sessions[sequence]) + n_tokens > CTX / 4)
            forget(s, sequence);
        add_item(s, sequence, n_tokens, is_decode ? WANTS_LAST : (wish)draw(s, N_WISHES));
    }
    run_step(s);
}

static ssw_engine_options options_of(int32_t n_gpu_layers, int32_t n_cpu_moe, uint64_t cache_bytes)
{
    ssw_engine_options options = gpu_case_options(path);
    options.ctx_size = CTX;
    options.n_batch = N_BATCH;
    options.n_parallel = N_SEQUENCES;
    options.n_gpu_layers = n_gpu_layers;
    options.n_cpu_moe = n_cpu_moe;
    options.moe_cache_bytes = cache_bytes;
    return options;
}

static void run_schedule(schedule *s, ssw_engine_options options)
{
    ssw_error err = {0};
    memset(s, 0, sizeof *s);
    s->engine = gpu_case_open(&options);
    s->random = 5;
    s->logits = calloc(RESULTS_MAX, N_VOCAB * sizeof *s->logits);
    s->hidden = calloc(RANDOM_STEPS * N_SEQUENCES, N_EMBD * sizeof *s->hidden);
    assert_true(s->logits && s->hidden);
    for (int i = 0; i < N_SEQUENCES; i++)
        assert_int_equal(ssw_session_open(s->engine, &s->sessions[i], &err), SSW_OK);
    decode_together(s);
    grow(s);
    for (int i = 0; i < RANDOM_STEPS; i++)
        step_at_random(s);
    decode_together(s);
    for (int bound = 0; bound < SSW_ENGINE_BOUNDS; bound++) {
        ssw_engine_prompt_times times;
        ssw_engine_read_prompt_times(s->engine, (ssw_engine_bound)bound, &times);
        assert_int_equal(times.n_layers > 0, times.predicted_ns > 0);
        assert_int_equal(times.n_layers > 0, times.actual_ns > 0);
        s->n_host_layers += times.n_layers;
    }
    ssw_engine_close(s->engine);
    gpu_case_expect_nothing();
}

static void free_schedule(schedule *s)
{
    free(s->logits);
    free(s->hidden);
}

static void expect_close(const char *name, const schedule *own, const schedule *host)
{
    assert_int_equal(own->n_logits, host->n_logits);
    assert_int_equal(own->n_hidden, host->n_hidden);
    assert_true(host->n_logits > 100 && host->n_hidden > 10);
    float logits = max_difference(own->logits, host->logits, (int64_t)host->n_logits * N_VOCAB);
    float hidden = max_difference(own->hidden, host->hidden, (int64_t)host->n_hidden * N_EMBD);
    print_message("%s: %d rows of logits differ by %.5f at most, %d sums of hidden rows by %.5f\n", name,
                  host->n_logits, (double)logits, host->n_hidden, (double)hidden);
    assert_true(logits <= LOGITS_MAX);
    assert_true(hidden <= HIDDEN_MAX);
}

static void every_shape_of_step_computes_the_same(void **state)
{
    static const struct {
        const char *name;
        int32_t n_gpu_layers, n_cpu_moe;
        uint64_t cache_bytes;
    } placements[] = {{"gpu", SSW_ENGINE_LAYERS_ALL, 0, 0},
                      {"experts in host memory", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, 0},
                      {"the first layer's", SSW_ENGINE_LAYERS_ALL, 1, 0},
                      {"with a cache of experts", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, 400000},
                      {"last layer on the gpu", 2, 0, 0},
                      {"last layer, experts in host memory", 2, SSW_ENGINE_LAYERS_ALL, 0}};
    schedule *host = malloc(sizeof *host), *own = malloc(sizeof *own);
    assert_true(host && own);
    run_schedule(host, options_of(0, 0, 0));
    for (size_t i = 0; i < sizeof placements / sizeof placements[0]; i++) {
        run_schedule(
            own, options_of(placements[i].n_gpu_layers, placements[i].n_cpu_moe, placements[i].cache_bytes));
        expect_close(placements[i].name, own, host);
        free_schedule(own);
    }
    free_schedule(host);
    free(host);
    free(own);
}

static bool have_same_bits(const schedule *a, const schedule *b)
{
    return memcmp(a->logits, b->logits, (size_t)a->n_logits * N_VOCAB * sizeof *a->logits) == 0 &&
           memcmp(a->hidden, b->hidden, (size_t)a->n_hidden * N_EMBD * sizeof *a->hidden) == 0;
}

/* The rates decide who computes an expert, and nothing else does: another that plans alike gives the same
 * bits. */
static void rates_move_experts(void **state)
{
    static const struct {
        const char *name;
        double rate;
    } rates[] = {{"as others", 1e11}, {"a little more", 1.001e11}, {"a slow CPU", 1e6}, {"a fast one", 1e15}};
    enum { N_RATES = sizeof rates / sizeof rates[0] };
    schedule *of = calloc(N_RATES, sizeof *of);
    assert_non_null(of);
    for (int i = 0; i < N_RATES; i++) {
        ssw_engine_options options = options_of(SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, 0);
        options.cpu_moe_rates = (ssw_engine_cpu_rates){rates[i].rate, rates[i].rate};
        run_schedule(&of[i], options);
        expect_close(rates[i].name, &of[i], &of[0]);
        print_message("%s: %d layers of prompts have experts on the CPU\n", rates[i].name,
                      (int)of[i].n_host_layers);
    }
    assert_true(have_same_bits(&of[0], &of[1]));
    assert_true(of[0].n_host_layers == of[1].n_host_layers);
    assert_true(of[2].n_host_layers < of[3].n_host_layers);
    assert_false(have_same_bits(&of[2], &of[3]));
    for (int i = 0; i < N_RATES; i++)
        free_schedule(&of[i]);
    free(of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_shape_of_step_computes_the_same),
                                       cmocka_unit_test(rates_move_experts)};
    return cmocka_run_group_tests(tests, write_model, remove_model);
}
