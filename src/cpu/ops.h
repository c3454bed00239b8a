/* The CPU operations of a transformer with experts: the only header of src/cpu that other folders include.
 *
 * How to call. Open a team over a worker pool once. Inside a pool job every worker calls the same operations
 * in the same order with equal arguments and its own ssw_cpu_worker; an operation splits its rows over the
 * workers itself. No operation allocates, locks or waits, with one exception: ssw_cpu_moe holds its own
 * barriers inside. **Results are complete for other workers only after a barrier** (ssw_cpu_barrier or the
 * end of the job); operations that do not read each other's results need none between them, up to
 * SSW_CPU_OPS_BETWEEN_BARRIERS_MAX of them.
 *
 * Numbers. Weights of quantised types are multiplied in 8-bit integers with activations quantised in blocks
 * of 32
 * (`ssw_cpu_q8_*`); weights of float types with float activations. A token's result does not depend on which
 * other tokens are in the batch, with one exception that the caller must allow (may_use_bf16 of
 * ssw_cpu_moe_args). The operation set "reference" multiplies dequantised weights with float
 * activations in double precision: it is the truth that the others are tested against.
 *
 * Shapes are written [tokens][columns], row-major, strides in elements. Pointers in argument structs are
 * borrowed for the call. Argument errors are programmer errors (assert). */
#ifndef SSW_CPU_OPS_H
#define SSW_CPU_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/pool.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_CPU_BAND_ROWS = 16, /* rows of a weight matrix kept together, see ssw_cpu_matrix */
    SSW_CPU_OPS_BETWEEN_BARRIERS_MAX = 6,
    SSW_CPU_HEAD_DIM_MAX = 576, /* a latent key of DeepSeek's: 512 numbers and 64 rotated ones */
    SSW_CPU_EXPERTS_MAX = 1024,
    SSW_CPU_EXPERTS_USED_MAX = 32,
    SSW_CPU_BF16_PAIRS_MIN = 24 /* tokens of an expert from which may_use_bf16 is taken */
};

/* ---- instruction sets ---- */

typedef enum ssw_cpu_isa {
    SSW_CPU_ISA_AUTO,       /* the best one that this processor has */
    SSW_CPU_ISA_REFERENCE,  /* plain C, float activations, double sums: slow, the truth */
    SSW_CPU_ISA_GENERIC,    /* plain C, 8-bit activations: any processor */
    SSW_CPU_ISA_AVX2,       /* AVX2, FMA, F16C */
    SSW_CPU_ISA_AVX512VNNI, /* AVX-512 F, BW, VL, VNNI */
    SSW_CPU_ISA_COUNT
} ssw_cpu_isa;

const char *ssw_cpu_isa_name(ssw_cpu_isa isa); /* "reference", "generic", "avx2", "avx512vnni" */
bool ssw_cpu_isa_available(ssw_cpu_isa isa);   /* compiled in, and this processor has it */

ssw_cpu_isa ssw_cpu_isa_resolve(ssw_cpu_isa isa); /* AUTO: which one that is here */

/* ---- team ---- */

typedef struct ssw_cpu_team ssw_cpu_team;
typedef struct ssw_cpu_worker ssw_cpu_worker; /* one worker's view of the team */

typedef struct ssw_cpu_team_options {
    ssw_pool *pool; /* borrowed; outlives the team */
    ssw_cpu_isa isa;
    int32_t max_tokens;       /* most tokens in one operation */
    int32_t max_experts_used; /* most experts per token (0 without ssw_cpu_moe) */
} ssw_cpu_team_options;

/* SSW_ERR_UNAVAILABLE when the processor lacks the instruction set asked for. */
ssw_status ssw_cpu_team_open(const ssw_cpu_team_options *options, ssw_cpu_team **out, ssw_error *err);
void ssw_cpu_team_close(ssw_cpu_team *team); /* NULL is allowed */
ssw_cpu_isa ssw_cpu_team_isa(const ssw_cpu_team *team);
/* Whether this processor and this team's instruction set (AVX512VNNI) have bf16 products for a type: AMX. */
bool ssw_cpu_team_has_bf16(const ssw_cpu_team *team, ssw_dtype dtype);
uint64_t ssw_cpu_team_predict_bytes(int n_workers, int32_t max_tokens, int32_t max_experts_used);
uint64_t ssw_cpu_team_bytes(const ssw_cpu_team *team);
ssw_cpu_worker *ssw_cpu_team_worker(ssw_cpu_team *team, int worker);

