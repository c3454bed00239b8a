/* The GPU operations of a transformer with experts, one NVIDIA device.
 *
 * The same operations as cpu/ops.h, in the same arithmetic: quantised weights are multiplied in 8-bit
 * integers with activations quantised in blocks of 32, float weights with float activations, and weight
 * matrices have the CPU's band layout (ssw_cpu_matrix), so that one copy of a host matrix serves both
 * processors and the copy engine between them. Only the order of float sums differs.
 *
 * How to call. Every function enqueues kernels on the stream and returns; nothing here waits, allocates or
 * reports: the first fault of a stream is sticky and comes out of ssw_cuda_stream_check (cuda_device.h).
 * Pointers are device pointers, or mapped pinned host memory, unless called host. All may be captured into a
 * graph: whatever changes from step to step stands in device memory (`rows`, `parts`), and the launch shape
 * depends on the arguments only. Arguments that break a stated rule are programmer errors (assert).
 *
 * Shapes are written [tokens][columns], row-major, without gaps unless a stride is named. */
#ifndef SSW_CUDA_OPS_H
#define SSW_CUDA_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *ssw_cuda_stream; /* a cudaStream_t */

enum {
    SSW_CUDA_BAND_ROWS = 16, /* as SSW_CPU_BAND_ROWS */
    SSW_CUDA_BLOCK = 32,     /* columns that share a scale */
    SSW_CUDA_GEMV_TOKENS_MAX = 8,
    SSW_CUDA_HEAD_DIM_MAX = 256,
    SSW_CUDA_EXPERTS_MAX = 256, /* of the routing kernels */
    SSW_CUDA_EXPERTS_USED_MAX = 16,
    SSW_CUDA_NORM_COLS_MAX = 8192,
    SSW_CUDA_TOP_LOGITS = 64
};

/* ---- operands ---- */

/* Weight matrices in bands of 16 rows; see ssw_cpu_matrix for the layout and its reason. Types: those that
 * the CPU multiplies. */
typedef struct ssw_cuda_matrix {
    ssw_dtype dtype;
    int64_t rows, cols; /* of one matrix */
    int32_t n_matrices;
    uint64_t band_bytes, matrix_bytes;
    const uint8_t *data; /* 64-byte aligned; NULL when `table` is used */
    /* [n_matrices] where each matrix lies (device array of device pointers): for experts that are spread over
     * VRAM, staging slots and host memory. NULL entry: absent, its pairs are skipped. NULL table: data +
     * index * matrix_bytes. */
    const uint8_t *const *table;
} ssw_cuda_matrix;

/* Activations: floats, and the same in int8 blocks of 32. Either may be NULL if no operand needs it: float
 * weights take f32, quantised ones q and q_scales. */
typedef struct ssw_cuda_acts {
    float *f32;      /* [n][cols] */
    int8_t *q;       /* [n][cols], round to nearest of x * 127 / largest |x| of the block */
    float *q_scales; /* [n][cols / 32][2]: largest / 127, and that times the sum of the block's q */
} ssw_cuda_acts;

/* Where each row (token) of a step stands; written by the host before a step or a graph launch. */
typedef struct ssw_cuda_row {
    int32_t token;
    int32_t sequence; /* slot in the KV cache */
    int32_t position;
} ssw_cuda_row;

/* Rows of one sequence, next to each other and at consecutive positions. */
typedef struct ssw_cuda_part {
    int32_t first_row, n_rows;
    int32_t sequence, position; /* of the first row */
} ssw_cuda_part;

/* ---- matrix products (gemv.cu for few tokens, gemm.cu for many) ---- */

typedef struct ssw_cuda_product_args {
    ssw_cuda_matrix w;
    int32_t index;     /* which of w's matrices */
    ssw_cuda_acts x;   /* [n][cols] */
    int32_t n;         /* tokens */
    const float *bias; /* [rows] or NULL */
    float *out;        /* [n][rows], rows out_stride apart */
    int64_t out_stride;
    bool accumulate; /* out += */
} ssw_cuda_product_args;

