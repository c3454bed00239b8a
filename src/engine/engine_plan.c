/* What goes where: the list of everything that takes memory, its placement and its loading. */
#include "engine/engine_plan.h"

#include <stdlib.h>
#include <string.h>

#include "engine/host_memory.h"
#include "engine/plan_parts.h"

#define MIB (1024.0 * 1024.0)

enum { GPU_RESERVE_BYTES = 128 << 20 }; /* for what the driver takes when kernels are first used */

/* ---- the list ---- */

static void list_items(const ssw_engine *engine, ssw_plan_work *p)
{
    for (int32_t i = 0; i < p->n_weights; i++) {
        const ssw_weights_entry *entry = &engine->weights.entries[i];
        ssw_tensor_role role = {SSW_TENSOR_OTHER, -1};
        if (entry->tensor)
            role = ssw_tensor_role_of(entry->tensor->name);
        if (i % SSW_MODEL_SLOT_COUNT == SSW_MODEL_OUTPUT) /* which may be the embedding once more */
            role.kind = SSW_TENSOR_OUTPUT;
        ssw_place_item_init(&p->items[i], role, ssw_weights_predict_bytes(entry));
        p->items[i].name = entry->tensor ? entry->tensor->name : NULL;
        p->items[i].how = ssw_weights_form_name(entry->form);
    }
    for (int32_t i = 0; i < engine->info.n_layers; i++)
        p->items[p->n_weights + i] = (ssw_place_item){.table_class = "kv cache",
                                                      .how = "allocated",
                                                      .layer = i,
                                                      .bytes = ssw_kvcache_layer_bytes(&engine->cache, i)};
    p->host_buffers = &p->items[p->n_items - 3];
    p->gpu_buffers = &p->items[p->n_items - 2];
    p->expert_cache = &p->items[p->n_items - 1];
    *p->host_buffers =
        (ssw_place_item){.table_class = "compute buffers", .how = "allocated", .layer = -1, .is_input = true};
    *p->gpu_buffers = (ssw_place_item){.table_class = "compute buffers", .how = "allocated", .layer = -1};
    *p->expert_cache = (ssw_place_item){.table_class = "expert cache", .how = "allocated", .layer = -1};
}

/* Layers in host memory: all, or those before the first whose attention is on the GPU. */
static int32_t count_host_layers(const ssw_engine *engine, const ssw_plan_work *p)
{
    for (int32_t i = 0; i < engine->info.n_layers; i++) {
        if (p->items[p->n_weights + i].device == SSW_PLACE_GPU)
            return i;
    }
    return engine->info.n_layers;
}

/* What a core reads of memory, and all together at most: a rule of thumb, since every start must find the
 * same (gpu_share.c). */
#define CORE_BYTES_PER_S     6.5e9
#define HOST_BYTES_PER_S_MAX 200e9

/* Of every expert in host memory below a layer on the GPU, the columns of its last matrix that are the CPU's;
 * 0: all. */
static int64_t split_of(const ssw_engine *engine, const ssw_plan_work *p, int64_t unit,
                        const ssw_weights_entry *entry)
{
    int64_t n_ff = (int64_t)entry->tensor->dims[0];
    if (n_ff % unit != 0)
        return 0;
    double share = p->cpu_moe_share / 100.0;
    if (p->cpu_moe_share < 0) {
        double host = CORE_BYTES_PER_S * engine->info.n_threads;
        host = host < HOST_BYTES_PER_S_MAX ? host : HOST_BYTES_PER_S_MAX;
        share = host / (host + p->gpu.copy_bytes_per_s);
    }
    int64_t split = (int64_t)(share * (double)n_ff / (double)unit + 0.5) * unit;
    split = split < unit ? unit : split;
    return split < n_ff ? split : 0;
}

static ssw_weights_entry *down_of(const ssw_engine *engine, int32_t layer)
{
    return &engine->weights.entries[(layer + 1) * SSW_MODEL_SLOT_COUNT + SSW_MODEL_DOWN_EXPS];
}

/* Blocks are not cut, and all layers are split alike. */
static int64_t find_split_unit(const ssw_engine *engine)
{
    enum { UNIT_MIN = 32 };
    int64_t unit = UNIT_MIN;
    for (int32_t layer = 0; layer < engine->info.n_layers; layer++) {
        const ssw_gguf_tensor *down = down_of(engine, layer)->tensor;
        int64_t block = down ? (int64_t)ssw_dtype_find((uint32_t)down->dtype)->block_elements : 0;
        unit = block > unit ? block : unit;
    }
    return unit;
}

