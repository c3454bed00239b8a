/* Names as llama.cpp's converters write them (gguf-py, constants.py). */
#include "../cmocka_all.h"

#include "gguf/tensor_class.h"

static void expect(const char *name, ssw_tensor_class kind, int layer)
{
    ssw_tensor_role role = ssw_tensor_role_of(name);
    if (role.kind != kind || role.layer != layer)
        fail_msg("%s: got %s of layer %d", name, ssw_tensor_class_name(role.kind), role.layer);
}

static void gpt_oss(void **state)
{
    expect("token_embd.weight", SSW_TENSOR_EMBEDDING, -1);
    expect("output.weight", SSW_TENSOR_OUTPUT, -1);
    expect("output_norm.weight", SSW_TENSOR_NORM, -1);
    expect("blk.0.attn_norm.weight", SSW_TENSOR_NORM, 0);
    expect("blk.0.attn_q.weight", SSW_TENSOR_ATTENTION, 0);
    expect("blk.0.attn_output.bias", SSW_TENSOR_ATTENTION, 0);
    expect("blk.23.attn_sinks.weight", SSW_TENSOR_ATTENTION, 23);
    expect("blk.1.post_attention_norm.weight", SSW_TENSOR_NORM, 1);
    expect("blk.1.ffn_gate_inp.weight", SSW_TENSOR_ROUTER, 1);
    expect("blk.1.ffn_gate_inp.bias", SSW_TENSOR_ROUTER, 1);
    expect("blk.1.ffn_gate_exps.weight", SSW_TENSOR_EXPERT, 1);
    expect("blk.1.ffn_up_exps.weight", SSW_TENSOR_EXPERT, 1);
    expect("blk.1.ffn_down_exps.weight", SSW_TENSOR_EXPERT, 1);
    expect("blk.1.ffn_down_exps.bias", SSW_TENSOR_EXPERT_BIAS, 1);
}

static void others(void **state)
{
    expect("blk.7.ffn_norm.weight", SSW_TENSOR_NORM, 7);
    expect("blk.7.attn_q_norm.weight", SSW_TENSOR_NORM, 7);
    expect("blk.7.ffn_up_shexp.weight", SSW_TENSOR_SHARED_EXPERT, 7);
    expect("blk.7.ffn_up.weight", SSW_TENSOR_DENSE_FFN, 7);
    expect("blk.7.exp_probs_b.bias", SSW_TENSOR_ROUTER, 7);
    expect("rope_freqs.weight", SSW_TENSOR_OTHER, -1);
    expect("blk.x.attn_q.weight", SSW_TENSOR_OTHER, -1);
    expect("blk.", SSW_TENSOR_OTHER, -1);
    expect("", SSW_TENSOR_OTHER, -1);
    expect("blk.1.", SSW_TENSOR_OTHER, 1);
    expect("blk.9999999.attn_q.weight", SSW_TENSOR_OTHER, -1);
    for (int i = 0; i < SSW_TENSOR_CLASS_COUNT; i++)
        assert_non_null(ssw_tensor_class_name((ssw_tensor_class)i));
    assert_string_equal(ssw_tensor_class_name(SSW_TENSOR_EXPERT), "experts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gpt_oss), cmocka_unit_test(others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
