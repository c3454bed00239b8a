/* Bands of a weight matrix as operands of tensor cores: one file of register fragments for each weight type.
 *
 * A warp multiplies a band (16 rows) with groups of 8 tokens, a block of columns at a time; a block's
 * activations are 32 bytes a token in every type: 32 columns in 8 bits, or 8 columns as floats. Lane l holds
 * g = l / 4 and t = l % 4 of the PTX manual's fragments (m16n8k32 for s8, m16n8k8 for tf32). Rows g and g + 8
 * of a fragment are rows 2g and 2g + 1 of the band, which are neighbours in memory, so that the words of a
 * fragment are read with 64-bit loads straight into the registers where the instruction wants them. A
 * result acc[i] is row 2g + i / 2 of the band, token 2t + i % 2 of the group.
 *
 * Integer dot products are exact; scales are applied in float, as on the CPU. Products of float weights are
 * made of tf32 pieces (11 significant bits each): activations in two, F32 weights in two as well, and every
 * block is summed apart and then added in float, which leaves an error of about 2^-20 of sum |w x|.
 * Included by kernels only. */
#ifndef SSW_CUDA_BAND_MMA_CUH
#define SSW_CUDA_BAND_MMA_CUH

#include "cuda/band_dot.cuh"
#include "cuda/mma_parts.cuh"

/* Each type: COLUMNS and BLOCK_BYTES of a band's block; SCALE_BYTES of a block's 16 scales, and HEAD_BYTES
 * that stand before those of each super-block; SCALE_FLOATS that it takes of each token's q_scales, and
 * token_scales, those of two tokens; words_at and scales_at, where a lane's part of block 0 begins; load, a
 * block from these places moved along; decode, to the fragment of a product; prepare, 8 tokens' words;
 * multiply. */

/* ---- 8-bit integers ---- */

/* A band's block: words of rows 2g, 2g + 1 at columns 4t .. and 16 + 4t .., and the two rows' scales.
 * minus_magic[r] is -scale[r] * MMA_MAGIC, exact: MXFP4 scales must be below 2^104. */
struct q8_fragment {
    uint32_t w[4];
    float scale[2], minus_magic[2];
    __device__ __forceinline__ void set_scales(float first, float second, float factor)
    {
        scale[0] = factor * first;
        scale[1] = factor * second;
        minus_magic[0] = -MMA_MAGIC * factor * first;
        minus_magic[1] = -MMA_MAGIC * factor * second;
    }
};

/* acc += scale(row) * x_scale(token) * dot. */
__device__ __forceinline__ void multiply_q8(const q8_fragment &f, const q8_operand &x, float2 x_scales,
                                            float (&acc)[4])
{
    int d[4];
    mma_s8(f.w, x.x, d);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float scaled = fmaf(__int_as_float(d[i]), f.scale[i / 2], f.minus_magic[i / 2]);
        acc[i] = fmaf(scaled, i % 2 ? x_scales.y : x_scales.x, acc[i]);
    }
}

template <typename TYPE> struct q8_mma { /* what the integer types share */
    static constexpr bool TAKES_Q8 = true;
    static constexpr int COLUMNS = 32, HEAD_BYTES = 0, SCALE_FLOATS = 1;
    typedef float2 token_scales;
    typedef q8_operand operand;
    typedef q8_fragment fragment;
    static __device__ __forceinline__ int words_at(int g, int t)
    {
        return (t * BAND_ROWS + 2 * g) * 4;
    }
    static __device__ __forceinline__ int scales_at(int g)
    {
        return TYPE::SCALE_BYTES / BAND_ROWS * 2 * g;
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return {{first, second}};
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2 x_scales,
                                                    float (&acc)[4])
    {
        multiply_q8(f, x, x_scales, acc);
    }
};

struct mxfp4_mma : q8_mma<mxfp4_mma> {
    static constexpr int BLOCK_BYTES = BAND_ROWS * 16, SCALE_BYTES = BAND_ROWS;
    struct loaded {
        uint2 words;
        uint16_t scales;
    };
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *scales,
                                                bool is_there)
    {
        load_two_words(out.words, words, is_there);
        load_half_word(out.scales, scales, is_there);
    }
    /* The scale is half of the float with exponent e; only for e = 0 that is 0 instead of 2^-128. */
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        int low[2], high[2];
        expand_nibbles<mxfp4_table>(in.words.x, low[0], high[0]);
        expand_nibbles<mxfp4_table>(in.words.y, low[1], high[1]);
        f.w[0] = low[0], f.w[1] = low[1], f.w[2] = high[0], f.w[3] = high[1];
        f.set_scales(__uint_as_float((uint32_t)in.scales << 23 & 0x7f800000u),
                     __uint_as_float((uint32_t)in.scales << 15 & 0x7f800000u), 0.5f);
        return f;
    }
};