static void split_experts(ssw_engine *engine, const ssw_plan_work *p, int32_t first_gpu_layer)
{
    int64_t unit = find_split_unit(engine);
    for (int32_t layer = 0; layer < engine->info.n_layers; layer++) {
        ssw_weights_entry *down = down_of(engine, layer);
        bool is_shared = down->tensor && !down->on_gpu && layer >= first_gpu_layer;
        down->split = is_shared ? split_of(engine, p, unit, down) : 0;
    }
}

/* Whether the GPU reads experts from host memory. */
static bool has_host_experts(const ssw_engine *engine, const ssw_plan_work *p, int32_t first_gpu_layer)
{
    for (int32_t i = 0; i < p->n_weights; i++) {
        const ssw_place_item *item = &p->items[i];
        if (item->is_expert && item->layer >= first_gpu_layer && item->device == SSW_PLACE_CPU &&
            engine->weights.entries[i].form != SSW_WEIGHTS_ABSENT)
            return true;
    }
    return false;
}

/* The rate on which shares of experts depend; not measured where there are none. */
static ssw_status find_copy_rate(const ssw_engine *engine, ssw_plan_work *p, ssw_error *err)
{
    if (p->gpu.copy_bytes_per_s > 0 || !has_host_experts(engine, p, p->gpu_setup.first_layer))
        return SSW_OK;
    ssw_status status = SSW_OK;
    p->gpu.copy_bytes_per_s = p->copy_bytes_per_s;
    if (p->copy_bytes_per_s <= 0)
        status = ssw_gpu_measure_copies(&p->gpu, err);
    p->gpu_setup.copy_bytes_per_s = p->gpu.copy_bytes_per_s;
    return status;
}

/* Puts everything where the request says, tells the entries, and predicts what depends on it. */
static ssw_status settle(ssw_engine *engine, ssw_plan_work *p, ssw_place_summary *summary, ssw_error *err)
{
    ssw_place_assign(&p->request, p->items, p->n_items, summary);
    for (int32_t i = 0; i < p->n_weights; i++)
        engine->weights.entries[i].on_gpu =
            p->items[i].device == SSW_PLACE_GPU && engine->weights.entries[i].form != SSW_WEIGHTS_ABSENT;
    p->forward.n_host_layers = p->gpu_setup.first_layer = count_host_layers(engine, p);
    ssw_status status = find_copy_rate(engine, p, err);
    if (status != SSW_OK)
        return status;
    split_experts(engine, p, p->gpu_setup.first_layer);
    for (int32_t i = 0; i < p->n_weights; i++)
        p->items[i].bytes = ssw_weights_predict_bytes(&engine->weights.entries[i]);
    if (p->forward.n_host_layers > 0)
        p->host_buffers->bytes = ssw_forward_predict_bytes(&p->forward);
    for (int32_t i = p->gpu_setup.first_layer; i < engine->info.n_layers; i++)
        p->items[p->n_weights + i].bytes = ssw_gpu_predict_cache_bytes(&p->gpu_setup, i);
    p->gpu_buffers->bytes = p->expert_cache->bytes = 0;
    if (p->gpu_setup.first_layer < engine->info.n_layers) {
        p->gpu_buffers->bytes = ssw_gpu_predict_buffer_bytes(&p->gpu_setup);
        p->expert_cache->bytes = ssw_gpu_plan_cache(&p->gpu_setup).n_bytes;
    }
    ssw_place_assign(&p->request, p->items, p->n_items, summary); /* the sums of those bytes */
    return SSW_OK;
}

/* ---- the placement ---- */

/* Whether the GPU takes part; why not is said where someone asked for it. */
static bool find_gpu(const ssw_engine *engine, const ssw_engine_options *options, ssw_plan_work *p)
{
    ssw_error why = {0};
    if (options->n_gpu_layers == 0)
        return false;
    if (ssw_gpu_find(&p->gpu, &why) == SSW_OK && ssw_gpu_check_model(&engine->model, &why) == SSW_OK)
        return true;
    bool is_asked_for = options->n_gpu_layers != SSW_ENGINE_LAYERS_ALL;
    ssw_log_write(&engine->log, is_asked_for ? SSW_LOG_WARN : SSW_LOG_INFO, "no GPU is used: %s",
                  why.message);
    return false;
}

static uint64_t usable_bytes(const ssw_engine_options *options, const ssw_gpu_device *gpu)
{
    uint64_t bytes = gpu->free_bytes > GPU_RESERVE_BYTES ? gpu->free_bytes - GPU_RESERVE_BYTES : 1;
    return options->vram_bytes > 0 && options->vram_bytes < bytes ? options->vram_bytes : bytes;
}

