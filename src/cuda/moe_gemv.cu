/* The experts of few tokens: each (token, slot) pair reads its expert's matrices once.
 *
 * First launch: a thread block makes 32 rows of a pair's hidden layer, from two bands of gate and two of up,
 * and quantises them where they are: 32 rows are one block of the next product's input. Second launch: a
 * thread block makes 16 output rows of a token, from all its experts, whose steps its warps take as if they
 * lay end to end; it starts while the first still runs, and has its weights on their way then. A pair whose
 * choice is negative, or whose expert has no memory on this device, adds nothing. Experts that every token
 * uses are a pair more in both launches. */
#include <assert.h>
#include <type_traits>

#include "cuda/codes_dot.cuh"
#include "cuda/dependent.cuh"

enum {
    UP_BANDS = 4, /* two of gate, two of up */
    UP_WARPS_PER_BAND = 2,
    UP_WARPS = UP_BANDS * UP_WARPS_PER_BAND,
    DOWN_WARPS = 16
};

struct moe_job {
    ssw_cuda_experts experts, shared; /* shared: when args.shared is set */
    ssw_cuda_moe_args args;
    int units, shared_units; /* of 32 hidden rows, of a pair */
};

/* Past the L1 cache: it may have been written while this kernel was there already. */
static __device__ const uint8_t *expert_at(const ssw_cuda_matrix &w, int expert)
{
    if (expert < 0)
        return nullptr;
    return w.table ? (const uint8_t *)__ldcg((const unsigned long long *)w.table + expert)
                   : w.data + expert * w.matrix_bytes;
}

static __device__ float activate(const ssw_cuda_experts &experts, float gate, float up)
{
    if (experts.glu == SSW_CUDA_GLU_SILU)
        return gate / (1 + expf(-gate)) * up;
    gate = fminf(gate, experts.glu_limit);
    up = fminf(fmaxf(up, -experts.glu_limit), experts.glu_limit);
    return gate / (1 + expf(-experts.glu_alpha * gate)) * (up + 1);
}

/* A warp's part of a band of gate or up. */
template <typename TYPE>
static __device__ __forceinline__ void multiply_band(const uint8_t *band, const ssw_cuda_acts &x,
                                                     int64_t cols, int64_t token, bool is_there, float *out)
{
    const int64_t tokens[1] = {token};
    float sums[1][TYPE::ROWS] = {};
    if (is_there)
        walk_band<TYPE, 1>(band, x, cols, tokens, threadIdx.x / WARP % UP_WARPS_PER_BAND, TYPE::n_steps(cols),
                           UP_WARPS_PER_BAND, sums);
    reduce_band<TYPE>(sums[0], out);
}

/* Of an SM at once. Of three, 132 SMs hold 396, and a token of Phi-3.5-MoE has 400: the last four would begin
 * when others have ended. Small codes take more registers than four leave them. */
template <typename TYPE> static constexpr int up_blocks()
{
    return TYPE::ROWS > 1 ? 4 : 2;
}

/* Grid: a token's units, pair by pair, those of the shared experts last; tokens. The next kernel is let go
 * only after the wait, so that it may read the choices at once. */
template <typename TYPE, typename SHARED>
__global__ void __launch_bounds__(UP_WARPS *WARP, up_blocks<TYPE>())
    moe_up(const __grid_constant__ moe_job job)
{
    __shared__ float shared[UP_WARPS][BAND_ROWS];
    const ssw_cuda_moe_args &args = job.args;
    int token = blockIdx.y, slot = blockIdx.x / job.units, warp = threadIdx.x / WARP,
        lane = threadIdx.x % WARP;
    bool is_shared = slot >= args.n_used;
    const ssw_cuda_experts &experts = is_shared ? job.shared : job.experts;
    int unit = is_shared ? blockIdx.x - args.n_used * job.units : blockIdx.x % job.units;
    int which = warp / UP_WARPS_PER_BAND, band = unit * 2 + which % 2;
    bool has_band = band * BAND_ROWS < experts.gate.rows;
    const ssw_cuda_matrix &w = which < 2 ? experts.gate : experts.up;
    uint64_t offset = band * w.band_bytes;
    wait_for_previous();
    let_next_start();
    int64_t row_of_hidden = is_shared ? token : token * args.n_used + slot;
    int expert = is_shared ? 0 : args.chosen[row_of_hidden];
    const uint8_t *matrix = expert_at(w, expert);
    if (!matrix) /* then so it is for every warp */
        return;
    if (is_shared)
        multiply_band<SHARED>(matrix + offset, args.x, w.cols, token, has_band, shared[warp]);
    else
        multiply_band<TYPE>(matrix + offset, args.x, w.cols, token, has_band, shared[warp]);
    __syncthreads();
    if (warp > 0)
        return;
    int64_t n_ff = experts.gate.rows, row = (int64_t)unit * BLOCK + lane;
    const ssw_cuda_acts &hidden = is_shared ? args.shared_hidden : args.hidden;
    int at = lane / BAND_ROWS * UP_WARPS_PER_BAND, r = lane % BAND_ROWS;
    float g = 0, u = 0, value = 0;
    for (int i = 0; i < UP_WARPS_PER_BAND; i++) {
        g += shared[at + i][r];
        u += shared[at + i + 2 * UP_WARPS_PER_BAND][r];
    }
    if (row < n_ff) {
        g += experts.gate_bias ? experts.gate_bias[expert * experts.bias_stride + row] : 0;
        u += experts.up_bias ? experts.up_bias[expert * experts.bias_stride + row] : 0;
        value = activate(experts, g, u);
        if (hidden.f32)
            hidden.f32[row_of_hidden * n_ff + row] = value;
    }
    if (hidden.q)
        store_q8(hidden, row_of_hidden, (int)(n_ff / BLOCK), unit, lane, quantize_block(value));
}

