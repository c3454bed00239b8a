/* Which experts a token goes to: by one warp, of which lane l has the experts l, l + 32, ... Included by
 * kernels only. */
#ifndef SSW_CUDA_ROUTE_TOKEN_CUH
#define SSW_CUDA_ROUTE_TOKEN_CUH

#include "cuda/warp.cuh"

enum { PER_LANE = SSW_CUDA_EXPERTS_MAX / WARP };

struct candidate {
    float logit;
    int expert;
};

/* The best of all lanes: the largest logit, of equals the lower number. */
static __device__ candidate best_of_warp(candidate own)
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
static __device__ candidate best_left(const float (&logits)[PER_LANE], int n_experts, unsigned taken)
{
    candidate best = {-INFINITY, SSW_CUDA_EXPERTS_MAX};
    for (int i = 0; i < PER_LANE; i++) {
        int expert = (int)(threadIdx.x % WARP) + i * WARP;
        if (expert < n_experts && !(taken >> i & 1) &&
            (logits[i] > best.logit || best.expert == SSW_CUDA_EXPERTS_MAX))
            best = {logits[i], expert};
    }
    return best_of_warp(best);
}

/* SparseMixer's window, as cpu/route.c: of the experts left, those close to the best. */
static __device__ float sum_close(const float (&logits)[PER_LANE], int n_experts, unsigned taken, float best,
                                  float jitter)
{
    float sum = 0;
    for (int i = 0; i < PER_LANE; i++) {
        int expert = (int)(threadIdx.x % WARP) + i * WARP;
        if (expert >= n_experts || (taken >> i & 1))
            continue;
        float distance = (best - logits[i]) / fmaxf(fabsf(logits[i]), best);
        if (!(distance > 2 * jitter))
            sum += expf(logits[i] - best);
    }
    return warp_sum(sum);
}

/* From the token's logits; the choice and its weight of slot `lane` come back, for lane < n_used. */
static __device__ void route_token(const ssw_cuda_route_args &args, const float *from, int &chosen,
                                   float &weight_out)
{
    int lane = threadIdx.x % WARP;
    float logits[PER_LANE], largest = 0, sum = 0, own_weight = 0;
    unsigned taken = 0;
    chosen = 0;
    for (int i = 0; i < PER_LANE; i++)
        logits[i] = lane + i * WARP < args.n_experts ? from[lane + i * WARP] : -INFINITY;
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
        if (best.expert % WARP == lane)
            taken |= 1u << (best.expert / WARP);
        if (lane == slot) {
            own_weight = weight;
            chosen = best.expert;
        }
    }
    if (args.kind == SSW_CUDA_ROUTE_SPARSEMIXER) {
        sum = 1;
    } else if (args.kind == SSW_CUDA_ROUTE_SOFTMAX_TOPK && !args.renormalise) {
        sum = 0;
        for (int i = 0; i < PER_LANE; i++)
            sum += lane + i * WARP < args.n_experts ? expf(logits[i] - largest) : 0;
        sum = warp_sum(sum);
    }
    weight_out = own_weight * (args.scale / sum);
}

#endif
