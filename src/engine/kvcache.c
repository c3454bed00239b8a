/* See the header. */
#include "engine/kvcache.h"

#include <string.h>

#include "engine/host_memory.h"

enum { ALIGNMENT_BYTES = 64 };

void ssw_kvcache_plan(ssw_kvcache *cache, const ssw_model_hparams *hparams, const ssw_kvcache_shape *shape)
{
    memset(cache, 0, sizeof *cache);
    cache->n_layers = hparams->n_layers;
    cache->n_sequences = shape->n_sequences;
    int32_t value_dim = hparams->latent.kv_rank > 0 ? 0 : hparams->head_dim;
    for (int32_t i = 0; i < hparams->n_layers; i++) {
        ssw_kvcache_layer *layer = &cache->layers[i];
        int32_t window = hparams->layer_window[i];
        layer->n_rows = ssw_cpu_kv_rows(shape->ctx_size, window, shape->n_batch);
        uint64_t bytes = ssw_cpu_kv_bytes(layer->n_rows, hparams->n_heads_kv, hparams->head_dim, value_dim);
        layer->sequence_bytes = (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        layer->offset_bytes = cache->n_bytes;
        if (layer->n_rows < shape->ctx_size) {
            bool is_first = cache->ring_rows == 0;
            int32_t slack = layer->n_rows - window;
            cache->ring_rows =
                is_first || layer->n_rows < cache->ring_rows ? layer->n_rows : cache->ring_rows;
            cache->ring_slack = is_first || slack < cache->ring_slack ? slack : cache->ring_slack;
        }
        cache->n_bytes += ssw_kvcache_layer_bytes(cache, i);
    }
}

uint64_t ssw_kvcache_layer_bytes(const ssw_kvcache *cache, int32_t layer)
{
    return cache->layers[layer].sequence_bytes * (uint64_t)cache->n_sequences;
}

ssw_status ssw_kvcache_open(ssw_kvcache *cache, int32_t n_layers, ssw_error *err)
{
    if (n_layers < cache->n_layers)
        cache->n_bytes = cache->layers[n_layers].offset_bytes;
    if (cache->n_bytes == 0)
        return SSW_OK;
    cache->memory = ssw_cpu_memory_alloc(cache->n_bytes);
    if (!cache->memory)
        return ssw_error_set(err, SSW_ERR_NOMEM,
                             "no memory for a KV cache of %llu bytes; try a smaller --ctx-size",
                             (unsigned long long)cache->n_bytes);
    ssw_host_memory_touch(cache->memory, cache->n_bytes);
    return SSW_OK;
}

void ssw_kvcache_close(ssw_kvcache *cache)
{
    ssw_cpu_memory_free(cache->memory, cache->n_bytes);
    cache->memory = NULL;
}

ssw_cpu_kv ssw_kvcache_view(const ssw_kvcache *cache, int32_t layer, int32_t sequence)
{
    const ssw_kvcache_layer *at = &cache->layers[layer];
    void *data = cache->memory + at->offset_bytes + (uint64_t)sequence * at->sequence_bytes;
    return (ssw_cpu_kv){.data = data, .n_rows = at->n_rows};
}

bool ssw_kvcache_can_resume(const ssw_kvcache *cache, int32_t highest, int32_t n)
{
    if (cache->ring_rows == 0 || n == 0 || highest <= cache->ring_rows)
        return true;
    /* A ring holds highest - n_rows and later; position n looks at n - window + 1 and later. */
    return (int64_t)n + 1 >= (int64_t)highest - cache->ring_slack;
}
