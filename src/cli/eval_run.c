/* See eval_run.h. */
#include "cli/eval_run.h"

#include <stdlib.h>
#include <string.h>

/* Of one engine's logits that are held at once; a window is scored in parts where it needs more. */
#define LOGITS_BYTES_MAX (UINT64_C(256) << 20)

ssw_status ssw_eval_cut_windows(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                int32_t window, int32_t max_windows, ssw_eval_windows *out, ssw_error *err)
{
    ssw_tokens tokens = {0};
    ssw_token_special special = ssw_tokenizer_special(tokenizer);
    bool begins = special.add_bos && special.bos != SSW_TOKEN_NONE;
    *out = (ssw_eval_windows){.window = window};
    ssw_status status = begins ? ssw_tokens_append(&tokens, special.bos, err) : SSW_OK;
    if (!status)
        status = ssw_tokenizer_encode(tokenizer, text, n_bytes, false, &tokens, err);
    if (status)
        goto cleanup;
    out->n_text_tokens = tokens.n;
    size_t n_windows = tokens.n / (size_t)window;
    if (max_windows && n_windows > (size_t)max_windows)
        n_windows = (size_t)max_windows;
    if (n_windows == 0)
        status = ssw_error_set(err, SSW_ERR_USAGE,
                               "the text has %zu tokens, less than one window of %d: give a longer text or a "
                               "smaller -c",
                               tokens.n, window);
    else if (n_windows > SSW_EVAL_WINDOWS_MAX)
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%zu windows, more than %d: use --windows", n_windows,
                               SSW_EVAL_WINDOWS_MAX);
    if (status)
        goto cleanup;
    out->tokens = tokens.ids;
    out->n_windows = (int32_t)n_windows;
    tokens = (ssw_tokens){0};
    for (size_t i = 0; begins && i < n_windows; i++)
        out->tokens[i * (size_t)window] = special.bos;
cleanup:
    ssw_tokens_deinit(&tokens);
    return status;
}

void ssw_eval_windows_deinit(ssw_eval_windows *windows)
{
    free(windows->tokens);
    *windows = (ssw_eval_windows){0};
}

typedef struct walk { /* one engine's way through the windows */
    ssw_engine *engine;
    ssw_session *session;
    float *logits; /* [rows][n_vocab] */
} walk;

static ssw_status open_walk(walk *w, ssw_engine *engine, size_t rows, int32_t n_vocab, ssw_error *err)
{
    w->engine = engine;
    w->logits = malloc(rows * (size_t)n_vocab * sizeof *w->logits);
    return w->logits ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for logits");
}

static void close_walk(walk *w)
{
    ssw_session_close(w->session);
    free(w->logits);
}

static ssw_status begin_window(walk *w, const int32_t *tokens, int32_t n_tokens, ssw_error *err)
{
    ssw_session_close(w->session);
    w->session = NULL;
    ssw_status status = ssw_session_open(w->engine, &w->session, err);
    ssw_eval_item item = {.session = w->session, .tokens = tokens, .n_tokens = n_tokens};
    return status ? status : ssw_engine_eval(w->engine, &item, 1, err);
}

static ssw_status eval_part(walk *w, const int32_t *tokens, int32_t n_tokens, ssw_error *err)
{
    ssw_eval_item item = {
        .session = w->session, .tokens = tokens, .n_tokens = n_tokens, .logits_all = w->logits};
    return ssw_engine_eval(w->engine, &item, 1, err);
}

static ssw_status score_part(const ssw_eval_job *job, const walk *own, const walk *other,
                             const int32_t *tokens, int32_t n_tokens, ssw_eval_score *score, ssw_error *err)
{
    int32_t n_vocab = ssw_engine_describe(job->engine)->n_vocab;
    ssw_status status = SSW_OK;
    for (int32_t i = 0; !status && i < n_tokens; i++) {
        const float *logits = own->logits + (size_t)i * (size_t)n_vocab, *reference = NULL;
        if (job->reference)
            reference = other->logits + (size_t)i * (size_t)n_vocab;
        if (job->reference_file) {
            status = ssw_logits_reader_next(job->reference_file, other->logits, err);
            reference = other->logits;
        }
        if (!status && job->out)
            status = ssw_logits_writer_put(job->out, logits, err);
        if (!status)
            status = ssw_eval_add_token(score, logits, reference, n_vocab, tokens[i + 1], err);
    }
    return status;
}

static ssw_status run_window(const ssw_eval_job *job, int32_t index, int32_t rows, walk *own, walk *other,
                             ssw_eval_score *score, ssw_error *err)
{
    const int32_t window = job->windows->window, first = window / 2;
    const int32_t *tokens = job->windows->tokens + (size_t)index * (size_t)window;
    ssw_status status = begin_window(own, tokens, first, err);
    if (!status && job->reference)
        status = begin_window(other, tokens, first, err);
    ssw_eval_begin_window(score);
    for (int32_t at = first; !status && at < window - 1;) {
        int32_t n = window - 1 - at < rows ? window - 1 - at : rows;
        status = eval_part(own, tokens + at, n, err);
        if (!status && job->reference)
            status = eval_part(other, tokens + at, n, err);
        if (!status)
            status = score_part(job, own, other, tokens + at, n, score, err);
        at += n;
        if (!status && job->cancel && atomic_load(job->cancel))
            status = ssw_error_set(err, SSW_ERR_CANCELLED, "interrupted");
        if (!status && job->progress)
            job->progress(job->context, index + (double)(at + 1) / window, job->windows->n_windows);
    }
    return status;
}

ssw_status ssw_eval_run(const ssw_eval_job *job, ssw_eval_score *score, ssw_error *err)
{
    const int32_t n_vocab = ssw_engine_describe(job->engine)->n_vocab;
    uint64_t fit = LOGITS_BYTES_MAX / ((uint64_t)n_vocab * sizeof(float));
    int32_t rows = ssw_logits_rows_per_window(job->windows->window);
    if (fit < (uint64_t)rows)
        rows = fit ? (int32_t)fit : 1;
    walk own = {0}, other = {0};
    ssw_status status = open_walk(&own, job->engine, (size_t)rows, n_vocab, err);
    if (!status && (job->reference || job->reference_file))
        status = open_walk(&other, job->reference, job->reference ? (size_t)rows : 1, n_vocab, err);
    for (int32_t i = 0; !status && i < job->windows->n_windows; i++)
        status = run_window(job, i, rows, &own, &other, score, err);
    close_walk(&own);
    close_walk(&other);
    return status;
}
