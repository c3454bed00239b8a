/* Times the GPU kernels for many tokens, and decoding attention, on the shapes of the models that seesaw is
 * measured with: medians of CUDA events, weights rotating through more memory than the cache holds. See
 * README.md. */
#include <algorithm>
#include <functional>
#include <math.h>
#include <string.h>

#include "bench_operands.cuh"

enum { REPEATS = 25, PER_EVENT = 4 };
static const uint64_t ROTATE_BYTES = 256ull << 20;

/* Median microseconds of one call; run(i) is the i-th. */
static double time_us(const std::function<void(int)> &run)
{
    cudaEvent_t begin, end;
    std::vector<float> times;
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    for (int r = 0, call = 0; r < REPEATS + 2; r++) {
        check(cudaEventRecord(begin));
        for (int i = 0; i < PER_EVENT; i++)
            run(call++);
        check(cudaEventRecord(end));
        check(cudaEventSynchronize(end));
        float ms = 0;
        check(cudaEventElapsedTime(&ms, begin, end));
        if (r >= 2)
            times.push_back(ms);
    }
    check(cudaGetLastError());
    check(cudaEventDestroy(begin));
    check(cudaEventDestroy(end));
    std::sort(times.begin(), times.end());
    return (double)times[times.size() / 2] * 1000 / PER_EVENT;
}

static void bench_product(ssw_dtype dtype, int64_t rows, int64_t cols, int n)
{
    memory m;
    ssw_cuda_product_args args = {};
    args.w = make_matrix(m, dtype, rows, cols, 1);
    int n_matrices = (int)(ROTATE_BYTES / args.w.matrix_bytes) + 1;
    args.w = make_matrix(m, dtype, rows, cols, n_matrices);
    args.x = make_acts(m, n, cols);
    args.n = n;
    args.out = (float *)m.get((uint64_t)(n * rows) * 4, 0);
    args.out_stride = rows;
    double us = time_us([&](int i) {
        args.index = i % n_matrices;
        ssw_cuda_gemm(nullptr, &args);
    });
    printf("product   %-5s %5lld x %4lld  n %4d: %8.1f us  %6.0f GB/s of weights  %6.1f TOPS\n",
           type_of(dtype).name, (long long)rows, (long long)cols, n, us,
           (double)args.w.matrix_bytes / us / 1e3, 2.0 * (double)(rows * cols * n) / us / 1e6);
}

/* Pairs spread evenly at random, as a router without favourites does. */
static ssw_cuda_pairs make_pairs(memory &m, int n, int n_used, int n_experts, int &n_chosen)
{
    std::vector<std::vector<int32_t>> of(n_experts);
    std::vector<int32_t> first, pair;
    uint32_t state = 1;
    for (int32_t p = 0; p < n * n_used; p++) {
        state = state * 1664525u + 1013904223u;
        of[(state >> 8) % (uint32_t)n_experts].push_back(p);
    }
    n_chosen = 0;
    for (const std::vector<int32_t> &one : of) {
        first.push_back((int32_t)pair.size());
        pair.insert(pair.end(), one.begin(), one.end());
        n_chosen += !one.empty();
    }
    first.push_back((int32_t)pair.size());
    return {m.put(first), m.put(pair), n * n_used, n_used, n_experts};
}

