/* Products with many tokens of types of small codes. */
#include "cuda/gemm.cuh"

SSW_CUDA_CODES_TYPES(SSW_CUDA_GEMM_OF_CODES)
