/* The operations that decoding has of its own: several of cuda_ops.h in one launch, against the single ones
 * (which test_cuda_ops holds against plain C) and against the CPU's; and a row of launches of which each
 * starts while the one before still runs.
 *
 * Skipped where no GPU is. */
#include "cuda_operands.h"

static ssw_cuda_norm_args random_norm(const float *x, int64_t n, int64_t cols, bool subtract_mean,
                                      float **weight, float **bias)
{
    *weight = random_floats((size_t)cols, 0, 2);
    *bias = random_floats((size_t)cols, -1, 1);
    return (ssw_cuda_norm_args){.x = on_device(x, (size_t)(n * cols) * sizeof *x),
                                .n = (int32_t)n,
                                .cols = (int32_t)cols,
                                .weight = on_device(*weight, (size_t)cols * sizeof(float)),
                                .bias = on_device(*bias, (size_t)cols * sizeof(float)),
                                .eps = 1e-5f,
                                .subtract_mean = subtract_mean,
                                .out = empty_acts(n, cols)};
}

static void assert_same(const void *a, const void *b, size_t n_bytes)
{
    void *left = from_device(a, n_bytes), *right = from_device(b, n_bytes);
    assert_memory_equal(left, right, n_bytes);
    free(left);
    free(right);
}

/* ---- the norm in front of products ---- */

static void check_norm_gemv(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n, bool subtract_mean)
{
    float *x = random_floats((size_t)(n * cols), -3, 5), *weight, *bias;
    ssw_cuda_norm_args norm = random_norm(x, n, cols, subtract_mean, &weight, &bias);
    ssw_cuda_product_args args[2];
    float *alone[2];
    weights w[2];
    ssw_cuda_norm(stream, &norm);
    for (int i = 0; i < 2; i++) {
        w[i] = make_weights(dtype, i == 0 ? rows : 24, cols, 1);
        size_t n_bytes = (size_t)(n * w[i].gpu.rows) * sizeof(float);
        alone[i] = on_device(NULL, n_bytes);
        args[i] = (ssw_cuda_product_args){
            .w = w[i].gpu, .x = norm.out, .n = (int32_t)n, .out = alone[i], .out_stride = w[i].gpu.rows};
    }
    ssw_cuda_gemv_fused(stream, args, 2);
    for (int i = 0; i < 2; i++)
        args[i].out = on_device(NULL, (size_t)(n * w[i].gpu.rows) * sizeof(float));
    ssw_cuda_norm_gemv(stream, &norm, args, 2);
    for (int i = 0; i < 2; i++) {
        assert_same(args[i].out, alone[i], (size_t)(n * w[i].gpu.rows) * sizeof(float));
        ssw_cpu_matrix_deinit(&w[i].cpu);
    }
    free(x);
    free(weight);
    free(bias);
    free_all(NULL);
}

static void norms_in_front_are_norms(void **state)
{
    static const ssw_dtype dtypes[] = {SSW_DTYPE_F32, SSW_DTYPE_F16, SSW_DTYPE_Q8_0, SSW_DTYPE_Q4_0,
                                       SSW_DTYPE_MXFP4};
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        for (int64_t n = 1; n <= 2; n++) {
            check_norm_gemv(dtypes[d], 80, 2880, n, false);
            check_norm_gemv(dtypes[d], 33, 96, n, true);
            check_norm_gemv(dtypes[d], 16, SSW_CUDA_NORM_COLS_MAX, n, true);
        }
    }
    check_norm_gemv(SSW_DTYPE_F16, 16, 40, 1, false);
    check_norm_gemv(SSW_DTYPE_Q8_0, 20000, 64, 1, false); /* too many rows for one launch */
}

/* ---- the router ---- */

typedef struct router_case {
    ssw_dtype dtype;
    int64_t cols;
    int32_t n, n_experts, n_used;
    ssw_cuda_route_kind kind;
} router_case;

