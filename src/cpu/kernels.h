/* What an instruction set must provide: the table that the operations call. Internal to src/cpu.
 *
 * Kernels work on one worker's piece, know nothing of threads, and keep to the layouts described in ops.h. */
#ifndef SSW_CPU_KERNELS_H
#define SSW_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/ops.h"
#include "quant/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_TILE_ROWS = SSW_CPU_BAND_ROWS,
    SSW_TILE_TOKENS = 8, /* most tokens in one call of a tile kernel */
    SSW_TILE_BANDS = 2,  /* most bands in one call */
    SSW_KV_TILE = 64,    /* positions in one call of the attention kernel; tiles start at multiples of it */
    SSW_ATTENTION_QUERIES = 64 /* most queries in one call of the attention kernel */
};

/* 32 activations. The two multiples of the sum undo the offsets that make weights unsigned: kernels compute
 * sum (w + 16) q or sum (w + 128) q and start from -16 sum q or -128 sum q. Weights with minima, or a scale
 * for each 16 of them, take the sums of the two halves. */
typedef struct ssw_q8_block {
    float scale;
    int32_t minus_16_sums;
    int32_t minus_128_sums;
    int16_t sums[2];
    int8_t q[SSW_QUANT_BLOCK];
} ssw_q8_block;

/* A block whose largest magnitude is below this becomes zeros: 127 divided by it would overflow. */
#define SSW_Q8_LARGEST_MIN 1e-36f

/* One call of a tile kernel: out[band * SSW_TILE_TOKENS + t][r] = sum over c of W[16 band + r][c] * x[t][c]
 * for one or two bands of 16 rows and n <= SSW_TILE_TOKENS tokens. x[t] points to floats or to ssw_q8_block,
 * as the kernel table's takes_q8 says for the type. Two bands share the loads of activations. */
typedef struct ssw_tile {
    const uint8_t *band; /* the first */
    uint64_t band_bytes; /* to the second */
    int n_bands;
    int n; /* tokens */
    int64_t cols;
    const void *x[SSW_TILE_TOKENS];
    float (*out)[SSW_TILE_ROWS]; /* [n_bands * SSW_TILE_TOKENS], 64-byte aligned */
} ssw_tile;

typedef void ssw_tile_kernel(const ssw_tile *tile);

enum { SSW_KERNELS_DTYPES = SSW_DTYPE_MXFP4 + 1 };

/* Softmax attention of several queries that share a KV head, over one tile of 64 positions, in the running
 * form of https://arxiv.org/abs/1805.02867: the state is (max, sum, acc) per query. */
typedef struct ssw_attention_tile {
    const uint16_t *k; /* F16 [4][head_dim][16]: positions in bands of 16 */
    const uint16_t *v; /* F16 [64][head_dim] */
    int head_dim;
    int n;            /* queries */
    const float *q;   /* [n][head_dim], scaled */
    const int *from;  /* [n] the query sees positions from <= i < to of this tile */
    const int *to;    /* [n] */
    float *max, *sum; /* [n] */
    float *acc;       /* [n][head_dim] */
    float *scratch;   /* SSW_ATTENTION_SCRATCH_FLOATS */
} ssw_attention_tile;

enum {
    SSW_ATTENTION_SCRATCH_FLOATS =
        SSW_KV_TILE * SSW_CPU_HEAD_DIM_MAX * 2 + SSW_KV_TILE * SSW_ATTENTION_QUERIES
};

typedef struct ssw_kernels {
    ssw_cpu_isa isa;
    bool takes_q8; /* quantised weights are multiplied with q8 activations; else with floats */
    ssw_tile_kernel *tile[SSW_KERNELS_DTYPES]; /* by ssw_dtype; NULL for types that are not multiplied */
    void (*quantize)(const float *x, int64_t n, ssw_q8_block *out);
    void (*norm)(const ssw_cpu_norm_args *args, const float *x, float *out); /* one row */
    void (*glu)(const ssw_cpu_moe_args *args, const float *gate, const float *up, int n, float *out);
    void (*attend)(const ssw_attention_tile *tile);
} ssw_kernels;

/* NULL when not compiled in. */
const ssw_kernels *ssw_kernels_reference(void);
const ssw_kernels *ssw_kernels_generic(void);
const ssw_kernels *ssw_kernels_avx2(void);
const ssw_kernels *ssw_kernels_avx512vnni(bool has_vbmi); /* VBMI: faster nibbles, the same results */

/* ---- shared by the operations ---- */

typedef struct ssw_moe_group { /* the pairs (token, slot) that chose one expert */
    int32_t expert;
    int32_t first; /* in ssw_cpu_worker.pairs */
    int32_t n;
} ssw_moe_group;

struct ssw_cpu_worker {
    ssw_cpu_team *team;
    const ssw_kernels *kernels;
    const struct ssw_amx *amx; /* kernels_amx.h; NULL where there is none */
    ssw_pool *pool;
    int index;
    int n_workers;
    uint32_t n_dynamic; /* operations split dynamically so far; the same on all workers */
    /* scratch of this worker alone */
    int32_t *pairs;        /* [max_tokens * max_experts_used] */
    ssw_moe_group *groups; /* [SSW_CPU_EXPERTS_MAX] */
    float *attention;      /* queries, accumulators and the kernel's scratch */
};

/* Dynamic splitting: every worker begins, then takes the numbers from 0 up, each handed out once. */
typedef struct ssw_cpu_queue ssw_cpu_queue;
ssw_cpu_queue *ssw_cpu_queue_begin(ssw_cpu_worker *worker);
int64_t ssw_cpu_queue_take(ssw_cpu_queue *queue);

/* A queue as a count of what is done, n more at a time: who waits sees what was written before it was
 * counted. Unlike a barrier it waits for the work, not for a worker that has come late and done none of it.
 */
void ssw_cpu_queue_count(ssw_cpu_queue *queue, int64_t n);
void ssw_cpu_queue_await(const ssw_cpu_queue *queue, int64_t n);

typedef struct ssw_span {
    int64_t begin, end;
} ssw_span;

/* This worker's part of n units, differing by at most one unit between workers. */
static inline ssw_span ssw_span_of(int64_t n, int worker, int n_workers)
{
    return (ssw_span){n * worker / n_workers, n * (worker + 1) / n_workers};
}

ssw_tile_kernel *ssw_kernels_tile(const ssw_kernels *kernels, ssw_dtype dtype);
bool ssw_kernels_dtype_is_float(ssw_dtype dtype);

static inline const uint8_t *ssw_matrix_band(const ssw_cpu_matrix *m, int64_t index, int64_t band)
{
    return m->data + (uint64_t)index * m->matrix_bytes + (uint64_t)band * m->band_bytes;
}

static inline int64_t ssw_matrix_bands(const ssw_cpu_matrix *m)
{
    return (m->rows + SSW_TILE_ROWS - 1) / SSW_TILE_ROWS;
}

/* The row of activations that a kernel takes: floats or q8 blocks. */
static inline const void *ssw_acts_row(const ssw_cpu_acts *x, bool q8, int64_t cols, int64_t token)
{
    if (!q8)
        return x->f32 + token * x->f32_stride;
    return (const ssw_q8_block *)x->q8 + token * (cols / SSW_QUANT_BLOCK);
}

#ifdef __cplusplus
}
#endif
#endif
