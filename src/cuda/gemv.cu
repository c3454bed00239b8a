/* Products with few tokens: every weight is read once, and its bytes are what it costs.
 *
 * A thread block has one band of 16 rows; its warps take the steps of the band in turn. */
#include <assert.h>

#include "cuda/codes_dot.cuh"

enum { GEMV_WARPS = 8 };

struct fused_products {
    ssw_cuda_product_args of[SSW_CUDA_GEMV_FUSED_MAX];
    int first_block[SSW_CUDA_GEMV_FUSED_MAX + 1];
};

static __device__ const uint8_t *matrix_at(const ssw_cuda_matrix &w, int index)
{
    return w.table ? w.table[index] : w.data + index * w.matrix_bytes;
}

/* x: [n][cols]; out: [n][rows]; TOKENS >= n. */
template <typename TYPE, int TOKENS>
__global__ void __launch_bounds__(GEMV_WARPS *WARP) gemv(const __grid_constant__ fused_products products)
{
    __shared__ float shared[GEMV_WARPS][TOKENS][BAND_ROWS];
    int which = 0;
    while (which + 1 < SSW_CUDA_GEMV_FUSED_MAX && (int)blockIdx.x >= products.first_block[which + 1])
        which++;
    const ssw_cuda_product_args &args = products.of[which];
    int band = blockIdx.x - products.first_block[which], warp = threadIdx.x / WARP;
    const uint8_t *matrix = matrix_at(args.w, args.index);
    int64_t tokens[TOKENS];
    float sums[TOKENS][TYPE::ROWS] = {};
    if (!matrix)
        return;
    for (int t = 0; t < TOKENS; t++)
        tokens[t] = t < args.n ? t : 0;
    walk_band<TYPE, TOKENS>(matrix + band * args.w.band_bytes, args.x, args.w.cols, tokens, warp,
                            TYPE::n_steps(args.w.cols), GEMV_WARPS, sums);
    for (int t = 0; t < TOKENS; t++)
        reduce_band<TYPE>(sums[t], shared[warp][t]);
    __syncthreads();
    int t = threadIdx.x / BAND_ROWS, r = threadIdx.x % BAND_ROWS;
    int64_t row = (int64_t)band * BAND_ROWS + r;
    if (t >= args.n || t >= TOKENS || row >= args.w.rows)
        return;
    float sum = args.bias ? args.bias[row] : 0;
    for (int w = 0; w < GEMV_WARPS; w++)
        sum += shared[w][t][r];
    float *out = args.out + t * args.out_stride + row;
    *out = args.accumulate ? *out + sum : sum;
}

template <typename TYPE>
static void launch(ssw_cuda_stream stream, const fused_products &products, int n_blocks)
{
    int n = products.of[0].n;
    if (n == 1)
        gemv<TYPE, 1><<<n_blocks, GEMV_WARPS * WARP, 0, stream>>>(products);
    else if (n == 2)
        gemv<TYPE, 2><<<n_blocks, GEMV_WARPS * WARP, 0, stream>>>(products);
    else if (n <= 4)
        gemv<TYPE, 4><<<n_blocks, GEMV_WARPS * WARP, 0, stream>>>(products);
    else
        gemv<TYPE, 8><<<n_blocks, GEMV_WARPS * WARP, 0, stream>>>(products);
}

void ssw_cuda_gemv_fused(ssw_cuda_stream stream, const ssw_cuda_product_args *args, int n_products)
{
    fused_products products = {};
    int n_blocks = 0;
    assert(n_products >= 1 && n_products <= SSW_CUDA_GEMV_FUSED_MAX);
    assert(args[0].n >= 1 && args[0].n <= SSW_CUDA_GEMV_TOKENS_MAX);
    for (int i = 0; i < SSW_CUDA_GEMV_FUSED_MAX; i++) {
        products.first_block[i] = n_blocks;
        if (i >= n_products)
            continue;
        assert(args[i].n == args[0].n && args[i].w.cols == args[0].w.cols &&
               args[i].w.dtype == args[0].w.dtype);
        products.of[i] = args[i];
        n_blocks += (int)((args[i].w.rows + BAND_ROWS - 1) / BAND_ROWS);
    }
    products.first_block[SSW_CUDA_GEMV_FUSED_MAX] = n_blocks;
#define CALL(type) launch<type>(stream, products, n_blocks)
    FOR_DTYPE(args[0].w.dtype, CALL)
#undef CALL
}

void ssw_cuda_gemv(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    ssw_cuda_gemv_fused(stream, args, 1);
}

void ssw_cuda_product(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    if (args->n <= SSW_CUDA_GEMV_TOKENS_MAX)
        ssw_cuda_gemv(stream, args);
    else
        ssw_cuda_gemm(stream, args);
}
