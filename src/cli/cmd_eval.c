/* seesaw eval: a text's perplexity, and how far a model lies from another one or from saved logits. */
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/evidence/text_file.h"
#include "cli/commands.h"
#include "cli/engine_options.h"
#include "cli/eval_run.h"
#include "cli/file_meter.h"
#include "cli/log_stderr.h"
#include "cli/option_number.h"

enum { KEY_AGAINST = 256, KEY_LOGITS_IN, KEY_LOGITS_OUT, KEY_WINDOWS, KEY_JSON, KEY_FORCE };
enum { WINDOW_DEFAULT = 512, WINDOW_MIN = 4, JSON_SCHEMA = 1 };

typedef struct arguments {
    ssw_engine_options engine;
    const char *words[2]; /* MODEL, FILE */
    const char *against, *logits_in, *logits_out;
    int max_windows;
    bool json, force;
} arguments;

typedef struct evaluation { /* all that is open */
    ssw_engine *engine, *reference;
    ssw_logits_reader *in;
    ssw_logits_writer *out;
    ssw_eval_windows windows;
    ssw_eval_score score;
    char *text;
    size_t n_text_bytes;
    int64_t elapsed_ns;
} evaluation;

typedef struct meter {
    int64_t begin_ns, shown_ns;
    bool is_shown; /* standard error is a terminal */
} meter;

static const struct argp_option options[] = {
    {0, 0, 0, 0, "Compared with:", 1},
    {"against", KEY_AGAINST, "MODEL2", 0,
     "the reference: another GGUF with the same vocabulary, loaded beside MODEL", 1},
    {"logits-in", KEY_LOGITS_IN, "FILE", 0, "the reference: logits that --logits-out saved of the same text",
     1},
    {"logits-out", KEY_LOGITS_OUT, "FILE", 0,
     "save this model's logits: 2 bytes for each word of the vocabulary at each scored place", 1},
    {"windows", KEY_WINDOWS, "N", 0, "only the first N windows of the text (default: all)", 1},
    {"force", KEY_FORCE, 0, 0, "overwrite the file of --logits-out", 1},
    {"json", KEY_JSON, 0, 0, "result as JSON on standard output", 1},
    {0, 0, 0, 0, "Help:", -1},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->engine;
        return 0;
    case KEY_AGAINST:
        a->against = text;
        return 0;
    case KEY_LOGITS_IN:
        a->logits_in = text;
        return 0;
    case KEY_LOGITS_OUT:
        a->logits_out = text;
        return 0;
    case KEY_WINDOWS:
        a->max_windows = ssw_option_int(state, "windows", text, 1, SSW_EVAL_WINDOWS_MAX);
        return 0;
    case KEY_FORCE:
        a->force = true;
        return 0;
    case KEY_JSON:
        a->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "one model and one text at a time");
        a->words[state->arg_num] = text;
        return 0;
    case ARGP_KEY_END:
        if (!a->words[1])
            argp_error(state, "name the model and the text file");
        if (a->against && a->logits_in)
            argp_error(state, "--against and --logits-in both name the reference: give one");
        if (a->engine.ctx_size == 0)
            a->engine.ctx_size = WINDOW_DEFAULT;
        if (a->engine.ctx_size < WINDOW_MIN)
            argp_error(state, "--ctx-size must be at least %d here", WINDOW_MIN);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void show_progress(void *context, double done, int32_t total)
{
    meter *m = context;
    int64_t now_ns = ssw_clock_now_ns();
    if (!m->is_shown || (now_ns - m->shown_ns < SSW_NS_PER_S / 4 && done < total))
        return;
    m->shown_ns = now_ns;
    double seconds = (double)(now_ns - m->begin_ns) * 1e-9;
    fprintf(stderr, "\r%3.0f %%  window %.0f of %d  %.0f s left \033[K", 100 * done / total, ceil(done),
            total, seconds * (total - done) / done);
    if (done >= total)
        fputs("\r\033[K", stderr);
}

static ssw_status open_engine(const arguments *a, const char *path, ssw_engine **out, ssw_error *err)
{
    ssw_engine_options engine = a->engine;
    engine.model_path = path;
    ssw_status status = ssw_engine_open(&engine, out, err);
    if (!status && !ssw_engine_tokenizer(*out))
        status = ssw_error_set(err, SSW_ERR_UNSUPPORTED, "%s: a model without a tokenizer has no perplexity",
                               path);
    return status;
}

