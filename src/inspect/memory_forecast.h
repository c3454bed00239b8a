/* What a model will take, and how fast it can decode at most, for each way of placing its experts.
 *
 * Placement is src/place's, hence llama.cpp's. Sizes are those of the file's tensors and of the KV cache;
 * compute buffers and a program's own memory come on top and are not forecast. The ceiling is of one token
 * with nothing but the experts in host memory taking time: host bandwidth / bytes read there per token. Pure.
 */
#ifndef SSW_INSPECT_MEMORY_FORECAST_H
#define SSW_INSPECT_MEMORY_FORECAST_H

#include "inspect/model_facts.h"

enum { SSW_FORECAST_BATCH = 512 }; /* rows that a windowed layer's cache has beyond its window */

typedef struct ssw_forecast_options {
    int32_t ctx_size; /* tokens of the KV cache */
    ssw_dtype cache_type_k,
        cache_type_v;        /* of a layer on the GPU; in host memory it is F16, as serve has it */
    double host_bytes_per_s; /* 0: no ceilings */
} ssw_forecast_options;

typedef struct ssw_forecast_arm {
    int32_t n_cpu_moe;             /* layers whose experts are in host memory */
    uint64_t vram_bytes;           /* weights and KV cache */
    uint64_t ram_bytes;            /* weights and KV cache */
    uint64_t host_bytes_per_token; /* read from host memory: experts; the embedding's row is left out */
    double ceiling_tokens_per_s;   /* 0: no bandwidth given, or nothing is read from host memory */
} ssw_forecast_arm;

typedef struct ssw_forecast {
    uint64_t kv_bytes; /* on the GPU */
    int32_t n_arms;    /* n_layers + 1: --n-cpu-moe 0 (the baseline) to n_layers (--cpu-moe) */
    ssw_forecast_arm arms[SSW_FACTS_LAYERS_MAX + 1];
    ssw_forecast_arm no_gpu; /* everything in host memory; its ceiling counts all bytes a token reads */
} ssw_forecast;

/* SSW_ERR_UNSUPPORTED where a head is no whole number of a cache type's blocks, or SSW_ERR_NOMEM. */
ssw_status ssw_forecast_make(const ssw_gguf *gguf, const ssw_model_facts *facts,
                             const ssw_forecast_options *options, ssw_forecast *out, ssw_error *err);

/* Of one layer's KV cache on the GPU, one sequence. Latent attention keeps one latent vector and one rotated
 * key a token, both of the keys' type. */
uint64_t ssw_forecast_layer_kv_bytes(const ssw_model_facts *facts, int32_t layer,
                                     const ssw_forecast_options *options);

#endif