int ssw_cpu_worker_index(const ssw_cpu_worker *worker);
void ssw_cpu_barrier(ssw_cpu_worker *worker); /* all workers of the team */

/* ---- memory ---- */

/* Zeroed, 64-byte aligned; above 2 MiB aligned to 2 MiB and advised to use huge pages. NULL when there is
 * none. */
void *ssw_cpu_memory_alloc(uint64_t n_bytes);
void ssw_cpu_memory_free(void *memory, uint64_t n_bytes); /* NULL is allowed */

/* ---- weights ---- */

/* Weight matrices in the layout that the kernels read: bands of 16 rows, each band contiguous.
 *
 * Within a band, quantised types keep for every block of 32 columns the bytes of 16 rows interleaved by fours
 * (so that one 64-byte load holds 4 bytes of each row), then all the blocks' scales, 16 together; float types
 * keep 16 rows' elements of a column together. It is a permutation of the file's bytes, plus zeros that fill
 * the last band to 16 rows and every band to 64 bytes. Where the file's codes lie otherwise (Q4_1, Q5_0,
 * Q5_1, the K types, IQ4_NL and IQ4_XS: codes.h) it is one of their bits, and scales of 6 bits become
 * bytes: 2.8 % more for Q4_K, 2.3 % for Q5_K, 3.6 % for Q3_K, 1.5 % for IQ4_XS, nothing for the others. One
 * layout for all instruction sets. */
typedef struct ssw_cpu_matrix {
    ssw_dtype dtype;
    int64_t rows, cols;  /* of one matrix; out[t][r] = sum over c of W[r][c] * x[t][c] */
    int64_t n_matrices;  /* experts; 1 for a plain matrix */
    uint64_t band_bytes; /* from one band to the next */
    uint64_t matrix_bytes;
    uint64_t n_bytes; /* of all matrices */
    uint8_t *data;    /* owned */
} ssw_cpu_matrix;

/* 0 when the type is not supported or cols is not a multiple of its block. */
uint64_t ssw_cpu_matrix_predict_bytes(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n_matrices);

/* Everything but data, which stays NULL: for a caller that has memory of its own to fill. */
ssw_status ssw_cpu_matrix_plan(ssw_cpu_matrix *matrix, ssw_dtype dtype, int64_t rows, int64_t cols,
                               int64_t n_matrices, ssw_error *err);

/* Allocates; the weights are not there until every worker has called ssw_cpu_matrix_fill. */
ssw_status ssw_cpu_matrix_init(ssw_cpu_matrix *matrix, ssw_dtype dtype, int64_t rows, int64_t cols,
                               int64_t n_matrices, ssw_error *err);
void ssw_cpu_matrix_deinit(ssw_cpu_matrix *matrix);

/* Copies this worker's share of bands from the file's bytes: n_matrices * rows rows of the type, one after
 * the other. Needs no team, so that loading may use any threads. */
void ssw_cpu_matrix_fill(ssw_cpu_matrix *matrix, const void *file_data, int worker, int n_workers);

/* The same from a part of the file's matrices, which are n_matrices of rows x cols: that which begins at
 * first_row and first_col, a multiple of the type's block. */
typedef struct ssw_cpu_matrix_part {
    const void *file_data;
    int64_t rows, cols;
    int64_t first_row, first_col;
} ssw_cpu_matrix_part;

void ssw_cpu_matrix_fill_part(ssw_cpu_matrix *matrix, const ssw_cpu_matrix_part *part, int worker,
                              int n_workers);

/* One row as floats, [cols]. */
void ssw_cpu_matrix_read_row(const ssw_cpu_matrix *matrix, int64_t index, int64_t row, float *out);

/* ---- activations ---- */

