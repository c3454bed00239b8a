/* One thread block's tile of a matrix product with many tokens: some bands times N tokens, in registers.
 *
 * WARPS_M * WARPS_K warps. Each has BANDS bands and all N tokens; the warps of one m share their bands and
 * take every WARPS_K-th group of BLOCKS blocks of the columns, and are added up in order at the end. Weights
 * go from global memory straight into the registers of the one warp that needs them, AHEAD blocks before
 * their use. Activations go through shared memory, STAGES chunks of them in flight by cp.async: rows of CHUNK
 * * 32 bytes whose 16-byte units are exchanged by the row's number, so that ldmatrix meets no bank twice.
 *
 * The loop has no branches and next to no address arithmetic, since its products take all the instructions
 * that an SM can issue: every thread keeps its places in memory and moves them along by constants. Behind the
 * last column activations are zeros, and weights whatever was loaded last. Included by kernels only. */
#ifndef SSW_CUDA_GEMM_TILE_CUH
#define SSW_CUDA_GEMM_TILE_CUH

#include "cuda/async_copy.cuh"
#include "cuda/codes_mma.cuh"

template <typename TYPE_, int BANDS_, int WARPS_M_, int WARPS_K_, int N_MAX_, int STAGES_> struct gemm_shape {
    typedef TYPE_ TYPE;
    static constexpr int BANDS = BANDS_, WARPS_M = WARPS_M_, WARPS_K = WARPS_K_, N_MAX = N_MAX_,
                         STAGES = STAGES_;
    static constexpr int BLOCKS = 4; /* a warp's, of a chunk */
    /* Blocks of which much besides the words is kept in registers are fewer. */
    static constexpr int AHEAD =
        TYPE::HEAD_BYTES > 0 || TYPE::SCALE_FLOATS > 1 || 1024 / TYPE::BLOCK_BYTES < BLOCKS ? 2 : BLOCKS;
    static constexpr int CHUNK = BLOCKS * WARPS_K;
    static constexpr int THREADS = WARP * WARPS_M * WARPS_K;
    static constexpr int UNITS = CHUNK * MMA_BLOCK_BYTES / 16; /* of a token in a chunk */
    static constexpr int SCALES = TYPE::TAKES_Q8 ? CHUNK : 0;  /* of a token in a chunk */
    static constexpr int SCALE_BYTES = TYPE::SCALE_FLOATS == 2 ? 8 : 4;
    static constexpr int SHARED_BYTES = STAGES * N_MAX * (UNITS * 16 + SCALES * SCALE_BYTES);
};

/* Which activations: row i of the tile is row rows[i] of x. rows: shared memory, [N], each a row that exists;
 * all of x is less than 4 GiB. */
struct gemm_source {
    const uint8_t *x; /* x.q or x.f32 */
    const float *scales;
    int n_blocks;   /* of the product */
    int row_blocks; /* from one row of x to the next */
    const int32_t *rows;
};

/* Columns [first_col, first_col + cols) of rows that have row_cols. */
template <typename TYPE>
__device__ __forceinline__ gemm_source make_source(const ssw_cuda_acts &x, int64_t first_col, int64_t cols,
                                                   int64_t row_cols, const int32_t *rows)
{
    int64_t first_block = first_col / TYPE::COLUMNS;
    const uint8_t *values = TYPE::TAKES_Q8 ? (const uint8_t *)x.q : (const uint8_t *)x.f32;
    return {values + first_block * MMA_BLOCK_BYTES, x.q_scales + 2 * first_block, (int)(cols / TYPE::COLUMNS),
            (int)(row_cols / TYPE::COLUMNS), rows};
}

