/* Every mix of tensor types on the GPU: the demo model quantised to it by src/quantize, then the logits of
 * one text by the GPU, with the experts on it and in host memory, against the engine's reference operations
 * (dequantised weights, float activations), and the CPU's beside them. The text is the chat prompt below and
 * what the reference operations' greedy choice makes of it with the model as it is.
 *
 *     test_gpu_types MODEL.gguf [MIX...]
 *
 * Half of the text is one prompt, half is decoded token by token. Skipped where no GPU is. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gguf/gguf_files.h"
#include "../quantize/write_quantized.h"
#include "engine/gpu.h"
#include "gguf/gguf_writer.h"
#include "gpu_case.h"
#include "logits.h"
#include "seesaw/engine.h"
#include "token/tokenizer.h"

enum { N_TOKENS = 64, N_CTX = 64, N_THREADS = 2, PATH_BYTES = 4096, EXIT_SKIPPED = 77 };

static const char prompt[] =
    "<|start|>user<|message|>Explain quantum computing in simple terms<|end|><|start|>assistant";
static const char *model_path;
static int n_names; /* of mixes; none: all */
static char **names;

#define TO_REFERENCE_KL_MAX 4e-5 /* test_types_llama_cpp.c's bound for the CPU */
#define SAME_TOP_MIN        (N_TOKENS - 2)

typedef struct placement {
    const char *name;
    int32_t n_gpu_layers, n_cpu_moe;
    bool use_reference_ops;
} placement;

static const placement placements[] = {
    {"reference", 0, 0, true},
    {"cpu", 0, 0, false},
    {"gpu", SSW_ENGINE_LAYERS_ALL, 0, false},
    {"gpu, experts in host memory", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, false}};
enum { N_PLACEMENTS = sizeof placements / sizeof placements[0] };

static ssw_engine *open_engine(const char *path, const placement *where)
{
    ssw_error err;
    ssw_engine *engine;
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.n_threads = N_THREADS;
    options.ctx_size = N_CTX;
    options.n_gpu_layers = where->n_gpu_layers;
    options.cpu_moe_rates = (ssw_engine_cpu_rates){1e11, 2.2e11}; /* whatever the machine and its load */
    options.copy_bytes_per_s = 50e9;
    options.n_cpu_moe = where->n_cpu_moe;
    options.use_reference_ops = where->use_reference_ops;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return engine;
}

/* logits: of each token, [n][n_vocab]. */
static void eval(ssw_engine *engine, ssw_session *session, const int32_t *tokens, size_t n, float *logits)
{
    ssw_error err;
    ssw_eval_item item = {.session = session, .tokens = tokens, .n_tokens = (int32_t)n, .logits_all = logits};
    if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
        fail_msg("%s", err.message);
}