/* The smallest n_cpu_moe that fits. Buffers and the expert cache come with the first expert that stays in
 * host memory: so again with their sizes, until nothing more is asked for. */
static ssw_status solve_auto(ssw_engine *engine, ssw_plan_work *p, ssw_place_summary *summary, ssw_error *err)
{
    int32_t n_before = -1;
    p->request.n_cpu_moe = 0;
    while (p->request.n_cpu_moe != n_before) {
        ssw_status status = settle(engine, p, summary, err);
        if (status != SSW_OK)
            return status;
        n_before = p->request.n_cpu_moe;
        int32_t n = ssw_place_solve_n_cpu_moe(&p->request, p->items, p->n_items);
        if (n < 0) { /* check says what is missing */
            p->request.n_cpu_moe = SSW_PLACE_LAYERS_ALL;
            return SSW_OK;
        }
        p->request.n_cpu_moe = n > n_before ? n : n_before;
    }
    ssw_log_write(&engine->log, SSW_LOG_INFO,
                  "--n-cpu-moe auto: %d of %d layers' experts stay in host memory", p->request.n_cpu_moe,
                  engine->info.n_layers);
    return SSW_OK;
}

static void open_request(const ssw_engine *engine, const ssw_engine_options *options, ssw_plan_work *p,
                         bool has_gpu)
{
    p->cpu_moe_share = options->cpu_moe_share;
    p->copy_bytes_per_s = options->copy_bytes_per_s;
    p->gpu_setup.rates = options->cpu_moe_rates;
    p->gpu_setup.expert_cache_bytes = options->moe_cache_bytes;
    p->devices[SSW_PLACE_CPU] = (ssw_place_device){"CPU", ssw_host_memory_available_bytes()};
    p->devices[SSW_PLACE_GPU] = (ssw_place_device){"CUDA0", has_gpu ? usable_bytes(options, &p->gpu) : 0};
    p->request = (ssw_place_request){.devices = p->devices,
                                     .n_devices = has_gpu ? 2 : 1,
                                     .n_layers = engine->info.n_layers,
                                     .n_gpu_layers = options->n_gpu_layers,
                                     .n_cpu_moe = options->n_cpu_moe};
    if (options->n_gpu_layers != 1 || !has_gpu)
        return;
    p->request.n_gpu_layers = 0;
    ssw_log_write(&engine->log, SSW_LOG_WARN,
                  "-ngl 1 moves nothing: the output head alone is not put on the GPU; -ngl 2 is the head and "
                  "one layer");
}

/* What a refusal advises must still fit with what experts in host memory need on the GPU. */
static ssw_status check_all(ssw_engine *engine, ssw_plan_work *p, ssw_error *err)
{
    ssw_place_summary summary;
    int32_t n_cpu_moe = p->request.n_cpu_moe;
    ssw_status status = ssw_place_check(&p->request, p->items, p->n_items, err);
    if (status == SSW_OK || n_cpu_moe >= engine->info.n_layers)
        return status;
    p->request.n_cpu_moe = SSW_PLACE_LAYERS_ALL;
    ssw_status settled = settle(engine, p, &summary, err);
    uint64_t buffers_bytes = p->gpu_buffers->bytes, cache_bytes = p->expert_cache->bytes;
    p->request.n_cpu_moe = n_cpu_moe;
    if (settled == SSW_OK)
        settled = settle(engine, p, &summary, err);
    if (settled != SSW_OK)
        return settled;
    p->gpu_buffers->bytes = buffers_bytes;
    p->expert_cache->bytes = cache_bytes;
    return ssw_place_check(&p->request, p->items, p->n_items, err);
}

static ssw_status place_all(ssw_engine *engine, const ssw_engine_options *options, ssw_plan_work *p,
                            ssw_error *err)
{
    ssw_place_summary summary;
    bool has_gpu = find_gpu(engine, options, p);
    open_request(engine, options, p, has_gpu);
    ssw_status status = ssw_place_overrides_apply(p->overrides, p->items, p->n_items, err);
    if (status == SSW_OK && options->n_cpu_moe == SSW_ENGINE_CPU_MOE_AUTO)
        status = solve_auto(engine, p, &summary, err);
    if (status == SSW_OK) {
        ssw_place_assign(&p->request, p->items, p->n_items, &summary);
        status = ssw_place_overrides_check(&p->request, p->items, p->n_items, err);
    }
    if (status == SSW_OK)
        status = settle(engine, p, &summary, err);
    if (status != SSW_OK)
        return status;
    ssw_plan_say_flags(engine, options, p, &summary);
    status = check_all(engine, p, err);
    if (status != SSW_OK && p->expert_cache->bytes > 0)
        ssw_error_prefix(err, "with %.1f MiB of expert cache", (double)p->expert_cache->bytes / MIB);
    return status;
}

