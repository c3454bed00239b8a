/* One warp times one band: the inner product of 16 rows of a weight matrix with a few tokens' activations.
 *
 * A warp walks through a band in steps, of which each lane has loads of 16 bytes that belong to ROWS
 * neighbouring rows of the band. A step is 512 bytes as they lie in memory in most types: one block of 32
 * columns in Q8_0, 16 columns in 16-bit types, 8 in F32; in 4-bit types it is 2048, eight blocks, of which a
 * lane has a whole one of four rows. Four loads of a lane are on their way before the first is used, since
 * only bytes in flight make bandwidth. Included by kernels only. */
#ifndef SSW_CUDA_BAND_DOT_CUH
#define SSW_CUDA_BAND_DOT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/warp.cuh"

enum { BAND_ROWS = SSW_CUDA_BAND_ROWS, BLOCK = SSW_CUDA_BLOCK, STEP_BYTES = 512, LOADS_IN_FLIGHT = 4 };

/* ---- nibbles through a table of 16 bytes ---- */

/* The doubled values of MXFP4, entries 0-3, 4-7, 8-11, 12-15, low byte first. */
struct mxfp4_table {
    static constexpr uint32_t words[4] = {0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc};
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

/* Four bytes of first and second by four nibbles of `which`. Unlike __byte_perm the nibble's fourth bit is
 * heeded: it asks for eight times the sign of the byte instead. */
__device__ __forceinline__ uint32_t pick_bytes(uint32_t first, uint32_t second, uint32_t which)
{
    uint32_t out;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(first), "r"(second), "r"(which));
    return out;
}

/* Sums of words of nibbles times the activations that belong to their low and high halves, which `prepare`
 * puts in order once for the words of four rows. What `end` gives counts FACTOR times. */

/* Doubled values. A nibble is a sign and one of eight magnitudes, which are bytes without sign: so a nibble
 * with its sign picks 0, and the negative ones' magnitudes come from the nibbles with all signs turned. */
struct mxfp4_dot {
    static constexpr float FACTOR = 1;
    struct operand {
        int first_four, last_four; /* in the order of a word's nibbles */
    };
    struct sum {
        int positive, negative;
    };
    static __device__ __forceinline__ operand prepare(int x_low, int x_high)
    {
        return {(int)__byte_perm(x_low, x_high, 0x5140), (int)__byte_perm(x_low, x_high, 0x7362)};
    }
    static __device__ __forceinline__ void add(uint32_t word, const operand &x, sum &s)
    {
        const uint32_t small = 0x03020100, large = 0x0c080604, signs = 0x88888888;
        uint32_t turned = word ^ signs;
        s.positive = __dp4a((int)pick_bytes(small, large, word), x.first_four, s.positive);
        s.negative = __dp4a((int)pick_bytes(small, large, turned), x.first_four, s.negative);
        s.positive = __dp4a((int)pick_bytes(small, large, word >> 16), x.last_four, s.positive);
        s.negative = __dp4a((int)pick_bytes(small, large, turned >> 16), x.last_four, s.negative);
    }
    static __device__ __forceinline__ float end(const sum &s)
    {
        return (float)(s.positive - s.negative);
    }
};

/* A nibble n means n - 8: with its first bit turned, in the upper half of a byte, that is 16 times as much.
 */
struct q4_0_dot {
    static constexpr float FACTOR = 1 / 16.0f;
    struct operand {
        int low, high;
    };
    struct sum {
        int all;
    };
    static __device__ __forceinline__ operand prepare(int x_low, int x_high)
    {
        return {x_low, x_high};
    }
    static __device__ __forceinline__ void add(uint32_t word, const operand &x, sum &s)
    {
        const uint32_t upper = 0xf0f0f0f0, firsts = 0x80808080;
        s.all = __dp4a((int)((word & upper) ^ firsts), x.high, s.all);
        s.all = __dp4a((int)((word << 4 & upper) ^ firsts), x.low, s.all);
    }
    static __device__ __forceinline__ float end(const sum &s)
    {
        return (float)s.all;
    }
};

/* The scales of four neighbouring rows as they are loaded; widened when they are used. */
struct mxfp4_scales {
    uint32_t four;
    static constexpr int BYTES = 1; /* of one */
    __device__ __forceinline__ void load(const uint8_t *at)
    {
        four = *((const uint32_t *)at);
    }
    /* Times factor; 2^-128 counts as 0. */
    __device__ __forceinline__ void widen(float factor, float (&out)[4]) const
    {
        const uint32_t exponent = 0x7f800000;
        factor *= 0.5f; /* of doubled values */
        out[0] = __uint_as_float(four << 23 & exponent) * factor;
        out[1] = __uint_as_float(four << 15 & exponent) * factor;
        out[2] = __uint_as_float(four << 7 & exponent) * factor;
        out[3] = __uint_as_float(four >> 1 & exponent) * factor;
    }
};

