/* Times what decoding one token is made of, on the shapes of the models that seesaw is measured with: the
 * kernels of a layer, each for itself, all of them in a row, and the head. Every measurement replays a graph
 * in which the call stands once for each of the model's layers, with weights of its own, as the engine does;
 * so no weight is found in the cache, and launches overlap as they do there. Medians; GB/s are those of the
 * weights that were read. See README.md.
 *
 *     bench_gemv [TYPE]   Q4_0 or Q8_0: of all but experts and routers, as `seesaw synth --dense` */
#include <algorithm>
#include <functional>
#include <math.h>
#include <string.h>

#include "bench_operands.cuh"

enum { REPEATS = 30, CONTEXT = 128, EXPERTS_COPIED = 8 };

struct shape {
    const char *name;
    int n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_experts, n_used, n_ff, n_ff_shared, n_vocab;
    ssw_dtype expert_type, dense_type;
};

static const shape shapes[] = {
    {"gpt-oss-20b", 24, 2880, 64, 8, 64, 32, 4, 2880, 0, 201088, SSW_DTYPE_MXFP4, SSW_DTYPE_Q8_0},
    {"deepseek-moe-16b", 27, 2048, 16, 16, 128, 64, 6, 1408, 2816, 102400, SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_0},
    {"phi-3.5-moe", 32, 4096, 32, 8, 128, 16, 2, 6400, 0, 32064, SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_0}};

/* As llama-quantize chooses it. */
static ssw_dtype head_type(const shape &s)
{
    if (s.dense_type != SSW_DTYPE_Q4_0)
        return s.dense_type;
    return s.n_embd % 256 == 0 ? SSW_DTYPE_Q6_K : SSW_DTYPE_Q8_0;
}

/* The weights of one layer. Experts are few, and all of them are used: what is not chosen costs nothing. */
struct layer {
    ssw_cuda_matrix q, k, v, out, router;
    ssw_cuda_experts experts, shared;
};

struct model {
    memory m;
    shape s;
    cudaStream_t stream;
    std::vector<layer> layers;
    ssw_cuda_matrix head;
    ssw_cuda_norm_args norm;
    ssw_cuda_acts attended, hidden, shared_hidden;
    float *x, *q, *k, *v, *scratch, *router_scratch, *inv_freq, *weights, *logits;
    int32_t *chosen, *routed_to;
    uint32_t *counters;
    float *routed_weights;
    ssw_cuda_kv kv;
    ssw_cuda_row *row;
    ssw_cuda_part *part;
};

static layer make_layer(model &d)
{
    const shape &s = d.s;
    int64_t q = s.n_heads * s.head_dim, kv = s.n_kv_heads * s.head_dim;
    layer l = {};
    l.q = make_matrix(d.m, s.dense_type, q, s.n_embd, 1);
    l.k = make_matrix(d.m, s.dense_type, kv, s.n_embd, 1);
    l.v = make_matrix(d.m, s.dense_type, kv, s.n_embd, 1);
    l.out = make_matrix(d.m, s.dense_type, s.n_embd, q, 1);
    l.router = make_matrix(d.m, SSW_DTYPE_F32, s.n_experts, s.n_embd, 1);
    l.experts.gate = make_matrix(d.m, s.expert_type, s.n_ff, s.n_embd, EXPERTS_COPIED);
    l.experts.up = make_matrix(d.m, s.expert_type, s.n_ff, s.n_embd, EXPERTS_COPIED);
    l.experts.down = make_matrix(d.m, s.expert_type, s.n_embd, s.n_ff, EXPERTS_COPIED);
    if (s.n_ff_shared > 0) {
        l.shared.gate = make_matrix(d.m, s.dense_type, s.n_ff_shared, s.n_embd, 1);
        l.shared.up = make_matrix(d.m, s.dense_type, s.n_ff_shared, s.n_embd, 1);
        l.shared.down = make_matrix(d.m, s.dense_type, s.n_embd, s.n_ff_shared, 1);
    }
    return l;
}

