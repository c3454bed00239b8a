/* The kernels of the experts' products for many tokens, for any type of weights: one launch for all experts
 * of a range, or for listed rows of some, by tensor cores. Included by expert_gemm.cu and
 * expert_gemm_codes.cu, as gemm.cuh.
 *
 * The pairs of an expert are cut into tiles of 64. The launch has as many tiles as there could be at most; a
 * thread block finds its own (expert_tile.cuh), and leaves if there is none. */
#ifndef SSW_CUDA_EXPERT_GEMM_CUH
#define SSW_CUDA_EXPERT_GEMM_CUH

#include "cuda/expert_tile.cuh"
#include "cuda/gemm_tile.cuh"

/* Up: a warp has a band of gate and the same band of up, a thread block 64 rows of the hidden layer. Down:
 * 128 rows. Tiles of 64 pairs. */
template <typename TYPE> struct expert_shape : gemm_shape<TYPE, 2, 4, 1, PAIRS_PER_TILE, 4> {
    /* Thread blocks of an SM; what keeps many scales in registers would spill them with three. */
    static constexpr int BLOCKS_MIN = TYPE::HEAD_BYTES > 0 || TYPE::SCALE_FLOATS > 1 ? 2 : 3;
};

enum { UP_ROWS = 4 * SSW_CUDA_BAND_ROWS, DOWN_ROWS = 8 * SSW_CUDA_BAND_ROWS };

static_assert(SSW_CUDA_EXPERT_TILE_ROWS % UP_ROWS == 0, "a tile");

/* ---- up ---- */

static __device__ __forceinline__ float glu(const ssw_cuda_experts &experts, float gate, float up)
{
    if (experts.glu == SSW_CUDA_GLU_SILU)
        return gate / (1 + __expf(-gate)) * up;
    gate = fminf(gate, experts.glu_limit);
    up = fmaxf(fminf(up, experts.glu_limit), -experts.glu_limit);
    return gate / (1 + __expf(-experts.glu_alpha * gate)) * (up + 1);
}

/* This warp's 16 rows of the hidden layer to values [N][UP_ROWS + 4]. band: from the part's first row. */
template <int N>
static __device__ __forceinline__ void make_hidden(const expert_job &job, const expert_part &part, int expert,
                                                   int band, int warp,
                                                   const float (&acc)[2][N / MMA_TOKENS][4], float *values)
{
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int64_t stride = job.experts.bias_stride;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int row = band * BAND_ROWS + 2 * g + r;
        float gate_bias = bias_of(job.experts.gate_bias, expert, stride, part, row);
        float up_bias = bias_of(job.experts.up_bias, expert, stride, part, row);
#pragma unroll
        for (int j = 0; j < N / MMA_TOKENS * 2; j++) {
            float value = glu(job.experts, acc[0][j / 2][2 * r + j % 2] + gate_bias,
                              acc[1][j / 2][2 * r + j % 2] + up_bias);
            int token = j / 2 * MMA_TOKENS + 2 * t + j % 2;
            values[token * (UP_ROWS + 4) + warp * BAND_ROWS + 2 * g + r] = row < part.n_rows ? value : 0;
        }
    }
}

/* Rows [first_row, first_row + UP_ROWS) of the part and the tile's pairs: values to hidden, a block of 32 a
 * warp. */
static __device__ __forceinline__ void store_hidden(const expert_job &job, const expert_part &part,
                                                    const pair_tile &tile, int first_row, const float *values)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    int64_t n_ff = job.experts.gate.rows;
    int first_col = part.first_row + first_row;
    for (int i = warp; i < tile.n * (UP_ROWS / BLOCK); i += n_warps) {
        int pair = i / (UP_ROWS / BLOCK), block = i % (UP_ROWS / BLOCK);
        int row = first_row + block * BLOCK;
        float value = values[pair * (UP_ROWS + 4) + block * BLOCK + lane];
        if (job.hidden.f32 && row + lane < part.n_rows)
            job.hidden.f32[(tile.first + pair) * n_ff + part.first_row + row + lane] = value;
        if (job.hidden.q && row < part.n_rows)
            store_q8(job.hidden, tile.first + pair, (int)(n_ff / BLOCK), first_col / BLOCK + block, lane,
                     quantize_block(value));
    }
}

