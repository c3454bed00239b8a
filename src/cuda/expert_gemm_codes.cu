/* The experts' products for many tokens of types of small codes. */
#include "cuda/expert_gemm.cuh"

SSW_CUDA_CODES_TYPES(SSW_CUDA_EXPERT_UP_OF_CODES)
SSW_CUDA_CODES_TYPES(SSW_CUDA_EXPERT_DOWN_OF_CODES)