/* Any n. n <= SSW_CUDA_GEMV_TOKENS_MAX runs gemv kernels, larger n tensor cores. */
void ssw_cuda_product(ssw_cuda_stream stream, const ssw_cuda_product_args *args);
/* The two halves behind it, apart for tests. */
void ssw_cuda_gemv(ssw_cuda_stream stream, const ssw_cuda_product_args *args);
void ssw_cuda_gemm(ssw_cuda_stream stream, const ssw_cuda_product_args *args);

/* Several small products of the same x as one launch (query, key, value): n <= SSW_CUDA_GEMV_TOKENS_MAX, all
 * of equal cols, none accumulating. */
enum { SSW_CUDA_GEMV_FUSED_MAX = 3 };
void ssw_cuda_gemv_fused(ssw_cuda_stream stream, const ssw_cuda_product_args *args, int n_products);

/* ---- attention (attention_decode.cu, attention_prefill.cu) ---- */

enum { SSW_CUDA_KV_ROWS_MIN = 64 };

/* One layer's keys and values: [sequence][n_kv_heads][n_rows][head_dim] each; position p lives in row p %
 * n_rows. Each is F16; or, with scales, Q8_0: bytes of q + 128, a value being q times the scale of its block
 * of 32, F16, [sequence][n_kv_heads][n_rows][head_dim / 32]; q is the nearest to value / scale in -127 ..
 * 127, and scale the block's largest |value| / 127, rounded to F16. */
typedef struct ssw_cuda_kv {
    void *k, *v;                   /* 16-byte aligned */
    int64_t sequence_stride;       /* in elements of k and v */
    int32_t n_rows;                /* at least SSW_CUDA_KV_ROWS_MIN */
    uint16_t *k_scales, *v_scales; /* NULL: F16; else head_dim is a multiple of 32 */
} ssw_cuda_kv;

typedef struct ssw_cuda_attention_args {
    ssw_cuda_kv kv;
    const ssw_cuda_part *parts;      /* [n_parts] device */
    const ssw_cuda_part *parts_host; /* the same, host; NULL in a decode step (every part one row): then the
                                        launch shape may depend on n_parts and max_length only */
    int32_t n_parts, n_rows;         /* n_rows: all parts' rows */
    int32_t max_length;              /* no position is larger than max_length - 1 */
    int32_t n_heads, n_kv_heads, head_dim; /* head_dim a multiple of 16; n_heads a multiple of n_kv_heads */
    int32_t window;     /* a token sees the last `window` positions, its own included; 0: all */
    float scale;        /* of q.k */
    const float *sinks; /* [n_heads] or NULL: one more logit in each head's softmax, without a value */
    const float *q;     /* [n_rows][n_heads][head_dim], rotated */
    ssw_cuda_acts out;  /* [n_rows][n_heads * head_dim]: f32, q or both, as given */
    float *scratch;     /* ssw_cuda_attention_scratch_floats, of no meaning between calls */
    uint32_t *counters; /* [SSW_CUDA_ATTENTION_COUNTERS], zero before the first call and after each */
} ssw_cuda_attention_args;

enum { SSW_CUDA_ATTENTION_COUNTERS = 512 };

/* For steps of at most n_rows rows of contexts of at most max_length. */
uint64_t ssw_cuda_attention_scratch_floats(int32_t n_rows, int32_t n_heads, int32_t head_dim,
                                           int32_t max_length);
/* The rows' own keys and values must be in the cache already. */
void ssw_cuda_attention(ssw_cuda_stream stream, const ssw_cuda_attention_args *args);

/* ---- experts ---- */

typedef enum ssw_cuda_glu_kind {
    SSW_CUDA_GLU_SILU,        /* silu(gate) * up */
    SSW_CUDA_GLU_SILU_CLAMPED /* g = min(gate, limit), u = clamp(up, -limit, limit): g * sigmoid(alpha g) *
                                 (u + 1) */
} ssw_cuda_glu_kind;

