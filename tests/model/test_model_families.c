/* What is read from a file of each family, and the one-line complaints about damaged ones: the fixtures of
 * tests/fixtures, with single bytes changed in memory. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

typedef struct file {
    uint8_t *bytes;
    size_t n_bytes;
} file;

static file read_file(const char *name)
{
    char path[512];
    const char *folder = getenv("SSW_TEST_FIXTURES");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    FILE *in = fopen(path, "rb");
    if (!in)
        fail_msg("cannot open %s", path);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    file f = {.n_bytes = (size_t)ftell(in)};
    rewind(in);
    f.bytes = malloc(f.n_bytes);
    assert_non_null(f.bytes);
    assert_int_equal(fread(f.bytes, 1, f.n_bytes, in), f.n_bytes);
    fclose(in);
    return f;
}

/* Behind the first occurrence of a key's or tensor's name. */
static uint8_t *find_behind(const file *f, const char *name)
{
    uint8_t *at = memmem(f->bytes, f->n_bytes, name, strlen(name));
    if (!at)
        fail_msg("no '%s' in the fixture", name);
    return at + strlen(name);
}

static const ssw_model_hparams *open_model(const char *name, ssw_gguf **gguf, ssw_model *model, file *f)
{
    ssw_error err;
    *f = read_file(name);
    assert_int_equal(ssw_gguf_open_memory(name, f->bytes, f->n_bytes, gguf, &err), SSW_OK);
    if (ssw_model_open(*gguf, model, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return &model->hparams;
}

static void close_model(ssw_gguf *gguf, ssw_model *model, file *f)
{
    ssw_model_deinit(model);
    ssw_gguf_close(gguf);
    free(f->bytes);
}

static void reads_deepseek(void **state)
{
    ssw_gguf *gguf;
    ssw_model model;
    file f;
    const ssw_model_hparams *h = open_model("deepseek/deepseek_f16_gqa2_e5k2", &gguf, &model, &f);
    assert_int_equal(h->n_dense_layers, 2);
    assert_int_equal(h->n_ff_dense, 96);
    assert_int_equal(h->n_ff_shared, 28);
    assert_int_equal(h->gating, SSW_MODEL_GATING_SOFTMAX_ALL);
    assert_true(h->rope.is_interleaved);
    assert_null(ssw_model_tensor(&model, 1, SSW_MODEL_GATE_EXPS));
    assert_non_null(ssw_model_tensor(&model, 1, SSW_MODEL_FFN_GATE));
    assert_non_null(ssw_model_tensor(&model, 2, SSW_MODEL_GATE_SHARED));
    assert_false(ssw_model_follow_llama_cpp(&model));
    close_model(gguf, &model, &f);
}

static void reads_deepseek2(void **state)
{
    ssw_gguf *gguf;
    ssw_model model;
    file f;
    const ssw_model_hparams *h = open_model("deepseek2/deepseek2_q8_0_e7k4_low_q", &gguf, &model, &f);
    float mscale = 1 + 0.0707f * logf(40);
    assert_int_equal(h->latent.kv_rank, 64);
    assert_int_equal(h->latent.q_rank, 96);
    assert_int_equal(h->latent.nope_dim, 32);
    assert_int_equal(h->latent.value_dim, 32);
    assert_int_equal(h->rope.n_dims, 16);
    assert_int_equal(h->n_heads_kv, 1);
    assert_int_equal(h->head_dim, 80);
    assert_int_equal(ssw_model_attended_width(h), 2 * 32);
    assert_true(fabsf(h->attention_scale - mscale * mscale / sqrtf(48)) < 1e-6f);
    assert_true(h->rope.magnitude == 1 && h->rope.is_interleaved);
    assert_null(ssw_model_tensor(&model, 0, SSW_MODEL_ATTN_Q));
    assert_non_null(ssw_model_tensor(&model, 0, SSW_MODEL_ATTN_Q_B));
    close_model(gguf, &model, &f);
}

static void reads_phimoe_and_follows_llama_cpp(void **state)
{
    ssw_gguf *gguf;
    ssw_model model;
    file f;
    const ssw_model_hparams *h = open_model("phimoe/phimoe_f16_gqa2_e4", &gguf, &model, &f);
    assert_int_equal(h->norm, SSW_MODEL_NORM_LAYER);
    assert_int_equal(h->gating, SSW_MODEL_GATING_SPARSEMIXER);
    assert_int_equal(h->layer_window[1], 12);
    assert_int_equal(h->rope.original_context, 4096);
    assert_true(fabsf(h->rope.magnitude - 1.243163f) < 1e-6f);
    assert_true(ssw_model_follow_llama_cpp(&model));
    assert_int_equal(h->norm, SSW_MODEL_NORM_RMS);
    assert_int_equal(h->gating, SSW_MODEL_GATING_SOFTMAX_ALL_RENORM);
    assert_int_equal(h->layer_window[1], 0);
    assert_true(fabsf(h->rope.magnitude - sqrtf(1 + logf(32) / logf(4096))) < 1e-6f);
    close_model(gguf, &model, &f);
}

typedef struct damage {
    const char *fixture;
    const char *key; /* its u32 becomes value ... */
    uint32_t value;
    const char *renamed; /* ... or this name's last letter another */
    const char *complaint;
} damage;

static const damage damages[] = {
    {"mixtral/mixtral_f32_gqa2_e5k2", NULL, 0, "llama.expert_count", "a llama model without experts"},
    {"mixtral/mixtral_f32_gqa2_e5k2", "llama.feed_forward_length", 25, NULL,
     "'blk.0.ffn_gate_exps.weight' has shape [48, 24, 5, 1], expected [48, 25, 5, 1]"},
    {"mixtral/mixtral_f32_gqa2_e5k2", "llama.rope.dimension_count", 6, NULL,
     "'llama.rope.dimension_count' is 6, expected the head's 12"},
    {"phimoe/phimoe_f32_gqa3_e5", "phimoe.expert_used_count", 1, NULL, "is 1, expected sparsemixer's 2"},
    {"phimoe/phimoe_f32_gqa3_e5", NULL, 0, "blk.1.ffn_norm.bias", "tensor 'blk.1.ffn_norm.bias' is missing"},
    {"phimoe/phimoe_f32_gqa3_e5", NULL, 0, "rope_factors_long.weight", "is not part of a phimoe model"},
    {"phimoe/phimoe_f32_gqa3_e5", "phimoe.rope.scaling.original_context_length", 0, NULL,
     "is 0, expected 1 to"},
    {"qwen3moe/qwen3moe_f32_gqa4_e7k3", NULL, 0, "blk.0.attn_q_norm.weight",
     "tensor 'blk.0.attn_q_norm.weight' is missing"},
    {"qwen3moe/qwen3moe_f32_gqa4_e7k3", "qwen3moe.expert_feed_forward_length", 0, NULL,
     "is 0, expected 1 to"},
    {"qwen3moe/qwen3moe_f32_gqa4_e7k3", "qwen3moe.attention.key_length", 512, NULL,
     "is 512, expected 2 to 256"},
    {"deepseek/deepseek_f32_gqa1_e6k3", "deepseek.leading_dense_block_count", 2, NULL,
     "tensor 'blk.1.ffn_gate.weight' is missing"},
    {"deepseek/deepseek_f32_gqa1_e6k3", "deepseek.leading_dense_block_count", 3, NULL,
     "is 3, expected 0 to 2"},
    {"deepseek/deepseek_f32_gqa1_e6k3", "deepseek.expert_shared_count", 3, NULL,
     "'blk.1.ffn_gate_shexp.weight' has shape [48, 40, 1, 1], expected [48, 60, 1, 1]"},
    {"deepseek/deepseek_f32_gqa1_e6k3", NULL, 0, "blk.1.ffn_up_shexp.weight",
     "tensor 'blk.1.ffn_up_shexp.weight' is missing"},
    {"deepseek2/deepseek2_f32_e6k3_yarn", NULL, 0, "deepseek2.attention.key_length_mla",
     "tensor 'blk.0.attn_q.weight' has shape [48, 54, 1, 1], expected [48, 84, 1, 1]"}, /* 28 by the older key
                                                                                         */
    {"deepseek2/deepseek2_q8_0_e8k3_v3", "deepseek2.expert_gating_func", 3, NULL,
     "'deepseek2.expert_gating_func' is 3, expected 1 (softmax) or 2 (sigmoid)"},
    {"deepseek2/deepseek2_q8_0_e8k3_v3", "deepseek2.expert_gating_func", 1, NULL,
     "'deepseek2.expert_group_count' is 4, expected 1: routing by softmax within groups"},
    {"deepseek2/deepseek2_q8_0_e8k3_v3", "deepseek2.expert_group_used_count", 1, NULL,
     "1 of 4 groups of 8 experts cannot give 3 experts"},
    {"deepseek2/deepseek2_q8_0_e8k3_v3", "deepseek2.expert_group_count", 3, NULL,
     "2 of 3 groups of 8 experts cannot give 3 experts"},
    {"deepseek2/deepseek2_f32_e5k2_joint", NULL, 0, "blk.0.attn_kv_b.weight",
     "tensor 'blk.0.attn_kv_b.weight' is missing"},
    {"deepseek2/deepseek2_f32_e5k2_joint", "deepseek2.attention.value_length", 7, NULL,
     "'blk.0.attn_kv_b.weight' has shape [20, 48, 1, 1], expected [20, 51, 1, 1]"},
    {"deepseek2/deepseek2_f32_e6k3_yarn", "deepseek2.attention.kv_lora_rank", 576, NULL,
     "expected even and at most 576 together"},
    {"deepseek2/deepseek2_f32_e6k3_yarn", "deepseek2.rope.dimension_count", 18, NULL,
     "heads of 18 with rope.dimension_count 18"},
    {"deepseek2/deepseek2_f32_e6k3_yarn", "deepseek2.attention.q_lora_rank", 4, NULL,
     "tensor 'blk.0.attn_q_a.weight' is missing"},
    {"deepseek2/deepseek2_f16_e5k2_low_q", "deepseek2.attention.q_lora_rank", 0, NULL,
     "tensor 'blk.0.attn_q.weight' is missing"},
    {"deepseek2/deepseek2_f16_e5k2_low_q", "deepseek2.attention.value_length_mla", 13, NULL,
     "'blk.0.attn_v_b.weight' has shape [24, 14, 4, 1], expected [24, 13, 4, 1]"},
};

static void complains_about_damage(void **state)
{
    enum { KEY_TYPE_BYTES = 4 };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const damage *d = &damages[i];
        file f = read_file(d->fixture);
        ssw_gguf *gguf;
        ssw_model model;
        ssw_error err = {0};
        if (d->key)
            memcpy(find_behind(&f, d->key) + KEY_TYPE_BYTES, &d->value, sizeof d->value);
        else
            find_behind(&f, d->renamed)[-1] ^= 1;
        assert_int_equal(ssw_gguf_open_memory("damaged", f.bytes, f.n_bytes, &gguf, &err), SSW_OK);
        assert_int_not_equal(ssw_model_open(gguf, &model, &err), SSW_OK);
        if (strncmp(err.message, "damaged: ", 9) != 0 || !strstr(err.message, d->complaint))
            fail_msg("expected '%s' in: %s", d->complaint, err.message);
        ssw_gguf_close(gguf);
        free(f.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_deepseek),
        cmocka_unit_test(reads_deepseek2),
        cmocka_unit_test(reads_phimoe_and_follows_llama_cpp),
        cmocka_unit_test(complains_about_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
