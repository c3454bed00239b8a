/* A model's weights in the form in which the operations read them.
 *
 * Matrices are repacked copies (ssw_cpu_matrix), vectors are aligned copies, the token embedding stays in the
 * mapped file: one row of it is read per token. Once a tensor is copied, the pages of its file are given
 * back. Filled by the pool at load, immutable afterwards. */
#ifndef SSW_ENGINE_WEIGHTS_H
#define SSW_ENGINE_WEIGHTS_H

#include "base/log.h"
#include "base/pool.h"
#include "cpu/ops.h"
#include "engine/latent_split.h"
#include "model/model.h"

typedef enum ssw_weights_form {
    SSW_WEIGHTS_ABSENT,
    SSW_WEIGHTS_MAPPED,
    SSW_WEIGHTS_MATRIX,
    SSW_WEIGHTS_FLOATS
} ssw_weights_form;

typedef struct ssw_weights_entry {
    const ssw_gguf_tensor *tensor; /* NULL: absent */
    ssw_weights_form form;
    bool on_gpu;          /* set between plan and load: the GPU's half of the engine loads it, not this */
    ssw_latent_part part; /* of the tensor, if it is not the whole */
    int64_t split;        /* set as on_gpu: the columns of `matrix`, the others are `rest`; 0: not split */
    ssw_cpu_matrix matrix, rest;
    float *floats;
} ssw_weights_entry;

typedef struct ssw_weights {
    ssw_weights_entry *entries; /* [n_layers + 1][SSW_MODEL_SLOT_COUNT]; row 0 is the global ones */
    int32_t n_entries;
    float *floats; /* one allocation for all vectors */
    uint64_t floats_bytes;
} ssw_weights;

/* Decides each tensor's form. After it, predict says what the tensor will take. */
ssw_status ssw_weights_plan(ssw_weights *weights, const ssw_model *model, ssw_error *err);
uint64_t ssw_weights_predict_bytes(const ssw_weights_entry *entry);
uint64_t ssw_weights_actual_bytes(const ssw_weights_entry *entry); /* after load */
const char *ssw_weights_form_name(ssw_weights_form form);          /* "mapped file", "repacked", "copied" */

/* Copies everything, on all the pool's threads, with a line of progress now and then. */
ssw_status ssw_weights_load(ssw_weights *weights, ssw_pool *pool, const ssw_log *log, ssw_error *err);
/* Lays out a part of a file's matrices, on all the pool's threads. */
void ssw_weights_fill(ssw_pool *pool, ssw_cpu_matrix *matrix, const ssw_cpu_matrix_part *part);
/* Gives back the file's pages that lie wholly inside the tensor: its copy is what is read from now on. */
void ssw_weights_drop_pages(const ssw_gguf_tensor *tensor);
void ssw_weights_deinit(ssw_weights *weights);

/* NULL when absent or on the GPU. layer -1 for global slots. */
const ssw_cpu_matrix *ssw_weights_matrix(const ssw_weights *weights, int32_t layer, ssw_model_slot slot);
/* The columns from the split on; NULL when it is not split. */
const ssw_cpu_matrix *ssw_weights_rest(const ssw_weights *weights, int32_t layer, ssw_model_slot slot);
const float *ssw_weights_floats(const ssw_weights *weights, int32_t layer, ssw_model_slot slot);
const ssw_gguf_tensor *ssw_weights_mapped(const ssw_weights *weights, int32_t layer, ssw_model_slot slot);

#endif
