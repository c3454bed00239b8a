/* `seesaw eval`'s way through a text: the windows, and each window through one engine or two.
 *
 * The windows are those of llama.cpp's perplexity: the text is tokenised whole (control tokens written in it
 * stay text), begun with BOS where the model wants one, and cut into windows of N tokens; what is left over
 * is dropped. In each window the first token is replaced by BOS where the model wants one, and the places
 * N/2 … N−2 are scored, each by the token after it. */
#ifndef SSW_CLI_EVAL_RUN_H
#define SSW_CLI_EVAL_RUN_H

#include <stdatomic.h>

#include "cli/eval_score.h"
#include "cli/logits_file.h"
#include "seesaw/engine.h"
#include "token/tokenizer.h"

typedef struct ssw_eval_windows {
    int32_t *tokens; /* [n_windows][window] */
    int32_t window, n_windows;
    size_t n_text_tokens; /* of the whole text, BOS included */
} ssw_eval_windows;

/* max_windows: 0 for all. SSW_ERR_USAGE when the text has not even one. */
ssw_status ssw_eval_cut_windows(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                int32_t window, int32_t max_windows, ssw_eval_windows *out, ssw_error *err);
void ssw_eval_windows_deinit(ssw_eval_windows *windows);

/* Windows that are done, after each part of one. */
typedef void ssw_eval_progress(void *context, double done_windows, int32_t n_windows);

typedef struct ssw_eval_job {
    ssw_engine *engine;
    ssw_engine *reference;             /* or NULL */
    ssw_logits_reader *reference_file; /* or NULL; not both */
    ssw_logits_writer *out;            /* or NULL */
    const ssw_eval_windows *windows;
    ssw_eval_progress *progress; /* or NULL */
    void *context;
    const atomic_bool *cancel; /* or NULL */
} ssw_eval_job;

/* score must be initialised for n_windows. SSW_ERR_CANCELLED when cancel was set. */
ssw_status ssw_eval_run(const ssw_eval_job *job, ssw_eval_score *score, ssw_error *err);

#endif
