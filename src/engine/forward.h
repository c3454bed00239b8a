/* The layers: one pass from token ids to final hidden states and logits.
 *
 * The whole stack is one job of the pool: every worker walks through all layers and meets the others at
 * barriers. All scratch memory is taken at open; a pass allocates nothing and takes no lock. One pass at a
 * time. */
#ifndef SSW_ENGINE_FORWARD_H
#define SSW_ENGINE_FORWARD_H

#include "base/pool.h"
#include "engine/kvcache.h"
#include "engine/pass.h"
#include "engine/weights.h"
#include "model/model.h"

typedef struct ssw_forward ssw_forward;

typedef struct ssw_forward_setup { /* borrowed, all of it */
    const ssw_model *model;
    const ssw_weights *weights;
    const ssw_kvcache *cache;
    ssw_pool *pool;
    ssw_cpu_isa isa;
    int32_t n_host_layers; /* the first ones; with fewer than all a pass ends after them */
    int32_t ctx_size;      /* of a sequence: which of a model's lists of RoPE factors */
    int32_t n_batch;
    int32_t n_sequences;
} ssw_forward_setup;

/* Scratch bytes that open will take; only the model, the pool and the numbers are looked at. */
uint64_t ssw_forward_predict_bytes(const ssw_forward_setup *setup);

ssw_status ssw_forward_open(const ssw_forward_setup *setup, ssw_forward **out, ssw_error *err);
void ssw_forward_close(ssw_forward *forward);
uint64_t ssw_forward_bytes(const ssw_forward *forward);

/* Writes the wanted logits where the pass says. Keys and values of the pass's tokens are in the cache
 * afterwards. */
void ssw_forward_run(ssw_forward *forward, const ssw_pass *pass);

/* [n_rows][n_embd] of the last pass: what the layers in host memory made of it, when they are not all. */
const float *ssw_forward_rows_out(const ssw_forward *forward);

/* [n_outputs][n_embd] of the last pass: after the final norm. */
const float *ssw_forward_hidden(const ssw_forward *forward);

#endif
