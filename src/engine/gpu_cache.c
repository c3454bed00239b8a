/* Hot experts of layers in host memory, kept on the device whole: its products, its contents, its tables.
 *
 * Every such layer has tables of pointers, one entry an expert: to the cached copy's CPU rows (absent: NULL),
 * to its other rows (absent: NULL), and to its other rows wherever they are. Kernels look there, so that a
 * recorded graph stays valid while contents change. What changes is decided between two steps
 * (expert_cache.h): an expert that is replaced leaves the tables at once, its slot is filled on the copy
 * stream during the next step, and the newcomer enters the tables at the boundary after that, which waits for
 * the copy: when it enters must not depend on time, since it decides how sums round. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/gpu_parts.h"

enum {
    ALIGNMENT_BYTES = 256,
    N_MATRICES = 3, /* gate, up, down */
    TABLE_OWN = 0,
    TABLE_CACHED_REST = N_MATRICES,
    TABLE_ANY_REST = 2 * N_MATRICES,
    N_TABLES = 3 * N_MATRICES
};
#define SAY_EVERY_NS (10 * SSW_NS_PER_S)

static const ssw_model_slot expert_slots[N_MATRICES] = {SSW_MODEL_GATE_EXPS, SSW_MODEL_UP_EXPS,
                                                        SSW_MODEL_DOWN_EXPS};

/* ---- sizes ---- */

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
}

static uint64_t columns_bytes(const ssw_weights_entry *entry, int64_t n)
{
    return round_up(
        ssw_cpu_matrix_predict_bytes(entry->tensor->dtype, (int64_t)entry->tensor->dims[1], n, 1));
}

/* Of one expert of a layer; 0 where its experts are not in host memory below a layer on the device. */
static uint64_t expert_bytes(const ssw_gpu_setup *setup, int32_t layer)
{
    uint64_t bytes = 0;
    for (int i = 0; i < N_MATRICES; i++) {
        const ssw_weights_entry *entry =
            &setup->weights->entries[(layer + 1) * SSW_MODEL_SLOT_COUNT + (int32_t)expert_slots[i]];
        if (entry->form != SSW_WEIGHTS_MATRIX || entry->on_gpu)
            return 0;
        int64_t cols = (int64_t)entry->tensor->dims[0];
        bytes += columns_bytes(entry, entry->split > 0 ? entry->split : cols);
        bytes += entry->split > 0 ? columns_bytes(entry, cols - entry->split) : 0;
    }
    return bytes;
}

ssw_gpu_expert_cache_plan ssw_gpu_plan_cache(const ssw_gpu_setup *setup)
{
    const ssw_model_hparams *h = &setup->model->hparams;
    ssw_gpu_expert_cache_plan plan = {0};
    for (int32_t layer = setup->first_layer; layer < h->n_layers; layer++) {
        uint64_t bytes = expert_bytes(setup, layer);
        plan.n_layers += bytes > 0;
        plan.slot_bytes = bytes > plan.slot_bytes ? bytes : plan.slot_bytes;
    }
    plan.n_experts = plan.n_layers * h->n_experts;
    plan.tables_bytes = round_up((uint64_t)plan.n_experts * N_TABLES * sizeof(void *));
    if (plan.n_experts == 0 || setup->expert_cache_bytes < plan.tables_bytes + plan.slot_bytes)
        return plan;
    uint64_t n = (setup->expert_cache_bytes - plan.tables_bytes) / plan.slot_bytes;
    plan.n_slots = n < (uint64_t)plan.n_experts ? (int32_t)n : plan.n_experts;
    plan.n_bytes = plan.tables_bytes + (uint64_t)plan.n_slots * plan.slot_bytes;
    return plan;
}

/* ---- contents ---- */

static const uint8_t **tables_of(const ssw_gpu *gpu, const uint8_t **memory, int32_t number)
{
    return memory + (size_t)number * N_TABLES * (size_t)gpu->h->n_experts;
}