/* What a thread copies of every chunk: units to [N][UNITS], then scales to [CHUNK][N]. */
template <typename SHAPE, int N> struct chunk_copier {
    static constexpr int X_BYTES = N * SHAPE::UNITS * 16,
                         STAGE_BYTES = X_BYTES + N * SHAPE::SCALES * SHAPE::SCALE_BYTES;
    static constexpr int PASSES = N * SHAPE::UNITS / SHAPE::THREADS;
    static constexpr int PASS_ROWS = SHAPE::THREADS / SHAPE::UNITS;
    static constexpr int SCALE_PASSES = (N * SHAPE::SCALES + SHAPE::THREADS - 1) / SHAPE::THREADS;
    static constexpr int SCALE_PASS_ROWS = SHAPE::THREADS / SHAPE::CHUNK;
    static_assert(PASSES * SHAPE::THREADS == N * SHAPE::UNITS, "every thread copies as much");

    uint32_t from[PASSES], scales_from[SCALE_PASSES > 0 ? SCALE_PASSES : 1]; /* bytes from x and scales */
    uint32_t to[2], scales_to; /* shared addresses; to[1] is of the odd passes, less the passes' distance */
    int unit_block, scale_block;

    __device__ __forceinline__ void init(const gemm_source &source, uint32_t shared)
    {
        int unit = threadIdx.x % SHAPE::UNITS, n = threadIdx.x / SHAPE::UNITS;
        unit_block = unit / 2;
        scale_block = threadIdx.x % SHAPE::CHUNK;
#pragma unroll
        for (int i = 0; i < PASSES; i++)
            from[i] =
                (uint32_t)source.rows[n + i * PASS_ROWS] * (uint32_t)(source.row_blocks * MMA_BLOCK_BYTES) +
                (uint32_t)unit * 16;
        for (int i = 0; i < 2; i++)
            to[i] = shared + (uint32_t)(n * SHAPE::UNITS + (unit ^ ((n + i * PASS_ROWS) & 7))) * 16;
#pragma unroll
        for (int i = 0; i < SCALE_PASSES; i++) {
            int row = source.rows[(threadIdx.x / SHAPE::CHUNK + i * SCALE_PASS_ROWS) % N];
            scales_from[i] = (uint32_t)(row * source.row_blocks + scale_block) * 8;
        }
        scales_to =
            shared + X_BYTES + (uint32_t)(scale_block * N + threadIdx.x / SHAPE::CHUNK) * SHAPE::SCALE_BYTES;
        if (N * SHAPE::SCALES < SHAPE::THREADS && (int)threadIdx.x >= N * SHAPE::SCALES)
            scales_to = 0; /* nothing */
    }

    /* Begins to copy a chunk to a stage. */
    __device__ __forceinline__ void copy(const gemm_source &source, int chunk, int stage) const
    {
        int rest = source.n_blocks - chunk * SHAPE::CHUNK;
        const uint8_t *x = source.x + (int64_t)chunk * SHAPE::CHUNK * MMA_BLOCK_BYTES;
        const uint8_t *scales = (const uint8_t *)source.scales + (int64_t)chunk * SHAPE::CHUNK * 8;
#pragma unroll
        for (int i = 0; i < PASSES; i++)
            copy_16_async(to[i % 2] + stage * STAGE_BYTES + i * PASS_ROWS * SHAPE::UNITS * 16, x + from[i],
                          unit_block < rest);
#pragma unroll
        for (int i = 0; i < SCALE_PASSES; i++) {
            if (N * SHAPE::SCALES >= SHAPE::THREADS || scales_to != 0)
                copy_async<SHAPE::SCALE_BYTES>(scales_to + stage * STAGE_BYTES +
                                                   i * SCALE_PASS_ROWS * SHAPE::SCALE_BYTES,
                                               scales + scales_from[i], scale_block < rest);
        }
        commit_copies();
    }
};

/* One block of all N tokens: acc[band][group of 8][4] += . at: the lane's shared address for ldmatrix;
 * x_scales: of the block's token 2t. */
