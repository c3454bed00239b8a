/* The engine's door: options, limits, sessions, rings of keys, logits and hidden sums, the description. On
 * tiny models with random weights; what the numbers should be is tested in tests/contract. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seesaw/engine.h"
#include "tiny_gpt_oss.h"

enum { N_VOCAB = 96, N_EMBD = 64 };

static char path[64];
static char log_text[4096];

static int write_model(void **state)
{
    tiny_shape shape = tiny_shape_default();
    snprintf(path, sizeof path, "tiny-engine-%d.gguf", (int)getpid());
    tiny_gpt_oss_write(path, &shape, 7, NULL);
    return 0;
}

static int remove_model(void **state)
{
    unlink(path);
    return 0;
}

static void keep_log(void *context, ssw_log_level level, const char *line)
{
    size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%d %s\n", (int)level, line);
}

static ssw_engine_options options_of(int32_t ctx_size, int32_t n_batch, int32_t n_parallel)
{
    ssw_engine_options options;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.ctx_size = ctx_size;
    options.n_batch = n_batch;
    options.n_parallel = n_parallel;
    options.n_threads = 2;
    options.log = (ssw_log){keep_log, NULL, SSW_LOG_INFO};
    log_text[0] = '\0';
    return options;
}

static ssw_engine *open_with(ssw_engine_options options)
{
    ssw_engine *engine;
    ssw_error err;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return engine;
}

static void make_tokens(int32_t *tokens, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        tokens[i] = (i * 37 + i * i * 11 + 5) % N_VOCAB;
}

static void eval(ssw_engine *engine, ssw_session *session, const int32_t *tokens, int32_t n, float *logits)
{
    ssw_error err;
    ssw_eval_item item = {.session = session, .tokens = tokens, .n_tokens = n, .logits = logits};
    if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
        fail_msg("%s", err.message);
}

/* A context of 256 in passes of 8 keeps rings of 64 rows in the layers with a window of 8; in one pass of 256
 * nothing is a ring. The same arithmetic either way. */
static void rings_wrap_around(void **state)
{
    enum { N = 250 };
    int32_t tokens[N];
    float small_logits[N_VOCAB], large_logits[N_VOCAB];
    ssw_session *small_session, *large_session;
    ssw_error err;
    make_tokens(tokens, N);
    ssw_engine *small = open_with(options_of(256, 8, 1)), *large = open_with(options_of(256, 256, 1));
    assert_int_equal(ssw_session_open(small, &small_session, &err), SSW_OK);
    assert_int_equal(ssw_session_open(large, &large_session, &err), SSW_OK);
    for (int32_t at = 0; at < N; at += 50) {
        eval(small, small_session, tokens + at, 50, small_logits);
        eval(large, large_session, tokens + at, 50, large_logits);
        assert_memory_equal(small_logits, large_logits, sizeof small_logits);
    }
    ssw_engine_close(small);
    ssw_engine_close(large);
}

