/* What came of a placement: lines for the log, and the table of predicted and actual bytes. */
#include "engine/plan_parts.h"

#define MIB (1024.0 * 1024.0)

/* ---- the flags ---- */

/* Whether n_cpu_moe put any expert elsewhere than it would be without. */
static bool moves_experts(const ssw_plan_work *p)
{
    ssw_place_request without = p->request;
    without.n_cpu_moe = 0;
    for (int32_t i = 0; i < p->n_weights; i++) {
        if (p->items[i].bytes > 0 && ssw_place_device_of(&without, &p->items[i]) != p->items[i].device)
            return true;
    }
    return false;
}

static void say_no_host_experts(const ssw_engine *engine, const char *flag)
{
    ssw_log_write(&engine->log, SSW_LOG_WARN,
                  "%s changes nothing: no layer on the GPU has its experts in host memory", flag);
}

/* Of the flags that are numbers, those without effect. */
static void say_numbers(const ssw_engine *engine, const ssw_engine_options *options, const ssw_plan_work *p)
{
    if (p->request.n_devices < 2) {
        if (options->n_cpu_moe != 0)
            ssw_log_write(&engine->log, SSW_LOG_WARN,
                          "no GPU: --cpu-moe moves nothing; all tensors are already in host memory");
        if (options->vram_bytes > 0)
            ssw_log_write(&engine->log, SSW_LOG_WARN, "no GPU: --vram-mib limits nothing");
    } else if (options->n_cpu_moe > 0 && !moves_experts(p)) {
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "--cpu-moe or --n-cpu-moe moves nothing: those experts are where -ngl and -ot put them "
                      "anyway");
    }
    if (p->gpu.copy_bytes_per_s > 0)
        return;
    if (options->cpu_moe_share >= 0)
        say_no_host_experts(engine, "--cpu-moe-share");
    if (options->cpu_moe_rates.vectors > 0 || options->cpu_moe_rates.tiles > 0)
        say_no_host_experts(engine, "--cpu-moe-rate");
    if (options->copy_bytes_per_s > 0)
        say_no_host_experts(engine, "--copy-rate");
}

/* What each pattern did, loudly where that is nothing. */
static void say_overrides(const ssw_engine *engine, const ssw_plan_work *p)
{
    for (int32_t i = 0; i < ssw_place_overrides_count(p->overrides); i++) {
        ssw_place_override_effect e;
        ssw_place_overrides_describe(p->overrides, i, &p->request, p->items, p->n_items, &e);
        if (p->request.n_devices < 2)
            ssw_log_write(&engine->log, SSW_LOG_WARN,
                          "no GPU: -ot %s moves nothing; all tensors are already in host memory", e.text);
        else if (e.is_shadowed)
            ssw_log_write(&engine->log, SSW_LOG_WARN,
                          "-ot %s moves nothing: patterns before it decide about all tensors that it matches",
                          e.text);
        else if (e.n_decided == 0)
            ssw_log_write(&engine->log, SSW_LOG_WARN, "-ot %s moves nothing: it matches no tensor", e.text);
        else if (e.n_moved == 0)
            ssw_log_write(&engine->log, SSW_LOG_WARN,
                          "-ot %s moves nothing: the %d tensors that it matches would be there without it",
                          e.text, (int)e.n_decided);
        else
            ssw_log_write(&engine->log, SSW_LOG_INFO, "-ot %s moves %d tensors, %.1f MiB", e.text,
                          (int)e.n_moved, (double)e.moved_bytes / MIB);
    }
}

