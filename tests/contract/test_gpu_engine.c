/* One model in every placement: all in host memory, all on the GPU, the experts of all or of the first layers
 * in host memory, with a cache of them on the GPU, some by name, the last layers on the GPU. Against the
 * publishers' figures where the fixtures have them (tests/fixtures/README.md), and placement against
 * placement.
 *
 * Skipped where no GPU is. Arguments: models to take instead of the fixtures, which then are compared with
 * the host's logits only. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gpu.h"
#include "fixture.h"
#include "gguf/tensor_class.h"
#include "gpu_case.h"
#include "logits.h"
#include "seesaw/engine.h"

/* max |logit - the publisher's| and mean KL in nats: the bounds of the CPU's fast operations
 * (test_families.c), which round activations alike. Float weights with many tokens go through 16-bit tensor
 * cores in two parts; keys, values and queries are rounded to F16. */
#define FLOAT_MAX        0.02f
#define QUANTISED_MAX    0.3f
#define FLOAT_KL_MAX     2e-5
#define QUANTISED_KL_MAX 5e-3
/* Between placements sums are taken in another order, so that activations may round to the neighbouring
 * eighth bit. */
#define BETWEEN_KL_MAX 3e-3

enum { N_GPU_LAYERS_LAST = 2, EXIT_SKIPPED = 77, RANDOM_PROMPT = 200, RANDOM_DECODED = 16 };

typedef struct placement {
    const char *name;
    int32_t n_gpu_layers, n_cpu_moe;
    int32_t cache_divisor; /* the expert cache has room for this part of all experts; 0: none */
    const char *override_tensor;
} placement;

static const placement placements[] = {
    {"host", 0, 0, 0, NULL},
    {"gpu", SSW_ENGINE_LAYERS_ALL, 0, 0, NULL},
    {"gpu, experts in host memory", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, 0, NULL},
    {"gpu, experts in host memory, half cached", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, 2, NULL},
    {"gpu, first layer's experts in host memory", SSW_ENGINE_LAYERS_ALL, 1, 0, NULL},
    {"gpu, second layer's experts by name", SSW_ENGINE_LAYERS_ALL, 0, 0, "blk\\.1\\..*_exps=CPU"},
    {"last layers on the gpu", N_GPU_LAYERS_LAST, 0, 0, NULL},
};
enum { N_PLACEMENTS = sizeof placements / sizeof placements[0] };

static const char *const names[] = {
    "gpt_oss/f32_gqa1_e4k2",
    "gpt_oss/f32_gqa2_e3k3_w4",
    "gpt_oss/f32_gqa4_e5k4_clamp",
    "gpt_oss/f32_published_yarn",
    "gpt_oss/f16_gqa2_e3k2",
    "gpt_oss/bf16_gqa4_e5k3",
    "gpt_oss/q8_0_gqa4_e7k4",
    "gpt_oss/q4_0_gqa2_e5k1",
    "gpt_oss/mxfp4_bf16_gqa1_e8k2",
    "gpt_oss/mxfp4_q8_0_gqa4_e7k4",
    "phimoe/phimoe_f32_gqa3_e5",
    "phimoe/phimoe_f16_gqa2_e4",
    "phimoe/phimoe_q8_0_gqa4_e5",
    "phimoe/phimoe_q4_0_gqa1_e3",
    "mixtral/mixtral_f32_gqa2_e5k2",
    "mixtral/mixtral_q8_0_gqa4_e3k3",
    "mixtral/mixtral_q4_0_gqa1_e8k2",
    "qwen3moe/qwen3moe_f32_gqa4_e7k3",
    "qwen3moe/qwen3moe_q8_0_gqa2_e9k4",
    "qwen3moe/qwen3moe_q4_0_gqa1_e4k1",
    "deepseek/deepseek_f32_gqa1_e6k3",
    "deepseek/deepseek_f16_gqa2_e5k2",
    "deepseek/deepseek_q8_0_gqa1_e7k4",
    "deepseek/deepseek_q4_0_gqa2_e4k2",
};

static int n_models;
static char **models;

