/* What goes where: the list of everything that takes memory, its placement, its loading, and the table of
 * both. */
#include "engine/engine_plan.h"

#include <stdlib.h>
#include <string.h>

#include "engine/host_memory.h"

#define MIB (1024.0 * 1024.0)

typedef struct plan {
    ssw_place_item *items; /* the weights' entries, then the layers' KV caches, then the compute buffers */
    int32_t n_items, n_weights;
    ssw_place_device devices[SSW_PLACE_DEVICES_MAX];
    ssw_place_request request;
    ssw_forward_setup forward;
} plan;

static void list_items(const ssw_engine *engine, plan *p)
{
    for (int32_t i = 0; i < p->n_weights; i++) {
        const ssw_weights_entry *entry = &engine->weights.entries[i];
        ssw_tensor_role role = {SSW_TENSOR_OTHER, -1};
        if (entry->tensor)
            role = ssw_tensor_role_of(entry->tensor->name);
        ssw_place_item_init(&p->items[i], role, ssw_weights_predict_bytes(entry));
        p->items[i].how = ssw_weights_form_name(entry->form);
    }
    for (int32_t i = 0; i < engine->info.n_layers; i++)
        p->items[p->n_weights + i] = (ssw_place_item){.table_class = "kv cache",
                                                      .how = "allocated",
                                                      .layer = i,
                                                      .bytes = ssw_kvcache_layer_bytes(&engine->cache, i)};
    p->items[p->n_items - 1] = (ssw_place_item){.table_class = "compute buffers",
                                                .how = "allocated",
                                                .layer = -1,
                                                .is_input = true,
                                                .bytes = ssw_forward_predict_bytes(&p->forward)};
}

/* Drops the entries without a tensor, which would be rows of zero bytes. */
static int32_t tabulate(const plan *p, ssw_place_row rows[SSW_PLACE_ROWS_MAX])
{
    int32_t n = 0, kept = 0;
    n = ssw_place_tabulate(p->items, p->n_items, rows);
    for (int32_t i = 0; i < n; i++) {
        if (rows[i].predicted_bytes + rows[i].actual_bytes > 0)
            rows[kept++] = rows[i];
    }
    return kept;
}

static void fill_places(ssw_engine *engine, plan *p)
{
    ssw_place_row rows[SSW_PLACE_ROWS_MAX];
    for (int32_t i = 0; i < p->n_weights; i++)
        p->items[i].actual_bytes = ssw_weights_actual_bytes(&engine->weights.entries[i]);
    for (int32_t i = 0; i < engine->info.n_layers; i++)
        p->items[p->n_weights + i].actual_bytes = ssw_kvcache_layer_bytes(&engine->cache, i);
    p->items[p->n_items - 1].actual_bytes = ssw_forward_bytes(engine->forward);
    engine->info.n_places = tabulate(p, rows);
    for (int32_t i = 0; i < engine->info.n_places; i++)
        engine->info.places[i] = (ssw_engine_place){.tensors = rows[i].table_class,
                                                    .device = p->devices[rows[i].device].name,
                                                    .how = rows[i].how,
                                                    .predicted_bytes = rows[i].predicted_bytes,
                                                    .actual_bytes = rows[i].actual_bytes};
}

static ssw_status place_all(const ssw_engine *engine, const ssw_engine_options *options, plan *p,
                            ssw_error *err)
{
    ssw_place_summary summary;
    p->devices[SSW_PLACE_CPU] = (ssw_place_device){"CPU", ssw_host_memory_available_bytes()};
    p->request = (ssw_place_request){.devices = p->devices,
                                     .n_devices = 1,
                                     .n_layers = engine->info.n_layers,
                                     .n_gpu_layers = SSW_PLACE_LAYERS_ALL,
                                     .n_cpu_moe = options->n_cpu_moe};
    ssw_place_assign(&p->request, p->items, p->n_items, &summary);
    if (options->n_cpu_moe > 0 && p->request.n_devices < 2)
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "no GPU: --cpu-moe moves nothing; all tensors are already in host memory");
    ssw_log_write(&engine->log, SSW_LOG_INFO, "placing %.1f MiB in host memory",
                  (double)summary.device_bytes[SSW_PLACE_CPU] / MIB);
    return ssw_place_check(&p->request, p->items, p->n_items, err);
}

static ssw_status load_all(ssw_engine *engine, plan *p, ssw_error *err)
{
    ssw_status status = ssw_weights_load(&engine->weights, engine->pool, &engine->log, err);
    if (status == SSW_OK)
        status = ssw_kvcache_open(&engine->cache, err);
    if (status == SSW_OK)
        status = ssw_forward_open(&p->forward, &engine->forward, err);
    if (status == SSW_ERR_FORMAT)
        ssw_error_prefix(err, "%s", ssw_gguf_file_path(engine->gguf, 0));
    if (status != SSW_OK)
        return status;
    engine->info.isa = ssw_forward_isa_name(engine->forward);
    fill_places(engine, p);
    return SSW_OK;
}

ssw_status ssw_engine_plan_and_load(ssw_engine *engine, const ssw_engine_options *options, ssw_error *err)
{
    const ssw_engine_info *info = &engine->info;
    plan p = {.forward = {.model = &engine->model,
                          .weights = &engine->weights,
                          .cache = &engine->cache,
                          .pool = engine->pool,
                          .isa = options->use_reference_ops ? SSW_CPU_ISA_REFERENCE : SSW_CPU_ISA_AUTO,
                          .ctx_size = info->ctx_size,
                          .n_batch = info->n_batch,
                          .n_sequences = info->n_parallel}};
    ssw_kvcache_plan(&engine->cache, &engine->model.hparams,
                     &(ssw_kvcache_shape){info->ctx_size, info->n_parallel, info->n_batch});
    ssw_status status = ssw_weights_plan(&engine->weights, &engine->model, err);
    if (status != SSW_OK)
        return status;
    p.n_weights = engine->weights.n_entries;
    p.n_items = p.n_weights + info->n_layers + 1;
    p.items = calloc((size_t)p.n_items, sizeof *p.items);
    if (!p.items)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the placement of %d tensors", p.n_items);
    list_items(engine, &p);
    status = place_all(engine, options, &p, err);
    if (status == SSW_OK)
        status = load_all(engine, &p, err);
    free(p.items);
    return status;
}
