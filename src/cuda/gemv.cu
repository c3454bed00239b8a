/* Products with few tokens: every weight is read once, and its bytes are what it costs.
 *
 * A thread block has one band of 16 rows; its warps take the steps of the band in turn. The band is on its
 * way before the kernel in front has ended (dependent.cuh). Where a norm stands in front of a small product
 * of one token, every thread block norms the row for itself: that takes less time than another kernel. */
#include <assert.h>

#include "cuda/codes_dot.cuh"
#include "cuda/dependent.cuh"
#include "cuda/norm_row.cuh"

enum {
    GEMV_WARPS = 8,
    GEMV_THREADS = GEMV_WARPS * WARP,
    NORM_BANDS_MAX = 1024 /* in more thread blocks the norm is a kernel of its own */
};
static_assert((int)GEMV_THREADS == (int)NORM_THREADS, "a norm has the same bits wherever it is made");

struct fused_products {
    ssw_cuda_product_args of[SSW_CUDA_GEMV_FUSED_MAX];
    int first_block[SSW_CUDA_GEMV_FUSED_MAX + 1];
    ssw_cuda_norm_args norm;
};

static __device__ const uint8_t *matrix_at(const ssw_cuda_matrix &w, int index)
{
    if (!w.table)
        return w.data + index * w.matrix_bytes;
    wait_for_previous(); /* which may have filled it */
    return w.table[index];
}

/* x: [n][cols]; out: [n][rows]; TOKENS >= n. NORMS: x is one row, the norm's output. */
template <typename TYPE, int TOKENS, bool NORMS>
__global__ void __launch_bounds__(GEMV_THREADS) gemv(const __grid_constant__ fused_products products)
{
    extern __shared__ __align__(16) uint8_t normed[];
    __shared__ float shared[GEMV_WARPS][TOKENS][BAND_ROWS];
    let_next_start();
    int which = 0;
    while (which + 1 < SSW_CUDA_GEMV_FUSED_MAX && (int)blockIdx.x >= products.first_block[which + 1])
        which++;
    const ssw_cuda_product_args &args = products.of[which];
    int band = blockIdx.x - products.first_block[which], warp = threadIdx.x / WARP;
    int t = threadIdx.x / BAND_ROWS, r = threadIdx.x % BAND_ROWS, n_steps = TYPE::n_steps(args.w.cols);
    int64_t row = (int64_t)band * BAND_ROWS + r;
    bool has_result = t < args.n && t < TOKENS && row < args.w.rows;
    float *out = args.out + t * args.out_stride + row;
    const uint8_t *matrix = matrix_at(args.w, args.index);
    if (!matrix) {
        wait_for_previous();
        return;
    }
    matrix += band * args.w.band_bytes;
    steps_in_flight<TYPE> begun;
    load_steps<TYPE>(begun, matrix, args.w.cols, warp, n_steps, GEMV_WARPS);
    float sum = has_result && args.bias ? args.bias[row] : 0;
    wait_for_previous();
    float before = has_result && args.accumulate ? *out : 0;
    ssw_cuda_acts x = args.x;
    if (NORMS) {
        x = local_acts<TYPE::TAKES_Q8>(normed, (int)args.w.cols);
        norm_factors factors = find_norm_factors(products.norm, 0, &shared[0][0][0]);
        store_normed(products.norm, 0, 0, products.norm.cols, factors, x);
        __syncthreads();
    }
    int64_t tokens[TOKENS];
    float sums[TOKENS][TYPE::ROWS] = {};
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = i < args.n ? i : 0;
    walk_on<TYPE, TOKENS>(begun, matrix, x, args.w.cols, tokens, warp, n_steps, GEMV_WARPS, sums);
    for (int i = 0; i < TOKENS; i++)
        reduce_band<TYPE>(sums[i], shared[warp][i]);
    __syncthreads();
    if (!has_result)
        return;
    for (int w = 0; w < GEMV_WARPS; w++)
        sum += shared[w][t][r];
    *out = before + sum;
}

template <typename TYPE>
static void launch_normed(ssw_cuda_stream stream, const fused_products &products, unsigned n_blocks)
{
    launch_dependent<gemv<TYPE, 1, true>>(stream, n_blocks, GEMV_THREADS,
                                          local_acts_bytes(TYPE::TAKES_Q8, products.norm.cols), products);
}

template <typename TYPE>
static void launch(ssw_cuda_stream stream, const fused_products &products, unsigned n_blocks)
{
    int n = products.of[0].n;
    if (n == 1)
        launch_dependent<gemv<TYPE, 1, false>>(stream, n_blocks, GEMV_THREADS, 0, products);
    else if (n == 2)
        launch_dependent<gemv<TYPE, 2, false>>(stream, n_blocks, GEMV_THREADS, 0, products);
    else if (n <= 4)
        launch_dependent<gemv<TYPE, 4, false>>(stream, n_blocks, GEMV_THREADS, 0, products);
    else
        launch_dependent<gemv<TYPE, 8, false>>(stream, n_blocks, GEMV_THREADS, 0, products);
}

static unsigned fuse(const ssw_cuda_product_args *args, int n_products, fused_products *out)
{
    int n_blocks = 0;
    assert(n_products >= 1 && n_products <= SSW_CUDA_GEMV_FUSED_MAX);
    assert(args[0].n >= 1 && args[0].n <= SSW_CUDA_GEMV_TOKENS_MAX);
    for (int i = 0; i < SSW_CUDA_GEMV_FUSED_MAX; i++) {
        out->first_block[i] = n_blocks;
        if (i >= n_products)
            continue;
        assert(args[i].n == args[0].n && args[i].w.cols == args[0].w.cols &&
               args[i].w.dtype == args[0].w.dtype);
        out->of[i] = args[i];
        n_blocks += (int)((args[i].w.rows + BAND_ROWS - 1) / BAND_ROWS);
    }
    out->first_block[SSW_CUDA_GEMV_FUSED_MAX] = n_blocks;
    return (unsigned)n_blocks;
}

void ssw_cuda_gemv_fused(ssw_cuda_stream stream, const ssw_cuda_product_args *args, int n_products)
{
    fused_products products = {};
    unsigned n_blocks = fuse(args, n_products, &products);
#define CALL(type) launch<type>(stream, products, n_blocks)
    FOR_DTYPE(args[0].w.dtype, CALL)
#undef CALL
}

void ssw_cuda_norm_gemv(ssw_cuda_stream stream, const ssw_cuda_norm_args *norm,
                        const ssw_cuda_product_args *args, int n_products)
{
    fused_products products = {};
    unsigned n_blocks = fuse(args, n_products, &products);
    assert(norm->n == args->n && norm->cols == args->w.cols && !norm->out_cpu_q8 && !norm->out_cpu_f32);
    bool fits = norm->n == 1 && n_blocks <= NORM_BANDS_MAX;
    if (!fits) {
        ssw_cuda_norm(stream, norm);
        ssw_cuda_gemv_fused(stream, args, n_products);
        return;
    }
    products.norm = *norm;
    products.norm.out = {};
#define CALL(type) launch_normed<type>(stream, products, n_blocks)
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
