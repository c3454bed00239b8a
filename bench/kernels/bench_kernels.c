/* Speed of each CPU operation against this machine's measured read bandwidth. Not a test; see README.md.
 *
 *   bench_kernels [--isa NAME] [--threads N] [--only TEXT] [--ms N]
 *
 * Each figure is the best of many short repetitions, so that another process's turn on a shared machine costs
 * a sample and not the result. Weights rotate through more memory than the caches hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/read_bandwidth.h"
#include "cpu/ops.h"
#include "quant/quant.h"

enum {
    N_EMBD = 2880,
    N_FF = 2880,
    WIDTH_OF_256 = 2816, /* for types with blocks of 256, both ways */
    N_EXPERTS = 32,
    N_USED = 4,
    N_USED_MAX = 6,
    TOKENS_MAX = 512,
    HEADS = 64,
    KV_HEADS = 8,
    DIM = 64
};

enum { PROBE_PASSES = 4, N_ROTATIONS = N_EXPERTS / N_USED };
#define PROBE_BYTES  (UINT64_C(512) << 20)
#define PROMPT_BYTES (UINT64_C(1) << 30) /* more than the caches hold */

/* What is left to the CPU of a layer with experts in host memory, when 512 tokens have chosen at random: the
 * experts that fewest chose, of each the first rows of its hidden layer (docs/GPU.md). */
typedef struct prompt_case {
    const char *name;
    ssw_dtype dtype;
    int64_t n_embd, n_ff; /* n_ff: the CPU's rows */
    int n_experts, n_used, n_own;
} prompt_case;

typedef struct bench {
    ssw_pool *pool;
    ssw_cpu_team *team;
    const char *only;
    int64_t ms;
    ssw_pool_job *job;
    int64_t round; /* rotates through matrices */
    /* operands */
    ssw_cpu_matrix a, b, c;
    float *x, *y, *logits;
    void *x_q8, *scratch;
    int32_t *chosen, *same_chosen;
    float *weights;
    int64_t n;
    bool same_experts, may_use_bf16;
    const prompt_case *prompt;
    ssw_cpu_kv kv;
    int32_t ctx, window;
    float *q, *cos_sin;
} bench;

static int64_t width_of(ssw_dtype dtype)
{
    return ssw_dtype_row_bytes(dtype, N_EMBD) ? N_EMBD : WIDTH_OF_256;
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void fill_random(float *out, int64_t n, uint32_t seed)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(int32_t)next_random(&seed) / 2147483648.0f;
}

static void *get(uint64_t n_bytes)
{
    void *memory = ssw_cpu_memory_alloc(n_bytes);
    if (!memory) {
        fprintf(stderr, "bench_kernels: no memory for %llu bytes\n", (unsigned long long)n_bytes);
        exit(1);
    }
    return memory;
}

static void make_matrix(ssw_cpu_matrix *m, ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n)
{
    ssw_error err;
    uint64_t row_bytes = ssw_dtype_row_bytes(dtype, (uint64_t)cols);
    uint8_t *file = get(row_bytes * (uint64_t)rows);
    float *row = get((uint64_t)cols * sizeof *row);
    for (int64_t r = 0; r < rows; r++) {
        fill_random(row, cols, (uint32_t)r + 1);
        ssw_quant_quantize_row(dtype, row, (uint64_t)cols, file + (uint64_t)r * row_bytes);
    }
    if (ssw_cpu_matrix_init(m, dtype, rows, cols, n, &err) != SSW_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        exit(1);
    }
    ssw_cpu_matrix first = *m;
    first.n_matrices = 1;
    ssw_cpu_matrix_fill(&first, file, 0, 1);
    for (int64_t i = 1; i < n; i++)
        memcpy(m->data + (uint64_t)i * m->matrix_bytes, m->data, m->matrix_bytes);
    ssw_cpu_memory_free(file, row_bytes * (uint64_t)rows);
    ssw_cpu_memory_free(row, (uint64_t)cols * sizeof *row);
}

