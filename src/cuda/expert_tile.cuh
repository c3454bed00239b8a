/* Which pairs and which rows a thread block of the experts' products has. Included by kernels only. */
#ifndef SSW_CUDA_EXPERT_TILE_CUH
#define SSW_CUDA_EXPERT_TILE_CUH

#include <assert.h>
#include <string.h>

#include "cuda/band_dot.cuh"

enum { PAIRS_PER_TILE = 64 };

/* What a kernel needs of the arguments, experts included. */
struct expert_job {
    ssw_cuda_experts experts;
    ssw_cuda_matrix down_after;
    ssw_cuda_pairs pairs;
    int expert_begin, expert_end;
    ssw_cuda_acts x, hidden;
    float *out;
    bool accumulate;
    int n_listed;
    ssw_cuda_expert_rows listed[SSW_CUDA_EXPERT_ROWS_MAX];
};

struct pair_tile {
    int expert, listed;
    int first, n; /* sorted pairs */
};

static __device__ __forceinline__ int tiles_of(int n_pairs)
{
    return (n_pairs + PAIRS_PER_TILE - 1) / PAIRS_PER_TILE;
}

/* The index-th tile of listed rows. */
static __device__ __forceinline__ pair_tile find_listed_tile(const expert_job &job, int index)
{
    for (int i = 0; i < job.n_listed; i++) {
        int n = job.listed[i].n_pairs, within = index * PAIRS_PER_TILE;
        if (within < n)
            return {job.listed[i].expert, i, job.pairs.first[job.listed[i].expert] + within,
                    min(n - within, PAIRS_PER_TILE)};
        index -= tiles_of(n);
    }
    return {0, 0, 0, 0};
}

/* The index-th tile of the range's pairs, or of listed rows; n is 0 if there are not so many. All lanes of a
 * warp together. */
static __device__ pair_tile find_tile(const expert_job &job, int index)
{
    if (job.n_listed > 0)
        return find_listed_tile(job, index);
    int lane = threadIdx.x % WARP;
    for (int begin = job.expert_begin; begin < job.expert_end; begin += WARP) {
        int expert = begin + lane, first = 0, n = 0;
        if (expert < job.expert_end) {
            first = job.pairs.first[expert];
            n = job.pairs.first[expert + 1] - first;
        }
        int n_tiles = tiles_of(n), end = n_tiles;
        for (int distance = 1; distance < WARP; distance *= 2) {
            int below = __shfl_up_sync(EVERY_LANE, end, distance);
            if (lane >= distance)
                end += below;
        }
        unsigned found = __ballot_sync(EVERY_LANE, index < end);
        if (found) {
            int owner = __ffs((int)found) - 1, within = (index - (end - n_tiles)) * PAIRS_PER_TILE;
            pair_tile tile = {expert, 0, first + within, min(n - within, PAIRS_PER_TILE)};
            tile.expert = __shfl_sync(EVERY_LANE, tile.expert, owner);
            tile.first = __shfl_sync(EVERY_LANE, tile.first, owner);
            tile.n = __shfl_sync(EVERY_LANE, tile.n, owner);
            return tile;
        }
        index -= __shfl_sync(EVERY_LANE, end, WARP - 1);
    }
    return {0, 0, 0, 0};
}

/* Rows of an expert's matrices: gate and up, or down and the columns after it. */
struct expert_part {
    const uint8_t *at[2];
    int first_row, n_rows;
};

static __device__ const uint8_t *expert_matrix(const ssw_cuda_matrix &w, int expert)
{
    return w.table ? w.table[expert] : w.data + expert * w.matrix_bytes;
}

static __device__ __forceinline__ expert_part listed_part(const ssw_cuda_expert_rows &rows)
{
    return {{rows.at[0], rows.at[1]}, rows.first_row, rows.n_rows};
}

static __device__ __forceinline__ expert_part up_part(const expert_job &job, const pair_tile &tile)
{
    const ssw_cuda_experts &e = job.experts;
    if (job.n_listed > 0)
        return listed_part(job.listed[tile.listed]);
    return {{expert_matrix(e.gate, tile.expert), expert_matrix(e.up, tile.expert)}, 0, (int)e.gate.rows};
}

static __device__ __forceinline__ expert_part down_part(const expert_job &job, const pair_tile &tile)
{
    const ssw_cuda_matrix &down = job.experts.down;
    if (job.n_listed > 0)
        return listed_part(job.listed[tile.listed]);
    return {{expert_matrix(down, tile.expert), nullptr}, 0, (int)down.rows};
}

/* Of a row of the part; biases: of experts a stride apart, or NULL. */
static __device__ __forceinline__ float bias_of(const float *biases, int expert, int64_t stride,
                                                const expert_part &part, int row)
{
    return biases && row < part.n_rows ? biases[expert * stride + part.first_row + row] : 0;
}

/* ---- host ---- */

/* At most: every expert has one partial tile. */
static int64_t count_tiles(const ssw_cuda_expert_gemm_args *args)
{
    int64_t n_experts = args->expert_end - args->expert_begin, n_pairs = args->pairs.n_pairs;
    int64_t by_pairs = n_pairs / PAIRS_PER_TILE + (n_experts < n_pairs ? n_experts : n_pairs);
    int64_t by_experts = n_experts * ((args->max_pairs_per_expert + PAIRS_PER_TILE - 1) / PAIRS_PER_TILE);
    return by_pairs < by_experts ? by_pairs : by_experts;
}

/* Tiles of so many of the matrices' rows, and of pairs. */
static dim3 find_grid(const ssw_cuda_expert_gemm_args *args, int64_t rows, int64_t rows_per_tile)
{
    int64_t n_tiles = 0;
    if (args->n_listed == 0) {
        n_tiles = count_tiles(args);
    } else {
        rows = 0;
        for (int i = 0; i < args->n_listed; i++) {
            rows = args->listed[i].n_rows > rows ? args->listed[i].n_rows : rows;
            n_tiles += (args->listed[i].n_pairs + PAIRS_PER_TILE - 1) / PAIRS_PER_TILE;
        }
    }
    return dim3((unsigned)((rows + rows_per_tile - 1) / rows_per_tile), (unsigned)n_tiles);
}

static expert_job make_job(const ssw_cuda_expert_gemm_args *args)
{
    assert(args->expert_begin >= 0 && args->expert_end <= args->pairs.n_experts);
    assert(args->n_listed >= 0 && args->n_listed <= SSW_CUDA_EXPERT_ROWS_MAX);
    expert_job job = {*args->experts,
                      args->down_after,
                      args->pairs,
                      args->expert_begin,
                      args->expert_end,
                      args->x,
                      args->hidden,
                      args->out,
                      args->accumulate,
                      args->n_listed,
                      {}};
    if (args->n_listed > 0)
        memcpy(job.listed, args->listed, (size_t)args->n_listed * sizeof job.listed[0]);
    return job;
}

#endif
