/* What the two attention kernels share: f16 tensor core products, exponentials, and the bounds of a launch.
 * Included by kernels only. */
#ifndef SSW_CUDA_ATTENTION_PARTS_CUH
#define SSW_CUDA_ATTENTION_PARTS_CUH

#include <cuda_fp16.h>

#include "cuda/warp.cuh"

#define LOG2_E 1.4426950408889634f

/* Logits are kept times log2 e, so that this is the softmax's exponential. exp2(-inf) is 0. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* d[16 x 8] += a[16 x 16] b[16 x 8], F16 with float sums. */
__device__ __forceinline__ void mma_f16(const uint32_t (&a)[4], uint32_t b0, uint32_t b1, float (&d)[4])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint32_t pack_f16(float first, float second)
{
    __half2 two = __floats2half2_rn(first, second);
    return *(const uint32_t *)&two;
}

/* The ring's row of position first + i, i <= SSW_CUDA_KV_ROWS_MIN, first_row being that of `first`: without a
 * division. */
__device__ __forceinline__ int wrap_row(int first_row, int i, int n_rows)
{
    int row = first_row + i;
    return row >= n_rows ? row - n_rows : row;
}

/* The parts with more than one row; attention_decode.cu has the others. */
void ssw_cuda_attend_prefill(ssw_cuda_stream stream, const ssw_cuda_attention_args *args);

#endif
