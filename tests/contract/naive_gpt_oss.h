/* gpt-oss written down once more as plainly as possible, in double precision, one token after another: the
 * link between transformers, which keeps keys and values in F32, and the engine, which keeps them in F16. */
#ifndef SSW_TESTS_NAIVE_GPT_OSS_H
#define SSW_TESTS_NAIVE_GPT_OSS_H

#include <stdbool.h>
#include <stdint.h>

/* logits: [n][n_vocab]. Fails the running test if the model cannot be read. */
void naive_gpt_oss(const char *path, const int32_t *tokens, int32_t n, bool f16_cache, float *logits);

#endif
