/* The engine against transformers' GptOssForCausalLM, on every fixture, with the reference operations and
 * with those that this processor would use. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "naive_gpt_oss.h"

/* max |logit - transformers' logit|. Logits of the fixtures have a standard deviation of 0.8 to 2.
 *   Float types, and every type with the reference operations: only the F16 KV cache rounds (2^-11 of each
 * key and value); transformers keeps F32. Quantised types otherwise: activations are rounded to 8 bits in
 * blocks of 32, up to 1/254 of a block's largest, in every product; with 64 to 96 columns that averages out
 * little. */
typedef struct bound {
    const char *name;
    float reference;
    float fast;
} bound;

static const bound bounds[] = {
    {"f32_gqa1_e4k2", 0.01f, 0.01f},       {"f32_gqa4_e5k4_clamp", 0.01f, 0.01f},
    {"f32_gqa2_e3k3_w4", 0.01f, 0.01f},    {"f32_published_yarn", 0.01f, 0.01f},
    {"f16_gqa2_e3k2", 0.01f, 0.01f},       {"bf16_gqa4_e5k3", 0.01f, 0.01f},
    {"q8_0_gqa4_e7k4", 0.01f, 0.25f},      {"q4_0_gqa2_e5k1", 0.01f, 0.25f},
    {"mxfp4_q8_0_gqa4_e7k4", 0.01f, 0.4f}, {"mxfp4_bf16_gqa1_e8k2", 0.01f, 0.25f},
};

static void compare_one(const bound *b, bool is_reference)
{
    fixture f;
    fixture_open(&f, b->name);
    ssw_engine *engine = fixture_open_engine(&f, &(fixture_run){.is_reference = is_reference});
    float *logits = fixture_eval_prompt(&f, engine);
    fixture_distance d = fixture_compare(&f, logits);
    float allowed = is_reference ? b->reference : b->fast;
    print_message("%-22s %-10s max |dlogit| %.6f (at most %g), KL %.1e, top-1 %d of %d\n", b->name,
                  ssw_engine_describe(engine)->isa, (double)d.max_dlogit, (double)allowed, d.mean_kl,
                  d.n_same_top, f.n_rows);
    assert_true(d.max_dlogit <= allowed);
    free(logits);
    ssw_engine_close(engine);
    fixture_close(&f);
}

static void logits_are_those_of_transformers(void **state)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        compare_one(&bounds[i], true);
        compare_one(&bounds[i], false);
    }
}

/* transformers and the engine differ by the F16 cache. A plain forward pass in double precision, told to keep
 * F32, is transformers' to within float rounding; told to keep F16, it is the engine's, to within that and
 * the rare key or value that lies so near the middle of two halves that float rounding decides (2^-11 of one
 * element). */
static void a_plain_forward_pass_links_both(void **state)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        fixture f;
        fixture_open(&f, bounds[i].name);
        size_t n_vocab = (size_t)f.n_vocab, n = (size_t)f.n_prompt * n_vocab;
        float *plain = malloc(n * sizeof *plain), to_transformers, to_engine;
        assert_non_null(plain);
        naive_gpt_oss(f.model_path, f.prompt, f.n_prompt, false, plain);
        to_transformers =
            max_difference(plain + (size_t)f.rows[0] * n_vocab, f.logits, (int64_t)f.n_rows * f.n_vocab);
        naive_gpt_oss(f.model_path, f.prompt, f.n_prompt, true, plain);
        ssw_engine *engine = fixture_open_engine(&f, &(fixture_run){.is_reference = true});
        float *logits = fixture_eval_prompt(&f, engine);
        to_engine = max_difference(plain, logits, (int64_t)n);
        print_message("%-22s plain F32 cache to transformers %.1e, plain F16 cache to engine %.1e\n",
                      bounds[i].name, (double)to_transformers, (double)to_engine);
        assert_true(to_transformers <= 1e-4f);
        assert_true(to_engine <= 1e-3f);
        free(plain);
        free(logits);
        ssw_engine_close(engine);
        fixture_close(&f);
    }
}

/* The row before the last product, one token at a time: hidden_sum of a single token is its hidden state. */
static void hidden_states_are_those_of_transformers(void **state)
{
    fixture f;
    ssw_session *session;
    ssw_error err;
    fixture_open(&f, "mxfp4_q8_0_gqa4_e7k4");
    ssw_engine *engine = fixture_open_engine(&f, &(fixture_run){.is_reference = true});
    float *hidden = malloc((size_t)f.n_embd * sizeof *hidden);
    assert_non_null(hidden);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    for (int32_t i = 0, row = 0; i < f.n_prompt; i++) {
        ssw_eval_item item = {
            .session = session, .tokens = f.prompt + i, .n_tokens = 1, .hidden_sum = hidden};
        assert_int_equal(ssw_engine_eval(engine, &item, 1, &err), SSW_OK);
        if (row < f.n_rows && f.rows[row] == i) {
            float d = max_difference(hidden, f.hidden + (size_t)row * (size_t)f.n_embd, f.n_embd);
            assert_true(d <= 0.01f); /* the F16 cache again */
            row++;
        }
    }
    free(hidden);
    ssw_engine_close(engine);
    fixture_close(&f);
}