static ssw_cuda_router_args make_router(const router_case *c, const ssw_cuda_norm_args *norm,
                                        const ssw_cuda_matrix *w, const float *bias)
{
    size_t n_pairs = (size_t)(c->n * c->n_used);
    uint64_t scratch_bytes = ssw_cuda_router_scratch_floats(c->n_experts) * sizeof(float);
    void *zeros = calloc(1, scratch_bytes);
    assert_non_null(zeros);
    ssw_cuda_router_args args = {.norm = *norm,
                                 .w = *w,
                                 .bias = on_device(bias, (size_t)c->n_experts * sizeof *bias),
                                 .route = {.n = c->n,
                                           .n_experts = c->n_experts,
                                           .n_used = c->n_used,
                                           .kind = c->kind,
                                           .jitter = 0.01f,
                                           .scale = 1.5f,
                                           .chosen = on_device(NULL, n_pairs * sizeof(int32_t)),
                                           .weights = on_device(NULL, n_pairs * sizeof(float))},
                                 .scratch = on_device(zeros, scratch_bytes)};
    free(zeros);
    return args;
}

/* What the CPU makes of the same: norm, product, choice. */
static void route_on_cpu(const router_case *c, const ssw_cpu_matrix *w, const float *x, const float *weight,
                         const float *norm_bias, const float *bias, int32_t *chosen, float *mix)
{
    size_t n_values = (size_t)(c->n * c->cols);
    float *normed = random_floats(n_values, 0, 1),
          *logits = random_floats((size_t)(c->n * c->n_experts), 0, 1);
    uint64_t q8_bytes = (uint64_t)c->n * ssw_cpu_q8_row_bytes(c->cols);
    void *q8 = ssw_cpu_memory_alloc(q8_bytes);
    ssw_cpu_norm_args norm = {x,     c->cols, c->n,   c->cols, weight, norm_bias,
                              1e-5f, true,    normed, c->cols, q8,     false};
    ssw_cpu_matmul_args product = {w, 0, {normed, c->cols, q8}, c->n, bias, logits, c->n_experts, false};
    ssw_cpu_route_args route = {.logits = logits,
                                .logits_stride = c->n_experts,
                                .n = c->n,
                                .n_experts = c->n_experts,
                                .n_used = c->n_used,
                                .kind = (ssw_cpu_route_kind)c->kind,
                                .jitter = 0.01f,
                                .scale = 1.5f,
                                .chosen = chosen,
                                .weights = mix};
    if (c->cols % SSW_CUDA_BLOCK != 0)
        norm.out_q8 = NULL;
    CPU(ssw_cpu_norm, &norm);
    CPU(ssw_cpu_matmul, &product);
    CPU(ssw_cpu_route, &route);
    free(normed);
    free(logits);
    ssw_cpu_memory_free(q8, q8_bytes);
}

static void check_router(const router_case *c)
{
    size_t n_values = (size_t)(c->n * c->cols), n_pairs = (size_t)(c->n * c->n_used);
    bool has_q8 = c->cols % SSW_CUDA_BLOCK == 0;
    size_t q8_bytes = (size_t)c->n * ssw_cpu_q8_row_bytes(c->cols);
    float *x = random_floats(n_values, -3, 5), *weight, *norm_bias;
    float *bias = random_floats((size_t)c->n_experts, -1, 1), *mix = malloc(n_pairs * sizeof *mix);
    int32_t *chosen = malloc(n_pairs * sizeof *chosen);
    weights w = make_weights(c->dtype, c->n_experts, c->cols, 1);
    ssw_cuda_norm_args norm = random_norm(x, c->n, c->cols, true, &weight, &norm_bias);
    norm.out_cpu_f32 = on_device(NULL, n_values * sizeof(float));
    norm.out_cpu_q8 = has_q8 ? on_device(NULL, q8_bytes) : NULL;
    ssw_cuda_norm_args apart = norm;
    apart.out = empty_acts(c->n, c->cols);
    apart.out_cpu_q8 = has_q8 ? on_device(NULL, q8_bytes) : NULL;
    ssw_cuda_norm(stream, &apart);
    ssw_cuda_router_args args = make_router(c, &norm, &w.gpu, bias);
    for (int again = 0; again < 2; again++) { /* the scratch is as it was */
        ssw_cuda_router(stream, &args);
        assert_same(norm.out.f32, apart.out.f32, n_values * sizeof(float));
        assert_same(norm.out_cpu_f32, apart.out.f32, n_values * sizeof(float));
        if (has_q8) {
            assert_same(norm.out.q, apart.out.q, n_values);
            assert_same(norm.out.q_scales, apart.out.q_scales, n_values / SSW_CUDA_BLOCK * 2 * sizeof(float));
            assert_same(norm.out_cpu_q8, apart.out_cpu_q8, q8_bytes);
        }
    }
    route_on_cpu(c, &w.cpu, x, weight, norm_bias, bias, chosen, mix);
    int32_t *got_chosen = from_device(args.route.chosen, n_pairs * sizeof *chosen);
    float *got_mix = from_device(args.route.weights, n_pairs * sizeof *mix);
    assert_memory_equal(chosen, got_chosen, n_pairs * sizeof *chosen);
    assert_close("expert weights", mix, got_mix, n_pairs, 2e-3f);
    free(x);
    free(weight);
    free(norm_bias);
    free(bias);
    free(mix);
    free(chosen);
    free(got_chosen);
    free(got_mix);
    ssw_cpu_matrix_deinit(&w.cpu);
    free_all(NULL);
}

