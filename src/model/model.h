/* A model as its file describes it: numbers and tensors, checked. No memory of its own beyond two small
 * tables, no computing: src/engine runs the layers from what stands here.
 *
 * An architecture is one short file that reads its numbers from the metadata and lists its tensors
 * (model_arch.h); the layer code is common and follows the numbers and the tensors that are there. Everything
 * is immutable after open. */
#ifndef SSW_MODEL_MODEL_H
#define SSW_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_MODEL_LAYERS_MAX = 512,
    SSW_MODEL_EXPERTS_MAX = 1024,
    SSW_MODEL_EXPERTS_USED_MAX = 32,
    SSW_MODEL_EMBD_MAX = 1 << 15,
    SSW_MODEL_FF_MAX = 1 << 17,
    SSW_MODEL_HEADS_MAX = 256,
    SSW_MODEL_HEAD_DIM_MAX = 256,
    SSW_MODEL_LATENT_KEY_MAX = 576, /* what is cached of a token */
    SSW_MODEL_Q_RANK_MAX = 1 << 14,
    SSW_MODEL_VOCAB_MAX = 1 << 20,
    SSW_MODEL_CTX_MAX = 1 << 24
};

typedef enum ssw_model_norm {
    SSW_MODEL_NORM_RMS,  /* x / sqrt(mean(x^2) + eps), times weight, plus bias where the model has one */
    SSW_MODEL_NORM_LAYER /* the same after the mean is subtracted */
} ssw_model_norm;

/* What turns router logits into the weights of the chosen experts. */
typedef enum ssw_model_gating {
    SSW_MODEL_GATING_SOFTMAX_CHOSEN,     /* top-k of the logits, then softmax over those k */
    SSW_MODEL_GATING_SOFTMAX_ALL,        /* softmax over all experts, then the k largest as they are */
    SSW_MODEL_GATING_SOFTMAX_ALL_RENORM, /* the same, divided by their sum */
    SSW_MODEL_GATING_SPARSEMIXER,        /* Phi-3.5-MoE's: see ssw_cpu_route_kind */
    SSW_MODEL_GATING_SIGMOID,            /* DeepSeek-V3's, as above, without and with dividing by the sum */
    SSW_MODEL_GATING_SIGMOID_RENORM
} ssw_model_gating;

typedef enum ssw_model_activation {
    SSW_MODEL_ACTIVATION_SWIGLU,    /* silu(g) * u */
    SSW_MODEL_ACTIVATION_SWIGLU_OAI /* min(g,l) * sigmoid(a * min(g,l)) * (clamp(u,-l,l) + 1) */
} ssw_model_activation;

typedef struct ssw_model_rope {
    int32_t n_dims;      /* rotated per head */
    bool is_interleaved; /* pairs are (2i, 2i + 1), as where the converter has permuted the rows; else (i, i +
                            n_dims/2), "NeoX" */
    float freq_base;
    float factor;             /* 1: plain RoPE, else YaRN's stretch of the context (arXiv:2309.00071) */
    int32_t original_context; /* before stretching, by YaRN or by long factors */
    float beta_fast, beta_slow;
    bool round_range; /* YaRN: the ramp's ends rounded to whole dimensions, as llama.cpp does for every model
                       */
    /* Of cos and sin; 0: YaRN's own. The second is what llama.cpp would use (ssw_model_follow_llama_cpp). */
    float magnitude, magnitude_llama_cpp;
} ssw_model_rope;

/* Latent attention (arXiv:2405.04434): the cache holds kv_rank numbers of a token, from which every head's
 * key and value are made, and rope.n_dims rotated ones that all heads share. The heads' matrices are applied
 * to the queries and to what was attended instead (the paper's "absorbed" form), so that to the cache all
 * this looks like one key-value head of head_dim = kv_rank + rope.n_dims. */
typedef struct ssw_model_latent {
    int32_t kv_rank;   /* 0: no latent attention */
    int32_t q_rank;    /* the queries have a latent vector too; 0: they have none */
    int32_t nope_dim;  /* a head's query: so many numbers, then rope.n_dims rotated ones */
    int32_t value_dim; /* a head's value */
    bool is_joint;     /* an older file: ATTN_KV_B instead of ATTN_K_B and ATTN_V_B */
} ssw_model_latent;

typedef struct ssw_model_hparams {
    int32_t n_layers, n_embd, n_vocab, ctx_train;
    int32_t n_heads, n_heads_kv, head_dim;
    ssw_model_latent latent;
    int32_t n_experts, n_experts_used, n_ff_expert;
    int32_t n_dense_layers; /* the first ones, which have one feed-forward network of width n_ff_dense */
    int32_t n_ff_dense;
    int32_t n_ff_shared; /* width of the shared experts together; 0: none */
    ssw_model_norm norm;
    float norm_eps;
    float attention_scale; /* of q·k before softmax */
    ssw_model_rope rope;
    ssw_model_gating gating;
    int32_t n_expert_groups, n_expert_groups_used; /* sigmoid only; 0 or 1: one group of all */
    float expert_scale;                            /* of the chosen experts' weights */
    ssw_model_activation activation;
    float activation_alpha, activation_limit;
    int32_t layer_window[SSW_MODEL_LAYERS_MAX]; /* a token sees itself and window - 1 before it; 0: all */
} ssw_model_hparams;