static void make_text(int32_t tokens[N_TOKENS])
{
    ssw_error err;
    ssw_session *session;
    ssw_tokens start = {0};
    ssw_engine *engine = open_engine(model_path, &placements[0]);
    size_t n_vocab = (size_t)ssw_engine_describe(engine)->n_vocab;
    float *logits = malloc(N_TOKENS * n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(
        ssw_tokenizer_encode(ssw_engine_tokenizer(engine), prompt, sizeof prompt - 1, true, &start, &err),
        SSW_OK);
    assert_true(start.n < N_TOKENS);
    memcpy(tokens, start.ids, start.n * sizeof *tokens);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    for (size_t n = start.n, step = n; n < N_TOKENS; n++, step = 1) {
        eval(engine, session, tokens + n - step, step, logits);
        tokens[n] = largest_logit(logits + (step - 1) * n_vocab, (int32_t)n_vocab);
    }
    ssw_tokens_deinit(&start);
    free(logits);
    ssw_engine_close(engine);
}

/* [N_TOKENS][n_vocab], the caller's to free. */
static float *run_engine(const char *path, const placement *where, const int32_t *tokens, int32_t *n_vocab)
{
    ssw_engine *engine = open_engine(path, where);
    assert_int_equal(is_on_gpu(engine), where->n_gpu_layers != 0);
    *n_vocab = ssw_engine_describe(engine)->n_vocab;
    float *logits = eval_in_two(engine, tokens, N_TOKENS, N_TOKENS / 2);
    ssw_engine_close(engine);
    return logits;
}

static void check_model(const char *path, const char *name, const int32_t *tokens)
{
    float *reference = NULL;
    print_message("%s", name);
    for (int p = 0; p < N_PLACEMENTS; p++) {
        int32_t n_vocab, n_same_top = 0;
        double kl = 0;
        float *logits = run_engine(path, &placements[p], tokens, &n_vocab);
        if (!reference) {
            reference = logits;
            continue;
        }
        for (size_t i = 0; i < N_TOKENS; i++) {
            const float *a = reference + i * (size_t)n_vocab, *b = logits + i * (size_t)n_vocab;
            kl += divergence(a, b, n_vocab) / N_TOKENS;
            n_same_top += largest_logit(a, n_vocab) == largest_logit(b, n_vocab);
        }
        print_message(" | %s: KL %.0e, top-1 %d of %d", placements[p].name, kl, (int)n_same_top, N_TOKENS);
        free(logits);
        assert_true(kl <= TO_REFERENCE_KL_MAX);
        assert_true(n_same_top >= SAME_TOP_MIN);
    }
    print_message("\n");
    free(reference);
}

static void check_mix(const ssw_type_mix *mix, const int32_t *tokens)
{
    char path[PATH_BYTES];
    scratch_path(path, sizeof path, "mix.gguf");
    write_quantized(model_path, mix, path);
    check_model(path, mix->name, tokens);
}

static void every_mix_runs_on_the_gpu(void **state)
{
    int32_t tokens[N_TOKENS];
    (void)state;
    make_text(tokens);
    for (size_t i = 0; i < ssw_type_mix_count() && n_names == 0; i++)
        check_mix(ssw_type_mix_at(i), tokens);
    for (int i = 0; i < n_names; i++) {
        assert_non_null(ssw_type_mix_find(names[i]));
        check_mix(ssw_type_mix_find(names[i]), tokens);
    }
}

static bool is_expert_of_odd_layer(const char *name)
{
    int layer;
    return strstr(name, "_exps.weight") && sscanf(name, "blk.%d.", &layer) == 1 && layer % 2 == 1;
}

/* The model in one mix, with the experts of every other layer in another. */
static void splice(const char *path, const char *first_mix, const char *second_mix)
{
    char paths[2][PATH_BYTES];
    ssw_error err;
    ssw_gguf *files[2];
    ssw_gguf_writer *writer;
    const char *const mixes[2] = {first_mix, second_mix};
    for (int i = 0; i < 2; i++) {
        scratch_path(paths[i], sizeof paths[i], i == 0 ? "first.gguf" : "second.gguf");
        write_quantized(model_path, ssw_type_mix_find(mixes[i]), paths[i]);
        assert_int_equal(ssw_gguf_open(paths[i], &files[i], &err), SSW_OK);
    }
    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    for (size_t i = 0; i < ssw_gguf_count_keys(files[0]); i++)
        ssw_gguf_writer_copy_key(writer, ssw_gguf_key_at(files[0], i));
    for (int is_data = 0; is_data < 2; is_data++) {
        for (size_t i = 0; i < ssw_gguf_count_tensors(files[0]); i++) {
            const ssw_gguf_tensor *t = ssw_gguf_tensor_at(files[0], i);
            t = is_expert_of_odd_layer(t->name) ? ssw_gguf_find_tensor(files[1], t->name) : t;
            if (!is_data)
                ssw_gguf_writer_add_tensor(writer, t->name, t->dtype, t->n_dims, t->dims);
            else
                assert_int_equal(ssw_gguf_writer_write_data(writer, t->data, t->n_bytes, &err), SSW_OK);
        }
        if (!is_data)
            assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    }
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
    ssw_gguf_close(files[0]);
    ssw_gguf_close(files[1]);
}

/* Places for copied experts must fit the larger, whichever comes first. */
static void layers_may_differ(void **state)
{
    char path[PATH_BYTES];
    int32_t tokens[N_TOKENS];
    (void)state;
    make_text(tokens);
    scratch_path(path, sizeof path, "spliced.gguf");
    splice(path, "Q4_0", "Q8_0");
    check_model(path, "Q4_0, experts of odd layers Q8_0", tokens);
    splice(path, "Q8_0", "Q4_0");
    check_model(path, "Q8_0, experts of odd layers Q4_0", tokens);
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mix_runs_on_the_gpu),
                                       cmocka_unit_test(layers_may_differ)};
    ssw_gpu_device device;
    ssw_error err;
    if (argc < 2)
        return 2;
    if (ssw_gpu_find(&device, &err) != SSW_OK) {
        printf("no GPU: %s\n", err.message);
        return EXIT_SKIPPED;
    }
    model_path = argv[1];
    n_names = argc - 2;
    names = argv + 2;
    printf("%s\nof the reference operations:\n", device.name);
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