static void open_model(model &d, const shape &s)
{
    int64_t q = s.n_heads * s.head_dim, kv = s.n_kv_heads * s.head_dim;
    d.s = s;
    check(cudaStreamCreateWithFlags(&d.stream, cudaStreamNonBlocking));
    for (int i = 0; i < s.n_layers; i++)
        d.layers.push_back(make_layer(d));
    d.head = make_matrix(d.m, head_type(s), s.n_vocab, s.n_embd, 1);
    d.x = (float *)d.m.get((uint64_t)s.n_embd * 4, 0x3b);
    d.norm = {};
    d.norm.x = d.x, d.norm.n = 1, d.norm.cols = s.n_embd, d.norm.eps = 1e-5f;
    d.norm.weight = (float *)d.m.get((uint64_t)s.n_embd * 4, 0x3b);
    d.norm.out = make_acts(d.m, 1, s.n_embd);
    d.attended = make_acts(d.m, 1, q);
    d.hidden = make_acts(d.m, s.n_used, s.n_ff);
    d.shared_hidden = make_acts(d.m, 1, s.n_ff_shared > 0 ? s.n_ff_shared : 32);
    d.q = (float *)d.m.get((uint64_t)q * 4, 0x3b);
    d.k = (float *)d.m.get((uint64_t)kv * 4, 0x3b);
    d.v = (float *)d.m.get((uint64_t)kv * 4, 0x3b);
    d.scratch = (float *)d.m.get(ssw_cuda_attention_scratch_floats(1, s.n_heads, s.head_dim, CONTEXT) * 4, 0);
    d.counters = (uint32_t *)d.m.get(SSW_CUDA_ATTENTION_COUNTERS * 4, 0);
    d.router_scratch = (float *)d.m.get(ssw_cuda_router_scratch_floats(s.n_experts) * 4, 0);
    d.inv_freq = (float *)d.m.get(256 * 4, 0x3b);
    d.logits = (float *)d.m.get((uint64_t)s.n_vocab * 4, 0);
    std::vector<int32_t> chosen;
    for (int i = 0; i < s.n_used; i++)
        chosen.push_back(i);
    d.chosen = d.m.put(chosen);
    d.routed_to = (int32_t *)d.m.get(64, 0);
    d.routed_weights = (float *)d.m.get(64, 0);
    d.weights = (float *)d.m.get(64, 0x3b);
    d.kv = {(uint16_t *)d.m.get((uint64_t)kv * CONTEXT * 2, 0x3b),
            (uint16_t *)d.m.get((uint64_t)kv * CONTEXT * 2, 0x3b), kv * CONTEXT, CONTEXT};
    d.row = d.m.put(std::vector<ssw_cuda_row>{{0, 0, CONTEXT - 1}});
    d.part = d.m.put(std::vector<ssw_cuda_part>{{0, 1, 0, CONTEXT - 1}});
}

/* ---- the calls of a layer, as gpu_layers.c makes them ---- */

static ssw_cuda_product_args product(const ssw_cuda_matrix &w, const ssw_cuda_acts &x, float *out,
                                     bool accumulate)
{
    ssw_cuda_product_args args = {};
    args.w = w, args.x = x, args.n = 1, args.out = out, args.out_stride = w.rows,
    args.accumulate = accumulate;
    return args;
}

static void run_qkv(const model &d, const layer &l)
{
    ssw_cuda_product_args args[3] = {product(l.q, d.norm.out, d.q, false),
                                     product(l.k, d.norm.out, d.k, false),
                                     product(l.v, d.norm.out, d.v, false)};
    ssw_cuda_norm_gemv(d.stream, &d.norm, args, 3);
}

static void run_rope(const model &d, const layer &)
{
    ssw_cuda_rope_args args = {};
    args.rows = d.row, args.n = 1, args.n_heads = d.s.n_heads, args.n_kv_heads = d.s.n_kv_heads;
    args.head_dim = d.s.head_dim, args.inv_freq = d.inv_freq, args.n_pairs = d.s.head_dim / 2,
    args.magnitude = 1;
    args.q = d.q, args.k = d.k, args.v = d.v, args.kv = d.kv;
    ssw_cuda_rope_store(d.stream, &args);
}

static void run_attention(const model &d, const layer &)
{
    ssw_cuda_attention_args args = {};
    args.kv = d.kv, args.parts = d.part, args.n_parts = 1, args.n_rows = 1, args.max_length = 512;
    args.n_heads = d.s.n_heads, args.n_kv_heads = d.s.n_kv_heads, args.head_dim = d.s.head_dim;
    args.scale = 0.125f, args.q = d.q, args.out = d.attended, args.scratch = d.scratch;
    args.counters = d.counters;
    ssw_cuda_attention(d.stream, &args);
}

static void run_out(const model &d, const layer &l)
{
    ssw_cuda_product_args args = product(l.out, d.attended, d.x, true);
    ssw_cuda_product(d.stream, &args);
}

static void run_router(const model &d, const layer &l)
{
    ssw_cuda_router_args args = {};
    args.norm = d.norm, args.w = l.router, args.scratch = d.router_scratch;
    args.route.n = 1, args.route.n_experts = d.s.n_experts, args.route.n_used = d.s.n_used,
    args.route.scale = 1;
    args.route.chosen = d.routed_to, args.route.weights = d.routed_weights;
    ssw_cuda_router(d.stream, &args);
}

