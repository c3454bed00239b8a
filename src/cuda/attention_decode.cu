/* Attention of parts with one row, and the entry of both kernels.
 *
 * The positions of a sequence are split over thread blocks, as in flash-decoding (arXiv:2205.14135's softmax,
 * merged twice): every warp runs its own softmax over steps of 16 positions, the warps of a block are merged
 * in shared memory, and the last block of a sequence and KV head merges the splits, in order. A warp's 16
 * fragment rows are the query heads of a group, so that keys and values are read once for all of them. Keys
 * and values go from memory straight into fragments: columns of q k and of the results are numbered so that a
 * lane's 16 bytes are what it needs. */
#include <assert.h>
#include <math.h>

#include "cuda/attention_steps.cuh"
#include "cuda/dependent.cuh"

enum {
    HEADS = 16,            /* of a thread block */
    STEP_POSITIONS = 16,   /* positions */
    POSITIONS_MIN = 128,   /* of a split, */
    POSITIONS_WHOLE = 192, /* unless there are no more than these: merging costs more than two steps */
    SPLITS_MAX = 32,       /* one a lane in the last merge */
    SPLIT_BLOCKS_MAX = SSW_CUDA_ATTENTION_COUNTERS /* blocks of a launch that splits; bounds the scratch */
};

template <int DIM> struct decode_shape {
    static constexpr int WARPS = DIM <= 128 ? 4 : 2;
    static constexpr int THREADS = WARPS * WARP;
};

/* The launch and its scratch: for each block (unit * n_splits + split) and head (largest, sum), and
 * [head_dim] results. Unit: part * n_kv_heads * head tiles + KV head * head tiles + tile. */
struct decode_job {
    ssw_cuda_attention_args args;
    int n_head_tiles; /* of a group */
};

struct decode_unit {
    ssw_cuda_part part;
    int number;              /* of the unit */
    int kv_head, first_head; /* first_head of n_heads query heads */
    int n_heads;
    int begin, end; /* positions */
    int n_splits;   /* that have positions */
};

/* False if this block has nothing to do. */
static __device__ bool find_unit(const decode_job &job, decode_unit &out)
{
    const ssw_cuda_attention_args &args = job.args;
    int group = args.n_heads / args.n_kv_heads, tile = blockIdx.y % job.n_head_tiles;
    int4 part = __ldcg((const int4 *)args.parts + blockIdx.z); /* read before the wait */
    out.part = {part.x, part.y, part.z, part.w};
    out.number = blockIdx.z * gridDim.y + blockIdx.y;
    out.kv_head = blockIdx.y / job.n_head_tiles;
    out.first_head = out.kv_head * group + tile * HEADS;
    out.n_heads = min(group - tile * HEADS, (int)HEADS);
    int oldest = args.window > 0 ? max(out.part.position - args.window + 1, 0) : 0;
    int n = out.part.position + 1 - oldest;
    int n_splits = n <= POSITIONS_WHOLE ? 1 : min((n + POSITIONS_MIN - 1) / POSITIONS_MIN, (int)gridDim.x);
    int length = ((n + n_splits - 1) / n_splits + STEP_POSITIONS - 1) / STEP_POSITIONS * STEP_POSITIONS;
    out.n_splits = (n + length - 1) / length;
    out.begin = oldest + (int)blockIdx.x * length;
    out.end = min(out.begin + length, out.part.position + 1);
    return out.part.n_rows == 1 && (int)blockIdx.x < out.n_splits;
}

/* Results so far, of a warp: rows are heads g and g + 8; results[e * VALUE_DIMS + j][2r + i] is dimension
 * VALUE_DIMS (8e + 2t + i) + j of row r. */
template <int DIM> struct running {
    float largest[2], sums[2];
    float results[DIM / 8][4];
};

/* Fragments of q, times scale: product (KEY_DIMS / 4) c + i holds dimensions KEY_DIMS (4c + t) + 4i .. + 3.
 */
template <class STEP>
static __device__ __forceinline__ void load_queries(const ssw_cuda_attention_args &args,
                                                    const decode_unit &unit,
                                                    uint32_t (&fragments)[STEP::DIM / 16][4])
{
    constexpr int PRODUCTS = STEP::KEY_DIMS / 4;
    int lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    float scale = args.scale * LOG2_E;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        bool is_head = g + 8 * r < unit.n_heads;
        int64_t at =
            (int64_t)unit.part.first_row * args.n_heads + unit.first_head + (is_head ? g + 8 * r : 0);
#pragma unroll
        for (int s = 0; s < STEP::DIM / 16; s++) {
            int d = (s / PRODUCTS * 4 + t) * STEP::KEY_DIMS + s % PRODUCTS * 4;
            float4 four = is_head && d < args.head_dim ? *(const float4 *)(args.q + at * args.head_dim + d)
                                                       : make_float4(0, 0, 0, 0);
            fragments[s][r] = pack_f16(four.x * scale, four.y * scale);
            fragments[s][2 + r] = pack_f16(four.z * scale, four.w * scale);
        }
    }
}

