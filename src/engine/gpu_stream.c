/* Prompts with experts in host memory: popular experts are copied to the device, the others stay the CPU's.
 *
 * A copied expert costs its bytes over the bus, however many tokens chose it; on the CPU it costs the larger
 * of its bytes and its arithmetic. So the device takes experts in falling order of popularity, as many as
 * make both sides end together. The rates behind that are those of the machine's kind, not measured: which
 * side computes a row decides how its sum rounds, and two runs must not differ. */
#include <string.h>

#include "engine/gpu_parts.h"

/* Seen on Sapphire and Emerald Rapids (docs/GPU.md), of a thread; what is wrong by a third shifts a few
 * experts from the one side to the other. In bf16 on AMX tiles an expert's weights are decoded once, which
 * takes as long as products with BF16_DECODE_TOKENS tokens, and tokens come by sixteens. */
#define CPU_PRODUCTS_PER_S  0.9e11 /* multiply-adds in 8-bit integers */
#define BF16_PRODUCTS_PER_S 1.6e11
#define BF16_DECODE_TOKENS  16
#define BF16_TOKENS         16
#define CPU_BYTES_PER_S     5e9

/* The pairs of each expert, and the chosen ones by falling count, of equals the lower number. */
static void count_pairs(const ssw_gpu *gpu, int32_t n_rows, ssw_gpu_stream_plan *plan)
{
    const int32_t *chosen = gpu->handover.chosen;
    memset(plan, 0, sizeof *plan);
    plan->n_pairs = n_rows * gpu->h->n_experts_used;
    for (int32_t p = 0; p < plan->n_pairs; p++)
        plan->counts[chosen[p]]++;
    for (int32_t e = 0; e < gpu->h->n_experts; e++) {
        if (plan->counts[e] == 0)
            continue;
        int32_t at = plan->n_active++;
        for (; at > 0 && plan->counts[plan->order[at - 1]] < plan->counts[e]; at--)
            plan->order[at] = plan->order[at - 1];
        plan->order[at] = e;
    }
}

/* Cached experts are the device's and need no copy. */
static void drop_cached(const ssw_gpu *gpu, int32_t layer, ssw_gpu_stream_plan *plan)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < plan->n_active; i++) {
        if (!ssw_gpu_is_cached(gpu, layer, plan->order[i]))
            plan->order[kept++] = plan->order[i];
    }
    plan->n_active = kept;
}

/* Bytes of one expert's two parts. */
static void part_bytes(const ssw_gpu_host_layer *layer, bool has_rest, double *own, double *rest)
{
    const ssw_cuda_experts *a = &layer->own, *b = &layer->rest;
    double bands = (double)((a->gate.rows + SSW_CUDA_BAND_ROWS - 1) / SSW_CUDA_BAND_ROWS);
    *own = bands * (double)(a->gate.band_bytes + a->up.band_bytes) + (double)a->down.matrix_bytes;
    bands = (double)((b->gate.rows + SSW_CUDA_BAND_ROWS - 1) / SSW_CUDA_BAND_ROWS);
    *rest =
        has_rest ? bands * (double)(b->gate.band_bytes + b->up.band_bytes) + (double)b->down.matrix_bytes : 0;
}

/* What the CPU's rows of one expert take all threads together. bytes: of those rows. */
static double host_seconds(const ssw_gpu *gpu, int32_t layer, int32_t n_pairs, double bytes)
{
    const ssw_cuda_experts *own = &gpu->share.layers[layer].own;
    double threads = (double)ssw_pool_threads(gpu->setup.pool);
    double products = 3 * (double)gpu->h->n_embd * (double)gpu->share.split; /* of a pair */
    double by_products = products * n_pairs / (CPU_PRODUCTS_PER_S * threads);
    double by_bytes = bytes / (CPU_BYTES_PER_S * threads);
    if (n_pairs >= SSW_CPU_BF16_PAIRS_MIN && ssw_cpu_team_has_bf16(gpu->team, own->gate.dtype) &&
        ssw_cpu_team_has_bf16(gpu->team, own->down.dtype)) {
        int32_t n_tokens = (n_pairs + BF16_TOKENS - 1) / BF16_TOKENS * BF16_TOKENS + BF16_DECODE_TOKENS;
        by_products = products * n_tokens / (BF16_PRODUCTS_PER_S * threads);
    }
    return by_products > by_bytes ? by_products : by_bytes;
}

