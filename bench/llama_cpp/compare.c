/* seesaw's engine beside llama.cpp: the same GGUF, the same threads, one process, one run, turn by turn.
 *
 *     compare MODEL.gguf [--threads N] [--rounds N] [--decode N] [--prefill N,N,...] [--depth N]
 *
 * Each round times, for every measurement, first one program and then the other, in alternating order, so
 * that a noisy neighbour hits both; the ratio is the median of the rounds' ratios. Decode is greedy on the
 * program's own logits, from a context of --depth random tokens. Beside it stands the rate at which this
 * process reads memory, and which part of it decode achieves. */
#include <argp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/read_bandwidth.h"
#include "llama_ref.h"
#include "seesaw/engine.h"

enum { ROUNDS_MAX = 101, PREFILLS_MAX = 8, TOKENS_MAX = 1 << 16, PAUSE_MS = 500 };

typedef struct settings {
    const char *model_path;
    int threads, rounds, decode, depth, n_prefills;
    int prefills[PREFILLS_MAX];
} settings;

typedef struct contest {
    const settings *s;
    ssw_engine *engine;
    ssw_session *session;
    ssw_llama *llama;
    int32_t n_vocab;
    int32_t *tokens; /* random */
    float *logits;
} contest;

static void stop(const char *what, const ssw_error *err)
{
    fprintf(stderr, "compare: %s: %s\n", what, err->message);
    exit(1);
}

static int32_t largest(const float *logits, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static void open_both(contest *c)
{
    ssw_error err;
    ssw_engine_options options;
    int n_ctx = 4096;
    ssw_engine_options_init(&options);
    options.model_path = c->s->model_path;
    options.n_threads = c->s->threads;
    options.ctx_size = n_ctx;
    if (ssw_engine_open(&options, &c->engine, &err) != SSW_OK ||
        ssw_session_open(c->engine, &c->session, &err) != SSW_OK)
        stop("seesaw", &err);
    ssw_llama_options llama = {.model_path = c->s->model_path, .n_ctx = n_ctx, .n_threads = c->s->threads};
    if (ssw_llama_open(&llama, &c->llama, &err) != SSW_OK)
        stop("llama.cpp", &err);
    c->n_vocab = ssw_engine_describe(c->engine)->n_vocab;
    c->logits = malloc((size_t)c->n_vocab * sizeof *c->logits);
    c->tokens = malloc(TOKENS_MAX * sizeof *c->tokens);
    if (!c->logits || !c->tokens)
        stop("memory", &(ssw_error){.message = "none"});
    uint64_t state = 1;
    for (int i = 0; i < TOKENS_MAX; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        c->tokens[i] = (int32_t)((state >> 33) % (uint64_t)c->n_vocab);
    }
}

static void seesaw_eval(contest *c, const int32_t *tokens, int32_t n)
{
    ssw_error err;
    ssw_eval_item item = {.session = c->session, .tokens = tokens, .n_tokens = n, .logits = c->logits};
    if (ssw_engine_eval(c->engine, &item, 1, &err) != SSW_OK)
        stop("seesaw", &err);
}

static void llama_eval(contest *c, const int32_t *tokens, int32_t n)
{
    ssw_error err;
    if (ssw_llama_eval(c->llama, tokens, (size_t)n, false, &err) != SSW_OK)
        stop("llama.cpp", &err);
    (void)ssw_llama_logits(c->llama); /* waits for them */
}

static void reset(contest *c, bool is_seesaw)
{
    ssw_error err;
    if (!is_seesaw)
        ssw_llama_reset(c->llama);
    else if (ssw_session_truncate(c->session, 0, &err) != SSW_OK)
        stop("seesaw", &err);
    ssw_clock_sleep_until_ns(ssw_clock_now_ns() +
                             PAUSE_MS * SSW_NS_PER_MS); /* llama.cpp's idle threads spin for 0.1 s or more */
}

static double time_prefill(contest *c, bool is_seesaw, int n)
{
    reset(c, is_seesaw);
    int64_t start_ns = ssw_clock_now_ns();
    (is_seesaw ? seesaw_eval : llama_eval)(c, c->tokens, n);
    return n / ((double)(ssw_clock_now_ns() - start_ns) / 1e9);
}

static double time_decode(contest *c, bool is_seesaw, int depth)
{
    reset(c, is_seesaw);
    (is_seesaw ? seesaw_eval : llama_eval)(c, c->tokens, depth);
    int64_t start_ns = ssw_clock_now_ns();
    for (int i = 0; i < c->s->decode; i++) {
        int32_t token = is_seesaw ? largest(c->logits, c->n_vocab) : ssw_llama_greedy(c->llama);
        (is_seesaw ? seesaw_eval : llama_eval)(c, &token, 1);
    }
    return c->s->decode / ((double)(ssw_clock_now_ns() - start_ns) / 1e9);
}

typedef struct timed_turn {
    contest *c;
    bool is_seesaw;
    int n;       /* prompt tokens, or 0 for decode */
    double rate; /* out: tokens per second */
} timed_turn;

static void *run_turn(void *context)
{
    timed_turn *t = context;
    t->rate = t->n ? time_prefill(t->c, t->is_seesaw, t->n) : time_decode(t->c, t->is_seesaw, t->c->s->depth);
    return NULL;
}

/* On a thread of its own, as a server does it: the engine binds its caller to a core only where that is not
 * the program's first thread. */
static double take_turn(contest *c, bool is_seesaw, int n)
{
    timed_turn t = {.c = c, .is_seesaw = is_seesaw, .n = n};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_turn, &t) != 0) {
        fputs("compare_llama_cpp: cannot start a thread\n", stderr);
        exit(1);
    }
    pthread_join(thread, NULL);
    return t.rate;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* n: prompt tokens, or 0 for decode. Returns seesaw's median rate in tokens per second. */
