/* Re-tokenising replies. */
#include "bench/evidence/token_count.h"

#include <stdlib.h>
#include <string.h>

struct ssw_token_counter {
    ssw_tokenizer *tokenizer;
};

ssw_status ssw_token_counter_open(const char *model_path, ssw_token_counter **out, ssw_error *err)
{
    ssw_gguf *gguf = NULL;
    *out = NULL;
    ssw_token_counter *counter = calloc(1, sizeof *counter);
    if (!counter)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the token counter");
    ssw_status status = ssw_gguf_open(model_path, &gguf, err);
    if (!status)
        status = ssw_tokenizer_open(gguf, &counter->tokenizer, err);
    ssw_gguf_close(gguf);
    if (status)
        ssw_token_counter_close(counter);
    else
        *out = counter;
    return status;
}

void ssw_token_counter_close(ssw_token_counter *counter)
{
    if (!counter)
        return;
    ssw_tokenizer_close(counter->tokenizer);
    free(counter);
}

/* Ids as they are hashed: the same bytes on any machine. */
static ssw_status hash_ids(const ssw_tokens *tokens, ssw_sha256_text out, ssw_error *err)
{
    unsigned char *bytes = malloc(4 * tokens->n + 1);
    if (!bytes)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for token ids");
    for (size_t i = 0; i < tokens->n; i++) {
        uint32_t id = (uint32_t)tokens->ids[i];
        for (int k = 0; k < 4; k++)
            bytes[4 * i + (size_t)k] = (unsigned char)(id >> (8 * k));
    }
    ssw_status status = ssw_sha256_bytes(bytes, 4 * tokens->n, out, err);
    free(bytes);
    return status;
}

ssw_status ssw_token_counter_count(const ssw_token_counter *counter, const char *content,
                                   const char *reasoning, ssw_tokens *ids, ssw_text_count *out,
                                   ssw_error *err)
{
    ssw_tokens tokens = {0};
    ssw_status status = SSW_OK;
    if (reasoning)
        status = ssw_tokenizer_encode(counter->tokenizer, reasoning, strlen(reasoning), false, &tokens, err);
    out->tokens_reasoning = (int64_t)tokens.n;
    if (!status)
        status = ssw_tokenizer_encode(counter->tokenizer, content, strlen(content), false, &tokens, err);
    out->tokens = (int64_t)tokens.n;
    if (!status)
        status = hash_ids(&tokens, out->ids_sha256, err);
    if (!status && ids)
        *ids = tokens;
    else
        ssw_tokens_deinit(&tokens);
    return status;
}

static bool is_off(int64_t servers, int64_t ours)
{
    return servers != SSW_EVIDENCE_NONE && (servers < ours || servers > ours + SSW_TOKEN_COUNT_CONTROL_MAX);
}

bool ssw_token_count_disagrees(const ssw_sample *sample, int64_t tokens)
{
    return (sample->has_usage && is_off(sample->usage.completion_tokens, tokens)) ||
           (sample->has_timings && is_off(sample->timings.predicted_n, tokens));
}