static void bench_experts(const char *model, ssw_dtype dtype, int64_t n_embd, int64_t n_ff, int n_experts,
                          int n_used, int n)
{
    memory m;
    int n_chosen;
    ssw_cuda_experts experts = {};
    experts.gate = make_matrix(m, dtype, n_ff, n_embd, n_experts);
    experts.up = make_matrix(m, dtype, n_ff, n_embd, n_experts);
    experts.down = make_matrix(m, dtype, n_embd, n_ff, n_experts);
    ssw_cuda_expert_gemm_args args = {};
    args.experts = &experts;
    args.pairs = make_pairs(m, n, n_used, n_experts, n_chosen);
    args.expert_end = n_experts;
    args.max_pairs_per_expert = n;
    args.x = make_acts(m, n, n_embd);
    args.hidden = make_acts(m, (int64_t)n * n_used, n_ff);
    if (dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16 || dtype == SSW_DTYPE_F32)
        args.hidden.q = nullptr;
    else
        args.hidden.f32 = nullptr;
    args.out = (float *)m.get((uint64_t)((int64_t)n * n_used * n_embd) * 4, 0);
    double up_us = time_us([&](int) { ssw_cuda_expert_gemm_up(nullptr, &args); });
    double down_us = time_us([&](int) { ssw_cuda_expert_gemm_down(nullptr, &args); });
    double down_ops = 2.0 * (double)((int64_t)n * n_used * n_embd * n_ff);
    printf("experts   %-5s %-12s n %4d: up %8.1f us %6.0f GB/s %6.1f TOPS  down %8.1f us %6.0f GB/s %6.1f "
           "TOPS\n",
           type_of(dtype).name, model, n, up_us,
           (double)experts.gate.matrix_bytes * 2 * n_chosen / up_us / 1e3, 2 * down_ops / up_us / 1e6,
           down_us, (double)experts.down.matrix_bytes * n_chosen / down_us / 1e3, down_ops / down_us / 1e6);
}

struct attention_shape {
    const char *model;
    int n_heads, n_kv_heads, head_dim;
    bool is_q8; /* the cache */
};

static void bench_attention(const attention_shape &shape, int window, int n, int position, int max_length)
{
    memory m;
    int n_heads = shape.n_heads, n_kv_heads = shape.n_kv_heads, head_dim = shape.head_dim;
    int n_rows = std::max({max_length, position + n, (int)SSW_CUDA_KV_ROWS_MIN}), n_layers;
    int64_t stride = (int64_t)n_kv_heads * n_rows * head_dim;
    n_layers =
        (int)std::min<uint64_t>(ROTATE_BYTES / ((uint64_t)stride * 4) + 1, 64); /* caches to rotate through */
    int64_t step = shape.is_q8 ? stride : stride * 2, scales_step = stride / SSW_CUDA_BLOCK;
    double value_bytes = shape.is_q8 ? 34.0 / SSW_CUDA_BLOCK : 2;
    uint8_t *k = (uint8_t *)m.get((uint64_t)(step * n_layers), 0x3b),
            *v = (uint8_t *)m.get((uint64_t)(step * n_layers), 0x3b);
    uint16_t *scales =
        shape.is_q8 ? (uint16_t *)m.get((uint64_t)(scales_step * 2 * n_layers) * 2, 0x11) : nullptr;
    std::vector<ssw_cuda_part> parts = {{0, n, 0, position}};
    ssw_cuda_attention_args args = {};
    args.parts = m.put(parts);
    args.parts_host = n > 1 ? parts.data() : nullptr;
    args.n_parts = 1, args.n_rows = n, args.max_length = max_length;
    args.n_heads = n_heads, args.n_kv_heads = n_kv_heads, args.head_dim = head_dim, args.window = window;
    args.scale = 1 / sqrtf((float)head_dim);
    args.q = (float *)m.get((uint64_t)((int64_t)n * n_heads * head_dim) * 4, 0x3b);
    args.out = make_acts(m, n, (int64_t)n_heads * head_dim);
    args.scratch = (float *)m.get(ssw_cuda_attention_scratch_floats(n, n_heads, head_dim, max_length) * 4, 0);
    args.counters = (uint32_t *)m.get(SSW_CUDA_ATTENTION_COUNTERS * 4, 0);
    double us = time_us([&](int i) {
        int64_t layer = i % n_layers;
        args.kv = {k + layer * step, v + layer * step, stride, n_rows};
        if (scales)
            args.kv.k_scales = scales + layer * 2 * scales_step,
            args.kv.v_scales = args.kv.k_scales + scales_step;
        ssw_cuda_attention(nullptr, &args);
    });
    double seen = 0;
    for (int i = 0; i < n; i++)
        seen += window > 0 ? std::min(position + i + 1, window) : position + i + 1;
    double read = window > 0 ? std::min(position + n, window + n) : position + n;
    printf("attention %-12s %s, window %3d, %4d tokens from %4d, up to %4d: %8.1f us  %6.0f GB/s  %6.1f "
           "TFLOPS\n",
           shape.model, shape.is_q8 ? "Q8_0" : " F16", window, n, position, max_length, us,
           read * n_kv_heads * head_dim * 2 * value_bytes / us / 1e3,
           4 * seen * n_heads * head_dim / us / 1e6);
}

