#include "gpu_case.h"

#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "logits.h"

float *eval_in_two(ssw_engine *engine, const int32_t *tokens, int32_t n, int32_t n_decoded)
{
    size_t n_vocab = (size_t)ssw_engine_describe(engine)->n_vocab;
    ssw_session *session;
    ssw_error err;
    float *logits = malloc((size_t)n * n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    for (int32_t at = 0, step = n - n_decoded; at < n; at += step, step = 1) {
        ssw_eval_item item = {.session = session, .tokens = tokens + at, .n_tokens = step};
        if (step == 1) /* as the server decodes */
            item.logits = logits + (size_t)at * n_vocab;
        else
            item.logits_all = logits + (size_t)at * n_vocab;
        if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
            fail_msg("%s", err.message);
    }
    ssw_session_close(session);
    return logits;
}

bool is_on_gpu(const ssw_engine *engine)
{
    const ssw_engine_info *info = ssw_engine_describe(engine);
    for (int32_t i = 0; i < info->n_places; i++) {
        if (strcmp(info->places[i].device, "CPU") != 0)
            return true;
    }
    return false;
}

double mean_kl(const float *a, const float *b, int32_t n_rows, size_t n_vocab)
{
    double total = 0;
    for (int32_t r = 0; r < n_rows; r++)
        total += divergence(a + (size_t)r * n_vocab, b + (size_t)r * n_vocab, (int32_t)n_vocab);
    return total / n_rows;
}
