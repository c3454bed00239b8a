/* One thread block's tile of a matrix product with many tokens: some bands times N tokens, in registers.
 *
 * WARPS_M * WARPS_K warps. Each has BANDS bands and all N tokens; the warps of one m share their bands and
 * take every WARPS_K-th group of BLOCKS blocks of the columns, and are added up in order at the end. Weights
 * go from global memory straight into the registers of the one warp that needs them, a chunk ahead of their
 * use. Activations go through shared memory, STAGES chunks of them in flight by cp.async: rows of CHUNK * 32
 * bytes whose 16-byte units are exchanged by the row's number, so that ldmatrix meets no bank twice. Included
 * by kernels only. */
#ifndef SSW_CUDA_GEMM_TILE_CUH
#define SSW_CUDA_GEMM_TILE_CUH

#include "cuda/async_copy.cuh"
#include "cuda/band_mma.cuh"

template <typename TYPE_, int BANDS_, int WARPS_M_, int WARPS_K_, int N_MAX_, int STAGES_> struct gemm_shape {
    typedef TYPE_ TYPE;
    static constexpr int BANDS = BANDS_, WARPS_M = WARPS_M_, WARPS_K = WARPS_K_, N_MAX = N_MAX_,
                         STAGES = STAGES_;
    static constexpr int BLOCKS = 4;                       /* a warp's, of a chunk */
    static constexpr int AHEAD = 1024 / TYPE::BLOCK_BYTES; /* blocks of a band on their way, at most BLOCKS */
    static constexpr int CHUNK = BLOCKS * WARPS_K;
    static constexpr int THREADS = WARP * WARPS_M * WARPS_K;
    static constexpr int UNITS = CHUNK * MMA_BLOCK_BYTES / 16; /* of a token in a chunk */
    static constexpr int SCALES = TYPE::TAKES_Q8 ? CHUNK : 0;  /* of a token in a chunk */
    static constexpr int SHARED_BYTES = STAGES * N_MAX * (UNITS * 16 + SCALES * 4);
};

/* Which activations: row i of the tile is row rows[i] of x, zeros if negative. rows: shared memory, [N]. */
struct gemm_source {
    const uint8_t *x; /* x.q or x.f32 */
    const float *scales;
    int64_t row_bytes;
    int n_blocks;
    const int32_t *rows;
};

template <typename TYPE>
__device__ __forceinline__ gemm_source make_source(const ssw_cuda_acts &x, int64_t cols, const int32_t *rows)
{
    return {TYPE::TAKES_Q8 ? (const uint8_t *)x.q : (const uint8_t *)x.f32, x.q_scales,
            cols / TYPE::COLUMNS * MMA_BLOCK_BYTES, (int)(cols / TYPE::COLUMNS), rows};
}

/* Begins to copy chunk `chunk` of N tokens: units to x [N][UNITS], scales to x_scales [CHUNK][N]. */
template <typename SHAPE, int N>
__device__ __forceinline__ void copy_chunk(const gemm_source &source, int chunk, uint8_t *x, float *x_scales)
{
    int first_block = chunk * SHAPE::CHUNK;
#pragma unroll
    for (int i = threadIdx.x; i < N * SHAPE::UNITS; i += SHAPE::THREADS) {
        int n = i / SHAPE::UNITS, unit = i % SHAPE::UNITS, row = source.rows[n];
        bool is_there = row >= 0 && first_block + unit / 2 < source.n_blocks;
        const uint8_t *from =
            source.x + (is_there ? row * source.row_bytes + first_block * MMA_BLOCK_BYTES + unit * 16 : 0);
        copy_16_async(x + (n * SHAPE::UNITS + (unit ^ (n & 7))) * 16, from, is_there);
    }
#pragma unroll
    for (int i = threadIdx.x; i < N * SHAPE::SCALES; i += SHAPE::THREADS) {
        int n = i / SHAPE::CHUNK, block = i % SHAPE::CHUNK, row = source.rows[n];
        bool is_there = row >= 0 && first_block + block < source.n_blocks;
        int64_t at = is_there ? 2 * ((int64_t)row * source.n_blocks + first_block + block) : 0;
        copy_4_async(x_scales + block * N + n, source.scales + at, is_there);
    }
    commit_copies();
}

/* One block of all N tokens: acc[band][group of 8][4] += . */
template <typename SHAPE, int N>
__device__ __forceinline__ void
multiply_block(const typename SHAPE::TYPE::fragment (&fragments)[SHAPE::BANDS], const uint8_t *x,
               const float *x_scales, int block, float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    typedef typename SHAPE::TYPE TYPE;
    int lane = threadIdx.x % WARP, t = lane % 4;
    /* matrix lane / 8 of the four: tokens 0-7 first and second half, tokens 8-15 the same */
    int row = lane % 8 + lane / 16 * 8, unit = 2 * block + lane / 8 % 2;
    const uint8_t *at = x + (row * SHAPE::UNITS + (unit ^ (row & 7))) * 16;
#pragma unroll
    for (int j = 0; j < N / MMA_TOKENS; j += 2) {
        uint32_t words[4];
        load_matrices(at + j * MMA_TOKENS * SHAPE::UNITS * 16, words);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            typename TYPE::operand operand = TYPE::prepare(words[2 * half], words[2 * half + 1]);
            float2 scales = make_float2(0, 0);
            if (TYPE::TAKES_Q8)
                scales = *(const float2 *)(x_scales + block * N + (j + half) * MMA_TOKENS + 2 * t);
#pragma unroll
            for (int band = 0; band < SHAPE::BANDS; band++)
                TYPE::multiply(fragments[band], operand, scales, acc[band][j + half]);
        }
    }
}

