/* ssw_engine_eval: checks, cuts the work into passes, runs them, adds up hidden states. */
#include <string.h>

#include "engine/engine_parts.h"

static ssw_status check_tokens(const ssw_engine *engine, const ssw_eval_item *item, ssw_error *err)
{
    if (item->n_tokens < 1 || !item->tokens)
        return ssw_error_set(err, SSW_ERR_USAGE, "an item without tokens");
    int32_t length = item->session->length;
    if (item->n_tokens > engine->info.ctx_size - length)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%d tokens after %d do not fit the context of %d",
                             item->n_tokens, length, engine->info.ctx_size);
    for (int32_t i = 0; i < item->n_tokens; i++) {
        if (item->tokens[i] < 0 || item->tokens[i] >= engine->info.n_vocab)
            return ssw_error_set(err, SSW_ERR_USAGE, "token %d is not in the vocabulary of %d",
                                 item->tokens[i], engine->info.n_vocab);
    }
    return SSW_OK;
}

static ssw_status check_items(const ssw_engine *engine, const ssw_eval_item *items, int32_t n_items,
                              ssw_error *err)
{
    if (n_items < 1 || n_items > engine->info.n_parallel)
        return ssw_error_set(err, SSW_ERR_USAGE, "%d items, expected 1 to %d", n_items,
                             engine->info.n_parallel);
    bool wants_logits = false, wants_top = false;
    for (int32_t i = 0; i < n_items; i++) {
        wants_logits |= items[i].logits || items[i].logits_all;
        wants_top |= items[i].top != NULL;
    }
    if (wants_top && (wants_logits || !engine->info.finds_top))
        return ssw_error_set(err, SSW_ERR_USAGE,
                             wants_logits ? "a step gives all logits or the largest, not both"
                                          : "this engine gives all logits, not the largest");
    for (int32_t i = 0; i < n_items; i++) {
        const ssw_session *session = items[i].session;
        if (!session || session->engine != engine || !session->is_open)
            return ssw_error_set(err, SSW_ERR_USAGE, "item %d has no open session of this engine", i);
        for (int32_t k = 0; k < i; k++) {
            if (items[k].session == session)
                return ssw_error_set(err, SSW_ERR_USAGE, "items %d and %d are of the same session", k, i);
        }
        ssw_status status = check_tokens(engine, &items[i], err);
        if (status != SSW_OK)
            return status;
    }
    return SSW_OK;
}

/* One pass through the layers in host memory, then through those on the GPU. */
static ssw_status run_pass(ssw_engine *engine, ssw_error *err)
{
    if (engine->forward)
        ssw_forward_run(engine->forward, &engine->pass);
    if (!engine->gpu)
        return SSW_OK;
    const float *x = engine->forward ? ssw_forward_rows_out(engine->forward) : NULL;
    return ssw_gpu_run(engine->gpu, &engine->pass, x, err);
}

static ssw_status add_hidden(const ssw_engine *engine, const ssw_eval_item *items, ssw_error *err)
{
    const float *hidden = NULL;
    bool is_wanted = false;
    for (int32_t p = 0; p < engine->pass.n_parts; p++)
        is_wanted = is_wanted || items[engine->pass.parts[p].item].hidden_sum;
    if (!is_wanted)
        return SSW_OK;
    if (!engine->gpu) {
        hidden = ssw_forward_hidden(engine->forward);
    } else {
        ssw_status status = ssw_gpu_read_hidden(engine->gpu, &hidden, err);
        if (status != SSW_OK)
            return status;
    }
    size_t n_embd = (size_t)engine->info.n_embd;
    for (int32_t p = 0; p < engine->pass.n_parts; p++) {
        const ssw_pass_part *part = &engine->pass.parts[p];
        float *sum = items[part->item].hidden_sum;
        for (int32_t r = 0; sum && r < part->n_outputs; r++) {
            const float *row = hidden + (size_t)(part->first_output + r) * n_embd;
            for (size_t k = 0; k < n_embd; k++)
                sum[k] += row[k];
        }
    }
    return SSW_OK;
}

static void finish_item(const ssw_engine *engine, const ssw_eval_item *item)
{
    ssw_session *session = item->session;
    session->length += item->n_tokens;
    if (session->highest < session->length)
        session->highest = session->length;
    size_t n_vocab = (size_t)engine->info.n_vocab;
    if (item->logits && item->logits_all)
        memcpy(item->logits, item->logits_all + (size_t)(item->n_tokens - 1) * n_vocab,
               n_vocab * sizeof(float));
}

ssw_status ssw_engine_eval(ssw_engine *engine, const ssw_eval_item *items, int32_t n_items, ssw_error *err)
{
    ssw_status status = check_items(engine, items, n_items, err);
    if (status != SSW_OK)
        return status;
    for (int32_t i = 0; i < n_items; i++) {
        const ssw_session *session = items[i].session;
        engine->cursors[i] = (ssw_pass_cursor){session->sequence, session->length, 0};
        if (items[i].hidden_sum)
            memset(items[i].hidden_sum, 0, (size_t)engine->info.n_embd * sizeof(float));
    }
    while (ssw_pass_fill(&engine->pass, items, engine->cursors, n_items, engine->info.n_batch,
                         engine->info.n_vocab)) {
        status = run_pass(engine, err);
        if (status == SSW_OK)
            status = add_hidden(engine, items, err);
        if (status != SSW_OK)
            return status;
    }
    for (int32_t i = 0; i < n_items; i++)
        finish_item(engine, &items[i]);
    return SSW_OK;
}