/* ---- the second product ---- */

/* A row of the hidden layer. */
static __device__ ssw_cuda_acts hidden_row(ssw_cuda_acts x, int64_t row, int64_t cols)
{
    x.f32 += row * cols;
    x.q += row * cols;
    x.q_scales += row * (cols / BLOCK) * 2;
    return x;
}

/* One routed expert's part of a token's output. */
struct down_segment {
    const uint8_t *band;
    ssw_cuda_acts x;
    const float *bias; /* of the output's rows, or NULL */
    float weight;
};

struct down_segments {
    down_segment of[SSW_CUDA_EXPERTS_USED_MAX];
    int n, n_steps; /* steps of each */
    int cols;
};

/* The token's experts that are here, by the first warp. */
template <typename TYPE>
static __device__ void find_segments(const moe_job &job, int64_t token, int band, down_segments &out)
{
    const ssw_cuda_moe_args &args = job.args;
    const ssw_cuda_matrix &w = job.experts.down;
    int slot = threadIdx.x;
    down_segment own = {};
    if (slot < args.n_used) {
        int64_t row = token * args.n_used + slot;
        int expert = __ldcg(args.chosen + row);
        const uint8_t *matrix = expert_at(w, expert), *at = matrix + band * w.band_bytes;
        const float *bias = job.experts.down_bias;
        own = {matrix ? at : nullptr, hidden_row(args.hidden, row, w.cols),
               bias ? bias + expert * w.rows : bias, __ldcg(args.weights + row)};
    }
    unsigned here = __ballot_sync(EVERY_LANE, own.band != nullptr);
    if (own.band) {
        out.of[__popc(here & ((1u << slot) - 1))] = own;
    }
    if (slot == 0) {
        out.n = __popc(here);
        out.n_steps = TYPE::n_steps(w.cols);
        out.cols = (int)w.cols;
    }
}

/* A step of a segment; at its end: segment n. */
struct down_place {
    int segment, step;
};

static __device__ __forceinline__ void go_on(const down_segments &segments, int steps, down_place &place)
{
    place.step += steps;
    while (place.segment < segments.n && place.step >= segments.n_steps) {
        place.step -= segments.n_steps;
        place.segment++;
    }
}

/* The warp's next steps: where they are, and their weights on their way. */
template <typename TYPE> struct down_steps {
    down_place places[TYPE::STEPS_IN_FLIGHT];
    typename TYPE::loaded of[TYPE::STEPS_IN_FLIGHT];
};

template <typename TYPE>
static __device__ __forceinline__ void load_down(const down_segments &segments, down_place &next,
                                                 down_steps<TYPE> &out)
{
#pragma unroll
    for (int i = 0; i < TYPE::STEPS_IN_FLIGHT; i++) {
        out.places[i] = next;
        if (next.segment == segments.n)
            continue;
        TYPE::load(out.of[i], segments.of[next.segment].band, segments.cols, next.step, threadIdx.x % WARP);
        go_on(segments, DOWN_WARPS, next);
    }
}

template <typename TYPE>
static __device__ __forceinline__ void add_down(const down_segments &segments, const down_steps<TYPE> &in,
                                                float (&total)[TYPE::ROWS])
{
#pragma unroll
    for (int i = 0; i < TYPE::STEPS_IN_FLIGHT; i++) {
        if (in.places[i].segment == segments.n)
            break;
        const down_segment &segment = segments.of[in.places[i].segment];
        float sums[TYPE::ROWS] = {};
        TYPE::add(in.of[i], segment.x, segments.cols, 0, in.places[i].step, threadIdx.x % WARP, sums);
#pragma unroll
        for (int r = 0; r < TYPE::ROWS; r++)
            total[r] += segment.weight * sums[r];
    }
}

