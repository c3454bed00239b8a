/* Attention of parts with several rows, in the manner of FlashAttention (arXiv:2205.14135): a running softmax
 * over tiles of keys and values, nothing of the scores in memory.
 *
 * The unit of work is 64 queries of one KV head: query i of a part is token i / group, head i % group, so
 * that all heads of a group share the tiles. A warp has 16 queries, their scores, weights and results in
 * registers; keys and values come to shared memory in tiles by cp.async, the next keys during the second
 * product, the values during the first. Those of a Q8_0 cache come through registers, the same distance
 * ahead, and lie in shared memory as F16. Queries (times scale), keys, values and weights are F16, sums are
 * float: an error of about 2^-11 of the largest score times its weight, and 2^-11 of the values. */
#include <assert.h>
#include <math.h>

#include "cuda/async_copy.cuh"
#include "cuda/attention_parts.cuh"
#include "cuda/attention_q8.cuh"

enum { QUERIES = 64, WARPS = 4, THREADS = WARPS * WARP };

/* DIM: head_dim, rounded up to a size that has a kernel; the rest is zeros. */
template <int DIM> struct prefill_shape {
    static constexpr int TILE = DIM <= 128 ? 64 : 32; /* positions */
    static constexpr int ROW_BYTES =
        DIM * 2 + 16; /* an odd number of 16 bytes: ldmatrix meets no bank twice */
    static constexpr int TILE_BYTES = TILE * ROW_BYTES;
};

/* Where a thread block is. */
struct prefill_unit {
    ssw_cuda_part part;
    int first_query, n_queries; /* of the part; n_queries: all of them */
    int group, kv_head;
    int first, last,
        oldest; /* positions: of the first and the last query, and the first one that any of them sees */
};

static __device__ bool find_unit(const ssw_cuda_attention_args &args, prefill_unit &out)
{
    int index = gridDim.x - 1 - blockIdx.x; /* the last queries first: they see the most */
    out.group = args.n_heads / args.n_kv_heads;
    out.kv_head = blockIdx.y;
    for (int i = 0; i < args.n_parts; i++) {
        ssw_cuda_part part = args.parts[i];
        int n_queries = part.n_rows > 1 ? part.n_rows * out.group : 0,
            n_units = (n_queries + QUERIES - 1) / QUERIES;
        if (index < n_units) {
            out.part = part;
            out.first_query = index * QUERIES;
            out.n_queries = n_queries;
            out.first = part.position + out.first_query / out.group;
            out.last = part.position + (min(out.first_query + QUERIES, n_queries) - 1) / out.group;
            out.oldest = args.window > 0 ? max(out.first - args.window + 1, 0) : 0;
            return true;
        }
        index -= n_units;
    }
    return false;
}

/* This lane's two queries: rows g and g + 8 of the warp's 16. */
struct lane_query {
    int64_t row; /* of q and out, -1: none */
    int head;
    int position; /* -1: none, sees nothing */
};

static __device__ __forceinline__ lane_query find_query(const prefill_unit &unit, int i)
{
    int query = unit.first_query + i;
    if (query >= unit.n_queries)
        return {-1, unit.kv_head * unit.group, -1};
    int token = query / unit.group;
    return {unit.part.first_row + token, unit.kv_head * unit.group + query % unit.group,
            unit.part.position + token};
}

template <int DIM>
static __device__ __forceinline__ void load_queries(const ssw_cuda_attention_args &args,
                                                    const lane_query (&queries)[2],
                                                    uint32_t (&fragments)[DIM / 16][4])
{
    int t = threadIdx.x % 4;
    float scale = args.scale * LOG2_E;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float *q =
            args.q + (max(queries[r].row, (int64_t)0) * args.n_heads + queries[r].head) * args.head_dim;
#pragma unroll
        for (int s = 0; s < DIM / 16; s++) {
            bool is_there = s * 16 < args.head_dim && queries[r].row >= 0;
            float2 low = is_there ? *(const float2 *)(q + s * 16 + 2 * t) : make_float2(0, 0);
            float2 high = is_there ? *(const float2 *)(q + s * 16 + 8 + 2 * t) : make_float2(0, 0);
            fragments[s][r] = pack_f16(low.x * scale, low.y * scale);
            fragments[s][2 + r] = pack_f16(high.x * scale, high.y * scale);
        }
    }
}

