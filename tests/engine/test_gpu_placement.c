/* Placement by name and the expert cache in an engine whose GPU is tests/stand_in: what is taken, what is
 * said. Argument: the demo model (5 layers of 16 experts). */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seesaw/engine.h"
#include "stand_in.h"

enum { N_LAYERS = 5, N_EXPERTS = 16, LOG_BYTES = 8192 };

static const char *model_path;
static char log_text[LOG_BYTES];

static void keep(void *context, ssw_log_level level, const char *line)
{
    (void)context;
    size_t n = strlen(log_text);
    snprintf(log_text + n, LOG_BYTES - n, "%s%s\n", level <= SSW_LOG_WARN ? "WARN " : "", line);
}

static ssw_engine_options options_of(int32_t n_cpu_moe, int32_t cache_mib, const char *override)
{
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    log_text[0] = 0;
    options.model_path = model_path;
    options.ctx_size = 256;
    options.n_batch = 32;
    options.n_threads = 2;
    options.pin_threads = false;
    options.n_gpu_layers = SSW_ENGINE_LAYERS_ALL;
    options.n_cpu_moe = n_cpu_moe;
    options.moe_cache_bytes = (uint64_t)cache_mib << 20;
    if (override)
        options.override_tensors[options.n_override_tensors++] = override;
    options.log = (ssw_log){.sink = keep, .level = SSW_LOG_INFO};
    return options;
}

static void eval(ssw_engine *engine)
{
    enum { N_PROMPT = 20, N_DECODED = 4 };
    int32_t tokens[N_PROMPT];
    ssw_session *session;
    ssw_error err;
    float *logits = calloc((size_t)ssw_engine_describe(engine)->n_vocab, sizeof *logits);
    assert_non_null(logits);
    for (int32_t i = 0; i < N_PROMPT; i++)
        tokens[i] = 100 + i;
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    for (int32_t i = 0; i <= N_DECODED; i++) {
        ssw_eval_item item = {
            .session = session, .tokens = tokens, .n_tokens = i ? 1 : N_PROMPT, .logits = logits};
        if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
            fail_msg("%s", err.message);
    }
    ssw_session_close(session);
    free(logits);
}

typedef struct placed { /* bytes by the table */
    uint64_t host_experts, gpu_experts, cache, gpu;
    int32_t n_measured;
    ssw_engine_expert_cache uses;
} placed;

/* Opens, computes a little, looks at the table and at what the device holds. */
static placed place(ssw_engine_options options)
{
    ssw_engine *engine = NULL;
    ssw_error err;
    placed out = {0};
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    const ssw_engine_info *info = ssw_engine_describe(engine);
    for (int32_t i = 0; i < info->n_places; i++) {
        const ssw_engine_place *p = &info->places[i];
        bool is_gpu = strcmp(p->device, "CUDA0") == 0;
        assert_in_range(p->predicted_bytes * 100, p->actual_bytes * 97, p->actual_bytes * 103);
        out.gpu += is_gpu ? p->actual_bytes : 0;
        out.cache += strcmp(p->tensors, "expert cache") == 0 ? p->actual_bytes : 0;
        if (strcmp(p->tensors, "experts") == 0)
            *(is_gpu ? &out.gpu_experts : &out.host_experts) += p->actual_bytes;
    }
    assert_in_range(stand_in_count().device_bytes * 100, out.gpu * 97, out.gpu * 103);
    out.n_measured = stand_in_count().n_measured;
    eval(engine);
    ssw_engine_read_expert_cache(engine, &out.uses);
    ssw_engine_close(engine);
    stand_in_reset();
    return out;
}

static void expect_said(const char *words)
{
    if (!strstr(log_text, words))
        fail_msg("expected '%s' in:\n%s", words, log_text);
}

static void experts_go_where_a_pattern_says(void **state)
{
    (void)state;
    placed all = place(options_of(0, 0, NULL));
    assert_int_equal(all.host_experts, 0);
    placed some = place(options_of(0, 0, "blk\\.(1|3)\\.ffn_.*_exps=CPU"));
    uint64_t layer_bytes = all.gpu_experts / N_LAYERS; /* a share's cut pads a little */
    assert_in_range(some.host_experts, 2 * layer_bytes, 2 * layer_bytes * 103 / 100);
    expect_said("-ot blk\\.(1|3)\\.ffn_.*_exps=CPU moves 12 tensors");
    assert_null(strstr(log_text, "WARN"));
    placed back = place(options_of(SSW_ENGINE_LAYERS_ALL, 0, "blk\\.4\\..*exps=GPU"));
    assert_int_equal(back.gpu_experts, layer_bytes);
    placed layers = place(options_of(0, 0, "blk\\.[01]\\.=CPU"));
    assert_int_equal(layers.host_experts, 2 * layer_bytes);
    assert_true(layers.gpu < some.gpu);
    placed none = place(options_of(0, 0, "blk\\.=CPU,^output=CPU"));
    assert_int_equal(none.gpu, 0);
    assert_null(strstr(log_text, "WARN"));
}

