/* What a tensor is for, read from its GGUF name ("blk.3.ffn_gate_exps.weight").
 *
 * Names are llama.cpp's (gguf-py, constants.py). Placement, `inspect` and the bench's proof that offload
 * happened all count bytes by these classes. Pure. */
#ifndef SSW_GGUF_TENSOR_CLASS_H
#define SSW_GGUF_TENSOR_CLASS_H

#include "gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssw_tensor_class {
    SSW_TENSOR_EMBEDDING, /* token_embd */
    SSW_TENSOR_OUTPUT,    /* output (head) */
    SSW_TENSOR_NORM,
    SSW_TENSOR_ATTENTION, /* projections, their biases, sinks */
    SSW_TENSOR_ROUTER,    /* ffn_gate_inp and its bias */
    SSW_TENSOR_EXPERT,    /* routed experts' matrices: what --cpu-moe moves (ffn_*_exps.weight) */
    SSW_TENSOR_EXPERT_BIAS,
    SSW_TENSOR_SHARED_EXPERT,
    SSW_TENSOR_DENSE_FFN,
    SSW_TENSOR_OTHER,
    SSW_TENSOR_CLASS_COUNT
} ssw_tensor_class;

typedef struct ssw_tensor_role {
    ssw_tensor_class kind;
    int layer; /* -1 when it belongs to no layer */
} ssw_tensor_role;

ssw_tensor_role ssw_tensor_role_of(const char *name);
const char *ssw_tensor_class_name(ssw_tensor_class kind); /* "attention", "experts", ... for tables */

#ifdef __cplusplus
}
#endif
#endif
