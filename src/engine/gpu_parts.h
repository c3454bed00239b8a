/* What a GPU's half of an engine consists of; shared by gpu.c (open, close), gpu_memory.c (loading),
 * gpu_layers.c (what is enqueued), gpu_experts.c (the hand-over to the
 * host), gpu_rates.c (how fast that is), gpu_share.c, gpu_stream.c, gpu_pieces.c and gpu_cache.c (what the
 * device does of the host's experts). */
#ifndef SSW_ENGINE_GPU_PARTS_H
#define SSW_ENGINE_GPU_PARTS_H

#include <stdatomic.h>

#include "cuda/cuda_device.h"
#include "cuda/cuda_ops.h"
#include "engine/carver.h"
#include "engine/expert_cache.h"
#include "engine/gpu.h"
#include "engine/host_rates.h"

enum {
    SSW_GPU_LOGITS_ROWS = 32, /* least rows of logits made at once */
    SSW_GPU_GRAPH_ROWS_MAX = SSW_CUDA_GEMV_TOKENS_MAX,
    SSW_GPU_FEW_PAIRS_MAX = SSW_CUDA_GEMV_TOKENS_MAX * SSW_CUDA_EXPERTS_USED_MAX,
    SSW_GPU_LENGTHS = 12 /* classes of context length, each twice the one before */
};

typedef struct ssw_gpu_weight {
    ssw_cuda_matrix matrix; /* data NULL: not here, or a vector */
    float *floats;
} ssw_gpu_weight;

/* What the host tells the device before a step; one copy. */
typedef struct ssw_gpu_step {
    uint32_t number;      /* of the step: what signals say */
    int32_t all_pairs[2]; /* 0, n_rows: "first" of a single expert that every row uses */
    int32_t unused[5];
    ssw_cuda_part parts[SSW_ENGINE_PARALLEL_MAX];
    ssw_cuda_row rows[]; /* [n_batch] */
} ssw_gpu_step;

/* The hand-over of one pass's experts to the host; mapped pinned memory, T: n_batch. */
typedef struct ssw_gpu_handover {
    ssw_cuda_signal *ready;         /* [n_layers] device to host: x, chosen, weights are there */
    ssw_cuda_signal *done;          /* [n_layers] host to device: y is there */
    uint32_t *gave_up;              /* the device waited too long */
    atomic_uint_fast64_t *verdicts; /* [n_layers] not mapped: 2 * step + whether the device has answered */
    float *x;                       /* [T][n_embd], or NULL when no float weights are in host memory */
    void *x_q8;                     /* T rows, or NULL when no quantised ones are */
    int32_t *chosen;                /* [T][n_used] */
    float *weights;
    float *y;      /* [T][n_embd] */
    void *scratch; /* the CPU's, not mapped */
    uint64_t scratch_bytes;
    void *memory; /* the mapped allocation */
    uint64_t n_bytes;
} ssw_gpu_handover;

/* A layer whose experts are in host memory. The hidden layer's first `split` rows are the CPU's, the others
 * the device's: an expert is the sum of two narrower ones. */
typedef struct ssw_gpu_host_layer {
    bool is_pinned;
    ssw_cuda_experts own, rest;       /* as the device sees the two parts */
    const float *gate_bias, *up_bias; /* the CPU's: [n_experts][split], or NULL */
    int32_t cache_number;             /* among such layers, with an expert cache */
    /* sums over the steps that decode; see ssw_gpu_layer_times */
    atomic_uint_least64_t n_steps;
    atomic_int_least64_t wait_ns, work_ns;
} ssw_gpu_host_layer;

/* Rows of some experts on their way to the device: what one buffer holds. Buffers are filled in turn, and
 * free again when the products of what is in them are done. */
enum { SSW_GPU_PIECES = 4, SSW_GPU_PIECE_COPIES_MAX = 4 * SSW_CUDA_EXPERT_ROWS_MAX };

typedef struct ssw_gpu_piece {
    uint8_t *memory;  /* device, share.piece_bytes */
    uint64_t n_bytes; /* of it in use */
    ssw_cuda_event filled, free;
    ssw_cuda_expert_rows up[SSW_CUDA_EXPERT_ROWS_MAX], down[SSW_CUDA_EXPERT_ROWS_MAX];
    int32_t n_up, n_down;
    void *to[SSW_GPU_PIECE_COPIES_MAX]; /* its copies */
    const void *from[SSW_GPU_PIECE_COPIES_MAX];
    size_t copy_bytes[SSW_GPU_PIECE_COPIES_MAX];
    int32_t n_copies;
} ssw_gpu_piece;

