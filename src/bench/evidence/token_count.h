/* Counts a reply's tokens by the model's own tokenizer.
 *
 * The count is that of the text: reasoning and content are tokenised whole, each by itself, control tokens in
 * the text taken as plain text, and the two counts added. A server's `usage` also counts what a reader never
 * sees: the end token, and in harmony the channels' headers. So usage may exceed this count by up to
 * SSW_TOKEN_COUNT_CONTROL_MAX; beyond that, or below it, the two disagree, and both stay on record. */
#ifndef SSW_BENCH_EVIDENCE_TOKEN_COUNT_H
#define SSW_BENCH_EVIDENCE_TOKEN_COUNT_H

#include <stdbool.h>

#include "base/sha256.h"
#include "bench/evidence/sample.h"
#include "token/tokenizer.h"

/* <|channel|>analysis<|message|> ... <|end|><|start|>assistant<|channel|>final<|message|> ... <|return|> is
 * 10 tokens; some more for a text that the model did not write in its tokenizer's own way. */
enum { SSW_TOKEN_COUNT_CONTROL_MAX = 16 };

typedef struct ssw_token_counter ssw_token_counter;

typedef struct ssw_text_count {
    int64_t tokens, tokens_reasoning; /* tokens counts both */
    ssw_sha256_text ids_sha256;       /* of the ids as little-endian int32, reasoning first */
} ssw_text_count;

/* Opens a GGUF (the first file of a split set) for its tokenizer. */
ssw_status ssw_token_counter_open(const char *model_path, ssw_token_counter **out, ssw_error *err);
void ssw_token_counter_close(ssw_token_counter *counter); /* NULL is allowed */

/* reasoning may be NULL. ids, if not NULL, gets the ids themselves, reasoning first; it is empty before. */
ssw_status ssw_token_counter_count(const ssw_token_counter *counter, const char *content,
                                   const char *reasoning, ssw_tokens *ids, ssw_text_count *out,
                                   ssw_error *err);

/* Whether the server's own counts and ours cannot both be right: usage, and timings.predicted_n, as above. */
bool ssw_token_count_disagrees(const ssw_sample *sample, int64_t tokens);

#endif
