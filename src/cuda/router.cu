/* The router of few tokens in one launch: norm, product, choice, and the hand-over to the host.
 *
 * A router is a few hundred kilobytes: too much for one thread block, too little for one band a block. So
 * each block has a slice of the columns: it norms the row for itself, stores the slice's normed columns, and
 * multiplies them with all experts' rows. The last block of a token adds the slices up, in order, and
 * chooses.
 */
#include <assert.h>

#include "cuda/codes_dot.cuh"
#include "cuda/cuda_device.h"
#include "cuda/dependent.cuh"
#include "cuda/norm_row.cuh"
#include "cuda/route_token.cuh"

enum {
    ROUTER_WARPS = NORM_THREADS / WARP,
    SLICES_MAX = 16, /* of a token */
    UNIT_MIN = 64,   /* columns: whole blocks of activations, and no fewer than a step */
    UNIT_MAX = 256,
    SLICE_COLUMNS_MAX = (SSW_CUDA_NORM_COLS_MAX / UNIT_MAX + SLICES_MAX - 1) / SLICES_MAX * UNIT_MAX,
    COUNTERS = SSW_CUDA_GEMV_TOKENS_MAX + 1, /* slices of each token that are done; tokens that are */
    SUMS_MAX = SSW_CUDA_EXPERTS_MAX > ROUTER_WARPS *BAND_ROWS ? SSW_CUDA_EXPERTS_MAX : ROUTER_WARPS *BAND_ROWS
};

struct router_job {
    ssw_cuda_router_args args;
    int slice_columns;
    int n_bands;        /* of the experts' rows */
    int warps_per_band; /* n_bands at a time, or ROUTER_WARPS of them */
};

uint64_t ssw_cuda_router_scratch_floats(int32_t n_experts)
{
    uint64_t rows = (uint64_t)((n_experts + BAND_ROWS - 1) / BAND_ROWS * BAND_ROWS);
    return COUNTERS + (uint64_t)SSW_CUDA_GEMV_TOKENS_MAX * SLICES_MAX * rows;
}

/* True in every thread of the block that is the last of n to come here; the others' writes are visible then.
 */
static __device__ bool is_last_of(unsigned *counter, unsigned n, bool for_host)
{
    __shared__ bool is_last;
    if (for_host)
        __threadfence_system();
    else
        __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) /* counts up to n - 1, then is 0 again */
        is_last = atomicInc(counter, n - 1) == n - 1;
    __syncthreads();
    if (is_last)
        __threadfence();
    return is_last;
}

/* The slice's part of every expert's logit, to out[n_bands * 16]. begun: the warp's first steps. */
template <typename TYPE>
static __device__ void multiply_slice(const router_job &job, const ssw_cuda_acts &x, int first, int end,
                                      steps_in_flight<TYPE> &begun, float *out)
{
    __shared__ float shared[SUMS_MAX];
    const ssw_cuda_matrix &w = job.args.w;
    int warp = threadIdx.x / WARP, part = warp % job.warps_per_band, rows = job.n_bands * BAND_ROWS;
    const int64_t tokens[1] = {0};
    for (int band = warp / job.warps_per_band; band < job.n_bands;
         band += ROUTER_WARPS / job.warps_per_band) {
        float sums[1][TYPE::ROWS] = {};
        const uint8_t *at = w.data + band * w.band_bytes;
        if (band >= ROUTER_WARPS / job.warps_per_band)
            load_steps<TYPE>(begun, at, w.cols, first + part, end, job.warps_per_band);
        walk_on<TYPE, 1>(begun, at, x, w.cols, tokens, first + part, end, job.warps_per_band, sums);
        reduce_band<TYPE>(sums[0], shared + part * rows + band * BAND_ROWS);
    }
    __syncthreads();
    for (int row = threadIdx.x; row < rows; row += NORM_THREADS) {
        float sum = 0;
        for (int p = 0; p < job.warps_per_band; p++)
            sum += shared[p * rows + row];
        out[row] = sum;
    }
}

/* The slices' sums, and what follows from them; by the last block of the token. */
static __device__ void choose(const router_job &job, int token, const float *sums)
{
    __shared__ float logits[SSW_CUDA_EXPERTS_MAX];
    const ssw_cuda_router_args &args = job.args;
    const ssw_cuda_route_args &route = args.route;
    int rows = job.n_bands * BAND_ROWS, n_slices = gridDim.x;
    for (int e = threadIdx.x; e < route.n_experts; e += NORM_THREADS) {
        float of[SLICES_MAX], sum = args.bias ? args.bias[e] : 0;
#pragma unroll
        for (int s = 0; s < SLICES_MAX; s++)
            of[s] = s < n_slices ? __ldcg(sums + s * rows + e) : 0;
#pragma unroll
        for (int s = 0; s < SLICES_MAX; s++)
            sum += of[s];
        logits[e] = sum;
    }
    __syncthreads();
    if (threadIdx.x >= WARP)
        return;
    int chosen, at = token * route.n_used + (int)threadIdx.x;
    float weight;
    route_token(route, logits, chosen, weight);
    if ((int)threadIdx.x >= route.n_used)
        return;
    route.chosen[at] = chosen;
    route.weights[at] = weight;
    if (!args.ready)
        return;
    args.host_chosen[at] = chosen;
    args.host_weights[at] = weight;
}

