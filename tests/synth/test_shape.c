/* The table of shapes against published totals, and the plan that follows from it. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gguf/tensor_class.h"
#include "synth/tensor_plan.h"

/* quant, dense: as on the command line, or NULL. */
static ssw_synth_plan plan_of(const ssw_shape *shape, const char *quant, const char *dense, int32_t n_layers,
                              int32_t n_vocab)
{
    ssw_synth_options o = {.shape = shape,
                           .mix = quant ? ssw_synth_find_mix(quant) : NULL,
                           .dense_mix = dense ? ssw_synth_find_mix(dense) : NULL,
                           .n_layers = n_layers,
                           .n_vocab = n_vocab,
                           .seed = 1};
    ssw_synth_plan plan = {0};
    ssw_error err = {0};
    if (ssw_synth_options_resolve(&o, &err) != SSW_OK || ssw_synth_plan_init(&plan, &o, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return plan;
}

/* Published: gpt-oss model card (arXiv 2508.10925, table 1); Phi-3.5-MoE and DeepSeek-V2-Lite model cards;
 * DeepSeekMoE (arXiv 2401.06066); Mixtral (mistral.ai, "Mixtral of experts"); Qwen3 (arXiv 2505.09388, table
 * 2). A total is given with one or two decimals: half of the last one is the bound. */
static void test_published_totals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        const ssw_shape *shape = ssw_shape_at(i);
        ssw_synth_plan plan = plan_of(shape, NULL, NULL, 0, 0);
        double total = (double)plan.n_parameters * 1e-9;
        double active =
            (double)(plan.n_active - (shape->active_counts_embedding ? 0 : plan.n_embedding)) * 1e-9;
        if (fabs(total - shape->published_total) > 0.05 || fabs(active - shape->published_active) > 0.06)
            fail_msg("%s: %.3f B of which %.3f B active; published %.2f and %.2f", shape->name, total, active,
                     shape->published_total, shape->published_active);
        ssw_synth_plan_deinit(&plan);
    }
}

/* The parameter counts that are quoted to the last digit for the published GGUF files and checkpoints. */
static void test_exact_counts(void **state)
{
    (void)state;
    ssw_synth_plan plan = plan_of(ssw_shape_find("gpt-oss-20b"), NULL, NULL, 0, 0);
    assert_int_equal(plan.n_parameters,
                     20914757184); /* the sum that the published checkpoint's index gives */
    ssw_synth_plan_deinit(&plan);
    plan = plan_of(ssw_shape_find("gpt-oss-120b"), NULL, NULL, 0, 0);
    assert_int_equal(plan.n_parameters, 116829156672);
    assert_int_equal(plan.tensor_bytes, 63374323968); /* llama.cpp's size of the published MXFP4 file */
    ssw_synth_plan_deinit(&plan);
    plan = plan_of(ssw_shape_find("mixtral-8x7b"), "F16", NULL, 0, 0);
    assert_int_equal(plan.n_parameters, 46702792704);
    ssw_synth_plan_deinit(&plan);
    plan = plan_of(ssw_shape_find("qwen3-30b-a3b"), "F16", NULL, 0, 0);
    assert_int_equal(plan.n_parameters, 30532122624);
    ssw_synth_plan_deinit(&plan);
}

/* Every tensor has a known role, a unique name and whole blocks; with --dense, experts alone have the
 * experts' type, and all other matrices the other one. */
static void test_plan_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ssw_shape_count(); i++) {
        ssw_synth_plan plan = plan_of(ssw_shape_at(i), "Q4_0", "Q8_0", 2, 1024);
        uint64_t sum_bytes = 0;
        for (size_t t = 0; t < plan.n_tensors; t++) {
            const ssw_synth_tensor *tensor = &plan.tensors[t];
            ssw_tensor_class kind = ssw_tensor_role_of(tensor->name).kind;
            bool is_rope = strncmp(tensor->name, "rope_factors", 12) == 0;
            if ((kind == SSW_TENSOR_OTHER) != is_rope)
                fail_msg("%s has no role", tensor->name);
            assert_int_equal(kind == SSW_TENSOR_EXPERT, tensor->dtype == SSW_DTYPE_Q4_0);
            if (kind == SSW_TENSOR_ATTENTION && tensor->n_dims > 1)
                assert_int_equal(tensor->dtype, SSW_DTYPE_Q8_0);
            assert_true(ssw_dtype_row_bytes(tensor->dtype, tensor->dims[0]) > 0);
            assert_true(tensor->values || tensor->sigma > 0);
            sum_bytes += tensor->n_bytes;
            for (size_t u = 0; u < t; u++)
                assert_string_not_equal(tensor->name, plan.tensors[u].name);
        }
        assert_int_equal(sum_bytes, plan.tensor_bytes);
        ssw_synth_plan_deinit(&plan);
    }
}

