/* What a GGUF file says about a model, in numbers: shape, types, bytes by class, what one token reads.
 *
 * Works for any architecture that names its tensors as llama.cpp does. Reads metadata only, never weights.
 * The strings are copies; the facts outlive the GGUF handle. */
#ifndef SSW_INSPECT_MODEL_FACTS_H
#define SSW_INSPECT_MODEL_FACTS_H

#include "gguf/tensor_class.h"

enum {
    SSW_FACTS_TEXT_MAX = 128,
    SSW_FACTS_LAYERS_MAX = 1024,
    SSW_FACTS_TYPES_MAX = 32,
    SSW_FACTS_EXPERTS_MAX = 1 << 16,
    SSW_FACTS_WIDTH_MAX = 1 << 16 /* heads, and numbers of a head or a token in attention */
};

typedef struct ssw_facts_share {
    uint64_t n_tensors, n_elements, n_bytes;
} ssw_facts_share;

typedef struct ssw_facts_type {
    ssw_dtype dtype;
    ssw_facts_share share;
} ssw_facts_type;

typedef struct ssw_model_facts {
    char architecture[SSW_FACTS_TEXT_MAX], name[SSW_FACTS_TEXT_MAX];
    /* 0 where the file does not say. */
    int32_t n_layers, n_embd, n_vocab, ctx_train;
    int32_t n_heads, n_heads_kv, key_length, value_length;
    int32_t n_experts, n_experts_used, n_shared_experts, n_dense_layers;
    int32_t window;       /* of the layers that have one */
    int32_t kv_lora_rank; /* latent attention */
    int32_t rope_dims;
    uint64_t n_files, file_bytes;
    ssw_facts_share all, classes[SSW_TENSOR_CLASS_COUNT];
    ssw_facts_type types[SSW_FACTS_TYPES_MAX]; /* by bytes, largest first */
    int32_t n_types;
    uint64_t layer_expert_bytes[SSW_FACTS_LAYERS_MAX]; /* matrices and biases of the routed experts */
    uint64_t layer_bytes[SSW_FACTS_LAYERS_MAX];        /* all tensors of the layer */
    uint64_t expert_bytes;                             /* the sum of layer_expert_bytes */
    uint64_t expert_bytes_per_token;                   /* those of n_experts_used of n_experts */
    uint64_t other_bytes_per_token; /* everything else that a token reads: all but experts, and of the
                                       embedding one row */
    uint64_t n_active;              /* parameters that a token uses, embedding table included */
} ssw_model_facts;

/* SSW_ERR_FORMAT when the file has no architecture, SSW_ERR_LIMIT beyond a maximum
 * above. */
ssw_status ssw_model_facts_read(const ssw_gguf *gguf, ssw_model_facts *facts, ssw_error *err);

/* Whether this layer sees only the window before it (gpt-oss: every second layer, from the first). */
bool ssw_model_facts_layer_is_windowed(const ssw_model_facts *facts, int32_t layer);

#endif
