/* See eval_score.h. */
#include "cli/eval_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z_95 1.959963984540054 /* Φ⁻¹(0.975) */

enum { FIRST_CAPACITY = 4096 };

ssw_status ssw_eval_score_init(ssw_eval_score *score, size_t max_windows, ssw_error *err)
{
    *score = (ssw_eval_score){0};
    if (max_windows == 0 || max_windows > SSW_EVAL_WINDOWS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%zu windows, not 1 to %d", max_windows,
                             SSW_EVAL_WINDOWS_MAX);
    score->nll_means = calloc(max_windows, sizeof *score->nll_means);
    score->kl_means = calloc(max_windows, sizeof *score->kl_means);
    if (!score->nll_means || !score->kl_means)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu windows", max_windows);
    return SSW_OK;
}

void ssw_eval_score_deinit(ssw_eval_score *score)
{
    free(score->nll_means);
    free(score->kl_means);
    free(score->kls);
    *score = (ssw_eval_score){0};
}

void ssw_eval_begin_window(ssw_eval_score *score)
{
    score->n_windows++;
    score->window_tokens = 0;
}

static ssw_status normalise(const float *logits, int32_t n_vocab, double *log_sum, int32_t *top,
                            ssw_error *err)
{
    int32_t best = 0;
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (!isfinite(logits[i]))
            return ssw_error_set(err, SSW_ERR_FORMAT, "a logit is not finite: the model's numbers overflow");
        best = logits[i] > logits[best] ? i : best;
    }
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    *log_sum = (double)logits[best] + log(sum);
    *top = best;
    return SSW_OK;
}

static ssw_status keep_kl(ssw_eval_score *score, double kl, ssw_error *err)
{
    if (score->n_compared == score->capacity) {
        size_t capacity = score->capacity ? 2 * score->capacity : FIRST_CAPACITY;
        float *kls = realloc(score->kls, capacity * sizeof *kls);
        if (!kls)
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tokens", capacity);
        score->kls = kls;
        score->capacity = capacity;
    }
    score->kls[score->n_compared++] = (float)kl;
    score->kl_sum += kl;
    score->kl_max = fmax(score->kl_max, kl);
    double *mean = &score->kl_means[score->n_windows - 1];
    *mean += (kl - *mean) / (double)score->window_tokens;
    return SSW_OK;
}

static ssw_status add_comparison(ssw_eval_score *score, const float *logits, const float *reference,
                                 int32_t n_vocab, double log_sum, int32_t top, ssw_error *err)
{
    double reference_log_sum = 0, kl = 0, difference = 0;
    int32_t reference_top = 0;
    ssw_status status = normalise(reference, n_vocab, &reference_log_sum, &reference_top, err);
    if (status) {
        ssw_error_prefix(err, "the reference");
        return status;
    }
    for (int32_t i = 0; i < n_vocab; i++) {
        double log_p = (double)reference[i] - reference_log_sum;
        kl += exp(log_p) * (log_p - ((double)logits[i] - log_sum));
        double apart = fabs((double)logits[i] - (double)reference[i]);
        difference += apart;
        score->difference_max = apart > score->difference_max ? apart : score->difference_max;
    }
    score->n_same_top += top == reference_top;
    score->difference_sum += difference / n_vocab;
    return keep_kl(score, fmax(kl, 0), err); /* below 0 by rounding only */
}

ssw_status ssw_eval_add_token(ssw_eval_score *score, const float *logits, const float *reference,
                              int32_t n_vocab, int32_t token, ssw_error *err)
{
    double log_sum = 0;
    int32_t top = 0;
    if (token < 0 || token >= n_vocab)
        return ssw_error_set(err, SSW_ERR_FORMAT, "token %d is not of the vocabulary of %d", token, n_vocab);
    ssw_status status = normalise(logits, n_vocab, &log_sum, &top, err);
    if (status)
        return status;
    double nll = log_sum - (double)logits[token];
    score->n_tokens++;
    score->window_tokens++;
    score->nll_sum += nll;
    score->nll_square_sum += nll * nll;
    double *mean = &score->nll_means[score->n_windows - 1];
    *mean += (nll - *mean) / (double)score->window_tokens;
    return reference ? add_comparison(score, logits, reference, n_vocab, log_sum, top, err) : SSW_OK;
}

static ssw_eval_share wilson(size_t n_yes, size_t n)
{
    double p = (double)n_yes / (double)n, z2n = Z_95 * Z_95 / (double)n;
    double centre = (p + z2n / 2) / (1 + z2n);
    double half = Z_95 * sqrt(p * (1 - p) / (double)n + z2n / (double)n / 4) / (1 + z2n);
    return (ssw_eval_share){p, fmax(0, centre - half), fmin(1, centre + half)};
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The smallest value that at least 99 in 100 do not exceed. */
static ssw_status find_p99(const ssw_eval_score *score, double *out, ssw_error *err)
{
    *out = NAN;
    if (score->n_compared < SSW_EVAL_P99_TOKENS_MIN)
        return SSW_OK;
    float *sorted = malloc(score->n_compared * sizeof *sorted);
    if (!sorted)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tokens", score->n_compared);
    memcpy(sorted, score->kls, score->n_compared * sizeof *sorted);
    qsort(sorted, score->n_compared, sizeof *sorted, compare_floats);
    *out = (double)sorted[(score->n_compared * 99 + 99) / 100 - 1];
    free(sorted);
    return SSW_OK;
}

ssw_status ssw_eval_finish(const ssw_eval_score *score, ssw_eval_result *out, ssw_error *err)
{
    double n = (double)score->n_tokens, mean = score->nll_sum / n;
    double variance = score->nll_square_sum / n - mean * mean;
    *out = (ssw_eval_result){
        .n_tokens = score->n_tokens,
        .n_windows = score->n_windows,
        .perplexity = exp(mean),
        .standard_error = score->n_tokens < 2 ? (double)NAN : exp(mean) * sqrt(fmax(variance, 0) / (n - 1)),
        .n_compared = score->n_compared,
        .kl_max = NAN,
        .kl_p99 = NAN,
        .same_top = {NAN, NAN, NAN},
        .mean_difference = NAN,
        .max_difference = NAN};
    ssw_status status = ssw_stats_summarize(score->nll_means, score->n_windows, &out->nll, err);
    out->ci_low = exp(out->nll.ci_low);
    out->ci_high = exp(out->nll.ci_high);
    if (status)
        return status;
    if (score->n_compared == 0)
        return ssw_stats_summarize(NULL, 0, &out->kl, err);
    out->kl_max = score->kl_max;
    out->same_top = wilson(score->n_same_top, score->n_compared);
    out->mean_difference = score->difference_sum / (double)score->n_compared;
    out->max_difference = score->difference_max;
    status = ssw_stats_summarize(score->kl_means, score->n_windows, &out->kl, err);
    return status ? status : find_p99(score, &out->kl_p99, err);
}
