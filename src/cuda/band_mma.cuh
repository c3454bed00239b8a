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

enum { MMA_TOKENS = 8, MMA_BLOCK_BYTES = 32 };

/* ---- 8-bit integers ---- */

/* Accumulators start from these bits, the float 1.5 * 2^23: adding an integer below 2^22 to the bits adds it
 * to the float, and the sum becomes a float without a conversion. */
#define MMA_MAGIC_BITS 0x4b400000
#define MMA_MAGIC      12582912.0f

struct q8_operand { /* of 8 tokens */
    uint32_t x[2];
};

/* A band's block: words of rows 2g, 2g + 1 at columns 4t .. and 16 + 4t .., and the two rows' scales.
 * minus_magic[r] is -scale[r] * MMA_MAGIC, exact: MXFP4 scales must be below 2^104. */
struct q8_fragment {
    uint32_t w[4];
    float scale[2], minus_magic[2];
    __device__ __forceinline__ void set_scales(float first, float second)
    {
        scale[0] = first;
        scale[1] = second;
        minus_magic[0] = -MMA_MAGIC * first;
        minus_magic[1] = -MMA_MAGIC * second;
    }
};

__device__ __forceinline__ q8_operand prepare_q8(uint32_t first, uint32_t second)
{
    return {{first, second}};
}

/* acc += scale(row) * x_scale(token) * dot. */
__device__ __forceinline__ void multiply_q8(const q8_fragment &f, const q8_operand &x, float2 x_scales,
                                            float (&acc)[4])
{
    int d[4];
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(f.w[0]), "r"(f.w[1]), "r"(f.w[2]), "r"(f.w[3]), "r"(x.x[0]), "r"(x.x[1]), "r"(MMA_MAGIC_BITS));
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float scaled = fmaf(__int_as_float(d[i]), f.scale[i / 2], f.minus_magic[i / 2]);
        acc[i] = fmaf(scaled, i % 2 ? x_scales.y : x_scales.x, acc[i]);
    }
}

template <typename TABLE, bool IS_MXFP4> struct nibble_mma {
    static constexpr bool TAKES_Q8 = true;
    static constexpr int COLUMNS = 32, BLOCK_BYTES = BAND_ROWS * 16;
    typedef q8_operand operand;
    typedef q8_fragment fragment;
    struct loaded {
        uint2 words;
        uint32_t scales;
    };
    static __device__ __forceinline__ loaded load(const uint8_t *band, int n_blocks, int block, int g, int t)
    {
        loaded out;
        out.words = __ldg((const uint2 *)(band + block * BLOCK_BYTES + (t * BAND_ROWS + 2 * g) * 4));
        const uint8_t *scales = band + n_blocks * BLOCK_BYTES;
        if (IS_MXFP4)
            out.scales = __ldg((const uint16_t *)(scales + block * BAND_ROWS + 2 * g));
        else
            out.scales = __ldg((const uint32_t *)(scales + (block * BAND_ROWS + 2 * g) * 2));
        return out;
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        int low[2], high[2];
        expand_nibbles<TABLE>(in.words.x, low[0], high[0]);
        expand_nibbles<TABLE>(in.words.y, low[1], high[1]);
        f.w[0] = low[0], f.w[1] = low[1], f.w[2] = high[0], f.w[3] = high[1];
        if (IS_MXFP4) {
            f.set_scales(e8m0_half(in.scales & 0xff), e8m0_half(in.scales >> 8));
        } else {
            float2 two = __half22float2(*(const __half2 *)&in.scales);
            f.set_scales(two.x, two.y);
        }
        return f;
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return prepare_q8(first, second);
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2 x_scales,
                                                    float (&acc)[4])
    {
        multiply_q8(f, x, x_scales, acc);
    }
};