static void what_moves_nothing_is_said(void **state)
{
    (void)state;
    place(options_of(0, 0, "exps=CPU,blk\\.1\\..*exps=CPU,nonsense=CPU,attn_q=CUDA0"));
    expect_said("-ot exps=CPU moves 30 tensors");
    expect_said("WARN -ot blk\\.1\\..*exps=CPU moves nothing: patterns before it decide");
    expect_said("WARN -ot nonsense=CPU moves nothing: it matches no tensor");
    expect_said("WARN -ot attn_q=CUDA0 moves nothing: the 10 tensors");
    place(options_of(0, 1, NULL));
    expect_said("WARN --moe-cache-mib caches nothing: no layer on the GPU has its experts in host memory");
    ssw_engine_options options = options_of(SSW_ENGINE_LAYERS_ALL, 0, NULL);
    options.moe_cache_bytes = 100000;
    assert_int_equal(place(options).cache, 0);
    expect_said("WARN --moe-cache-mib caches nothing: 0.1 MiB are too few for one expert of 0.1 MiB");
    place(options_of(SSW_ENGINE_LAYERS_ALL, 100, NULL));
    expect_said("WARN --moe-cache-mib holds all 80 experts that are in host memory");
    options = options_of(2, 0, NULL);
    options.n_gpu_layers = 3;
    options.cpu_moe_share = 50;
    place(options);
    expect_said("WARN --cpu-moe or --n-cpu-moe moves nothing: those experts");
    expect_said("WARN --cpu-moe-share changes nothing");
    options = options_of(0, 0, NULL);
    options.n_gpu_layers = 1;
    assert_int_equal(place(options).gpu, 0);
    expect_said("WARN -ngl 1 moves nothing");
}

static void a_cache_takes_what_was_asked_at_most(void **state)
{
    (void)state;
    placed without = place(options_of(SSW_ENGINE_LAYERS_ALL, 0, NULL));
    assert_int_equal(without.cache + (uint64_t)without.uses.n_slots, 0);
    for (int32_t mib = 1; mib <= 4; mib++) {
        placed with = place(options_of(SSW_ENGINE_LAYERS_ALL, mib, NULL));
        uint64_t asked = (uint64_t)mib << 20, slot = without.host_experts / (N_LAYERS * N_EXPERTS);
        assert_in_range(with.cache, asked - slot * 11 / 10, asked);
        assert_int_equal(with.gpu - with.cache, without.gpu);
        assert_int_equal(with.host_experts, without.host_experts);
        assert_true(with.uses.hits_total > 0 && with.uses.misses_total > 0);
        assert_int_equal(with.uses.hits_total + with.uses.misses_total,
                         4 * 4 * N_LAYERS); /* decoded tokens */
    }
    placed few = place(options_of(2, 1, NULL)); /* two layers' experts */
    assert_int_equal(few.uses.hits_total + few.uses.misses_total, 4 * 4 * 2);
    placed all = place(options_of(SSW_ENGINE_LAYERS_ALL, 100, NULL));
    assert_int_equal(all.uses.n_slots, N_LAYERS * N_EXPERTS);
    assert_int_equal(all.uses.misses_total, 0);
}

static void auto_leaves_room_for_the_cache(void **state)
{
    (void)state;
    placed all = place(options_of(0, 0, NULL));
    int n_fit = 0, n_refused = 0, n_cached = 0;
    for (uint64_t vram = all.gpu / 4; vram <= all.gpu + (2 << 20); vram += 512 << 10) {
        ssw_engine_options options = options_of(SSW_ENGINE_CPU_MOE_AUTO, 1, NULL);
        ssw_engine *engine = NULL;
        ssw_error err = {0};
        options.vram_bytes = vram;
        if (ssw_engine_open(&options, &engine, &err) == SSW_OK) {
            n_fit++;
            n_cached += strstr(log_text, "expert cache: 9 of") != NULL;
            assert_true(stand_in_count().device_bytes <= vram + vram / 100);
            ssw_engine_close(engine);
        } else {
            n_refused++;
            assert_int_equal(n_fit, 0); /* more room never fits less */
            assert_int_equal(err.status, SSW_ERR_LIMIT);
            if (!strstr(err.message, "MiB of expert cache: CUDA0: needs"))
                fail_msg("%s\n%s", err.message, log_text);
        }
        stand_in_reset();
    }
    print_message("%d refused, %d fit, %d of them with a cache\n", n_refused, n_fit, n_cached);
    assert_true(n_fit > 0 && n_refused > 0 && n_cached > 0 && n_cached < n_fit);
}

static void the_bus_is_measured_only_where_it_matters(void **state)
{
    (void)state;
    assert_int_equal(place(options_of(0, 0, NULL)).n_measured, 0);
    assert_int_equal(place(options_of(0, 1, "blk\\.[01]\\.=CPU")).n_measured, 0); /* whole layers */
    assert_int_equal(place(options_of(SSW_ENGINE_CPU_MOE_AUTO, 0, NULL)).n_measured, 0);
    assert_int_equal(place(options_of(1, 0, NULL)).n_measured, 1);
    assert_int_equal(place(options_of(0, 0, "exps=CPU")).n_measured, 1);
    ssw_engine_options options = options_of(1, 0, NULL);
    options.copy_bytes_per_s = 6e9;
    assert_int_equal(place(options).n_measured, 0);
    options = options_of(0, 0, NULL);
    options.copy_bytes_per_s = 6e9;
    place(options);
    expect_said("WARN --copy-rate changes nothing");
}