static void bench_products(void)
{
    const int tokens[] = {27, 64, 512, 2048};
    for (int n : tokens) {
        bench_product(SSW_DTYPE_F32, 32, 2880, n); /* gpt-oss: router, query, key and value, output */
        bench_product(SSW_DTYPE_Q8_0, 5120, 2880, n);
        bench_product(SSW_DTYPE_Q8_0, 2880, 4096, n);
        bench_product(SSW_DTYPE_BF16, 5120, 2880, n);
        bench_product(SSW_DTYPE_Q4_0, 2048, 2048, n); /* DeepSeek: one projection */
        bench_product(SSW_DTYPE_Q4_0, 2816, 2048, n); /* its shared experts */
        bench_product(SSW_DTYPE_Q4_0, 6144, 4096, n); /* Phi: query, key and value */
        for (ssw_dtype dtype : {SSW_DTYPE_Q5_0, SSW_DTYPE_Q4_K, SSW_DTYPE_Q5_K, SSW_DTYPE_Q6_K})
            bench_product(dtype, 6144, 4096, n);
    }
    for (int n : tokens) {
        bench_experts("gpt-oss-20b", SSW_DTYPE_MXFP4, 2880, 2880, 32, 4, n);
        bench_experts("deepseek-16b", SSW_DTYPE_Q4_0, 2048, 1408, 64, 6, n);
        for (ssw_dtype dtype : {SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_K, SSW_DTYPE_Q6_K})
            bench_experts("phi-3.5-moe", dtype, 4096, 6400, 16, 2, n);
    }
    bench_experts("phi-3.5-moe", SSW_DTYPE_F16, 4096, 6400, 16, 2, 512);
}

static void bench_attentions(bool is_q8)
{
    const attention_shape gpt_oss = {"gpt-oss-20b", 64, 8, 64, is_q8},
                          phi = {"phi-3.5-moe", 32, 8, 128, is_q8},
                          deepseek = {"deepseek-16b", 16, 16, 128, is_q8};
    for (int window = 0; window <= 128; window += 128) {
        bench_attention(gpt_oss, window, 27, 0, 27);
        bench_attention(gpt_oss, window, 512, 0, 512);
        bench_attention(gpt_oss, window, 512, 3584, 4096);
        bench_attention(gpt_oss, window, 4096, 0, 4096);
    }
    bench_attention(deepseek, 0, 512, 0, 512);
    bench_attention(deepseek, 0, 4096, 0, 4096);
    bench_attention(phi, 0, 512, 0, 512);
    bench_attention(phi, 0, 4096, 0, 4096);
    const int lengths[] = {27, 128, 600, 2048, 8192};
    for (int length : lengths) {
        bench_attention(gpt_oss, 0, 1, length - 1, 8192); /* the launch of a graph for 8192 */
        bench_attention(deepseek, 0, 1, length - 1, 8192);
        bench_attention(phi, 0, 1, length - 1, 8192);
    }
    bench_attention(gpt_oss, 128, 1, 599, 8192);
}

int main(int argc, char **argv)
{
    bool only_attention = argc > 1 && strcmp(argv[1], "attention") == 0;
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, 0));
    printf("%s, medians of %d x %d calls\n", properties.name, (int)REPEATS, (int)PER_EVENT);
    if (!only_attention)
        bench_products();
    bench_attentions(false);
    bench_attentions(true);
    return 0;
}