static ssw_status check_same_vocabulary(const arguments *a, const evaluation *e, ssw_error *err)
{
    int32_t n = ssw_engine_describe(e->engine)->n_vocab;
    if (ssw_engine_describe(e->reference)->n_vocab != n)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s and %s have vocabularies of %d and %d", a->words[0],
                             a->against, n, ssw_engine_describe(e->reference)->n_vocab);
    for (int32_t i = 0; i < n; i++) {
        size_t n_own = 0, n_other = 0;
        const char *own = ssw_tokenizer_piece(ssw_engine_tokenizer(e->engine), i, &n_own);
        const char *other = ssw_tokenizer_piece(ssw_engine_tokenizer(e->reference), i, &n_other);
        if (n_own != n_other || memcmp(own, other, n_own) != 0)
            return ssw_error_set(err, SSW_ERR_USAGE, "%s and %s differ in token %d: no common vocabulary",
                                 a->words[0], a->against, i);
    }
    return SSW_OK;
}

static ssw_status check_saved(const arguments *a, const evaluation *e, ssw_error *err)
{
    const ssw_logits_shape *saved = ssw_logits_reader_shape(e->in);
    if (saved->n_vocab != ssw_engine_describe(e->engine)->n_vocab || saved->window != e->windows.window ||
        saved->n_windows != e->windows.n_windows)
        return ssw_error_set(
            err, SSW_ERR_USAGE,
            "%s holds %d windows of %d tokens of a vocabulary of %d, here are %d of %d of %d: use the same "
            "text, -c and --windows",
            a->logits_in, saved->n_windows, saved->window, saved->n_vocab, e->windows.n_windows,
            e->windows.window, ssw_engine_describe(e->engine)->n_vocab);
    size_t n = (size_t)saved->window * (size_t)saved->n_windows;
    if (memcmp(ssw_logits_reader_tokens(e->in), e->windows.tokens, n * sizeof(int32_t)) != 0)
        return ssw_error_set(err, SSW_ERR_USAGE, "%s was made of another text or by another tokenizer",
                             a->logits_in);
    return SSW_OK;
}

static ssw_status open_all(const arguments *a, evaluation *e, ssw_error *err)
{
    ssw_status status =
        ssw_text_file_read(a->words[1], SSW_TOKENIZER_TEXT_BYTES_MAX, &e->text, &e->n_text_bytes, err);
    if (!status && a->logits_out && !a->force && access(a->logits_out, F_OK) == 0)
        status = ssw_error_set(err, SSW_ERR_USAGE, "%s exists; --force overwrites it", a->logits_out);
    if (!status)
        status = open_engine(a, a->words[0], &e->engine, err);
    if (!status && a->against)
        status = open_engine(a, a->against, &e->reference, err);
    if (!status && a->against)
        status = check_same_vocabulary(a, e, err);
    if (!status)
        status = ssw_eval_cut_windows(ssw_engine_tokenizer(e->engine), e->text, e->n_text_bytes,
                                      a->engine.ctx_size, a->max_windows, &e->windows, err);
    if (!status && a->logits_in)
        status = ssw_logits_reader_open(a->logits_in, &e->in, err);
    if (!status && a->logits_in)
        status = check_saved(a, e, err);
    if (!status)
        status = ssw_eval_score_init(&e->score, (size_t)e->windows.n_windows, err);
    if (!status && a->logits_out) {
        const ssw_logits_shape shape = {ssw_engine_describe(e->engine)->n_vocab, e->windows.window,
                                        e->windows.n_windows};
        status = ssw_logits_writer_open(a->logits_out, &shape, e->windows.tokens, &e->out, err);
    }
    return status;
}

static ssw_status evaluate(const arguments *a, evaluation *e, ssw_eval_result *result, ssw_error *err)
{
    ssw_status status = open_all(a, e, err);
    if (status)
        return status;
    meter m = {.begin_ns = ssw_clock_now_ns(), .is_shown = isatty(STDERR_FILENO) == 1};
    const ssw_eval_job job = {.engine = e->engine,
                              .reference = e->reference,
                              .reference_file = e->in,
                              .out = e->out,
                              .windows = &e->windows,
                              .progress = show_progress,
                              .context = &m,
                              .cancel = ssw_cli_catch_interrupts()};
    status = ssw_eval_run(&job, &e->score, err);
    e->elapsed_ns = ssw_clock_now_ns() - m.begin_ns;
    if (status && m.is_shown)
        fputs("\r\033[K", stderr);
    if (!status && e->out)
        status = ssw_logits_writer_finish(e->out, err);
    return status ? status : ssw_eval_finish(&e->score, result, err);
}

static void close_all(evaluation *e)
{
    ssw_logits_reader_close(e->in);
    ssw_logits_writer_close(e->out);
    ssw_eval_score_deinit(&e->score);
    ssw_eval_windows_deinit(&e->windows);
    ssw_engine_close(e->reference);
    ssw_engine_close(e->engine);
    free(e->text);
}