static void routers_are_the_cpus(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= TOKENS; n += n < 3 ? 1 : 5) {
        check_router(&(router_case){SSW_DTYPE_F32, 2880, n, 32, 4, SSW_CUDA_ROUTE_TOPK_SOFTMAX});
        check_router(&(router_case){SSW_DTYPE_F32, 2048, n, 64, 6, SSW_CUDA_ROUTE_SOFTMAX_TOPK});
        check_router(&(router_case){SSW_DTYPE_F32, 4096, n, 16, 2, SSW_CUDA_ROUTE_SPARSEMIXER});
        check_router(&(router_case){SSW_DTYPE_F16, 2048, n, 128, 8, SSW_CUDA_ROUTE_SOFTMAX_TOPK});
        check_router(&(router_case){SSW_DTYPE_BF16, 40, n, 5, 2, SSW_CUDA_ROUTE_TOPK_SOFTMAX});
        check_router(&(router_case){SSW_DTYPE_Q8_0, 96, n, 250, 16, SSW_CUDA_ROUTE_TOPK_SOFTMAX});
        check_router(&(router_case){SSW_DTYPE_Q4_0, 8192, n, 33, 4, SSW_CUDA_ROUTE_SOFTMAX_TOPK});
        check_router(&(router_case){SSW_DTYPE_MXFP4, 288, n, 48, 3, SSW_CUDA_ROUTE_TOPK_SOFTMAX});
    }
}

/* ---- the host is told, and answers ---- */