static int64_t measure_best_ns(bench *s, int rounds_per_sample)
{
    int64_t best = INT64_MAX, end = ssw_clock_now_ns() + s->ms * SSW_NS_PER_MS;
    for (int i = 0; i < 3 || ssw_clock_now_ns() < end; i++) {
        int64_t start = ssw_clock_now_ns();
        for (int r = 0; r < rounds_per_sample; r++, s->round++)
            ssw_pool_run(s->pool, s->job, s);
        int64_t took = (ssw_clock_now_ns() - start) / rounds_per_sample;
        best = took < best ? took : best;
    }
    return best;
}

static bool wanted(const bench *s, const char *name)
{
    return !s->only || strstr(name, s->only);
}

static double read_probe(const bench *s)
{
    ssw_error err;
    ssw_read_bandwidth probe;
    ssw_read_bandwidth_options options = {
        .n_threads = ssw_pool_threads(s->pool), .n_passes = PROBE_PASSES, .buffer_bytes = PROBE_BYTES};
    if (ssw_read_bandwidth_measure(&options, &probe, &err) != SSW_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        exit(1);
    }
    return probe.best_bytes_per_s / 1e9;
}

/* The probe runs right after each figure: on a shared machine the bandwidth itself comes and goes. */
static void print_bytes(const bench *s, const char *name, int64_t ns, double bytes)
{
    double probe = read_probe(s);
    printf("%-34s %8.1f us  %7.2f GB/s  %5.1f %% of the %.2f GB/s read just after\n", name, (double)ns / 1e3,
           bytes / (double)ns, 100 * bytes / (double)ns / probe, probe);
}

static void print_flops(const char *name, int64_t ns, double flops)
{
    printf("%-34s %8.1f us  %7.1f GFLOP/s\n", name, (double)ns / 1e3, flops / (double)ns);
}

/* ---- matrix products ---- */

static void matmul_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    ssw_cpu_matmul_args args = {.w = &s->a,
                                .index = s->round % s->a.n_matrices,
                                .x = {s->x, s->a.cols, s->x_q8},
                                .n = s->n,
                                .out = s->y,
                                .out_stride = s->a.rows};
    ssw_cpu_matmul(ssw_cpu_team_worker(s->team, worker), &args);
}

static void quantize_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    int64_t cols = s->prompt ? s->prompt->n_embd : N_EMBD;
    ssw_cpu_quantize_args args = {s->x, cols, TOKENS_MAX, cols, s->x_q8};
    ssw_cpu_quantize(ssw_cpu_team_worker(s->team, worker), &args);
}

static void bench_matmul(bench *s, ssw_dtype dtype)
{
    static const int tokens[] = {1, 2, 4, 8, 16, 64, 128, 512};
    char name[64];
    const char *type = ssw_dtype_find((uint32_t)dtype)->name;
    snprintf(name, sizeof name, "matmul %s", type);
    if (!wanted(s, name))
        return;
    int width = (int)width_of(dtype);
    uint64_t one = ssw_cpu_matrix_predict_bytes(dtype, N_FF, width, 1);
    make_matrix(&s->a, dtype, N_FF, width, (int64_t)((UINT64_C(200) << 20) / one + 1));
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        s->n = tokens[i];
        s->job = matmul_job;
        int64_t ns = measure_best_ns(s, s->n < 8 ? 4 : 1);
        snprintf(name, sizeof name, "matmul %s %dx%d, %d tokens", type, N_FF, width, tokens[i]);
        if (tokens[i] <= 4)
            print_bytes(s, name, ns, (double)one);
        else
            print_flops(name, ns, 2.0 * N_FF * width * (double)s->n);
    }
    ssw_cpu_matrix_deinit(&s->a);
}

/* ---- experts ---- */

static void moe_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    ssw_cpu_moe_args args = {.gate = &s->a,
                             .up = &s->b,
                             .down = &s->c,
                             .glu = SSW_CPU_GLU_SILU_CLAMPED,
                             .glu_alpha = 1.702f,
                             .glu_limit = 7,
                             .x = {s->x, s->a.cols, s->x_q8},
                             .n = s->n,
                             .n_used = N_USED,
                             .chosen = s->same_experts
                                           ? s->same_chosen + s->round % N_ROTATIONS * TOKENS_MAX * N_USED
                                           : s->chosen + s->round % 64 * N_USED,
                             .weights = s->weights,
                             .out = s->y,
                             .out_stride = s->c.rows,
                             .may_use_bf16 = s->may_use_bf16,
                             .scratch = s->scratch};
    ssw_cpu_moe(ssw_cpu_team_worker(s->team, worker), &args);
}

