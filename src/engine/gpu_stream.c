/* Prompts with experts in host memory: popular experts are copied to the device, the others stay the CPU's.
 *
 * A copied expert costs its bytes over the bus, however many tokens chose it; on the CPU it costs the larger
 * of its bytes and its arithmetic. So the device takes experts in falling order of popularity, as many as
 * make both sides end together. The rates behind that are classes: which side computes a row decides how its
 * sum rounds, and two runs should not differ. */
#include <string.h>

#include "base/clock.h"
#include "engine/gpu_parts.h"

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

static double host_seconds(const ssw_gpu *gpu, int32_t layer, int32_t n_pairs, double bytes,
                           ssw_engine_bound *bound)
{
    ssw_host_expert expert = ssw_gpu_describe_expert(gpu, layer, n_pairs, bytes);
    return ssw_host_predict(&gpu->watch.rates, &expert, ssw_pool_threads(gpu->setup.pool), bound);
}

static double predict_gathering(const ssw_gpu *gpu, const ssw_gpu_stream_plan *plan)
{
    int64_t n_rows = plan->n_pairs / gpu->h->n_experts_used;
    return ssw_host_predict_gathering(n_rows * gpu->h->n_embd, ssw_pool_threads(gpu->setup.pool));
}

/* How many of the order's experts the device takes whole, of which n_ahead are under way. */
static int32_t choose_count(const ssw_gpu *gpu, int32_t layer, int32_t n_ahead,
                            const ssw_gpu_stream_plan *plan)
{
    double own_bytes, rest_bytes, left_s = 0, best_s = 0;
    double gather_s = predict_gathering(gpu, plan);
    ssw_engine_bound bound;
    int32_t best = plan->n_active;
    ssw_gpu_find_part_bytes(gpu, layer, &own_bytes, &rest_bytes);
    double device_bytes = plan->n_active * (rest_bytes + own_bytes);
    if (n_ahead > 0) /* while the bus had nothing else to do */
        device_bytes -= (double)(gpu->share.piece_bytes * (uint64_t)gpu->share.copied.n_waiting);
    for (int32_t n = plan->n_active; n >= n_ahead; n--, device_bytes -= own_bytes) {
        if (n < plan->n_active)
            left_s += host_seconds(gpu, layer, plan->counts[plan->order[n]], own_bytes, &bound);
        double device_s = device_bytes / gpu->share.copy_bytes_per_s,
               host_s = left_s > 0 ? gather_s + left_s : 0;
        double both_s = host_s > device_s ? host_s : device_s;
        if (n == plan->n_active || both_s <= best_s) {
            best_s = both_s;
            best = n;
        }
    }
    return best;
}

/* What the experts left to the CPU will take it. */
static void predict_host(const ssw_gpu *gpu, int32_t layer, ssw_gpu_stream_plan *plan)
{
    double own_bytes, rest_bytes, all_s = 0, bound_s[SSW_ENGINE_BOUNDS] = {0};
    ssw_engine_bound bound;
    ssw_gpu_find_part_bytes(gpu, layer, &own_bytes, &rest_bytes);
    for (int32_t i = plan->n_device; i < plan->n_active; i++) {
        double s = host_seconds(gpu, layer, plan->counts[plan->order[i]], own_bytes, &bound);
        bound_s[bound] += s;
        all_s += s;
    }
    if (all_s > 0)
        all_s += predict_gathering(gpu, plan);
    plan->host_ns = (int64_t)(all_s * SSW_NS_PER_S);
    for (int i = 0; i < SSW_ENGINE_BOUNDS; i++) {
        if (bound_s[i] > bound_s[plan->host_bound])
            plan->host_bound = (ssw_engine_bound)i;
    }
}

void ssw_gpu_plan_stream(ssw_gpu *gpu, int32_t layer, int32_t n_rows)
{
    ssw_gpu_stream_plan *plan = &gpu->share.plan;
    int32_t n_experts = gpu->h->n_experts, n_ahead = ssw_gpu_count_ahead(gpu);
    uint8_t *mask = gpu->share.mask + (size_t)layer * (size_t)n_experts;
    count_pairs(gpu, n_rows, plan);
    order_experts(gpu, layer, n_ahead, plan);
    plan->n_device = choose_count(gpu, layer, n_ahead, plan);
    predict_host(gpu, layer, plan);
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
