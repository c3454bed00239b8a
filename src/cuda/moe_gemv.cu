/* The experts of few tokens: each (token, slot) pair reads its expert's matrices once.
 *
 * First launch: a thread block makes 32 rows of a pair's hidden layer, from two bands of gate and two of up,
 * and quantises them where they are: 32 rows are one block of the next product's input. Second launch: a
 * thread block makes 16 output rows of a token, from all its experts. A pair whose choice is negative, or
 * whose expert has no memory on this device, adds nothing. */
#include <assert.h>

#include "cuda/codes_dot.cuh"

enum {
    UP_BANDS = 4, /* two of gate, two of up */
    UP_WARPS_PER_BAND = 2,
    UP_WARPS = UP_BANDS * UP_WARPS_PER_BAND,
    DOWN_WARPS = 16
};

static __device__ const uint8_t *expert_at(const ssw_cuda_matrix &w, int expert)
{
    return w.table ? w.table[expert] : w.data + expert * w.matrix_bytes;
}

static __device__ float activate(const ssw_cuda_experts &experts, float gate, float up)
{
    if (experts.glu == SSW_CUDA_GLU_SILU)
        return gate / (1 + expf(-gate)) * up;
    gate = fminf(gate, experts.glu_limit);
    up = fminf(fmaxf(up, -experts.glu_limit), experts.glu_limit);
    return gate / (1 + expf(-experts.glu_alpha * gate)) * (up + 1);
}

/* Grid: units of 32 rows, pairs. */
template <typename TYPE>
__global__ void __launch_bounds__(UP_WARPS *WARP)
    moe_up(const __grid_constant__ ssw_cuda_experts experts, const __grid_constant__ ssw_cuda_moe_args args)
{
    __shared__ float shared[UP_WARPS][BAND_ROWS];
    int unit = blockIdx.x, pair = blockIdx.y, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int expert = args.chosen[pair];
    const uint8_t *gate = expert < 0 ? nullptr : expert_at(experts.gate, expert);
    if (!gate)
        return;
    int which = warp / UP_WARPS_PER_BAND, band = unit * 2 + which % 2;
    const uint8_t *matrix = which < 2 ? gate : expert_at(experts.up, expert);
    const int64_t token[1] = {pair / args.n_used};
    float sums[1][TYPE::ROWS] = {};
    if (band * BAND_ROWS < experts.gate.rows)
        walk_band<TYPE, 1>(matrix + band * experts.gate.band_bytes, args.x, experts.gate.cols, token,
                           warp % UP_WARPS_PER_BAND, TYPE::n_steps(experts.gate.cols), UP_WARPS_PER_BAND,
                           sums);
    reduce_band<TYPE>(sums[0], shared[warp]);
    __syncthreads();
    if (warp > 0)
        return;
    int64_t n_ff = experts.gate.rows, row = (int64_t)unit * BLOCK + lane;
    int at = lane / BAND_ROWS * UP_WARPS_PER_BAND, r = lane % BAND_ROWS;
    float g = 0, u = 0, value = 0;
    for (int w = 0; w < UP_WARPS_PER_BAND; w++) {
        g += shared[at + w][r];
        u += shared[at + w + 2 * UP_WARPS_PER_BAND][r];
    }
    if (row < n_ff) {
        g += experts.gate_bias ? experts.gate_bias[expert * n_ff + row] : 0;
        u += experts.up_bias ? experts.up_bias[expert * n_ff + row] : 0;
        value = activate(experts, g, u);
        if (args.hidden.f32)
            args.hidden.f32[pair * n_ff + row] = value;
    }
    if (args.hidden.q)
        store_q8(args.hidden, pair, (int)(n_ff / BLOCK), unit, lane, quantize_block(value));
}

/* Grid: bands, tokens. Each warp takes every DOWN_WARPS-th step of the token's experts laid end to end. */
template <typename TYPE>
__global__ void __launch_bounds__(DOWN_WARPS *WARP)
    moe_down(const __grid_constant__ ssw_cuda_experts experts, const __grid_constant__ ssw_cuda_moe_args args)
{
    __shared__ float shared[DOWN_WARPS][BAND_ROWS];
    int band = blockIdx.x, warp = threadIdx.x / WARP;
    int64_t token = blockIdx.y, n_ff = experts.down.cols;
    const int32_t *chosen = args.chosen + token * args.n_used;
    const float *weights = args.weights + token * args.n_used;
    int n_steps = TYPE::n_steps(n_ff), offset = warp;
    float total[1][TYPE::ROWS] = {};
    for (int slot = 0; slot < args.n_used; slot++) {
        const uint8_t *matrix = chosen[slot] < 0 ? nullptr : expert_at(experts.down, chosen[slot]);
        if (!matrix)
            continue;
        const int64_t pair[1] = {token * args.n_used + slot};
        float sums[1][TYPE::ROWS] = {};
        walk_band<TYPE, 1>(matrix + band * experts.down.band_bytes, args.hidden, n_ff, pair, offset, n_steps,
                           DOWN_WARPS, sums);
        for (int r = 0; r < TYPE::ROWS; r++)
            total[0][r] += weights[slot] * sums[0][r];
        /* The next expert's steps go on where this one's ended. */
        offset = (offset + DOWN_WARPS - n_steps % DOWN_WARPS) % DOWN_WARPS;
    }
    reduce_band<TYPE>(total[0], shared[warp]);
    __syncthreads();
    int64_t row = (int64_t)band * BAND_ROWS + threadIdx.x;
    if (threadIdx.x >= BAND_ROWS || row >= experts.down.rows)
        return;
    float sum = 0;
    for (int w = 0; w < DOWN_WARPS; w++)
        sum += shared[w][threadIdx.x];
    for (int slot = 0; experts.down_bias && slot < args.n_used; slot++) {
        if (chosen[slot] >= 0 && expert_at(experts.down, chosen[slot]))
            sum += weights[slot] * experts.down_bias[chosen[slot] * experts.down.rows + row];
    }
    args.out[token * experts.down.rows + row] += sum;
}

void ssw_cuda_moe(ssw_cuda_stream stream, const ssw_cuda_moe_args *args)
{
    const ssw_cuda_experts *experts = args->experts;
    assert(args->n >= 1 && args->n_used >= 1 && args->n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    assert(!args->hidden.q || experts->gate.rows % BLOCK == 0);
    dim3 up((unsigned)((experts->gate.rows + BLOCK - 1) / BLOCK), (unsigned)(args->n * args->n_used));
    dim3 down((unsigned)((experts->down.rows + BAND_ROWS - 1) / BAND_ROWS), (unsigned)args->n);
#define CALL(type) moe_up<type><<<up, UP_WARPS * WARP, 0, stream>>>(*experts, *args)
    FOR_DTYPE(experts->gate.dtype, CALL)
#undef CALL
#define CALL(type) moe_down<type><<<down, DOWN_WARPS * WARP, 0, stream>>>(*experts, *args)
    FOR_DTYPE(experts->down.dtype, CALL)
#undef CALL
}