/* How far a layer's experts are copied, one after the other in the plan's order: so many of them, and of the
 * next so many of the wanted rows of gate and up, or with is_down all of those and so many rows of down. */
typedef struct ssw_gpu_copied {
    int32_t layer;
    int32_t n_experts, n_rows;
    bool is_down;
    int32_t n_waiting; /* pieces, the last ones begun, whose products are not enqueued yet */
} ssw_gpu_copied;

/* Who computes a layer's experts of a prompt's step; made by ssw_gpu_plan_stream, read until the layer is
 * enqueued. */
typedef struct ssw_gpu_stream_plan {
    int32_t counts[SSW_CUDA_EXPERTS_MAX]; /* pairs of each expert */
    int32_t order[SSW_CUDA_EXPERTS_MAX];  /* those copied ahead, then chosen ones by falling count */
    int32_t n_pairs, n_active;            /* n_active: of order */
    int32_t n_device;                     /* the first of order that the device takes whole */
    int64_t host_ns;                      /* predicted, of those left to the CPU */
    ssw_engine_bound host_bound;          /* of most of that */
} ssw_gpu_stream_plan;

typedef struct ssw_gpu_share {
    int32_t split; /* hidden rows of the CPU; n_ff_expert when the device has none */
    bool has_rest;
    ssw_gpu_host_layer *layers; /* [n_layers] */
    ssw_gpu_piece pieces[SSW_GPU_PIECES];
    uint64_t piece_bytes, n_pieces; /* n_pieces: begun so far */
    ssw_gpu_copied copied;
    float *bias_memory; /* device, all host layers' */
    float *host_biases; /* the CPU's slices */
    uint8_t *mask;      /* mapped, [n_layers][n_experts]: experts that a prompt's step leaves to the device */
    int32_t *own_chosen; /* [P] host: the choice with those left out */
    ssw_gpu_stream_plan plan;
    double copy_bytes_per_s;
} ssw_gpu_share;

/* Experts of such layers on the device. Tables: [n_layers of the plan][9][n_experts], see gpu_cache.c. */
typedef struct ssw_gpu_expert_cache {
    ssw_gpu_expert_cache_plan plan; /* n_slots 0: there is none */
    ssw_expert_cache *contents;     /* NULL likewise */
    int32_t *layer_of;              /* [plan.n_layers] */
    uint8_t *memory, *slots;        /* device; slots lie in memory, after the tables */
    const uint8_t **tables;         /* device, in memory */
    const uint8_t **tables_host;    /* pinned; what the device's are to be */
    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX]; /* begun at the last boundary */
    int32_t n_moves;
    int32_t n_tokens;                  /* of the step since that boundary */
    atomic_uint_fast64_t hits, misses; /* uses of experts in steps of few tokens */
    atomic_uint_fast64_t uploads;      /* replacements begun */
    uint64_t said_hits, said_misses, said_uploads;
    int64_t said_ns;
} ssw_gpu_expert_cache;

struct ssw_gpu {
    ssw_gpu_setup setup;
    const ssw_model_hparams *h;
    ssw_cuda_device device;
    ssw_cuda_stream compute, copy;
    ssw_cpu_team *team;      /* NULL when no expert is in host memory */
    ssw_gpu_weight *weights; /* [n_layers + 1][SSW_MODEL_SLOT_COUNT] */
    ssw_gpu_bytes bytes;
    bool takes_f32, takes_q8; /* what the weights on the device multiply */
    bool host_takes_f32, host_takes_q8;

    uint8_t *weight_memory, *cache_memory, *buffer_memory;
    ssw_cuda_kv kv[SSW_MODEL_LAYERS_MAX];
    ssw_gpu_step *step_host, *step; /* pinned, and its copy on the device */
    uint64_t step_bytes;

