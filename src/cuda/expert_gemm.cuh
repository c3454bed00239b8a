/* The kernels of the experts' products for many tokens, for any type of weights: one launch for all experts
 * of a range, by tensor cores. Included by expert_gemm.cu and expert_gemm_codes.cu, as gemm.cuh.
 *
 * The pairs of an expert are cut into tiles of 64. The launch has as many tiles as there could be at most; a
 * thread block finds its own from the experts' first pairs, and leaves if there is none. */
#ifndef SSW_CUDA_EXPERT_GEMM_CUH
#define SSW_CUDA_EXPERT_GEMM_CUH

#include <assert.h>

#include "cuda/gemm_tile.cuh"

/* Up: a warp has a band of gate and the same band of up, a thread block 64 rows of the hidden layer. Down:
 * 128 rows. Tiles of 64 pairs. */
template <typename TYPE> struct expert_shape : gemm_shape<TYPE, 2, 4, 1, 64, 4> {
    /* Thread blocks of an SM; what keeps many scales in registers would spill them with three. */
    static constexpr int BLOCKS_MIN = TYPE::HEAD_BYTES > 0 || TYPE::SCALE_FLOATS > 1 ? 2 : 3;
};

enum {
    PAIRS_PER_TILE = 64,
    UP_ROWS = 4 * SSW_CUDA_BAND_ROWS,
    DOWN_ROWS = 8 * SSW_CUDA_BAND_ROWS
};

struct pair_tile {
    int expert;
    int first, n; /* sorted pairs */
};

/* The index-th tile of the range's pairs; n is 0 if there are not so many. All lanes of a warp together. */
static __device__ pair_tile find_tile(const ssw_cuda_pairs &pairs, int expert_begin, int expert_end,
                                      int index)
{
    int lane = threadIdx.x % WARP;
    for (int begin = expert_begin; begin < expert_end; begin += WARP) {
        int expert = begin + lane, first = 0, n = 0;
        if (expert < expert_end) {
            first = pairs.first[expert];
            n = pairs.first[expert + 1] - first;
        }
        int n_tiles = (n + PAIRS_PER_TILE - 1) / PAIRS_PER_TILE, end = n_tiles;
        for (int distance = 1; distance < WARP; distance *= 2) {
            int below = __shfl_up_sync(EVERY_LANE, end, distance);
            if (lane >= distance)
                end += below;
        }
        unsigned found = __ballot_sync(EVERY_LANE, index < end);
        if (found) {
            int owner = __ffs((int)found) - 1, within = (index - (end - n_tiles)) * PAIRS_PER_TILE;
            pair_tile tile = {expert, first + within, min(n - within, PAIRS_PER_TILE)};
            tile.expert = __shfl_sync(EVERY_LANE, tile.expert, owner);
            tile.first = __shfl_sync(EVERY_LANE, tile.first, owner);
            tile.n = __shfl_sync(EVERY_LANE, tile.n, owner);
            return tile;
        }
        index -= __shfl_sync(EVERY_LANE, end, WARP - 1);
    }
    return {0, 0, 0};
}

static __device__ const uint8_t *expert_matrix(const ssw_cuda_matrix &w, int expert)
{
    return w.table ? w.table[expert] : w.data + expert * w.matrix_bytes;
}

/* What a kernel needs of the arguments, experts included. */
struct expert_job {
    ssw_cuda_experts experts;
    ssw_cuda_pairs pairs;
    int expert_begin, expert_end;
    ssw_cuda_acts x, hidden;
    float *out;
    bool accumulate;
};

/* ---- up ---- */

static __device__ __forceinline__ float glu(const ssw_cuda_experts &experts, float gate, float up)
{
    if (experts.glu == SSW_CUDA_GLU_SILU)
        return gate / (1 + __expf(-gate)) * up;
    gate = fminf(gate, experts.glu_limit);
    up = fmaxf(fminf(up, experts.glu_limit), -experts.glu_limit);
    return gate / (1 + __expf(-experts.glu_alpha * gate)) * (up + 1);
}

/* This warp's 16 rows of the hidden layer to values [N][UP_ROWS + 4]. */
template <int N>
static __device__ __forceinline__ void make_hidden(const expert_job &job, int expert, int64_t band, int warp,
                                                   const float (&acc)[2][N / MMA_TOKENS][4], float *values)
{
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int64_t n_ff = job.experts.gate.rows;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int64_t row = band * BAND_ROWS + 2 * g + r;
        bool is_there = row < n_ff;
        float gate_bias = is_there && job.experts.gate_bias ? job.experts.gate_bias[expert * n_ff + row] : 0;
        float up_bias = is_there && job.experts.up_bias ? job.experts.up_bias[expert * n_ff + row] : 0;
#pragma unroll
        for (int j = 0; j < N / MMA_TOKENS * 2; j++) {
            float value = glu(job.experts, acc[0][j / 2][2 * r + j % 2] + gate_bias,
                              acc[1][j / 2][2 * r + j % 2] + up_bias);
            int token = j / 2 * MMA_TOKENS + 2 * t + j % 2;
            values[token * (UP_ROWS + 4) + warp * BAND_ROWS + 2 * g + r] = is_there ? value : 0;
        }
    }
}