/* scores[16 queries][TILE positions] = q . k */
template <int DIM>
static __device__ __forceinline__ void score_tile(const uint32_t (&q)[DIM / 16][4], uint32_t keys,
                                                  float (&scores)[prefill_shape<DIM>::TILE / 8][4])
{
    typedef prefill_shape<DIM> shape;
    int lane = threadIdx.x % WARP;
    uint32_t at = keys + (lane % 8 + lane / 16 * 8) * shape::ROW_BYTES + lane / 8 % 2 * 16;
#pragma unroll
    for (int j = 0; j < shape::TILE / 8; j += 2) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            scores[j][i] = scores[j + 1][i] = 0;
#pragma unroll
        for (int s = 0; s < DIM / 16; s++) {
            uint32_t words[4];
            load_matrices(at + j * 8 * shape::ROW_BYTES + s * 32, words);
            mma_f16(q[s], words[0], words[1], scores[j]);
            mma_f16(q[s], words[2], words[3], scores[j + 1]);
        }
    }
}

/* Scores that a query does not see become -inf. */
template <int COUNT>
static __device__ __forceinline__ void mask_tile(const ssw_cuda_attention_args &args,
                                                 const lane_query (&queries)[2], int start,
                                                 float (&scores)[COUNT][4])
{
    int t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < COUNT * 4; i++) {
        int position = start + i / 4 * 8 + 2 * t + i % 2, own = queries[i % 4 / 2].position;
        if (position > own || (args.window > 0 && position <= own - args.window))
            scores[i / 4][i % 4] = -INFINITY;
    }
}

/* Scores become weights relative to the new largest score; sums and results follow. */
template <int DIM>
static __device__ __forceinline__ void weigh_tile(float (&scores)[prefill_shape<DIM>::TILE / 8][4],
                                                  float (&largest)[2], float (&sums)[2],
                                                  float (&results)[DIM / 8][4])
{
    constexpr int COUNT = prefill_shape<DIM>::TILE / 8;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float most = largest[r];
#pragma unroll
        for (int j = 0; j < COUNT; j++)
            most = fmaxf(most, fmaxf(scores[j][2 * r], scores[j][2 * r + 1]));
        most = fmaxf(most, __shfl_xor_sync(EVERY_LANE, most, 1));
        most = fmaxf(most, __shfl_xor_sync(EVERY_LANE, most, 2));
        float base = most == -INFINITY ? 0 : most, keep = exp2_fast(largest[r] - base);
        largest[r] = most;
        sums[r] *= keep;
#pragma unroll
        for (int j = 0; j < COUNT * 2; j++) {
            float &score = scores[j / 2][2 * r + j % 2];
            score = exp2_fast(score - base);
            sums[r] += score;
        }
#pragma unroll
        for (int j = 0; j < DIM / 8 * 2; j++)
            results[j / 2][2 * r + j % 2] *= keep;
    }
}

/* results += weights v */
template <int DIM>
static __device__ __forceinline__ void add_values(const float (&weights)[prefill_shape<DIM>::TILE / 8][4],
                                                  uint32_t values, float (&results)[DIM / 8][4])
{
    typedef prefill_shape<DIM> shape;
    int lane = threadIdx.x % WARP;
    uint32_t at = values + (lane % 8 + lane / 8 % 2 * 8) * shape::ROW_BYTES + lane / 16 * 16;
#pragma unroll
    for (int s = 0; s < shape::TILE / 16; s++) {
        uint32_t a[4] = {pack_f16(weights[2 * s][0], weights[2 * s][1]),
                         pack_f16(weights[2 * s][2], weights[2 * s][3]),
                         pack_f16(weights[2 * s + 1][0], weights[2 * s + 1][1]),
                         pack_f16(weights[2 * s + 1][2], weights[2 * s + 1][3])};
#pragma unroll
        for (int j = 0; j < DIM / 8; j += 2) {
            uint32_t words[4];
            load_matrices_transposed(at + s * 16 * shape::ROW_BYTES + j * 16, words);
            mma_f16(a, words[0], words[1], results[j]);
            mma_f16(a, words[2], words[3], results[j + 1]);
        }
    }
}

