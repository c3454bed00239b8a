/* The layers that live on a GPU, and the hand-over to the CPU for those of their experts that do not.
 *
 * Opened after placement: every tensor whose entry says on_gpu is copied to the device, in the CPU's band
 * layout. A pass goes through the layers [first_layer, n_layers), the final norm and the logits; steps that
 * decode replay a recorded graph. Experts in host memory are multiplied by the pool's workers, which meet the
 * device at signals in mapped memory, once per layer and direction. One pass at a time, on one thread.
 *
 * gpu_absent.c stands in where the program is built without CUDA. */
#ifndef SSW_ENGINE_GPU_H
#define SSW_ENGINE_GPU_H

#include "base/log.h"
#include "base/pool.h"
#include "engine/kvcache.h"
#include "engine/pass.h"
#include "engine/weights.h"
#include "model/model.h"

typedef struct ssw_gpu ssw_gpu;

enum { SSW_GPU_NAME_MAX = 128 };

typedef struct ssw_gpu_device { /* what placement needs to know */
    char name[SSW_GPU_NAME_MAX];
    uint64_t free_bytes, total_bytes;
    /* From pinned memory, as a class (3, 6, 12, 25 or 50e9), so that every start on a machine finds the same.
     */
    double copy_bytes_per_s; /* 0 before ssw_gpu_measure_copies */
} ssw_gpu_device;

/* The first device. SSW_ERR_UNAVAILABLE, with the reason, when there is none, or the program was built
 * without CUDA. */
ssw_status ssw_gpu_find(ssw_gpu_device *out, ssw_error *err);

/* Fills in copy_bytes_per_s; takes some 30 ms, and matters where experts are in host memory only. */
ssw_status ssw_gpu_measure_copies(ssw_gpu_device *device, ssw_error *err);

/* Whether the GPU operations can run this model; else SSW_ERR_UNSUPPORTED names what is missing. */
ssw_status ssw_gpu_check_model(const ssw_model *model, ssw_error *err);

typedef struct ssw_gpu_setup { /* borrowed, all of it */
    const ssw_model *model;
    const ssw_weights *weights; /* host matrices of experts get pinned */
    const ssw_kvcache *cache;   /* its plan: the device's rings have the same rows */
    ssw_pool *pool;
    ssw_cpu_isa isa;
    ssw_log log;
    int32_t first_layer;
    double copy_bytes_per_s;     /* as ssw_gpu_measure_copies has it */
    ssw_engine_cpu_rates rates;  /* of the CPU's experts in prompts; 0: to be measured */
    uint64_t expert_cache_bytes; /* at most, for hot experts of layers whose experts are in host memory */
    ssw_dtype cache_type_k, cache_type_v; /* F16, or Q8_0 where heads are a multiple of 32 */
    int32_t ctx_size, n_batch, n_sequences;
    int64_t patience_ns; /* of host and device, each waiting for the other; 0: 30 s */
} ssw_gpu_setup;

/* Device bytes of one layer's cache, and of everything that is neither weight nor cache. */
uint64_t ssw_gpu_predict_cache_bytes(const ssw_gpu_setup *setup, int32_t layer);
uint64_t ssw_gpu_predict_buffer_bytes(const ssw_gpu_setup *setup);

typedef struct ssw_gpu_expert_cache_plan {
    int32_t n_layers;  /* on the device whose experts are in host memory */
    int32_t n_experts; /* of those layers, all together */
    int32_t n_slots;   /* experts that fit expert_cache_bytes */
    uint64_t slot_bytes;
    uint64_t tables_bytes;
    uint64_t n_bytes; /* of slots and tables; 0 without slots */
} ssw_gpu_expert_cache_plan;

/* After the weights' entries know where they go. */
ssw_gpu_expert_cache_plan ssw_gpu_plan_cache(const ssw_gpu_setup *setup);

/* After the host's weights are loaded. */
ssw_status ssw_gpu_open(const ssw_gpu_setup *setup, ssw_gpu **out, ssw_error *err);
void ssw_gpu_close(ssw_gpu *gpu); /* NULL is allowed */

typedef struct ssw_gpu_bytes {
    uint64_t weights, cache, buffers, expert_cache; /* on the device */
    uint64_t pinned;                                /* host memory that the device may read */
} ssw_gpu_bytes;

ssw_gpu_bytes ssw_gpu_count_bytes(const ssw_gpu *gpu);
/* Of one entry of the weights, as it was loaded; 0 when it is not on the device. */
uint64_t ssw_gpu_weight_bytes(const ssw_gpu *gpu, int32_t entry);

typedef struct ssw_gpu_expert_uses { /* since it was opened */
    uint64_t hits, misses;           /* by tokens of steps of at most 8: in the expert cache, or not */
    uint64_t uploads;
} ssw_gpu_expert_uses;

ssw_gpu_expert_uses ssw_gpu_read_uses(const ssw_gpu *gpu); /* any thread */

/* x: [n_rows][n_embd] as the host's layers left it, or NULL when first_layer is 0: then the tokens'
 * embeddings. Logits are where the pass says when it returns. */
ssw_status ssw_gpu_run(ssw_gpu *gpu, const ssw_pass *pass, const float *x, ssw_error *err);

/* Of one layer whose experts are in host memory: the first worker's time over all steps that decode. */
typedef struct ssw_gpu_layer_times {
    uint64_t n_steps;
    int64_t wait_ns; /* until the device asks: its part of the layer, and a signal in each direction */
    int64_t work_ns; /* until the host's result is there */
} ssw_gpu_layer_times;

/* Any thread. Zeros for other layers. */
void ssw_gpu_read_layer_times(const ssw_gpu *gpu, int32_t layer, ssw_gpu_layer_times *out);

/* What prompts are planned with: as set up, or a class of what was measured. Zeros without such layers. */
ssw_engine_cpu_rates ssw_gpu_read_rates(const ssw_gpu *gpu);

/* Any thread. Prompts: predictions for those layers, and how long they took. */
void ssw_gpu_read_prompt_times(const ssw_gpu *gpu, ssw_engine_bound bound, ssw_engine_prompt_times *out);

/* [n_outputs][n_embd] of the last pass, after the final norm; host memory. */
ssw_status ssw_gpu_read_hidden(ssw_gpu *gpu, const float **hidden, ssw_error *err);

#endif