static void choose_experts(bench *s)
{
    uint32_t state = 7;
    for (int t = 0; t < TOKENS_MAX + 64; t++) {
        for (int j = 0; j < N_USED; j++) {
            int32_t *own = s->chosen + t * N_USED;
            bool taken;
            do {
                own[j] = (int32_t)(next_random(&state) % N_EXPERTS);
                taken = false;
                for (int i = 0; i < j; i++)
                    taken = taken || own[i] == own[j];
            } while (taken);
            s->weights[t * N_USED + j] = 0.25f;
        }
    }
}

static void open_experts(bench *s, ssw_dtype dtype)
{
    int64_t width = width_of(dtype);
    make_matrix(&s->a, dtype, width, width, N_EXPERTS);
    make_matrix(&s->b, dtype, width, width, N_EXPERTS);
    make_matrix(&s->c, dtype, width, width, N_EXPERTS);
    choose_experts(s);
    s->job = moe_job;
    s->scratch = get(ssw_cpu_moe_scratch_bytes(TOKENS_MAX, N_USED, N_FF, N_EMBD));
}

static void close_experts(bench *s)
{
    ssw_cpu_memory_free(s->scratch, ssw_cpu_moe_scratch_bytes(TOKENS_MAX, N_USED, N_FF, N_EMBD));
    ssw_cpu_matrix_deinit(&s->a);
    ssw_cpu_matrix_deinit(&s->b);
    ssw_cpu_matrix_deinit(&s->c);
}

static void bench_moe(bench *s, ssw_dtype dtype)
{
    static const int tokens[] = {1, 2, 4, 8, 32, 128, 512};
    char name[64];
    const char *type = ssw_dtype_find((uint32_t)dtype)->name;
    snprintf(name, sizeof name, "moe %s", type);
    if (!wanted(s, name))
        return;
    int64_t width = width_of(dtype);
    open_experts(s, dtype);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        s->n = tokens[i];
        int64_t ns = measure_best_ns(s, s->n < 8 ? 4 : 1);
        snprintf(name, sizeof name, "moe %s 32 top-4, %d tokens", type, tokens[i]);
        if (s->n == 1)
            print_bytes(s, name, ns, 3.0 * N_USED * (double)s->a.matrix_bytes);
        else
            print_flops(name, ns, 6.0 * N_USED * (double)(width * width * s->n));
    }
    close_experts(s);
}

/* Experts of equally many tokens each, in integers and, where there is AMX, in bf16. Four experts a call,
 * others in the next. */
static void bench_expert_tokens(bench *s, ssw_dtype dtype)
{
    static const int tokens[] = {4, 8, 16, 32, 48, 64, 128, 256};
    char name[64];
    const char *type = ssw_dtype_find((uint32_t)dtype)->name;
    snprintf(name, sizeof name, "experts %s", type);
    if (!wanted(s, name))
        return;
    open_experts(s, dtype);
    s->same_experts = true;
    for (int64_t i = 0; i < (int64_t)N_ROTATIONS * TOKENS_MAX * N_USED; i++)
        s->same_chosen[i] = (int32_t)(i / (TOKENS_MAX * N_USED) * N_USED + i % N_USED);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        for (int bf16 = 0; bf16 < 1 + ssw_cpu_team_has_bf16(s->team, dtype); bf16++) {
            s->n = tokens[i];
            s->may_use_bf16 = bf16;
            int64_t ns = measure_best_ns(s, 1);
            double products = 3.0 * N_USED * (double)(s->a.rows * s->a.cols * s->n);
            snprintf(name, sizeof name, "experts %s, %d tokens each, %s", type, tokens[i],
                     bf16 ? "bf16" : "integers");
            printf("%-42s %8.1f us  %7.1f GMAC/s\n", name, (double)ns / 1e3, products / (double)ns);
        }
    }
    s->same_experts = s->may_use_bf16 = false;
    close_experts(s);
}

/* ---- the CPU's part of a prompt ---- */