typedef struct ssw_cuda_experts { /* one layer's */
    ssw_cuda_matrix gate, up, down;
    const float *gate_bias, *up_bias; /* experts bias_stride floats apart, [rows] each; or NULL */
    const float *down_bias;           /* [experts][rows] or NULL */
    int64_t bias_stride;
    ssw_cuda_glu_kind glu;
    float glu_alpha, glu_limit;
} ssw_cuda_experts;

/* (token, slot) pairs sorted by expert; made by ssw_cuda_sort_pairs (route.cu). */
typedef struct ssw_cuda_pairs {
    const int32_t
        *first;          /* [n_experts + 1]: an expert's pairs are pair[first[e]] .. pair[first[e + 1] - 1] */
    const int32_t *pair; /* [n_pairs]: token * n_used + slot */
    int32_t n_pairs, n_used, n_experts;
} ssw_cuda_pairs;

/* Some rows of an expert's matrices, wherever they lie on the device: of gate and up, whose products become
 * hidden's columns first_row .. first_row + n_rows - 1; or of down, whose products become out's. */
typedef struct ssw_cuda_expert_rows {
    int32_t expert, n_pairs;   /* n_pairs: as the sorted pairs have them */
    int32_t first_row, n_rows; /* first_row a multiple of SSW_CUDA_BLOCK */
    /* The rows' first bands: of gate and up; or of down, and of the columns behind it. Of the latter two one
     * may be NULL; without down's its bias is not added. */
    const uint8_t *at[2];
} ssw_cuda_expert_rows;

enum {
    SSW_CUDA_EXPERT_TILE_ROWS = 64, /* cuts at multiples of it leave no tile half empty */
    SSW_CUDA_EXPERT_ROWS_MAX = 32
};

/* Tensor-core products for many tokens (expert_gemm.cu), of whole experts in [expert_begin, expert_end) or of
 * listed rows. Pairs of experts whose table entry is NULL are skipped and their outputs left alone.
 * hidden[i] of sorted pair i = glu(gate x, up x) of its token: [n_pairs][n_ff], as q, f32 or both as given.
 */
typedef struct ssw_cuda_expert_gemm_args {
    const ssw_cuda_experts *experts; /* host */
    ssw_cuda_pairs pairs;
    int32_t expert_begin, expert_end;
    int32_t max_pairs_per_expert; /* bounds the launch; n tokens when nothing better is known */
    /* Or listed rows; host, copied by the call. The experts' matrices then say only how rows lie in memory.
     */
    const ssw_cuda_expert_rows *listed;
    int32_t n_listed;           /* 0: there is no list */
    ssw_cuda_matrix down_after; /* of listed rows: the columns after those of down; cols 0: there are none */
    ssw_cuda_acts x;            /* [tokens][n_embd] */
    ssw_cuda_acts hidden;       /* [n_pairs][n_ff], sorted order */
    float *out;                 /* [n_pairs][n_embd], at the place of the unsorted pair number */
    bool accumulate;            /* down: out += */
} ssw_cuda_expert_gemm_args;

void ssw_cuda_expert_gemm_up(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args);   /* to hidden */
void ssw_cuda_expert_gemm_down(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args); /* to out */

/* out[t] += sum over slots, in order, of weights[t][s] * rows[t * n_used + s]: [n][n_embd]. */
typedef struct ssw_cuda_sum_args {
    const float *rows;    /* [n * n_used][n_embd] */
    const float *weights; /* [n][n_used] */
    /* Both or neither: only pairs whose expert is marked are added. mask: [n_experts] of 0 or 1, read when
     * the kernel runs. */
    const int32_t *chosen;
    const uint8_t *mask;
    int32_t n, n_used;
    int64_t n_embd;
    float *out;
} ssw_cuda_sum_args;

void ssw_cuda_sum_pairs(ssw_cuda_stream stream, const ssw_cuda_sum_args *args);

/* out[i] += rows[i]. */
void ssw_cuda_add(ssw_cuda_stream stream, const float *rows, int64_t n, float *out);

/* Few tokens (moe_gemv.cu): n <= SSW_CUDA_GEMV_TOKENS_MAX. Two launches: hidden, then the weighted sum. The
 * second reads chosen, weights and tables of matrices before the first has ended. */