/* Entries of all tables of one expert, on the host. slot -1: it is not cached. */
static void set_entries(ssw_gpu *gpu, int32_t number, int32_t expert, int32_t slot)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    const ssw_gpu_host_layer *layer = &gpu->share.layers[cache->layer_of[number]];
    const ssw_cuda_experts *own = &layer->own, *rest = &layer->rest;
    size_t n = (size_t)gpu->h->n_experts, e = (size_t)expert;
    const uint8_t **tables = tables_of(gpu, cache->tables_host, number);
    uint64_t rest_at = (uint64_t)(gpu->share.split / SSW_CUDA_BAND_ROWS);
    const uint8_t *entries[N_TABLES] = {0};
    if (slot >= 0) {
        const uint8_t *gate = cache->slots + (uint64_t)slot * cache->plan.slot_bytes;
        const uint8_t *up = gate + round_up(own->gate.matrix_bytes);
        const uint8_t *down = up + round_up(own->up.matrix_bytes);
        const uint8_t *down_rest = down + round_up(own->down.matrix_bytes);
        const uint8_t *const here[] = {
            gate,     up, down, gate + rest_at * own->gate.band_bytes, up + rest_at * own->up.band_bytes,
            down_rest};
        memcpy(entries, here, sizeof here);
        memcpy(entries + TABLE_ANY_REST, here + TABLE_CACHED_REST, N_MATRICES * sizeof *here);
    } else {
        entries[TABLE_ANY_REST] = rest->gate.data + e * rest->gate.matrix_bytes;
        entries[TABLE_ANY_REST + 1] = rest->up.data + e * rest->up.matrix_bytes;
        entries[TABLE_ANY_REST + 2] = rest->down.data + e * rest->down.matrix_bytes;
    }
    for (size_t i = 0; i < N_TABLES; i++)
        tables[i * n + e] = entries[i];
}

/* The expert's matrices from host memory to its slot, on the copy stream. */
static void upload(ssw_gpu *gpu, int32_t number, int32_t expert, int32_t slot)
{
    const ssw_gpu_host_layer *layer = &gpu->share.layers[gpu->expert_cache.layer_of[number]];
    const ssw_cuda_matrix *parts[] = {&layer->own.gate, &layer->own.up, &layer->own.down, &layer->rest.down};
    uint8_t *at = gpu->expert_cache.slots + (uint64_t)slot * gpu->expert_cache.plan.slot_bytes;
    int n_parts = gpu->share.has_rest ? N_MATRICES + 1 : N_MATRICES;
    for (int i = 0; i < n_parts; i++) {
        ssw_cuda_copy_async(gpu->copy, at, parts[i]->data + (uint64_t)expert * parts[i]->matrix_bytes,
                            parts[i]->matrix_bytes);
        at += round_up(parts[i]->matrix_bytes);
    }
}

static void copy_tables(ssw_gpu *gpu, int32_t number)
{
    ssw_cuda_copy_async(gpu->compute, (void *)tables_of(gpu, gpu->expert_cache.tables, number),
                        (const void *)tables_of(gpu, gpu->expert_cache.tables_host, number),
                        (uint64_t)N_TABLES * (uint64_t)gpu->h->n_experts * sizeof(void *));
}

/* ---- opening ---- */

ssw_status ssw_gpu_alloc_cache(ssw_gpu *gpu, ssw_error *err)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    void *memory = NULL, *tables = NULL;
    cache->plan = ssw_gpu_plan_cache(&gpu->setup);
    if (cache->plan.n_slots == 0)
        return SSW_OK;
    ssw_status status = ssw_cuda_alloc(&memory, cache->plan.n_bytes, err);
    if (status != SSW_OK)
        return ssw_error_prefix(err, "expert cache (try a smaller --moe-cache-mib)");
    cache->memory = memory;
    cache->tables = memory;
    cache->slots = cache->memory + cache->plan.tables_bytes;
    gpu->bytes.expert_cache = cache->plan.n_bytes;
    status = ssw_cuda_alloc_host(&tables, cache->plan.tables_bytes, err);
    cache->tables_host = tables;
    gpu->bytes.pinned += cache->plan.tables_bytes;
    return status;
}