template <typename SHAPE, int N>
static __device__ __forceinline__ void run_up(const expert_job &job, const expert_part &part,
                                              const pair_tile &tile, const uint8_t *const (&bands)[2],
                                              const gemm_source &source, int first_band, uint8_t *shared)
{
    if constexpr (N > 16) {
        if (tile.n <= N / 2) {
            run_up<SHAPE, N / 2>(job, part, tile, bands, source, first_band, shared);
            return;
        }
    }
    static_assert(N * (UP_ROWS + 4) * 4 <= SHAPE::SHARED_BYTES,
                  "the hidden tile takes the place of the activations");
    float acc[2][N / MMA_TOKENS][4];
    int warp = threadIdx.x / WARP;
    clear<SHAPE, N>(acc);
    multiply_bands<SHAPE, N>(bands, source, shared, acc);
    make_hidden<N>(job, part, tile.expert, first_band + warp, warp, acc, (float *)shared);
    __syncthreads();
    store_hidden(job, part, tile, first_band * BAND_ROWS, (const float *)shared);
}

/* Grid: (tiles of UP_ROWS rows, tiles of pairs). */
template <typename SHAPE>
static __global__ void __launch_bounds__(SHAPE::THREADS, SHAPE::BLOCKS_MIN)
    expert_up(const __grid_constant__ expert_job job)
{
    __shared__ __align__(128) uint8_t shared[SHAPE::SHARED_BYTES];
    __shared__ int32_t rows[PAIRS_PER_TILE];
    pair_tile tile = find_tile(job, blockIdx.y);
    if (tile.n == 0)
        return;
    expert_part part = up_part(job, tile);
    int n_bands = (part.n_rows + BAND_ROWS - 1) / BAND_ROWS;
    int first_band = blockIdx.x * SHAPE::WARPS_M;
    if (!part.at[0] || !part.at[1] || first_band >= n_bands)
        return;
    int band = min(first_band + threadIdx.x / WARP, n_bands - 1);
    const uint8_t *bands[2] = {part.at[0] + band * job.experts.gate.band_bytes,
                               part.at[1] + band * job.experts.up.band_bytes};
    for (int i = threadIdx.x; i < PAIRS_PER_TILE; i += SHAPE::THREADS)
        rows[i] = job.pairs.pair[tile.first + min(i, tile.n - 1)] / job.pairs.n_used;
    __syncthreads();
    int64_t cols = job.experts.gate.cols;
    gemm_source source = make_source<typename SHAPE::TYPE>(job.x, 0, cols, cols, rows);
    run_up<SHAPE, PAIRS_PER_TILE>(job, part, tile, bands, source, first_band, shared);
}

/* ---- down ---- */

template <typename SHAPE, int N>
static __device__ __forceinline__ void store_down(const expert_job &job, const expert_part &part,
                                                  const pair_tile &tile, int first_band,
                                                  const float (&acc)[2][N / MMA_TOKENS][4])
{
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int64_t n_embd = job.experts.down.rows;
#pragma unroll
    for (int band = 0; band < 2; band++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = (first_band + band) * BAND_ROWS + 2 * g + r;
            if (row >= part.n_rows)
                continue;
            float bias =
                bias_of(part.at[0] ? job.experts.down_bias : nullptr, tile.expert, n_embd, part, row);
#pragma unroll
            for (int j = 0; j < N / MMA_TOKENS * 2; j++) {
                int pair = j / 2 * MMA_TOKENS + 2 * t + j % 2;
                if (pair >= tile.n)
                    continue;
                float &out = job.out[job.pairs.pair[tile.first + pair] * n_embd + part.first_row + row];
                out = (job.accumulate ? out : 0) + (acc[band][j / 2][2 * r + j % 2] + bias);
            }
        }
    }
}

/* This warp's two bands of matrix, which is one of down and what comes after it. */
static __device__ __forceinline__ void find_bands(const ssw_cuda_matrix &matrix, const uint8_t *at,
                                                  int first_band, int n_bands, const uint8_t *(&bands)[2])
{
    bands[0] = at + min(first_band, n_bands - 1) * matrix.band_bytes;
    bands[1] = at + min(first_band + 1, n_bands - 1) * matrix.band_bytes;
}