/* Every class of the placement table took what was predicted. */
static void check_bytes(const ssw_engine *engine)
{
    const ssw_engine_info *info = ssw_engine_describe(engine);
    for (int32_t i = 0; i < info->n_places; i++) {
        const ssw_engine_place *place = &info->places[i];
        double predicted = (double)place->predicted_bytes, actual = (double)place->actual_bytes;
        if (actual > predicted * 1.03 || actual < predicted * 0.97)
            fail_msg("%s on %s: predicted %.0f bytes, took %.0f", place->tensors, place->device, predicted,
                     actual);
    }
}

/* The GGUF's expert tensors, as large as they are in memory or a little smaller. */
static uint64_t count_expert_bytes(const char *path)
{
    uint64_t bytes = 0;
    ssw_gguf *gguf;
    ssw_error err;
    if (ssw_gguf_open(path, &gguf, &err) != SSW_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        if (ssw_tensor_role_of(tensor->name).kind == SSW_TENSOR_EXPERT)
            bytes += tensor->n_bytes;
    }
    ssw_gguf_close(gguf);
    return bytes;
}

static ssw_engine_options options_of(const char *path, int32_t ctx_size, const placement *where)
{
    enum { TABLES_BYTES = 8 << 10 };
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.ctx_size = ctx_size;
    options.n_gpu_layers = where->n_gpu_layers;
    options.cpu_moe_rates = (ssw_engine_cpu_rates){1e11, 2.2e11}; /* whatever the machine and its load */
    options.copy_bytes_per_s = 50e9;
    options.n_cpu_moe = where->n_cpu_moe;
    if (where->cache_divisor > 0)
        options.moe_cache_bytes = count_expert_bytes(path) / (uint64_t)where->cache_divisor + TABLES_BYTES;
    if (where->override_tensor)
        options.override_tensors[options.n_override_tensors++] = where->override_tensor;
    return options;
}

static ssw_engine *open_engine(const char *path, int32_t ctx_size, const placement *where, ssw_error *err)
{
    ssw_engine *engine = NULL;
    ssw_engine_options options = options_of(path, ctx_size, where);
    if (ssw_engine_open(&options, &engine, err) != SSW_OK)
        fail_msg("%s: %s", path, err->message);
    check_bytes(engine);
    return engine;
}

/* Layers with experts in host memory count their steps and time, others nothing. */
static void check_times(const ssw_engine *engine, const placement *where, int32_t n_decoded)
{
    for (int32_t i = 0; i < ssw_engine_describe(engine)->n_layers; i++) {
        ssw_engine_layer_times times;
        ssw_engine_read_layer_times(engine, i, &times);
        bool is_counted = times.n_steps > 0;
        assert_true(times.n_steps <= (uint64_t)n_decoded + 1); /* a prompt of one token decodes, too */
        assert_int_equal(is_counted, times.work_ns > 0);
        assert_int_equal(is_counted, times.wait_ns > 0);
        if (!where->override_tensor && (where->n_cpu_moe <= i || where->n_gpu_layers == 0))
            assert_false(is_counted);
    }
}

/* The first placement's logits are kept in *host for the others to be compared with. */
static void compare_placement(const char *name, const fixture *f, const placement *where, int32_t n_decoded,
                              float **host)
{
    ssw_error err;
    ssw_engine *engine = open_engine(f->model_path, f->n_prompt, where, &err);
    float *logits = eval_in_two(engine, f->prompt, f->n_prompt, n_decoded);
    fixture_distance d = fixture_compare(f, logits);
    bool is_float = !strstr(name, "q8_0") && !strstr(name, "q4_0") && !strstr(name, "mxfp4");
    double kl = *host ? mean_kl(*host, logits, f->n_prompt, (size_t)f->n_vocab) : 0;
    print_message(
        "%-34s %-42s %2d decoded: max |dlogit| %.6f, KL %.1e, from the host %.1e, top-1 %d of %d%s\n", name,
        where->name, (int)n_decoded, (double)d.max_dlogit, d.mean_kl, kl, d.n_same_top, f->n_rows,
        where->n_gpu_layers != 0 && !is_on_gpu(engine) ? " (not on the GPU)" : "");
    assert_true(d.max_dlogit <= (is_float ? FLOAT_MAX : QUANTISED_MAX));
    assert_true(d.mean_kl <= (is_float ? FLOAT_KL_MAX : QUANTISED_KL_MAX));
    assert_true(kl <= BETWEEN_KL_MAX);
    if (where->cache_divisor > 0 && is_on_gpu(engine)) {
        ssw_engine_expert_cache cache;
        ssw_engine_read_expert_cache(engine, &cache);
        assert_true(cache.n_slots > 0);
        assert_true(n_decoded == 0 || cache.hits_total > 0);
    }
    check_times(engine, where, n_decoded);
    if (*host)
        free(logits);
    else
        *host = logits;
    ssw_engine_close(engine);
}