/* How many of the most popular experts the device takes whole. */
static int32_t choose_count(const ssw_gpu *gpu, int32_t layer, const ssw_gpu_stream_plan *plan)
{
    double own_bytes, rest_bytes, host_s = 0;
    part_bytes(&gpu->share.layers[layer], gpu->share.has_rest, &own_bytes, &rest_bytes);
    for (int32_t i = 0; i < plan->n_active; i++)
        host_s += host_seconds(gpu, layer, plan->counts[plan->order[i]], own_bytes);
    double device_s = plan->n_active * rest_bytes / gpu->share.copy_bytes_per_s;
    double best_s = host_s > device_s ? host_s : device_s;
    int32_t best = 0;
    for (int32_t i = 0; i < plan->n_active; i++) {
        host_s -= host_seconds(gpu, layer, plan->counts[plan->order[i]], own_bytes);
        device_s += own_bytes / gpu->share.copy_bytes_per_s;
        double both_s = host_s > device_s ? host_s : device_s;
        if (both_s < best_s) {
            best_s = both_s;
            best = i + 1;
        }
    }
    return best;
}

void ssw_gpu_plan_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    ssw_gpu_stream_plan *plan = &gpu->share.plan;
    int32_t n_experts = gpu->h->n_experts;
    uint8_t *mask = gpu->share.mask + (size_t)layer * (size_t)n_experts;
    count_pairs(gpu, n_rows, plan);
    drop_cached(gpu, layer, plan);
    plan->n_device = choose_count(gpu, layer, plan);
    for (int32_t e = 0; e < n_experts; e++)
        mask[e] = ssw_gpu_is_cached(gpu, layer, e);
    for (int32_t i = 0; i < plan->n_device; i++)
        mask[plan->order[i]] = 1;
    for (int32_t p = 0; p < plan->n_pairs; p++) {
        int32_t expert = gpu->handover.chosen[p];
        gpu->share.own_chosen[p] = mask[expert] ? -1 : expert;
    }
}

/* ---- copies and products ---- */

static const uint8_t *const *table_of(const ssw_gpu *gpu, const ssw_gpu_slot *slot, int which)
{
    return slot->tables + (size_t)which * (size_t)gpu->h->n_experts;
}

/* An expert's rows of gate or up: the first n_own bands, unless own is NULL, and the rest, to their places;
 * as one copy where those are neighbours, as they are when all layers' types are alike. */
static void copy_rows(const ssw_gpu *gpu, const ssw_cuda_matrix *m, uint64_t expert, uint8_t *own,
                      uint8_t *rest)
{
    uint64_t own_bytes =
        (uint64_t)(gpu->share.split + SSW_CUDA_BAND_ROWS - 1) / SSW_CUDA_BAND_ROWS * m->band_bytes;
    const uint8_t *from = m->data + expert * m->matrix_bytes;
    if (own && own + own_bytes == rest) {
        ssw_cuda_copy_async(gpu->copy, own, from, m->matrix_bytes);
        return;
    }
    if (own)
        ssw_cuda_copy_async(gpu->copy, own, from, own_bytes);
    if (own_bytes < m->matrix_bytes)
        ssw_cuda_copy_async(gpu->copy, rest, from + own_bytes, m->matrix_bytes - own_bytes);
}

