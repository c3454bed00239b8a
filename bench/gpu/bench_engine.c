/* Prefill and decode rates of the engine itself, without a server: medians over repeats, a line of JSON each.
 *
 * Decode is greedy from the argmax of the logits, after a prompt of the first size. Usage: see main. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "seesaw/engine.h"

enum { PROMPTS_MAX = 8, REPEATS_MAX = 100, CONTEXT_ROOM = 64 };

typedef struct settings {
    ssw_engine_options engine;
    int32_t prompts[PROMPTS_MAX];
    int n_prompts, n_repeats;
    int32_t n_decode;
    bool all_logits;
    const char *label;
} settings;

static void say(void *context, ssw_log_level level, const char *message)
{
    (void)context, (void)level;
    fprintf(stderr, "  %s\n", message);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int32_t argmax(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        if (logits[i] > logits[best])
            best = i;
    }
    return best;
}

/* One of logits and top is NULL. */
static double eval(ssw_engine *engine, ssw_session *session, const int32_t *tokens, int32_t n, float *logits,
                   ssw_top_logit *top)
{
    ssw_error err;
    ssw_eval_item item = {.session = session, .tokens = tokens, .n_tokens = n, .logits = logits, .top = top};
    int64_t begin_ns = ssw_clock_now_ns();
    if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        exit(1);
    }
    return (double)(ssw_clock_now_ns() - begin_ns) / 1e9;
}

static void fill_random(int32_t *tokens, int32_t n, int32_t n_vocab, uint32_t seed)
{
    for (int32_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((seed >> 8) % (uint32_t)n_vocab);
    }
}

static void say_cache(const settings *s, ssw_engine *engine)
{
    ssw_engine_expert_cache cache;
    ssw_engine_read_expert_cache(engine, &cache);
    if (cache.n_slots > 0)
        printf("{\"label\": \"%s\", \"cached_experts\": %d, \"hits\": %llu, \"misses\": %llu, \"uploads\": "
               "%llu}\n",
               s->label, cache.n_slots, (unsigned long long)cache.hits_total,
               (unsigned long long)cache.misses_total, (unsigned long long)cache.uploads_total);
}

/* Where a decoded token's time went, of what passed since `before`; nothing without experts in host memory.
 */
static void print_times(const settings *s, const ssw_engine *engine, const ssw_engine_layer_times *before,
                        double step_s)
{
    double wait_us = 0, work_us = 0;
    int n = 0;
    for (int32_t i = 0; i < ssw_engine_describe(engine)->n_layers; i++) {
        ssw_engine_layer_times times;
        ssw_engine_read_layer_times(engine, i, &times);
        double n_steps = (double)(times.n_steps - before[i].n_steps);
        if (n_steps <= 0)
            continue;
        n++;
        wait_us += (double)(times.wait_ns - before[i].wait_ns) / n_steps / 1e3;
        work_us += (double)(times.work_ns - before[i].work_ns) / n_steps / 1e3;
    }
    if (n > 0)
        printf("{\"label\": \"%s\", \"expert_layers\": %d, \"gpu_us_per_layer\": %.1f, \"cpu_us_per_layer\": "
               "%.1f, "
               "\"outside_us\": %.1f}\n",
               s->label, n, wait_us / n, work_us / n, step_s * 1e6 - wait_us - work_us);
}

/* The CPU's part of all layers of prompts so far, as planned and as it was; nothing without one. */
static void print_prompt_times(const settings *s, const ssw_engine *engine)
{
    for (int i = 0; i < SSW_ENGINE_BOUNDS; i++) {
        ssw_engine_prompt_times times;
        ssw_engine_read_prompt_times(engine, (ssw_engine_bound)i, &times);
        if (times.n_layers > 0)
            printf(
                "{\"label\": \"%s\", \"prompt_layers\": %llu, \"bound\": \"%s\", \"predicted_us_per_layer\": "
                "%.1f, \"cpu_us_per_layer\": %.1f}\n",
                s->label, (unsigned long long)times.n_layers, ssw_engine_bound_name((ssw_engine_bound)i),
                (double)times.predicted_ns / 1e3 / (double)times.n_layers,
                (double)times.actual_ns / 1e3 / (double)times.n_layers);
    }
}