/* Grid: slices, tokens. */
template <typename TYPE>
__global__ void __launch_bounds__(NORM_THREADS) router(const __grid_constant__ router_job job)
{
    __shared__ float shared[WARPS_MAX];
    __shared__ __align__(16) uint8_t slice[SLICE_COLUMNS_MAX * sizeof(float)];
    const ssw_cuda_router_args &args = job.args;
    const ssw_cuda_matrix &w = args.w;
    int token = blockIdx.y, warp = threadIdx.x / WARP, begin = blockIdx.x * job.slice_columns;
    int end = min(begin + job.slice_columns, (int)w.cols), first = TYPE::n_steps(begin),
        last = TYPE::n_steps(end);
    int rows = job.n_bands * BAND_ROWS, band = warp / job.warps_per_band;
    unsigned *counters = (unsigned *)args.scratch;
    float *sums = args.scratch + COUNTERS + (int64_t)token * SLICES_MAX * rows;
    steps_in_flight<TYPE> begun;
    let_next_start();
    if (band < job.n_bands)
        load_steps<TYPE>(begun, w.data + band * w.band_bytes, w.cols, first + warp % job.warps_per_band, last,
                         job.warps_per_band);
    wait_for_previous();
    norm_factors factors = find_norm_factors(args.norm, token, shared);
    ssw_cuda_acts x = local_acts<TYPE::TAKES_Q8>(slice, job.slice_columns);
    store_normed(args.norm, token, begin, end, factors, x);
    __syncthreads();
    if (TYPE::TAKES_Q8) { /* as if the whole row lay there */
        x.q -= begin;
        x.q_scales -= begin / BLOCK * 2;
    } else {
        x.f32 -= begin;
    }
    multiply_slice<TYPE>(job, x, first, last, begun, sums + blockIdx.x * rows);
    bool for_host = args.ready;
    if (!is_last_of(counters + token, gridDim.x, for_host))
        return;
    choose(job, token, sums);
    if (!for_host || !is_last_of(counters + SSW_CUDA_GEMV_TOKENS_MAX, gridDim.y, true))
        return;
    if (threadIdx.x == 0) {
        __threadfence_system();
        *(volatile uint32_t *)&args.ready->value = __ldcg(args.step);
    }
}

/* A slice is whole steps. */
template <typename TYPE> static void launch_router(ssw_cuda_stream stream, router_job job)
{
    constexpr int UNIT = TYPE::STEP_COLUMNS > UNIT_MIN ? TYPE::STEP_COLUMNS : UNIT_MIN;
    static_assert(UNIT <= UNIT_MAX && UNIT % TYPE::STEP_COLUMNS == 0, "room for a slice of whole steps");
    int cols = (int)job.args.w.cols, n_units = (cols + UNIT - 1) / UNIT;
    job.slice_columns = (n_units + SLICES_MAX - 1) / SLICES_MAX * UNIT;
    dim3 grid((unsigned)((cols + job.slice_columns - 1) / job.slice_columns), (unsigned)job.args.norm.n);
    launch_dependent<router<TYPE>>(stream, grid, NORM_THREADS, 0, job);
}

void ssw_cuda_router(ssw_cuda_stream stream, const ssw_cuda_router_args *args)
{
    assert(args->norm.n >= 1 && args->norm.n <= SSW_CUDA_GEMV_TOKENS_MAX && args->route.n == args->norm.n);
    assert(args->w.cols == args->norm.cols && args->w.cols <= SSW_CUDA_NORM_COLS_MAX && !args->w.table);
    assert(args->w.rows == args->route.n_experts && args->route.n_experts <= SSW_CUDA_EXPERTS_MAX);
    assert(args->route.n_used >= 1 && args->route.n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    assert(args->route.n_used <= args->route.n_experts);
    router_job job = {*args, 0, (args->route.n_experts + BAND_ROWS - 1) / BAND_ROWS, 1};
    while (2 * job.warps_per_band * job.n_bands <= ROUTER_WARPS)
        job.warps_per_band *= 2;
#define CALL(type) launch_router<type>(stream, job)
    FOR_DTYPE(args->w.dtype, CALL)
#undef CALL
}