/* The expert's matrices in host memory to the slot: whole, or the device's rows only. */
static void fill_slot(const ssw_gpu *gpu, const ssw_gpu_slot *slot, int32_t layer, int32_t expert,
                      bool is_whole)
{
    const ssw_cuda_experts *own = &gpu->share.layers[layer].own, *rest = &gpu->share.layers[layer].rest;
    uint64_t e = (uint64_t)expert;
    copy_rows(gpu, &own->gate, e, is_whole ? slot->gate : NULL, slot->gate_rest);
    copy_rows(gpu, &own->up, e, is_whole ? slot->up : NULL, slot->up_rest);
    if (is_whole)
        ssw_cuda_copy_async(gpu->copy, slot->down, own->down.data + e * own->down.matrix_bytes,
                            own->down.matrix_bytes);
    if (gpu->share.has_rest)
        ssw_cuda_copy_async(gpu->copy, slot->down_rest, rest->down.data + e * rest->down.matrix_bytes,
                            rest->down.matrix_bytes);
}

/* One part of the expert in a slot, for all its pairs; added to what the other part made, or instead of it.
 */
static void multiply(const ssw_gpu *gpu, const ssw_gpu_slot *slot, int32_t layer, int32_t expert,
                     bool is_rest, bool is_second)
{
    const ssw_gpu_stream_plan *plan = &gpu->share.plan;
    const ssw_gpu_host_layer *host = &gpu->share.layers[layer];
    ssw_cuda_experts experts = is_rest ? host->rest : host->own;
    int tables = is_rest ? SSW_GPU_SLOT_TABLES / 2 : 0;
    experts.gate.table = table_of(gpu, slot, tables);
    experts.up.table = table_of(gpu, slot, tables + 1);
    experts.down.table = table_of(gpu, slot, tables + 2);
    ssw_cuda_expert_gemm_args args = {.experts = &experts,
                                      .pairs = {.first = gpu->first,
                                                .pair = gpu->pairs,
                                                .n_pairs = plan->n_pairs,
                                                .n_used = gpu->h->n_experts_used,
                                                .n_experts = gpu->h->n_experts},
                                      .expert_begin = expert,
                                      .expert_end = expert + 1,
                                      .max_pairs_per_expert = plan->counts[expert],
                                      .x = gpu->normed,
                                      .hidden = gpu->hidden,
                                      .out = gpu->pair_rows,
                                      .accumulate = is_second};
    ssw_cuda_expert_gemm_up(gpu->compute, &args);
    ssw_cuda_expert_gemm_down(gpu->compute, &args);
}

static void stream_expert(ssw_gpu *gpu, int32_t layer, int32_t expert, bool is_whole)
{
    ssw_gpu_slot *slot = &gpu->share.slots[gpu->share.next_slot++ % (uint64_t)gpu->share.n_slots];
    ssw_cuda_stream_wait(gpu->copy, slot->free);
    fill_slot(gpu, slot, layer, expert, is_whole);
    ssw_cuda_event_record(slot->filled, gpu->copy);
    ssw_cuda_stream_wait(gpu->compute, slot->filled);
    if (is_whole)
        multiply(gpu, slot, layer, expert, false, false);
    if (gpu->share.has_rest)
        multiply(gpu, slot, layer, expert, true, is_whole);
    ssw_cuda_event_record(slot->free, gpu->compute);
}

void ssw_gpu_enqueue_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    const ssw_model_hparams *h = gpu->h;
    const uint8_t *mask = gpu->share.mask + (size_t)layer * (size_t)h->n_experts;
    const ssw_gpu_stream_plan *plan = &gpu->share.plan;
    int32_t n_streamed = gpu->share.has_rest ? plan->n_active : plan->n_device;
    ssw_cuda_sort_pairs(gpu->compute, gpu->chosen, plan->n_pairs, h->n_experts, gpu->first, gpu->pairs);
    ssw_gpu_enqueue_cached(gpu, layer, n_rows);
    for (int32_t i = 0; i < n_streamed; i++)
        stream_expert(gpu, layer, plan->order[i], i < plan->n_device);
    ssw_cuda_sum_args sum = {.rows = gpu->pair_rows,
                             .weights = gpu->expert_weights,
                             .n = n_rows,
                             .n_used = h->n_experts_used,
                             .n_embd = h->n_embd,
                             .out = gpu->x};
    if (!gpu->share.has_rest) { /* else the device has something of every pair */
        sum.chosen = gpu->chosen;
        sum.mask = mask;
    }
    ssw_cuda_sum_pairs(gpu->compute, &sum);
}
