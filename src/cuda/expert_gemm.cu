/* The experts' products for many tokens. */
#include "cuda/expert_gemm.cuh"

#define EXTERN_UP(...)   extern SSW_CUDA_EXPERT_UP_OF_CODES(__VA_ARGS__)
#define EXTERN_DOWN(...) extern SSW_CUDA_EXPERT_DOWN_OF_CODES(__VA_ARGS__)
SSW_CUDA_CODES_TYPES(EXTERN_UP)
SSW_CUDA_CODES_TYPES(EXTERN_DOWN)

void ssw_cuda_expert_gemm_up(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    assert(args->experts->gate.dtype == args->experts->up.dtype);
#define CALL(type) launch_expert_up<type>(stream, args)
    FOR_MMA_DTYPE(args->experts->gate.dtype, CALL)
#undef CALL
}

void ssw_cuda_expert_gemm_down(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
#define CALL(type) launch_expert_down<type>(stream, args)
    FOR_MMA_DTYPE(args->experts->down.dtype, CALL)
#undef CALL
}
