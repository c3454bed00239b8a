/* From a tensor's type to its operations. Included by kernels only. */
#ifndef SSW_CUDA_BAND_TYPES_CUH
#define SSW_CUDA_BAND_TYPES_CUH

#include <assert.h>

#include "base/dtype.h"

#define BAND_TYPE_CASE(TYPE, name, suffix, CALL)                                                             \
    case SSW_DTYPE_##TYPE:                                                                                   \
        CALL(name##suffix);                                                                                  \
        break;

#define FOR_BAND_TYPE(dtype, suffix, CALL)                                                                   \
    switch (dtype) {                                                                                         \
        BAND_TYPE_CASE(F32, f32, suffix, CALL)                                                               \
        BAND_TYPE_CASE(F16, f16, suffix, CALL)                                                               \
        BAND_TYPE_CASE(BF16, bf16, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q8_0, q8_0, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q4_0, q4_0, suffix, CALL)                                                             \
        BAND_TYPE_CASE(MXFP4, mxfp4, suffix, CALL)                                                           \
        BAND_TYPE_CASE(Q4_1, q4_1, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q5_0, q5_0, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q5_1, q5_1, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q2_K, q2_k, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q3_K, q3_k, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q4_K, q4_k, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q5_K, q5_k, suffix, CALL)                                                             \
        BAND_TYPE_CASE(Q6_K, q6_k, suffix, CALL)                                                             \
        BAND_TYPE_CASE(IQ4_NL, iq4_nl, suffix, CALL)                                                         \
        BAND_TYPE_CASE(IQ4_XS, iq4_xs, suffix, CALL)                                                         \
    default:                                                                                                 \
        assert(!"a type without GPU operations");                                                            \
    }

/* CALL(TYPE) for the dtype: of those in band_dot.cuh and codes_dot.cuh; in band_mma.cuh and codes_mma.cuh. */
#define FOR_DTYPE(dtype, CALL)     FOR_BAND_TYPE(dtype, _type, CALL)
#define FOR_MMA_DTYPE(dtype, CALL) FOR_BAND_TYPE(dtype, _mma, CALL)

#endif