    /* device; T: n_batch, P: T * n_used, L: rows of logits */
    float *x;               /* [T][n_embd] */
    ssw_cuda_acts normed;   /* [T][n_embd] */
    float *q, *k, *v;       /* [T][...] */
    ssw_cuda_acts attended; /* [T][n_heads * head_dim] */
    float *attention_scratch;
    uint32_t *attention_counters;
    float *routed; /* [T][n_experts] */
    float *router_scratch;
    int32_t *chosen, *zeros; /* [P]; zeros: [T], the choice where there is but one */
    float *expert_weights, *ones;
    int32_t *first, *pairs, *all_rows; /* [n_experts + 1], [P]; all_rows: [T] 0, 1, 2, ... */
    ssw_cuda_acts hidden;              /* [P or T][widest] */
    ssw_cuda_acts shared_hidden;       /* [few][n_ff_shared] */
    float *pair_rows;                  /* [P][n_embd] */
    float *outputs;                    /* [T][n_embd]; in a step that decodes they stay in x */
    const float *last_outputs;         /* of the two, where the last pass left them */
    float *inv_freq;                   /* [n_pairs] */
    float rope_magnitude;
    float *logits;         /* [L][n_vocab] */
    uint64_t *top_scratch; /* for L rows */

    /* pinned */
    float *x_host;                /* [T][n_embd] */
    float *hidden_host;           /* [T][n_embd] */
    float *logits_host;           /* [L][n_vocab] */
    ssw_cuda_top_logit *top_host; /* [L][SSW_CUDA_TOP_LOGITS] */
    int32_t logits_rows;

    ssw_gpu_handover handover;
    ssw_gpu_share share;
    ssw_host_watch watch; /* its rates are what prompts are planned with */
    ssw_gpu_expert_cache expert_cache;
    int32_t next_layer; /* the first that is not enqueued yet */
    bool has_host_experts;
    ssw_cuda_graph *graphs[2][SSW_GPU_GRAPH_ROWS_MAX + 1][SSW_GPU_LENGTHS]; /* first: with all logits */
    const ssw_pass *pass;                                                   /* of the current run */
    atomic_bool is_lost;                                                    /* the device stopped answering */
};

/* ---- gpu_memory.c ---- */

ssw_status ssw_gpu_load_weights(ssw_gpu *gpu, ssw_error *err);
ssw_status ssw_gpu_open_buffers(ssw_gpu *gpu, ssw_error *err);
void ssw_gpu_close_memory(ssw_gpu *gpu);
/* NULL when it is absent or not on the device. */
const ssw_cuda_matrix *ssw_gpu_matrix(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot);
const float *ssw_gpu_floats(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot);

/* ---- gpu_layers.c ---- */

/* Enqueues the layers for n_rows rows of n_parts parts. is_decode: every part is one row, so that nothing of
 * the launches depends on the parts but their number and max_length. */
typedef struct ssw_gpu_shape {
    int32_t n_rows, n_parts, max_length;
    bool is_decode;
    bool is_streamed; /* so many rows that experts are copied to the device */
} ssw_gpu_shape;

/* All layers; or, when experts are streamed, those up to the next request to the host, whose answer
 * ssw_gpu_finish_layer enqueues. */
void ssw_gpu_enqueue_layers(ssw_gpu *gpu, const ssw_gpu_shape *shape);
void ssw_gpu_finish_layer(ssw_gpu *gpu, const ssw_gpu_shape *shape);
/* Final norm and logits [n][n_vocab] of n rows of x. */
void ssw_gpu_enqueue_head(ssw_gpu *gpu, const float *x, int32_t n, float *logits);

/* No matrices yet: the model's activation and its numbers. */
ssw_cuda_experts ssw_gpu_experts_init(const ssw_gpu *gpu);

/* ---- gpu_experts.c ---- */

ssw_status ssw_gpu_open_handover(ssw_gpu *gpu, ssw_error *err);
void ssw_gpu_close_handover(ssw_gpu *gpu);
bool ssw_gpu_layer_is_handed_over(const ssw_gpu *gpu, int32_t layer);
/* Few rows: has the router tell the host of its choices; the norm's outputs for the CPU are the caller's. */
void ssw_gpu_announce(ssw_gpu *gpu, int32_t layer, ssw_cuda_router_args *router);
/* In stream order: choices and weights, then the signal; the host's result added to x. */
void ssw_gpu_enqueue_request(ssw_gpu *gpu, int32_t layer, int32_t n_rows);
void ssw_gpu_enqueue_result(ssw_gpu *gpu, int32_t layer, int32_t n_rows);
/* The host's part of a pass: returns when the last layer's result is written, and all layers are enqueued. */
ssw_status ssw_gpu_serve_experts(ssw_gpu *gpu, const ssw_gpu_shape *shape, ssw_error *err);

/* A part of ssw_gpu_serve_experts, on all workers: the CPU's rows of the experts in chosen, of the handover's
 * activations. */