/* Row r of the lane (four lanes share it) as blocks of 32 in 8 bits. */
template <int DIM>
static __device__ __forceinline__ void store_row_q8(const ssw_cuda_attention_args &args,
                                                    const lane_query &query, int r,
                                                    const float (&results)[DIM / 8][4])
{
    int t = threadIdx.x % 4;
#pragma unroll
    for (int b = 0; b < DIM / 32; b++) {
        if (b * 32 >= args.head_dim)
            break;
        float largest = 0;
#pragma unroll
        for (int i = 0; i < 8; i++)
            largest = fmaxf(largest, fabsf(results[b * 4 + i / 2][2 * r + i % 2]));
        largest = fmaxf(largest, __shfl_xor_sync(EVERY_LANE, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(EVERY_LANE, largest, 2));
        bool tiny = largest < Q8_LARGEST_MIN;
        float inverse = tiny ? 0 : 127.0f / largest, scale = tiny ? 0 : largest / 127.0f;
        int64_t at = (max(query.row, (int64_t)0) * args.n_heads + query.head) * (args.head_dim / 32) + b;
        int sum = 0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int first = __float2int_rn(results[b * 4 + j][2 * r] * inverse);
            int second = __float2int_rn(results[b * 4 + j][2 * r + 1] * inverse);
            sum += first + second;
            if (query.row >= 0)
                *(char2 *)(args.out.q + at * 32 + j * 8 + 2 * t) =
                    make_char2((signed char)first, (signed char)second);
        }
        sum += __shfl_xor_sync(EVERY_LANE, sum, 1);
        sum += __shfl_xor_sync(EVERY_LANE, sum, 2);
        if (t == 0 && query.row >= 0)
            ((float2 *)args.out.q_scales)[at] = make_float2(scale, scale * (float)sum);
    }
}

template <int DIM>
static __device__ __forceinline__ void store_results(const ssw_cuda_attention_args &args,
                                                     const lane_query (&queries)[2], const float (&sums)[2],
                                                     float (&results)[DIM / 8][4])
{
    int t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float sum = sums[r] + __shfl_xor_sync(EVERY_LANE, sums[r], 1);
        sum += __shfl_xor_sync(EVERY_LANE, sum, 2);
        float inverse = sum > 0 ? 1 / sum : 0;
#pragma unroll
        for (int j = 0; j < DIM / 8; j++) {
            results[j][2 * r] *= inverse;
            results[j][2 * r + 1] *= inverse;
            if (args.out.f32 && queries[r].row >= 0 && j * 8 < args.head_dim) {
                float *out = args.out.f32 + (queries[r].row * args.n_heads + queries[r].head) * args.head_dim;
                *(float2 *)(out + j * 8 + 2 * t) = make_float2(results[j][2 * r], results[j][2 * r + 1]);
            }
        }
        if (args.out.q)
            store_row_q8<DIM>(args, queries[r], r, results);
    }
}

/* A tile of keys or of values on its way to shared memory, from an F16 cache or from a Q8_0 one. `begin`
 * takes positions [start, start + TILE), `finish` ends where they are about to be in shared memory; the tile
 * of the other kind may be under way meanwhile. from: [n_rows][head_dim] of this head. */
template <int DIM> struct f16_tile {
    static constexpr bool FILLS_AT_BEGIN = true; /* shared memory; else at finish */
    const uint16_t *from;

    __device__ __forceinline__ f16_tile(const void *cache, const uint16_t *, int64_t head)
        : from((const uint16_t *)cache + head)
    {
    }

    __device__ __forceinline__ void begin(const ssw_cuda_attention_args &args, const prefill_unit &unit,
                                          int start, uint32_t to)
    {
        typedef prefill_shape<DIM> shape;
        constexpr int UNITS = DIM / 8;
        int first_row = start % args.kv.n_rows;
#pragma unroll 4
        for (int i = threadIdx.x; i < shape::TILE * UNITS; i += THREADS) {
            int row = i / UNITS, d = i % UNITS * 8, position = start + row;
            bool is_there = position >= unit.oldest && position <= unit.last && d < args.head_dim;
            int64_t at = is_there ? (int64_t)wrap_row(first_row, row, args.kv.n_rows) * args.head_dim + d : 0;
            copy_16_async(to + (uint32_t)row * shape::ROW_BYTES + d * 2, from + at, is_there);
        }
        commit_copies();
    }

    __device__ __forceinline__ void finish(const ssw_cuda_attention_args &, const prefill_unit &, int,
                                           uint32_t)
    {
        wait_for_copies<1>();
    }
};