/* A layer whose experts are in host memory is timed whenever it decodes. */
static void hand_overs_are_timed(void **state)
{
    (void)state;
    static const int32_t tokens[] = {1, 2, 3, 4};
    ssw_error err;
    fixture f;
    ssw_engine_layer_times times;
    fixture_open(&f, "gpt_oss/mxfp4_q8_0_gqa4_e7k4");
    ssw_engine *engine = open_engine(f.model_path, f.n_prompt, &placements[2], &err);
    free(eval_in_two(engine, tokens, 4, 3));
    ssw_engine_read_layer_times(engine, 0, &times);
    assert_true(!is_on_gpu(engine) || times.n_steps >= 3);
    ssw_engine_close(engine);
    fixture_close(&f);
}

static void every_placement_computes_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && n_models == 0; i++) {
        fixture f;
        float *host = NULL;
        fixture_open(&f, names[i]);
        for (size_t p = 0; p < N_PLACEMENTS; p++) {
            compare_placement(names[i], &f, &placements[p], 0, &host);
            compare_placement(names[i], &f, &placements[p], f.n_prompt / 2, &host);
        }
        free(host);
        fixture_close(&f);
    }
}

/* Whole models: random tokens, a prompt and some decoding. */
static void models_compute_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < n_models; i++) {
        float *host = NULL;
        for (size_t p = 0; p < N_PLACEMENTS; p++) {
            ssw_error err;
            int32_t tokens[RANDOM_PROMPT];
            ssw_engine *engine = open_engine(models[i], 2 * RANDOM_PROMPT, &placements[p], &err);
            size_t n_vocab = (size_t)ssw_engine_describe(engine)->n_vocab;
            uint32_t random = 1;
            for (int t = 0; t < RANDOM_PROMPT; t++) {
                random = random * 1664525u + 1013904223u;
                tokens[t] = (int32_t)((random >> 8) % (uint32_t)n_vocab);
            }
            float *logits = eval_in_two(engine, tokens, RANDOM_PROMPT, RANDOM_DECODED);
            if (placements[p].cache_divisor >
                0) { /* its contents follow what was served: from a fresh start */
                ssw_engine_close(engine);
                engine = open_engine(models[i], 2 * RANDOM_PROMPT, &placements[p], &err);
            }
            float *again = eval_in_two(engine, tokens, RANDOM_PROMPT, RANDOM_DECODED);
            double kl = host ? mean_kl(host, logits, RANDOM_PROMPT, n_vocab) : 0;
            float largest = host ? max_difference(host, logits, (int64_t)(RANDOM_PROMPT * n_vocab)) : 0;
            bool is_same = memcmp(logits, again, RANDOM_PROMPT * n_vocab * sizeof *logits) == 0;
            print_message("%s, %s: from the host max |dlogit| %.5f, KL %.2e; again: %s\n", models[i],
                          placements[p].name, (double)largest, kl, is_same ? "the same bits" : "OTHER BITS");
            assert_true(kl <= BETWEEN_KL_MAX);
            assert_true(is_same);
            free(again);
            if (host)
                free(logits);
            else
                host = logits;
            ssw_engine_close(engine);
        }
        free(host);
    }
}