/* Rows [first_row, first_row + UP_ROWS) of the tile's pairs: values to hidden, a block of 32 a warp. */
static __device__ __forceinline__ void store_hidden(const expert_job &job, const pair_tile &tile,
                                                    int64_t first_row, const float *values)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_warps = blockDim.x / WARP;
    int64_t n_ff = job.experts.gate.rows;
    for (int i = warp; i < tile.n * (UP_ROWS / BLOCK); i += n_warps) {
        int pair = i / (UP_ROWS / BLOCK), block = i % (UP_ROWS / BLOCK);
        int64_t row = first_row + block * BLOCK + lane;
        float value = values[pair * (UP_ROWS + 4) + block * BLOCK + lane];
        if (job.hidden.f32 && row < n_ff)
            job.hidden.f32[(tile.first + pair) * n_ff + row] = value;
        if (job.hidden.q && first_row + block * BLOCK < n_ff)
            store_q8(job.hidden, tile.first + pair, (int)(n_ff / BLOCK), (int)(first_row / BLOCK) + block,
                     lane, quantize_block(value));
    }
}

template <typename SHAPE, int N>
static __device__ __forceinline__ void run_up(const expert_job &job, const pair_tile &tile,
                                              const uint8_t *const (&bands)[2], const gemm_source &source,
                                              int64_t first_band, uint8_t *shared)
{
    if constexpr (N > 16) {
        if (tile.n <= N / 2) {
            run_up<SHAPE, N / 2>(job, tile, bands, source, first_band, shared);
            return;
        }
    }
    static_assert(N * (UP_ROWS + 4) * 4 <= SHAPE::SHARED_BYTES,
                  "the hidden tile takes the place of the activations");
    float acc[2][N / MMA_TOKENS][4];
    int warp = threadIdx.x / WARP;
    multiply_bands<SHAPE, N>(bands, source, shared, acc);
    make_hidden<N>(job, tile.expert, first_band + warp, warp, acc, (float *)shared);
    __syncthreads();
    store_hidden(job, tile, first_band * BAND_ROWS, (const float *)shared);
}

/* Grid: (tiles of UP_ROWS rows, tiles of pairs). */
template <typename SHAPE>
static __global__ void __launch_bounds__(SHAPE::THREADS, SHAPE::BLOCKS_MIN)
    expert_up(const __grid_constant__ expert_job job)
{
    __shared__ __align__(128) uint8_t shared[SHAPE::SHARED_BYTES];
    __shared__ int32_t rows[PAIRS_PER_TILE];
    pair_tile tile = find_tile(job.pairs, job.expert_begin, job.expert_end, blockIdx.y);
    if (tile.n == 0)
        return;
    const uint8_t *gate = expert_matrix(job.experts.gate, tile.expert),
                  *up = expert_matrix(job.experts.up, tile.expert);
    if (!gate || !up)
        return;
    int64_t n_bands = (job.experts.gate.rows + BAND_ROWS - 1) / BAND_ROWS;
    int64_t first_band = (int64_t)blockIdx.x * SHAPE::WARPS_M;
    int64_t band = min(first_band + threadIdx.x / WARP, n_bands - 1);
    const uint8_t *bands[2] = {gate + band * job.experts.gate.band_bytes,
                               up + band * job.experts.up.band_bytes};
    for (int i = threadIdx.x; i < PAIRS_PER_TILE; i += SHAPE::THREADS)
        rows[i] = job.pairs.pair[tile.first + min(i, tile.n - 1)] / job.pairs.n_used;
    __syncthreads();
    gemm_source source = make_source<typename SHAPE::TYPE>(job.x, job.experts.gate.cols, rows);
    run_up<SHAPE, PAIRS_PER_TILE>(job, tile, bands, source, first_band, shared);
}

/* ---- down ---- */

template <typename SHAPE, int N>
static __device__ __forceinline__ void store_down(const expert_job &job, const pair_tile &tile,
                                                  int64_t first_band,
                                                  const float (&acc)[2][N / MMA_TOKENS][4])
{
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int64_t n_embd = job.experts.down.rows;
#pragma unroll
    for (int band = 0; band < 2; band++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int64_t row = (first_band + band) * BAND_ROWS + 2 * g + r;
            if (row >= n_embd)
                continue;
            float bias = job.experts.down_bias ? job.experts.down_bias[tile.expert * n_embd + row] : 0;
#pragma unroll
            for (int j = 0; j < N / MMA_TOKENS * 2; j++) {
                int pair = j / 2 * MMA_TOKENS + 2 * t + j % 2;
                if (pair >= tile.n)
                    continue;
                float &out = job.out[job.pairs.pair[tile.first + pair] * n_embd + row];
                out = (job.accumulate ? out : 0) + (acc[band][j / 2][2 * r + j % 2] + bias);
            }
        }
    }
}