static void run_experts(const model &d, const layer &l)
{
    ssw_cuda_moe_args args = {};
    args.experts = &l.experts, args.x = d.norm.out, args.n = 1, args.n_used = d.s.n_used;
    args.shared = d.s.n_ff_shared > 0 ? &l.shared : nullptr, args.shared_hidden = d.shared_hidden;
    args.chosen = d.chosen, args.weights = d.weights, args.hidden = d.hidden, args.out = d.x;
    ssw_cuda_moe(d.stream, &args);
}

static void run_layer(const model &d, const layer &l)
{
    run_qkv(d, l);
    run_rope(d, l);
    run_attention(d, l);
    run_out(d, l);
    run_router(d, l);
    run_experts(d, l);
}

static void run_head(const model &d)
{
    ssw_cuda_product_args args = product(d.head, d.norm.out, d.logits, false);
    ssw_cuda_norm(d.stream, &d.norm);
    ssw_cuda_product(d.stream, &args);
}

/* ---- measuring ---- */

/* Median microseconds of a graph of what enqueue enqueues. */
static double time_graph_us(cudaStream_t stream, const std::function<void()> &enqueue)
{
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t begin, end;
    std::vector<float> times;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    enqueue();
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&exec, graph, 0));
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    for (int r = 0; r < REPEATS + 2; r++) {
        float ms = 0;
        check(cudaEventRecord(begin, stream));
        check(cudaGraphLaunch(exec, stream));
        check(cudaEventRecord(end, stream));
        check(cudaEventSynchronize(end));
        check(cudaEventElapsedTime(&ms, begin, end));
        if (r >= 2)
            times.push_back(ms);
    }
    check(cudaEventDestroy(begin));
    check(cudaEventDestroy(end));
    check(cudaGraphExecDestroy(exec));
    check(cudaGraphDestroy(graph));
    std::sort(times.begin(), times.end());
    return (double)times[times.size() / 2] * 1000;
}

static double matrix_mb(const ssw_cuda_matrix &w)
{
    return (double)w.matrix_bytes / 1e6;
}

static void bench_model(const shape &s)
{
    model d;
    open_model(d, s);
    const layer &l = d.layers[0];
    double qkv = matrix_mb(l.q) + matrix_mb(l.k) + matrix_mb(l.v), out = matrix_mb(l.out);
    double experts =
        s.n_used * (matrix_mb(l.experts.gate) + matrix_mb(l.experts.up) + matrix_mb(l.experts.down)) +
        matrix_mb(l.shared.gate) + matrix_mb(l.shared.up) + matrix_mb(l.shared.down);
    double router = matrix_mb(l.router);
    printf("%s: experts %s, router F32, head %s, the rest %s\n", s.name, type_of(s.expert_type).name,
           type_of(head_type(s)).name, type_of(s.dense_type).name);
    struct {
        const char *name;
        void (*run)(const model &, const layer &);
        double mb;
    } const parts[] = {{"norm, query, key, value", run_qkv, qkv},
                       {"rotation, store", run_rope, 0},
                       {"attention of 128", run_attention, 0},
                       {"output projection", run_out, out},
                       {"norm, router, choice", run_router, router},
                       {"experts", run_experts, experts},
                       {"the layer", run_layer, qkv + out + router + experts}};
    for (const auto &part : parts) {
        double us = time_graph_us(d.stream,
                                  [&] {
                                      for (const layer &one : d.layers)
                                          part.run(d, one);
                                  }) /
                    s.n_layers;
        printf("%-18s %-26s %8.2f us %7.1f MB %8.1f GB/s\n", s.name, part.name, us, part.mb,
               part.mb / us * 1e3);
    }
    double us = time_graph_us(d.stream, [&] { run_head(d); });
    printf("%-18s %-26s %8.2f us %7.1f MB %8.1f GB/s\n", s.name, "norm, head", us, matrix_mb(d.head),
           matrix_mb(d.head) / us * 1e3);
    check(cudaStreamDestroy(d.stream));
}

static ssw_dtype find_dense_type(const char *name)
{
    for (ssw_dtype dtype : {SSW_DTYPE_Q4_0, SSW_DTYPE_Q8_0})
        if (strcmp(type_of(dtype).name, name) == 0)
            return dtype;
    fprintf(stderr, "bench_gemv: Q4_0 or Q8_0, not %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, 0));
    printf("%s\n", properties.name);
    for (shape s : shapes) {
        if (argc > 1)
            s.dense_type = find_dense_type(argv[1]);
        bench_model(s);
    }
    return 0;
}
