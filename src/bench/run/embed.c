/* embeddings.jsonl. */
#include "bench/run/embed.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/client/completion.h"
#include "bench/client/http_client.h"
#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/quality_files.h"

#define ANSWER_TIMEOUT_NS (120 * SSW_NS_PER_S)
enum { ANSWER_BYTES_MAX = 16 << 20, MESSAGE_ARENA_BYTES = 1 << 20 };

static char *make_request(const char *model, const char *text)
{
    json_t *root = json_pack("{s:s, s:s, s:s}", "model", model, "input", text, "encoding_format", "float");
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return body;
}

/* data[0].embedding into *values, which the caller frees. */
static ssw_status read_values(const ssw_strbuf *body, double **values, size_t *n, ssw_error *err)
{
    json_t *root = json_loadb(ssw_strbuf_text(body), body->n_bytes, 0, NULL);
    const json_t *list = json_object_get(json_array_get(json_object_get(root, "data"), 0), "embedding");
    ssw_status status = SSW_OK;
    *n = json_array_size(list);
    *values = NULL;
    if (*n == 0 || *n > SSW_QUALITY_DIMENSIONS_MAX)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "the answer holds no data[0].embedding");
    else if (!(*values = malloc(*n * sizeof **values)))
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for an embedding");
    for (size_t i = 0; !status && i < *n; i++) {
        if (!json_is_number(json_array_get(list, i)))
            status = ssw_error_set(err, SSW_ERR_FORMAT, "an embedding holds something that is no number");
        else
            (*values)[i] = json_number_value(json_array_get(list, i));
    }
    json_decref(root);
    return status;
}

static ssw_status refuse(long http_status, const ssw_strbuf *body, ssw_error *err)
{
    ssw_arena arena;
    ssw_arena_init(&arena, MESSAGE_ARENA_BYTES);
    const char *line = ssw_completion_quote_error(&arena, ssw_strbuf_text(body), body->n_bytes);
    ssw_error_set(err, SSW_ERR_UNSUPPORTED, "HTTP %ld: %s", http_status, line ? line : "");
    ssw_arena_deinit(&arena);
    return SSW_ERR_UNSUPPORTED;
}

static ssw_status ask(ssw_client *client, const char *model, const char *text, double **values, size_t *n,
                      ssw_error *err)
{
    ssw_strbuf body;
    long http_status = 0;
    char *request = make_request(model, text);
    *values = NULL;
    *n = 0;
    if (!request)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a request");
    ssw_strbuf_init(&body, ANSWER_BYTES_MAX);
    ssw_status status =
        ssw_client_post(client, "/v1/embeddings", request, ANSWER_TIMEOUT_NS, &http_status, &body, err);
    if (!status && http_status != 200)
        status = refuse(http_status, &body, err);
    if (!status)
        status = read_values(&body, values, n, err);
    ssw_strbuf_deinit(&body);
    free(request);
    return status;
}

/* One sample's line. */
static ssw_status embed(ssw_client *client, const ssw_embed_options *options, const ssw_sample *sample,
                        ssw_jsonl *file, ssw_embed_result *out, ssw_error *err)
{
    ssw_error reason = out->first_refusal;
    double *values = NULL;
    size_t n = 0;
    ssw_status status = SSW_ERR_UNSUPPORTED;
    if (!*sample->text)
        ssw_error_set(&reason, SSW_ERR_FORMAT, "an empty reply");
    else if (out->n_embedded > 0 || out->n_refused == 0)
        status = ask(client, options->model, sample->text, &values, &n, &reason);
    if (status == SSW_ERR_CANCELLED || status == SSW_ERR_NOMEM) {
        if (err)
            *err = reason;
        return status;
    }
    if (!status)
        out->n_embedded++;
    else if (*sample->text && out->n_refused++ == 0)
        out->first_refusal = reason;
    const ssw_embedding line = {
        .id = sample->id, .n = status ? 0 : n, .values = values, .error = status ? reason.message : NULL};
    status = ssw_jsonl_append(file, ssw_embedding_to_json(&line), false, err);
    free(values);
    return status;
}

static ssw_status embed_all(const ssw_embed_options *options, const ssw_evidence *evidence, ssw_jsonl *file,
                            ssw_embed_result *out, ssw_error *err)
{
    const ssw_client_options client_options = {.base_url = options->url,
                                               .cancel_fd = options->cancel_fd,
                                               .connect_timeout_ns = 2 * SSW_NS_PER_S,
                                               .silence_timeout_ns = ANSWER_TIMEOUT_NS};
    ssw_client *client = NULL;
    ssw_status status = ssw_client_open(&client_options, &client, err);
    for (size_t i = 0; !status && i < evidence->n_samples; i++) {
        if (ssw_evidence_is_measured(&evidence->samples[i]))
            status = embed(client, options, &evidence->samples[i], file, out, err);
    }
    ssw_client_close(client);
    return status;
}

ssw_status ssw_embed_replies(const ssw_embed_options *options, ssw_embed_result *out, ssw_error *err)
{
    ssw_evidence *evidence = NULL;
    ssw_jsonl file = {.fd = -1};
    *out = (ssw_embed_result){0};
    ssw_status status = ssw_evidence_open(options->dir, &evidence, err);
    if (status)
        return status;
    status = ssw_jsonl_open_fresh(&file, evidence->dir, "embeddings.jsonl", err);
    if (!status)
        status = embed_all(options, evidence, &file, out, err);
    status = ssw_jsonl_close_fresh(&file, status, err);
    ssw_evidence_close(evidence);
    return status;
}