template <typename SHAPE, int N>
__device__ __forceinline__ void
multiply_block(const typename SHAPE::TYPE::fragment (&fragments)[SHAPE::BANDS], uint32_t at,
               const float *x_scales, float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    typedef typename SHAPE::TYPE TYPE;
#pragma unroll
    for (int j = 0; j < N / MMA_TOKENS; j += 2) {
        uint32_t words[4];
        load_matrices(at + j * MMA_TOKENS * SHAPE::UNITS * 16, words);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            typename TYPE::operand operand = TYPE::prepare(words[2 * half], words[2 * half + 1]);
            typename TYPE::token_scales scales = {};
            if (TYPE::TAKES_Q8)
                scales = *(const typename TYPE::token_scales *)(x_scales +
                                                                (j + half) * MMA_TOKENS * TYPE::SCALE_FLOATS);
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

/* Where a band's scales for a warp's blocks are, a chunk at a time. Chunks hold whole super-blocks, or one of
 * the halves. */
template <typename SHAPE> struct scale_walk {
    typedef typename SHAPE::TYPE TYPE;
    static constexpr int SUPER_BLOCKS = 2 * SHAPE::BLOCKS, HEADS = SHAPE::CHUNK / SUPER_BLOCKS;
    static_assert(TYPE::HEAD_BYTES == 0 || SUPER_BLOCKS == CODES_SUPER_BLOCKS, "a warp's blocks are a half");
    const uint8_t *at; /* of the chunk's first block */

    static __device__ __forceinline__ int heads_before(int block)
    {
        return (block / SUPER_BLOCKS + 1) * TYPE::HEAD_BYTES;
    }
    __device__ __forceinline__ void init(const uint8_t *scales, int block)
    {
        at = scales + block * TYPE::SCALE_BYTES + heads_before(block);
    }
    /* Block i of the chunk, or of the next from CHUNK on. is_second: whether the chunk's first block is in
     * the second half of a super-block. */
    __device__ __forceinline__ void load(typename TYPE::loaded &out, const uint8_t *words, int i,
                                         bool is_second, bool is_there) const
    {
        const uint8_t *scales = at + i * TYPE::SCALE_BYTES;
        words += i * TYPE::BLOCK_BYTES;
        if constexpr (TYPE::HEAD_BYTES == 0) {
            TYPE::load(out, words, scales, is_there);
        } else {
            bool is_next = i >= SHAPE::CHUNK;
            int from_half = i % SHAPE::BLOCKS * TYPE::SCALE_BYTES + TYPE::HEAD_BYTES;
            if (is_next)
                scales += (HEADS > 0 ? HEADS : is_second) * TYPE::HEAD_BYTES;
            if (HEADS > 0 ? is_second : is_second != is_next)
                from_half += SHAPE::BLOCKS * TYPE::SCALE_BYTES;
            TYPE::load(out, words, scales, scales - from_half, is_there);
        }
    }
    __device__ __forceinline__ void advance(bool is_second)
    {
        at += SHAPE::CHUNK * TYPE::SCALE_BYTES + (HEADS > 0 ? HEADS : is_second) * TYPE::HEAD_BYTES;
    }
};

template <typename SHAPE, int N>
__device__ __forceinline__ void clear(float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
#pragma unroll
    for (int i = 0; i < SHAPE::BANDS * (N / MMA_TOKENS) * 4; i++)
        (&acc[0][0][0])[i] = 0;
}

/* acc += bands times the N rows of source. Warp w has m = w % WARPS_M, k = w / WARPS_M; the result is
 * complete in the warps of k 0. shared: SHARED_BYTES, 128-byte aligned, free again afterwards. bands: this
 * warp's. */
template <typename SHAPE, int N>
__device__ __forceinline__ void multiply_bands(const uint8_t *const (&bands)[SHAPE::BANDS],
                                               const gemm_source &source, uint8_t *shared,
                                               float (&acc)[SHAPE::BANDS][N / MMA_TOKENS][4])
{
    typedef typename SHAPE::TYPE TYPE;
    typedef chunk_copier<SHAPE, N> copier_type;
    constexpr int STAGE_BYTES = copier_type::STAGE_BYTES;
    static_assert(STAGE_BYTES % 128 == 0, "units are exchanged within 128 bytes");
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    int warp_k = warp / SHAPE::WARPS_M, first_block = warp_k * SHAPE::BLOCKS,
        rest = source.n_blocks - first_block;
    int n_chunks = (source.n_blocks + SHAPE::CHUNK - 1) / SHAPE::CHUNK;
    const uint8_t *words[SHAPE::BANDS];
    scale_walk<SHAPE> scales[SHAPE::BANDS];
    bool is_second = first_block / SHAPE::BLOCKS % 2;
    typename TYPE::loaded loaded[SHAPE::AHEAD][SHAPE::BANDS] = {};
    copier_type copier;
    copier.init(source, shared_address(shared));
#pragma unroll
    for (int stage = 0; stage < SHAPE::STAGES - 1; stage++)
        copier.copy(source, stage, stage);
#pragma unroll
    for (int band = 0; band < SHAPE::BANDS; band++) {
        words[band] = bands[band] + first_block * TYPE::BLOCK_BYTES + TYPE::words_at(g, t);
        scales[band].init(bands[band] + source.n_blocks * TYPE::BLOCK_BYTES + TYPE::scales_at(g),
                          first_block);
#pragma unroll
        for (int i = 0; i < SHAPE::AHEAD; i++)
            scales[band].load(loaded[i][band], words[band], i, is_second, i < rest);
    }
    /* matrix lane / 8 of ldmatrix: tokens 0-7, first and second half of the block, and tokens 8-15 the same
     */
    int row = lane % 8 + lane / 16 * 8;
    uint32_t lane_at =
        row * SHAPE::UNITS * 16 + first_block * MMA_BLOCK_BYTES + ((lane / 8 % 2) ^ (row & 7)) * 16;
    for (int chunk = 0; chunk < n_chunks; chunk++) {
        int stage = chunk % SHAPE::STAGES;
        wait_for_copies<SHAPE::STAGES - 2>();
        __syncthreads(); /* this chunk is here, and nobody reads the stage that is filled next */
        copier.copy(source, chunk + SHAPE::STAGES - 1, (chunk + SHAPE::STAGES - 1) % SHAPE::STAGES);
        const uint8_t *x = shared + stage * STAGE_BYTES;
        const float *x_scales =
            (const float *)(x + copier_type::X_BYTES) + (first_block * N + 2 * t) * TYPE::SCALE_FLOATS;
        uint32_t at = shared_address(x) + lane_at;
#pragma unroll
        for (int i = 0; i < SHAPE::BLOCKS; i++) {
            constexpr int TO_NEXT_CHUNK = SHAPE::CHUNK - SHAPE::BLOCKS;
            int next = i + SHAPE::AHEAD + (i + SHAPE::AHEAD >= SHAPE::BLOCKS ? TO_NEXT_CHUNK : 0);
            typename TYPE::fragment fragments[SHAPE::BANDS];
#pragma unroll
            for (int band = 0; band < SHAPE::BANDS; band++) {
                typename TYPE::loaded &slot = loaded[i % SHAPE::AHEAD][band];
                fragments[band] = TYPE::decode(slot);
                scales[band].load(slot, words[band], next, is_second, next < rest);
            }
            multiply_block<SHAPE, N>(fragments, at ^ (uint32_t)(i * MMA_BLOCK_BYTES),
                                     x_scales + i * N * TYPE::SCALE_FLOATS, acc);
        }
        rest -= SHAPE::CHUNK;
#pragma unroll
        for (int band = 0; band < SHAPE::BANDS; band++) {
            words[band] += SHAPE::CHUNK * TYPE::BLOCK_BYTES;
            scales[band].advance(is_second);
        }
        is_second ^= SHAPE::CHUNK == SHAPE::BLOCKS;
    }
    wait_for_copies<0>();
    __syncthreads();
    if (SHAPE::WARPS_K > 1)
        add_warps<SHAPE, N>((float *)shared, warp % SHAPE::WARPS_M, warp_k, acc);
}

#endif
