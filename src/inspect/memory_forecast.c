/* See memory_forecast.h. */
#include "inspect/memory_forecast.h"

#include <stdlib.h>
#include <string.h>

#include "place/place.h"

enum { KV_ROWS_MULTIPLE = 64 };

/* Numbers of a token's key and value: of one head, or of the latent vector. */
static uint64_t key_length(const ssw_model_facts *f)
{
    return f->kv_lora_rank > 0 ? (uint64_t)f->kv_lora_rank + (uint64_t)f->rope_dims : (uint64_t)f->key_length;
}

static uint64_t value_length(const ssw_model_facts *f)
{
    return f->kv_lora_rank > 0 ? 0 : (uint64_t)f->value_length;
}

uint64_t ssw_forecast_layer_kv_bytes(const ssw_model_facts *f, int32_t layer, const ssw_forecast_options *o)
{
    int64_t rows = o->ctx_size;
    if (ssw_model_facts_layer_is_windowed(f, layer) && (int64_t)f->window + SSW_FORECAST_BATCH < rows)
        rows = (int64_t)f->window + SSW_FORECAST_BATCH;
    rows = (rows + KV_ROWS_MULTIPLE - 1) / KV_ROWS_MULTIPLE * KV_ROWS_MULTIPLE;
    uint64_t n_heads = f->kv_lora_rank > 0 ? 1 : (uint64_t)f->n_heads_kv;
    return (uint64_t)rows * n_heads *
           (ssw_dtype_row_bytes(o->cache_type_k, key_length(f)) +
            ssw_dtype_row_bytes(o->cache_type_v, value_length(f)));
}

static ssw_status check_cache_type(const char *option, ssw_dtype type, uint64_t n, ssw_error *err)
{
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)type);
    if (n % traits->block_elements == 0)
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                         "%s %s: this model's heads have %llu dimensions, which are no whole blocks of %u",
                         option, traits->name, (unsigned long long)n, traits->block_elements);
}

static uint64_t sum_kv_bytes(const ssw_model_facts *facts, const ssw_forecast_options *options)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < facts->n_layers; i++)
        bytes += ssw_forecast_layer_kv_bytes(facts, i, options);
    return bytes;
}

static int32_t list_items(const ssw_gguf *gguf, const ssw_model_facts *facts,
                          const ssw_forecast_options *options, ssw_place_item *items)
{
    int32_t n = 0;
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        ssw_place_item_init(&items[n++], ssw_tensor_role_of(tensor->name), tensor->n_bytes);
    }
    for (int32_t layer = 0; layer < facts->n_layers; layer++)
        items[n++] = (ssw_place_item){.table_class = "kv cache",
                                      .how = "allocated",
                                      .layer = layer,
                                      .bytes = ssw_forecast_layer_kv_bytes(facts, layer, options)};
    return n;
}

static double ceiling(double bytes_per_s, uint64_t bytes)
{
    return bytes > 0 ? bytes_per_s / (double)bytes : 0;
}

/* Experts of the first n layers that one token reads. */
static uint64_t host_bytes_per_token(const ssw_model_facts *f, int32_t n_layers)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < n_layers; i++)
        bytes += f->layer_expert_bytes[i];
    return f->expert_bytes > 0
               ? (uint64_t)((double)bytes / (double)f->expert_bytes * (double)f->expert_bytes_per_token + 0.5)
               : 0;
}

ssw_status ssw_forecast_make(const ssw_gguf *gguf, const ssw_model_facts *facts,
                             const ssw_forecast_options *options, ssw_forecast *out, ssw_error *err)
{
    static const ssw_place_device devices[] = {{"CPU", 0}, {"GPU", 0}};
    ssw_status status = check_cache_type("--cache-type-k", options->cache_type_k, key_length(facts), err);
    if (status == SSW_OK)
        status = check_cache_type("--cache-type-v", options->cache_type_v, value_length(facts), err);
    if (status != SSW_OK)
        return status;
    size_t n_max = ssw_gguf_count_tensors(gguf) + (size_t)facts->n_layers;
    ssw_place_item *items = calloc(n_max ? n_max : 1, sizeof *items);
    ssw_place_summary summary;
    ssw_forecast_options on_host = *options;
    on_host.cache_type_k = on_host.cache_type_v = SSW_DTYPE_F16;
    if (!items)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu tensors", n_max);
    memset(out, 0, sizeof *out);
    int32_t n_items = list_items(gguf, facts, options, items);
    ssw_place_request request = {.devices = devices,
                                 .n_devices = 2,
                                 .n_layers = facts->n_layers,
                                 .n_gpu_layers = SSW_PLACE_LAYERS_ALL};
    out->kv_bytes = sum_kv_bytes(facts, options);
    out->n_arms = facts->n_layers + 1;
    for (int32_t n = 0; n < out->n_arms; n++) {
        request.n_cpu_moe = n;
        ssw_place_assign(&request, items, n_items, &summary);
        uint64_t host_bytes = host_bytes_per_token(facts, n);
        out->arms[n] =
            (ssw_forecast_arm){.n_cpu_moe = n,
                               .vram_bytes = summary.device_bytes[SSW_PLACE_GPU],
                               .ram_bytes = summary.device_bytes[SSW_PLACE_CPU],
                               .host_bytes_per_token = host_bytes,
                               .ceiling_tokens_per_s = ceiling(options->host_bytes_per_s, host_bytes)};
    }
    uint64_t all_bytes = facts->expert_bytes_per_token + facts->other_bytes_per_token;
    out->no_gpu = (ssw_forecast_arm){.n_cpu_moe = facts->n_layers,
                                     .ram_bytes = facts->all.n_bytes + sum_kv_bytes(facts, &on_host),
                                     .host_bytes_per_token = all_bytes,
                                     .ceiling_tokens_per_s = ceiling(options->host_bytes_per_s, all_bytes)};
    free(items);
    return SSW_OK;
}