ssw_status ssw_gpu_open_cache(ssw_gpu *gpu, ssw_error *err)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    if (cache->plan.n_slots == 0)
        return SSW_OK;
    cache->layer_of = calloc((size_t)cache->plan.n_layers, sizeof *cache->layer_of);
    if (!cache->layer_of)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the expert cache");
    int32_t n = 0;
    for (int32_t layer = gpu->setup.first_layer; layer < gpu->h->n_layers; layer++) {
        if (!ssw_gpu_layer_is_handed_over(gpu, layer))
            continue;
        gpu->share.layers[layer].cache_number = n;
        cache->layer_of[n++] = layer;
    }
    const ssw_expert_cache_shape shape = {
        .n_layers = cache->plan.n_layers,
        .n_experts = gpu->h->n_experts,
        .n_used = gpu->h->n_experts_used,
        .n_slots = cache->plan.n_slots,
        .n_moves = ssw_expert_cache_moves(cache->plan.n_layers, gpu->h->n_experts_used)};
    ssw_status status = ssw_expert_cache_open(&shape, &cache->contents, err);
    if (status != SSW_OK)
        return status;
    for (int32_t number = 0; number < n; number++) {
        for (int32_t e = 0; e < gpu->h->n_experts; e++) {
            int32_t slot = ssw_expert_cache_slot(cache->contents, number, e);
            set_entries(gpu, number, e, slot);
            if (slot >= 0)
                upload(gpu, number, e, slot);
        }
        copy_tables(gpu, number);
    }
    status = ssw_cuda_stream_sync(gpu->copy, err);
    if (status == SSW_OK)
        status = ssw_cuda_stream_sync(gpu->compute, err);
    cache->said_ns = ssw_clock_now_ns();
    return status;
}

void ssw_gpu_close_cache(ssw_gpu *gpu)
{
    if (gpu->copy)
        (void)ssw_cuda_stream_sync(gpu->copy, NULL); /* an upload may be under way */
    ssw_cuda_free(gpu->expert_cache.memory);
    ssw_cuda_free_host((void *)gpu->expert_cache.tables_host);
    ssw_expert_cache_close(gpu->expert_cache.contents);
    free(gpu->expert_cache.layer_of);
}

/* ---- between two steps ---- */

/* How well it does, now and then. */
static void say_rate(ssw_gpu *gpu)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    int64_t now_ns = ssw_clock_now_ns();
    if (now_ns - cache->said_ns < SAY_EVERY_NS)
        return;
    uint64_t hits = atomic_load(&cache->hits) - cache->said_hits;
    uint64_t uses = hits + atomic_load(&cache->misses) - cache->said_misses;
    uint64_t uploads = atomic_load(&cache->uploads) - cache->said_uploads;
    if (uses == 0)
        return;
    ssw_log_write(&gpu->setup.log, SSW_LOG_INFO,
                  "expert cache: %.1f %% of %llu uses in VRAM, %llu of %d experts replaced, in %.1f s",
                  100.0 * (double)hits / (double)uses, (unsigned long long)uses, (unsigned long long)uploads,
                  (int)cache->plan.n_slots, (double)(now_ns - cache->said_ns) / (double)SSW_NS_PER_S);
    cache->said_ns = now_ns;
    cache->said_hits += hits;
    cache->said_misses += uses - hits;
    cache->said_uploads += uploads;
}

ssw_status ssw_gpu_turn_cache(ssw_gpu *gpu, int32_t n_tokens, ssw_error *err)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    if (!cache->contents)
        return SSW_OK;
    if (cache->n_moves > 0) {
        ssw_status status = ssw_cuda_stream_sync(gpu->copy, err);
        if (status != SSW_OK)
            return status;
    }
    bool is_changed[SSW_MODEL_LAYERS_MAX] = {false};
    for (int32_t i = 0; i < cache->n_moves; i++) {
        const ssw_expert_cache_move *move = &cache->moves[i];
        set_entries(gpu, move->layer, move->expert, move->slot);
        is_changed[move->layer] = true;
    }
    cache->n_moves = ssw_expert_cache_turn(cache->contents, cache->n_tokens, cache->moves);
    cache->n_tokens = n_tokens;
    for (int32_t i = 0; i < cache->n_moves; i++) {
        const ssw_expert_cache_move *move = &cache->moves[i];
        set_entries(gpu, move->old_layer, move->old_expert, -1);
        is_changed[move->old_layer] = true;
        upload(gpu, move->layer, move->expert, move->slot);
    }
    for (int32_t number = 0; number < cache->plan.n_layers; number++) {
        if (is_changed[number])
            copy_tables(gpu, number);
    }
    atomic_fetch_add(&cache->uploads, (uint64_t)cache->n_moves);
    say_rate(gpu);
    return ssw_cuda_stream_check(gpu->copy, err);
}

/* ---- within a step ---- */

