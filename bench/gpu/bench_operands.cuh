/* Operands on the device for the benchmarks of single kernels. */
#ifndef SSW_BENCH_OPERANDS_CUH
#define SSW_BENCH_OPERANDS_CUH

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "cuda/cuda_ops.h"

static void check(cudaError_t code)
{
    if (code != cudaSuccess) {
        fprintf(stderr, "%s\n", cudaGetErrorString(code));
        exit(1);
    }
}

/* Uneven bytes that are finite numbers in every type. */
static __global__ void fill(uint8_t *out, uint64_t n, uint32_t seed, uint8_t mask)
{
    for (uint64_t i = blockIdx.x * (uint64_t)blockDim.x + threadIdx.x; i < n;
         i += (uint64_t)gridDim.x * blockDim.x) {
        uint32_t x = (uint32_t)i * 2654435761u + seed;
        x ^= x >> 15, x *= 2246822519u, x ^= x >> 13;
        out[i] = (uint8_t)x & mask;
    }
}

struct memory { /* freed at the end of a measurement */
    std::vector<void *> all;
    ~memory()
    {
        for (void *one : all)
            cudaFree(one);
    }
    void *get(uint64_t n_bytes, uint8_t mask)
    {
        void *out = nullptr;
        check(cudaMalloc(&out, n_bytes));
        all.push_back(out);
        fill<<<1024, 256>>>((uint8_t *)out, n_bytes, (uint32_t)all.size(), mask);
        return out;
    }
    template <typename T> T *put(const std::vector<T> &from)
    {
        T *out = (T *)get(from.size() * sizeof(T), 0);
        check(cudaMemcpy(out, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
        return out;
    }
};

static const struct weight_type {
    ssw_dtype dtype;
    const char *name;
    double block_bytes; /* of 32 columns of a row */
} types[] = {{SSW_DTYPE_F32, "F32", 128},    {SSW_DTYPE_F16, "F16", 64},     {SSW_DTYPE_BF16, "BF16", 64},
             {SSW_DTYPE_Q8_0, "Q8_0", 34},   {SSW_DTYPE_Q4_0, "Q4_0", 18},   {SSW_DTYPE_MXFP4, "MXFP4", 17},
             {SSW_DTYPE_Q5_0, "Q5_0", 22},   {SSW_DTYPE_Q4_K, "Q4_K", 18.5}, {SSW_DTYPE_Q5_K, "Q5_K", 22.5},
             {SSW_DTYPE_Q6_K, "Q6_K", 26.25}};

static const weight_type &type_of(ssw_dtype dtype)
{
    const weight_type *type = types;
    while (type->dtype != dtype)
        type++;
    return *type;
}

inline ssw_cuda_matrix make_matrix(memory &m, ssw_dtype dtype, int64_t rows, int64_t cols, int n_matrices)
{
    ssw_cuda_matrix w = {};
    w.dtype = dtype, w.rows = rows, w.cols = cols, w.n_matrices = n_matrices;
    w.band_bytes = ((uint64_t)((double)(cols / 32 * 16) * type_of(dtype).block_bytes) + 63) / 64 * 64;
    w.matrix_bytes = w.band_bytes * (uint64_t)((rows + 15) / 16);
    w.data = (const uint8_t *)m.get(w.matrix_bytes * (uint64_t)n_matrices, 0x3b);
    return w;
}

inline ssw_cuda_acts make_acts(memory &m, int64_t n, int64_t cols)
{
    return {(float *)m.get((uint64_t)(n * cols) * 4, 0x3b), (int8_t *)m.get((uint64_t)(n * cols), 0xff),
            (float *)m.get((uint64_t)(n * cols) / 4, 0x3b)};
}

#endif
