/* One warp times one band of a type of small codes, in the terms of band_dot.cuh.
 *
 * A step is two blocks of 32 columns. A lane has one row of one of them: its words lie 64 bytes apart, those
 * of 16 lanes side by side, so that a load instruction takes two whole lines and a lane multiplies each scale
 * once for all its columns. Included by kernels only. */
#ifndef SSW_CUDA_CODES_DOT_CUH
#define SSW_CUDA_CODES_DOT_CUH

#include "cuda/band_types.cuh"
#include "cuda/codes.cuh"

template <typename CODES> struct codes_dot {
    static constexpr int ROWS = 1, STEP_COLUMNS = 2 * BLOCK, STEPS_IN_FLIGHT = LOADS_IN_FLIGHT;
    static constexpr bool TAKES_Q8 = true;
    static constexpr int QUADS = 4; /* fours of columns in half a block */
    static constexpr int TWOS = CODES::BITS & 2 ? CODES::BITS & 4 : 0, TWOS_STEP = CODES::BITS & 2 ? 1 : 0;
    struct loaded {
        uint32_t words[CODES::BITS];
        uint16_t d, dmin;
        uint16_t scales; /* two signed bytes, or one, or two of four bits and two minima */
        uint8_t min;
        bool is_there;
    };
    static __device__ int n_steps(int64_t cols)
    {
        return (int)((cols / BLOCK + 1) / 2);
    }
    static __device__ int first_row(int lane)
    {
        return lane % BAND_ROWS;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *band, int64_t cols, int step,
                                                int lane)
    {
        int n_blocks = (int)(cols / BLOCK), block = 2 * step + lane / BAND_ROWS, row = lane % BAND_ROWS;
        out.is_there = block < n_blocks;
        if (!out.is_there)
            block = n_blocks - 1;
        const uint8_t *words = band + (int64_t)block * CODES::CODE_BYTES + row * 4;
#pragma unroll
        for (int l = 0; l < CODES::BITS; l++)
            out.words[l] = __ldg((const uint32_t *)(words + l * CODES_LINE_BYTES));
        const uint8_t *scales = band + (int64_t)n_blocks * CODES::CODE_BYTES + block * CODES::SCALE_BYTES;
        const uint8_t *head = scales;
        if (CODES::SUPER) {
            scales += (block / CODES_SUPER_BLOCKS + 1) * CODES::HEAD_BYTES;
            head = scales - CODES::HEAD_BYTES - block % CODES_SUPER_BLOCKS * CODES::SCALE_BYTES;
            out.scales = CODES::GROUPS == 2 ? __ldg((const uint16_t *)scales + row) : __ldg(scales + row);
            out.min = CODES::MIN && !CODES::PACKS_MIN ? __ldg(scales + BAND_ROWS + row) : 0;
        }
        out.d = __ldg((const uint16_t *)head + row);
        out.dmin = CODES::MIN ? __ldg((const uint16_t *)head + BAND_ROWS + row) : 0;
    }
    static __device__ __forceinline__ void add(const loaded &in, const ssw_cuda_acts &x, int64_t cols,
                                               int64_t token, int step, int lane, float (&sums)[ROWS])
    {
        int64_t n_blocks = cols / BLOCK, block = 2 * step + lane / BAND_ROWS;
        if (!in.is_there)
            return;
        const int4 *q = (const int4 *)(x.q + token * cols + block * BLOCK);
        const int4 first = q[0], second = q[1];
        const int x_low[QUADS] = {first.x, first.y, first.z, first.w};
        const int x_high[QUADS] = {second.x, second.y, second.z, second.w};
        const float2 x_scale = ((const float2 *)x.q_scales)[token * n_blocks + block];
        const uint32_t twos[2] = {in.words[TWOS], in.words[TWOS + TWOS_STEP]};
        int dots[2] = {0, 0};
#pragma unroll
        for (int k = 0; k < QUADS; k++) {
            int low, high;
            unpack_codes<CODES>(in.words[CODES::BITS & 4 ? k : 0], twos, in.words[CODES::BITS - 1], k, low,
                                high);
            dots[0] = __dp4a(low, x_low[k], dots[0]);
            dots[1] = __dp4a(high, x_high[k], dots[1]);
        }
        float d = widen_half(in.d) * CODES::UNIT, dmin = widen_half(in.dmin);
        if (!CODES::SUPER)
            sums[0] += d * x_scale.x * (float)(dots[0] + dots[1]) + dmin * x_scale.y;
        else if (CODES::GROUPS == 1)
            sums[0] += d * (float)(int8_t)in.scales * x_scale.x * (float)(dots[0] + dots[1]) -
                       dmin * (float)in.min * x_scale.y;
        else if (CODES::MIN)
            sums[0] += x_scale.x * add_packed(in.scales, d, dmin, dots, x_low, x_high);
        else
            sums[0] += d * x_scale.x *
                       (float)(dots[0] * (int8_t)(in.scales & 0xff) + dots[1] * (int8_t)(in.scales >> 8));
    }
    /* Both groups' scales and minima, four bits each, from the lowest: scale, min, scale, min. */
    static __device__ __forceinline__ float add_packed(uint32_t packed, float d, float dmin,
                                                       const int (&dots)[2], const int (&x_low)[QUADS],
                                                       const int (&x_high)[QUADS])
    {
        int x_sums[2] = {0, 0};
#pragma unroll
        for (int k = 0; k < QUADS; k++) {
            x_sums[0] = __dp4a(0x01010101, x_low[k], x_sums[0]);
            x_sums[1] = __dp4a(0x01010101, x_high[k], x_sums[1]);
        }
        int scaled = dots[0] * (int)(packed & 15) + dots[1] * (int)(packed >> 8 & 15);
        int minima = x_sums[0] * (int)(packed >> 4 & 15) + x_sums[1] * (int)(packed >> 12);
        return d * (float)scaled - dmin * (float)minima;
    }
};

#define SSW_CUDA_CODES_DOT(TYPE, name, ...) typedef codes_dot<name##_codes> name##_type;
SSW_CUDA_CODES_TYPES(SSW_CUDA_CODES_DOT)

#endif
