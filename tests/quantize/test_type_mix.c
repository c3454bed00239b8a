/* Which type a tensor gets, by name and row length: llama-quantize's fall-backs for rows of 1408 and 2880
 * weights (DeepSeek's experts, gpt-oss), and what stays. test_quantize_llama.c holds whole models against it.
 */
#include "../cmocka_all.h"

#include "quantize/type_mix.h"

static ssw_dtype choose(const char *mix, const char *name, uint64_t n, int n_dims, bool *fell_back)
{
    const ssw_mix_facts facts = {.n_layers = 24, .n_experts = 32, .n_attn_v = 24, .heads_per_kv = 8};
    const ssw_gguf_tensor tensor = {
        .name = name, .dtype = SSW_DTYPE_F32, .n_dims = n_dims, .dims = {n, 64, n_dims > 2 ? 32 : 1, 1}};
    return ssw_type_mix_choose(ssw_type_mix_find(mix), &facts, &tensor, fell_back);
}

static void rows_fall_back(void **state)
{
    static const struct {
        const char *mix;
        ssw_dtype want;
    } cases[] = {{"Q2_K", SSW_DTYPE_Q4_0},     {"Q3_K_M", SSW_DTYPE_Q4_0}, {"Q4_K_M", SSW_DTYPE_Q5_0},
                 {"Q5_K_M", SSW_DTYPE_Q5_1},   {"Q6_K", SSW_DTYPE_Q8_0},   {"IQ4_XS", SSW_DTYPE_IQ4_NL},
                 {"IQ4_NL", SSW_DTYPE_IQ4_NL}, {"MXFP4", SSW_DTYPE_MXFP4}, {"Q8_0", SSW_DTYPE_Q8_0}};
    bool fell_back;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(choose(cases[i].mix, "blk.9.ffn_up_exps.weight", 2880, 3, &fell_back),
                         cases[i].want);
        assert_int_equal(fell_back, i < 6);
        assert_int_equal(choose(cases[i].mix, "blk.9.ffn_gate_exps.weight", 1408, 3, &fell_back),
                         cases[i].want);
        assert_int_equal(choose(cases[i].mix, "blk.9.ffn_up_exps.weight", 100, 3, &fell_back), SSW_DTYPE_F16);
        assert_int_equal(choose(cases[i].mix, "blk.9.ffn_gate_inp.weight", 2880, 2, &fell_back),
                         SSW_DTYPE_F32);
        assert_int_equal(choose(cases[i].mix, "blk.9.ffn_up_exps.bias", 2880, 2, &fell_back), SSW_DTYPE_F32);
        assert_int_equal(choose(cases[i].mix, "blk.9.attn_norm.weight", 2880, 1, &fell_back), SSW_DTYPE_F32);
    }
    /* the last layers' down projections and the head get more bits, which fall back too */
    assert_int_equal(choose("Q4_K_M", "blk.23.ffn_down_exps.weight", 2048, 3, &fell_back), SSW_DTYPE_Q6_K);
    assert_int_equal(choose("Q4_K_M", "blk.23.ffn_down_exps.weight", 1408, 3, &fell_back), SSW_DTYPE_Q8_0);
    assert_int_equal(choose("Q4_K_M", "output.weight", 2048, 2, &fell_back), SSW_DTYPE_Q6_K);
    assert_int_equal(choose("Q4_K_M", "output.weight", 2880, 2, &fell_back), SSW_DTYPE_Q8_0);
    assert_null(ssw_type_mix_find("Q9"));
    assert_string_equal(ssw_type_mix_find("q4_k")->name, "Q4_K_M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_fall_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
