/* Which experts a token goes to, and the sorting of tokens by expert. */
#include <assert.h>

#include "cuda/cuda_ops.h"
#include "cuda/warp.cuh"

enum { PER_LANE = SSW_CUDA_EXPERTS_MAX / WARP, SORT_THREADS = 1024, SORT_PAIRS_MAX = 1 << 16 };

/* ---- routing: a warp a token; lane l has experts l, l + 32, ... ---- */

struct candidate {
    float logit;
    int expert;
};

/* The best of all lanes: the largest logit, of equals the lower number. */
__device__ candidate best_of_warp(candidate own)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        float logit = __shfl_xor_sync(EVERY_LANE, own.logit, distance);
        int expert = __shfl_xor_sync(EVERY_LANE, own.expert, distance);
        if (logit > own.logit || (logit == own.logit && expert < own.expert))
            own = {logit, expert};
    }
    return own;
}

/* taken: bit i set when this lane's i-th expert has been chosen. */
__device__ candidate best_left(const float (&logits)[PER_LANE], int n_experts, unsigned taken)
{
    candidate best = {-INFINITY, SSW_CUDA_EXPERTS_MAX};
    for (int i = 0; i < PER_LANE; i++) {
        int expert = threadIdx.x + i * WARP;
        if (expert < n_experts && !(taken >> i & 1) &&
            (logits[i] > best.logit || best.expert == SSW_CUDA_EXPERTS_MAX))
            best = {logits[i], expert};
    }
    return best_of_warp(best);
}

/* SparseMixer's window, as cpu/route.c: of the experts left, those close to the best. */
__device__ float sum_close(const float (&logits)[PER_LANE], int n_experts, unsigned taken, float best,
                           float jitter)
{
    float sum = 0;
    for (int i = 0; i < PER_LANE; i++) {
        int expert = threadIdx.x + i * WARP;
        if (expert >= n_experts || (taken >> i & 1))
            continue;
        float distance = (best - logits[i]) / fmaxf(fabsf(logits[i]), best);
        if (!(distance > 2 * jitter))
            sum += expf(logits[i] - best);
    }
    return warp_sum(sum);
}

__global__ void route_tokens(ssw_cuda_route_args args)
{
    const float *from = args.logits + (int64_t)blockIdx.x * args.n_experts;
    int32_t *chosen = args.chosen + (int64_t)blockIdx.x * args.n_used;
    float *weights = args.weights + (int64_t)blockIdx.x * args.n_used;
    float logits[PER_LANE], largest = 0, sum = 0, own_weight = 0;
    unsigned taken = 0;
    for (int i = 0; i < PER_LANE; i++)
        logits[i] = threadIdx.x + i * WARP < args.n_experts ? from[threadIdx.x + i * WARP] : -INFINITY;
    for (int slot = 0; slot < args.n_used; slot++) {
        candidate best = best_left(logits, args.n_experts, taken);
        float weight;
        if (slot == 0)
            largest = best.logit;
        if (args.kind == SSW_CUDA_ROUTE_SPARSEMIXER)
            weight = 1 / sum_close(logits, args.n_experts, taken, best.logit, args.jitter);
        else
            weight = expf(best.logit - largest);
        sum += weight;
        if (best.expert % WARP == threadIdx.x)
            taken |= 1u << (best.expert / WARP);
        if (threadIdx.x == slot)
            own_weight = weight;
        if (threadIdx.x == 0)
            chosen[slot] = best.expert;
    }
    if (args.kind == SSW_CUDA_ROUTE_SPARSEMIXER) {
        sum = 1;
    } else if (args.kind == SSW_CUDA_ROUTE_SOFTMAX_TOPK && !args.renormalise) {
        sum = 0;
        for (int i = 0; i < PER_LANE; i++)
            sum += threadIdx.x + i * WARP < args.n_experts ? expf(logits[i] - largest) : 0;
        sum = warp_sum(sum);
    }
    if (threadIdx.x < args.n_used)
        weights[threadIdx.x] = own_weight * (args.scale / sum);
}

void ssw_cuda_route(ssw_cuda_stream stream, const ssw_cuda_route_args *args)
{
    assert(args->n_experts <= SSW_CUDA_EXPERTS_MAX && args->n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    assert(args->n_used >= 1 && args->n_used <= args->n_experts);
    route_tokens<<<(unsigned)args->n, WARP, 0, stream>>>(*args);
}

/* ---- sorting ---- */

/* How many of 32 pairs chose the expert, and which, by one bit each. */
__device__ unsigned chose(const int32_t *chosen, int n_pairs, int at, int expert)
{
    int pair = at + threadIdx.x % WARP;
    return __ballot_sync(EVERY_LANE, pair < n_pairs && chosen[pair] == expert);
}

/* One thread block: a warp counts an expert's pairs; a scan; the warp then writes them in order. */
__global__ void __launch_bounds__(SORT_THREADS)
    sort_pairs(const int32_t *chosen, int n_pairs, int n_experts, int32_t *first, int32_t *pair)
{
    __shared__ int offsets[SSW_CUDA_EXPERTS_MAX + 1];
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (int e = warp; e < n_experts; e += SORT_THREADS / WARP) {
        int count = 0;
        for (int at = 0; at < n_pairs; at += WARP)
            count += __popc(chose(chosen, n_pairs, at, e));
        if (lane == 0)
            offsets[e] = count;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        int next = 0;
        for (int e = 0; e < n_experts; e++) {
            int count = offsets[e];
            offsets[e] = next;
            next += count;
        }
        offsets[n_experts] = next;
    }
    __syncthreads();
    for (int e = threadIdx.x; e <= n_experts; e += SORT_THREADS)
        first[e] = offsets[e];
    for (int e = warp; e < n_experts; e += SORT_THREADS / WARP) {
        int next = offsets[e];
        for (int at = 0; at < n_pairs; at += WARP) {
            unsigned who = chose(chosen, n_pairs, at, e);
            if (who >> lane & 1)
                pair[next + __popc(who & ((1u << lane) - 1))] = at + lane;
            next += __popc(who);
        }
    }
}

void ssw_cuda_sort_pairs(ssw_cuda_stream stream, const int32_t *chosen, int32_t n_pairs, int32_t n_experts,
                         int32_t *first, int32_t *pair)
{
    assert(n_experts <= SSW_CUDA_EXPERTS_MAX && n_pairs <= SORT_PAIRS_MAX);
    sort_pairs<<<1, SORT_THREADS, 0, stream>>>(chosen, n_pairs, n_experts, first, pair);
}
