/* /v1/embeddings: the mean of the final normalised hidden states of the input's tokens, scaled to length 1.
 */
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/request_fields.h"

enum { INPUTS_MAX = 256 };

typedef struct embedding_work {
    ssw_exchange *exchange;
    bool as_base64; /* little-endian float32, as OpenAI's clients ask for */
    json_t *data;
    int64_t n_tokens;
    bool peer_is_gone;
} embedding_work;

static void normalise(float *values, int32_t n)
{
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)values[i] * (double)values[i];
    float scale = sum > 0.0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
    for (int32_t i = 0; i < n; i++)
        values[i] *= scale;
}

static json_t *write_embedding(const float *values, int32_t n, bool as_base64)
{
    if (!as_base64) {
        json_t *list = json_array();
        for (int32_t i = 0; i < n; i++)
            json_array_append_new(list, json_real(isfinite(values[i]) ? (double)values[i] : 0.0));
        return list;
    }
    size_t n_bytes = (size_t)n * sizeof *values;
    unsigned char *text = malloc(4 * ((n_bytes + 2) / 3) + 1);
    if (!text)
        return NULL;
    int n_text = EVP_EncodeBlock(text, (const unsigned char *)values, (int)n_bytes);
    json_t *string = json_stringn((const char *)text, (size_t)n_text);
    free(text);
    return string;
}

static bool read_ids(const json_t *ids, ssw_tokens *tokens, ssw_http_fault *fault)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return ssw_fault_set(fault, 400, "input", "'input' must hold strings or arrays of token numbers");
        if (!ssw_generation_append_id(tokens, (int32_t)json_integer_value(id)))
            return ssw_fault_set(fault, 500, NULL, "memory ran out");
    }
    return tokens->n > 0 || ssw_fault_set(fault, 400, "input", "'input' is empty");
}

/* Runs the job and appends to work->data. */
static bool embed_tokens(embedding_work *work, const ssw_tokens *tokens, ssw_http_fault *fault)
{
    ssw_exchange *exchange = work->exchange;
    const ssw_engine_info *info = ssw_engine_describe(exchange->engine);
    ssw_job_request request = {.prompt = tokens->ids, .n_prompt = tokens->n, .embed_only = true};
    ssw_sampling_init(&request.sampling);
    if (tokens->n > (size_t)info->ctx_size)
        return ssw_fault_set(fault, 400, "input", "an input has %zu tokens, the context only %d", tokens->n,
                             info->ctx_size);
    ssw_token_queue queue;
    ssw_job *job = NULL;
    ssw_error err;
    if (ssw_token_queue_init(&queue, 0, 0, info->n_embd, &err) != SSW_OK)
        return ssw_fault_set_error(fault, &err);
    bool ok = false;
    if (ssw_job_submit(exchange->engine, &request, ssw_token_queue_put, &queue, &job, &err) != SSW_OK) {
        ssw_fault_set_error(fault, &err);
        goto cleanup;
    }
    const ssw_queued_token *token;
    ssw_wait wait = ssw_token_queue_get(&queue, exchange->socket_fd, exchange->server->stop_fd, &token);
    work->peer_is_gone = wait == SSW_WAIT_PEER_GONE;
    if (wait != SSW_WAIT_END || queue.finish == SSW_FINISH_CANCELLED) {
        ssw_fault_set(fault, 503, NULL, "the server is shutting down");
    } else if (!queue.has_embedding) {
        ssw_fault_set(fault, 500, NULL, "%s", queue.error.message);
    } else {
        normalise(queue.embedding, info->n_embd);
        json_t *embedding = write_embedding(queue.embedding, info->n_embd, work->as_base64);
        json_array_append_new(work->data,
                              json_pack("{s:s, s:i, s:o}", "object", "embedding", "index",
                                        (int)json_array_size(work->data), "embedding", embedding));
        work->n_tokens += (int64_t)tokens->n;
        ok = true;
    }
cleanup:
    ssw_job_close(job);
    ssw_token_queue_deinit(&queue);
    return ok;
}

static bool embed_one(embedding_work *work, const json_t *input, ssw_http_fault *fault)
{
    ssw_tokens tokens = {0};
    bool ok;
    if (json_is_string(input))
        ok = ssw_generation_encode(work->exchange->engine, json_string_value(input),
                                   json_string_length(input), false, "input", &tokens, fault);
    else
        ok = json_is_array(input)
                 ? read_ids(input, &tokens, fault)
                 : ssw_fault_set(fault, 400, "input", "'input' must be a string or an array");
    ok = ok && embed_tokens(work, &tokens, fault);
    ssw_tokens_deinit(&tokens);
    return ok;
}

static bool embed_all(embedding_work *work, const json_t *root, ssw_http_fault *fault)
{
    const char *format = "float";
    int64_t n_embd = ssw_engine_describe(work->exchange->engine)->n_embd, dimensions = n_embd;
    if (!ssw_field_string(root, "encoding_format", &format, fault) ||
        !ssw_field_int(root, "dimensions", 1, INT32_MAX, &dimensions, fault))
        return false;
    work->as_base64 = strcmp(format, "base64") == 0;
    if (!work->as_base64 && strcmp(format, "float") != 0)
        return ssw_fault_set(fault, 400, "encoding_format", "'encoding_format' must be float or base64");
    if (dimensions != n_embd)
        return ssw_fault_set(fault, 400, "dimensions", "this model gives %lld dimensions, no others",
                             (long long)n_embd);
    const json_t *input = ssw_field_find(root, "input");
    bool is_list = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
    if (!is_list)
        return input ? embed_one(work, input, fault)
                     : ssw_fault_set(fault, 400, "input", "'input' is missing");
    size_t n = json_array_size(input);
    if (n == 0 || n > INPUTS_MAX)
        return ssw_fault_set(fault, 400, "input", "'input' must have between 1 and %d entries",
                             (int)INPUTS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!embed_one(work, json_array_get(input, i), fault))
            return false;
    }
    return true;
}

void ssw_route_embeddings(ssw_exchange *exchange)
{
    json_t *root = NULL;
    ssw_http_fault fault = {0};
    embedding_work work = {.exchange = exchange, .data = json_array()};
    bool ok = ssw_field_parse_body(ssw_strbuf_text(&exchange->body), exchange->body.n_bytes, &root, &fault) &&
              embed_all(&work, root, &fault);
    if (ok)
        ssw_exchange_reply_json(
            exchange, 200,
            json_pack("{s:s, s:O, s:s, s:{s:I, s:I}}", "object", "list", "data", work.data, "model",
                      ssw_server_model_name(exchange->server, exchange->engine), "usage", "prompt_tokens",
                      (json_int_t)work.n_tokens, "total_tokens", (json_int_t)work.n_tokens));
    else if (work.peer_is_gone)
        ssw_exchange_abandon(exchange);
    else
        ssw_exchange_reply_fault(exchange, &fault);
    json_decref(work.data);
    json_decref(root);
}