template <int DIM> struct q8_tile {
    static constexpr bool FILLS_AT_BEGIN = false;
    static constexpr bool IS_AHEAD = DIM <= 128; /* else there are no registers for it */
    static constexpr int UNIT = 16;              /* dimensions */
    static constexpr int UNITS = DIM / UNIT, COUNT = prefill_shape<DIM>::TILE * UNITS / THREADS;
    const uint8_t *from;
    const uint16_t *from_scales;
    uint4 q[COUNT];
    uint16_t scales[COUNT];

    __device__ __forceinline__ q8_tile(const void *cache, const uint16_t *cache_scales, int64_t head)
        : from((const uint8_t *)cache + head), from_scales(cache_scales + head / SSW_CUDA_BLOCK)
    {
    }

    __device__ __forceinline__ void load(const ssw_cuda_attention_args &args, const prefill_unit &unit,
                                         int start)
    {
        int first_row = start % args.kv.n_rows;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int index = threadIdx.x + i * THREADS, position = start + index / UNITS;
            int d = index % UNITS * UNIT;
            bool is_there = position >= unit.oldest && position <= unit.last && d < args.head_dim;
            int64_t at = (int64_t)wrap_row(first_row, index / UNITS, args.kv.n_rows) * args.head_dim + d;
            q[i] = is_there ? *(const uint4 *)(from + at) : make_uint4(0, 0, 0, 0);
            scales[i] = is_there ? from_scales[at / SSW_CUDA_BLOCK] : 0;
        }
    }

    __device__ __forceinline__ void begin(const ssw_cuda_attention_args &args, const prefill_unit &unit,
                                          int start, uint32_t)
    {
        if (IS_AHEAD)
            load(args, unit, start);
        commit_copies(); /* of nothing, so that an F16 tile of the other kind counts alike */
    }

    __device__ __forceinline__ void finish(const ssw_cuda_attention_args &args, const prefill_unit &unit,
                                           int start, uint32_t to)
    {
        if (!IS_AHEAD)
            load(args, unit, start);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int index = threadIdx.x + i * THREADS;
            uint32_t at = to + (uint32_t)(index / UNITS) * prefill_shape<DIM>::ROW_BYTES +
                          (uint32_t)(index % UNITS) * UNIT * 2;
            __half2 scale = scale_pair(scales[i], scales[i]);
            store_eight(at, q[i].x, q[i].y, scale);
            store_eight(at + 16, q[i].z, q[i].w, scale);
        }
    }

    static __device__ __forceinline__ void store_eight(uint32_t to, uint32_t first, uint32_t second,
                                                       __half2 scale)
    {
        asm volatile(
            "st.shared.v4.b32 [%0], {%1,%2,%3,%4};" ::"r"(to),
            "r"(dequantize_two(first, Q8_FIRST_TWO, scale)), "r"(dequantize_two(first, Q8_LAST_TWO, scale)),
            "r"(dequantize_two(second, Q8_FIRST_TWO, scale)), "r"(dequantize_two(second, Q8_LAST_TWO, scale))
            : "memory");
    }
};