static const prompt_case prompt_cases[] = {
    {"DeepSeek-MoE-16B", SSW_DTYPE_Q4_0, 2048, 896, 64, 6, 24},
    {"Phi-3.5-MoE", SSW_DTYPE_Q4_0, 4096, 4096, 16, 2, 6},
    {"gpt-oss-20b", SSW_DTYPE_MXFP4, 2880, 1856, 32, 4, 12},
};

static void prompt_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    const prompt_case *c = s->prompt;
    ssw_cpu_matrix m[3] = {s->a, s->b, s->c};
    for (int i = 0; i < 3; i++) { /* one layer after the other, so that weights come from memory */
        m[i].n_matrices = c->n_own;
        m[i].data +=
            (uint64_t)(s->round % (s->a.n_matrices / c->n_own)) * (uint64_t)c->n_own * m[i].matrix_bytes;
    }
    ssw_cpu_moe_args args = {.gate = &m[0],
                             .up = &m[1],
                             .down = &m[2],
                             .glu = c->dtype == SSW_DTYPE_MXFP4 ? SSW_CPU_GLU_SILU_CLAMPED : SSW_CPU_GLU_SILU,
                             .glu_alpha = 1.702f,
                             .glu_limit = 7,
                             .x = {s->x, c->n_embd, s->x_q8},
                             .n = TOKENS_MAX,
                             .n_used = c->n_used,
                             .chosen = s->same_chosen,
                             .weights = s->weights,
                             .out = s->y,
                             .out_stride = c->n_embd,
                             .may_use_bf16 = s->may_use_bf16,
                             .scratch = s->scratch};
    ssw_cpu_moe(ssw_cpu_team_worker(s->team, worker), &args);
}

/* Different experts for each token; those of others become -1, the CPU's are numbered from the least chosen.
 * Returns how many pairs are the CPU's. */
static int choose_for_prompt(bench *s, const prompt_case *c)
{
    int counts[64] = {0}, order[64], n_pairs = 0;
    uint32_t state = 7;
    for (int t = 0; t < TOKENS_MAX; t++) {
        uint64_t taken = 0;
        for (int j = 0; j < c->n_used; j++) {
            int e;
            do
                e = (int)(next_random(&state) % (uint32_t)c->n_experts);
            while (taken >> e & 1);
            taken |= UINT64_C(1) << e;
            s->same_chosen[t * c->n_used + j] = e;
            s->weights[t * c->n_used + j] = 0.25f;
            counts[e]++;
        }
    }
    for (int e = 0; e < c->n_experts; e++) {
        order[e] = 0;
        for (int i = 0; i < c->n_experts; i++)
            order[e] += counts[i] < counts[e] || (counts[i] == counts[e] && i < e);
        n_pairs += order[e] < c->n_own ? counts[e] : 0;
    }
    for (int p = 0; p < TOKENS_MAX * c->n_used; p++) {
        int place = order[s->same_chosen[p]];
        s->same_chosen[p] = place < c->n_own ? place : -1;
    }
    return n_pairs;
}

static void bench_prompt(bench *s, const prompt_case *c)
{
    char name[64];
    snprintf(name, sizeof name, "prompt %s", c->name);
    if (!wanted(s, name))
        return;
    uint64_t layer_bytes =
        3 * (uint64_t)c->n_own * ssw_cpu_matrix_predict_bytes(c->dtype, c->n_ff, c->n_embd, 1);
    int64_t n = (int64_t)(PROMPT_BYTES / layer_bytes + 1) * c->n_own;
    uint64_t scratch_bytes = ssw_cpu_moe_scratch_bytes(TOKENS_MAX, c->n_used, c->n_ff, c->n_embd);
    make_matrix(&s->a, c->dtype, c->n_ff, c->n_embd, n);
    make_matrix(&s->b, c->dtype, c->n_ff, c->n_embd, n);
    make_matrix(&s->c, c->dtype, c->n_embd, c->n_ff, n);
    s->scratch = get(scratch_bytes);
    s->prompt = c;
    s->job = quantize_job;
    ssw_pool_run(s->pool, s->job, s);
    s->job = prompt_job;
    int n_pairs = choose_for_prompt(s, c);
    for (int bf16 = 0; bf16 < 1 + ssw_cpu_team_has_bf16(s->team, c->dtype); bf16++) {
        s->may_use_bf16 = bf16;
        int64_t ns = measure_best_ns(s, 1);
        double products = 3.0 * (double)(c->n_embd * c->n_ff * n_pairs);
        snprintf(name, sizeof name, "prompt %s, %d experts, %d pairs, %s", c->name, c->n_own, n_pairs,
                 bf16 ? "bf16" : "integers");
        printf("%-58s %8.1f us  %7.1f GMAC/s\n", name, (double)ns / 1e3, products / (double)ns);
    }
    s->may_use_bf16 = false;
    ssw_cpu_memory_free(s->scratch, scratch_bytes);
    ssw_cpu_matrix_deinit(&s->a);
    ssw_cpu_matrix_deinit(&s->b);
    ssw_cpu_matrix_deinit(&s->c);
}