static size_t count_type(const ssw_synth_plan *plan, ssw_dtype dtype)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n_tensors; i++)
        n += plan->tensors[i].dtype == dtype;
    return n;
}

static ssw_dtype type_of(const ssw_synth_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (strcmp(plan->tensors[i].name, name) == 0)
            return plan->tensors[i].dtype;
    }
    fail_msg("no tensor %s", name);
    return SSW_DTYPE_F32;
}

/* What `llama-quantize MODEL Q4_0` makes of each part. Models of eight experts get keys and values in Q8_0:
 * of Mixtral 2 in each of 32 layers, beside 32 x (query, output, three of experts) and the embedding. */
static void test_all_parts_follow_the_mix(void **state)
{
    (void)state;
    ssw_synth_plan plan = plan_of(ssw_shape_find("deepseek-moe-16b"), "Q4_0", NULL, 0, 0);
    assert_int_equal(type_of(&plan, "token_embd.weight"), SSW_DTYPE_Q4_0);
    assert_int_equal(type_of(&plan, "blk.0.ffn_down.weight"), SSW_DTYPE_Q4_0);
    assert_int_equal(type_of(&plan, "blk.9.attn_v.weight"), SSW_DTYPE_Q4_0);
    assert_int_equal(type_of(&plan, "blk.9.ffn_down_shexp.weight"), SSW_DTYPE_Q4_0);
    assert_int_equal(type_of(&plan, "blk.9.ffn_down_exps.weight"), SSW_DTYPE_Q4_0);
    assert_int_equal(type_of(&plan, "blk.9.ffn_gate_inp.weight"), SSW_DTYPE_F32);
    assert_int_equal(type_of(&plan, "output.weight"), SSW_DTYPE_Q6_K);
    assert_int_equal(count_type(&plan, SSW_DTYPE_Q6_K), 1);
    assert_int_equal(count_type(&plan, SSW_DTYPE_Q8_0), 0);
    ssw_synth_plan_deinit(&plan);
    plan = plan_of(ssw_shape_find("mixtral-8x7b"), "Q4_0", NULL, 0, 0);
    assert_int_equal(count_type(&plan, SSW_DTYPE_Q8_0), 64);
    assert_int_equal(count_type(&plan, SSW_DTYPE_Q6_K), 1);
    assert_int_equal(count_type(&plan, SSW_DTYPE_Q4_0), 32 * 5 + 1);
    assert_int_equal(type_of(&plan, "blk.31.attn_k.weight"), SSW_DTYPE_Q8_0);
    ssw_synth_plan_deinit(&plan);
    plan = plan_of(ssw_shape_find("gpt-oss-20b"), "MXFP4", "Q4_0", 0, 0); /* 2880 is no multiple of 256 */
    assert_int_equal(count_type(&plan, SSW_DTYPE_MXFP4), 24 * 3);
    assert_int_equal(type_of(&plan, "output.weight"), SSW_DTYPE_Q8_0);
    assert_int_equal(type_of(&plan, "blk.0.attn_q.weight"), SSW_DTYPE_Q4_0);
    ssw_synth_plan_deinit(&plan);
}

static void test_refusals(void **state)
{
    (void)state;
    ssw_error err;
    const ssw_shape *deepseek = ssw_shape_find("deepseek-moe-16b");
    ssw_synth_options good = {.shape = deepseek}, o = good;
    assert_null(ssw_shape_find("gpt-2"));
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_OK);
    assert_int_equal(o.n_layers, 28);
    assert_int_equal(o.n_vocab, 102400);
    assert_string_equal(o.mix->name, "Q4_0");
    o = good;
    o.n_layers = 1; /* the first layer is dense: no experts would be left */
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_ERR_USAGE);
    assert_string_equal(err.message, "deepseek-moe-16b can be cut to 2 to 28 layers, not to 1");
    o = good;
    o.n_layers = 29;
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_ERR_USAGE);
    o = good;
    o.n_vocab = 100;
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_ERR_USAGE);
    o = good;
    o.skew = NAN;
    assert_int_equal(ssw_synth_options_resolve(&o, &err), SSW_ERR_USAGE);
    assert_null(ssw_synth_find_mix("Q9"));
    assert_string_equal(ssw_synth_find_mix("f32")->name, "F32");
    assert_string_equal(ssw_synth_find_mix("q4_k")->name, "Q4_K_M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_totals), cmocka_unit_test(test_exact_counts),
        cmocka_unit_test(test_plan_is_sound),    cmocka_unit_test(test_all_parts_follow_the_mix),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
