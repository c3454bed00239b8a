/* tokens.jsonl. */
#include "bench/run/recount.h"

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/json_fields.h"
#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/token_count.h"

static json_t *ids_to_json(const ssw_tokens *ids)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < ids->n; i++) {
        if (!ssw_json_push(array, json_integer(ids->ids[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *count_line(const ssw_sample *sample, const ssw_text_count *count, const ssw_tokens *ids,
                          bool disagrees)
{
    json_t *flags = disagrees ? json_pack("[s]", "token-count") : json_array();
    int64_t usage = sample->has_usage ? sample->usage.completion_tokens : SSW_EVIDENCE_NONE;
    json_t *usage_value = usage == SSW_EVIDENCE_NONE ? json_null() : json_integer(usage);
    if (!count)
        return json_pack("{s:s, s:n, s:n, s:n, s:o, s:o}", "id", sample->id, "tokens", "tokens_reasoning",
                         "ids_sha256", "usage_tokens", usage_value, "flags", flags);
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:o, s:o}", "id", sample->id, "tokens",
                     (json_int_t)count->tokens, "tokens_reasoning", (json_int_t)count->tokens_reasoning,
                     "ids_sha256", count->ids_sha256, "ids", ids_to_json(ids), "usage_tokens", usage_value,
                     "flags", flags);
}

static ssw_status write_counts(const ssw_evidence *evidence, const ssw_token_counter *counter,
                               ssw_jsonl *file, ssw_recount_result *out, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < evidence->n_samples; i++) {
        const ssw_sample *sample = &evidence->samples[i];
        ssw_text_count count;
        ssw_tokens ids = {0};
        bool disagrees = false;
        if (counter)
            status = ssw_token_counter_count(counter, sample->text, sample->reasoning, &ids, &count, err);
        if (status)
            break;
        if (counter) {
            disagrees = !sample->error && ssw_token_count_disagrees(sample, count.tokens);
            out->n_counted++;
            out->n_disagree += disagrees;
        }
        status =
            ssw_jsonl_append(file, count_line(sample, counter ? &count : NULL, &ids, disagrees), false, err);
        ssw_tokens_deinit(&ids);
    }
    return status;
}

ssw_status ssw_recount_tokens(const char *dir, const char *model_path, ssw_recount_result *out,
                              ssw_error *err)
{
    ssw_evidence *evidence = NULL;
    ssw_token_counter *counter = NULL;
    ssw_jsonl file = {.fd = -1};
    *out = (ssw_recount_result){0};
    ssw_status status = ssw_evidence_open(dir, &evidence, err);
    if (!status && model_path)
        status = ssw_token_counter_open(model_path, &counter, err);
    if (status)
        goto cleanup;
    status = ssw_jsonl_open_fresh(&file, dir, "tokens.jsonl", err);
    if (!status)
        status = write_counts(evidence, counter, &file, out, err);
    status = ssw_jsonl_close_fresh(&file, status, err);
cleanup:
    ssw_token_counter_close(counter);
    ssw_evidence_close(evidence);
    return status;
}
