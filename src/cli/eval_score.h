/* The arithmetic of `seesaw eval`: from logits to perplexity and to how far two distributions lie apart.
 * Pure: no I/O.
 *
 * Sums are in double. Logits are [n_vocab] floats; NaN or infinity in them is SSW_ERR_FORMAT. Intervals treat
 * a window as one value, since tokens of the same window are not independent: Student's over window means.
 * Shares have Wilson's (1927) interval over tokens. */
#ifndef SSW_CLI_EVAL_SCORE_H
#define SSW_CLI_EVAL_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "bench/stats/summary.h"

enum {
    SSW_EVAL_WINDOWS_MAX = 1 << 20,
    SSW_EVAL_P99_TOKENS_MIN = 1000 /* below, the 99th percentile is one of ten values or fewer: not given */
};

typedef struct ssw_eval_score {
    size_t n_tokens, n_windows; /* scored, and windows begun */
    double nll_sum, nll_square_sum;
    double *nll_means, *kl_means; /* [n_windows], of the tokens of a window */
    size_t window_tokens;         /* scored so far in the last window */
    /* against a reference */
    size_t n_compared, n_same_top;
    double kl_sum, kl_max;
    double difference_sum, difference_max; /* of |logit − reference logit|: of each token's mean; largest */
    float *kls;                            /* [n_compared] */
    size_t capacity;
} ssw_eval_score;

typedef struct ssw_eval_share {
    double share, ci_low, ci_high; /* 95 %, Wilson */
} ssw_eval_share;

typedef struct ssw_eval_result {
    size_t n_tokens, n_windows;
    double perplexity, ci_low, ci_high; /* exp of the mean; the interval is NAN with fewer than 2 windows */
    double standard_error; /* of the perplexity, over tokens as llama.cpp prints it; NAN: n < 2 */
    ssw_summary nll;       /* nats per token, over windows */
    size_t n_compared;     /* 0: no reference; then the rest is NAN */
    ssw_summary kl;        /* nats, over windows */
    double kl_max, kl_p99; /* over tokens; p99 is NAN below SSW_EVAL_P99_TOKENS_MIN */
    ssw_eval_share same_top;
    double mean_difference, max_difference; /* of |logit − reference logit| */
} ssw_eval_result;

/* max_windows: how many ssw_eval_begin_window will be called for. */
ssw_status ssw_eval_score_init(ssw_eval_score *score, size_t max_windows, ssw_error *err);
void ssw_eval_score_deinit(ssw_eval_score *score);

void ssw_eval_begin_window(ssw_eval_score *score);
/* The logits of one place and the token that follows it. reference: the other model's logits of the same
 * place, or NULL; KL is of the reference to the model: the sum of p_ref · ln(p_ref / p). */
ssw_status ssw_eval_add_token(ssw_eval_score *score, const float *logits, const float *reference,
                              int32_t n_vocab, int32_t token, ssw_error *err);
/* At least one token must have been added. */
ssw_status ssw_eval_finish(const ssw_eval_score *score, ssw_eval_result *out, ssw_error *err);

#endif