/* Activations as a matmul takes them. q8 may be NULL when only float weights are multiplied (or isa is
 * REFERENCE); f32 may be NULL when only quantised weights are multiplied (and isa is not REFERENCE). */
typedef struct ssw_cpu_acts {
    const float *f32;   /* [n][cols], rows f32_stride apart */
    int64_t f32_stride; /* in floats */
    const void *q8;     /* n rows of ssw_cpu_q8_row_bytes(cols), 64-byte aligned */
} ssw_cpu_acts;

/* Bytes of a row of activations quantised to int8 in blocks of 32; 0 when cols is not a multiple of 32. */
uint64_t ssw_cpu_q8_row_bytes(int64_t cols);

typedef struct ssw_cpu_quantize_args {
    const float *x; /* [n][cols] */
    int64_t x_stride, n, cols;
    void *q8; /* out */
} ssw_cpu_quantize_args;

void ssw_cpu_quantize(ssw_cpu_worker *worker, const ssw_cpu_quantize_args *args);

/* ---- normalisation ---- */

/* RMSNorm: out = x / sqrt(mean(x^2) + eps) * weight (+ bias).   https://arxiv.org/abs/1910.07467
 * LayerNorm: out = (x - mean) / sqrt(var + eps) * weight (+ bias).   https://arxiv.org/abs/1607.06450 */
typedef struct ssw_cpu_norm_args {
    const float *x; /* [n][cols] */
    int64_t x_stride, n, cols;
    const float *weight; /* [cols] */
    const float *bias;   /* [cols] or NULL */
    float eps;
    bool subtract_mean; /* LayerNorm */
    float *out;         /* [n][cols]; may be x */
    int64_t out_stride;
    void *out_q8; /* the same, quantised; or NULL */
    bool alone; /* this worker does every row, into buffers of its own: with few tokens cheaper than a barrier
                 */
} ssw_cpu_norm_args;

void ssw_cpu_norm(ssw_cpu_worker *worker, const ssw_cpu_norm_args *args);

/* ---- matrix products ---- */

typedef struct ssw_cpu_matmul_args {
    const ssw_cpu_matrix *w;
    int64_t index; /* which of w's matrices */
    ssw_cpu_acts x;
    int64_t n;         /* tokens */
    const float *bias; /* [rows] or NULL */
    float *out;        /* [n][rows] */
    int64_t out_stride;
    bool accumulate; /* out += instead of out = (the residual) */
} ssw_cpu_matmul_args;

void ssw_cpu_matmul(ssw_cpu_worker *worker, const ssw_cpu_matmul_args *args);

/* A small product for each head: out[t][h][r] = sum over c of W[h][r][c] * x[t][h][c]. */
typedef struct ssw_cpu_matmul_heads_args {
    const ssw_cpu_matrix *w; /* n_matrices heads */
    ssw_cpu_acts x;          /* n * heads rows, a token's heads one after the other */
    int64_t n;               /* tokens */
    float *out;              /* [n][heads][out_dim], of which the first w->rows are written */
    int64_t out_dim;
} ssw_cpu_matmul_heads_args;

void ssw_cpu_matmul_heads(ssw_cpu_worker *worker, const ssw_cpu_matmul_heads_args *args);

/* ---- rotary positions ---- */

enum { SSW_CPU_ROPE_PAIRS_MAX = SSW_CPU_HEAD_DIM_MAX / 2 };

/* RoPE with YaRN (https://arxiv.org/abs/2309.00071). factor 1 is plain RoPE. */
typedef struct ssw_cpu_rope_config {
    int32_t n_rot;      /* rotated dimensions of a head, even */
    float freq_base;    /* 10000, 150000, ... */
    float factor;       /* context extension, >= 1 */
    float original_ctx; /* context before the extension; used when factor > 1 */
    float beta_fast, beta_slow;
    bool truncate;              /* round the ramp's ends to whole dimensions */
    float attention_factor;     /* multiplies cos and sin; 0: 0.1 ln(factor) + 1, or 1 when factor is 1 */
    const float *freq_divisors; /* [n_rot / 2], long or short factors of a model; or NULL */
} ssw_cpu_rope_config;