struct f16_scales {
    uint2 four;
    static constexpr int BYTES = 2;
    __device__ __forceinline__ void load(const uint8_t *at)
    {
        four = *((const uint2 *)at);
    }
    __device__ __forceinline__ void widen(float factor, float (&out)[4]) const
    {
        float2 a = __half22float2(*(const __half2 *)&four.x), b = __half22float2(*(const __half2 *)&four.y);
        out[0] = a.x * factor, out[1] = a.y * factor, out[2] = b.x * factor, out[3] = b.y * factor;
    }
};

/* ---- types ---- */

/* Each type: ROWS of a lane; STEP_COLUMNS; STEPS_IN_FLIGHT; n_steps; first_row of a lane; loaded, a lane's
 * part of a step; load; add, which multiplies it with token t's activations into sums[ROWS]. */

/* A lane has four rows of a block: their scales, and the steps from sums to floats, once for 32 columns. */
template <typename DOT, typename SCALES> struct nibble_type {
    static constexpr int ROWS = 4, LOADS = BLOCK / 8, STEP_BLOCKS = 8;
    static constexpr int STEP_COLUMNS = STEP_BLOCKS * BLOCK, STEPS_IN_FLIGHT = LOADS_IN_FLIGHT / LOADS;
    static constexpr bool TAKES_Q8 = true;
    struct loaded {
        uint4 quants[LOADS];
        SCALES scales;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols / BLOCK + STEP_BLOCKS - 1) / STEP_BLOCKS);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 4 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        int n_blocks = (int)(cols / BLOCK), block = STEP_BLOCKS * step + lane / 4;
        if (block >= n_blocks)
            return;
        const uint4 *quants = (const uint4 *)(band + block * (STEP_BYTES / 2)) + lane % 4;
#pragma unroll
        for (int i = 0; i < LOADS; i++)
            out.quants[i] = quants[4 * i];
        out.scales.load(band + n_blocks * (STEP_BYTES / 2) +
                        (block * BAND_ROWS + lane % 4 * ROWS) * SCALES::BYTES);
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        int n_blocks = (int)(cols / BLOCK), block = STEP_BLOCKS * step + lane / 4;
        if (block >= n_blocks)
            return;
        const int4 *q = (const int4 *)(x.q + token * cols + block * BLOCK);
        const int4 low = q[0], high = q[1];
        const int x_low[LOADS] = {low.x, low.y, low.z, low.w};
        const int x_high[LOADS] = {high.x, high.y, high.z, high.w};
        float scales[ROWS];
        in.scales.widen(x.q_scales[2 * (token * n_blocks + block)] * DOT::FACTOR, scales);
        typename DOT::sum dots[ROWS] = {};
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const uint32_t words[ROWS] = {in.quants[i].x, in.quants[i].y, in.quants[i].z, in.quants[i].w};
            typename DOT::operand operand = DOT::prepare(x_low[i], x_high[i]);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                DOT::add(words[r], operand, dots[r]);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sums[r] += scales[r] * DOT::end(dots[r]);
    }
};

struct q8_0_type {
    static constexpr int ROWS = 4, STEP_COLUMNS = BLOCK, STEPS_IN_FLIGHT = LOADS_IN_FLIGHT;
    static constexpr bool TAKES_Q8 = true;
    struct loaded {
        uint4 quants;
        f16_scales scales;
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
        out.quants = *((const uint4 *)(band + (int64_t)step * STEP_BYTES + lane * 16));
        out.scales.load(band + cols / BLOCK * STEP_BYTES + (step * BAND_ROWS + lane % 4 * ROWS) * 2);
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        int x_four = *(const int *)(x.q + token * cols + (int64_t)step * BLOCK + lane / 4 * 4);
        const uint32_t words[ROWS] = {in.quants.x, in.quants.y, in.quants.z, in.quants.w};
        float scales[ROWS];
        in.scales.widen(x.q_scales[2 * (token * (cols / BLOCK) + step)], scales);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            sums[r] += scales[r] * (float)__dp4a((int)words[r], x_four, 0);
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
    static constexpr int ROWS = 8, STEP_COLUMNS = 16, STEPS_IN_FLIGHT = LOADS_IN_FLIGHT;
    static constexpr bool TAKES_Q8 = false;
    struct loaded {
        uint4 values;
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols + STEP_COLUMNS - 1) / STEP_COLUMNS);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 2 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        out.is_there = (int64_t)step * STEP_COLUMNS + lane / 2 < cols;
        int64_t at = out.is_there ? (int64_t)step * STEP_BYTES + lane * 16 : 0;
        out.values = *((const uint4 *)(band + at));
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        if (!in.is_there)
            return;
        float value = x.f32[token * cols + (int64_t)step * STEP_COLUMNS + lane / 2];
        const uint32_t words[4] = {in.values.x, in.values.y, in.values.z, in.values.w};
        for (int i = 0; i < 4; i++) {
            float2 two = PAIR::widen(words[i]);
            sums[2 * i] += two.x * value;
            sums[2 * i + 1] += two.y * value;
        }
    }
};

