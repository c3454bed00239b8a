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

/* With at most this many rows each worker norms and routes them all for itself: that costs less than a
 * barrier. */
enum { SSW_FORWARD_FEW_ROWS = 2 };

/* Where a worker finds the normed rows and their experts: memory of its own with few rows, else everyone's.
 */
typedef struct ssw_forward_rows {
    float *normed;         /* [rows][n_embd] */
    void *normed_q8;       /* NULL when no quantised matrix reads it */
    int32_t *chosen;       /* [rows][n_experts_used] */
    float *expert_weights; /* [rows][n_experts_used] */
} ssw_forward_rows;

struct ssw_forward {
    ssw_forward_setup setup;
    const ssw_model_hparams *h;
    ssw_cpu_team *team;
    ssw_cpu_rope rope;
    uint8_t *memory;
    uint64_t n_bytes;

    /* T: n_batch */
    float *x;              /* [T][n_embd] the residual stream */
    float *q;              /* [T][n_heads * head_dim] */
    float *k, *v;          /* [T][n_heads_kv * head_dim]; no v with latent attention */
    float *attended;       /* [T][ssw_model_attended_width] */
    float *low_q;          /* [T][q_rank], latent attention only, as the next four */
    float *head_q;         /* [T][n_heads][nope_dim + rope.n_dims] */
    float *head_latent;    /* [T][n_heads][kv_rank] what was attended */
    void *low_q_q8;        /* NULL when no quantised matrix reads it */
    void *heads_q8;        /* the same, of head_q without its rotated part or of head_latent */
    float *cos_sin;        /* [T][2][n_pairs] */
    float *routed;         /* [T][n_experts] router logits */
    ssw_forward_rows rows; /* of T rows */
    ssw_forward_rows *own; /* [n_workers], of SSW_FORWARD_FEW_ROWS rows each */
    float *logits;         /* [n_sequences][n_vocab] */
    void *attended_q8;     /* NULL when no quantised matrix reads it */
    int32_t *first_expert; /* [T] zeros: the choice where there is but one */
    float *ones;           /* [T] its weights */
    void *moe_scratch;
    ssw_logits_run *runs; /* [T] */

    const ssw_pass *pass; /* of the current run */
    int32_t n_runs;
};

/* One worker's part of a pass; context: the forward. */
void ssw_forward_work(void *context, int worker, int n_workers);

#endif