typedef struct ssw_cpu_rope {
    int32_t n_pairs;
    float scale; /* of cos and sin */
    float inv_freq[SSW_CPU_ROPE_PAIRS_MAX];
} ssw_cpu_rope;

void ssw_cpu_rope_init(ssw_cpu_rope *rope, const ssw_cpu_rope_config *config);
/* cos_sin: [2][n_pairs], all cosines, then all sines, of one position. */
void ssw_cpu_rope_angles(const ssw_cpu_rope *rope, int32_t position, float *cos_sin);

/* ---- KV cache and attention ---- */

/* The cache of one sequence and one layer: a ring of n_rows positions (position p lives in row p % n_rows),
 * F16. The layout is this folder's own: keys in bands of 16 positions like a weight matrix, values row by
 * row. With latent attention (https://arxiv.org/abs/2405.04434) a position's values are the beginning of its
 * key, and the cache holds keys alone. */
typedef struct ssw_cpu_kv {
    uint16_t *data; /* ssw_cpu_kv_bytes, zeroed at first, 64-byte aligned */
    int32_t n_rows; /* ssw_cpu_kv_rows */
} ssw_cpu_kv;

/* Rows for a context of ctx tokens, attention window (0: none) and at most n_batch new tokens at once: a
 * multiple of 64. */
int32_t ssw_cpu_kv_rows(int32_t ctx, int32_t window, int32_t n_batch);
/* value_dim 0: keys alone. */
uint64_t ssw_cpu_kv_bytes(int32_t n_rows, int32_t n_kv_heads, int32_t key_dim, int32_t value_dim);

/* One sequence's tokens within a batch. */
typedef struct ssw_cpu_attention_item {
    ssw_cpu_kv kv;
    int32_t first;    /* its first token's index in the batch */
    int32_t n;        /* tokens */
    int32_t position; /* of the first token */
} ssw_cpu_attention_item;

typedef struct ssw_cpu_attention_args {
    const ssw_cpu_attention_item *items; /* tokens 0 .. sum of n - 1, in order */
    int32_t n_items;
    int32_t n_heads, n_kv_heads, head_dim;
    int32_t latent_dim;   /* a value is the first latent_dim numbers of its key; 0: it is v's own head_dim */
    int32_t window;       /* a token sees the last `window` positions, its own included; 0: all */
    float scale;          /* of the scores, 1 / sqrt(head_dim) as a rule */
    const float *sinks;   /* [n_heads], a logit per head that takes part in the softmax only; or NULL */
    const float *cos_sin; /* [tokens][2][n_pairs]; NULL: no rotation */
    int32_t n_pairs;
    int32_t rotated_from; /* the first rotated number of a head */
    bool interleaved;     /* pairs are (2i, 2i + 1); else (i, i + n_pairs), "NeoX" */
    float *q;             /* [tokens][n_heads][head_dim]; rotated in place by ssw_cpu_kv_store */
    const float *k;       /* [tokens][n_kv_heads][head_dim] of the new tokens */
    const float *v;       /* NULL where values are parts of keys */
    int64_t q_stride, kv_stride;
    float *out; /* [tokens][n_heads][head_dim or latent_dim] */
    int64_t out_stride;
    void *out_q8; /* the same, quantised (head_dim must be a multiple of 32); or NULL */
    bool store;   /* ssw_cpu_attention also does what ssw_cpu_kv_store does: only where
                     ssw_cpu_attention_can_store */
} ssw_cpu_attention_args;

/* Whether each item's queries of a KV head are one worker's job, as with a few tokens each: then who attends
 * can store, and a barrier is saved. */
bool ssw_cpu_attention_can_store(const ssw_cpu_attention_args *args);

/* Rotates q and k and puts k and v into the caches. A barrier, then ssw_cpu_attention. */
void ssw_cpu_kv_store(ssw_cpu_worker *worker, const ssw_cpu_attention_args *args);
void ssw_cpu_attention(ssw_cpu_worker *worker, const ssw_cpu_attention_args *args);

/* ---- experts ---- */