template <typename SHAPE, int N>
static __device__ __forceinline__ void run_down(const expert_job &job, const pair_tile &tile,
                                                const uint8_t *const (&bands)[2], const gemm_source &source,
                                                int64_t first_band, uint8_t *shared)
{
    if constexpr (N > 16) {
        if (tile.n <= N / 2) {
            run_down<SHAPE, N / 2>(job, tile, bands, source, first_band, shared);
            return;
        }
    }
    float acc[2][N / MMA_TOKENS][4];
    multiply_bands<SHAPE, N>(bands, source, shared, acc);
    store_down<SHAPE, N>(job, tile, first_band, acc);
}

/* Grid: (tiles of DOWN_ROWS rows, tiles of pairs). */
template <typename SHAPE>
static __global__ void __launch_bounds__(SHAPE::THREADS, SHAPE::BLOCKS_MIN)
    expert_down(const __grid_constant__ expert_job job)
{
    __shared__ __align__(128) uint8_t shared[SHAPE::SHARED_BYTES];
    __shared__ int32_t rows[PAIRS_PER_TILE];
    pair_tile tile = find_tile(job.pairs, job.expert_begin, job.expert_end, blockIdx.y);
    if (tile.n == 0)
        return;
    const ssw_cuda_matrix &down = job.experts.down;
    const uint8_t *matrix = expert_matrix(down, tile.expert);
    if (!matrix)
        return;
    int64_t n_bands = (down.rows + BAND_ROWS - 1) / BAND_ROWS;
    int64_t first_band = ((int64_t)blockIdx.x * SHAPE::WARPS_M + threadIdx.x / WARP) * 2;
    const uint8_t *bands[2] = {matrix + min(first_band, n_bands - 1) * down.band_bytes,
                               matrix + min(first_band + 1, n_bands - 1) * down.band_bytes};
    for (int i = threadIdx.x; i < PAIRS_PER_TILE; i += SHAPE::THREADS)
        rows[i] = tile.first + min(i, tile.n - 1);
    __syncthreads();
    gemm_source source = make_source<typename SHAPE::TYPE>(job.hidden, down.cols, rows);
    run_down<SHAPE, PAIRS_PER_TILE>(job, tile, bands, source, first_band, shared);
}

/* ---- launches ---- */

/* At most: every expert has one partial tile. */
static int64_t count_tiles(const ssw_cuda_expert_gemm_args *args)
{
    int64_t n_experts = args->expert_end - args->expert_begin, n_pairs = args->pairs.n_pairs;
    int64_t by_pairs = n_pairs / PAIRS_PER_TILE + (n_experts < n_pairs ? n_experts : n_pairs);
    int64_t by_experts = n_experts * ((args->max_pairs_per_expert + PAIRS_PER_TILE - 1) / PAIRS_PER_TILE);
    return by_pairs < by_experts ? by_pairs : by_experts;
}

static expert_job make_job(const ssw_cuda_expert_gemm_args *args)
{
    assert(args->expert_begin >= 0 && args->expert_end <= args->pairs.n_experts);
    return {*args->experts, args->pairs,  args->expert_begin, args->expert_end,
            args->x,        args->hidden, args->out,          args->accumulate};
}

template <typename TYPE> void launch_expert_up(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    const ssw_cuda_matrix *gate = &args->experts->gate;
    dim3 grid((unsigned)((gate->rows + UP_ROWS - 1) / UP_ROWS), (unsigned)count_tiles(args));
    assert(gate->cols % TYPE::COLUMNS == 0 && (!args->hidden.q || gate->rows % SSW_CUDA_BLOCK == 0));
    if (grid.y > 0)
        expert_up<expert_shape<TYPE>><<<grid, expert_shape<TYPE>::THREADS, 0, stream>>>(make_job(args));
}

template <typename TYPE>
void launch_expert_down(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    const ssw_cuda_matrix *down = &args->experts->down;
    dim3 grid((unsigned)((down->rows + DOWN_ROWS - 1) / DOWN_ROWS), (unsigned)count_tiles(args));
    assert(down->cols % TYPE::COLUMNS == 0);
    if (grid.y > 0)
        expert_down<expert_shape<TYPE>><<<grid, expert_shape<TYPE>::THREADS, 0, stream>>>(make_job(args));
}

#define SSW_CUDA_EXPERT_UP_OF_CODES(TYPE, name, ...)                                                         \
    template void launch_expert_up<name##_mma>(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args);
#define SSW_CUDA_EXPERT_DOWN_OF_CODES(TYPE, name, ...)                                                       \
    template void launch_expert_down<name##_mma>(ssw_cuda_stream stream,                                     \
                                                 const ssw_cuda_expert_gemm_args *args);

#endif
