/* Every mix of tensor types from end to end: the demo model quantised to it by src/quantize, then the logits
 * of one text by three programs: the engine with its reference operations (dequantised weights, float
 * activations), the engine with those that this processor would use, and llama.cpp.
 *
 *     test_types_llama_cpp MODEL.gguf
 *
 * The text is the chat prompt below and what llama.cpp's greedy choice makes of it with the model as it is.
 * llama.cpp rounds activations to 8 bits in blocks of 256 for the K types and IQ4_XS, the engine in blocks of
 * 32 for all: so it may be farther from the reference than the engine is. docs/CONFORMANCE.md has what this
 * printed. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

#include "../gguf/gguf_files.h"
#include "../quantize/write_quantized.h"
#include "llama_ref.h"
#include "logits.h"
#include "seesaw/engine.h"

enum { N_TOKENS = 128, N_CTX = 256, N_THREADS = 2, PATH_BYTES = 4096 };

static const char prompt[] =
    "<|start|>user<|message|>Explain quantum computing in simple terms<|end|><|start|>assistant";
static const char *model_path;

/* Four to five times the largest that was seen, with AVX2. A near tie between experts may change the tail of
 * a token's logits by more than rounding does: hence the wide bound on single logits. */
#define TO_REFERENCE_KL_MAX 4e-5
#define TO_LLAMA_CPP_KL_MAX 1.5e-4
#define DLOGIT_MAX          8.0f
#define SAME_TOP_MIN        (N_TOKENS - 2)

static ssw_llama *open_llama(const char *path)
{
    ssw_error err;
    ssw_llama *llama;
    ssw_llama_options options = {
        .model_path = path, .n_ctx = N_CTX, .n_threads = N_THREADS, .n_batch = N_TOKENS};
    if (ssw_llama_open(&options, &llama, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return llama;
}

static void make_text(int32_t tokens[N_TOKENS])
{
    ssw_error err;
    size_t n;
    ssw_llama *llama = open_llama(model_path);
    assert_int_equal(ssw_llama_tokenize(llama, prompt, sizeof prompt - 1, true, tokens, N_TOKENS, &n, &err),
                     SSW_OK);
    assert_int_equal(ssw_llama_eval(llama, tokens, n, false, &err), SSW_OK);
    while (n < N_TOKENS) {
        tokens[n] = ssw_llama_greedy(llama);
        assert_int_equal(ssw_llama_eval(llama, &tokens[n++], 1, false, &err), SSW_OK);
    }
    ssw_llama_close(llama);
}

/* [N_TOKENS][n_vocab], the caller's to free. */
static float *run_engine(const char *path, bool use_reference_ops, const int32_t *tokens, int32_t *n_vocab)
{
    ssw_error err;
    ssw_engine *engine;
    ssw_session *session;
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.n_threads = N_THREADS;
    options.ctx_size = N_CTX;
    options.use_reference_ops = use_reference_ops;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    *n_vocab = ssw_engine_describe(engine)->n_vocab;
    float *logits = malloc((size_t)N_TOKENS * (size_t)*n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    ssw_eval_item item = {.session = session, .tokens = tokens, .n_tokens = N_TOKENS, .logits_all = logits};
    assert_int_equal(ssw_engine_eval(engine, &item, 1, &err), SSW_OK);
    ssw_engine_close(engine);
    return logits;
}

typedef struct distance {
    float max_dlogit;
    double mean_kl;     /* of q's distributions from p's */
    int32_t n_same_top; /* tokens after which both have the same most likely one */
} distance;

/* p, q: [N_TOKENS][n_vocab] */
static distance measure(const float *p, const float *q, int32_t n_vocab)
{
    distance d = {.max_dlogit = max_difference(p, q, (int64_t)N_TOKENS * n_vocab)};
    for (int i = 0; i < N_TOKENS; i++, p += n_vocab, q += n_vocab) {
        d.mean_kl += divergence(p, q, n_vocab) / N_TOKENS;
        d.n_same_top += largest_logit(p, n_vocab) == largest_logit(q, n_vocab);
    }
    return d;
}

static void print_distance(const distance *d)
{
    print_message(" | %.2f, %.0e, %d/%d", (double)d->max_dlogit, d->mean_kl, (int)d->n_same_top, N_TOKENS);
}

static void check_mix(const ssw_type_mix *mix, const int32_t *tokens)
{
    char path[PATH_BYTES];
    ssw_error err;
    int32_t n_vocab;
    scratch_path(path, sizeof path, "mix.gguf");
    write_quantized(model_path, mix, path);
    float *reference = run_engine(path, true, tokens, &n_vocab);
    float *fast = run_engine(path, false, tokens, &n_vocab);
    ssw_llama *llama = open_llama(path);
    assert_int_equal(ssw_llama_eval(llama, tokens, N_TOKENS, true, &err), SSW_OK);
    const float *theirs = ssw_llama_logits_at(llama, 0);
    distance to_reference = measure(reference, fast, n_vocab);
    distance their_own = measure(reference, theirs, n_vocab);
    distance to_llama = measure(theirs, fast, n_vocab);
    print_message("%s", mix->name);
    print_distance(&to_reference);
    print_distance(&their_own);
    print_distance(&to_llama);
    print_message("\n");
    ssw_llama_close(llama);
    free(reference);
    free(fast);
    assert_true(to_reference.mean_kl <= TO_REFERENCE_KL_MAX);
    assert_true(to_llama.mean_kl <= TO_LLAMA_CPP_KL_MAX);
    assert_true(to_reference.max_dlogit <= DLOGIT_MAX && to_llama.max_dlogit <= DLOGIT_MAX);
    assert_true(to_reference.n_same_top >= SAME_TOP_MIN && to_llama.n_same_top >= SAME_TOP_MIN);
}

static void every_mix_computes_what_llama_cpp_does(void **state)
{
    int32_t tokens[N_TOKENS];
    make_text(tokens);
    print_message(
        "max |dlogit|, KL, top-1: engine to reference | llama.cpp to reference | engine to llama.cpp\n");
    for (size_t i = 0; i < ssw_type_mix_count(); i++)
        check_mix(ssw_type_mix_at(i), tokens);
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mix_computes_what_llama_cpp_does)};
    if (argc != 2)
        return 2;
    model_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
