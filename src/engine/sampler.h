/* From logits to the next token.
 *
 * The chain is llama.cpp's: repeat penalty, top-k, top-p, min-p, temperature, then one draw. A sampler holds
 * all the memory that it needs, so that choosing a token allocates nothing. One thread at a time. */
#ifndef SSW_ENGINE_SAMPLER_H
#define SSW_ENGINE_SAMPLER_H

#include "seesaw/engine.h"

enum { SSW_SAMPLER_REPEAT_MAX = 4096 }; /* repeat_last_n is cut to this */

typedef struct ssw_sampler ssw_sampler;

ssw_status ssw_sampler_open(int32_t n_vocab, ssw_sampler **out, ssw_error *err);
void ssw_sampler_close(ssw_sampler *sampler); /* NULL is allowed */

/* Starts a sequence: seeds the generator and forgets the tokens accepted before. */
void ssw_sampler_begin(ssw_sampler *sampler, const ssw_sampling *sampling);
/* The sequence has this token now (prompt and generated alike); ids outside the vocabulary are ignored. */
void ssw_sampler_accept(ssw_sampler *sampler, int32_t token);
/* The next token, or -1 when no logit is finite. logits: [n_vocab], changed by the repeat penalty. NaN is
 * never chosen. */
int32_t ssw_sampler_choose(ssw_sampler *sampler, float *logits);

/* Whether the next choice has to see every logit. Else the SSW_ENGINE_TOP_LOGITS largest are enough, even
 * when n_excluded tokens may not be chosen: then ssw_sampler_choose_top, given an ssw_eval_item's top, gives
 * the token that ssw_sampler_choose would, and leaves the generator as that would. */
bool ssw_sampler_needs_all(const ssw_sampler *sampler, int32_t n_excluded);
int32_t ssw_sampler_choose_top(ssw_sampler *sampler, const ssw_top_logit *top, const int32_t *excluded,
                               int32_t n_excluded);

/* The log-probability of `token` in softmax(logits), and the n_top most likely tokens in falling order (ties:
 * the lower id first). Returns how many of top were filled: fewer than n_top when fewer logits are finite. */
int32_t ssw_logprobs_compute(const float *logits, int32_t n_vocab, int32_t token, float *logprob,
                             ssw_logprob *top, int32_t n_top);

#endif
