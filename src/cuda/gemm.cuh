/* The kernels of products with many tokens, for any type of weights. Included by gemm.cu and, for the types
 * of small codes, by gemm_codes.cu: two units, so that a build compiles both at once. */
#ifndef SSW_CUDA_GEMM_CUH
#define SSW_CUDA_GEMM_CUH

#include <assert.h>

#include "cuda/gemm_tile.cuh"

/* Wide: 128 rows x 64 tokens, four warps of two bands. Medium: 64 rows x 64 tokens, four warps of one.
 * Narrow: 16 rows x 16 tokens, four warps that share the columns. The smaller are for products whose larger
 * tiles would not fill the device. */
template <typename TYPE> struct gemm_wide : gemm_shape<TYPE, 2, 4, 1, 64, 4> {
};
template <typename TYPE> struct gemm_medium : gemm_shape<TYPE, 1, 4, 1, 64, 4> {
};
template <typename TYPE> struct gemm_narrow : gemm_shape<TYPE, 1, 1, 4, 16, 4> {
};

enum { WIDE_TILES_MIN = 256, MEDIUM_TILES_MIN = 160 };

/* What keeps many scales in registers would spill them with more thread blocks of an SM. */
template <typename TYPE> constexpr int fewer_blocks = TYPE::HEAD_BYTES > 0 || TYPE::SCALE_FLOATS > 1;

static __device__ const uint8_t *product_matrix(const ssw_cuda_product_args &args)
{
    return args.w.table ? args.w.table[args.index] : args.w.data + args.index * args.w.matrix_bytes;
}

template <typename SHAPE, int N>
static __device__ __forceinline__ void store_tile(const ssw_cuda_product_args &args, int64_t first_band,
                                                  int first_token,
                                                  const float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int band = 0; band < SHAPE::BANDS; band++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int64_t row = (first_band + band) * BAND_ROWS + 2 * g + r;
            if (row >= args.w.rows)
                continue;
            float bias = args.bias ? args.bias[row] : 0;
#pragma unroll
            for (int j = 0; j < N / MMA_TOKENS * 2; j++) {
                int token = first_token + j / 2 * MMA_TOKENS + 2 * t + j % 2;
                if (token >= args.n)
                    continue;
                float *out = args.out + token * args.out_stride + row;
                float value = acc[band][j / 2][2 * r + j % 2] + bias;
                *out = args.accumulate ? *out + value : value;
            }
        }
    }
}

/* The tile with as few of the tokens' groups as are there. */
template <typename SHAPE, int N>
static __device__ __forceinline__ void
run_tile(const ssw_cuda_product_args &args, const uint8_t *const (&bands)[SHAPE::BANDS],
         const gemm_source &source, int64_t first_band, int first_token, uint8_t *shared)
{
    if constexpr (N > 16) {
        if (args.n - first_token <= N / 2) {
            run_tile<SHAPE, N / 2>(args, bands, source, first_band, first_token, shared);
            return;
        }
    }
    float acc[SHAPE::BANDS][N / MMA_TOKENS][4];
    clear<SHAPE, N>(acc);
    multiply_bands<SHAPE, N>(bands, source, shared, acc);
    if (threadIdx.x / WARP < SHAPE::WARPS_M)
        store_tile<SHAPE, N>(args, first_band, first_token, acc);
}

/* Grid: (tiles of WARPS_M * BANDS bands, tiles of N_MAX tokens). */
template <typename SHAPE, int BLOCKS_MIN>
static __global__ void __launch_bounds__(SHAPE::THREADS, BLOCKS_MIN)
    gemm(const __grid_constant__ ssw_cuda_product_args args)
{
    __shared__ __align__(128) uint8_t shared[SHAPE::SHARED_BYTES];
    __shared__ int32_t rows[SHAPE::N_MAX];
    int warp_m = threadIdx.x / WARP % SHAPE::WARPS_M, first_token = blockIdx.y * SHAPE::N_MAX;
    const uint8_t *matrix = product_matrix(args);
    int64_t n_bands = (args.w.rows + BAND_ROWS - 1) / BAND_ROWS;
    int64_t first_band = ((int64_t)blockIdx.x * SHAPE::WARPS_M + warp_m) * SHAPE::BANDS;
    const uint8_t *bands[SHAPE::BANDS];
    if (!matrix)
        return;
#pragma unroll
    for (int i = 0; i < SHAPE::BANDS; i++)
        bands[i] = matrix + min(first_band + i, n_bands - 1) * args.w.band_bytes;
    for (int i = threadIdx.x; i < SHAPE::N_MAX; i += SHAPE::THREADS)
        rows[i] = min(first_token + i, args.n - 1);
    __syncthreads();
    gemm_source source = make_source<typename SHAPE::TYPE>(args.x, 0, args.w.cols, args.w.cols, rows);
    run_tile<SHAPE, SHAPE::N_MAX>(args, bands, source, first_band, first_token, shared);
}

template <typename SHAPE, int BLOCKS_MIN>
static void launch_shape(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    constexpr int ROWS = SHAPE::WARPS_M * SHAPE::BANDS * BAND_ROWS;
    dim3 grid((unsigned)((args->w.rows + ROWS - 1) / ROWS),
              (unsigned)((args->n + SHAPE::N_MAX - 1) / SHAPE::N_MAX));
    gemm<SHAPE, BLOCKS_MIN><<<grid, SHAPE::THREADS, 0, stream>>>(*args);
}

template <typename TYPE> void launch_gemm(ssw_cuda_stream stream, const ssw_cuda_product_args *args)
{
    assert(args->w.cols % TYPE::COLUMNS == 0);
    assert(args->n * args->w.cols * (TYPE::TAKES_Q8 ? 1 : 4) < INT64_C(1) << 32);
    assert(TYPE::TAKES_Q8 ? args->x.q && args->x.q_scales : args->x.f32 != nullptr);
    int64_t n_tiles = (args->n + 63) / 64;
    if ((args->w.rows + 127) / 128 * n_tiles >= WIDE_TILES_MIN)
        launch_shape<gemm_wide<TYPE>, 3 - fewer_blocks<TYPE>>(stream, args);
    else if ((args->w.rows + 63) / 64 * n_tiles >= MEDIUM_TILES_MIN)
        launch_shape<gemm_medium<TYPE>, 4 - fewer_blocks<TYPE>>(stream, args);
    else
        launch_shape<gemm_narrow<TYPE>, 4>(stream, args);
}

#define SSW_CUDA_GEMM_OF_CODES(TYPE, name, ...)                                                              \
    template void launch_gemm<name##_mma>(ssw_cuda_stream stream, const ssw_cuda_product_args *args);

#endif
