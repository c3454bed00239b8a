/* Row by row: norms, quantising, rotation, and the weighted sum over a token's experts. */
#include <assert.h>
#include <cuda_fp16.h>

#include "cuda/attention_q8.cuh"
#include "cuda/cuda_ops.h"
#include "cuda/warp.cuh"

enum {
    NORM_THREADS = 512,
    QUANTIZE_THREADS = 256,
    SUM_THREADS = 256,
    CPU_BLOCK_WORDS = 12, /* of ssw_q8_block: scale, two multiples of the sum, both halves' sums, q */
    CPU_BLOCK_Q = 4       /* the first word of q */
};

/* ---- quantising ---- */

/* Lane l writes word l of the CPU's block, so that a mapped buffer receives whole words in order. */
__device__ void store_cpu_q8(uint32_t *block, int lane, const q8_lane &value)
{
    uint32_t word = 0;
    int low_half = __reduce_add_sync(EVERY_LANE, lane < WARP / 2 ? value.q : 0);
    for (int i = 0; i < 4; i++) {
        int q = __shfl_sync(EVERY_LANE, value.q, (4 * (lane - CPU_BLOCK_Q) + i) & (WARP - 1));
        word |= (uint32_t)(q & 0xff) << (8 * i);
    }
    if (lane == 0)
        word = __float_as_uint(value.scale);
    else if (lane < 3)
        word = (uint32_t)((lane == 1 ? -16 : -128) * value.sum);
    else if (lane == 3)
        word = (uint32_t)(low_half & 0xffff) | (uint32_t)(value.sum - low_half) << 16;
    if (lane < CPU_BLOCK_WORDS)
        block[lane] = word;
}