struct q8_0_mma {
    static constexpr bool TAKES_Q8 = true;
    static constexpr int COLUMNS = 32, BLOCK_BYTES = BAND_ROWS * 32;
    typedef q8_operand operand;
    typedef q8_fragment fragment;
    struct loaded {
        uint2 words[2];
        uint32_t scales;
    };
    static __device__ __forceinline__ loaded load(const uint8_t *band, int n_blocks, int block, int g, int t)
    {
        loaded out;
        const uint8_t *words = band + block * BLOCK_BYTES + (t * BAND_ROWS + 2 * g) * 4;
        out.words[0] = __ldg((const uint2 *)words);
        out.words[1] = __ldg((const uint2 *)(words + BLOCK_BYTES / 2));
        out.scales =
            __ldg((const uint32_t *)(band + n_blocks * BLOCK_BYTES + (block * BAND_ROWS + 2 * g) * 2));
        return out;
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        fragment f;
        float2 two = __half22float2(*(const __half2 *)&in.scales);
        f.w[0] = in.words[0].x, f.w[1] = in.words[0].y, f.w[2] = in.words[1].x, f.w[3] = in.words[1].y;
        f.set_scales(two.x, two.y);
        return f;
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return prepare_q8(first, second);
    }
    static __device__ __forceinline__ void multiply(const fragment &f, const operand &x, float2 x_scales,
                                                    float (&acc)[4])
    {
        multiply_q8(f, x, x_scales, acc);
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

__device__ __forceinline__ tf32_operand prepare_tf32(uint32_t first, uint32_t second)
{
    tf32_operand out;
    split_tf32(first, out.high[0], out.low[0]);
    split_tf32(second, out.high[1], out.low[1]);
    return out;
}

__device__ __forceinline__ void mma_tf32(const uint32_t (&w)[4], const uint32_t (&x)[2], float (&d)[4])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(x[0]), "r"(x[1]));
}

/* F16 and BF16 are tf32 numbers as they are. */
template <typename PAIR> struct half_mma {
    static constexpr bool TAKES_Q8 = false;
    static constexpr int COLUMNS = 8, BLOCK_BYTES = BAND_ROWS * 16;
    typedef tf32_operand operand;
    struct fragment {
        uint32_t w[4];
    };
    struct loaded {
        uint32_t words[2]; /* columns t and t + 4 */
    };
    static __device__ __forceinline__ loaded load(const uint8_t *band, int n_blocks, int block, int g, int t)
    {
        const uint8_t *words = band + block * BLOCK_BYTES + (t * BAND_ROWS + 2 * g) * 2;
        loaded out;
        out.words[0] = __ldg((const uint32_t *)words);
        out.words[1] = __ldg((const uint32_t *)(words + BLOCK_BYTES / 2));
        return out;
    }
    static __device__ __forceinline__ fragment decode(const loaded &in)
    {
        float2 first = PAIR::widen(in.words[0]), second = PAIR::widen(in.words[1]);
        return {{__float_as_uint(first.x), __float_as_uint(first.y), __float_as_uint(second.x),
                 __float_as_uint(second.y)}};
    }
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return prepare_tf32(first, second);
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

struct f32_mma {
    static constexpr bool TAKES_Q8 = false;
    static constexpr int COLUMNS = 8, BLOCK_BYTES = BAND_ROWS * 32;
    typedef tf32_operand operand;
    struct fragment {
        uint32_t high[4], low[4];
    };
    struct loaded {
        uint2 words[2];
    };
    static __device__ __forceinline__ loaded load(const uint8_t *band, int n_blocks, int block, int g, int t)
    {
        const uint8_t *words = band + block * BLOCK_BYTES + (t * BAND_ROWS + 2 * g) * 4;
        loaded out;
        out.words[0] = __ldg((const uint2 *)words);
        out.words[1] = __ldg((const uint2 *)(words + BLOCK_BYTES / 2));
        return out;
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
    static __device__ __forceinline__ operand prepare(uint32_t first, uint32_t second)
    {
        return prepare_tf32(first, second);
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

typedef nibble_mma<mxfp4_table, true> mxfp4_mma;
typedef nibble_mma<q4_0_table, false> q4_0_mma;
typedef half_mma<f16_pair> f16_mma;
typedef half_mma<bf16_pair> bf16_mma;

/* CALL(TYPE) for the dtype. */
#define FOR_MMA_DTYPE(dtype, CALL)                                                                           \
    switch (dtype) {                                                                                         \
    case SSW_DTYPE_F32:                                                                                      \
        CALL(f32_mma);                                                                                       \
        break;                                                                                               \
    case SSW_DTYPE_F16:                                                                                      \
        CALL(f16_mma);                                                                                       \
        break;                                                                                               \
    case SSW_DTYPE_BF16:                                                                                     \
        CALL(bf16_mma);                                                                                      \
        break;                                                                                               \
    case SSW_DTYPE_Q8_0:                                                                                     \
        CALL(q8_0_mma);                                                                                      \
        break;                                                                                               \
    case SSW_DTYPE_Q4_0:                                                                                     \
        CALL(q4_0_mma);                                                                                      \
        break;                                                                                               \
    case SSW_DTYPE_MXFP4:                                                                                    \
        CALL(mxfp4_mma);                                                                                     \
        break;                                                                                               \
    default:                                                                                                 \
        assert(!"a type without GPU operations");                                                            \
    }

#endif