template <typename SHAPE, int N>
static __device__ __forceinline__ void run_down(const expert_job &job, const expert_part &part,
                                                const pair_tile &tile, int first_band, const int32_t *rows,
                                                uint8_t *shared)
{
    if constexpr (N > 16) {
        if (tile.n <= N / 2) {
            run_down<SHAPE, N / 2>(job, part, tile, first_band, rows, shared);
            return;
        }
    }
    float acc[2][N / MMA_TOKENS][4];
    const ssw_cuda_matrix &down = job.experts.down, &after = job.down_after;
    int n_bands = (part.n_rows + BAND_ROWS - 1) / BAND_ROWS;
    int64_t n_ff = down.cols + after.cols;
    clear<SHAPE, N>(acc);
#pragma unroll 1
    for (int i = 0; i < 2; i++) {
        const uint8_t *bands[2];
        if (!part.at[i])
            continue;
        find_bands(i == 0 ? down : after, part.at[i], first_band, n_bands, bands);
        gemm_source source = make_source<typename SHAPE::TYPE>(job.hidden, i == 0 ? 0 : down.cols,
                                                               i == 0 ? down.cols : after.cols, n_ff, rows);
        multiply_bands<SHAPE, N>(bands, source, shared, acc);
    }
    store_down<SHAPE, N>(job, part, tile, first_band, acc);
}

/* Grid: (tiles of DOWN_ROWS rows, tiles of pairs). */
template <typename SHAPE>
static __global__ void __launch_bounds__(SHAPE::THREADS, SHAPE::BLOCKS_MIN)
    expert_down(const __grid_constant__ expert_job job)
{
    __shared__ __align__(128) uint8_t shared[SHAPE::SHARED_BYTES];
    __shared__ int32_t rows[PAIRS_PER_TILE];
    pair_tile tile = find_tile(job, blockIdx.y);
    if (tile.n == 0)
        return;
    expert_part part = down_part(job, tile);
    int first_tile_band = blockIdx.x * SHAPE::WARPS_M * 2;
    if ((!part.at[0] && !part.at[1]) || first_tile_band * BAND_ROWS >= part.n_rows)
        return;
    for (int i = threadIdx.x; i < PAIRS_PER_TILE; i += SHAPE::THREADS)
        rows[i] = tile.first + min(i, tile.n - 1);
    __syncthreads();
    run_down<SHAPE, PAIRS_PER_TILE>(job, part, tile, first_tile_band + threadIdx.x / WARP * 2, rows, shared);
}

/* ---- launches ---- */

template <typename TYPE> void launch_expert_up(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    const ssw_cuda_matrix *gate = &args->experts->gate;
    dim3 grid = find_grid(args, gate->rows, UP_ROWS);
    assert(gate->cols % TYPE::COLUMNS == 0 && (!args->hidden.q || gate->rows % SSW_CUDA_BLOCK == 0));
    if (grid.y > 0)
        expert_up<expert_shape<TYPE>><<<grid, expert_shape<TYPE>::THREADS, 0, stream>>>(make_job(args));
}

template <typename TYPE>
void launch_expert_down(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    const ssw_cuda_matrix *down = &args->experts->down;
    dim3 grid = find_grid(args, down->rows, DOWN_ROWS);
    assert(down->cols % TYPE::COLUMNS == 0 && args->down_after.cols % TYPE::COLUMNS == 0);
    if (grid.y > 0)
        expert_down<expert_shape<TYPE>><<<grid, expert_shape<TYPE>::THREADS, 0, stream>>>(make_job(args));
}

#define SSW_CUDA_EXPERT_UP_OF_CODES(TYPE, name, ...)                                                         \
    template void launch_expert_up<name##_mma>(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args);
#define SSW_CUDA_EXPERT_DOWN_OF_CODES(TYPE, name, ...)                                                       \
    template void launch_expert_down<name##_mma>(ssw_cuda_stream stream,                                     \
                                                 const ssw_cuda_expert_gemm_args *args);

#endif
