/* What is read from a gpt-oss file, and the one-line complaints about damaged ones. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "tiny_gpt_oss.h"

static char path[64];

static int make_path(void **state)
{
    snprintf(path, sizeof path, "tiny-model-%d.gguf", (int)getpid());
    return 0;
}

static int remove_path(void **state)
{
    unlink(path);
    return 0;
}

static void reads_a_whole_model(void **state)
{
    tiny_shape shape = tiny_shape_default();
    ssw_gguf *gguf;
    ssw_model model;
    ssw_error err;
    tiny_gpt_oss_write(path, &shape, 1, NULL);
    assert_int_equal(ssw_gguf_open(path, &gguf, &err), SSW_OK);
    assert_int_equal(ssw_model_open(gguf, &model, &err), SSW_OK);
    const ssw_model_hparams *h = &model.hparams;
    assert_string_equal(model.arch_name, "gpt-oss");
    assert_int_equal(h->n_vocab, 96);
    assert_int_equal(h->n_experts, 5);
    assert_int_equal(h->layer_window[0], 8);
    assert_int_equal(h->layer_window[1], 0);
    assert_int_equal(h->layer_window[2], 8);
    assert_int_equal(h->rope.original_context, 64);
    assert_true(fabsf(h->attention_scale - 1 / sqrtf(32)) < 1e-7f);
    assert_string_equal(ssw_model_tensor(&model, 2, SSW_MODEL_ATTN_SINKS)->name, "blk.2.attn_sinks.weight");
    assert_string_equal(ssw_model_tensor(&model, -1, SSW_MODEL_OUTPUT)->name, "output.weight");
    uint64_t n = 0;
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++)
        n += ssw_gguf_tensor_at(gguf, i)->n_bytes / 4;
    assert_int_equal(model.n_parameters, n);
    ssw_model_deinit(&model);
    ssw_gguf_close(gguf);
}

/* Opens a damaged model; the message must name the file and hold every one of the words. */
static void expect(const tiny_damage *damage, const char *one, const char *two)
{
    tiny_shape shape = tiny_shape_default();
    ssw_gguf *gguf;
    ssw_model model;
    ssw_error err;
    tiny_gpt_oss_write(path, &shape, 1, damage);
    assert_int_equal(ssw_gguf_open(path, &gguf, &err), SSW_OK);
    assert_int_not_equal(ssw_model_open(gguf, &model, &err), SSW_OK);
    ssw_gguf_close(gguf);
    if (!strstr(err.message, path) || !strstr(err.message, one) || !strstr(err.message, two))
        fail_msg("expected '%s' and '%s' in: %s", one, two, err.message);
}

static void names_the_damaged_key(void **state)
{
    expect(&(tiny_damage){.architecture = "mamba"}, "architecture 'mamba' is not supported",
           "'gpt-oss', 'phimoe'");
    expect(&(tiny_damage){.drop_key = "expert_count"}, "key 'gpt-oss.expert_count' is missing", "");
    expect(&(tiny_damage){.set_key = "block_count", .set_value = 0}, "gpt-oss.block_count",
           "expected 1 to 512");
    expect(&(tiny_damage){.set_key = "block_count", .set_value = 4000000000u}, "gpt-oss.block_count",
           "4000000000");
    expect(&(tiny_damage){.set_key = "expert_used_count", .set_value = 6}, "expert_used_count",
           "expected 1 to 5");
    expect(&(tiny_damage){.set_key = "attention.head_count_kv", .set_value = 3}, "4 heads",
           "3 key-value heads");
    expect(&(tiny_damage){.set_key = "attention.key_length", .set_value = 31}, "key_length 31",
           "expected equal");
    expect(&(tiny_damage){.set_key = "attention.sliding_window", .set_value = 0}, "sliding_window",
           "expected 1");
    expect(&(tiny_damage){.drop_key = "attention.layer_norm_rms_epsilon"}, "rms_epsilon", "is missing");
    expect(&(tiny_damage){.drop_key = "rope.scaling.original_context_length"}, "original_context", "missing");
}

static void names_the_damaged_tensor(void **state)
{
    expect(&(tiny_damage){.drop_tensor = "blk.1.attn_k.bias"}, "tensor 'blk.1.attn_k.bias' is missing", "");
    expect(&(tiny_damage){.drop_tensor = "token_embd.weight"}, "tensor 'token_embd.weight' is missing", "");
    expect(&(tiny_damage){.grow_tensor = "blk.2.ffn_up_exps.weight"}, "blk.2.ffn_up_exps.weight",
           "has shape [128, 64, 5, 1], expected [64, 64, 5, 1]");
    expect(&(tiny_damage){.retype_tensor = "blk.0.attn_norm.weight"}, "is I8, expected F32",
           "blk.0.attn_norm");
    expect(&(tiny_damage){.retype_tensor = "output.weight"}, "is I8, expected F32, F16", "output.weight");
    expect(&(tiny_damage){.extra_tensor = "blk.3.attn_q.weight"}, "'blk.3.attn_q.weight' is not part of",
           "3 layers");
    expect(&(tiny_damage){.set_key = "block_count", .set_value = 4}, "'blk.3.attn_norm.weight' is missing",
           "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_model),
        cmocka_unit_test(names_the_damaged_key),
        cmocka_unit_test(names_the_damaged_tensor),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
