/* Programmatic dependent launch: the next kernel of a stream starts while this one still runs, and waits for
 * its results by itself.
 *
 * A kernel launched by launch_dependent begins with let_next_start, does what needs nothing of the kernels
 * before it (its place, weights on their way), and then calls wait_for_previous: everything that earlier
 * kernels of the stream wrote may be read after it, and everything that they read may be written. Every
 * thread block has to call it, those too that have nothing to do: a kernel that ends before its predecessor
 * would let its successor start too early. What the host or a copy wrote before the first kernel of a row of
 * dependent ones, and what a kernel wrote that the predecessor has waited for, may be read before the wait,
 * past the L1 cache (__ldcg).
 *
 * Devices before sm_90 have no such launches: there all of this does nothing. Included by kernels only. */
#ifndef SSW_CUDA_DEPENDENT_CUH
#define SSW_CUDA_DEPENDENT_CUH

#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/cuda_ops.h"

__device__ __forceinline__ void let_next_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void wait_for_previous()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* True if the code that this device runs was compiled with the two calls above: PTX for an older architecture
 * that the driver compiled has none, and must not be launched early. */
template <auto KERNEL> static bool can_be_dependent()
{
    static const bool can = [] {
        cudaFuncAttributes attributes;
        return cudaFuncGetAttributes(&attributes, (const void *)KERNEL) == cudaSuccess &&
               attributes.ptxVersion >= 90;
    }();
    return can;
}

template <auto KERNEL, typename... ARGS>
static void launch_dependent(ssw_cuda_stream stream, dim3 grid, unsigned threads, unsigned shared_bytes,
                             const ARGS &...args)
{
    cudaLaunchAttribute attribute;
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = can_be_dependent<KERNEL>() ? 1 : 0;
    (void)cudaLaunchKernelEx(&config, KERNEL, args...); /* a fault sticks to the stream, as with <<<>>> */
}

#endif