/* The 16 positions from `start`, of which the first is before `end`: their weights, and what is so far
 * relative to the new largest score. */
template <class STEP>
static __device__ __forceinline__ void weigh_step(const STEP &step, int start, int end,
                                                  const uint32_t (&q)[STEP::DIM / 16][4],
                                                  running<STEP::DIM> &state, uint32_t (&weights)[4])
{
    constexpr int DIM = STEP::DIM, PRODUCTS = STEP::KEY_DIMS / 4;
    int t = threadIdx.x % 4;
    float scores[2][4] = {};
#pragma unroll
    for (int c = 0; c < DIM / 16 / PRODUCTS; c++) {
#pragma unroll
        for (int i = 0; i < 2 * PRODUCTS; i++) {
            operand k = step.keys.get(i / PRODUCTS, c, i % PRODUCTS);
            mma_f16(q[c * PRODUCTS + i % PRODUCTS], k.low, k.high, scores[i / PRODUCTS]);
        }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float most = state.largest[r];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float &score = scores[i / 2][2 * r + i % 2];
            if (start + i / 2 * 8 + 2 * t + i % 2 >= end)
                score = -INFINITY;
            most = fmaxf(most, score);
        }
        most = fmaxf(most, __shfl_xor_sync(EVERY_LANE, most, 1));
        most = fmaxf(most, __shfl_xor_sync(EVERY_LANE, most, 2));
        float keep = exp2_fast(state.largest[r] - most);
        state.largest[r] = most;
        state.sums[r] *= keep;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float &score = scores[i / 2][2 * r + i % 2];
            score = exp2_fast(score - most);
            state.sums[r] += score;
        }
#pragma unroll
        for (int i = 0; i < DIM / 4; i++)
            state.results[i / 2][2 * r + i % 2] *= keep;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        weights[i] = pack_f16(scores[i / 2][i % 2 * 2], scores[i / 2][i % 2 * 2 + 1]);
}

template <class STEP>
static __device__ __forceinline__ void add_values(const STEP &step, const uint32_t (&weights)[4],
                                                  running<STEP::DIM> &state)
{
#pragma unroll
    for (int j = 0; j < STEP::DIM / 8; j++) {
        operand v = step.values.get(j / STEP::VALUE_DIMS, j % STEP::VALUE_DIMS);
        mma_f16(weights, v.low, v.high, state.results[j]);
    }
}

/* ---- merging ---- */

/* Results of a block's warps. */
template <int DIM> struct warp_results {
    float largest[decode_shape<DIM>::WARPS][HEADS], sums[decode_shape<DIM>::WARPS][HEADS];
    float results[decode_shape<DIM>::WARPS][HEADS]
                 [DIM + 1]; /* odd rows: lanes of different heads meet fewer banks */
};

template <int DIM, int VALUE_DIMS>
static __device__ __forceinline__ void share_results(const running<DIM> &state, int n_heads,
                                                     warp_results<DIM> &out)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float sum = state.sums[r] + __shfl_xor_sync(EVERY_LANE, state.sums[r], 1);
        sum += __shfl_xor_sync(EVERY_LANE, sum, 2);
        if (g + 8 * r >= n_heads)
            continue;
        if (t == 0) {
            out.largest[warp][g + 8 * r] = state.largest[r];
            out.sums[warp][g + 8 * r] = sum;
        }
#pragma unroll
        for (int i = 0; i < DIM / 4; i++) {
            int e = i / 2 / VALUE_DIMS, j = i / 2 % VALUE_DIMS;
            out.results[warp][g + 8 * r][VALUE_DIMS * (8 * e + 2 * t + i % 2) + j] =
                state.results[i / 2][2 * r + i % 2];
        }
    }
}

/* Dimension d (one a lane) of a head: value is the weighted sum, relative to largest. The sink joins here. */
static __device__ __forceinline__ void store_result(const ssw_cuda_attention_args &args,
                                                    const decode_unit &unit, int head, int d, float largest,
                                                    float sum, float value)
{
    if (args.sinks) {
        float sink = args.sinks[unit.first_head + head] * LOG2_E, most = fmaxf(largest, sink);
        float keep = exp2_fast(largest - most);
        value *= keep;
        sum = sum * keep + exp2_fast(sink - most);
    }
    value /= sum;
    int64_t at = ((int64_t)unit.part.first_row * args.n_heads + unit.first_head + head) * args.head_dim + d;
    if (args.out.f32 && d < args.head_dim)
        args.out.f32[at] = value;
    if (args.out.q)
        store_q8(args.out, 0, 0, (int)(at / SSW_CUDA_BLOCK), threadIdx.x % WARP, quantize_block(value));
}

