/* Sums over warps and blocks, and the 8-bit form of activations. Included by kernels only. */
#ifndef SSW_CUDA_WARP_CUH
#define SSW_CUDA_WARP_CUH

#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/cuda_ops.h"

enum { WARP = 32, WARPS_MAX = 32 };
#define EVERY_LANE 0xffffffffu

__device__ __forceinline__ float warp_sum(float value)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(EVERY_LANE, value, distance);
    return value;
}

__device__ __forceinline__ float warp_max(float value)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(EVERY_LANE, value, distance));
    return value;
}

/* The same sum in every thread. shared: WARPS_MAX floats; may be used again after the next __syncthreads. */
__device__ __forceinline__ float block_sum(float value, float *shared)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    value = warp_sum(value);
    __syncthreads();
    if (lane == 0)
        shared[warp] = value;
    __syncthreads();
    return warp_sum(lane < n_warps ? shared[lane] : 0);
}

/* A block of 32 activations, one a lane, as cpu/kernels.h's ssw_q8_block has them. */
struct q8_lane {
    float scale; /* the block's */
    int sum;     /* of the block's q */
    int q;       /* this lane's */
};

#define Q8_LARGEST_MIN 1e-36f /* as SSW_Q8_LARGEST_MIN */

__device__ __forceinline__ q8_lane quantize_block(float value)
{
    float largest = warp_max(fabsf(value));
    bool tiny = largest < Q8_LARGEST_MIN;
    q8_lane out;
    out.scale = tiny ? 0.0f : largest / 127.0f;
    out.q = __float2int_rn(tiny ? 0.0f : value * (127.0f / largest));
    out.sum = __reduce_add_sync(EVERY_LANE, out.q);
    return out;
}

/* Block `block` of a row of acts; n_blocks to a row. */
__device__ __forceinline__ void store_q8(const ssw_cuda_acts &out, int64_t row, int n_blocks, int block,
                                         int lane, const q8_lane &value)
{
    int64_t at = row * n_blocks + block;
    out.q[at * SSW_CUDA_BLOCK + lane] = (int8_t)value.q;
    if (lane == 0)
        ((float2 *)out.q_scales)[at] = make_float2(value.scale, value.scale * (float)value.sum);
}

#endif