static void router_and_host_meet(void **state)
{
    (void)state;
    for (int32_t n = 1; n <= 3; n++) {
        enum { COLS = 288, EXPERTS = 40, USED = 5 };
        const router_case c = {SSW_DTYPE_F32, COLS, n, EXPERTS, USED, SSW_CUDA_ROUTE_TOPK_SOFTMAX};
        size_t n_pairs = (size_t)(n * USED), n_values = (size_t)(n * COLS);
        struct {
            ssw_cuda_signal ready, done, gave_up;
            int32_t chosen[3 * USED];
            float weights[3 * USED];
            _Alignas(16) float y[3 * COLS];
        } * host;
        void *mapped;
        ssw_error err;
        assert_int_equal(ssw_cuda_alloc_host(&mapped, sizeof *host, &err), SSW_OK);
        host = mapped;
        float *x = random_floats(n_values, -1, 1), *weight, *norm_bias, *bias = random_floats(EXPERTS, -1, 1);
        weights w = make_weights(c.dtype, EXPERTS, COLS, 1);
        ssw_cuda_norm_args norm = random_norm(x, n, COLS, false, &weight, &norm_bias);
        ssw_cuda_router_args args = make_router(&c, &norm, &w.gpu, bias);
        uint32_t number = 7;
        args.host_chosen = host->chosen;
        args.host_weights = host->weights;
        args.ready = &host->ready;
        args.step = on_device(&number, sizeof number);
        float *out = on_device(x, n_values * sizeof *x);
        ssw_cuda_await_args await = {.signal = &host->done,
                                     .step = args.step,
                                     .patience_ns = UINT64_C(5000000000),
                                     .gave_up = &host->gave_up.value,
                                     .rows = host->y,
                                     .out = out,
                                     .n = n,
                                     .cols = COLS};
        ssw_cuda_router(stream, &args);
        ssw_cuda_await_add(stream, &await);
        while (__atomic_load_n(&host->ready.value, __ATOMIC_ACQUIRE) != number)
            ;
        int32_t chosen[3 * USED];
        float mix[3 * USED];
        memcpy(chosen, host->chosen, sizeof chosen);
        memcpy(mix, host->weights, sizeof mix);
        for (size_t i = 0; i < n_values; i++)
            host->y[i] = (float)i;
        __atomic_store_n(&host->done.value, number, __ATOMIC_RELEASE);
        float *got = from_device(out, n_values * sizeof *got);
        int32_t *device_chosen = from_device(args.route.chosen, n_pairs * sizeof *chosen);
        float *device_mix = from_device(args.route.weights, n_pairs * sizeof *mix);
        assert_memory_equal(chosen, device_chosen, n_pairs * sizeof *chosen);
        assert_memory_equal(mix, device_mix, n_pairs * sizeof *mix);
        for (size_t i = 0; i < n_values; i++)
            assert_true(got[i] == x[i] + (float)i);
        assert_int_equal(host->gave_up.value, 0);
        await.patience_ns = 1000000;
        number = 8; /* that nobody says */
        await.step = on_device(&number, sizeof number);
        ssw_cuda_await_add(stream, &await);
        assert_int_equal(ssw_cuda_stream_sync(stream, &err), SSW_OK);
        assert_int_equal(host->gave_up.value, 1);
        free(x);
        free(weight);
        free(norm_bias);
        free(bias);
        free(got);
        free(device_chosen);
        free(device_mix);
        ssw_cpu_matrix_deinit(&w.cpu);
        ssw_cuda_free_host(mapped);
        free_all(NULL);
    }
}

/* ---- shared experts beside the routed ones ---- */

typedef struct expert_weights {
    weights gate, up, down;
    ssw_cuda_experts gpu;
} expert_weights;

static expert_weights make_experts(ssw_dtype dtype, int64_t n_embd, int64_t n_ff, int32_t n)
{
    expert_weights e = {.gate = make_weights(dtype, n_ff, n_embd, n),
                        .up = make_weights(dtype, n_ff, n_embd, n),
                        .down = make_weights(dtype, n_embd, n_ff, n)};
    e.gpu = (ssw_cuda_experts){.gate = e.gate.gpu, .up = e.up.gpu, .down = e.down.gpu};
    return e;
}

static void drop_experts(expert_weights *e)
{
    ssw_cpu_matrix_deinit(&e->gate.cpu);
    ssw_cpu_matrix_deinit(&e->up.cpu);
    ssw_cpu_matrix_deinit(&e->down.cpu);
}

static void check_shared(ssw_dtype dtype, ssw_dtype shared_dtype, int64_t n)
{
    enum { EMBD = 288, FF = 96, SHARED_FF = 224, EXPERTS = 6, USED = 3 };
    expert_weights routed = make_experts(dtype, EMBD, FF, EXPERTS);
    expert_weights shared = make_experts(shared_dtype, EMBD, SHARED_FF, 1);
    acts x = make_acts(n, EMBD);
    size_t n_out = (size_t)(n * EMBD), n_pairs = (size_t)(n * USED);
    float *out = random_floats(n_out, -1, 1), *mix = random_floats(n_pairs, 0, 1);
    float ones[TOKENS] = {1, 1, 1, 1, 1, 1, 1, 1};
    int32_t chosen[TOKENS * USED], zeros[TOKENS] = {0};
    for (size_t p = 0; p < n_pairs; p++)
        chosen[p] = p % 7 == 3 ? -1 : (int32_t)(p * 5 % EXPERTS);
    ssw_cuda_moe_args args = {.experts = &routed.gpu,
                              .x = x.gpu,
                              .n = (int32_t)n,
                              .n_used = USED,
                              .chosen = on_device(chosen, n_pairs * sizeof *chosen),
                              .weights = on_device(mix, n_pairs * sizeof *mix),
                              .hidden = empty_acts((int64_t)n_pairs, FF),
                              .out = on_device(out, n_out * sizeof *out)};
    ssw_cuda_moe_args alone = args;
    ssw_cuda_moe(stream, &alone);
    alone.experts = &shared.gpu;
    alone.n_used = 1;
    alone.chosen = on_device(zeros, sizeof zeros);
    alone.weights = on_device(ones, sizeof ones);
    alone.hidden = empty_acts(n, SHARED_FF);
    ssw_cuda_moe(stream, &alone);
    float *expected = from_device(alone.out, n_out * sizeof *expected);
    assert_true(ssw_cuda_moe_takes_shared(&routed.gpu, &shared.gpu));
    args.shared = &shared.gpu;
    args.shared_hidden = empty_acts(n, SHARED_FF);
    args.out = on_device(out, n_out * sizeof *out);
    ssw_cuda_moe(stream, &args);
    float *got = from_device(args.out, n_out * sizeof *got);
    assert_close("experts with shared ones", expected, got, n_out, SUM_TOLERANCE);
    free(expected);
    free(got);
    free(out);
    free(mix);
    drop_acts(&x, n, EMBD);
    drop_experts(&routed);
    drop_experts(&shared);
    free_all(NULL);
}

