/* The engine's logits beside llama.cpp's, for models too large to be fixtures:
 *
 *     compare_logits MODEL.gguf...
 *
 * 96 random tokens, whole prompt at once, the engine following llama.cpp where that differs from the
 * publisher. Built with the tests, run by hand: docs/CONFORMANCE.md has what it printed. */
#include <stdio.h>
#include <stdlib.h>

#include "llama_ref.h"
#include "logits.h"
#include "seesaw/engine.h"

enum { N_TOKENS = 96, N_CTX = 512, N_THREADS = 2 };

static void print_distance(const char *path, const ssw_llama *llama, const float *ours, int32_t n_vocab)
{
    float max = 0;
    double kl = 0;
    int n_same = 0;
    for (int32_t row = 0; row < N_TOKENS; row++) {
        const float *p = ssw_llama_logits_at(llama, row), *q = ours + (size_t)row * (size_t)n_vocab;
        float difference = max_difference(p, q, n_vocab);
        max = difference > max ? difference : max;
        kl += divergence(p, q, n_vocab) / N_TOKENS;
        n_same += largest_logit(p, n_vocab) == largest_logit(q, n_vocab);
    }
    printf("%s: max |dlogit| %.4f, KL %.1e, top-1 %d of %d\n", path, (double)max, kl, n_same, N_TOKENS);
}

static ssw_status compare(const char *path, ssw_error *err)
{
    ssw_engine_options options;
    ssw_llama_options llama_options = {
        .model_path = path, .n_ctx = N_CTX, .n_threads = N_THREADS, .n_batch = N_TOKENS};
    ssw_engine *engine = NULL;
    ssw_llama *llama = NULL;
    ssw_session *session;
    float *logits = NULL;
    int32_t tokens[N_TOKENS], n_vocab = 0;
    uint32_t seed = 1;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.ctx_size = N_CTX;
    options.n_threads = N_THREADS;
    options.compat = SSW_ENGINE_COMPAT_LLAMA_CPP;
    ssw_status status = ssw_engine_open(&options, &engine, err);
    if (status == SSW_OK)
        status = ssw_llama_open(&llama_options, &llama, err);
    if (status == SSW_OK)
        status = ssw_session_open(engine, &session, err);
    if (status != SSW_OK)
        goto cleanup;
    n_vocab = ssw_engine_describe(engine)->n_vocab;
    for (int i = 0; i < N_TOKENS; i++) {
        seed = seed * 1664525 + 1013904223;
        tokens[i] = (int32_t)((seed >> 8) % (uint32_t)n_vocab);
    }
    logits = malloc((size_t)N_TOKENS * (size_t)n_vocab * sizeof *logits);
    if (!logits) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the logits");
        goto cleanup;
    }
    ssw_eval_item item = {.session = session, .tokens = tokens, .n_tokens = N_TOKENS, .logits_all = logits};
    status = ssw_engine_eval(engine, &item, 1, err);
    if (status == SSW_OK)
        status = ssw_llama_eval(llama, tokens, N_TOKENS, true, err);
    if (status == SSW_OK)
        print_distance(path, llama, logits, n_vocab);
cleanup:
    free(logits);
    ssw_engine_close(engine);
    ssw_llama_close(llama);
    return status;
}

int main(int argc, char **argv)
{
    ssw_error err;
    for (int i = 1; i < argc; i++) {
        if (compare(argv[i], &err) != SSW_OK) {
            fprintf(stderr, "compare_logits: %s\n", err.message);
            return 1;
        }
    }
    return argc > 1 ? 0 : 2;
}
