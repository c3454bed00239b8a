/* The published models whose true shape `seesaw synth` can write: one row of numbers each.
 *
 * The numbers are those of each model's published config.json (the row names it); what GGUF calls them and
 * which tensors follow is llama.cpp's converter's business and stands in tensor_plan.c and shape_keys.c. Pure
 * data, any thread. */
#ifndef SSW_SYNTH_SHAPE_H
#define SSW_SYNTH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ssw_family {
    SSW_FAMILY_GPT_OSS,
    SSW_FAMILY_PHIMOE,
    SSW_FAMILY_DEEPSEEK,
    SSW_FAMILY_DEEPSEEK2,
    SSW_FAMILY_MIXTRAL,
    SSW_FAMILY_QWEN3MOE
} ssw_family;

typedef struct ssw_shape {
    const char *name;         /* "gpt-oss-20b" */
    const char *title;        /* "gpt-oss 20B", for general.name */
    const char *architecture; /* general.architecture */
    const char *source;       /* the repository whose config.json these are */
    ssw_family family;
    const char *quant; /* the mix of types when nothing else is asked for: "Q4_0" */
    int32_t n_layers, n_embd, n_vocab, n_ctx;
    int32_t n_heads, n_heads_kv, head_dim;
    int32_t n_experts, n_experts_used, n_ff_expert;
    int32_t n_shared_experts, n_dense_layers,
        n_ff_dense;                           /* leading dense layers; the width where there are any */
    int32_t sliding_window;                   /* 0: none */
    int32_t kv_lora_rank, nope_dim, rope_dim; /* latent attention; kv_lora_rank 0: none */
    float rope_base, rms_eps;
    /* Published totals in units of 1e9 parameters, and whether "active" counts the embedding table. */
    double published_total, published_active;
    bool active_counts_embedding;
} ssw_shape;

size_t ssw_shape_count(void);
const ssw_shape *ssw_shape_at(size_t index);
const ssw_shape *ssw_shape_find(const char *name); /* NULL if unknown */

/* Frequency factors of Phi-3.5-MoE's long rotary embedding, [64] each. */
enum { SSW_SHAPE_ROPE_FACTORS = 64 };
void ssw_shape_fill_rope_factors(bool long_context, float factors[SSW_SHAPE_ROPE_FACTORS]);

#endif