/* However a prompt is cut, a token's arithmetic is the same operation by operation, so the logits are the
 * same bits. */
static void cutting_the_prompt_changes_nothing(void **state)
{
    static const char *const names[] = {"f32_gqa2_e3k3_w4", "mxfp4_q8_0_gqa4_e7k4", "mxfp4_bf16_gqa1_e8k2"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        fixture f;
        fixture_open(&f, names[k]);
        size_t n = (size_t)f.n_prompt * (size_t)f.n_vocab;
        ssw_engine *whole_engine = fixture_open_engine(&f, &(fixture_run){0});
        float *whole = fixture_eval_prompt(&f, whole_engine);
        ssw_engine_close(whole_engine);
        static const int32_t batches[] = {1, 7, 16, 33};
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            ssw_engine *engine = fixture_open_engine(&f, &(fixture_run){.n_batch = batches[b]});
            float *cut = fixture_eval_prompt(&f, engine);
            assert_memory_equal(cut, whole, n * sizeof *cut);
            free(cut);
            ssw_engine_close(engine);
        }
        free(whole);
        fixture_close(&f);
    }
}

/* Three prompts of different lengths side by side, the steps interleaved, against each of them alone. */
static void sequences_do_not_see_each_other(void **state)
{
    enum { N = 3, STEP = 5 };
    fixture f;
    ssw_error err;
    ssw_session *sessions[N];
    float *together[N];
    fixture_open(&f, "mxfp4_q8_0_gqa4_e7k4");
    size_t n_vocab = (size_t)f.n_vocab;
    ssw_engine *engine = fixture_open_engine(&f, &(fixture_run){.n_batch = 11, .n_parallel = N});
    int32_t lengths[N] = {f.n_prompt, f.n_prompt - 9, f.n_prompt / 2}, done[N] = {0}, running = N;
    for (int i = 0; i < N; i++) {
        together[i] = calloc((size_t)f.n_prompt * n_vocab, sizeof(float));
        assert_non_null(together[i]);
        assert_int_equal(ssw_session_open(engine, &sessions[i], &err), SSW_OK);
    }
    assert_int_equal(ssw_session_open(engine, &(ssw_session *){NULL}, &err), SSW_ERR_LIMIT);
    while (running > 0) {
        ssw_eval_item items[N];
        running = 0;
        for (int i = 0; i < N; i++) {
            int32_t n = lengths[i] - done[i] < STEP + i ? lengths[i] - done[i] : STEP + i;
            if (n == 0)
                continue;
            /* sequence i reads the prompt from token i on */
            items[running++] = (ssw_eval_item){.session = sessions[i],
                                               .tokens = f.prompt + (done[i] + i) % (f.n_prompt - STEP - N),
                                               .n_tokens = n,
                                               .logits_all = together[i] + (size_t)done[i] * n_vocab};
            done[i] += n;
        }
        if (running > 0)
            assert_int_equal(ssw_engine_eval(engine, items, running, &err), SSW_OK);
    }
    for (int i = 0; i < N; i++)
        ssw_session_close(sessions[i]);
    for (int i = 0; i < N; i++) {
        float *alone = malloc((size_t)lengths[i] * n_vocab * sizeof *alone);
        assert_non_null(alone);
        assert_int_equal(ssw_session_open(engine, &sessions[i], &err), SSW_OK);
        for (int32_t at = 0; at < lengths[i]; at += STEP + i) {
            int32_t n = lengths[i] - at < STEP + i ? lengths[i] - at : STEP + i;
            ssw_eval_item item = {.session = sessions[i],
                                  .tokens = f.prompt + (at + i) % (f.n_prompt - STEP - N),
                                  .n_tokens = n,
                                  .logits_all = alone + (size_t)at * n_vocab};
            assert_int_equal(ssw_engine_eval(engine, &item, 1, &err), SSW_OK);
        }
        assert_memory_equal(alone, together[i], (size_t)lengths[i] * n_vocab * sizeof *alone);
        free(alone);
        free(together[i]);
        ssw_session_close(sessions[i]);
    }
    ssw_engine_close(engine);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
        cmocka_unit_test(a_plain_forward_pass_links_both),
        cmocka_unit_test(hidden_states_are_those_of_transformers),
        cmocka_unit_test(cutting_the_prompt_changes_nothing),
        cmocka_unit_test(sequences_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