static void run(const settings *s, ssw_engine *engine)
{
    const ssw_engine_info *info = ssw_engine_describe(engine);
    double seconds[REPEATS_MAX], first[REPEATS_MAX];
    int32_t *tokens = calloc((size_t)info->ctx_size, sizeof *tokens);
    float *logits = calloc((size_t)info->n_vocab, sizeof *logits);
    ssw_session *session;
    ssw_error err;
    if (!tokens || !logits || ssw_session_open(engine, &session, &err) != SSW_OK)
        exit(1);
    for (int p = 0; p < s->n_prompts; p++) {
        for (int r = -1; r < s->n_repeats; r++) { /* the first, not counted, warms up */
            fill_random(tokens, s->prompts[p], info->n_vocab, (uint32_t)(r + 7));
            ssw_session_truncate(session, 0, NULL);
            double took = eval(engine, session, tokens, s->prompts[p], logits, NULL);
            if (r >= 0)
                first[r] = took;
        }
        double middle = median(first, s->n_repeats);
        printf("{\"label\": \"%s\", \"prompt\": %d, \"seconds\": %.6f, \"tokens_per_s\": %.1f}\n", s->label,
               s->prompts[p], middle, s->prompts[p] / middle);
        fflush(stdout);
    }
    print_prompt_times(s, engine);
    ssw_engine_layer_times *before = calloc((size_t)info->n_layers, sizeof *before);
    double all_s = 0;
    if (!before)
        exit(1);
    ssw_top_logit top[SSW_ENGINE_TOP_LOGITS];
    for (int r = -1; r < s->n_repeats && s->n_decode > 0; r++) { /* greedily, as the server would */
        fill_random(tokens, s->prompts[0], info->n_vocab, (uint32_t)(r + 7));
        ssw_session_truncate(session, 0, NULL);
        eval(engine, session, tokens, s->prompts[0], logits, NULL);
        int32_t token = argmax(logits, info->n_vocab);
        double took = 0;
        for (int32_t i = 0; r == 0 && i < info->n_layers; i++)
            ssw_engine_read_layer_times(engine, i, &before[i]);
        for (int32_t i = 0; i < s->n_decode; i++) {
            bool only_top = info->finds_top && !s->all_logits;
            took += eval(engine, session, &token, 1, only_top ? NULL : logits, only_top ? top : NULL);
            token = only_top ? top[0].token : argmax(logits, info->n_vocab);
        }
        if (r >= 0) {
            seconds[r] = took / s->n_decode;
            all_s += took / s->n_decode / s->n_repeats;
        }
    }
    if (s->n_decode > 0) {
        double middle = median(seconds, s->n_repeats);
        printf("{\"label\": \"%s\", \"decode\": %d, \"ms_per_token\": %.4f, \"tokens_per_s\": %.1f, "
               "\"expert_gb_per_s\": %.1f}\n",
               s->label, s->n_decode, middle * 1e3, 1 / middle,
               (double)info->expert_bytes_per_token / middle / 1e9);
        print_times(s, engine, before, all_s);
    }
    say_cache(s, engine);
    free(before);
    free(tokens);
    free(logits);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    settings *s = state->input;
    switch (key) {
    case 'm':
        s->engine.model_path = text;
        return 0;
    case 'g':
        s->engine.n_gpu_layers = (int32_t)atol(text);
        return 0;
    case 'e':
        s->engine.n_cpu_moe = (int32_t)atol(text);
        return 0;
    case 's':
        s->engine.cpu_moe_share = (int32_t)atol(text);
        return 0;
    case 'x':
        s->engine.cpu_moe_rates.vectors = atof(text) * 1e9;
        s->engine.cpu_moe_rates.tiles = (strchr(text, ',') ? atof(strchr(text, ',') + 1) : atof(text)) * 1e9;
        return 0;
    case 'c':
        s->engine.moe_cache_bytes = (uint64_t)atol(text) << 20;
        return 0;
    case 't':
        s->engine.n_threads = (int32_t)atol(text);
        return 0;
    case 'b':
        s->engine.n_batch = (int32_t)atol(text);
        return 0;
    case 'k': /* the engine refuses what it does not have */
        s->engine.cache_type_k = s->engine.cache_type_v =
            ssw_dtype_find_name(text) ? ssw_dtype_find_name(text)->dtype : SSW_DTYPE_F32;
        return 0;
    case 'n':
        s->n_decode = (int32_t)atol(text);
        return 0;
    case 'r':
        s->n_repeats = (int)atol(text) < REPEATS_MAX ? (int)atol(text) : REPEATS_MAX;
        return 0;
    case 'a':
        s->all_logits = true;
        return 0;
    case 'l':
        s->label = text;
        return 0;
    case 'p':
        if (s->n_prompts < PROMPTS_MAX)
            s->prompts[s->n_prompts++] = (int32_t)atol(text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option arguments[] = {
        {"model", 'm', "FILE", 0, "the GGUF", 0},
        {"n-gpu-layers", 'g', "N", 0, "layers on the GPU (default: all)", 0},
        {"n-cpu-moe", 'e', "N", 0, "layers whose experts stay in host memory (default: 0)", 0},
        {"cpu-moe-share", 's', "N", 0, "per cent of those that the CPU computes", 0},
        {"cpu-moe-rate", 'x', "N,M", 0, "as of seesaw serve (default: measured)", 0},
        {"moe-cache-mib", 'c', "N", 0, "of GPU memory for the most used of those", 0},
        {"threads", 't', "N", 0, "worker threads", 0},
        {"batch", 'b', "N", 0, "tokens of a prefill step", 0},
        {"cache-type", 'k', "TYPE", 0, "of the KV cache's keys and values: f16 (default) or q8_0", 0},
        {"prompt", 'p', "N", 0, "time a prompt of N tokens; may be given several times", 0},
        {"decode", 'n', "N", 0, "time N tokens decoded after the first prompt (default: 100)", 0},
        {"repeats", 'r', "N", 0, "of which the median is taken (default: 5)", 0},
        {"all-logits", 'a', NULL, 0,
         "decoding gives all of them (default: the largest, where the engine finds them)", 0},
        {"label", 'l', "TEXT", 0, "goes into every line", 0},
        {0}};
    static const struct argp argp = {.options = arguments, .parser = parse, .doc = "Time the engine."};
    settings s = {.n_decode = 100, .n_repeats = 5, .label = ""};
    ssw_engine *engine;
    ssw_error err;
    ssw_engine_options_init(&s.engine);
    s.engine.n_gpu_layers = SSW_ENGINE_LAYERS_ALL;
    s.engine.log = (ssw_log){.sink = say, .level = SSW_LOG_INFO};
    if (argp_parse(&argp, argc, argv, 0, NULL, &s))
        return 2;
    if (s.n_prompts == 0)
        s.prompts[s.n_prompts++] = 27;
    for (int i = 0; i < s.n_prompts; i++) {
        if (s.prompts[i] + s.n_decode + CONTEXT_ROOM > s.engine.ctx_size)
            s.engine.ctx_size = s.prompts[i] + s.n_decode + CONTEXT_ROOM;
    }
    if (ssw_engine_open(&s.engine, &engine, &err) != SSW_OK) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        return 1;
    }
    const ssw_engine_info *info = ssw_engine_describe(engine);
    printf("{\"label\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"load_s\": %.2f, \"copy_gb_per_s\": %g, "
           "\"cpu_moe_rates\": [%g, %g]}\n",
           s.label, info->isa, info->n_threads, (double)info->load_ns / 1e9, info->copy_bytes_per_s / 1e9,
           info->cpu_moe_rates.vectors / 1e9, info->cpu_moe_rates.tiles / 1e9);
    for (int32_t i = 0; i < info->n_places; i++)
        printf("{\"label\": \"%s\", \"tensors\": \"%s\", \"device\": \"%s\", \"mib\": %.1f}\n", s.label,
               info->places[i].tensors, info->places[i].device,
               (double)info->places[i].actual_bytes / (1 << 20));
    fflush(stdout);
    run(&s, engine);
    ssw_engine_close(engine);
    return 0;
}
