/* Which type each tensor of a model gets in the usual mixes ("Q4_K_M"), and what happens to rows that do not
 * fit.
 *
 * The rules are those of llama.cpp's llama-quantize without an importance matrix (src/llama-quant.cpp).
 * Matrices are converted; norms, routers, biases, sinks and all else stay as they are. Rows that are no
 * multiple of the type's block fall back: Q2_K, Q3_K -> Q4_0; Q4_K -> Q5_0; Q5_K -> Q5_1; Q6_K -> Q8_0;
 * IQ4_XS -> IQ4_NL; and what is no multiple of 32 becomes F16. One rule differs: of MXFP4, llama-quantize
 * takes every matrix of three dimensions for experts, those of latent attention too; here they become Q8_0
 * like all that are no experts. Pure. */
#ifndef SSW_QUANTIZE_TYPE_MIX_H
#define SSW_QUANTIZE_TYPE_MIX_H

#include "gguf/gguf.h"

typedef struct ssw_type_mix {
    const char *name;
    uint32_t file_type; /* general.file_type */
    ssw_dtype dtype;    /* of most matrices; of MXFP4: of the experts, the rest is Q8_0 */
} ssw_type_mix;

size_t ssw_type_mix_count(void);
const ssw_type_mix *ssw_type_mix_at(size_t index);
/* Case-insensitive; also llama-quantize's aliases Q3_K, Q4_K, Q5_K and MXFP4_MOE. NULL if unknown. */
const ssw_type_mix *ssw_type_mix_find(const char *name);

/* What the rules look at besides the tensor. */
typedef struct ssw_mix_facts {
    int64_t n_layers, n_experts;
    int64_t n_attn_v;     /* tensors that hold values' projections */
    int64_t heads_per_kv; /* query heads that share a key/value head; 1 when it differs by layer */
    bool tied;            /* no output.weight: the embeddings are the head */
} ssw_mix_facts;

/* Whether a tensor of this name counts in n_attn_v. */
bool ssw_type_mix_is_attn_v(const char *name);

void ssw_mix_facts_read(const ssw_gguf *gguf, ssw_mix_facts *out);

/* The tensor's new type, its own when it stays. *fell_back: the mix wanted another one. */
ssw_dtype ssw_type_mix_choose(const ssw_type_mix *mix, const ssw_mix_facts *facts,
                              const ssw_gguf_tensor *tensor, bool *fell_back);

#endif
