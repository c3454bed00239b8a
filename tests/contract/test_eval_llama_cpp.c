/* `seesaw eval`'s perplexity beside llama.cpp's, on the demo model and the prose held out of its training.
 *
 *     test_eval_llama_cpp MODEL.gguf TEXT
 *
 * llama.cpp tokenises and computes the logits; which of them count is written here again from its perplexity
 * tool's description (windows of N, the second half scored by the next token). Both programs round
 * activations to 8 bits in other orders, so the mean nats agree within a bound. This model knows its
 * corpus by heart and no other text (models/CARD.md): its perplexity here is very high. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/eval_run.h"
#include "llama_ref.h"

enum { WINDOW = 64, N_THREADS = 2, TEXT_MAX = 1 << 16, TOKENS_MAX = 4096 };

/* Seen at first: 10.60854 and 10.60840 nats per token. */
#define NLL_DIFFERENCE_MAX 0.01

static const char *model_path, *text_path;

static double llama_nll(ssw_llama *llama, const int32_t *tokens, size_t n_windows)
{
    double sum = 0;
    int32_t n_vocab = ssw_llama_vocab_size(llama);
    for (size_t w = 0; w < n_windows; w++) {
        const int32_t *window = tokens + w * WINDOW;
        ssw_llama_reset(llama);
        assert_int_equal(ssw_llama_eval(llama, window, WINDOW, true, NULL), SSW_OK);
        for (int32_t at = WINDOW / 2; at < WINDOW - 1; at++) {
            const float *logits = ssw_llama_logits_at(llama, at);
            double max = -INFINITY, total = 0;
            for (int32_t i = 0; i < n_vocab; i++)
                max = fmax(max, (double)logits[i]);
            for (int32_t i = 0; i < n_vocab; i++)
                total += exp((double)logits[i] - max);
            sum += max + log(total) - (double)logits[window[at + 1]];
        }
    }
    return sum / (double)(n_windows * (WINDOW - 1 - WINDOW / 2));
}

static void test_same_perplexity(void **state)
{
    static char text[TEXT_MAX];
    static int32_t ids[TOKENS_MAX];
    size_t n_ids = 0;
    ssw_error err;
    FILE *file = fopen(text_path, "rb");
    assert_non_null(file);
    size_t n_bytes = fread(text, 1, sizeof text, file);
    fclose(file);

    ssw_engine_options options;
    ssw_engine *engine = NULL;
    ssw_engine_options_init(&options);
    options.model_path = model_path;
    options.n_threads = N_THREADS;
    options.ctx_size = WINDOW;
    options.compat = SSW_ENGINE_COMPAT_LLAMA_CPP;
    if (ssw_engine_open(&options, &engine, &err))
        fail_msg("%s", err.message);
    ssw_eval_windows windows;
    ssw_eval_score score;
    ssw_eval_result result;
    if (ssw_eval_cut_windows(ssw_engine_tokenizer(engine), text, n_bytes, WINDOW, 0, &windows, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_eval_score_init(&score, (size_t)windows.n_windows, &err), SSW_OK);
    const ssw_eval_job job = {.engine = engine, .windows = &windows};
    if (ssw_eval_run(&job, &score, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_eval_finish(&score, &result, &err), SSW_OK);

    ssw_llama *llama = NULL;
    const ssw_llama_options llama_options = {
        .model_path = model_path, .n_ctx = WINDOW, .n_threads = N_THREADS, .n_batch = WINDOW};
    if (ssw_llama_open(&llama_options, &llama, &err))
        fail_msg("%s", err.message);
    assert_int_equal(ssw_llama_tokenize(llama, text, n_bytes, false, ids, TOKENS_MAX, &n_ids, &err), SSW_OK);
    assert_int_equal(n_ids / WINDOW, windows.n_windows); /* the demo model has no BOS */
    assert_int_equal(n_ids, windows.n_text_tokens);
    assert_memory_equal(ids, windows.tokens, (size_t)windows.n_windows * WINDOW * sizeof *ids);
    double own = log(result.perplexity), theirs = llama_nll(llama, ids, n_ids / WINDOW);
    printf("perplexity %.2f, llama.cpp's logits give %.2f: %.5f and %.5f nats per token\n", result.perplexity,
           exp(theirs), own, theirs);
    assert_true(fabs(own - theirs) < NLL_DIFFERENCE_MAX);
    ssw_llama_close(llama);
    ssw_eval_score_deinit(&score);
    ssw_eval_windows_deinit(&windows);
    ssw_engine_close(engine);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    model_path = argv[1];
    text_path = argv[2];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_perplexity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
