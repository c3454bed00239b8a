/* See shape_keys.h. */
#include "synth/shape_keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum {
    KEY_BYTES_MAX = 96,
    TEXT_BYTES_MAX = 160,
    GATING_SOFTMAX = 1,
    QUANTIZATION_VERSION = 2,
    YARN_CONTEXT = 4096
};

enum { LITE_LAYERS = 27 };

typedef struct scope {
    ssw_gguf_writer *writer;
    const char *architecture;
} scope;

static const char *key_in(const scope *s, const char *name, char key[KEY_BYTES_MAX])
{
    snprintf(key, KEY_BYTES_MAX, "%s.%s", s->architecture, name);
    return key;
}

static void set_u32(const scope *s, const char *name, int32_t value)
{
    char key[KEY_BYTES_MAX];
    ssw_gguf_writer_set_u32(s->writer, key_in(s, name, key), (uint32_t)value);
}

static void set_f32(const scope *s, const char *name, float value)
{
    char key[KEY_BYTES_MAX];
    ssw_gguf_writer_set_f32(s->writer, key_in(s, name, key), value);
}

static void set_text(const scope *s, const char *name, const char *value)
{
    char key[KEY_BYTES_MAX];
    ssw_gguf_writer_set_text(s->writer, key_in(s, name, key), value);
}

static void set_general(const ssw_synth_options *o, ssw_gguf_writer *writer)
{
    char text[TEXT_BYTES_MAX];
    snprintf(text, sizeof text, "%s, random weights", o->shape->title);
    ssw_gguf_writer_set_text(writer, "general.architecture", o->shape->architecture);
    ssw_gguf_writer_set_text(writer, "general.type", "model");
    ssw_gguf_writer_set_text(writer, "general.name", text);
    snprintf(text, sizeof text,
             "The shape of %s with random weights, for tests and benchmarks; it knows nothing.",
             o->shape->source);
    ssw_gguf_writer_set_text(writer, "general.description", text);
    ssw_gguf_writer_set_u32(writer, "general.file_type", o->mix->file_type);
    ssw_gguf_writer_set_u32(writer, "general.quantization_version", QUANTIZATION_VERSION);
    ssw_gguf_writer_set_text(writer, "seesaw.synth.shape", o->shape->name);
    ssw_gguf_writer_set(writer, "seesaw.synth.seed", SSW_GGUF_U64, &o->seed);
    ssw_gguf_writer_set(writer, "seesaw.synth.skew", SSW_GGUF_F64, &o->skew);
    ssw_gguf_writer_set_u32(writer, "seesaw.synth.published_layers", (uint32_t)o->shape->n_layers);
}

static void set_yarn(const scope *s, float factor)
{
    set_text(s, "rope.scaling.type", "yarn");
    set_f32(s, "rope.scaling.factor", factor);
    set_u32(s, "rope.scaling.original_context_length", YARN_CONTEXT);
    set_f32(s, "rope.scaling.yarn_beta_fast", 32);
    set_f32(s, "rope.scaling.yarn_beta_slow", 1);
}

static void set_deepseek(const scope *s, const ssw_shape *shape)
{
    set_u32(s, "leading_dense_block_count", shape->n_dense_layers);
    set_u32(s, "expert_feed_forward_length", shape->n_ff_expert);
    set_u32(s, "expert_shared_count", shape->n_shared_experts);
    set_f32(s, "expert_weights_scale", 1);
    set_u32(s, "expert_gating_func", GATING_SOFTMAX);
}

static void set_family(const scope *s, const ssw_synth_options *o)
{
    const ssw_shape *shape = o->shape;
    switch (shape->family) {
    case SSW_FAMILY_GPT_OSS:
        set_u32(s, "attention.key_length", shape->head_dim);
        set_u32(s, "attention.value_length", shape->head_dim);
        set_u32(s, "attention.sliding_window", shape->sliding_window);
        set_u32(s, "expert_feed_forward_length", shape->n_ff_expert);
        set_yarn(s, 32);
        break;
    case SSW_FAMILY_PHIMOE: {
        double growth = (double)shape->n_ctx / YARN_CONTEXT;
        set_u32(s, "attention.sliding_window", shape->sliding_window);
        set_u32(s, "rope.dimension_count", shape->head_dim);
        set_u32(s, "rope.scaling.original_context_length", YARN_CONTEXT);
        set_f32(s, "rope.scaling.attn_factor", (float)sqrt(1 + log(growth) / log(YARN_CONTEXT)));
        break;
    }
    case SSW_FAMILY_DEEPSEEK:
        set_deepseek(s, shape);
        set_u32(s, "vocab_size", o->n_vocab);
        set_u32(s, "rope.dimension_count", shape->head_dim);
        set_text(s, "rope.scaling.type", "none");
        break;
    case SSW_FAMILY_DEEPSEEK2:
        set_deepseek(s, shape);
        set_u32(s, "vocab_size", o->n_vocab);
        set_u32(s, "expert_group_count", 1);
        set_u32(s, "expert_group_used_count", 1);
        set_u32(s, "attention.kv_lora_rank", shape->kv_lora_rank);
        set_u32(s, "attention.key_length", shape->kv_lora_rank + shape->rope_dim);
        set_u32(s, "attention.value_length", shape->kv_lora_rank);
        set_u32(s, "attention.key_length_mla", shape->nope_dim + shape->rope_dim);
        set_u32(s, "attention.value_length_mla", shape->head_dim);
        set_u32(s, "rope.dimension_count", shape->rope_dim);
        set_yarn(s, 40);
        set_f32(s, "rope.scaling.yarn_log_multiplier", 0.1f * 0.707f);
        if (o->n_layers != LITE_LAYERS) /* llama.cpp knows by the layers that the Lite model has none */
            set_u32(s, "attention.q_lora_rank", 0);
        break;
    case SSW_FAMILY_MIXTRAL:
        set_u32(s, "vocab_size", o->n_vocab);
        set_u32(s, "rope.dimension_count", shape->head_dim);
        break;
    case SSW_FAMILY_QWEN3MOE:
        set_u32(s, "attention.key_length", shape->head_dim);
        set_u32(s, "attention.value_length", shape->head_dim);
        set_u32(s, "expert_feed_forward_length", shape->n_ff_expert);
        break;
    }
}

void ssw_shape_keys_write(const ssw_synth_options *options, ssw_gguf_writer *writer)
{
    const ssw_shape *shape = options->shape;
    const scope s = {writer, shape->architecture};
    set_general(options, writer);
    set_u32(&s, "block_count", options->n_layers);
    set_u32(&s, "context_length", shape->n_ctx);
    set_u32(&s, "embedding_length", shape->n_embd);
    set_u32(&s, "feed_forward_length", shape->n_ff_dense > 0 ? shape->n_ff_dense : shape->n_ff_expert);
    set_u32(&s, "attention.head_count", shape->n_heads);
    set_u32(&s, "attention.head_count_kv", shape->n_heads_kv);
    set_f32(&s, "attention.layer_norm_rms_epsilon", shape->rms_eps);
    set_f32(&s, "rope.freq_base", shape->rope_base);
    set_u32(&s, "expert_count", shape->n_experts);
    set_u32(&s, "expert_used_count", shape->n_experts_used);
    set_family(&s, options);
}
