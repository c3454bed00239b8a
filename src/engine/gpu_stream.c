/* Prompts with experts in host memory: popular experts are copied to the device, the others stay the CPU's.
 *
 * A copied expert costs its bytes over the bus, however many tokens chose it; on the CPU it costs the larger
 * of its bytes and its arithmetic. So the device takes experts in falling order of popularity, as many as
 * make both sides end together. The rates behind that are those of the machine's kind, not measured: which
 * side computes a row decides how its sum rounds, and two runs must not differ. */
#include <string.h>

#include "engine/gpu_parts.h"

/* Seen on Sapphire and Emerald Rapids (docs/GPU.md), of a thread; what is wrong by a third shifts a few
 * experts from the one side to the other. */
#define CPU_PRODUCTS_PER_S  0.9e11 /* multiply-adds in 8-bit integers */
#define BF16_PRODUCTS_PER_S 2.7e11 /* on AMX tiles, of BF16_TOKENS each */
#define BF16_TOKENS         16
#define CPU_BYTES_PER_S     5e9

/* Experts are copied ahead when as many choices fall on each: then few of them are chosen by none. */
enum { AHEAD_PAIRS_MIN = 2 };

/* Experts of which the device has no copy, by number. Returns how many. */
static int32_t list_uncached(const ssw_gpu *gpu, int32_t layer, int32_t order[SSW_CUDA_EXPERTS_MAX])
{
    int32_t n = 0;
    for (int32_t e = 0; e < gpu->h->n_experts; e++) {
        if (!ssw_gpu_is_cached(gpu, layer, e))
            order[n++] = e;
    }
    return n;
}

static void count_pairs(const ssw_gpu *gpu, int32_t n_rows, ssw_gpu_stream_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->n_pairs = n_rows * gpu->h->n_experts_used;
    for (int32_t p = 0; p < plan->n_pairs; p++)
        plan->counts[gpu->handover.chosen[p]]++;
}

/* The first n_ahead of the uncached experts, and the other chosen ones by falling count, of equals the lower
 * number. */
static void order_experts(const ssw_gpu *gpu, int32_t layer, int32_t n_ahead, ssw_gpu_stream_plan *plan)
{
    int32_t uncached[SSW_CUDA_EXPERTS_MAX], n = list_uncached(gpu, layer, uncached);
    for (int32_t i = 0; i < n; i++) {
        int32_t e = uncached[i];
        if (i >= n_ahead && plan->counts[e] == 0)
            continue;
        int32_t at = plan->n_active++;
        for (; at > n_ahead && plan->counts[plan->order[at - 1]] < plan->counts[e]; at--)
            plan->order[at] = plan->order[at - 1];
        plan->order[at] = e;
    }
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
        int32_t n_tokens = (n_pairs + BF16_TOKENS - 1) / BF16_TOKENS * BF16_TOKENS;
        by_products = products * n_tokens / (BF16_PRODUCTS_PER_S * threads);
    }
    return by_products > by_bytes ? by_products : by_bytes;
}

/* How many of the order's experts the device takes whole, of which n_ahead are under way. */
static int32_t choose_count(const ssw_gpu *gpu, int32_t layer, int32_t n_ahead,
                            const ssw_gpu_stream_plan *plan)
{
    double own_bytes, rest_bytes, host_s = 0;
    ssw_gpu_find_part_bytes(gpu, layer, &own_bytes, &rest_bytes);
    double device_bytes = plan->n_active * rest_bytes + n_ahead * own_bytes;
    if (n_ahead > 0) /* while the bus had nothing else to do */
        device_bytes -= (double)(gpu->share.piece_bytes * (uint64_t)gpu->share.copied.n_waiting);
    for (int32_t i = n_ahead; i < plan->n_active; i++)
        host_s += host_seconds(gpu, layer, plan->counts[plan->order[i]], own_bytes);
    double device_s = device_bytes / gpu->share.copy_bytes_per_s;
    double best_s = host_s > device_s ? host_s : device_s;
    int32_t best = n_ahead;
    for (int32_t i = n_ahead; i < plan->n_active; i++) {
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
    int32_t n_experts = gpu->h->n_experts, n_ahead = ssw_gpu_count_ahead(gpu);
    uint8_t *mask = gpu->share.mask + (size_t)layer * (size_t)n_experts;
    count_pairs(gpu, n_rows, plan);
    order_experts(gpu, layer, n_ahead, plan);
    plan->n_device = choose_count(gpu, layer, n_ahead, plan);
    for (int32_t e = 0; e < n_experts; e++)
        mask[e] = ssw_gpu_is_cached(gpu, layer, e);
    for (int32_t i = 0; i < plan->n_device; i++)
        mask[plan->order[i]] = 1;
    for (int32_t p = 0; p < plan->n_pairs; p++) {
        int32_t expert = gpu->handover.chosen[p];
        gpu->share.own_chosen[p] = mask[expert] ? -1 : expert;
    }
}

void ssw_gpu_begin_stream(ssw_gpu *gpu, int32_t n_rows)
{
    int32_t order[SSW_CUDA_EXPERTS_MAX], layer = gpu->next_layer, n = 0;
    while (layer < gpu->h->n_layers && !ssw_gpu_layer_is_handed_over(gpu, layer))
        layer++;
    if (layer < gpu->h->n_layers && n_rows * gpu->h->n_experts_used >= AHEAD_PAIRS_MIN * gpu->h->n_experts)
        n = list_uncached(gpu, layer, order);
    ssw_gpu_copy_ahead(gpu, layer, order, n);
}

void ssw_gpu_enqueue_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    const ssw_model_hparams *h = gpu->h;
    const ssw_gpu_stream_plan *plan = &gpu->share.plan;
    ssw_cuda_sort_pairs(gpu->compute, gpu->chosen, plan->n_pairs, h->n_experts, gpu->first, gpu->pairs);
    ssw_gpu_enqueue_cached(gpu, layer, n_rows);
    ssw_gpu_enqueue_pieces(gpu);
    ssw_cuda_sum_args sum = {.rows = gpu->pair_rows,
                             .weights = gpu->expert_weights,
                             .n = n_rows,
                             .n_used = h->n_experts_used,
                             .n_embd = h->n_embd,
                             .out = gpu->x};
    if (!gpu->share.has_rest) { /* else the device has something of every pair */
        sum.chosen = gpu->chosen;
        sum.mask = gpu->share.mask + (size_t)layer * (size_t)h->n_experts;
    }
    ssw_cuda_sum_pairs(gpu->compute, &sum);
}