typedef enum ssw_cpu_route_kind {
    SSW_CPU_ROUTE_TOPK_SOFTMAX, /* the k largest logits, softmax over those (gpt-oss) */
    SSW_CPU_ROUTE_SOFTMAX_TOPK, /* softmax over all, then the k largest (mixtral, deepseek, qwen3moe) */
    /* SparseMixer-v2 at inference (arXiv:2409.12136; phimoe), one choice after the other: the largest logit m
     * that is left, weighed by a softmax over those left with (m - logit) / max(|logit|, m) <= 2 jitter. The
     * weights need not add up to 1. */
    SSW_CPU_ROUTE_SPARSEMIXER,
    /* DeepSeek-V3's (arXiv:2412.19437): sigmoid of each logit; chosen by that plus a bias, among the experts
     * of the groups whose two best such sums add up to most; weighed without the bias. */
    SSW_CPU_ROUTE_SIGMOID
} ssw_cpu_route_kind;

typedef struct ssw_cpu_route_args {
    const float *logits; /* [n][n_experts] */
    int64_t logits_stride, n;
    int32_t n_experts, n_used;
    ssw_cpu_route_kind kind;
    bool renormalise;                /* SOFTMAX_TOPK, SIGMOID: weights divided by their sum */
    const float *bias;               /* SIGMOID: [n_experts] or NULL */
    int32_t n_groups, n_groups_used; /* SIGMOID: equal groups of at least two experts; 0 or 1: one of all */
    float jitter;                    /* SPARSEMIXER: 0.01 in the published model */
    float scale;                     /* of the weights; 1 as a rule */
    int32_t *chosen;                 /* out [n][n_used], best first; of equals the lower number */
    float *weights;                  /* out [n][n_used] */
    bool alone;                      /* as in ssw_cpu_norm_args */
} ssw_cpu_route_args;

void ssw_cpu_route(ssw_cpu_worker *worker, const ssw_cpu_route_args *args);

typedef enum ssw_cpu_glu_kind {
    SSW_CPU_GLU_SILU,        /* silu(gate) * up */
    SSW_CPU_GLU_SILU_CLAMPED /* g = min(gate, limit), u = clamp(up, limit): g * sigmoid(alpha g) * (u + 1)
                                (gpt-oss) */
} ssw_cpu_glu_kind;

typedef struct ssw_cpu_moe_args {
    const ssw_cpu_matrix *gate, *up, *down;       /* n_matrices experts each */
    const float *gate_bias, *up_bias, *down_bias; /* [experts][rows] or NULL */
    ssw_cpu_glu_kind glu;
    float glu_alpha, glu_limit; /* of SILU_CLAMPED */
    ssw_cpu_acts x;
    int64_t n;             /* tokens */
    int32_t n_used;        /* experts per token */
    const int32_t *chosen; /* [n][n_used]; negative: somebody else's, adds nothing */
    const float *weights;  /* [n][n_used] */
    float *out;            /* [n][down->rows] */
    int64_t out_stride;
    bool accumulate;
    /* Experts that SSW_CPU_BF16_PAIRS_MIN and more tokens chose may be multiplied in bf16 where the team has
     * that: weights, activations and hidden layer rounded to 8 bits of mantissa, sums in floats. Faster, but
     * how many others chose an expert then decides how a token's result rounds. So it is for callers for whom
     * the batch decides that anyway, as where popular experts go to a GPU. The scratch must not be in use by
     * an operation before, and the call counts as three of SSW_CPU_OPS_BETWEEN_BARRIERS_MAX. */
    bool may_use_bf16;
    void *scratch; /* ssw_cpu_moe_scratch_bytes, 64-byte aligned, shared by all workers */
} ssw_cpu_moe_args;

/* n_tokens * n_used rows of the hidden layer and, for batches, of the output. */
uint64_t ssw_cpu_moe_scratch_bytes(int64_t n_tokens, int32_t n_used, int64_t n_ff, int64_t n_embd);

/* out (+)= sum over the chosen experts of weight * (down (glu(gate x, up x))). A dense feed-forward layer is
 * the case of one expert that every token chooses with weight 1. */
void ssw_cpu_moe(ssw_cpu_worker *worker, const ssw_cpu_moe_args *args);

#ifdef __cplusplus
}
#endif
#endif
