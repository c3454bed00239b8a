/* KL of truncated distributions. */
#include "bench/quality/token_kl.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct head { /* of one distribution */
    size_t n;
    const json_t *tokens[SSW_TOKEN_KL_TOP_MAX];
    double p[SSW_TOKEN_KL_TOP_MAX];
} head;

/* By bytes where both have them: several tokens that are no whole character may share one `token` text. */
static bool is_same_token(const json_t *a, const json_t *b)
{
    const json_t *bytes_a = json_object_get(a, "bytes"), *bytes_b = json_object_get(b, "bytes");
    if (json_is_array(bytes_a) && json_is_array(bytes_b))
        return json_equal(bytes_a, bytes_b);
    return json_equal(json_object_get(a, "token"), json_object_get(b, "token"));
}

static ssw_status read_head(const json_t *item, head *out, ssw_error *err)
{
    const json_t *top = json_object_get(item, "top_logprobs"), *entry;
    size_t i;
    out->n = 0;
    if (!json_is_string(json_object_get(item, "token")))
        return ssw_error_set(err, SSW_ERR_FORMAT, "logprobs: an item without a token");
    if (top && !json_is_null(top) && !json_is_array(top))
        return ssw_error_set(err, SSW_ERR_FORMAT, "logprobs: \"top_logprobs\" is not an array");
    if (json_array_size(top) > SSW_TOKEN_KL_TOP_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "logprobs: more than %d alternatives", SSW_TOKEN_KL_TOP_MAX);
    json_array_foreach(top, i, entry)
    {
        const json_t *logprob = json_object_get(entry, "logprob");
        if (!json_is_string(json_object_get(entry, "token")) || !json_is_number(logprob))
            return ssw_error_set(err, SSW_ERR_FORMAT, "logprobs: an alternative without token or logprob");
        double p = exp(json_number_value(logprob));
        if (!(p >= 0 && p <= 1 + SSW_TOKEN_KL_REST_MIN))
            return ssw_error_set(err, SSW_ERR_FORMAT, "logprobs: %g is no logarithm of a probability",
                                 json_number_value(logprob));
        out->tokens[out->n] = entry;
        out->p[out->n++] = p;
    }
    return SSW_OK;
}

static void add_position(const head *a, const head *b, ssw_token_kl *out)
{
    double sum = 0, p_rest = 1, q_rest = 1;
    bool taken[SSW_TOKEN_KL_TOP_MAX] = {false};
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        while (k < b->n && (taken[k] || !is_same_token(a->tokens[i], b->tokens[k])))
            k++;
        if (k == b->n || b->p[k] <= 0)
            continue;
        taken[k] = true;
        if (a->p[i] > 0)
            sum += a->p[i] * log(a->p[i] / b->p[k]);
        p_rest -= a->p[i];
        q_rest -= b->p[k];
    }
    if (p_rest > SSW_TOKEN_KL_REST_MIN)
        sum += p_rest * log(p_rest / fmax(q_rest, SSW_TOKEN_KL_REST_MIN));
    out->sum_nats += sum;
    out->rest_sum += fmax(p_rest, 0);
    out->n_positions++;
}

ssw_status ssw_token_kl_add(const json_t *a, const json_t *b, ssw_token_kl *out, ssw_error *err)
{
    size_t n = json_array_size(a) < json_array_size(b) ? json_array_size(a) : json_array_size(b);
    if (n > SSW_TOKEN_KL_POSITIONS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "logprobs: more than %d tokens", SSW_TOKEN_KL_POSITIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *item_a = json_array_get(a, i), *item_b = json_array_get(b, i);
        head head_a, head_b;
        ssw_status status = read_head(item_a, &head_a, err);
        if (!status)
            status = read_head(item_b, &head_b, err);
        if (status)
            return status;
        if (head_a.n && head_b.n)
            add_position(&head_a, &head_b, out);
        if (!is_same_token(item_a, item_b))
            break;
    }
    return SSW_OK;
}