/* ---- attention ---- */

static void attention_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    ssw_cpu_attention_item item = {.kv = s->kv, .n = (int32_t)s->n, .position = s->ctx - (int32_t)s->n};
    ssw_cpu_attention_args args = {.items = &item,
                                   .n_items = 1,
                                   .n_heads = HEADS,
                                   .n_kv_heads = KV_HEADS,
                                   .head_dim = DIM,
                                   .window = s->window,
                                   .scale = 0.125f,
                                   .cos_sin = s->cos_sin,
                                   .n_pairs = DIM / 2,
                                   .q = s->q,
                                   .k = s->x,
                                   .v = s->x,
                                   .q_stride = HEADS * DIM,
                                   .kv_stride = KV_HEADS * DIM,
                                   .out = s->y,
                                   .out_stride = HEADS * DIM,
                                   .out_q8 = s->x_q8};
    ssw_cpu_worker *own = ssw_cpu_team_worker(s->team, worker);
    ssw_cpu_kv_store(own, &args);
    ssw_cpu_barrier(own);
    ssw_cpu_attention(own, &args);
}

static void bench_attention(bench *s)
{
    static const struct {
        int32_t n, ctx, window;
    } cases[] = {{1, 128, 0},   {1, 1024, 0},  {1, 8192, 0},  {1, 8192, 128},
                 {128, 128, 0}, {512, 512, 0}, {512, 4096, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        s->n = cases[i].n;
        s->ctx = cases[i].ctx;
        s->window = cases[i].window;
        snprintf(name, sizeof name, "attention %d of %d, window %d", cases[i].n, s->ctx, s->window);
        if (!wanted(s, name))
            continue;
        s->kv.n_rows = ssw_cpu_kv_rows(s->ctx, 0, TOKENS_MAX);
        uint64_t bytes = ssw_cpu_kv_bytes(s->kv.n_rows, KV_HEADS, DIM, DIM);
        s->kv.data = get(bytes);
        s->job = attention_job;
        int64_t ns = measure_best_ns(s, s->n == 1 ? 16 : 1);
        double seen = s->window > 0 ? s->window : s->ctx - (double)s->n / 2;
        print_flops(name, ns, 4.0 * HEADS * DIM * seen * (double)s->n);
        ssw_cpu_memory_free(s->kv.data, bytes);
    }
}

/* ---- small things ---- */

static void norm_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    ssw_cpu_norm_args args = {.x = s->x,
                              .x_stride = N_EMBD,
                              .n = s->n,
                              .cols = N_EMBD,
                              .weight = s->weights,
                              .eps = 1e-5f,
                              .out = s->y,
                              .out_stride = N_EMBD,
                              .out_q8 = s->x_q8};
    ssw_cpu_norm(ssw_cpu_team_worker(s->team, worker), &args);
}

static void barrier_job(void *context, int worker, int n_workers)
{
    bench *s = context;
    for (int i = 0; i < 1000; i++)
        ssw_pool_barrier(s->pool);
}

static void bench_small(bench *s)
{
    s->n = 1;
    s->job = norm_job;
    int64_t ns = measure_best_ns(s, 100);
    printf("%-34s %8.2f us\n", "one job: norm + quantise, 1 token", (double)ns / 1e3);
    s->n = TOKENS_MAX;
    ns = measure_best_ns(s, 1);
    printf("%-34s %8.2f us\n", "norm + quantise, 512 tokens", (double)ns / 1e3);
    s->job = barrier_job;
    ns = measure_best_ns(s, 1);
    printf("%-34s %8.3f us\n", "barrier", (double)ns / 1e6);
}

