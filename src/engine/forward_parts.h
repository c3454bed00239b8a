/* Scratch memory of the forward pass; shared by forward.c (open, close, driving) and layer.c (what a worker
 * does). */
#ifndef SSW_ENGINE_FORWARD_PARTS_H
#define SSW_ENGINE_FORWARD_PARTS_H

#include "engine/forward.h"

/* Rows of logits made by one product: straight into the caller's memory, or through scratch when each row has
 * a place of its own there. */
typedef struct ssw_logits_run {
    int32_t first; /* in pass->logits */
    int32_t n;
    bool is_direct;
} ssw_logits_run;

struct ssw_forward {
    ssw_forward_setup setup;
    const ssw_model_hparams *h;
    ssw_cpu_team *team;
    ssw_cpu_rope rope;
    uint8_t *memory;
    uint64_t n_bytes;

    /* T: n_batch */
    float *x;              /* [T][n_embd] the residual stream */
    float *normed;         /* [T][n_embd] */
    float *q;              /* [T][n_heads * head_dim] */
    float *k, *v;          /* [T][n_heads_kv * head_dim] */
    float *attended;       /* [T][n_heads * head_dim] */
    float *cos_sin;        /* [T][2][n_pairs] */
    float *routed;         /* [T][n_experts] router logits */
    float *expert_weights; /* [T][n_experts_used] */
    int32_t *chosen;       /* [T][n_experts_used] */
    float *hidden;         /* [T][n_embd] after the final norm; only outputs */
    float *logits;         /* [n_sequences][n_vocab] */
    void *normed_q8;       /* NULL when no quantised matrix reads it */
    void *attended_q8;
    void *moe_scratch;
    ssw_logits_run *runs; /* [T] */

    const ssw_pass *pass; /* of the current run */
    int32_t n_runs;
};

/* One worker's part of a pass; context: the forward. */
void ssw_forward_work(void *context, int worker, int n_workers);

#endif