void ssw_gpu_count_uses(ssw_gpu *gpu, int32_t layer, const ssw_gpu_shape *shape)
{
    ssw_gpu_expert_cache *cache = &gpu->expert_cache;
    if (!cache->contents)
        return;
    int32_t n = shape->n_rows * gpu->h->n_experts_used;
    int32_t n_hits = ssw_expert_cache_count(cache->contents, gpu->share.layers[layer].cache_number,
                                            gpu->handover.chosen, n);
    if (shape->is_streamed)
        return;
    atomic_fetch_add(&cache->hits, (uint64_t)n_hits);
    atomic_fetch_add(&cache->misses, (uint64_t)(n - n_hits));
}

bool ssw_gpu_is_cached(const ssw_gpu *gpu, int32_t layer, int32_t expert)
{
    return gpu->expert_cache.contents &&
           ssw_expert_cache_slot(gpu->expert_cache.contents, gpu->share.layers[layer].cache_number, expert) >=
               0;
}

const int32_t *ssw_gpu_leave_out_cached(const ssw_gpu *gpu, int32_t layer, int32_t n_rows,
                                        int32_t left[SSW_GPU_FEW_PAIRS_MAX])
{
    const int32_t *chosen = gpu->handover.chosen;
    if (!gpu->expert_cache.contents)
        return chosen;
    for (int32_t p = 0; p < n_rows * gpu->h->n_experts_used; p++)
        left[p] = ssw_gpu_is_cached(gpu, layer, chosen[p]) ? -1 : chosen[p];
    return left;
}

static ssw_cuda_experts at_tables(const ssw_gpu *gpu, int32_t layer, const ssw_cuda_experts *part, int first)
{
    ssw_cuda_experts experts = *part;
    size_t n = (size_t)gpu->h->n_experts;
    const uint8_t **tables =
        tables_of(gpu, gpu->expert_cache.tables, gpu->share.layers[layer].cache_number) + (size_t)first * n;
    experts.gate.table = tables;
    experts.up.table = tables + n;
    experts.down.table = tables + 2 * n;
    return experts;
}

static void multiply_few(const ssw_gpu *gpu, const ssw_cuda_experts *experts, int32_t n_rows)
{
    ssw_cuda_moe_args args = {.experts = experts,
                              .x = gpu->normed,
                              .n = n_rows,
                              .n_used = gpu->h->n_experts_used,
                              .chosen = gpu->chosen,
                              .weights = gpu->expert_weights,
                              .hidden = gpu->hidden,
                              .out = gpu->x};
    ssw_cuda_moe(gpu->compute, &args);
}

void ssw_gpu_enqueue_rest(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    const ssw_gpu_host_layer *host = &gpu->share.layers[layer];
    if (!gpu->expert_cache.contents) {
        if (gpu->share.has_rest)
            multiply_few(gpu, &host->rest, n_rows);
        return;
    }
    ssw_cuda_experts own = at_tables(gpu, layer, &host->own, TABLE_OWN);
    multiply_few(gpu, &own, n_rows);
    if (!gpu->share.has_rest)
        return;
    ssw_cuda_experts rest = at_tables(gpu, layer, &host->rest, TABLE_ANY_REST);
    multiply_few(gpu, &rest, n_rows);
}

static void multiply_many(const ssw_gpu *gpu, const ssw_cuda_experts *experts, int32_t n_rows, bool is_second)
{
    ssw_cuda_expert_gemm_args args = {.experts = experts,
                                      .pairs = {.first = gpu->first,
                                                .pair = gpu->pairs,
                                                .n_pairs = n_rows * gpu->h->n_experts_used,
                                                .n_used = gpu->h->n_experts_used,
                                                .n_experts = gpu->h->n_experts},
                                      .expert_begin = 0,
                                      .expert_end = gpu->h->n_experts,
                                      .max_pairs_per_expert = n_rows,
                                      .x = gpu->normed,
                                      .hidden = gpu->hidden,
                                      .out = gpu->pair_rows,
                                      .accumulate = is_second};
    ssw_cuda_expert_gemm_up(gpu->compute, &args);
    ssw_cuda_expert_gemm_down(gpu->compute, &args);
}

void ssw_gpu_enqueue_cached(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    const ssw_gpu_host_layer *host = &gpu->share.layers[layer];
    if (!gpu->expert_cache.contents)
        return;
    ssw_cuda_experts own = at_tables(gpu, layer, &host->own, TABLE_OWN);
    multiply_many(gpu, &own, n_rows, false);
    if (!gpu->share.has_rest)
        return;
    ssw_cuda_experts rest = at_tables(gpu, layer, &host->rest, TABLE_CACHED_REST);
    multiply_many(gpu, &rest, n_rows, true);
}
