/* Row by row: norms, quantising, rotation, and the weighted sum over a token's experts. */
#include <assert.h>
#include <cuda_fp16.h>

#include "cuda/attention_q8.cuh"
#include "cuda/cuda_ops.h"
#include "cuda/dependent.cuh"
#include "cuda/norm_row.cuh"
#include "cuda/signal.cuh"

enum { QUANTIZE_THREADS = 256, SUM_THREADS = 256, AWAIT_THREADS = 1024 };

/* ---- quantising ---- */

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

/* A thread block a row. */
__global__ void __launch_bounds__(NORM_THREADS) norm_rows(const __grid_constant__ ssw_cuda_norm_args args)
{
    __shared__ float shared[WARPS_MAX];
    let_next_start();
    wait_for_previous();
    norm_factors factors = find_norm_factors(args, blockIdx.x, shared);
    store_normed(args, blockIdx.x, 0, args.cols, factors, {});
}

void ssw_cuda_norm(ssw_cuda_stream stream, const ssw_cuda_norm_args *args)
{
    assert((!args->out.q && !args->out_cpu_q8) || args->cols % SSW_CUDA_BLOCK == 0);
    assert(args->cols % NORM_COLS == 0 && args->cols <= SSW_CUDA_NORM_COLS_MAX);
    launch_dependent<norm_rows>(stream, dim3((unsigned)args->n), NORM_THREADS, 0, *args);
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
__global__ void rope_store(const __grid_constant__ ssw_cuda_rope_args args)
{
    __shared__ float shared[WARPS_MAX];
    __shared__ float values[SSW_CUDA_HEAD_DIM_MAX];
    let_next_start();
    int sequence = __ldcg(&args.rows[blockIdx.x].sequence),
        position = __ldcg(&args.rows[blockIdx.x].position);
    int d = args.head_dim, i = threadIdx.x, head = blockIdx.y;
    bool is_q = head < args.n_heads, is_k = !is_q && head < args.n_heads + args.n_kv_heads;
    bool is_rotated = (is_q || is_k) && i < 2 * args.n_pairs;
    int kv_head = is_k ? head - args.n_heads : head - args.n_heads - args.n_kv_heads;
    int pair = args.interleaved ? i / 2 : i % args.n_pairs;
    float sine = 0, cosine = 1;
    if (is_rotated)
        sincosf((float)position * args.inv_freq[pair], &sine, &cosine);
    const float *from;
    if (is_q)
        from = args.q + ((int64_t)blockIdx.x * args.n_heads + head) * d;
    else
        from = (is_k ? args.k : args.v) + ((int64_t)blockIdx.x * args.n_kv_heads + kv_head) * d;
    wait_for_previous();
    float value = i < d ? from[i] : 0;
    const float *norm = is_q ? args.q_norm : is_k ? args.k_norm : nullptr;
    if (norm) {
        float inverse = rsqrtf(block_sum(value * value, shared) / (float)d + args.norm_eps);
        value = i < d ? value * inverse * norm[i] : 0;
    }
    if (i < d)
        values[i] = value;
    __syncthreads();
    if (is_rotated) {
        bool is_second = args.interleaved ? i % 2 : i >= args.n_pairs;
        float first = values[args.interleaved ? 2 * pair : pair];
        float second = values[args.interleaved ? 2 * pair + 1 : pair + args.n_pairs];
        value = is_second ? first * sine + second * cosine : first * cosine - second * sine;
        value *= args.magnitude;
    }
    if (i >= d)
        return;
    if (is_q) {
        args.q[((int64_t)blockIdx.x * args.n_heads + head) * d + i] = value;
        return;
    }
    int64_t at = sequence * args.kv.sequence_stride +
                 ((int64_t)kv_head * args.kv.n_rows + position % args.kv.n_rows) * d + i;
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
    launch_dependent<rope_store>(stream, grid, threads, 0, *args);
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

/* A thread block a row. */
__global__ void __launch_bounds__(AWAIT_THREADS) await_add(const __grid_constant__ ssw_cuda_await_args args)
{
    let_next_start();
    wait_for_previous();
    if (threadIdx.x == 0)
        await_signal(args.signal, __ldcg(args.step), args.patience_ns, args.gave_up);
    __syncthreads();
    const float4 *rows = (const float4 *)(args.rows + (int64_t)blockIdx.x * args.cols);
    float4 *out = (float4 *)(args.out + (int64_t)blockIdx.x * args.cols);
    for (int i = threadIdx.x; i < args.cols / 4; i += AWAIT_THREADS) {
        float4 a = __ldcv(rows + i), b = out[i];
        out[i] = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
    }
}

void ssw_cuda_await_add(ssw_cuda_stream stream, const ssw_cuda_await_args *args)
{
    assert(args->cols % 4 == 0);
    launch_dependent<await_add>(stream, dim3((unsigned)args->n), AWAIT_THREADS, 0, *args);
}
