/* See the header. */
#include "../cmocka_all.h"

#include "tiny_gpt_oss.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor_plan {
    char name[64];
    ssw_dtype dtype;
    int n_dims;
    uint64_t dims[3];
    float scale, offset;
} tensor_plan;

enum { PLANS_MAX = 1024 };

typedef struct plan_list {
    tensor_plan items[PLANS_MAX];
    int n;
    const tiny_damage *damage;
} plan_list;

tiny_shape tiny_shape_default(void)
{
    return (tiny_shape){.n_layers = 3,
                        .n_embd = 64,
                        .n_vocab = 96,
                        .ctx = 256,
                        .n_heads = 4,
                        .n_heads_kv = 2,
                        .head_dim = 32,
                        .n_experts = 5,
                        .n_used = 2,
                        .n_ff = 64,
                        .window = 8};
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static void plan(plan_list *list, int layer, const char *name, float scale, float offset, uint64_t d0,
                 uint64_t d1, uint64_t d2)
{
    assert_true(list->n < PLANS_MAX);
    tensor_plan *t = &list->items[list->n];
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
    const tiny_damage *damage = list->damage;
    if (is(damage->drop_tensor, t->name))
        return;
    t->dtype = is(damage->retype_tensor, t->name) ? SSW_DTYPE_I8 : SSW_DTYPE_F32;
    t->n_dims = d2 ? 3 : d1 ? 2 : 1;
    t->dims[0] = is(damage->grow_tensor, t->name) ? 2 * d0 : d0;
    t->dims[1] = d1;
    t->dims[2] = d2;
    t->scale = scale;
    t->offset = offset;
    list->n++;
}

static void plan_all(plan_list *list, const tiny_shape *s)
{
    uint64_t q = (uint64_t)s->n_heads * s->head_dim, kv = (uint64_t)s->n_heads_kv * s->head_dim;
    float by_embd = 1 / sqrtf((float)s->n_embd), by_q = 1 / sqrtf((float)q),
          by_ff = 1 / sqrtf((float)s->n_ff);
    plan(list, -1, "token_embd.weight", 1, 0, s->n_embd, s->n_vocab, 0);
    plan(list, -1, "output_norm.weight", 0.2f, 1, s->n_embd, 0, 0);
    plan(list, -1, "output.weight", 2 * by_embd, 0, s->n_embd, s->n_vocab, 0);
    for (int i = 0; i < (int)s->n_layers; i++) {
        plan(list, i, "attn_norm.weight", 0.2f, 1, s->n_embd, 0, 0);
        plan(list, i, "attn_q.weight", by_embd, 0, s->n_embd, q, 0);
        plan(list, i, "attn_q.bias", 0.3f, 0, q, 0, 0);
        plan(list, i, "attn_k.weight", by_embd, 0, s->n_embd, kv, 0);
        plan(list, i, "attn_k.bias", 0.3f, 0, kv, 0, 0);
        plan(list, i, "attn_v.weight", by_embd, 0, s->n_embd, kv, 0);
        plan(list, i, "attn_v.bias", 0.3f, 0, kv, 0, 0);
        plan(list, i, "attn_output.weight", by_q, 0, q, s->n_embd, 0);
        plan(list, i, "attn_output.bias", 0.3f, 0, s->n_embd, 0, 0);
        plan(list, i, "attn_sinks.weight", 1, 0, s->n_heads, 0, 0);
        plan(list, i, "post_attention_norm.weight", 0.2f, 1, s->n_embd, 0, 0);
        plan(list, i, "ffn_gate_inp.weight", 2 * by_embd, 0, s->n_embd, s->n_experts, 0);
        plan(list, i, "ffn_gate_inp.bias", 1, 0, s->n_experts, 0, 0);
        plan(list, i, "ffn_gate_exps.weight", by_embd, 0, s->n_embd, s->n_ff, s->n_experts);
        plan(list, i, "ffn_gate_exps.bias", 0.3f, 0, s->n_ff, s->n_experts, 0);
        plan(list, i, "ffn_up_exps.weight", by_embd, 0, s->n_embd, s->n_ff, s->n_experts);
        plan(list, i, "ffn_up_exps.bias", 0.3f, 0, s->n_ff, s->n_experts, 0);
        plan(list, i, "ffn_down_exps.weight", by_ff, 0, s->n_ff, s->n_embd, s->n_experts);
        plan(list, i, "ffn_down_exps.bias", 0.3f, 0, s->n_embd, s->n_experts, 0);
    }
    if (list->damage->extra_tensor)
        plan(list, -1, list->damage->extra_tensor, 1, 0, 32, 0, 0);
}

static void set_u32(ssw_gguf_writer *w, const tiny_damage *damage, const char *name, uint32_t value)
{
    char key[96];
    if (is(damage->drop_key, name))
        return;
    snprintf(key, sizeof key, "gpt-oss.%s", name);
    ssw_gguf_writer_set_u32(w, key, is(damage->set_key, name) ? damage->set_value : value);
}

static void write_keys(ssw_gguf_writer *w, const tiny_shape *s, const tiny_damage *damage)
{
    ssw_gguf_writer_set_text(w, "general.architecture",
                             damage->architecture ? damage->architecture : "gpt-oss");
    ssw_gguf_writer_set_text(w, "general.name", "tiny");
    set_u32(w, damage, "block_count", s->n_layers);
    set_u32(w, damage, "context_length", s->ctx);
    set_u32(w, damage, "embedding_length", s->n_embd);
    set_u32(w, damage, "attention.head_count", s->n_heads);
    set_u32(w, damage, "attention.head_count_kv", s->n_heads_kv);
    set_u32(w, damage, "attention.key_length", s->head_dim);
    set_u32(w, damage, "attention.value_length", s->head_dim);
    set_u32(w, damage, "attention.sliding_window", s->window);
    set_u32(w, damage, "expert_count", s->n_experts);
    set_u32(w, damage, "expert_used_count", s->n_used);
    set_u32(w, damage, "expert_feed_forward_length", s->n_ff);
    if (!is(damage->drop_key, "attention.layer_norm_rms_epsilon"))
        ssw_gguf_writer_set_f32(w, "gpt-oss.attention.layer_norm_rms_epsilon", 1e-5f);
    ssw_gguf_writer_set_f32(w, "gpt-oss.rope.freq_base", 150000.0f);
    ssw_gguf_writer_set_text(w, "gpt-oss.rope.scaling.type", "yarn");
    ssw_gguf_writer_set_f32(w, "gpt-oss.rope.scaling.factor", 4.0f);
    set_u32(w, damage, "rope.scaling.original_context_length", 64);
}

/* Uniform in [-1.7, 1.7), variance near 1. splitmix64. */
static float draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return ((float)(z >> 40) / (float)(1 << 24) - 0.5f) * 3.4f;
}