typedef struct ssw_cuda_moe_args {
    const ssw_cuda_experts *experts; /* host */
    /* Or NULL: matrix 0 of each is one more expert, which every token uses with weight 1, of its own hidden
     * width; where ssw_cuda_moe_takes_shared. shared_hidden: scratch [n][that width]. */
    const ssw_cuda_experts *shared;
    ssw_cuda_acts shared_hidden;
    ssw_cuda_acts x; /* [n][n_embd] */
    int32_t n, n_used;
    const int32_t *chosen; /* [n][n_used] */
    const float *weights;  /* [n][n_used] */
    ssw_cuda_acts hidden;  /* scratch [n * n_used][n_ff] */
    float *out;            /* [n][n_embd] += */
} ssw_cuda_moe_args;

void ssw_cuda_moe(ssw_cuda_stream stream, const ssw_cuda_moe_args *args);

/* What the two products of one launch may be: of the same type, or the shared experts' of Q8_0 beside one of
 * 4 bits, as quantisers mix them. */
static inline bool ssw_cuda_types_join(ssw_dtype routed, ssw_dtype shared)
{
    return shared == routed ||
           (shared == SSW_DTYPE_Q8_0 && (routed == SSW_DTYPE_Q4_0 || routed == SSW_DTYPE_MXFP4));
}

/* Whether one call can do both; else another call does, with the shared experts as its only ones. */
static inline bool ssw_cuda_moe_takes_shared(const ssw_cuda_experts *experts, const ssw_cuda_experts *shared)
{
    return ssw_cuda_types_join(experts->gate.dtype, shared->gate.dtype) &&
           ssw_cuda_types_join(experts->up.dtype, shared->up.dtype) &&
           ssw_cuda_types_join(experts->down.dtype, shared->down.dtype) &&
           shared->gate.rows % SSW_CUDA_BLOCK == 0 && !shared->gate.table;
}

/* ---- everything between the products (rows.cu, route.cu) ---- */

typedef struct ssw_cuda_norm_args {
    const float *x; /* [n][cols] */
    int32_t n;
    int32_t cols;               /* a multiple of 4, at most SSW_CUDA_NORM_COLS_MAX */
    const float *weight, *bias; /* [cols]; bias or NULL */
    float eps;
    bool subtract_mean; /* LayerNorm */
    ssw_cuda_acts out;  /* f32, q or both */
    /* Or NULL: the same for the CPU's products, [n][cols] and n rows of ssw_cpu_q8_row_bytes(cols). */
    float *out_cpu_f32;
    void *out_cpu_q8;
} ssw_cuda_norm_args;

void ssw_cuda_norm(ssw_cuda_stream stream, const ssw_cuda_norm_args *args);

/* ssw_cuda_norm, then ssw_cuda_gemv_fused of norm->out; as one launch where that takes less time. The
 * products' x is norm->out, which may be left unwritten; nothing for the CPU is made. */
void ssw_cuda_norm_gemv(ssw_cuda_stream stream, const ssw_cuda_norm_args *norm,
                        const ssw_cuda_product_args *args, int n_products);

void ssw_cuda_quantize(ssw_cuda_stream stream, const float *x, int32_t n, int64_t cols, ssw_cuda_acts out);

/* Rotates q in place, rotates k, and stores k and v at each row's position. cos and sin are computed from
 * inv_freq, as ssw_cpu_rope_angles does. */
typedef struct ssw_cuda_rope_args {
    const ssw_cuda_row *rows; /* [n] */
    int32_t n;
    int32_t n_heads, n_kv_heads, head_dim;
    const float *inv_freq; /* [n_pairs] */
    int32_t n_pairs;
    float magnitude; /* of cos and sin */
    bool interleaved;
    const float *q_norm, *k_norm; /* [head_dim] RMSNorm of every head before rotation, or NULL */
    float norm_eps;
    float *q;           /* [n][n_heads][head_dim] */
    const float *k, *v; /* [n][n_kv_heads][head_dim] */
    ssw_cuda_kv kv;
} ssw_cuda_rope_args;

