/* Kullback-Leibler divergence of two servers' next-token distributions, from the top-k log-probabilities that
 * OpenAI's API gives. Pure: no clock, no I/O.
 *
 * Two distributions P and Q over the same vocabulary are known only at the head: k tokens each. Let T be the
 * tokens in both lists, and one bucket hold all others. What is computed is the KL of the two so coarsened
 * distributions, sum over T of p ln(p / q)  +  p_rest ln(p_rest / q_rest),     p_rest = 1 - sum over T of p,
 * which never exceeds the true KL(P || Q): merging outcomes loses information (the log-sum inequality; Cover
 * & Thomas, Elements of Information Theory, theorem 2.7.1). What is missing is p_rest times the KL inside the
 * bucket, which has no upper bound that the heads could give; so p_rest is reported beside it. With k = the
 * vocabulary it is the KL itself.
 *
 * Distributions can be compared only where both servers saw the same text: the tokens up to and with the
 * first one in which the replies differ. */
#ifndef SSW_BENCH_QUALITY_TOKEN_KL_H
#define SSW_BENCH_QUALITY_TOKEN_KL_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

enum { SSW_TOKEN_KL_TOP_MAX = 64, SSW_TOKEN_KL_POSITIONS_MAX = 1 << 20 };

/* A bucket's mass below this is rounding of the servers' printed numbers: p_rest counts as none, q_rest as
 * this much (which can only make the bound lower). */
#define SSW_TOKEN_KL_REST_MIN 1e-6

typedef struct ssw_token_kl {
    size_t n_positions; /* compared; 0 where a list was missing */
    double sum_nats;    /* of the lower bounds over the positions */
    double rest_sum;    /* of p_rest over the positions */
} ssw_token_kl;

/* a, b: the arrays of `choices[0].logprobs.content`, each item with `token`, perhaps `bytes`, and
 * `top_logprobs`; NULL is allowed. Adds to *out. SSW_ERR_FORMAT for what is not of that form. */
ssw_status ssw_token_kl_add(const json_t *a, const json_t *b, ssw_token_kl *out, ssw_error *err);

#endif
