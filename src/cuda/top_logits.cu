/* The largest logits of a row: keys sorted in shared memory by chunks, then the chunks' best together. A key
 * has the logit in its upper half, in an order that integers keep, and the token's complement in its lower,
 * so that of equal logits the lower token comes first; keys differ, and so the result depends on no order. */
#include <assert.h>

#include "cuda/cuda_ops.h"
#include "cuda/dependent.cuh"

enum {
    KEYS = 4096, /* that a thread block sorts at once */
    THREADS = 1024,
    CHUNKS_MAX = KEYS / SSW_CUDA_TOP_LOGITS
};

static __device__ uint64_t key_of(float logit, int token)
{
    uint32_t bits = __float_as_uint(logit);
    if (!isfinite(logit))
        return 0;
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t)~token;
}

static __device__ ssw_cuda_top_logit logit_of(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    if (key == 0)
        return {-INFINITY, -1};
    return {__uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits), (int32_t) ~(uint32_t)key};
}

/* In falling order (Batcher's bitonic network). */
static __device__ void sort_keys(uint64_t *keys)
{
    for (int size = 2; size <= KEYS; size *= 2) {
        for (int distance = size / 2; distance > 0; distance /= 2) {
            __syncthreads();
            for (int i = threadIdx.x; i < KEYS / 2; i += THREADS) {
                int low = i / distance * 2 * distance + i % distance, high = low + distance;
                uint64_t a = keys[low], b = keys[high];
                bool falls = (low & size) == 0;
                if (falls ? a < b : a > b)
                    keys[low] = b, keys[high] = a;
            }
        }
    }
    __syncthreads();
}

/* Grid: chunks, rows. The best so far stay in front while the rest of the chunk passes by. */
static __global__ void __launch_bounds__(THREADS)
    sort_chunks(const __grid_constant__ ssw_cuda_top_args args, int chunk_logits)
{
    __shared__ uint64_t keys[KEYS];
    const float *logits = args.logits + (int64_t)blockIdx.y * args.n_vocab;
    int next = blockIdx.x * chunk_logits, end = min(next + chunk_logits, args.n_vocab);
    let_next_start();
    wait_for_previous();
    for (int kept = 0; next < end || kept == 0; kept = SSW_CUDA_TOP_LOGITS) {
        for (int i = kept + (int)threadIdx.x; i < KEYS; i += THREADS) {
            int token = next + i - kept;
            keys[i] = token < end ? key_of(logits[token], token) : 0;
        }
        next += KEYS - kept;
        sort_keys(keys);
    }
    uint64_t *out = args.scratch + ((int64_t)blockIdx.y * gridDim.x + blockIdx.x) * SSW_CUDA_TOP_LOGITS;
    if (threadIdx.x < SSW_CUDA_TOP_LOGITS)
        out[threadIdx.x] = keys[threadIdx.x];
}

/* Grid: rows. */
static __global__ void __launch_bounds__(THREADS)
    merge_chunks(const __grid_constant__ ssw_cuda_top_args args, int n_chunks)
{
    __shared__ uint64_t keys[KEYS];
    int n_keys = n_chunks * SSW_CUDA_TOP_LOGITS;
    const uint64_t *from = args.scratch + (int64_t)blockIdx.x * n_keys;
    let_next_start();
    wait_for_previous();
    for (int i = threadIdx.x; i < KEYS; i += THREADS)
        keys[i] = i < n_keys ? from[i] : 0;
    sort_keys(keys);
    if (threadIdx.x < SSW_CUDA_TOP_LOGITS)
        args.out[(int64_t)blockIdx.x * SSW_CUDA_TOP_LOGITS + threadIdx.x] = logit_of(keys[threadIdx.x]);
}

uint64_t ssw_cuda_top_scratch_words(int32_t n_rows)
{
    return (uint64_t)n_rows * KEYS;
}

void ssw_cuda_top(ssw_cuda_stream stream, const ssw_cuda_top_args *args)
{
    assert(args->n >= 1 && args->n_vocab >= 1);
    int chunk_logits = (args->n_vocab + CHUNKS_MAX - 1) / CHUNKS_MAX;
    chunk_logits = chunk_logits > KEYS / 2 ? chunk_logits : KEYS / 2;
    int n_chunks = (args->n_vocab + chunk_logits - 1) / chunk_logits;
    dim3 grid((unsigned)n_chunks, (unsigned)args->n);
    launch_dependent<sort_chunks>(stream, grid, THREADS, 0, *args, chunk_logits);
    launch_dependent<merge_chunks>(stream, dim3((unsigned)args->n), THREADS, 0, *args, n_chunks);
}