/* Several sequences in one step, and a prompt beside decoding ones. */
static void company_changes_little(void **state)
{
    (void)state;
    enum { N = 5 };
    fixture f;
    fixture_open(&f, "gpt_oss/mxfp4_q8_0_gqa4_e7k4");
    for (size_t p = 1; p < N_PLACEMENTS; p++) {
        ssw_engine *engine;
        ssw_error err;
        ssw_engine_options options = options_of(f.model_path, f.n_prompt, &placements[p]);
        options.n_parallel = N;
        if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
            fail_msg("%s", err.message);
        float *alone = eval_in_two(engine, f.prompt, f.n_prompt, 0);
        size_t n_vocab = (size_t)f.n_vocab;
        float *logits = malloc(N * n_vocab * sizeof *logits);
        ssw_eval_item items[N];
        assert_non_null(logits);
        for (int i = 0; i < N; i++) {
            items[i] = (ssw_eval_item){.tokens = f.prompt, .n_tokens = f.n_prompt - 1 - i};
            assert_int_equal(ssw_session_open(engine, &items[i].session, &err), SSW_OK);
        }
        assert_int_equal(ssw_engine_eval(engine, items, N, &err), SSW_OK);
        for (int i = 0; i < N; i++)
            items[i] = (ssw_eval_item){.session = items[i].session,
                                       .tokens = f.prompt + f.n_prompt - 1 - i,
                                       .n_tokens = 1,
                                       .logits = logits + (size_t)i * n_vocab};
        assert_int_equal(ssw_engine_eval(engine, items, N, &err), SSW_OK);
        for (int i = 0; i < N; i++) {
            double kl = mean_kl(alone + (size_t)(f.n_prompt - 1 - i) * n_vocab, logits + (size_t)i * n_vocab,
                                1, n_vocab);
            assert_true(kl <= BETWEEN_KL_MAX);
            ssw_session_close(items[i].session);
        }
        free(alone);
        free(logits);
        ssw_engine_close(engine);
    }
    fixture_close(&f);
}

/* Decoding long enough for experts to be replaced, some while a step runs. */
static void a_cache_follows_its_tokens(void **state)
{
    (void)state;
    enum { N = 400, N_DECODED = 390, DIVISOR = 4 };
    static const char *const fixtures[] = {"gpt_oss/mxfp4_q8_0_gqa4_e7k4", "mixtral/mixtral_q4_0_gqa1_e8k2",
                                           "gpt_oss/f32_gqa4_e5k4_clamp"};
    static const placement host = {"host", 0, 0, 0, NULL},
                           cached = {"cached", SSW_ENGINE_LAYERS_ALL, SSW_ENGINE_LAYERS_ALL, DIVISOR, NULL};
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0] && n_models == 0; i++) {
        fixture f;
        int32_t tokens[N];
        float *logits[3]; /* of the host, of the cache, of a fresh cache */
        ssw_engine_expert_cache cache = {0};
        ssw_error err;
        fixture_open(&f, fixtures[i]);
        for (int t = 0; t < N; t++) /* a few tokens over and over: some experts get hot */
            tokens[t] = f.prompt[t % 3 + (t < N / 2 ? 0 : 5)];
        for (int run = 0; run < 3; run++) {
            ssw_engine *engine = open_engine(f.model_path, N, run == 0 ? &host : &cached, &err);
            logits[run] = eval_in_two(engine, tokens, N, N_DECODED);
            ssw_engine_read_expert_cache(engine, &cache);
            ssw_engine_close(engine);
        }
        double kl = mean_kl(logits[0], logits[1], N, (size_t)f.n_vocab);
        print_message("%s: %d experts cached, %llu hits, %llu misses, %llu replaced; from the host KL %.1e\n",
                      fixtures[i], (int)cache.n_slots, (unsigned long long)cache.hits_total,
                      (unsigned long long)cache.misses_total, (unsigned long long)cache.uploads_total, kl);
        assert_true(kl <= BETWEEN_KL_MAX);
        assert_true(cache.hits_total > 0 && cache.misses_total > 0 && cache.uploads_total > 0);
        assert_memory_equal(logits[1], logits[2], (size_t)N * (size_t)f.n_vocab * sizeof(float));
        for (int run = 0; run < 3; run++)
            free(logits[run]);
        fixture_close(&f);
    }
}