static void shared_experts_join(void **state)
{
    static const ssw_dtype dtypes[][2] = {
        {SSW_DTYPE_F32, SSW_DTYPE_F32},    {SSW_DTYPE_F16, SSW_DTYPE_F16},
        {SSW_DTYPE_Q8_0, SSW_DTYPE_Q8_0},  {SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_0},
        {SSW_DTYPE_MXFP4, SSW_DTYPE_Q8_0}, {SSW_DTYPE_Q4_0, SSW_DTYPE_Q8_0}};
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        for (int64_t n = 1; n <= TOKENS; n += 3)
            check_shared(dtypes[d][0], dtypes[d][1], n);
    }
    expert_weights q4 = make_experts(SSW_DTYPE_Q4_0, 64, 32, 1), f16 = make_experts(SSW_DTYPE_F16, 64, 32, 1);
    assert_false(ssw_cuda_moe_takes_shared(&q4.gpu, &f16.gpu));
    drop_experts(&q4);
    drop_experts(&f16);
}

/* ---- the largest logits ---- */

static void check_top(int32_t n, int32_t n_vocab, int32_t n_finite)
{
    size_t n_logits = (size_t)n * (size_t)n_vocab;
    float *logits = random_floats(n_logits, -20, 20);
    for (size_t i = 0; i < n_logits; i++) {
        size_t token = i % (size_t)n_vocab;
        if (token % 5 == 1 && token > 0)
            logits[i] = logits[i - 1]; /* a tie */
        if (token >= (size_t)n_finite)
            logits[i] = token % 3 == 0 ? NAN : token % 3 == 1 ? INFINITY : -INFINITY;
    }
    ssw_cuda_top_args args = {
        .logits = on_device(logits, n_logits * sizeof *logits),
        .n = n,
        .n_vocab = n_vocab,
        .scratch = on_device(NULL, ssw_cuda_top_scratch_words(n) * sizeof(uint64_t)),
        .out = on_device(NULL, (size_t)n * SSW_CUDA_TOP_LOGITS * sizeof(ssw_cuda_top_logit))};
    ssw_cuda_top(stream, &args);
    ssw_cuda_top_logit *got = from_device(args.out, (size_t)n * SSW_CUDA_TOP_LOGITS * sizeof *got);
    for (int32_t r = 0; r < n; r++) {
        float *row = logits + (size_t)r * (size_t)n_vocab;
        const ssw_cuda_top_logit *top = got + r * SSW_CUDA_TOP_LOGITS;
        for (int k = 0; k < SSW_CUDA_TOP_LOGITS; k++) {
            int32_t best = -1;
            for (int32_t i = 0; i < n_vocab; i++) {
                if (isfinite(row[i]) && (best < 0 || row[i] > row[best]))
                    best = i;
            }
            assert_int_equal(top[k].token, best);
            if (best < 0)
                continue;
            assert_true(top[k].logit == row[best]);
            row[best] = NAN;
        }
    }
    free(logits);
    free(got);
    free_all(NULL);
}