/* Adds up the warps that share bands, into those of warp_k 0. */
template <typename SHAPE, int N>
__device__ __forceinline__ void add_warps(float *shared, int warp_m, int warp_k,
                                          float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    constexpr int VALUES = SHAPE::BANDS * (N / MMA_TOKENS) * 4;
    static_assert((SHAPE::WARPS_K - 1) * SHAPE::WARPS_M * VALUES * WARP * 4 <= SHAPE::SHARED_BYTES,
                  "too large");
    int lane = threadIdx.x % WARP;
    float *values = &acc[0][0][0];
    if (warp_k > 0) {
        float *to = shared + ((warp_k - 1) * SHAPE::WARPS_M + warp_m) * VALUES * WARP + lane;
#pragma unroll
        for (int i = 0; i < VALUES; i++)
            to[i * WARP] = values[i];
    }
    __syncthreads();
    if (warp_k == 0) {
        for (int k = 0; k < SHAPE::WARPS_K - 1; k++) {
            const float *from = shared + (k * SHAPE::WARPS_M + warp_m) * VALUES * WARP + lane;
#pragma unroll
            for (int i = 0; i < VALUES; i++)
                values[i] += from[i * WARP];
        }
    }
    __syncthreads();
}

/* acc = bands times the N rows of source. Warp w has m = w % WARPS_M, k = w / WARPS_M; the result is complete
 * in the warps of k 0. shared: SHARED_BYTES, free again afterwards. bands: this warp's. */
template <typename SHAPE, int N>
__device__ __forceinline__ void multiply_bands(const uint8_t *const (&bands)[SHAPE::BANDS],
                                               const gemm_source &source, uint8_t *shared,
                                               float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    typedef typename SHAPE::TYPE TYPE;
    constexpr int X_BYTES = N * SHAPE::UNITS * 16, STAGE_BYTES = X_BYTES + N * SHAPE::SCALES * 4;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int warp_k = warp / SHAPE::WARPS_M, n_blocks = source.n_blocks;
    int n_chunks = (n_blocks + SHAPE::CHUNK - 1) / SHAPE::CHUNK;
    typename TYPE::loaded loaded[SHAPE::AHEAD][SHAPE::BANDS];
#pragma unroll
    for (int i = 0; i < SHAPE::AHEAD; i++) {
        int block = warp_k * SHAPE::BLOCKS + i;
#pragma unroll
        for (int band = 0; band < SHAPE::BANDS; band++)
            loaded[i][band] = TYPE::load(bands[band], n_blocks, block < n_blocks ? block : 0, g, t);
    }
#pragma unroll
    for (int band = 0; band < SHAPE::BANDS; band++) {
#pragma unroll
        for (int i = 0; i < N / MMA_TOKENS * 4; i++)
            acc[band][i / 4][i % 4] = 0;
    }
#pragma unroll
    for (int stage = 0; stage < SHAPE::STAGES - 1; stage++) {
        uint8_t *x = shared + stage * STAGE_BYTES;
        copy_chunk<SHAPE, N>(source, stage, x, (float *)(x + X_BYTES));
    }
    for (int chunk = 0; chunk < n_chunks; chunk++) {
        wait_for_copies<SHAPE::STAGES - 2>();
        __syncthreads(); /* this chunk is here, and nobody reads the stage that is filled next */
        uint8_t *next = shared + (chunk + SHAPE::STAGES - 1) % SHAPE::STAGES * STAGE_BYTES;
        copy_chunk<SHAPE, N>(source, chunk + SHAPE::STAGES - 1, next, (float *)(next + X_BYTES));
        const uint8_t *x = shared + chunk % SHAPE::STAGES * STAGE_BYTES;
#pragma unroll
        for (int i = 0; i < SHAPE::BLOCKS; i++) {
            int within = warp_k * SHAPE::BLOCKS + i, block = chunk * SHAPE::CHUNK + within;
            int next_block = block + SHAPE::AHEAD;
            if (i + SHAPE::AHEAD >= SHAPE::BLOCKS)
                next_block += SHAPE::CHUNK - SHAPE::BLOCKS;
            if (block >= n_blocks)
                break;
            typename TYPE::fragment fragments[SHAPE::BANDS];
#pragma unroll
            for (int band = 0; band < SHAPE::BANDS; band++) {
                typename TYPE::loaded &slot = loaded[i % SHAPE::AHEAD][band];
                fragments[band] = TYPE::decode(slot);
                if (next_block < n_blocks)
                    slot = TYPE::load(bands[band], n_blocks, next_block, g, t);
            }
            multiply_block<SHAPE, N>(fragments, x, (const float *)(x + X_BYTES), within, acc);
        }
    }
    wait_for_copies<0>();
    __syncthreads();
    if (SHAPE::WARPS_K > 1)
        add_warps<SHAPE, N>((float *)shared, warp % SHAPE::WARPS_M, warp_k, acc);
}

#endif
