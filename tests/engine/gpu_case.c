/* See the header. */
#include "gpu_case.h"

#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in.h"

static char log_text[8192];

static void keep_log(void *context, ssw_log_level level, const char *line)
{
    size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

const char *gpu_case_log(void)
{
    return log_text;
}

ssw_engine_options gpu_case_options(const char *path)
{
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.ctx_size = 64;
    options.n_batch = 32;
    options.n_threads = 2;
    options.pin_threads = false;
    options.n_gpu_layers = SSW_ENGINE_LAYERS_ALL;
    options.n_cpu_moe = SSW_ENGINE_LAYERS_ALL;
    options.cpu_moe_rates = (ssw_engine_cpu_rates){1e11, 2.2e11}; /* whatever the machine and its load */
    options.log = (ssw_log){keep_log, NULL, SSW_LOG_INFO};
    log_text[0] = '\0';
    return options;
}

ssw_engine *gpu_case_open(const ssw_engine_options *options)
{
    ssw_engine *engine = NULL;
    ssw_error err = {0};
    if (ssw_engine_open(options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return engine;
}

void gpu_case_tokens(const ssw_engine *engine, int32_t first, int32_t n, int32_t *out)
{
    int32_t n_vocab = ssw_engine_describe(engine)->n_vocab;
    for (int32_t i = 0; i < n; i++)
        out[i] = ((first + i) * 37 + (first + i) * (first + i) * 11 + 5) % n_vocab;
}

float *gpu_case_eval(ssw_engine *engine)
{
    size_t n_vocab = (size_t)ssw_engine_describe(engine)->n_vocab;
    int32_t tokens[GPU_CASE_PROMPT + GPU_CASE_DECODED];
    float *logits = malloc((1 + GPU_CASE_DECODED) * n_vocab * sizeof *logits);
    ssw_session *session;
    ssw_error err = {0};
    assert_non_null(logits);
    gpu_case_tokens(engine, 0, GPU_CASE_PROMPT + GPU_CASE_DECODED, tokens);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    for (int32_t step = 0; step <= GPU_CASE_DECODED; step++) {
        ssw_eval_item item = {.session = session,
                              .tokens = step == 0 ? tokens : tokens + GPU_CASE_PROMPT + step - 1,
                              .n_tokens = step == 0 ? GPU_CASE_PROMPT : 1,
                              .logits = logits + (size_t)step * n_vocab};
        if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
            fail_msg("step %d: %s", step, err.message);
    }
    ssw_session_close(session);
    return logits;
}

void gpu_case_expect_nothing(void)
{
    stand_in_counts c = stand_in_count();
    if (c.n_device + c.n_host + c.n_pinned + c.n_streams + c.n_events + c.n_graphs > 0)
        fail_msg(
            "left behind: %d pieces of device memory, %d of host memory, %d pins, %d streams, %d events, "
            "%d graphs",
            c.n_device, c.n_host, c.n_pinned, c.n_streams, c.n_events, c.n_graphs);
    stand_in_reset();
}