static void say_expert_cache(const ssw_engine *engine, const ssw_engine_options *options,
                             const ssw_plan_work *p)
{
    double asked_mib = (double)options->moe_cache_bytes / MIB;
    ssw_gpu_expert_cache_plan cache = {0};
    if (options->moe_cache_bytes == 0)
        return;
    if (p->gpu_setup.first_layer < engine->info.n_layers)
        cache = ssw_gpu_plan_cache(&p->gpu_setup);
    if (p->request.n_devices < 2)
        ssw_log_write(&engine->log, SSW_LOG_WARN, "no GPU: --moe-cache-mib caches nothing");
    else if (cache.n_experts == 0)
        ssw_log_write(
            &engine->log, SSW_LOG_WARN,
            "--moe-cache-mib caches nothing: no layer on the GPU has its experts in host memory; it "
            "goes with --cpu-moe, --n-cpu-moe or -ot");
    else if (cache.n_slots == 0)
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "--moe-cache-mib caches nothing: %.1f MiB are too few for one expert of %.1f MiB and "
                      "%.1f MiB of tables",
                      asked_mib, (double)cache.slot_bytes / MIB, (double)cache.tables_bytes / MIB);
    else if (cache.n_slots == cache.n_experts)
        ssw_log_write(&engine->log, SSW_LOG_WARN,
                      "--moe-cache-mib holds all %d experts that are in host memory: without the flag that "
                      "keeps them there they would be on the GPU only, and faster",
                      (int)cache.n_experts);
    else
        ssw_log_write(&engine->log, SSW_LOG_INFO,
                      "expert cache: %d of %d experts in host memory fit, %.1f MiB each", (int)cache.n_slots,
                      (int)cache.n_experts, (double)cache.slot_bytes / MIB);
}

void ssw_plan_say_flags(const ssw_engine *engine, const ssw_engine_options *options, const ssw_plan_work *p,
                        const ssw_place_summary *summary)
{
    bool has_gpu = p->request.n_devices > 1;
    say_numbers(engine, options, p);
    say_overrides(engine, p);
    say_expert_cache(engine, options, p);
    ssw_log_write(&engine->log, SSW_LOG_INFO, "placing %.1f MiB in host memory",
                  (double)summary->device_bytes[SSW_PLACE_CPU] / MIB);
    if (has_gpu)
        ssw_log_write(&engine->log, SSW_LOG_INFO,
                      "placing %.1f MiB on %s, of which %.1f MiB are free; %.1f MiB of experts kept off it",
                      (double)summary->device_bytes[SSW_PLACE_GPU] / MIB, p->gpu.name,
                      (double)p->gpu.free_bytes / MIB, (double)summary->expert_bytes_moved / MIB);
}

/* ---- the table ---- */

/* Drops the entries without a tensor, which would be rows of zero bytes. */
static int32_t tabulate(const ssw_plan_work *p, ssw_place_row rows[SSW_PLACE_ROWS_MAX])
{
    int32_t n = 0, kept = 0;
    n = ssw_place_tabulate(p->items, p->n_items, rows);
    for (int32_t i = 0; i < n; i++) {
        if (rows[i].predicted_bytes + rows[i].actual_bytes > 0)
            rows[kept++] = rows[i];
    }
    return kept;
}

void ssw_plan_fill_places(ssw_engine *engine, ssw_plan_work *p)
{
    ssw_place_row rows[SSW_PLACE_ROWS_MAX];
    ssw_gpu_bytes gpu_bytes = {0};
    for (int32_t i = 0; i < p->n_weights; i++)
        p->items[i].actual_bytes = engine->weights.entries[i].on_gpu
                                       ? ssw_gpu_weight_bytes(engine->gpu, i)
                                       : ssw_weights_actual_bytes(&engine->weights.entries[i]);
    if (engine->forward)
        p->host_buffers->actual_bytes = ssw_forward_bytes(engine->forward);
    if (engine->gpu)
        gpu_bytes = ssw_gpu_count_bytes(engine->gpu);
    p->gpu_buffers->actual_bytes = gpu_bytes.buffers;
    p->expert_cache->actual_bytes = gpu_bytes.expert_cache;
    /* A device's caches are one allocation: as a row of the table, on its first layer. */
    if (p->forward.n_host_layers > 0)
        p->items[p->n_weights].actual_bytes = engine->cache.n_bytes;
    if (engine->gpu)
        p->items[p->n_weights + p->gpu_setup.first_layer].actual_bytes = gpu_bytes.cache;
    engine->info.n_places = tabulate(p, rows);
    for (int32_t i = 0; i < engine->info.n_places; i++)
        engine->info.places[i] = (ssw_engine_place){.tensors = rows[i].table_class,
                                                    .device = p->devices[rows[i].device].name,
                                                    .how = rows[i].how,
                                                    .predicted_bytes = rows[i].predicted_bytes,
                                                    .actual_bytes = rows[i].actual_bytes};
}