struct split_scratch {
    float2 *sums;   /* [blocks][HEADS]: largest, sum */
    float *results; /* [blocks][HEADS][head_dim] */
};

static __device__ __forceinline__ split_scratch place_scratch(float *scratch)
{
    float2 *sums = (float2 *)scratch;
    return {sums, (float *)(sums + SPLIT_BLOCKS_MAX * HEADS)};
}

/* The warps' results: to out if the sequence is not split, else to scratch. */
template <int DIM>
static __device__ void merge_warps(const ssw_cuda_attention_args &args, const decode_unit &unit,
                                   const warp_results<DIM> &in)
{
    constexpr int WARPS = decode_shape<DIM>::WARPS;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_slices = (args.head_dim + WARP - 1) / WARP;
    split_scratch scratch = place_scratch(args.scratch);
    int64_t block = (int64_t)unit.number * gridDim.x + blockIdx.x;
    for (int i = warp; i < unit.n_heads * n_slices; i += WARPS) {
        int head = i / n_slices, d = i % n_slices * WARP + lane;
        float largest = -INFINITY, sum = 0, value = 0;
        for (int w = 0; w < WARPS; w++)
            largest = fmaxf(largest, in.largest[w][head]);
        for (int w = 0; w < WARPS; w++) {
            float keep = exp2_fast(in.largest[w][head] - largest);
            sum += in.sums[w][head] * keep;
            value += in.results[w][head][d] * keep;
        }
        if (unit.n_splits == 1) {
            store_result(args, unit, head, d, largest, sum, value);
            continue;
        }
        if (d == 0)
            scratch.sums[block * HEADS + head] = make_float2(largest, sum);
        if (d < args.head_dim)
            scratch.results[(block * HEADS + head) * args.head_dim + d] = value;
    }
}

/* By the last block of a unit: its splits' results, in order. */
static __device__ void merge_splits(const ssw_cuda_attention_args &args, const decode_unit &unit)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, n_slices = (args.head_dim + WARP - 1) / WARP;
    split_scratch scratch = place_scratch(args.scratch);
    int64_t first = (int64_t)unit.number * gridDim.x;
    for (int i = warp; i < unit.n_heads * n_slices; i += blockDim.x / WARP) {
        int head = i / n_slices, d = i % n_slices * WARP + lane;
        float2 mine = lane < unit.n_splits ? __ldcg(&scratch.sums[(first + lane) * HEADS + head])
                                           : make_float2(-INFINITY, 0);
        float largest = warp_max(mine.x), keep = exp2_fast(mine.x - largest), sum = warp_sum(mine.y * keep),
              value = 0;
        const float *results =
            scratch.results + (first * HEADS + head) * args.head_dim + min(d, args.head_dim - 1);
#pragma unroll 8
        for (int s = 0; s < unit.n_splits; s++)
            value += __shfl_sync(EVERY_LANE, keep, s) * __ldcg(results + (int64_t)s * HEADS * args.head_dim);
        store_result(args, unit, head, d, largest, sum, value);
    }
}

/* Grid: (splits, KV heads * tiles of 16 query heads, parts). */
template <class STEP>
static __global__ void __launch_bounds__(decode_shape<STEP::DIM>::THREADS)
    decode(const __grid_constant__ decode_job job)
{
    constexpr int DIM = STEP::DIM, AT_ONCE = STEP::AT_ONCE,
                  STRIDE = decode_shape<DIM>::WARPS * STEP_POSITIONS;
    __shared__ warp_results<DIM> shared;
    __shared__ bool is_last;
    const ssw_cuda_attention_args &args = job.args;
    decode_unit unit;
    let_next_start();
    bool has_work = find_unit(job, unit);
    wait_for_previous();
    if (!has_work)
        return;
    int64_t head =
        unit.part.sequence * args.kv.sequence_stride / args.head_dim + (int64_t)unit.kv_head * args.kv.n_rows;
    uint32_t q[DIM / 16][4];
    running<DIM> state = {{-INFINITY, -INFINITY}, {0, 0}, {}};
    load_queries<STEP>(args, unit, q);
    for (int start = unit.begin + (int)threadIdx.x / WARP * STEP_POSITIONS; start < unit.end;
         start += AT_ONCE * STRIDE) {
        STEP steps[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            steps[i].load(args, step_rows(args, head, start + i * STRIDE, unit.end));
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            uint32_t weights[4];
            if (start + i * STRIDE >= unit.end)
                break;
            weigh_step<STEP>(steps[i], start + i * STRIDE, unit.end, q, state, weights);
            if (STEP::VALUES_LATE)
                steps[i].values.load(args, step_rows(args, head, start + i * STRIDE, unit.end));
            add_values<STEP>(steps[i], weights, state);
        }
    }
    share_results<DIM, STEP::VALUE_DIMS>(state, unit.n_heads, shared);
    __syncthreads();
    merge_warps<DIM>(args, unit, shared);
    if (unit.n_splits == 1)
        return;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) /* counts up to n_splits - 1, then is 0 again */
        is_last = atomicInc(args.counters + unit.number, (unsigned)unit.n_splits - 1) ==
                  (unsigned)unit.n_splits - 1;
    __syncthreads();
    if (!is_last)
        return;
    __threadfence();
    merge_splits(args, unit);
}

