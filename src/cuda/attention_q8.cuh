/* Keys and values of a Q8_0 cache as F16. Included by kernels only.
 *
 * A byte is q + 128: beside the high byte of 1024 it makes the F16 number 1024 + q + 128, so that one byte
 * permute converts two values, exactly, and one subtraction takes 1152 off again. Times the scale they round
 * once more to F16: 2^-11, beside the quantisation's own error of half a step. */
#ifndef SSW_CUDA_ATTENTION_Q8_CUH
#define SSW_CUDA_ATTENTION_Q8_CUH

#include <cuda_fp16.h>

#include "cuda/warp.cuh"

enum { Q8_OFFSET = 128, Q8_FIRST_TWO = 0x4140, Q8_LAST_TWO = 0x4342 };

/* Two bytes of a word: the first two or the last two. scales: of the first and of the second. */
__device__ __forceinline__ uint32_t dequantize_two(uint32_t word, uint32_t which, __half2 scales)
{
    uint32_t bits = __byte_perm(word, 0x64646464, which);
    __half2 two = __hmul2(__hsub2(*(const __half2 *)&bits, __float2half2_rn(1024 + Q8_OFFSET)), scales);
    return *(const uint32_t *)&two;
}

__device__ __forceinline__ __half2 scale_pair(uint16_t first, uint16_t second)
{
    return __halves2half2(__ushort_as_half(first), __ushort_as_half(second));
}

#endif
