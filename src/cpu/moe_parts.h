/* What the expert job consists of; shared by moe.c and moe_bf16.c. */
#ifndef SSW_CPU_MOE_PARTS_H
#define SSW_CPU_MOE_PARTS_H

#include "cpu/kernels.h"

/* What all workers agree on for one call. A pair's place is where it stands in the workers' `pairs`, sorted
 * by expert. */
typedef struct ssw_moe_job {
    const ssw_cpu_moe_args *args;
    ssw_cpu_worker *worker;
    int64_t n_pairs;
    int n_groups;
    bool x_q8, hidden_q8; /* what the kernels of gate and up, and of down, take */
    float *hidden;        /* [n_pairs][n_ff] by place, if down takes floats; or tiles of bf16 */
    ssw_q8_block *hidden_blocks;
    float *rows; /* [n_pairs][n_embd] by pair, with many pairs; before that activations as tiles of bf16 */
} ssw_moe_job;

/* ---- moe_bf16.c ---- */

/* Whether a group of the job is; false without AMX, or where the caller does not allow it. */
bool ssw_moe_is_bf16(const ssw_moe_job *job, const ssw_moe_group *group);

/* The activations of every such group as tiles, together with the other workers that are here. */
void ssw_moe_fill_tiles(const ssw_moe_job *job);

/* 32 rows of the hidden layer, or of the output, for all pairs of a group. */
void ssw_moe_make_bf16_hidden(const ssw_moe_job *job, const ssw_moe_group *group, int64_t block);
void ssw_moe_make_bf16_rows(const ssw_moe_job *job, const ssw_moe_group *group, int64_t block);

#endif