static void run_all(bench *s)
{
    static const ssw_dtype types[] = {SSW_DTYPE_MXFP4, SSW_DTYPE_Q4_0, SSW_DTYPE_IQ4_NL, SSW_DTYPE_IQ4_XS,
                                      SSW_DTYPE_Q4_1,  SSW_DTYPE_Q4_K, SSW_DTYPE_Q5_0,   SSW_DTYPE_Q5_1,
                                      SSW_DTYPE_Q5_K,  SSW_DTYPE_Q6_K, SSW_DTYPE_Q2_K,   SSW_DTYPE_Q3_K,
                                      SSW_DTYPE_Q8_0,  SSW_DTYPE_BF16, SSW_DTYPE_F16,    SSW_DTYPE_F32};
    static const ssw_dtype in_bf16[] = {SSW_DTYPE_MXFP4, SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_K, SSW_DTYPE_Q8_0};
    static const ssw_dtype experts[] = {SSW_DTYPE_MXFP4, SSW_DTYPE_Q4_K, SSW_DTYPE_Q5_K, SSW_DTYPE_Q8_0};
    if (wanted(s, "small"))
        bench_small(s);
    s->job = quantize_job;
    ssw_pool_run(s->pool, s->job, s);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        bench_matmul(s, types[i]);
    for (size_t i = 0; i < sizeof experts / sizeof experts[0]; i++)
        bench_moe(s, experts[i]);
    for (size_t i = 0; i < sizeof in_bf16 / sizeof in_bf16[0]; i++)
        bench_expert_tokens(s, in_bf16[i]);
    for (size_t i = 0; i < sizeof prompt_cases / sizeof prompt_cases[0]; i++)
        bench_prompt(s, &prompt_cases[i]);
    if (wanted(s, "attention"))
        bench_attention(s);
}

static ssw_cpu_isa parse_isa(const char *name)
{
    for (int i = 0; i < SSW_CPU_ISA_COUNT; i++) {
        if (strcmp(name, ssw_cpu_isa_name((ssw_cpu_isa)i)) == 0)
            return (ssw_cpu_isa)i;
    }
    fprintf(stderr, "bench_kernels: no instruction set is called \"%s\"\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    bench s = {.ms = 300};
    ssw_pool_options pool_options = {.pin = true};
    ssw_cpu_team_options team_options = {.max_tokens = TOKENS_MAX, .max_experts_used = N_USED_MAX};
    ssw_error err;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--isa") == 0)
            team_options.isa = parse_isa(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0)
            pool_options.n_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            s.only = argv[i + 1];
        else if (strcmp(argv[i], "--ms") == 0)
            s.ms = atoll(argv[i + 1]);
    }
    if (ssw_pool_open(&pool_options, &s.pool, &err) != SSW_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 1;
    }
    team_options.pool = s.pool;
    if (ssw_cpu_team_open(&team_options, &s.team, &err) != SSW_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 1;
    }
    s.x = get(TOKENS_MAX * (uint64_t)HEADS * DIM * 4);
    s.y = get(TOKENS_MAX * (uint64_t)HEADS * DIM * 4);
    s.q = get(TOKENS_MAX * (uint64_t)HEADS * DIM * 4);
    s.x_q8 = get(TOKENS_MAX * ssw_cpu_q8_row_bytes(HEADS * DIM));
    s.cos_sin = get(TOKENS_MAX * DIM * 4);
    s.chosen = get((TOKENS_MAX + 64) * N_USED * 4);
    s.same_chosen = get((uint64_t)N_ROTATIONS * TOKENS_MAX * N_USED * 4);
    s.weights = get((TOKENS_MAX + 64) * N_USED_MAX * 4);
    fill_random(s.x, TOKENS_MAX * HEADS * DIM, 3);
    fill_random(s.q, TOKENS_MAX * HEADS * DIM, 4);
    printf("%s, %d threads\n", ssw_cpu_isa_name(ssw_cpu_team_isa(s.team)), ssw_pool_threads(s.pool));
    run_all(&s);
    ssw_cpu_team_close(s.team);
    ssw_pool_close(s.pool);
    return 0;
}
