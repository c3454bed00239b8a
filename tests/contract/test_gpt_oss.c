/* The engine against transformers' GptOssForCausalLM, on every fixture, with the reference operations and
 * with those that this processor would use. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "seesaw/engine.h"

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

static ssw_engine *open_engine(const char *path, int32_t n_batch, int32_t n_parallel, bool is_reference)
{
    ssw_engine_options options;
    ssw_engine *engine;
    ssw_error err;
    ssw_engine_options_init(&options);
    options.model_path = path;
    options.n_batch = n_batch;
    options.n_parallel = n_parallel;
    options.n_threads = 2;
    options.use_reference_ops = is_reference;
    if (ssw_engine_open(&options, &engine, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return engine;
}

static float *eval_prompt(ssw_engine *engine, const fixture *f)
{
    ssw_session *session;
    ssw_error err;
    float *logits = malloc((size_t)f->n_prompt * (size_t)f->n_vocab * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(ssw_session_open(engine, &session, &err), SSW_OK);
    ssw_eval_item item = {
        .session = session, .tokens = f->prompt, .n_tokens = f->n_prompt, .logits_all = logits};
    if (ssw_engine_eval(engine, &item, 1, &err) != SSW_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ssw_session_length(session), f->n_prompt);
    ssw_session_close(session);
    return logits;
}

static void compare_one(const bound *b, bool is_reference)
{
    fixture f;
    fixture_open(&f, b->name);
    ssw_engine *engine = open_engine(f.model_path, 0, 1, is_reference);
    float *logits = eval_prompt(engine, &f);
    float max = 0;
    for (int32_t i = 0; i < f.n_rows; i++) {
        float d = max_difference(logits + (size_t)f.rows[i] * (size_t)f.n_vocab,
                                 f.logits + (size_t)i * (size_t)f.n_vocab, f.n_vocab);
        max = d > max ? d : max;
    }
    float allowed = is_reference ? b->reference : b->fast;
    print_message("%-22s %-10s max |dlogit| %.6f (at most %g)\n", b->name, ssw_engine_describe(engine)->isa,
                  (double)max, (double)allowed);
    assert_true(max <= allowed);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