struct f32_type {
    static constexpr int ROWS = 4, STEP_COLUMNS = 8, STEPS_IN_FLIGHT = LOADS_IN_FLIGHT;
    static constexpr bool TAKES_Q8 = false;
    struct loaded {
        float4 values;
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols + STEP_COLUMNS - 1) / STEP_COLUMNS);
    }
    static __device__ int first_row(int lane)
    {
        return lane % 4 * ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        out.is_there = (int64_t)step * STEP_COLUMNS + lane / 4 < cols;
        int64_t at = out.is_there ? (int64_t)step * STEP_BYTES + lane * 16 : 0;
        out.values = *((const float4 *)(band + at));
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        if (!in.is_there)
            return;
        float value = x.f32[token * cols + (int64_t)step * STEP_COLUMNS + lane / 4];
        sums[0] += in.values.x * value;
        sums[1] += in.values.y * value;
        sums[2] += in.values.z * value;
        sums[3] += in.values.w * value;
    }
};

typedef nibble_type<mxfp4_dot, mxfp4_scales> mxfp4_type;
typedef nibble_type<q4_0_dot, f16_scales> q4_0_type;
typedef half_type<f16_pair> f16_type;
typedef half_type<bf16_pair> bf16_type;

/* ---- the walk ---- */

/* The steps `step`, step + stride, ... of a warp that are on their way at once, as far as they lie before
 * end. */
template <typename TYPE> struct steps_in_flight {
    typename TYPE::loaded of[TYPE::STEPS_IN_FLIGHT];
};

template <typename TYPE>
__device__ __forceinline__ void load_steps(steps_in_flight<TYPE> &out, const uint8_t *band, int64_t cols,
                                           int step, int end, int stride)
{
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < TYPE::STEPS_IN_FLIGHT; i++) {
        if (step + i * stride < end)
            TYPE::load(out.of[i], band, cols, step + i * stride, lane);
    }
}

/* Adds to sums[t][...] the products of steps first, first + stride, ... below end. tokens[t]: rows of x.
 * begun: what load_steps gave for `first`. */
template <typename TYPE, int TOKENS>
__device__ __forceinline__ void walk_on(steps_in_flight<TYPE> &begun, const uint8_t *band,
                                        const ssw_cuda_acts &x, int64_t cols, const int64_t (&tokens)[TOKENS],
                                        int first, int end, int stride, float (&sums)[TOKENS][TYPE::ROWS])
{
    int lane = threadIdx.x % WARP, step = first;
    while (step < end) {
#pragma unroll
        for (int i = 0; i < TYPE::STEPS_IN_FLIGHT; i++) {
            if (step + i * stride >= end)
                break;
#pragma unroll
            for (int t = 0; t < TOKENS; t++)
                TYPE::add(begun.of[i], x, cols, tokens[t], step + i * stride, lane, sums[t]);
        }
        step += TYPE::STEPS_IN_FLIGHT * stride;
        load_steps<TYPE>(begun, band, cols, step, end, stride);
    }
}

template <typename TYPE, int TOKENS>
__device__ __forceinline__ void walk_band(const uint8_t *band, const ssw_cuda_acts &x, int64_t cols,
                                          const int64_t (&tokens)[TOKENS], int first, int end, int stride,
                                          float (&sums)[TOKENS][TYPE::ROWS])
{
    steps_in_flight<TYPE> begun;
    load_steps<TYPE>(begun, band, cols, first, end, stride);
    walk_on<TYPE, TOKENS>(begun, band, x, cols, tokens, first, end, stride, sums);
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