static void check_top(const ssw_top_logit *top, const float *logits, int32_t n_vocab)
{
    for (int k = 0; k < SSW_ENGINE_TOP_LOGITS; k++) {
        int32_t n_before = 0;
        assert_int_equal(top[k].token >= 0, k < n_vocab);
        if (top[k].token < 0)
            continue;
        assert_true(top[k].logit == logits[top[k].token]);
        for (int32_t i = 0; i < n_vocab; i++)
            n_before += logits[i] > top[k].logit || (logits[i] == top[k].logit && i < top[k].token);
        assert_int_equal(n_before, k);
    }
}

/* What a step gives of its largest logits are those of the step that gives all: of a prompt and of single
 * tokens, of one sequence and of two. */
static void largest_logits_are_the_logits(void **state)
{
    enum { N = 2 };
    fixture f;
    (void)state;
    fixture_open(&f, "gpt_oss/mxfp4_q8_0_gqa4_e7k4");
    for (size_t p = 0; p < N_PLACEMENTS; p++) {
        ssw_engine_options options;
        ssw_engine *engine;
        ssw_error err;
        ssw_session *sessions[2 * N];
        ssw_engine_options_init(&options);
        options.model_path = f.model_path;
        options.ctx_size = f.n_prompt;
        options.n_parallel = 2 * N;
        options.n_gpu_layers = placements[p].n_gpu_layers;
        options.n_cpu_moe = placements[p].n_cpu_moe;
        if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
            fail_msg("%s", err.message);
        size_t n_vocab = (size_t)f.n_vocab;
        float *logits = malloc(N * n_vocab * sizeof *logits);
        ssw_top_logit top[N][SSW_ENGINE_TOP_LOGITS];
        assert_non_null(logits);
        for (int i = 0; i < 2 * N; i++)
            assert_int_equal(ssw_session_open(engine, &sessions[i], &err), SSW_OK);
        ssw_eval_item both = {
            .session = sessions[0], .tokens = f.prompt, .n_tokens = 1, .logits = logits, .top = top[0]};
        assert_int_equal(ssw_engine_eval(engine, &both, 1, &err), SSW_ERR_USAGE);
        assert_int_equal(ssw_engine_describe(engine)->finds_top, is_on_gpu(engine));
        for (int32_t at = 0, n = f.n_prompt - 3; at < f.n_prompt && is_on_gpu(engine); at += n, n = 1) {
            ssw_eval_item all[N], largest[N];
            for (int i = 0; i < N; i++) {
                all[i] = (ssw_eval_item){
                    .session = sessions[i], .tokens = f.prompt + at, .n_tokens = n - i * (at == 0)};
                largest[i] = all[i];
                largest[i].session = sessions[N + i];
                all[i].logits = logits + (size_t)i * n_vocab;
                largest[i].top = top[i];
            }
            assert_int_equal(ssw_engine_eval(engine, all, N, &err), SSW_OK);
            assert_int_equal(ssw_engine_eval(engine, largest, N, &err), SSW_OK);
            for (int i = 0; i < N; i++)
                check_top(top[i], logits + (size_t)i * n_vocab, f.n_vocab);
        }
        for (int i = 0; i < 2 * N; i++)
            ssw_session_close(sessions[i]);
        free(logits);
        ssw_engine_close(engine);
    }
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_overs_are_timed),       cmocka_unit_test(every_placement_computes_the_same),
        cmocka_unit_test(company_changes_little),     cmocka_unit_test(largest_logits_are_the_logits),
        cmocka_unit_test(a_cache_follows_its_tokens), cmocka_unit_test(models_compute_the_same)};
    ssw_gpu_device device;
    ssw_error err;
    if (ssw_gpu_find(&device, &err) != SSW_OK) {
        printf("no GPU: %s\n", err.message);
        return EXIT_SKIPPED;
    }
    printf("%s\n", device.name);
    n_models = argc - 1;
    models = argv + 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
