/* The engine against the publishers' code (tests/fixtures/README.md says which), for every family but
 * gpt-oss, with the reference operations and with those that this processor would use; and with the whole
 * prompt at once, one token at a time, and several sequences together. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

/* max |logit - the publisher's logit|. Logits of the fixtures have a standard deviation of 1.5 to 1.9. Float
 * types, and every type with the reference operations: only the F16 KV cache rounds. Quantised types
 * otherwise: activations are rounded to 8 bits in blocks of 32, in every product; with 64 to 96 columns that
 * averages out little. */
#define REFERENCE_MAX 0.012f
#define FAST_MAX      0.3f
/* nats */
#define REFERENCE_KL_MAX 1e-5
#define FAST_KL_MAX      5e-3

static const char *const names[] = {
    "phimoe/phimoe_f32_gqa3_e5",           "phimoe/phimoe_f16_gqa2_e4",
    "phimoe/phimoe_q8_0_gqa4_e5",          "phimoe/phimoe_q4_0_gqa1_e3",
    "mixtral/mixtral_f32_gqa2_e5k2",       "mixtral/mixtral_q8_0_gqa4_e3k3",
    "mixtral/mixtral_q4_0_gqa1_e8k2",      "qwen3moe/qwen3moe_f32_gqa4_e7k3",
    "qwen3moe/qwen3moe_q8_0_gqa2_e9k4",    "qwen3moe/qwen3moe_q4_0_gqa1_e4k1",
    "deepseek/deepseek_f32_gqa1_e6k3",     "deepseek/deepseek_f16_gqa2_e5k2",
    "deepseek/deepseek_q8_0_gqa1_e7k4",    "deepseek/deepseek_q4_0_gqa2_e4k2",
    "deepseek2/deepseek2_f32_e6k3_yarn",   "deepseek2/deepseek2_f16_e5k2_low_q",
    "deepseek2/deepseek2_q8_0_e7k4_low_q", "deepseek2/deepseek2_q4_0_e4k2",
    "deepseek2/deepseek2_f32_e5k2_joint",  "deepseek2/deepseek2_q8_0_e4k2_joint",
    "deepseek2/deepseek2_f32_e6k2_v3",     "deepseek2/deepseek2_q8_0_e8k3_v3",
};

enum { N_NAMES = sizeof names / sizeof names[0], N_PARALLEL = 3 };

/* A context that is just long enough: at the default the first of phimoe's lists of factors would be used. */
static ssw_engine *open_engine(const fixture *f, int32_t n_batch, int32_t n_parallel, bool is_reference)
{
    return fixture_open_engine(f, &(fixture_run){f->n_prompt, n_batch, n_parallel, is_reference, false});
}

static void compare_one(const char *name, bool is_reference)
{
    fixture f;
    fixture_open(&f, name);
    ssw_engine *engine = open_engine(&f, 0, 1, is_reference);
    float *logits = fixture_eval_prompt(&f, engine);
    fixture_distance d = fixture_compare(&f, logits);
    bool is_float = strstr(name, "_f32_") || strstr(name, "_f16_");
    bool is_tight = is_reference || is_float;
    print_message("%-34s %-10s max |dlogit| %.6f, KL %.1e, top-1 %d of %d\n", name,
                  ssw_engine_describe(engine)->isa, (double)d.max_dlogit, d.mean_kl, d.n_same_top, f.n_rows);
    assert_true(d.max_dlogit <= (is_tight ? REFERENCE_MAX : FAST_MAX));
    assert_true(d.mean_kl <= (is_tight ? REFERENCE_KL_MAX : FAST_KL_MAX));
    free(logits);
    ssw_engine_close(engine);
    fixture_close(&f);
}

static void logits_are_those_of_the_publisher(void **state)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        compare_one(names[i], true);
        compare_one(names[i], false);
    }
}

/* However a prompt is cut, the logits are the same bits; so they are beside other sequences. */
static void cutting_and_company_change_nothing(void **state)
{
    static const int32_t batches[] = {1, 7, 33};
    for (size_t k = 0; k < N_NAMES; k++) {
        fixture f;
        ssw_error err;
        fixture_open(&f, names[k]);
        size_t n = (size_t)f.n_prompt * (size_t)f.n_vocab;
        ssw_engine *whole_engine = open_engine(&f, 0, 1, false);
        float *whole = fixture_eval_prompt(&f, whole_engine);
        ssw_engine_close(whole_engine);
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            ssw_engine *engine = open_engine(&f, batches[b], N_PARALLEL, false);
            ssw_eval_item items[N_PARALLEL];
            float *together = malloc(N_PARALLEL * n * sizeof *together);
            assert_non_null(together);
            for (int i = 0; i < N_PARALLEL; i++) {
                items[i] = (ssw_eval_item){
                    .tokens = f.prompt, .n_tokens = f.n_prompt - i, .logits_all = together + (size_t)i * n};
                assert_int_equal(ssw_session_open(engine, &items[i].session, &err), SSW_OK);
            }
            assert_int_equal(ssw_engine_eval(engine, items, N_PARALLEL, &err), SSW_OK);
            for (int i = 0; i < N_PARALLEL; i++)
                assert_memory_equal(items[i].logits_all, whole,
                                    (size_t)(f.n_prompt - i) * (size_t)f.n_vocab * sizeof *whole);
            free(together);
            ssw_engine_close(engine);
        }
        free(whole);
        fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_publisher),
        cmocka_unit_test(cutting_and_company_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