static void top_logits_are_the_largest(void **state)
{
    (void)state;
    check_top(1, 201088, 201088);
    check_top(3, 50, 50);
    check_top(2, 4096, 40);
    check_top(2, 4097, 4097);
    check_top(1, 300001, 300001);
    check_top(1, 10, 0);
}

/* ---- a row of dependent launches ---- */

enum { LAYERS = 12, CHAIN_EMBD = 512, CHAIN_FF = 256, CHAIN_HEADS = 8, CHAIN_DIM = 64, CHAIN_ROWS = 64 };

/* Everything that a token of the chain needs, and what the launches leave. */
typedef struct chain {
    expert_weights experts;
    weights q, k, v, out, router;
    ssw_cuda_norm_args norm;
    ssw_cuda_router_args route;
    ssw_cuda_acts attended, hidden;
    float *x, *q_row, *k_row, *v_row, *scratch, *inv_freq;
    ssw_cuda_kv kv;
    ssw_cuda_row *rows;
    ssw_cuda_part *parts;
    uint32_t *counters;
} chain;

static void finish(bool each)
{
    ssw_error err;
    if (each && ssw_cuda_stream_sync(stream, &err) != SSW_OK)
        fail_msg("%s", err.message);
}

/* One layer as the engine enqueues it; each: with a wait after every call. */
static void enqueue_layer(const chain *c, bool each)
{
    ssw_cuda_product_args qkv[3] = {
        {.w = c->q.gpu, .x = c->norm.out, .n = 1, .out = c->q_row, .out_stride = c->q.gpu.rows},
        {.w = c->k.gpu, .x = c->norm.out, .n = 1, .out = c->k_row, .out_stride = c->k.gpu.rows},
        {.w = c->v.gpu, .x = c->norm.out, .n = 1, .out = c->v_row, .out_stride = c->v.gpu.rows}};
    ssw_cuda_rope_args rope = {.rows = c->rows,
                               .n = 1,
                               .n_heads = CHAIN_HEADS,
                               .n_kv_heads = CHAIN_HEADS,
                               .head_dim = CHAIN_DIM,
                               .inv_freq = c->inv_freq,
                               .n_pairs = CHAIN_DIM / 2,
                               .magnitude = 1,
                               .q = c->q_row,
                               .k = c->k_row,
                               .v = c->v_row,
                               .kv = c->kv};
    ssw_cuda_attention_args attention = {.kv = c->kv,
                                         .parts = c->parts,
                                         .n_parts = 1,
                                         .n_rows = 1,
                                         .max_length = CHAIN_ROWS,
                                         .n_heads = CHAIN_HEADS,
                                         .n_kv_heads = CHAIN_HEADS,
                                         .head_dim = CHAIN_DIM,
                                         .scale = 0.125f,
                                         .q = c->q_row,
                                         .out = c->attended,
                                         .scratch = c->scratch,
                                         .counters = c->counters};
    ssw_cuda_product_args out = {
        .w = c->out.gpu, .x = c->attended, .n = 1, .out = c->x, .out_stride = CHAIN_EMBD, .accumulate = true};
    ssw_cuda_moe_args moe = {.experts = &c->experts.gpu,
                             .x = c->norm.out,
                             .n = 1,
                             .n_used = c->route.route.n_used,
                             .chosen = c->route.route.chosen,
                             .weights = c->route.route.weights,
                             .hidden = c->hidden,
                             .out = c->x};
    ssw_cuda_norm_gemv(stream, &c->norm, qkv, 3);
    finish(each);
    ssw_cuda_rope_store(stream, &rope);
    finish(each);
    ssw_cuda_attention(stream, &attention);
    finish(each);
    ssw_cuda_product(stream, &out);
    finish(each);
    ssw_cuda_router(stream, &c->route);
    finish(each);
    ssw_cuda_moe(stream, &moe);
    finish(each);
}

