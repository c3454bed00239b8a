/* From a shape to the list of tensors of its GGUF file: names and dimensions as llama.cpp's converter writes
 * them, types by the usual mixes, and how each is filled.
 *
 * Weights are scaled by 1/sqrt(fan-in), those that write to the residual stream by another 1/sqrt(2 layers),
 * so that the hidden state keeps the size of the embedding. Pure: nothing is written here. The plan owns its
 * memory. */
#ifndef SSW_SYNTH_TENSOR_PLAN_H
#define SSW_SYNTH_TENSOR_PLAN_H

#include "base/arena.h"
#include "base/status.h"
#include "gguf/gguf.h"
#include "quantize/type_mix.h"
#include "synth/shape.h"

enum {
    SSW_SYNTH_NAME_MAX = 64,
    SSW_SYNTH_LAYERS_MIN = 1,
    SSW_SYNTH_VOCAB_MIN = 512,
    SSW_SYNTH_VOCAB_MAX = 1 << 20
};
#define SSW_SYNTH_SKEW_MAX 4.0

typedef struct ssw_synth_options {
    const ssw_shape *shape;
    const ssw_type_mix *mix;       /* every tensor's type, by llama-quantize's rules; NULL: the shape's own */
    const ssw_type_mix *dense_mix; /* another one for all but the experts; NULL: mix */
    int32_t n_layers;              /* 0: all of the shape's */
    int32_t n_vocab;               /* 0: the shape's */
    uint64_t seed;
    double skew; /* Zipf exponent of the experts' load; 0: uniform */
} ssw_synth_options;

/* A mix of type_mix.h, or F32, which is none of llama-quantize's usual ones. NULL if unknown. */
const ssw_type_mix *ssw_synth_find_mix(const char *name);

/* Checks ranges and puts the shape's own for zeros and NULL. SSW_ERR_USAGE says which option is wrong. */
ssw_status ssw_synth_options_resolve(ssw_synth_options *options, ssw_error *err);

typedef struct ssw_synth_tensor {
    char name[SSW_SYNTH_NAME_MAX];
    ssw_dtype dtype;
    int n_dims;
    uint64_t dims[SSW_GGUF_DIMS_MAX]; /* dims[0] innermost; unused ones are 1 */
    uint64_t n_elements, n_bytes;
    float sigma;
    bool around_one;        /* F32 only: 1 is added (norm weights) */
    const float *values;    /* F32 only: [n_elements], written as they are; else NULL */
    const float *row_scale; /* F32 only: [dims[1]] factors on sigma; else NULL */
} ssw_synth_tensor;

typedef struct ssw_synth_plan {
    ssw_synth_tensor *tensors;
    size_t n_tensors, capacity;
    uint64_t n_parameters;  /* rope factors are not parameters */
    uint64_t n_active;      /* without the experts that a token does not choose */
    uint64_t n_embedding;   /* parameters of the embedding table, for those who leave it out of "active" */
    uint64_t tensor_bytes;  /* data alone, without padding */
    ssw_arena arena;        /* values and row scales */
    bool failed;            /* while it is made */
    ssw_synth_tensor spare; /* takes the writes after a failure */
} ssw_synth_plan;

/* options must be resolved. */
ssw_status ssw_synth_plan_init(ssw_synth_plan *plan, const ssw_synth_options *options, ssw_error *err);
void ssw_synth_plan_deinit(ssw_synth_plan *plan);

#endif