template <int DIM, template <int> class KEYS, template <int> class VALUES>
static void launch(ssw_cuda_stream stream, dim3 grid, const decode_job &job)
{
    launch_dependent<decode<decode_step<DIM, KEYS<DIM>, VALUES<DIM>>>>(stream, grid,
                                                                       decode_shape<DIM>::THREADS, 0, job);
}

/* As in attention_prefill.cu: kinds that are mixed have fewer sizes. */
template <template <int> class KEYS, template <int> class VALUES, bool IS_MIXED = false>
static void launch_kinds(ssw_cuda_stream stream, dim3 grid, const decode_job &job)
{
    if (!IS_MIXED && job.args.head_dim <= 64)
        launch<IS_MIXED ? 128 : 64, KEYS, VALUES>(stream, grid, job);
    else if (job.args.head_dim <= 128)
        launch<128, KEYS, VALUES>(stream, grid, job);
    else
        launch<256, KEYS, VALUES>(stream, grid, job);
}

static void launch_decode(ssw_cuda_stream stream, const ssw_cuda_attention_args *args)
{
    decode_job job = {*args, (args->n_heads / args->n_kv_heads + HEADS - 1) / HEADS};
    int n_units = args->n_parts * args->n_kv_heads * job.n_head_tiles, length = args->max_length;
    if (args->window > 0 && args->window < length)
        length = args->window;
    int n_splits = (length + POSITIONS_MIN - 1) / POSITIONS_MIN;
    n_splits = n_splits < SPLITS_MAX ? n_splits : SPLITS_MAX;
    n_splits = n_splits * n_units <= SPLIT_BLOCKS_MAX ? n_splits : SPLIT_BLOCKS_MAX / n_units;
    dim3 grid((unsigned)(n_splits > 1 ? n_splits : 1), (unsigned)(args->n_kv_heads * job.n_head_tiles),
              (unsigned)args->n_parts);
    if (args->kv.k_scales && args->kv.v_scales)
        launch_kinds<q8_keys, q8_values>(stream, grid, job);
    else if (args->kv.k_scales)
        launch_kinds<q8_keys, f16_values, true>(stream, grid, job);
    else if (args->kv.v_scales)
        launch_kinds<f16_keys, q8_values, true>(stream, grid, job);
    else
        launch_kinds<f16_keys, f16_values>(stream, grid, job);
}

uint64_t ssw_cuda_attention_scratch_floats(int32_t n_rows, int32_t n_heads, int32_t head_dim,
                                           int32_t max_length)
{
    (void)n_rows, (void)n_heads, (void)max_length; /* splits are fewer where there are more rows */
    return (uint64_t)SPLIT_BLOCKS_MAX * HEADS * (uint64_t)(head_dim + 2);
}

void ssw_cuda_attention(ssw_cuda_stream stream, const ssw_cuda_attention_args *args)
{
    bool any_single = !args->parts_host;
    assert(args->head_dim % 16 == 0 && args->head_dim <= SSW_CUDA_HEAD_DIM_MAX);
    assert(args->n_heads % args->n_kv_heads == 0 && args->kv.n_rows >= SSW_CUDA_KV_ROWS_MIN);
    assert((!args->out.q && !args->kv.k_scales && !args->kv.v_scales) ||
           args->head_dim % SSW_CUDA_BLOCK == 0);
    for (int i = 0; args->parts_host && i < args->n_parts; i++)
        any_single = any_single || args->parts_host[i].n_rows == 1;
    if (any_single)
        launch_decode(stream, args);
    if (args->parts_host)
        ssw_cuda_attend_prefill(stream, args);
}