/* Grid: bands, tokens. */
template <typename TYPE, typename SHARED>
__global__ void __launch_bounds__(DOWN_WARPS *WARP, 2) moe_down(const __grid_constant__ moe_job job)
{
    static_assert((int)TYPE::ROWS == (int)SHARED::ROWS, "sums of the same rows");
    __shared__ float shared[DOWN_WARPS][BAND_ROWS];
    __shared__ down_segments segments;
    const ssw_cuda_moe_args &args = job.args;
    const ssw_cuda_matrix &w = job.shared.down;
    int warp = threadIdx.x / WARP;
    int64_t rows = job.experts.down.rows, row = (int64_t)blockIdx.x * BAND_ROWS + threadIdx.x;
    bool has_result = threadIdx.x < BAND_ROWS && row < rows;
    float *out = args.out + blockIdx.y * rows + row;
    let_next_start();
    if (warp == 0)
        find_segments<TYPE>(job, blockIdx.y, blockIdx.x, segments);
    __syncthreads();
    down_place next = {0, 0};
    down_steps<TYPE> steps;
    go_on(segments, warp, next);
    load_down<TYPE>(segments, next, steps);
    float sum = 0, total[1][TYPE::ROWS] = {};
    for (int s = 0; has_result && s < segments.n; s++)
        sum += segments.of[s].bias ? segments.of[s].weight * segments.of[s].bias[row] : 0;
    wait_for_previous();
    float before = has_result ? *out : 0;
    while (steps.places[0].segment < segments.n) {
        add_down<TYPE>(segments, steps, total[0]);
        load_down<TYPE>(segments, next, steps);
    }
    const int64_t tokens[1] = {0};
    if (args.shared) /* from the last warp on: the routed experts' steps may end with one of the first */
        walk_band<SHARED, 1>(w.data + blockIdx.x * w.band_bytes,
                             hidden_row(args.shared_hidden, blockIdx.y, w.cols), w.cols, tokens,
                             DOWN_WARPS - 1 - warp, SHARED::n_steps(w.cols), DOWN_WARPS, total);
    reduce_band<TYPE>(total[0], shared[warp]);
    __syncthreads();
    if (!has_result)
        return;
    for (int i = 0; i < DOWN_WARPS; i++)
        sum += shared[i][threadIdx.x];
    *out = before + sum;
}

/* ---- launches ---- */

/* As ssw_cuda_types_join has it, of the types. */
template <typename TYPE> static constexpr bool takes_q8_0_beside()
{
    return std::is_same_v<TYPE, q4_0_type> || std::is_same_v<TYPE, mxfp4_type>;
}

template <typename TYPE> static void launch_up(ssw_cuda_stream stream, dim3 grid, const moe_job &job)
{
    bool is_one_type = !job.args.shared || job.shared.gate.dtype == job.experts.gate.dtype;
    if constexpr (takes_q8_0_beside<TYPE>()) {
        if (!is_one_type) {
            launch_dependent<moe_up<TYPE, q8_0_type>>(stream, grid, UP_WARPS * WARP, 0, job);
            return;
        }
    }
    launch_dependent<moe_up<TYPE, TYPE>>(stream, grid, UP_WARPS * WARP, 0, job);
}

template <typename TYPE> static void launch_down(ssw_cuda_stream stream, dim3 grid, const moe_job &job)
{
    bool is_one_type = !job.args.shared || job.shared.down.dtype == job.experts.down.dtype;
    if constexpr (takes_q8_0_beside<TYPE>()) {
        if (!is_one_type) {
            launch_dependent<moe_down<TYPE, q8_0_type>>(stream, grid, DOWN_WARPS * WARP, 0, job);
            return;
        }
    }
    launch_dependent<moe_down<TYPE, TYPE>>(stream, grid, DOWN_WARPS * WARP, 0, job);
}

void ssw_cuda_moe(ssw_cuda_stream stream, const ssw_cuda_moe_args *args)
{
    const ssw_cuda_experts *experts = args->experts, *shared = args->shared;
    assert(args->n >= 1 && args->n_used >= 1 && args->n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    assert(!args->hidden.q || experts->gate.rows % BLOCK == 0);
    assert(!shared || ssw_cuda_moe_takes_shared(experts, shared));
    moe_job job = {*experts, shared ? *shared : ssw_cuda_experts{}, *args,
                   (int)((experts->gate.rows + BLOCK - 1) / BLOCK),
                   shared ? (int)(shared->gate.rows / BLOCK) : 0};
    dim3 up((unsigned)(args->n_used * job.units + job.shared_units), (unsigned)args->n);
    dim3 down((unsigned)((experts->down.rows + BAND_ROWS - 1) / BAND_ROWS), (unsigned)args->n);
#define CALL(type) launch_up<type>(stream, up, job)
    FOR_DTYPE(experts->gate.dtype, CALL)
#undef CALL
#define CALL(type) launch_down<type>(stream, down, job)
    FOR_DTYPE(experts->down.dtype, CALL)
#undef CALL
}