struct q4_0_mma : q8_mma<q4_0_mma> {
    static constexpr int BLOCK_BYTES = BAND_ROWS * 16, SCALE_BYTES = BAND_ROWS * 2;
    struct loaded {
        uint2 words;
        uint32_t scales;
    };
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *scales,
                                                bool is_there)
    {
        load_two_words(out.words, words, is_there);
        load_word(out.scales, scales, is_there);
    }
    /* A nibble n stands for n - 8. With its upper bit turned it is that number in two's complement, and in
     * the upper half of a byte it is 16 times that. */
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        float2 two = __half22float2(*(const __half2 *)&in.scales);
        f.w[0] = (in.words.x << 4 ^ 0x80808080u) & 0xf0f0f0f0u;
        f.w[1] = (in.words.y << 4 ^ 0x80808080u) & 0xf0f0f0f0u;
        f.w[2] = (in.words.x ^ 0x80808080u) & 0xf0f0f0f0u;
        f.w[3] = (in.words.y ^ 0x80808080u) & 0xf0f0f0f0u;
        f.set_scales(two.x, two.y, 1.0f / 16);
        return f;
    }
};

struct q8_0_mma : q8_mma<q8_0_mma> {
    static constexpr int BLOCK_BYTES = BAND_ROWS * 32, SCALE_BYTES = BAND_ROWS * 2;
    struct loaded {
        uint2 words[2];
        uint32_t scales;
    };
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *scales,
                                                bool is_there)
    {
        load_two_words(out.words[0], words, is_there);
        load_two_words(out.words[1], words + BLOCK_BYTES / 2, is_there);
        load_word(out.scales, scales, is_there);
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        float2 two = __half22float2(*(const __half2 *)&in.scales);
        f.w[0] = in.words[0].x, f.w[1] = in.words[0].y, f.w[2] = in.words[1].x, f.w[3] = in.words[1].y;
        f.set_scales(two.x, two.y, 1);
        return f;
    }
};

/* ---- floats ---- */

/* value = high + low, both tf32 (low as far as its first 11 bits). */
__device__ __forceinline__ void split_tf32(uint32_t bits, uint32_t &high, uint32_t &low)
{
    high = (bits + 0x1000u) & 0xffffe000u;
    low = __float_as_uint(__uint_as_float(bits) - __uint_as_float(high));
}

struct tf32_operand {
    uint32_t high[2], low[2];
};

__device__ __forceinline__ void mma_tf32(const uint32_t (&w)[4], const uint32_t (&x)[2], float (&d)[4])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(x[0]), "r"(x[1]));
}

struct tf32_mma { /* what the float types share */
    static constexpr bool TAKES_Q8 = false;
    static constexpr int COLUMNS = 8, SCALE_BYTES = 0, HEAD_BYTES = 0, SCALE_FLOATS = 0;
    typedef float2 token_scales;
    typedef tf32_operand operand;
    static __device__ __forceinline__ int scales_at(int)
    {
        return 0;
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        operand out;
        split_tf32(first, out.high[0], out.low[0]);
        split_tf32(second, out.high[1], out.low[1]);
        return out;
    }
};

/* F16 and BF16 are tf32 numbers as they are. */
template <typename PAIR> struct half_mma : tf32_mma {
    static constexpr int BLOCK_BYTES = BAND_ROWS * 16;
    struct fragment {
        uint32_t w[4];
    };
    struct loaded {
        uint32_t words[2]; /* columns t and t + 4 */
    };
    static __device__ __forceinline__ int words_at(int g, int t)
    {
        return (t * BAND_ROWS + 2 * g) * 2;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *,
                                                bool is_there)
    {
        load_word(out.words[0], words, is_there);
        load_word(out.words[1], words + BLOCK_BYTES / 2, is_there);
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        float2 first = PAIR::widen(in.words[0]), second = PAIR::widen(in.words[1]);
        return {{__float_as_uint(first.x), __float_as_uint(first.y), __float_as_uint(second.x),
                 __float_as_uint(second.y)}};
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2,
                                                    float (&acc)[4])
    {
        float d[4] = {0, 0, 0, 0};
        mma_tf32(f.w, x.low, d);
        mma_tf32(f.w, x.high, d);
#pragma unroll
        for (int i = 0; i < 4; i++)
            acc[i] += d[i];
    }
};

struct f32_mma : tf32_mma {
    static constexpr int BLOCK_BYTES = BAND_ROWS * 32;
    struct fragment {
        uint32_t high[4], low[4];
    };
    struct loaded {
        uint2 words[2];
    };
    static __device__ __forceinline__ int words_at(int g, int t)
    {
        return (t * BAND_ROWS + 2 * g) * 4;
    }
    static __device__ __forceinline__ void load(loaded &out, const uint8_t *words, const uint8_t *,
                                                bool is_there)
    {
        load_two_words(out.words[0], words, is_there);
        load_two_words(out.words[1], words + BLOCK_BYTES / 2, is_there);
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        split_tf32(in.words[0].x, f.high[0], f.low[0]);
        split_tf32(in.words[0].y, f.high[1], f.low[1]);
        split_tf32(in.words[1].x, f.high[2], f.low[2]);
        split_tf32(in.words[1].y, f.high[3], f.low[3]);
        return f;
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2,
                                                    float (&acc)[4])
    {
        float d[4] = {0, 0, 0, 0};
        mma_tf32(f.low, x.high, d);
        mma_tf32(f.high, x.low, d);
        mma_tf32(f.high, x.high, d);
#pragma unroll
        for (int i = 0; i < 4; i++)
            acc[i] += d[i];
    }
};

typedef half_mma<f16_pair> f16_mma;
typedef half_mma<bf16_pair> bf16_mma;

#endif
