/* One warp times one band: the inner product of 16 rows of a weight matrix with a few tokens' activations.
 *
 * A warp walks through a band in steps of 512 bytes, 16 bytes a lane, as they lie in memory: a step is two
 * blocks of 32 columns in 4-bit types, one in Q8_0, 16 columns in 16-bit types, 8 in F32. The lane's 16 bytes
 * belong to ROWS neighbouring rows of the band; lane_rows says which. Several steps are loaded before the
 * first is used, since only bytes in flight make bandwidth. Included by kernels only. */
#ifndef SSW_CUDA_BAND_DOT_CUH
#define SSW_CUDA_BAND_DOT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/warp.cuh"

enum { BAND_ROWS = SSW_CUDA_BAND_ROWS, BLOCK = SSW_CUDA_BLOCK, STEP_BYTES = 512, STEPS_IN_FLIGHT = 4 };

/* ---- nibbles through a table of 16 bytes ---- */

/* The doubled values of MXFP4 and the plain ones of Q4_0, entries 0-3, 4-7, 8-11, 12-15, low byte first. */
struct mxfp4_table {
    static constexpr uint32_t words[4] = {0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc};
};
struct q4_0_table {
    static constexpr uint32_t words[4] = {0xfbfaf9f8, 0xfffefdfc, 0x03020100, 0x07060504};
};

/* Eight nibbles to eight bytes: those of the low halves of the word's bytes, and those of the high halves.
 * __byte_perm looks up eight entries by three bits; the fourth chooses between two such look-ups. */
template <typename TABLE> __device__ __forceinline__ void expand_nibbles(uint32_t word, int &low, int &high)
{
    uint32_t index = word & 0x77777777u, upper = (word & 0x88888888u) >> 1 | 0x32103210u;
    uint32_t first = __byte_perm(__byte_perm(TABLE::words[0], TABLE::words[1], index),
                                 __byte_perm(TABLE::words[2], TABLE::words[3], index), upper & 0xffffu);
    uint32_t second = __byte_perm(__byte_perm(TABLE::words[0], TABLE::words[1], index >> 16),
                                  __byte_perm(TABLE::words[2], TABLE::words[3], index >> 16), upper >> 16);
    low = (int)__byte_perm(first, second, 0x6420);
    high = (int)__byte_perm(first, second, 0x7531);
}

/* 2^(e - 128): MXFP4's scale for doubled values. */
__device__ __forceinline__ float e8m0_half(uint32_t e)
{
    return __uint_as_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

/* ---- types ---- */

/* Each type: ROWS of a lane; n_steps; lane_rows, the first row of a lane; loaded, a lane's part of a step;
 * load; add, which multiplies it with token t's activations into sums[ROWS]. */

template <typename TABLE, bool IS_MXFP4> struct nibble_type {
    static constexpr int ROWS = 4;
    static constexpr bool TAKES_Q8 = true;
    struct loaded {
        uint4 quants;
        float scales[ROWS];
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols / BLOCK + 1) / 2);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 4 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        int n_blocks = (int)(cols / BLOCK), block = 2 * step + lane / 16;
        out.is_there = block < n_blocks;
        if (!out.is_there)
            block = n_blocks - 1;
        out.quants = __ldg((const uint4 *)(band + (int64_t)block * (STEP_BYTES / 2) + lane % 16 * 16));
        const uint8_t *scales = band + (int64_t)n_blocks * (STEP_BYTES / 2);
        if (IS_MXFP4) {
            uint32_t four = __ldg((const uint32_t *)(scales + (int64_t)block * BAND_ROWS + lane % 4 * ROWS));
            for (int r = 0; r < ROWS; r++)
                out.scales[r] = e8m0_half(four >> (8 * r) & 0xff);
        } else {
            uint2 four = __ldg((const uint2 *)(scales + ((int64_t)block * BAND_ROWS + lane % 4 * ROWS) * 2));
            float2 a = __half22float2(*(const __half2 *)&four.x),
                   b = __half22float2(*(const __half2 *)&four.y);
            out.scales[0] = a.x, out.scales[1] = a.y, out.scales[2] = b.x, out.scales[3] = b.y;
        }
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        int64_t n_blocks = cols / BLOCK, block = 2 * step + lane / 16;
        if (!in.is_there)
            return;
        const int8_t *q = x.q + token * cols + block * BLOCK + lane % 16 / 4 * 4;
        int x_low = *(const int *)q, x_high = *(const int *)(q + BLOCK / 2);
        float x_scale = x.q_scales[2 * (token * n_blocks + block)];
        const uint32_t words[ROWS] = {in.quants.x, in.quants.y, in.quants.z, in.quants.w};
        for (int r = 0; r < ROWS; r++) {
            int low, high;
            expand_nibbles<TABLE>(words[r], low, high);
            sums[r] += in.scales[r] * x_scale * (float)__dp4a(high, x_high, __dp4a(low, x_low, 0));
        }
    }
};