/* Places for tensors; the first SSW_MODEL_SLOT_GLOBAL_COUNT belong to no layer. */
typedef enum ssw_model_slot {
    SSW_MODEL_TOKEN_EMBD,  /* [n_vocab][n_embd] */
    SSW_MODEL_OUTPUT_NORM, /* [n_embd] */
    SSW_MODEL_OUTPUT_NORM_BIAS,
    SSW_MODEL_OUTPUT, /* [n_vocab][n_embd]; the embedding itself in models that tie them */
    SSW_MODEL_OUTPUT_BIAS,
    SSW_MODEL_ROPE_LONG,  /* [rope.n_dims / 2] divisors of the frequencies, in contexts longer than the
                             original */
    SSW_MODEL_ROPE_SHORT, /* the same, in others */
    SSW_MODEL_SLOT_GLOBAL_COUNT,
    SSW_MODEL_ATTN_NORM = SSW_MODEL_SLOT_GLOBAL_COUNT, /* [n_embd] */
    SSW_MODEL_ATTN_NORM_BIAS,
    SSW_MODEL_ATTN_Q, /* [n_heads * head_dim][n_embd] */
    SSW_MODEL_ATTN_Q_BIAS,
    SSW_MODEL_ATTN_K, /* [n_heads_kv * head_dim][n_embd] */
    SSW_MODEL_ATTN_K_BIAS,
    SSW_MODEL_ATTN_V,
    SSW_MODEL_ATTN_V_BIAS,
    SSW_MODEL_ATTN_Q_NORM, /* [head_dim]: RMSNorm of every head's query, before rotation */
    SSW_MODEL_ATTN_K_NORM,
    SSW_MODEL_ATTN_Q_A, /* [q_rank][n_embd], latent attention only, as the next seven */
    SSW_MODEL_ATTN_Q_A_NORM,
    SSW_MODEL_ATTN_Q_B,  /* [n_heads * (nope_dim + rope.n_dims)][q_rank]; ATTN_Q instead where q_rank is 0 */
    SSW_MODEL_ATTN_KV_A, /* [head_dim][n_embd] */
    SSW_MODEL_ATTN_KV_A_NORM, /* [kv_rank]: RMSNorm of the latent vector before it is cached */
    SSW_MODEL_ATTN_K_B,       /* [n_heads][kv_rank][nope_dim] */
    SSW_MODEL_ATTN_V_B,       /* [n_heads][value_dim][kv_rank] */
    SSW_MODEL_ATTN_KV_B, /* [n_heads * (nope_dim + value_dim)][kv_rank], rows of keys first in each head */
    SSW_MODEL_ATTN_OUT,  /* [n_embd][ssw_model_attended_width] */
    SSW_MODEL_ATTN_OUT_BIAS,
    SSW_MODEL_ATTN_SINKS, /* [n_heads]: one more logit in each head's softmax, that no value belongs to */
    SSW_MODEL_FFN_NORM,   /* [n_embd] */
    SSW_MODEL_FFN_NORM_BIAS,
    SSW_MODEL_FFN_GATE, /* [n_ff_dense][n_embd], dense layers only */
    SSW_MODEL_FFN_UP,
    SSW_MODEL_FFN_DOWN, /* [n_embd][n_ff_dense] */
    SSW_MODEL_ROUTER,   /* [n_experts][n_embd] */
    SSW_MODEL_ROUTER_BIAS,
    SSW_MODEL_ROUTER_CHOICE_BIAS, /* [n_experts]: sigmoid gating: added to the scores for the choice only */
    SSW_MODEL_GATE_EXPS,          /* [n_experts][n_ff_expert][n_embd] */
    SSW_MODEL_GATE_EXPS_BIAS,
    SSW_MODEL_UP_EXPS, /* as gate */
    SSW_MODEL_UP_EXPS_BIAS,
    SSW_MODEL_DOWN_EXPS, /* [n_experts][n_embd][n_ff_expert] */
    SSW_MODEL_DOWN_EXPS_BIAS,
    SSW_MODEL_GATE_SHARED, /* [n_ff_shared][n_embd]: experts that every token uses, side by side */
    SSW_MODEL_UP_SHARED,
    SSW_MODEL_DOWN_SHARED, /* [n_embd][n_ff_shared] */
    SSW_MODEL_SLOT_COUNT
} ssw_model_slot;

struct ssw_model_arch;

typedef struct ssw_model {
    const struct ssw_model_arch *arch;
    const char *arch_name;
    ssw_model_hparams hparams;
    const ssw_gguf_tensor **tensors; /* [n_layers + 1][SSW_MODEL_SLOT_COUNT]; row 0 is the global ones */
    uint64_t n_parameters;
} ssw_model;

/* Reads general.architecture, the numbers and the tensors. Each error names the key or tensor and what was
 * expected. The GGUF must outlive the model. SSW_ERR_UNSUPPORTED for an architecture that has no file here.
 */
ssw_status ssw_model_open(const ssw_gguf *gguf, ssw_model *model, ssw_error *err);
void ssw_model_deinit(ssw_model *model);

/* Where llama.cpp computes something else than the publisher's code, compute what llama.cpp does: for
 * comparisons. docs/CONFORMANCE.md lists the differences. True if the architecture has any. */
bool ssw_model_follow_llama_cpp(ssw_model *model);

/* NULL when the architecture allows it to be absent and it is. layer -1 for global slots. */
const ssw_gguf_tensor *ssw_model_tensor(const ssw_model *model, int32_t layer, ssw_model_slot slot);
/* Numbers that a token's heads hand to the output projection: n_heads times the width of a value. */
int32_t ssw_model_attended_width(const ssw_model_hparams *hparams);
/* Whether the slot holds F32 numbers that are added or multiplied one by one (norms, biases, sinks), not a
 * matrix. */
bool ssw_model_is_vector(const ssw_model *model, ssw_model_slot slot);

#ifdef __cplusplus
}
#endif
#endif