void ssw_cuda_rope_store(ssw_cuda_stream stream, const ssw_cuda_rope_args *args);

typedef enum ssw_cuda_route_kind { /* as ssw_cpu_route_kind */
                                   SSW_CUDA_ROUTE_TOPK_SOFTMAX,
                                   SSW_CUDA_ROUTE_SOFTMAX_TOPK,
                                   SSW_CUDA_ROUTE_SPARSEMIXER
} ssw_cuda_route_kind;

typedef struct ssw_cuda_route_args {
    const float *logits; /* [n][n_experts] */
    int32_t n, n_experts, n_used;
    ssw_cuda_route_kind kind;
    bool renormalise;
    float jitter, scale;
    int32_t *chosen; /* out [n][n_used] */
    float *weights;  /* out [n][n_used] */
} ssw_cuda_route_args;

void ssw_cuda_route(ssw_cuda_stream stream, const ssw_cuda_route_args *args);

/* A layer's router for few tokens (router.cu), one launch: the norm, its product with the experts' rows, and
 * the choice. n <= SSW_CUDA_GEMV_TOKENS_MAX. */
typedef struct ssw_cuda_router_args {
    ssw_cuda_norm_args norm;   /* all of its outputs are written; none is needed for the router itself */
    ssw_cuda_matrix w;         /* [n_experts][cols], no table */
    const float *bias;         /* [n_experts] or NULL */
    ssw_cuda_route_args route; /* logits: not used */
    float *scratch; /* ssw_cuda_router_scratch_floats, all zero before the first call; calls in stream order
                       may share it */
    /* All or none: mapped host memory that is told of it. The choice and the weights once more, then
     * ready->value = *step when they and what the norm wrote for the CPU are visible to the host. */
    int32_t *host_chosen;
    float *host_weights;
    struct ssw_cuda_signal *ready;
    const uint32_t *step; /* device memory, as in ssw_cuda_signal_set */
} ssw_cuda_router_args;

uint64_t ssw_cuda_router_scratch_floats(int32_t n_experts);
void ssw_cuda_router(ssw_cuda_stream stream, const ssw_cuda_router_args *args);

/* ssw_cuda_signal_wait, then out[i] += rows[i] of mapped host memory that the signal was raised for. */
typedef struct ssw_cuda_await_args {
    const struct ssw_cuda_signal *signal;
    const uint32_t *step; /* device memory */
    uint64_t patience_ns;
    uint32_t *gave_up;
    const float *rows; /* [n][cols]; 16-byte aligned, as out */
    float *out;        /* [n][cols] */
    int32_t n, cols;   /* cols a multiple of 4 */
} ssw_cuda_await_args;

void ssw_cuda_await_add(ssw_cuda_stream stream, const ssw_cuda_await_args *args);

/* ---- after the last product (top_logits.cu) ---- */

typedef struct ssw_cuda_top_logit {
    float logit;
    int32_t token; /* -1: there are no more finite logits */
} ssw_cuda_top_logit;

/* The SSW_CUDA_TOP_LOGITS largest finite logits of each row in falling order, of equals the lower token
 * first.
 */
typedef struct ssw_cuda_top_args {
    const float *logits; /* [n][n_vocab] */
    int32_t n, n_vocab;
    uint64_t *scratch;       /* ssw_cuda_top_scratch_words(n) */
    ssw_cuda_top_logit *out; /* [n][SSW_CUDA_TOP_LOGITS] */
} ssw_cuda_top_args;

uint64_t ssw_cuda_top_scratch_words(int32_t n);
void ssw_cuda_top(ssw_cuda_stream stream, const ssw_cuda_top_args *args);

/* ---- sorting of pairs ---- */

/* Counting sort: first [n_experts + 1], pair [n * n_used]; stable. */
void ssw_cuda_sort_pairs(ssw_cuda_stream stream, const int32_t *chosen, int32_t n_pairs, int32_t n_experts,
                         int32_t *first, int32_t *pair);

#ifdef __cplusplus
}
#endif
#endif
