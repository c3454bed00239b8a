/* What an architecture's file consists of: a reader of numbers and a table of tensors. Private to src/model.
 */
#ifndef SSW_MODEL_MODEL_ARCH_H
#define SSW_MODEL_MODEL_ARCH_H

#include "model/model.h"

/* A tensor's dimension, named by what it counts. */
typedef enum ssw_model_dim {
    SSW_MODEL_DIM_NONE, /* ends the list */
    SSW_MODEL_DIM_EMBD,
    SSW_MODEL_DIM_VOCAB,
    SSW_MODEL_DIM_HEADS,
    SSW_MODEL_DIM_Q, /* n_heads * head_dim */
    SSW_MODEL_DIM_KV,
    SSW_MODEL_DIM_HEAD, /* head_dim */
    SSW_MODEL_DIM_ROPE_PAIRS,
    SSW_MODEL_DIM_QUERIES, /* n_heads * (nope_dim + rope.n_dims), of latent attention */
    SSW_MODEL_DIM_Q_RANK,
    SSW_MODEL_DIM_KV_RANK,
    SSW_MODEL_DIM_NOPE,
    SSW_MODEL_DIM_VALUE,
    SSW_MODEL_DIM_KEYS_VALUES, /* n_heads * (nope_dim + value_dim) */
    SSW_MODEL_DIM_ATTENDED,    /* ssw_model_attended_width */
    SSW_MODEL_DIM_FF_EXPERT,
    SSW_MODEL_DIM_FF_DENSE,
    SSW_MODEL_DIM_FF_SHARED,
    SSW_MODEL_DIM_EXPERTS
} ssw_model_dim;

typedef enum ssw_model_kind {
    SSW_MODEL_MATRIX, /* any type the operations know */
    SSW_MODEL_FLOATS  /* F32: norms, biases, sinks */
} ssw_model_kind;

/* In which layers a tensor must be. */
typedef enum ssw_model_presence {
    SSW_MODEL_ALWAYS,
    SSW_MODEL_OPTIONAL,      /* anywhere, or nowhere */
    SSW_MODEL_DENSE_LAYERS,  /* the first n_dense_layers */
    SSW_MODEL_EXPERT_LAYERS, /* the others */
    SSW_MODEL_FULL_QUERIES,  /* where queries have no latent vector */
    SSW_MODEL_LOW_QUERIES,   /* where they have */
    SSW_MODEL_SPLIT_HEADS,   /* where keys' and values' latent matrices are apart */
    SSW_MODEL_JOINT_HEADS,   /* where they are one */
} ssw_model_presence;

typedef struct ssw_model_tensor_spec {
    ssw_model_slot slot;
    const char *name; /* layer tensors: what follows "blk.N." */
    ssw_model_kind kind;
    ssw_model_dim dims[3]; /* row length first, as in the file */
    ssw_model_presence presence;
} ssw_model_tensor_spec;

/* Reads keys "<architecture>.<name>"; after the first fault the others return their minimum and keep the
 * message. */
typedef struct ssw_model_keys {
    const ssw_gguf *gguf;
    const char *arch_name;
    ssw_status status;
    ssw_error *err;
} ssw_model_keys;

int32_t ssw_model_keys_read_int(ssw_model_keys *keys, const char *name, int32_t min, int32_t max);
int32_t ssw_model_keys_read_int_or(ssw_model_keys *keys, const char *name, int32_t min, int32_t max,
                                   int32_t fallback);
/* False when the key is absent. */
bool ssw_model_keys_read_bool(ssw_model_keys *keys, const char *name);
float ssw_model_keys_read_float(ssw_model_keys *keys, const char *name, double min, double max);
float ssw_model_keys_read_float_or(ssw_model_keys *keys, const char *name, double min, double max,
                                   float fallback);
/* True if the key is there and is this text; a fault if it is there and is no text. */
bool ssw_model_keys_is_text(ssw_model_keys *keys, const char *name, const char *text);
/* The numbers that every family has under the same keys: layers, widths, heads, experts, RMSNorm's epsilon,
 * the attention's scale. What a file need not have (widths of heads) gets llama.cpp's default. Leaves rope,
 * gating, activation, windows and n_ff_expert to the family. */
void ssw_model_hparams_read_common(ssw_model_keys *keys, ssw_model_hparams *h);
/* The same for a family with latent attention, the scale without what YaRN does to it. */
void ssw_model_hparams_read_common_latent(ssw_model_keys *keys, ssw_model_hparams *h);
/* Widths of experts, of the leading dense layers and of the experts that every token uses; the weights'
 * scale.
 */
void ssw_model_hparams_read_shared_experts(ssw_model_keys *keys, ssw_model_hparams *h);
/* rope.dimension_count, which must be the whole head (but its latent part), rope.freq_base, and "none" or
 * "yarn" of rope.scaling. */
void ssw_model_hparams_read_rope(ssw_model_keys *keys, ssw_model_hparams *h);

bool ssw_model_keys_has(const ssw_model_keys *keys, const char *name);
/* Puts "PATH: <message>" into err; keeps the first fault. */
void ssw_model_keys_refuse(ssw_model_keys *keys, ssw_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

typedef struct ssw_model_arch {
    const char *name; /* general.architecture */
    void (*read_hparams)(ssw_model_keys *keys, ssw_model_hparams *hparams);
    void (*follow_llama_cpp)(ssw_model_hparams *hparams); /* NULL: llama.cpp computes the same */
    const ssw_model_tensor_spec *tensors;
    int n_tensors;
} ssw_model_arch;

extern const ssw_model_arch ssw_model_arch_gpt_oss;
extern const ssw_model_arch ssw_model_arch_phimoe;
extern const ssw_model_arch ssw_model_arch_deepseek;
extern const ssw_model_arch ssw_model_arch_deepseek2;
extern const ssw_model_arch ssw_model_arch_mixtral;
extern const ssw_model_arch ssw_model_arch_qwen3moe;

#endif