void ssw_gpu_multiply_experts(const ssw_gpu *gpu, ssw_cpu_worker *worker, int32_t layer, int32_t n_rows,
                              const int32_t *chosen, bool may_use_bf16);

/* SSW_ERR_TIMEOUT when either side has waited for the other in vain. */
ssw_status ssw_gpu_check_answers(const ssw_gpu *gpu, ssw_error *err);

/* ---- gpu_rates.c ---- */

/* After ssw_gpu_open_share: the watch's rates, as they were set up or by timing the CPU's part. */
void ssw_gpu_find_rates(ssw_gpu *gpu);
/* The CPU's rows of an expert. bytes: of those rows. */
ssw_host_expert ssw_gpu_describe_expert(const ssw_gpu *gpu, int32_t layer, int32_t n_pairs, double bytes);

/* ---- gpu_share.c ---- */

/* A tensor's entry, wherever it is; its form says whether there is one. */
const ssw_weights_entry *ssw_gpu_weights_entry(const ssw_gpu *gpu, int32_t layer, ssw_model_slot slot);
/* Device memory; before the weights are loaded it only counts. */
void ssw_gpu_carve_share(ssw_gpu *gpu, ssw_carver *c);
ssw_status ssw_gpu_open_share(ssw_gpu *gpu, ssw_error *err);
void ssw_gpu_close_share(ssw_gpu *gpu);

/* ---- gpu_cache.c ---- */

ssw_status ssw_gpu_alloc_cache(ssw_gpu *gpu, ssw_error *err); /* before the weights */
ssw_status ssw_gpu_open_cache(ssw_gpu *gpu, ssw_error *err);  /* after ssw_gpu_open_share: fills it */
void ssw_gpu_close_cache(ssw_gpu *gpu);                       /* before ssw_gpu_close_share */
/* Before a step of n_tokens is enqueued. */
ssw_status ssw_gpu_turn_cache(ssw_gpu *gpu, int32_t n_tokens, ssw_error *err);
/* On one thread, while the handover has the layer's choices. */
void ssw_gpu_count_uses(ssw_gpu *gpu, int32_t layer, const ssw_gpu_shape *shape);
bool ssw_gpu_is_cached(const ssw_gpu *gpu, int32_t layer, int32_t expert); /* during the current step */
/* The handover's choices with -1 for cached experts: in left, or as they are where nothing is cached. */
const int32_t *ssw_gpu_leave_out_cached(const ssw_gpu *gpu, int32_t layer, int32_t n_rows,
                                        int32_t left[SSW_GPU_FEW_PAIRS_MAX]);
/* The device's part of the chosen experts, few tokens: cached ones whole, of the others its rows, read where
 * they lie in host memory. */
void ssw_gpu_enqueue_rest(ssw_gpu *gpu, int32_t layer, int32_t n_rows);
/* Cached experts whole, many tokens: rows to pair_rows. Pairs are sorted. */
void ssw_gpu_enqueue_cached(ssw_gpu *gpu, int32_t layer, int32_t n_rows);

/* ---- gpu_stream.c ---- */

/* Which experts' CPU rows the device shall take too, from the choices in the handover: fills in the layer's
 * mask and own_chosen. */
void ssw_gpu_plan_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows);
/* Before the next layer's attention is enqueued: copies experts that some token will choose by all odds. */
void ssw_gpu_begin_stream(ssw_gpu *gpu, int32_t n_rows);
/* Copies of those and of every chosen expert's other rows, their products, and the sums added to x. */
void ssw_gpu_enqueue_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows);

/* ---- gpu_pieces.c ---- */

/* How large a buffer has to be for the layer's experts, which are in host memory. */
uint64_t ssw_gpu_find_piece_bytes(const ssw_gpu *gpu, int32_t layer);
/* Of one expert of a layer: what is copied when it is the device's, and when it is not. */
void ssw_gpu_find_part_bytes(const ssw_gpu *gpu, int32_t layer, double *own, double *rest);
/* Before a layer's choices are known: fills the buffers with the first of n experts in order, whole. n may be
 * 0; what was copied for another layer or pass is forgotten. */
void ssw_gpu_copy_ahead(ssw_gpu *gpu, int32_t layer, const int32_t *order, int32_t n);
/* How many of that layer's first experts have been copied at least in part. */
int32_t ssw_gpu_count_ahead(const ssw_gpu *gpu);
/* Copies and products of its plan's experts: whole of the first n_device, the device's rows of others. */
void ssw_gpu_enqueue_pieces(ssw_gpu *gpu);

#endif