static void truncates_while_the_window_is_there(void **state)
{
    int32_t tokens[250];
    float first[N_VOCAB], again[N_VOCAB];
    ssw_session *session;
    ssw_error err;
    make_tokens(tokens, 250);
    ssw_engine *engine = open_with(options_of(256, 8, 1));
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    eval(engine, session, tokens, 190, NULL);
    eval(engine, session, tokens + 190, 1, first);
    eval(engine, session, tokens + 191, 9, NULL);
    assert_int_equal(ssw_session_truncate(session, 201, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_session_truncate(session, -1, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_session_length(session), 200);
    /* 64 rows hold positions 136 to 199; token 190 looks at 183 and later. */
    assert_int_equal(ssw_session_truncate(session, 190, &err), SSW_OK);
    assert_int_equal(ssw_session_length(session), 190);
    eval(engine, session, tokens + 190, 1, again);
    assert_memory_equal(first, again, sizeof first);
    /* 143 - 7 = 136 is the oldest that is left; one token earlier is too early. */
    assert_int_equal(ssw_session_truncate(session, 143, &err), SSW_OK);
    assert_int_equal(ssw_session_truncate(session, 142, &err), SSW_ERR_UNSUPPORTED);
    assert_int_equal(ssw_session_length(session), 0);
    eval(engine, session, tokens, 190, NULL);
    eval(engine, session, tokens + 190, 1, again);
    assert_memory_equal(first, again, sizeof first);
    ssw_engine_close(engine);
}

static void without_rings_any_truncation_works(void **state)
{
    int32_t tokens[100];
    float first[N_VOCAB], again[N_VOCAB];
    ssw_session *session;
    ssw_error err;
    make_tokens(tokens, 100);
    ssw_engine *engine = open_with(options_of(100, 100, 1));
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    eval(engine, session, tokens, 3, NULL);
    eval(engine, session, tokens + 3, 1, first);
    eval(engine, session, tokens + 4, 96, NULL);
    assert_int_equal(ssw_session_truncate(session, 3, &err), SSW_OK);
    eval(engine, session, tokens + 3, 1, again);
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(ssw_session_truncate(session, 0, &err), SSW_OK);
    assert_int_equal(ssw_session_length(session), 0);
    ssw_engine_close(engine);
}

static void all_kinds_of_output_agree(void **state)
{
    enum { N = 20 };
    int32_t tokens[N];
    float all[N * N_VOCAB], last[N_VOCAB], sum[N_EMBD], one[N_EMBD], by_hand[N_EMBD] = {0};
    ssw_session *session;
    ssw_error err;
    make_tokens(tokens, N);
    ssw_engine *engine = open_with(options_of(64, 8, 2));
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    ssw_eval_item item = {session, tokens, N, last, all, NULL, sum};
    assert_int_equal(ssw_engine_eval(engine, &item, 1, &err), SSW_OK);
    assert_memory_equal(last, all + (N - 1) * N_VOCAB, sizeof last);
    assert_int_equal(ssw_session_truncate(session, 0, &err), SSW_OK);
    for (int32_t i = 0; i < N; i++) {
        ssw_eval_item step = {session, tokens + i, 1, last, NULL, NULL, one};
        assert_int_equal(ssw_engine_eval(engine, &step, 1, &err), SSW_OK);
        assert_memory_equal(last, all + i * N_VOCAB, sizeof last);
        for (int k = 0; k < N_EMBD; k++)
            by_hand[k] += one[k];
    }
    for (int k = 0; k < N_EMBD; k++)
        assert_true(fabsf(by_hand[k] - sum[k]) < 1e-4f);
    /* Two sequences, of which one wants only the hidden sum, and one only its last logits, over several
     * passes. */
    ssw_session *other;
    assert_int_equal(ssw_session_open(engine, &other, &err), SSW_OK);
    assert_int_equal(ssw_session_truncate(session, 0, &err), SSW_OK);
    ssw_eval_item two[] = {{session, tokens, N, NULL, NULL, NULL, one},
                           {other, tokens, N - 1, last, NULL, NULL, NULL}};
    assert_int_equal(ssw_engine_eval(engine, two, 2, &err), SSW_OK);
    assert_memory_equal(one, sum, sizeof sum);
    assert_memory_equal(last, all + (N - 2) * N_VOCAB, sizeof last);
    ssw_engine_close(engine);
}

static void refuses_bad_items_and_changes_nothing(void **state)
{
    int32_t tokens[64], bad[2] = {1, N_VOCAB};
    ssw_session *a, *b;
    ssw_error err;
    make_tokens(tokens, 64);
    ssw_engine *engine = open_with(options_of(48, 16, 2));
    assert_int_equal(ssw_session_open(engine, &a, &err), SSW_OK);
    assert_int_equal(ssw_session_open(engine, &b, &err), SSW_OK);
    eval(engine, a, tokens, 40, NULL);
    ssw_eval_item too_long[] = {{.session = b, .tokens = tokens, .n_tokens = 4},
                                {.session = a, .tokens = tokens, .n_tokens = 9}};
    assert_int_equal(ssw_engine_eval(engine, too_long, 2, &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "9 tokens after 40 do not fit the context of 48"));
    ssw_eval_item unknown = {.session = b, .tokens = bad, .n_tokens = 2};
    assert_int_equal(ssw_engine_eval(engine, &unknown, 1, &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "token 96"));
    ssw_eval_item twice[] = {{.session = b, .tokens = tokens, .n_tokens = 4},
                             {.session = b, .tokens = tokens, .n_tokens = 4}};
    assert_int_equal(ssw_engine_eval(engine, twice, 2, &err), SSW_ERR_USAGE);
    ssw_eval_item empty = {.session = b, .tokens = tokens, .n_tokens = 0};
    assert_int_equal(ssw_engine_eval(engine, &empty, 1, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_engine_eval(engine, twice, 0, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_session_length(a), 40);
    assert_int_equal(ssw_session_length(b), 0);
    eval(engine, a, tokens, 8, NULL); /* exactly full */
    ssw_session_close(b);
    empty.n_tokens = 1;
    assert_int_equal(ssw_engine_eval(engine, &empty, 1, &err), SSW_ERR_USAGE);
    ssw_engine_close(engine);
}

static void describes_what_was_loaded(void **state)
{
    ssw_engine_options options = options_of(0, 0, 3);
    options.n_cpu_moe = SSW_ENGINE_LAYERS_ALL;
    options.n_gpu_layers = 0;
    options.override_tensors[options.n_override_tensors++] = "exps=CUDA0";
    options.moe_cache_bytes = 1 << 20;
    options.vram_bytes = 1 << 20;
    options.cpu_moe_share = 50;
    ssw_engine *engine = open_with(options);
    const ssw_engine_info *info = ssw_engine_describe(engine);
    assert_string_equal(info->architecture, "gpt-oss");
    assert_string_equal(info->name, "tiny");
    assert_int_equal(info->ctx_size, 256);
    assert_int_equal(info->n_parallel, 3);
    assert_int_equal(info->n_threads, 2);
    assert_int_equal(info->expert_bytes, 3u * 3 * 5 * 64 * 64 * 4);
    assert_int_equal(info->expert_bytes_per_token, 3u * 3 * 2 * 64 * 64 * 4);
    assert_int_equal(info->n_parameters * 4, info->model_bytes);
    assert_non_null(strstr(log_text, "no GPU: --cpu-moe moves nothing"));
    assert_non_null(strstr(log_text, "no GPU: -ot exps=CUDA0 moves nothing"));
    assert_non_null(strstr(log_text, "no GPU: --moe-cache-mib caches nothing"));
    assert_non_null(strstr(log_text, "no GPU: --vram-mib limits nothing"));
    assert_non_null(strstr(log_text, "--cpu-moe-share changes nothing"));
    ssw_engine_expert_cache cache;
    ssw_engine_read_expert_cache(engine, &cache);
    assert_int_equal(cache.n_slots + (int)cache.hits_total, 0);
    assert_true(info->load_ns > 0);
    bool has_experts = false, has_cache = false, has_buffers = false;
    for (int i = 0; i < info->n_places; i++) {
        const ssw_engine_place *place = &info->places[i];
        assert_string_equal(place->device, "CPU");
        assert_int_equal(place->predicted_bytes, place->actual_bytes);
        assert_true(place->actual_bytes > 0);
        has_experts =
            has_experts || (strcmp(place->tensors, "experts") == 0 && strcmp(place->how, "repacked") == 0);
        has_cache = has_cache || strcmp(place->tensors, "kv cache") == 0;
        has_buffers = has_buffers || strcmp(place->tensors, "compute buffers") == 0;
    }
    assert_true(has_experts && has_cache && has_buffers);
    assert_null(ssw_engine_tokenizer(engine));
    assert_null(ssw_engine_chat(engine));
    ssw_engine_close(engine);
}

static void expect_refused(ssw_engine_options options, ssw_status status, const char *words)
{
    ssw_engine *engine;
    ssw_error err;
    assert_int_equal(ssw_engine_open(&options, &engine, &err), status);
    assert_null(engine);
    if (!strstr(err.message, words))
        fail_msg("expected '%s' in: %s", words, err.message);
}

static void refuses_bad_options(void **state)
{
    ssw_engine_options options = options_of(0, 0, 0);
    options.model_path = "no-such-file.gguf";
    expect_refused(options, SSW_ERR_IO, "no-such-file.gguf");
    options.model_path = NULL;
    expect_refused(options, SSW_ERR_USAGE, "no model path");
    expect_refused(options_of(-1, 0, 0), SSW_ERR_USAGE, "ctx_size is -1");
    expect_refused(options_of(0, 0, 65), SSW_ERR_USAGE, "n_parallel is 65, expected 1 to 64");
    expect_refused(options_of(0, 100000, 0), SSW_ERR_USAGE, "n_batch is 100000");
    options = options_of(0, 0, 0);
    options.override_tensors[options.n_override_tensors++] = "exps=CPU,blk=DISK";
    expect_refused(options, SSW_ERR_USAGE, "override 'blk=DISK': no device 'DISK'");
    options.n_override_tensors = SSW_ENGINE_OVERRIDES_MAX + 1;
    expect_refused(options, SSW_ERR_USAGE, "n_override_tensors is 33");
    /* 64 sequences of 16 million tokens: terabytes */
    expect_refused(options_of(1 << 24, 0, 64), SSW_ERR_LIMIT, "CPU: needs");
    assert_non_null(strstr(log_text, "longer than the 256 of its training"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_wrap_around),
        cmocka_unit_test(truncates_while_the_window_is_there),
        cmocka_unit_test(without_rings_any_truncation_works),
        cmocka_unit_test(all_kinds_of_output_agree),
        cmocka_unit_test(refuses_bad_items_and_changes_nothing),
        cmocka_unit_test(describes_what_was_loaded),
        cmocka_unit_test(refuses_bad_options),
    };
    return cmocka_run_group_tests(tests, write_model, remove_model);
}