static ssw_engine_cpu_rates open_rates(ssw_engine_options options)
{
    ssw_engine *engine = NULL;
    ssw_error err;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    ssw_engine_cpu_rates rates = ssw_engine_describe(engine)->cpu_moe_rates;
    assert_int_equal(rates.vectors > 0, ssw_engine_describe(engine)->copy_bytes_per_s > 0);
    ssw_engine_close(engine);
    stand_in_reset();
    return rates;
}

/* Of what the machine is, no more is expected than that it is found, and said. */
static void the_cpu_is_measured_unless_its_rates_are_given(void **state)
{
    (void)state;
    assert_true(open_rates(options_of(0, 0, NULL)).vectors <= 0);
    assert_null(strstr(log_text, "--cpu-moe-rate"));
    assert_true(open_rates(options_of(1, 0, NULL)).vectors >= 1e9);
    expect_said("billion multiply-adds per second and thread, taken as --cpu-moe-rate ");
    ssw_engine_options options = options_of(1, 0, NULL);
    options.cpu_moe_rates = (ssw_engine_cpu_rates){5e9, 7e9};
    ssw_engine_cpu_rates given = open_rates(options);
    assert_true(given.vectors <= 5e9 && given.vectors >= 5e9);
    assert_true(given.tiles <= 0 || given.tiles >= 7e9); /* where there are tiles */
    assert_null(strstr(log_text, "--cpu-moe-rate"));
    options = options_of(1, 0, NULL);
    options.use_reference_ops = true;
    assert_true(open_rates(options).vectors <= 1e9);
    options = options_of(0, 0, NULL);
    options.cpu_moe_rates.vectors = 1e11;
    open_rates(options);
    expect_said("WARN --cpu-moe-rate changes nothing");
    ssw_engine *engine = NULL;
    ssw_error err;
    options.cpu_moe_rates.vectors = -1;
    assert_int_equal(ssw_engine_open(&options, &engine, &err), SSW_ERR_USAGE);
    stand_in_reset();
}

static void a_cache_works_without_pinned_memory(void **state)
{
    (void)state;
    ssw_engine_options options = options_of(SSW_ENGINE_LAYERS_ALL, 2, NULL);
    options.cpu_moe_share = 100;
    stand_in_fail(STAND_IN_PIN, 3);
    placed p = place(options);
    expect_said("WARN experts of 1 of 5 layers could not be pinned");
    assert_true(p.uses.hits_total > 0);
}

/* Nothing of a failed opening stays. */
static void every_failing_call_is_survived(void **state)
{
    (void)state;
    int32_t n_refused = 0;
    bool has_failed = true;
    for (int64_t n = 1; has_failed; n++) {
        ssw_engine_options options = options_of(SSW_ENGINE_LAYERS_ALL, 1, NULL);
        ssw_engine *engine = NULL;
        ssw_error err = {0};
        options.cpu_moe_rates = (ssw_engine_cpu_rates){1e11, 2.2e11}; /* not measured every time */
        stand_in_fail(STAND_IN_ANY_CALL, n);
        n_refused += ssw_engine_open(&options, &engine, &err) != SSW_OK;
        has_failed = stand_in_has_failed();
        ssw_engine_close(engine);
        stand_in_reset();
    }
    assert_true(n_refused > 20);
}

static void impossible_overrides_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"blk\\.2\\.attn_q=CPU", "'blk.2.attn_q.weight' on CPU"},
        {"blk\\.2\\.=CPU", "layers on the GPU are the last ones"},
        {"blk\\.2\\.ffn_up_exps=CPU", "computed together"},
        {"token_embd=CUDA0", "token embedding stays in host memory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ssw_engine_options options = options_of(0, 0, cases[i][0]);
        ssw_engine *engine = NULL;
        ssw_error err;
        assert_int_equal(ssw_engine_open(&options, &engine, &err), SSW_ERR_UNSUPPORTED);
        if (!strstr(err.message, cases[i][1]))
            fail_msg("expected '%s' in: %s", cases[i][1], err.message);
        stand_in_reset();
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_go_where_a_pattern_says),
        cmocka_unit_test(what_moves_nothing_is_said),
        cmocka_unit_test(a_cache_takes_what_was_asked_at_most),
        cmocka_unit_test(auto_leaves_room_for_the_cache),
        cmocka_unit_test(the_bus_is_measured_only_where_it_matters),
        cmocka_unit_test(the_cpu_is_measured_unless_its_rates_are_given),
        cmocka_unit_test(a_cache_works_without_pinned_memory),
        cmocka_unit_test(every_failing_call_is_survived),
        cmocka_unit_test(impossible_overrides_are_refused),
    };
    if (argc != 2)
        return 2;
    model_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