/* One warp a block of 32. */
__global__ void quantize_rows(const float *x, int64_t n_blocks_all, int n_blocks, ssw_cuda_acts out)
{
    int64_t block = (int64_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (block >= n_blocks_all)
        return;
    float value = x[block * SSW_CUDA_BLOCK + lane];
    if (out.f32)
        out.f32[block * SSW_CUDA_BLOCK + lane] = value;
    if (out.q)
        store_q8(out, block / n_blocks, n_blocks, (int)(block % n_blocks), lane, quantize_block(value));
}

void ssw_cuda_quantize(ssw_cuda_stream stream, const float *x, int32_t n, int64_t cols, ssw_cuda_acts out)
{
    assert(cols % SSW_CUDA_BLOCK == 0);
    int n_blocks = (int)(cols / SSW_CUDA_BLOCK);
    int64_t n_blocks_all = (int64_t)n * n_blocks;
    int per_launch_block = QUANTIZE_THREADS / WARP;
    quantize_rows<<<(unsigned)((n_blocks_all + per_launch_block - 1) / per_launch_block), QUANTIZE_THREADS, 0,
                    stream>>>(x, n_blocks_all, n_blocks, out);
}

/* ---- norms ---- */

/* A thread block a row; each thread keeps its own columns: thread i has columns i, i + NORM_THREADS, ... */
__global__ void __launch_bounds__(NORM_THREADS) norm_rows(ssw_cuda_norm_args args)
{
    __shared__ float shared[WARPS_MAX];
    const float *x = args.x + (int64_t)blockIdx.x * args.cols;
    int lane = threadIdx.x % WARP, n_blocks = args.cols / SSW_CUDA_BLOCK;
    float mean = 0, squares = 0;
    if (args.subtract_mean) {
        float sum = 0;
        for (int c = threadIdx.x; c < args.cols; c += NORM_THREADS)
            sum += x[c];
        mean = block_sum(sum, shared) / (float)args.cols;
    }
    for (int c = threadIdx.x; c < args.cols; c += NORM_THREADS)
        squares += (x[c] - mean) * (x[c] - mean);
    float inverse = rsqrtf(block_sum(squares, shared) / (float)args.cols + args.eps);
    /* Whole warps go round together: where a block of 32 exists, all its lanes are here. */
    for (int c = threadIdx.x; c - lane < args.cols; c += NORM_THREADS) {
        float value = 0;
        if (c < args.cols)
            value = (x[c] - mean) * inverse * args.weight[c] + (args.bias ? args.bias[c] : 0.0f);
        if (args.out.f32 && c < args.cols)
            args.out.f32[(int64_t)blockIdx.x * args.cols + c] = value;
        if (!args.out.q && !args.out_cpu_q8)
            continue;
        q8_lane q8 = quantize_block(value);
        if (args.out.q)
            store_q8(args.out, blockIdx.x, n_blocks, c / SSW_CUDA_BLOCK, lane, q8);
        if (args.out_cpu_q8)
            store_cpu_q8((uint32_t *)args.out_cpu_q8 +
                             ((int64_t)blockIdx.x * n_blocks + c / SSW_CUDA_BLOCK) * CPU_BLOCK_WORDS,
                         lane, q8);
    }
}

void ssw_cuda_norm(ssw_cuda_stream stream, const ssw_cuda_norm_args *args)
{
    assert((!args->out.q && !args->out_cpu_q8) || args->cols % SSW_CUDA_BLOCK == 0);
    norm_rows<<<(unsigned)args->n, NORM_THREADS, 0, stream>>>(*args);
}

/* ---- rotation ---- */

/* Element `at` of keys or values; a warp has a block of 32. */
static __device__ void store_kv_q8(uint8_t *q, __half *scales, int64_t at, float value)
{
    __half half = __float2half_rn(warp_max(fabsf(value)) / 127.0f);
    float scale = __half2float(half);
    int nearest =
        scale > 0 ? __float2int_rn(value / scale) : 0; /* beyond 127 where the scale was rounded down */
    q[at] = (uint8_t)(max(-127, min(127, nearest)) + Q8_OFFSET);
    if (threadIdx.x % WARP == 0)
        scales[at / SSW_CUDA_BLOCK] = half;
}

/* A thread block a head of a row: heads 0 .. n_heads - 1 are queries, then keys, then values. Threads:
 * head_dim rounded up to whole warps. */
__global__ void rope_store(ssw_cuda_rope_args args)
{
    __shared__ float shared[WARPS_MAX];
    __shared__ float values[SSW_CUDA_HEAD_DIM_MAX];
    ssw_cuda_row row = args.rows[blockIdx.x];
    int d = args.head_dim, i = threadIdx.x, head = blockIdx.y;
    bool is_q = head < args.n_heads, is_k = !is_q && head < args.n_heads + args.n_kv_heads;
    int kv_head = is_k ? head - args.n_heads : head - args.n_heads - args.n_kv_heads;
    const float *from;
    if (is_q)
        from = args.q + ((int64_t)blockIdx.x * args.n_heads + head) * d;
    else
        from = (is_k ? args.k : args.v) + ((int64_t)blockIdx.x * args.n_kv_heads + kv_head) * d;
    float value = i < d ? from[i] : 0;
    const float *norm = is_q ? args.q_norm : is_k ? args.k_norm : nullptr;
    if (norm) {
        float inverse = rsqrtf(block_sum(value * value, shared) / (float)d + args.norm_eps);
        value = i < d ? value * inverse * norm[i] : 0;
    }
    if (i < d)
        values[i] = value;
    __syncthreads();
    if ((is_q || is_k) && i < 2 * args.n_pairs) {
        int pair = args.interleaved ? i / 2 : i % args.n_pairs;
        bool is_second = args.interleaved ? i % 2 : i >= args.n_pairs;
        float first = values[args.interleaved ? 2 * pair : pair];
        float second = values[args.interleaved ? 2 * pair + 1 : pair + args.n_pairs];
        float sine, cosine;
        sincosf((float)row.position * args.inv_freq[pair], &sine, &cosine);
        value = is_second ? first * sine + second * cosine : first * cosine - second * sine;
        value *= args.magnitude;
    }
    if (i >= d)
        return;
    if (is_q) {
        args.q[((int64_t)blockIdx.x * args.n_heads + head) * d + i] = value;
        return;
    }
    int64_t at = row.sequence * args.kv.sequence_stride +
                 ((int64_t)kv_head * args.kv.n_rows + row.position % args.kv.n_rows) * d + i;
    void *cache = is_k ? args.kv.k : args.kv.v;
    uint16_t *scales = is_k ? args.kv.k_scales : args.kv.v_scales;
    if (scales)
        store_kv_q8((uint8_t *)cache, (__half *)scales, at, value);
    else
        ((__half *)cache)[at] = __float2half_rn(value);
}

void ssw_cuda_rope_store(ssw_cuda_stream stream, const ssw_cuda_rope_args *args)
{
    assert(args->head_dim <= SSW_CUDA_HEAD_DIM_MAX && 2 * args->n_pairs <= args->head_dim);
    assert((!args->kv.k_scales && !args->kv.v_scales) || args->head_dim % SSW_CUDA_BLOCK == 0);
    dim3 grid((unsigned)args->n, (unsigned)(args->n_heads + 2 * args->n_kv_heads));
    unsigned threads = (unsigned)(args->head_dim + WARP - 1) / WARP * WARP;
    rope_store<<<grid, threads, 0, stream>>>(*args);
}

/* ---- the sum over a token's experts ---- */

__global__ void sum_pairs(const __grid_constant__ ssw_cuda_sum_args args)
{
    int64_t c = (int64_t)blockIdx.y * blockDim.x + threadIdx.x, token = blockIdx.x;
    if (c >= args.n_embd)
        return;
    float sum = 0;
    for (int s = 0; s < args.n_used; s++) {
        int64_t pair = token * args.n_used + s;
        if (!args.mask || args.mask[args.chosen[pair]])
            sum += args.weights[pair] * args.rows[pair * args.n_embd + c];
    }
    args.out[token * args.n_embd + c] += sum;
}

void ssw_cuda_sum_pairs(ssw_cuda_stream stream, const ssw_cuda_sum_args *args)
{
    dim3 grid((unsigned)args->n, (unsigned)((args->n_embd + SUM_THREADS - 1) / SUM_THREADS));
    sum_pairs<<<grid, SUM_THREADS, 0, stream>>>(*args);
}

__global__ void add_rows(const float *rows, int64_t n, float *out)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] += rows[i];
}

void ssw_cuda_add(ssw_cuda_stream stream, const float *rows, int64_t n, float *out)
{
    add_rows<<<(unsigned)((n + SUM_THREADS - 1) / SUM_THREADS), SUM_THREADS, 0, stream>>>(rows, n, out);
}