static double measure(contest *c, int n)
{
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratios[ROUNDS_MAX];
    for (int r = -1; r < c->s->rounds; r++) { /* the first is a warm-up */
        for (int turn = 0; turn < 2; turn++) {
            bool is_seesaw = (r + turn) % 2 == 0;
            double rate = take_turn(c, is_seesaw, n);
            if (r >= 0)
                (is_seesaw ? ours : theirs)[r] = rate;
        }
        if (r >= 0)
            ratios[r] = ours[r] / theirs[r];
    }
    double our_median = median(ours, c->s->rounds), their_median = median(theirs, c->s->rounds);
    double ratio = median(ratios, c->s->rounds);
    printf("| %s%d | %.1f | %.1f | %.2f | %.2f to %.2f |\n", n ? "pp" : "tg", n ? n : c->s->decode,
           our_median, their_median, ratio, ratios[0], ratios[c->s->rounds - 1]);
    fflush(stdout);
    return our_median;
}

static double probe_gb_per_s(int threads)
{
    ssw_error err;
    ssw_read_bandwidth_options options = {.n_threads = threads};
    ssw_read_bandwidth found;
    if (ssw_read_bandwidth_measure(&options, &found, &err) != SSW_OK)
        stop("memory reads", &err);
    return found.best_bytes_per_s / 1e9;
}

/* Bytes of weights that one decoded token reads: all but the embedding, and of the experts those chosen. */
static double bytes_per_token(const ssw_engine_info *info)
{
    uint64_t n = info->expert_bytes_per_token;
    for (int i = 0; i < info->n_places; i++) {
        const ssw_engine_place *place = &info->places[i];
        if (strcmp(place->tensors, "experts") != 0 && strcmp(place->how, "repacked") == 0)
            n += place->actual_bytes;
    }
    return (double)n;
}

/* ---- front ---- */

static const struct argp_option argp_options[] = {
    {"threads", 't', "N", 0, "threads of both programs (2)", 0},
    {"rounds", 'r', "N", 0, "rounds (7)", 0},
    {"decode", 'n', "N", 0, "tokens decoded in a round (64)", 0},
    {"depth", 'd', "N", 0, "context before them (32)", 0},
    {"prefill", 'p', "N,N", 0, "prompt lengths (128,512)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    settings *s = state->input;
    switch (key) {
    case 't':
        s->threads = atoi(arg);
        break;
    case 'r':
        s->rounds = atoi(arg) < ROUNDS_MAX ? atoi(arg) : ROUNDS_MAX;
        break;
    case 'n':
        s->decode = atoi(arg);
        break;
    case 'd':
        s->depth = atoi(arg);
        break;
    case 'p':
        s->n_prefills = 0;
        for (char *at = strtok(arg, ","); at && s->n_prefills < PREFILLS_MAX; at = strtok(NULL, ","))
            s->prefills[s->n_prefills++] = atoi(at);
        break;
    case ARGP_KEY_ARG:
        if (s->model_path)
            argp_usage(state);
        s->model_path = arg;
        break;
    case ARGP_KEY_END:
        if (!s->model_path || s->rounds < 1 || s->decode < 1 || s->depth < 1 || s->threads < 1)
            argp_usage(state);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    settings s = {
        .threads = 2, .rounds = 7, .decode = 64, .depth = 32, .n_prefills = 2, .prefills = {128, 512}};
    const struct argp argp = {
        argp_options, parse, "MODEL.gguf", "Times seesaw's engine beside llama.cpp.", 0, 0, 0};
    contest c = {.s = &s};
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    open_both(&c);
    const ssw_engine_info *info = ssw_engine_describe(c.engine);
    double gb_per_token = bytes_per_token(info) / 1e9;
    double probe_before = probe_gb_per_s(s.threads);
    printf("%s: %.2f GB, %.3f GB read per token; %d threads, %s; %d rounds\n\n", info->name,
           (double)info->model_bytes / 1e9, gb_per_token, info->n_threads, info->isa, s.rounds);
    printf("| test | seesaw tok/s | llama.cpp tok/s | ratio (median of rounds) | range "
           "|\n|---|---|---|---|---|\n");
    double decode = measure(&c, 0);
    for (int i = 0; i < s.n_prefills; i++)
        (void)measure(&c, s.prefills[i]);
    double probe_after = probe_gb_per_s(s.threads);
    double probed = probe_after > probe_before ? probe_after : probe_before;
    printf("\nmemory reads %.1f GB/s before, %.1f GB/s after; decode uses %.1f GB/s, %.0f %% of the larger\n",
           probe_before, probe_after, decode * gb_per_token, 100 * decode * gb_per_token / probed);
    ssw_engine_close(c.engine);
    ssw_llama_close(c.llama);
    free(c.logits);
    free(c.tokens);
    return 0;
}
