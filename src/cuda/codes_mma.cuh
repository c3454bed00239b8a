/* Bands of types of small codes as operands of tensor cores, in the terms of band_mma.cuh.
 *
 * A lane's words are those of both its rows in line t of the 4 lower bits, and in the lines of the others,
 * which all lanes t share. Types with a scale per 16 columns multiply each half of a block apart. Minima are
 * products with the activations' sums: those of a block stand beside its scale; those of its halves come out
 * of one more product, with the minima as weights of all their columns. Included by kernels only. */
#ifndef SSW_CUDA_CODES_MMA_CUH
#define SSW_CUDA_CODES_MMA_CUH

#include <type_traits>

#include "cuda/band_mma.cuh"
#include "cuda/band_types.cuh"
#include "cuda/codes.cuh"

template <typename CODES> struct codes_mma {
    static constexpr bool TAKES_Q8 = true;
    static constexpr bool TAKES_SUMS = CODES::MIN && CODES::GROUPS == 1;
    static constexpr int COLUMNS = 32, BLOCK_BYTES = CODES::CODE_BYTES, SCALE_BYTES = CODES::SCALE_BYTES,
                         HEAD_BYTES = CODES::HEAD_BYTES, SCALE_FLOATS = TAKES_SUMS ? 2 : 1;
    typedef typename std::conditional<TAKES_SUMS, float4, float2>::type token_scales;
    typedef q8_operand operand;
    struct fragment {
        uint32_t w[4];
        float scale[CODES::GROUPS][2], minus_magic[CODES::GROUPS][2]; /* as q8_fragment's */
        float min[2];       /* of both rows, to be added: a block's, or the unit of its halves' */
        uint32_t minima[4]; /* the halves', in the places of w */
    };
    struct loaded {
        uint2 nibbles, twos[2], ones;
        uint32_t d, dmin, scales;
        uint16_t small, mins; /* of both rows, a byte each */
    };
    static __device__ __forceinline__ int words_at(int g, int)
    {
        return 2 * g * 4;
    }
    static __device__ __forceinline__ int scales_at(int)
    {
        return 0;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *scales,
                                                bool is_there)
    {
        load(out, words, scales, scales, is_there);
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *scales,
                                                const uint8_t *head, bool is_there)
    {
        int g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
        if (CODES::BITS & 4)
            load_two_words(out.nibbles, words + t * CODES_LINE_BYTES, is_there);
        if (CODES::BITS & 2) {
            load_two_words(out.twos[0], words + (CODES::BITS & 4) * CODES_LINE_BYTES, is_there);
            load_two_words(out.twos[1], words + ((CODES::BITS & 4) + 1) * CODES_LINE_BYTES, is_there);
        }
        if (CODES::BITS & 1)
            load_two_words(out.ones, words + (CODES::BITS - 1) * CODES_LINE_BYTES, is_there);
        load_word(out.d, head + 4 * g, is_there);
        if (CODES::MIN)
            load_word(out.dmin, head + 2 * BAND_ROWS + 4 * g, is_there);
        if (CODES::SUPER && CODES::GROUPS == 2)
            load_word(out.scales, scales + 4 * g, is_there);
        else if (CODES::SUPER)
            load_half_word(out.small, scales + 2 * g, is_there);
        if (CODES::SUPER && TAKES_SUMS)
            load_half_word(out.mins, scales + BAND_ROWS + 2 * g, is_there);
    }
    static __device__ __forceinline__ void set_scale(fragment &f, int group, int row, float scale)
    {
        f.scale[group][row] = scale;
        f.minus_magic[group][row] = -MMA_MAGIC * scale;
    }
    /* Row 2g + row. */
    static __device__ __forceinline__ void set_scales(fragment &f, const loaded &in, int row, float d,
                                                      float dmin)
    {
        if (!CODES::SUPER) {
            set_scale(f, 0, row, d);
            f.min[row] = dmin;
        } else if (CODES::GROUPS == 1) {
            set_scale(f, 0, row, d * (float)(int8_t)(in.small >> 8 * row & 0xff));
            f.min[row] = -dmin * (float)(int8_t)(in.mins >> 8 * row & 0xff);
        } else {
            f.min[row] = -dmin;
#pragma unroll
            for (int group = 0; group < CODES::GROUPS; group++) {
                uint32_t byte = in.scales >> (16 * row + 8 * group) & 0xff;
                set_scale(f, group, row, d * (float)(CODES::PACKS_MIN ? (int)(byte & 15) : (int8_t)byte));
                f.minima[2 * group + row] = (byte >> 4) * 0x01010101u;
            }
        }
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        int t = threadIdx.x % 4, low[2], high[2];
        const uint32_t first[2] = {in.twos[0].x, in.twos[1].x}, second[2] = {in.twos[0].y, in.twos[1].y};
        unpack_codes<CODES>(in.nibbles.x, first, in.ones.x, t, low[0], high[0]);
        unpack_codes<CODES>(in.nibbles.y, second, in.ones.y, t, low[1], high[1]);
        f.w[0] = low[0], f.w[1] = low[1], f.w[2] = high[0], f.w[3] = high[1];
        float2 d = __half22float2(*(const __half2 *)&in.d), dmin = __half22float2(*(const __half2 *)&in.dmin);
        set_scales(f, in, 0, d.x * CODES::UNIT, dmin.x);
        set_scales(f, in, 1, d.y * CODES::UNIT, dmin.y);
        return f;
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return {{first, second}};
    }
    /* One group of columns. */
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float4 x_scales,
                                                    float (&acc)[4])
    {
        multiply_whole(f, x, x_scales.x, x_scales.z, acc);
#pragma unroll
        for (int i = 0; i < 4; i++)
            acc[i] = fmaf(f.min[i / 2], i % 2 ? x_scales.w : x_scales.y, acc[i]);
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2 x_scales,
                                                    float (&acc)[4])
    {
        if constexpr (CODES::GROUPS == 1)
            multiply_whole(f, x, x_scales.x, x_scales.y, acc);
        else
            multiply_halves(f, x, x_scales, acc);
    }
    static __device__ __forceinline__ void multiply_whole(const fragment &f, const operand &x, float x_first,
                                                          float x_second, float (&acc)[4])
    {
        int d[4];
        mma_s8(f.w, x.x, d);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float scaled = fmaf(__int_as_float(d[i]), f.scale[0][i / 2], f.minus_magic[0][i / 2]);
            acc[i] = fmaf(scaled, i % 2 ? x_second : x_first, acc[i]);
        }
    }
    static __device__ __forceinline__ void multiply_halves(const fragment &f, const operand &x,
                                                           float2 x_scales, float (&acc)[4])
    {
        int d[2][4], m[4];
        mma_s8_half(f.w[0], f.w[1], x.x[0], d[0]);
        mma_s8_half(f.w[2], f.w[3], x.x[1], d[1]);
        if (CODES::MIN)
            mma_s8(f.minima, x.x, m);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float scaled = fmaf(__int_as_float(d[0][i]), f.scale[0][i / 2], f.minus_magic[0][i / 2]);
            scaled = fmaf(__int_as_float(d[1][i]) - MMA_MAGIC, f.scale[CODES::GROUPS - 1][i / 2], scaled);
            if (CODES::MIN)
                scaled = fmaf(__int_as_float(m[i]) - MMA_MAGIC, f.min[i / 2], scaled);
            acc[i] = fmaf(scaled, i % 2 ? x_scales.y : x_scales.x, acc[i]);
        }
    }
};

#define SSW_CUDA_CODES_MMA(TYPE, name, ...) typedef codes_mma<name##_codes> name##_mma;
SSW_CUDA_CODES_TYPES(SSW_CUDA_CODES_MMA)

#endif
