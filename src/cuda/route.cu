/* Which experts a token goes to, and the sorting of tokens by expert. */
#include <assert.h>

#include "cuda/cuda_ops.h"
#include "cuda/route_token.cuh"

enum { SORT_THREADS = 1024, SORT_PAIRS_MAX = 1 << 16 };

/* ---- routing: a warp a token ---- */

__global__ void route_tokens(ssw_cuda_route_args args)
{
    int chosen;
    float weight;
    route_token(args, args.logits + (int64_t)blockIdx.x * args.n_experts, chosen, weight);
    if (threadIdx.x >= args.n_used)
        return;
    args.chosen[(int64_t)blockIdx.x * args.n_used + threadIdx.x] = chosen;
    args.weights[(int64_t)blockIdx.x * args.n_used + threadIdx.x] = weight;
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
