/* Waiting for the host's word. Included by kernels only. */
#ifndef SSW_CUDA_SIGNAL_CUH
#define SSW_CUDA_SIGNAL_CUH

#include <cuda_runtime.h>
#include <stdint.h>

#include "cuda/cuda_device.h"

/* By one thread: as ssw_cuda_signal_wait. */
static __device__ __forceinline__ void await_signal(const ssw_cuda_signal *signal, uint32_t wanted,
                                                    uint64_t patience_ns, uint32_t *gave_up)
{
    uint64_t begin_ns, now_ns;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin_ns));
    while (*(volatile const uint32_t *)&signal->value != wanted) {
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now_ns));
        if (now_ns - begin_ns > patience_ns) {
            *(volatile uint32_t *)gave_up = 1;
            break;
        }
    }
    __threadfence_system();
}

#endif
