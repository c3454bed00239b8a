/* What tensor cores' operands are made with: loads, and products of 8-bit integers. Included by kernels only.
 */
#ifndef SSW_CUDA_MMA_PARTS_CUH
#define SSW_CUDA_MMA_PARTS_CUH

#include "cuda/warp.cuh"

enum { MMA_TOKENS = 8, MMA_BLOCK_BYTES = 32 };

/* Words that one warp reads once, and scales whose neighbours are read next. Nothing is read, and out keeps
 * what it had, if it is not there. */
__device__ __forceinline__ void load_two_words(uint2 &out, const uint8_t *at, bool is_there)
{
    asm("{ .reg .pred p; setp.ne.b32 p, %3, 0; @p ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2]; }"
        : "+r"(out.x), "+r"(out.y)
        : "l"(at), "r"((int)is_there));
}

__device__ __forceinline__ void load_word(uint32_t &out, const uint8_t *at, bool is_there)
{
    asm("{ .reg .pred p; setp.ne.b32 p, %2, 0; @p ld.global.nc.u32 %0, [%1]; }"
        : "+r"(out)
        : "l"(at), "r"((int)is_there));
}

__device__ __forceinline__ void load_half_word(uint16_t &out, const uint8_t *at, bool is_there)
{
    asm("{ .reg .pred p; setp.ne.b32 p, %2, 0; @p ld.global.nc.u16 %0, [%1]; }"
        : "+h"(out)
        : "l"(at), "r"((int)is_there));
}

/* Accumulators start from these bits, the float 1.5 * 2^23: adding an integer below 2^22 to the bits adds it
 * to the float, and the sum becomes a float without a conversion. */
#define MMA_MAGIC_BITS 0x4b400000
#define MMA_MAGIC      12582912.0f

struct q8_operand { /* of 8 tokens */
    uint32_t x[2];
};

/* d = MMA_MAGIC_BITS + weights of 16 rows and 32 columns * 8 tokens. */
__device__ __forceinline__ void mma_s8(const uint32_t (&w)[4], const uint32_t (&x)[2], int (&d)[4])
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(x[0]), "r"(x[1]), "r"(MMA_MAGIC_BITS));
}

/* The same of 16 columns, a half of the above. */
__device__ __forceinline__ void mma_s8_half(uint32_t first, uint32_t second, uint32_t x, int (&d)[4])
{
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%7,%7,%7};"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(first), "r"(second), "r"(x), "r"(MMA_MAGIC_BITS));
}

#endif
