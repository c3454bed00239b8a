/* Keys and values of all sequences, F16, one allocation.
 *
 * Each sequence has in each layer a ring of rows (cpu/ops.h has its layout): position p lives in row p %
 * n_rows. A layer that sees everything has a row for every position of the context; one with a sliding window
 * has rows for the window of a pass's oldest token and for the pass itself, so that a whole pass is written
 * before any of it is read. Used by the evaluating thread and its pool; no locks. */
#ifndef SSW_ENGINE_KVCACHE_H
#define SSW_ENGINE_KVCACHE_H

#include "cpu/ops.h"
#include "model/model.h"

typedef struct ssw_kvcache_layer {
    uint64_t offset_bytes;   /* of the first sequence */
    uint64_t sequence_bytes; /* from one sequence to the next */
    int32_t n_rows;
} ssw_kvcache_layer;

typedef struct ssw_kvcache {
    uint8_t *memory;
    uint64_t n_bytes; /* of the layers that it was opened for */
    int32_t n_layers, n_sequences;
    int32_t ring_rows;  /* of the smallest ring; 0 when every layer has a row for every position */
    int32_t ring_slack; /* the least that any ring has beyond its window */
    ssw_kvcache_layer layers[SSW_MODEL_LAYERS_MAX];
} ssw_kvcache;

typedef struct ssw_kvcache_shape {
    int32_t ctx_size, n_sequences, n_batch;
} ssw_kvcache_shape;

/* Fills in all but the memory. */
void ssw_kvcache_plan(ssw_kvcache *cache, const ssw_model_hparams *hparams, const ssw_kvcache_shape *shape);
uint64_t ssw_kvcache_layer_bytes(const ssw_kvcache *cache, int32_t layer);

/* After plan: memory for the first n_layers; the others' is elsewhere. */
ssw_status ssw_kvcache_open(ssw_kvcache *cache, int32_t n_layers, ssw_error *err);
void ssw_kvcache_close(ssw_kvcache *cache);

ssw_cpu_kv ssw_kvcache_view(const ssw_kvcache *cache, int32_t layer, int32_t sequence);

/* Whether a sequence that once was `highest` tokens long still has, in every ring, the rows that the token at
 * position n will look at. */
bool ssw_kvcache_can_resume(const ssw_kvcache *cache, int32_t highest, int32_t n);

#endif