void tiny_gpt_oss_write(const char *path, const tiny_shape *shape, uint64_t seed, const tiny_damage *damage)
{
    static const tiny_damage none;
    plan_list *list = calloc(1, sizeof *list);
    ssw_gguf_writer *w = NULL;
    ssw_error err = {0};
    assert_non_null(list);
    list->damage = damage ? damage : &none;
    plan_all(list, shape);
    assert_int_equal(ssw_gguf_writer_open(path, 0, &w, &err), SSW_OK);
    write_keys(w, shape, list->damage);
    for (int i = 0; i < list->n; i++)
        ssw_gguf_writer_add_tensor(w, list->items[i].name, list->items[i].dtype, list->items[i].n_dims,
                                   list->items[i].dims);
    assert_int_equal(ssw_gguf_writer_begin_data(w, &err), SSW_OK);
    for (int i = 0; i < list->n; i++) {
        const tensor_plan *t = &list->items[i];
        size_t n = (size_t)(t->dims[0] * (t->dims[1] ? t->dims[1] : 1) * (t->dims[2] ? t->dims[2] : 1));
        size_t n_bytes = (size_t)ssw_dtype_row_bytes(t->dtype, n);
        float *values = calloc(n, sizeof *values);
        assert_non_null(values);
        for (size_t k = 0; k < n; k++)
            values[k] = t->offset + t->scale * draw(&seed);
        assert_int_equal(ssw_gguf_writer_write_data(w, values, n_bytes, &err), SSW_OK);
        free(values);
    }
    assert_int_equal(ssw_gguf_writer_finish(w, &err), SSW_OK);
    ssw_gguf_writer_close(w);
    free(list);
}
