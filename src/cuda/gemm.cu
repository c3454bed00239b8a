/* Products with many tokens, by tensor cores. */
#include "cuda/gemm.cuh"

#define EXTERN(...) extern SSW_CUDA_GEMM_OF_CODES(__VA_ARGS__)
SSW_CUDA_CODES_TYPES(EXTERN)

void ssw_cuda_gemm(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    assert(args->n >= 1 && args->index >= 0 && args->index < args->w.n_matrices);
#define CALL(type) launch_gemm<type>(stream, args)
    FOR_MMA_DTYPE(args->w.dtype, CALL)
#undef CALL
}