/* Grid: (units of all parts, KV heads). KEYS, VALUES: kinds of tiles. */
template <int DIM, class KEYS, class VALUES>
static __global__ void __launch_bounds__(THREADS)
    prefill(const __grid_constant__ ssw_cuda_attention_args args)
{
    typedef prefill_shape<DIM> shape;
    __shared__ __align__(128) uint8_t shared[2 * shape::TILE_BYTES];
    const uint32_t keys_at = shared_address(shared), values_at = keys_at + shape::TILE_BYTES;
    prefill_unit unit;
    if (!find_unit(args, unit))
        return;
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const lane_query queries[2] = {find_query(unit, warp * 16 + lane / 4),
                                   find_query(unit, warp * 16 + lane / 4 + 8)};
    int64_t head =
        unit.part.sequence * args.kv.sequence_stride + (int64_t)unit.kv_head * args.kv.n_rows * args.head_dim;
    KEYS keys(args.kv.k, args.kv.k_scales, head);
    VALUES values(args.kv.v, args.kv.v_scales, head);
    uint32_t q[DIM / 16][4];
    float results[DIM / 8][4] = {}, sums[2], largest[2];
    for (int r = 0; r < 2; r++) {
        largest[r] = args.sinks ? args.sinks[queries[r].head] * LOG2_E : -INFINITY;
        sums[r] =
            args.sinks && lane % 4 == 0 ? 1 : 0; /* exp(sink - largest), once for the row's four lanes */
    }
    int start = unit.oldest / shape::TILE * shape::TILE;
    keys.begin(args, unit, start, keys_at);
    load_queries<DIM>(args, queries, q);
    for (; start <= unit.last; start += shape::TILE) {
        float scores[shape::TILE / 8][4];
        values.begin(args, unit, start, values_at);
        keys.finish(args, unit, start, keys_at);
        __syncthreads();
        score_tile<DIM>(q, keys_at, scores);
        if (KEYS::FILLS_AT_BEGIN)
            __syncthreads();
        keys.begin(args, unit, start + shape::TILE, keys_at);
        if (start + shape::TILE - 1 > unit.first || (args.window > 0 && start <= unit.last - args.window))
            mask_tile(args, queries, start, scores);
        weigh_tile<DIM>(scores, largest, sums, results);
        values.finish(args, unit, start, values_at);
        __syncthreads();
        add_values<DIM>(scores, values_at, results);
        if (VALUES::FILLS_AT_BEGIN)
            __syncthreads();
    }
    wait_for_copies<0>();
    store_results<DIM>(args, queries, sums, results);
}

template <int DIM, template <int> class KEYS, template <int> class VALUES>
static void launch(ssw_cuda_stream stream, dim3 grid, const ssw_cuda_attention_args &args)
{
    prefill<DIM, KEYS<DIM>, VALUES<DIM>><<<grid, THREADS, 0, stream>>>(args);
}

/* Keys and values of one kind; of two kinds, which are rare, in fewer sizes: kernels take long to compile. */
template <template <int> class KIND>
static void launch_alike(ssw_cuda_stream stream, dim3 grid, const ssw_cuda_attention_args &args)
{
    if (args.head_dim <= 64)
        launch<64, KIND, KIND>(stream, grid, args);
    else if (args.head_dim <= 96)
        launch<96, KIND, KIND>(stream, grid, args);
    else if (args.head_dim <= 128)
        launch<128, KIND, KIND>(stream, grid, args);
    else
        launch<256, KIND, KIND>(stream, grid, args);
}

template <template <int> class KEYS, template <int> class VALUES>
static void launch_mixed(ssw_cuda_stream stream, dim3 grid, const ssw_cuda_attention_args &args)
{
    if (args.head_dim <= 128)
        launch<128, KEYS, VALUES>(stream, grid, args);
    else
        launch<256, KEYS, VALUES>(stream, grid, args);
}

void ssw_cuda_attend_prefill(ssw_cuda_stream stream, const ssw_cuda_attention_args *args)
{
    int group = args->n_heads / args->n_kv_heads;
    unsigned n_units = 0;
    for (int i = 0; i < args->n_parts; i++) {
        if (args->parts_host[i].n_rows > 1)
            n_units += (unsigned)((args->parts_host[i].n_rows * group + QUERIES - 1) / QUERIES);
    }
    dim3 grid(n_units, (unsigned)args->n_kv_heads);
    if (n_units == 0)
        return;
    if (args->kv.k_scales && args->kv.v_scales)
        launch_alike<q8_tile>(stream, grid, *args);
    else if (args->kv.k_scales)
        launch_mixed<q8_tile, f16_tile>(stream, grid, *args);
    else if (args->kv.v_scales)
        launch_mixed<f16_tile, q8_tile>(stream, grid, *args);
    else
        launch_alike<f16_tile>(stream, grid, *args);
}
