/* A row normed by one thread block: its statistics, and 8-bit blocks made four columns a thread. Included by
 * kernels only. */
#ifndef SSW_CUDA_NORM_ROW_CUH
#define SSW_CUDA_NORM_ROW_CUH

#include "cuda/warp.cuh"

enum {
    NORM_THREADS = 256, /* every block that norms has so many, so that all norms are the same bits */
    NORM_COLS = 4,      /* of a thread at a time */
    NORM_STRIDE = NORM_THREADS * NORM_COLS,
    NORM_VECTORS = (SSW_CUDA_NORM_COLS_MAX + NORM_STRIDE - 1) / NORM_STRIDE,
    LANES_PER_BLOCK = SSW_CUDA_BLOCK / NORM_COLS,
    CPU_BLOCK_WORDS = 12, /* of ssw_q8_block: scale, two multiples of the sum, both halves' sums, q */
    CPU_BLOCK_Q = 4       /* the first word of q */
};

struct norm_factors {
    float mean, inverse;
};

__device__ __forceinline__ float sum_of_four(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

/* Of row `row` of args.x; the whole row is loaded at once. shared: WARPS_MAX floats. */
__device__ __forceinline__ norm_factors find_norm_factors(const ssw_cuda_norm_args &args, int64_t row,
                                                          float *shared)
{
    const float *x = args.x + row * args.cols;
    float4 values[NORM_VECTORS];
    float sum = 0, squares = 0, mean = 0;
#pragma unroll
    for (int i = 0; i < NORM_VECTORS; i++) {
        int c = i * NORM_STRIDE + (int)threadIdx.x * NORM_COLS;
        values[i] = c < args.cols ? *(const float4 *)(x + c) : make_float4(0, 0, 0, 0);
    }
    if (args.subtract_mean) {
#pragma unroll
        for (int i = 0; i < NORM_VECTORS; i++)
            sum += sum_of_four(values[i]);
        mean = block_sum(sum, shared) / (float)args.cols;
    }
#pragma unroll
    for (int i = 0; i < NORM_VECTORS; i++) {
        float4 v = values[i];
        int c = i * NORM_STRIDE + (int)threadIdx.x * NORM_COLS;
        v = make_float4(v.x - mean, v.y - mean, v.z - mean, v.w - mean);
        v = make_float4(v.x * v.x, v.y * v.y, v.z * v.z, v.w * v.w);
        squares += c < args.cols ? sum_of_four(v) : 0;
    }
    return {mean, rsqrtf(block_sum(squares, shared) / (float)args.cols + args.eps)};
}

/* Columns c .. c + 3 of the row, normed; zeros beyond its end. */
__device__ __forceinline__ float4 norm_four(const ssw_cuda_norm_args &args, int64_t row, int c,
                                            norm_factors factors)
{
    if (c >= args.cols)
        return make_float4(0, 0, 0, 0);
    float4 v = *(const float4 *)(args.x + row * args.cols + c), w = __ldg((const float4 *)(args.weight + c));
    float4 b = args.bias ? __ldg((const float4 *)(args.bias + c)) : make_float4(0, 0, 0, 0);
    return make_float4((v.x - factors.mean) * factors.inverse * w.x + b.x,
                       (v.y - factors.mean) * factors.inverse * w.y + b.y,
                       (v.z - factors.mean) * factors.inverse * w.z + b.z,
                       (v.w - factors.mean) * factors.inverse * w.w + b.w);
}

/* The quarter of eight lanes' block of 32 columns that is this lane's; the same numbers as quantize_block. */
struct q8_four {
    float scale; /* the block's */
    int sum;     /* of the block's q */
    int half;    /* of the q of the block's first 16 columns */
    uint32_t q;  /* this lane's four */
};

__device__ __forceinline__ int sum_of_eight_lanes(int value)
{
    for (int distance = LANES_PER_BLOCK / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(EVERY_LANE, value, distance);
    return value;
}

__device__ __forceinline__ q8_four quantize_four(float4 v)
{
    float largest = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
    for (int distance = LANES_PER_BLOCK / 2; distance > 0; distance /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(EVERY_LANE, largest, distance));
    bool tiny = largest < Q8_LARGEST_MIN;
    float factor = tiny ? 0.0f : 127.0f / largest;
    int x = __float2int_rn(v.x * factor), y = __float2int_rn(v.y * factor), z = __float2int_rn(v.z * factor),
        w = __float2int_rn(v.w * factor);
    int own = x + y + z + w;
    q8_four out;
    out.scale = tiny ? 0.0f : largest / 127.0f;
    out.sum = sum_of_eight_lanes(own);
    out.half = sum_of_eight_lanes(threadIdx.x % LANES_PER_BLOCK < LANES_PER_BLOCK / 2 ? own : 0);
    out.q = (uint32_t)(x & 0xff) | (uint32_t)(y & 0xff) << 8 | (uint32_t)(z & 0xff) << 16 | (uint32_t)w << 24;
    return out;
}

/* Columns c .. c + 3 of a row; n_blocks to a row. */
__device__ __forceinline__ void store_q8_four(const ssw_cuda_acts &out, int64_t row, int n_blocks, int c,
                                              const q8_four &value)
{
    int64_t at = row * n_blocks + c / SSW_CUDA_BLOCK;
    *(uint32_t *)(out.q + at * SSW_CUDA_BLOCK + c % SSW_CUDA_BLOCK) = value.q;
    if (threadIdx.x % LANES_PER_BLOCK == 0)
        ((float2 *)out.q_scales)[at] = make_float2(value.scale, value.scale * (float)value.sum);
}

/* The same as the CPU's block: a lane's word of q, and the words before by the first lanes. */
__device__ __forceinline__ void store_cpu_q8_four(void *rows, int64_t row, int n_blocks, int c,
                                                  const q8_four &value)
{
    uint32_t *block = (uint32_t *)rows + (row * n_blocks + c / SSW_CUDA_BLOCK) * CPU_BLOCK_WORDS;
    int lane = threadIdx.x % LANES_PER_BLOCK;
    uint32_t word = __float_as_uint(value.scale);
    if (lane == 1 || lane == 2)
        word = (uint32_t)((lane == 1 ? -16 : -128) * value.sum);
    else if (lane == 3)
        word = (uint32_t)(value.half & 0xffff) | (uint32_t)(value.sum - value.half) << 16;
    if (lane < CPU_BLOCK_Q)
        block[lane] = word;
    block[CPU_BLOCK_Q + lane] = value.q;
}

/* Columns [begin, end) of the row to whichever outputs args name, and to `local`, whose first column is
 * begin; begin is a multiple of 32. */
__device__ __forceinline__ void store_normed(const ssw_cuda_norm_args &args, int64_t row, int begin, int end,
                                             norm_factors factors, const ssw_cuda_acts &local)
{
    int n_blocks = args.cols / SSW_CUDA_BLOCK;
    for (int start = begin; start < end; start += NORM_STRIDE) {
        int c = start + (int)threadIdx.x * NORM_COLS;
        bool is_here = c < end;
        float4 value = norm_four(args, row, is_here ? c : args.cols, factors);
        if (args.out.f32 && is_here)
            *(float4 *)(args.out.f32 + row * args.cols + c) = value;
        if (args.out_cpu_f32 && is_here)
            *(float4 *)(args.out_cpu_f32 + row * args.cols + c) = value;
        if (local.f32 && is_here)
            *(float4 *)(local.f32 + c - begin) = value;
        if (!args.out.q && !args.out_cpu_q8 && !local.q)
            continue;
        q8_four q8 = quantize_four(value);
        if (args.out.q && is_here)
            store_q8_four(args.out, row, n_blocks, c, q8);
        if (args.out_cpu_q8 && is_here)
            store_cpu_q8_four(args.out_cpu_q8, row, n_blocks, c, q8);
        if (local.q && is_here)
            store_q8_four(local, 0, 0, c - begin, q8);
    }
}

/* Room for the normed columns [begin, begin + n) in a thread block's shared memory, as one operand takes them
 * (8-bit blocks or floats). */
template <bool IS_Q8> __device__ __forceinline__ ssw_cuda_acts local_acts(uint8_t *memory, int n)
{
    ssw_cuda_acts out = {};
    if (IS_Q8) {
        out.q = (int8_t *)memory;
        out.q_scales = (float *)(memory + n);
    } else {
        out.f32 = (float *)memory;
    }
    return out;
}

static inline unsigned local_acts_bytes(bool is_q8, int n)
{
    return is_q8 ? (unsigned)(n + n / SSW_CUDA_BLOCK * 2 * (int)sizeof(float)) : (unsigned)n * sizeof(float);
}

#endif