struct q8_0_type {
    static constexpr int ROWS = 4;
    static constexpr bool TAKES_Q8 = true;
    struct loaded {
        uint4 quants;
        float scales[ROWS];
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)(cols / BLOCK);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 4 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        const uint8_t *scales = band + cols / BLOCK * STEP_BYTES;
        out.quants = __ldg((const uint4 *)(band + (int64_t)step * STEP_BYTES + lane * 16));
        uint2 four = __ldg((const uint2 *)(scales + ((int64_t)step * BAND_ROWS + lane % 4 * ROWS) * 2));
        float2 a = __half22float2(*(const __half2 *)&four.x), b = __half22float2(*(const __half2 *)&four.y);
        out.scales[0] = a.x, out.scales[1] = a.y, out.scales[2] = b.x, out.scales[3] = b.y;
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        int x_four = *(const int *)(x.q + token * cols + (int64_t)step * BLOCK + lane / 4 * 4);
        float x_scale = x.q_scales[2 * (token * (cols / BLOCK) + step)];
        const uint32_t words[ROWS] = {in.quants.x, in.quants.y, in.quants.z, in.quants.w};
        for (int r = 0; r < ROWS; r++)
            sums[r] += in.scales[r] * x_scale * (float)__dp4a((int)words[r], x_four, 0);
    }
};

struct f16_pair {
    static __device__ __forceinline__ float2 widen(uint32_t two)
    {
        return __half22float2(*(const __half2 *)&two);
    }
};
struct bf16_pair {
    static __device__ __forceinline__ float2 widen(uint32_t two)
    {
        return make_float2(__uint_as_float(two << 16), __uint_as_float(two & 0xffff0000u));
    }
};

template <typename PAIR> struct half_type {
    static constexpr int ROWS = 8;
    static constexpr bool TAKES_Q8 = false;
    static constexpr int COLUMNS = 16; /* of a step */
    struct loaded {
        uint4 values;
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols + COLUMNS - 1) / COLUMNS);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 2 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        out.is_there = (int64_t)step * COLUMNS + lane / 2 < cols;
        int64_t at = out.is_there ? (int64_t)step * STEP_BYTES + lane * 16 : 0;
        out.values = __ldg((const uint4 *)(band + at));
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        if (!in.is_there)
            return;
        float value = x.f32[token * cols + (int64_t)step * COLUMNS + lane / 2];
        const uint32_t words[4] = {in.values.x, in.values.y, in.values.z, in.values.w};
        for (int i = 0; i < 4; i++) {
            float2 two = PAIR::widen(words[i]);
            sums[2 * i] += two.x * value;
            sums[2 * i + 1] += two.y * value;
        }
    }
};

struct f32_type {
    static constexpr int ROWS = 4;
    static constexpr bool TAKES_Q8 = false;
    static constexpr int COLUMNS = 8;
    struct loaded {
        float4 values;
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols + COLUMNS - 1) / COLUMNS);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 4 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        out.is_there = (int64_t)step * COLUMNS + lane / 4 < cols;
        int64_t at = out.is_there ? (int64_t)step * STEP_BYTES + lane * 16 : 0;
        out.values = __ldg((const float4 *)(band + at));
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        if (!in.is_there)
            return;
        float value = x.f32[token * cols + (int64_t)step * COLUMNS + lane / 4];
        sums[0] += in.values.x * value;
        sums[1] += in.values.y * value;
        sums[2] += in.values.z * value;
        sums[3] += in.values.w * value;
    }
};

typedef nibble_type<mxfp4_table, true> mxfp4_type;
typedef nibble_type<q4_0_table, false> q4_0_type;
typedef half_type<f16_pair> f16_type;
typedef half_type<bf16_pair> bf16_type;

/* ---- the walk ---- */

/* Adds to sums[t][...] the products of steps first, first + stride, ... below end. tokens[t]: rows of x. */
template <typename TYPE, int TOKENS>
__device__ __forceinline__ void walk_band(const uint8_t *band, const ssw_cuda_acts &x, int64_t cols,
                                          const int64_t (&tokens)[TOKENS], int first, int end, int stride,
                                          float (&sums)[TOKENS][TYPE::ROWS])
{
    int lane = threadIdx.x % WARP, step = first;
    for (; step + (STEPS_IN_FLIGHT - 1) * stride < end; step += STEPS_IN_FLIGHT * stride) {
        typename TYPE::loaded loaded[STEPS_IN_FLIGHT];
#pragma unroll
        for (int i = 0; i < STEPS_IN_FLIGHT; i++)
            TYPE::load(loaded[i], band, cols, step + i * stride, lane);
#pragma unroll
        for (int i = 0; i < STEPS_IN_FLIGHT; i++) {
#pragma unroll
            for (int t = 0; t < TOKENS; t++)
                TYPE::add(loaded[i], x, cols, tokens[t], step + i * stride, lane, sums[t]);
        }
    }
    for (; step < end; step += stride) {
        typename TYPE::loaded loaded;
        TYPE::load(loaded, band, cols, step, lane);
#pragma unroll
        for (int t = 0; t < TOKENS; t++)
            TYPE::add(loaded, x, cols, tokens[t], step, lane, sums[t]);
    }
}

/* The warp's sums of a token, to out[0 .. 15]. */
template <typename TYPE>
__device__ __forceinline__ void reduce_band(const float (&sums)[TYPE::ROWS], float *out)
{
    constexpr int GROUPS = BAND_ROWS / TYPE::ROWS; /* of lanes with the same rows */
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int r = 0; r < TYPE::ROWS; r++) {
        float sum = sums[r];
        for (int distance = WARP / 2; distance >= GROUPS; distance /= 2)
            sum += __shfl_xor_sync(EVERY_LANE, sum, distance);
        if (lane < GROUPS)
            out[TYPE::first_row(lane) + r] = sum;
    }
}

#endif