static void chains_are_their_links(void **state)
{
    const router_case router = {SSW_DTYPE_F32, CHAIN_EMBD, 1, 16, 4, SSW_CUDA_ROUTE_TOPK_SOFTMAX};
    const size_t x_bytes = CHAIN_EMBD * sizeof(float), cache_bytes = CHAIN_HEADS * CHAIN_ROWS * CHAIN_DIM * 2;
    ssw_cuda_row row = {.position = 20};
    ssw_cuda_part part = {.n_rows = 1, .position = 20};
    ssw_cpu_rope rope;
    ssw_error err;
    float *x = random_floats(CHAIN_EMBD, -1, 1), *weight, *norm_bias, *bias = random_floats(16, -1, 1);
    uint64_t scratch_bytes =
        sizeof(float) * ssw_cuda_attention_scratch_floats(1, CHAIN_HEADS, CHAIN_DIM, CHAIN_ROWS);
    void *zeros = calloc(1, scratch_bytes > cache_bytes ? scratch_bytes : cache_bytes);
    assert_non_null(zeros);
    ssw_cpu_rope_init(&rope, &(ssw_cpu_rope_config){.n_rot = CHAIN_DIM, .freq_base = 10000, .factor = 1});
    (void)state;
    chain c = {
        .experts = make_experts(SSW_DTYPE_Q4_0, CHAIN_EMBD, CHAIN_FF, 16),
        .q = make_weights(SSW_DTYPE_Q8_0, CHAIN_EMBD, CHAIN_EMBD, 1),
        .k = make_weights(SSW_DTYPE_Q8_0, CHAIN_EMBD, CHAIN_EMBD, 1),
        .v = make_weights(SSW_DTYPE_Q8_0, CHAIN_EMBD, CHAIN_EMBD, 1),
        .out = make_weights(SSW_DTYPE_Q8_0, CHAIN_EMBD, CHAIN_EMBD, 1),
        .router = make_weights(SSW_DTYPE_F32, 16, CHAIN_EMBD, 1),
        .norm = random_norm(x, 1, CHAIN_EMBD, false, &weight, &norm_bias),
        .attended = empty_acts(1, CHAIN_EMBD),
        .hidden = empty_acts(4, CHAIN_FF),
        .q_row = on_device(NULL, x_bytes),
        .k_row = on_device(NULL, x_bytes),
        .v_row = on_device(NULL, x_bytes),
        .scratch = on_device(zeros, scratch_bytes),
        .inv_freq = on_device(rope.inv_freq, sizeof rope.inv_freq),
        .kv = {.k = on_device(zeros, cache_bytes), .v = on_device(zeros, cache_bytes), .n_rows = CHAIN_ROWS},
        .rows = on_device(&row, sizeof row),
        .parts = on_device(&part, sizeof part),
        .counters = on_device(zeros, SSW_CUDA_ATTENTION_COUNTERS * sizeof(uint32_t))};
    c.x = (float *)(uintptr_t)c.norm.x;
    c.route = make_router(&router, &c.norm, &c.router.gpu, bias);
    for (int i = 0; i < LAYERS; i++)
        enqueue_layer(&c, true);
    float *expected = from_device(c.x, x_bytes);
    ssw_cuda_graph *graph;
    assert_int_equal(ssw_cuda_graph_begin(stream, &err), SSW_OK);
    for (int i = 0; i < LAYERS; i++)
        enqueue_layer(&c, false);
    assert_int_equal(ssw_cuda_graph_end(stream, &graph, &err), SSW_OK);
    for (int again = 0; again < 100; again++) {
        assert_int_equal(ssw_cuda_copy_to_device(c.x, x, x_bytes, &err), SSW_OK);
        assert_int_equal(ssw_cuda_graph_launch(graph, stream, &err), SSW_OK);
        float *got = from_device(c.x, x_bytes);
        assert_memory_equal(got, expected, x_bytes);
        free(got);
    }
    ssw_cuda_graph_close(graph);
    free(expected);
    free(x);
    free(weight);
    free(norm_bias);
    free(bias);
    free(zeros);
    drop_experts(&c.experts);
    weights *all[] = {&c.q, &c.k, &c.v, &c.out, &c.router};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ssw_cpu_matrix_deinit(&all[i]->cpu);
    free_all(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(norms_in_front_are_norms, free_all),
        cmocka_unit_test_teardown(routers_are_the_cpus, free_all),
        cmocka_unit_test_teardown(router_and_host_meet, free_all),
        cmocka_unit_test_teardown(shared_experts_join, free_all),
        cmocka_unit_test_teardown(top_logits_are_the_largest, free_all),
        cmocka_unit_test_teardown(chains_are_their_links, free_all),
    };
    int status = open_operands();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