/* ---- loading, and what became of it ---- */

static ssw_status load_all(ssw_engine *engine, ssw_plan_work *p, ssw_error *err)
{
    int32_t n_host_layers = p->forward.n_host_layers, n_layers = engine->info.n_layers;
    ssw_status status = ssw_weights_load(&engine->weights, engine->pool, &engine->log, err);
    if (status == SSW_OK)
        status = ssw_kvcache_open(&engine->cache, n_host_layers, err);
    if (status == SSW_OK && n_host_layers > 0)
        status = ssw_forward_open(&p->forward, &engine->forward, err);
    if (status == SSW_OK && n_host_layers < n_layers)
        status = ssw_gpu_open(&p->gpu_setup, &engine->gpu, err);
    if (status == SSW_ERR_FORMAT)
        ssw_error_prefix(err, "%s", ssw_gguf_file_path(engine->gguf, 0));
    if (status != SSW_OK)
        return status;
    if (engine->gpu) {
        engine->n_expert_slots = ssw_gpu_plan_cache(&p->gpu_setup).n_slots;
        engine->info.copy_bytes_per_s = p->gpu.copy_bytes_per_s;
        engine->info.cpu_moe_rates = ssw_gpu_read_rates(engine->gpu);
    }
    engine->info.finds_top = engine->gpu != NULL;
    engine->info.isa = ssw_cpu_isa_name(ssw_cpu_isa_resolve(p->forward.isa));
    return SSW_OK;
}

static void set_up(const ssw_engine *engine, const ssw_engine_options *options, ssw_plan_work *p)
{
    const ssw_engine_info *info = &engine->info;
    ssw_cpu_isa isa = options->use_reference_ops ? SSW_CPU_ISA_REFERENCE : SSW_CPU_ISA_AUTO;
    p->forward = (ssw_forward_setup){.model = &engine->model,
                                     .weights = &engine->weights,
                                     .cache = &engine->cache,
                                     .pool = engine->pool,
                                     .isa = isa,
                                     .ctx_size = info->ctx_size,
                                     .n_batch = info->n_batch,
                                     .n_sequences = info->n_parallel};
    p->gpu_setup = (ssw_gpu_setup){.model = &engine->model,
                                   .weights = &engine->weights,
                                   .cache = &engine->cache,
                                   .pool = engine->pool,
                                   .isa = isa,
                                   .log = engine->log,
                                   .cache_type_k = options->cache_type_k,
                                   .cache_type_v = options->cache_type_v,
                                   .ctx_size = info->ctx_size,
                                   .n_batch = info->n_batch,
                                   .n_sequences = info->n_parallel,
                                   .patience_ns = options->gpu_patience_ns};
}

ssw_status ssw_engine_plan_and_load(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err)
{
    const ssw_engine_info *info = &engine->info;
    ssw_plan_work p = {0};
    set_up(engine, options, &p);
    ssw_kvcache_plan(&engine->cache, &engine->model.hparams,
                     &(ssw_kvcache_shape){info->ctx_size, info->n_parallel, info->n_batch});
    ssw_status status = ssw_weights_plan(&engine->weights, &engine->model, err);
    if (status != SSW_OK)
        return status;
    status =
        ssw_place_overrides_open(options->override_tensors, options->n_override_tensors, &p.overrides, err);
    if (status != SSW_OK)
        return status;
    p.n_weights = engine->weights.n_entries;
    p.n_items = p.n_weights + info->n_layers + 3;
    p.items = calloc((size_t)p.n_items, sizeof *p.items);
    if (!p.items)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the placement of %d tensors", p.n_items);
    if (status == SSW_OK) {
        list_items(engine, &p);
        status = place_all(engine, options, &p, err);
    }
    if (status == SSW_OK)
        status = load_all(engine, &p, err);
    if (status == SSW_OK)
        ssw_plan_fill_places(engine, &p);
    ssw_place_overrides_close(p.overrides);
    free(p.items);
    return status;
}

ssw_status ssw_engine_check_override(const char *text, ssw_error *err)
{
    ssw_place_overrides *overrides = NULL;
    ssw_status status = ssw_place_overrides_open(&text, 1, &overrides, err);
    ssw_place_overrides_close(overrides);
    return status;
}