static void print_comparison(const arguments *a, const ssw_eval_result *r)
{
    printf("against %s, KL(reference || model) in nats:\n", a->against ? a->against : a->logits_in);
    printf("  mean KL            %.6g", r->kl.mean);
    if (r->kl.n > 1)
        printf("  [%.6g, %.6g]", r->kl.ci_low, r->kl.ci_high);
    printf("\n  max KL             %.6g\n", r->kl_max);
    if (isfinite(r->kl_p99))
        printf("  99th percentile    %.6g\n", r->kl_p99);
    else
        printf("  99th percentile    not given: %zu tokens, fewer than %d\n", r->n_compared,
               SSW_EVAL_P99_TOKENS_MIN);
    printf("  same first choice  %.3f %%  [%.3f, %.3f]\n", 100 * r->same_top.share, 100 * r->same_top.ci_low,
           100 * r->same_top.ci_high);
    printf("  mean |dlogit|      %.6g, max %.6g\n", r->mean_difference, r->max_difference);
}

static void print_result(const arguments *a, const evaluation *e, const ssw_eval_result *r)
{
    printf("%s: %zu tokens, %zu windows of %d, %zu tokens scored in %.1f s\n", a->words[1],
           e->windows.n_text_tokens, r->n_windows, e->windows.window, r->n_tokens,
           (double)e->elapsed_ns * 1e-9);
    printf("perplexity %.4f", r->perplexity);
    if (r->n_windows > 1)
        printf("  95 %% interval [%.4f, %.4f] over windows", r->ci_low, r->ci_high);
    else
        printf("  (no interval: one window)");
    printf("; standard error over tokens %.4f\n", r->standard_error);
    if (r->n_compared)
        print_comparison(a, r);
    if (a->logits_out)
        printf("logits: %s\n", a->logits_out);
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void print_json(const arguments *a, const evaluation *e, const ssw_eval_result *r)
{
    json_t *against =
        r->n_compared
            ? json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "reference",
                        a->against ? a->against : a->logits_in, "tokens", (int)r->n_compared, "kl_mean",
                        number(r->kl.mean), "kl_ci_low", number(r->kl.ci_low), "kl_ci_high",
                        number(r->kl.ci_high), "kl_max", number(r->kl_max), "kl_p99", number(r->kl_p99),
                        "same_top", number(r->same_top.share), "same_top_ci_low", number(r->same_top.ci_low),
                        "same_top_ci_high", number(r->same_top.ci_high), "mean_abs_dlogit",
                        number(r->mean_difference), "max_abs_dlogit", number(r->max_difference))
            : json_null();
    json_t *root = json_pack("{s:i, s:s, s:s, s:I, s:i, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:I}", "schema",
                             JSON_SCHEMA, "model", a->words[0], "text", a->words[1], "text_tokens",
                             (json_int_t)e->windows.n_text_tokens, "window", e->windows.window, "windows",
                             e->windows.n_windows, "scored_tokens", (json_int_t)r->n_tokens, "perplexity",
                             number(r->perplexity), "ci_low", number(r->ci_low), "ci_high",
                             number(r->ci_high), "standard_error", number(r->standard_error), "against",
                             against, "elapsed_ns", (json_int_t)e->elapsed_ns);
    if (root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(root);
}

static int exit_of(ssw_status status)
{
    if (status == SSW_ERR_CANCELLED)
        return SSW_EXIT_INTERRUPTED;
    return status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
}

int ssw_cmd_eval(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ssw_cli_engine_argp, 0, "Where it runs:", 2}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .children = children,
        .args_doc = "MODEL.gguf FILE",
        .doc =
            "Perplexity of a text under a model, with a 95 % interval; and against a second model or saved "
            "logits the KL divergence, the share of equal first choices and the distance of logits.\v"
            "The conventions are those of llama.cpp's perplexity: the text is cut into windows of -c tokens, "
            "a rest is dropped, every window starts afresh, and its second half is scored, places -c/2 to "
            "-c - 2, each by the token after it. Where the model wants a BOS it replaces each window's first "
            "token. The interval is Student's over windows; the standard error is llama.cpp's, over tokens. "
            "KL is of the reference to MODEL, in nats.\n\n"
            "Exit status: 0 done; 2 wrong usage, a text shorter than a window included; 130 interrupted; 1 "
            "anything else.",
    };
    arguments a = {0};
    evaluation e = {0};
    ssw_eval_result result;
    ssw_error err = {0};
    ssw_cli_engine_options_init(&a.engine);
    ssw_cli_engine_spell_out(argc, argv);
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    a.engine.log = ssw_cli_log_stderr(SSW_LOG_WARN);
    ssw_status status = evaluate(&a, &e, &result, &err);
    if (status)
        fprintf(stderr, "seesaw eval: %s\n", err.message);
    else if (a.json)
        print_json(&a, &e, &result);
    else
        print_result(&a, &e, &result);
    close_all(&e);
    return status ? exit_of(status) : SSW_EXIT_OK;
}
