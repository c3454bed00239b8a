/* The fused expert job against a step-by-step computation in double precision, and the router.
 *
 * The bound follows the rounding through the layers: gate and up each within cpu_case_bound; the gated unit's
 * slope in either argument is at most SLOPE for these inputs; the hidden row's own quantisation is half a
 * step. Where bf16 is allowed, its rounding comes on top of that of the integers: which of the two a group
 * takes is the operation's choice. */
#include "cpu_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int64_t n_embd, n_ff, n;
    int n_experts, n_used;
    ssw_dtype dtype, down_dtype;
    ssw_cpu_glu_kind glu;
    bool takes_bf16; /* types, widths and pairs enough for it */
} shape;

typedef struct layer {
    cpu_weights gate, up, down;
    float *gate_bias, *up_bias, *down_bias;
} layer;

static void moe_op(ssw_cpu_worker *worker, const void *args)
{
    const ssw_cpu_moe_args *a = args;
    if (a->x.q8) {
        ssw_cpu_quantize_args q = {a->x.f32, a->x.f32_stride, a->n, a->gate->cols,
                                   (void *)(uintptr_t)a->x.q8};
        ssw_cpu_quantize(worker, &q);
        ssw_cpu_barrier(worker);
    }
    ssw_cpu_moe(worker, a);
}

static double glu(const shape *s, double g, double u)
{
    if (s->glu == SSW_CPU_GLU_SILU)
        return g / (1 + exp(-g)) * u;
    g = fmin(g, 7);
    u = fmax(fmin(u, 7), -7);
    return g / (1 + exp(-1.702 * g)) * (u + 1);
}

/* Output of one expert for one token, and how far a kernel may be from it. */
typedef struct rounding {
    bool q8, q8_down, bf16;
} rounding;

static void run_expert(const shape *s, const layer *l, int e, const float *x, rounding how, double *out,
                       double *bound)
{
    float *hidden = malloc((size_t)s->n_ff * sizeof *hidden);
    double *slack = malloc((size_t)s->n_ff * sizeof *slack);
    for (int64_t r = 0; r < s->n_ff; r++) {
        const float *gate = l->gate.truth + (e * s->n_ff + r) * s->n_embd;
        const float *up = l->up.truth + (e * s->n_ff + r) * s->n_embd;
        double g =
            cpu_case_dot(gate, x, s->n_embd) + (l->gate_bias ? (double)l->gate_bias[e * s->n_ff + r] : 0);
        double u = cpu_case_dot(up, x, s->n_embd) + (l->up_bias ? (double)l->up_bias[e * s->n_ff + r] : 0);
        double dg = cpu_case_bound(gate, x, s->n_embd, how.q8), du = cpu_case_bound(up, x, s->n_embd, how.q8);
        dg += how.bf16 ? cpu_case_bf16_bound(gate, x, s->n_embd) : 0;
        du += how.bf16 ? cpu_case_bf16_bound(up, x, s->n_embd) : 0;
        hidden[r] = (float)glu(s, g, u);
        slack[r] = 0; /* the largest change at the corners of the box around (g, u) */
        for (int corner = 0; corner < 4; corner++) {
            double moved = glu(s, g + (corner & 1 ? dg : -dg), u + (corner & 2 ? du : -du));
            slack[r] = fmax(slack[r], fabs(moved - (double)hidden[r]));
        }
        slack[r] = 1.1 * slack[r] + 1e-5 * fabs((double)hidden[r]) + 1e-6;
    }
    for (int64_t o = 0; o < s->n_embd; o++) {
        const float *down = l->down.truth + (e * s->n_embd + o) * s->n_ff;
        out[o] = cpu_case_dot(down, hidden, s->n_ff) +
                 (l->down_bias ? (double)l->down_bias[e * s->n_embd + o] : 0);
        bound[o] = cpu_case_bound(down, hidden, s->n_ff, how.q8_down);
        bound[o] += how.bf16 ? cpu_case_bf16_bound(down, hidden, s->n_ff) : 0;
        for (int64_t r = 0; r < s->n_ff;
             r++) { /* a moved hidden value also moves its block's scale a little */
            bound[o] += fabs((double)down[r]) * slack[r];
            for (int64_t k = r / 32 * 32; how.q8_down && k < r / 32 * 32 + 32; k++)
                bound[o] += fabs((double)down[r]) * slack[k] / 254;
        }
    }
    free(hidden);
    free(slack);
}

static void check_output(const shape *s, const layer *l, const ssw_cpu_moe_args *args, ssw_cpu_isa isa)
{
    bool integers = isa != SSW_CPU_ISA_REFERENCE;
    rounding how = {.q8 = integers && s->dtype > SSW_DTYPE_F16 && s->dtype != SSW_DTYPE_BF16,
                    .q8_down = integers && s->down_dtype > SSW_DTYPE_F16 && s->down_dtype != SSW_DTYPE_BF16,
                    .bf16 = args->may_use_bf16};
    double *out = malloc(4 * (size_t)s->n_embd * sizeof *out), *bound = out + s->n_embd;
    double *sum = bound + s->n_embd, *slack = sum + s->n_embd;
    int64_t step = s->n > 10 ? 7 : 1; /* a sample of the tokens of large batches: the truth is slow */
    for (int64_t t = 0; t < s->n; t += step) {
        for (int64_t o = 0; o < s->n_embd; o++) {
            sum[o] = args->accumulate ? 2 : 0;
            slack[o] = 1e-5;
        }
        for (int j = 0; j < s->n_used; j++) {
            double weight = (double)args->weights[t * s->n_used + j];
            if (args->chosen[t * s->n_used + j] < 0)
                continue;
            run_expert(s, l, args->chosen[t * s->n_used + j], args->x.f32 + t * s->n_embd, how, out, bound);
            for (int64_t o = 0; o < s->n_embd; o++) {
                sum[o] += weight * out[o];
                slack[o] += weight * bound[o] + 1e-6 * fabs(weight * out[o]);
            }
        }
        for (int64_t o = 0; o < s->n_embd; o++) {
            double got = (double)args->out[t * args->out_stride + o];
            if (!(fabs(got - sum[o]) <= slack[o]))
                fail_msg("%s, token %d of %d, row %d: %g, not %g (within %g)", ssw_cpu_isa_name(isa), (int)t,
                         (int)s->n, (int)o, got, sum[o], slack[o]);
        }
    }
    free(out);
}

static void fill_with(float *out, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = value;
}

/* args.out holds what c's workers made of an output full of twos: another number of workers makes the same,
 * bit by bit. */
static void check_other_workers(const cpu_case *c, const shape *s, ssw_cpu_moe_args args, cpu_case_bf16 bf16)
{
    const float *want = args.out;
    float *out = test_malloc((size_t)(s->n * s->n_embd) * sizeof *out);
    cpu_case other;
    assert_true(cpu_case_open(&other, c->isa, ssw_pool_threads(c->pool) % CASE_THREADS + 1));
    assert_true(bf16 == CASE_BF16_NONE || cpu_case_take_bf16(&other, bf16));
    fill_with(out, s->n * s->n_embd, 2);
    args.out = out;
    cpu_case_run(&other, moe_op, &args);
    assert_memory_equal(out, want, (size_t)(s->n * s->n_embd) * sizeof *out);
    cpu_case_close(&other);
    test_free(out);
}

/* The same products where bf16 is allowed. It must be taken by some group when one has enough pairs for it,
 * and not where it is not allowed. out: as the integers made it. */
static void check_bf16(cpu_case *c, const shape *s, const layer *l, ssw_cpu_moe_args args)
{
    const float *integers = args.out;
    float *out = test_malloc((size_t)(s->n * s->n_embd) * sizeof *out);
    size_t n_bytes = (size_t)(s->n * s->n_embd) * sizeof *out;
    for (int which = CASE_BF16_AMX; which < CASE_BF16_COUNT; which++) {
        if (!cpu_case_take_bf16(c, (cpu_case_bf16)which))
            continue;
        args.out = out;
        for (int allowed = 0; allowed < 2; allowed++) {
            fill_with(out, s->n * s->n_embd, 2);
            args.may_use_bf16 = allowed;
            cpu_case_run(c, moe_op, &args);
            check_output(s, l, &args, c->isa);
            check_other_workers(c, s, args, (cpu_case_bf16)which);
            bool differs = memcmp(out, integers, n_bytes) != 0;
            assert_true(differs == (allowed && s->takes_bf16));
        }
    }
    test_free(out);
}

/* The last expert is never chosen; the first by half of the tokens. Every fourth token has a choice that is
 * somebody else's. */
static void choose(const shape *s, int32_t *chosen, float *weights)
{
    uint32_t state = 11;
    for (int64_t t = 0; t < s->n; t++) {
        int n_live = s->n_experts > 1 ? s->n_experts - 1 : 1;
        int start = t % 2 ? 0 : (int)(cpu_case_random(&state) % (uint32_t)n_live);
        for (int j = 0; j < s->n_used; j++) {
            bool is_others = j > 0 && j + 1 == s->n_used && t % 4 == 3;
            chosen[t * s->n_used + j] = is_others ? -1 : (start + j) % n_live;
            weights[t * s->n_used + j] = 0.1f + 0.2f * (float)j;
        }
    }
}

static void check_shape(const shape *s)
{
    uint64_t scratch_bytes = ssw_cpu_moe_scratch_bytes(s->n, s->n_used, s->n_ff, s->n_embd);
    uint64_t q8_bytes = ssw_cpu_q8_row_bytes(s->n_embd) * (uint64_t)s->n;
    layer l = {.gate = cpu_weights_make(s->dtype, s->n_ff, s->n_embd, s->n_experts, 1),
               .up = cpu_weights_make(s->dtype, s->n_ff, s->n_embd, s->n_experts, 2),
               .down = cpu_weights_make(s->down_dtype, s->n_embd, s->n_ff, s->n_experts, 3)};
    if (s->glu == SSW_CPU_GLU_SILU_CLAMPED) {
        l.gate_bias = cpu_case_floats(s->n_experts * s->n_ff, 4);
        l.up_bias = cpu_case_floats(s->n_experts * s->n_ff, 5);
        l.down_bias = cpu_case_floats(s->n_experts * s->n_embd, 6);
    }
    float *x = cpu_case_floats(s->n * s->n_embd, 8);
    int32_t *chosen = test_malloc((size_t)(s->n * s->n_used) * sizeof *chosen);
    float *weights = test_malloc((size_t)(s->n * s->n_used) * sizeof *weights);
    float *out = test_malloc((size_t)(s->n * s->n_embd) * sizeof *out);
    choose(s, chosen, weights);
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        cpu_case c;
        if (!cpu_case_open(&c, (ssw_cpu_isa)isa, 1 + (int)(s->n + isa) % CASE_THREADS))
            continue;
        void *scratch = ssw_cpu_memory_alloc(scratch_bytes),
             *q8 = q8_bytes ? ssw_cpu_memory_alloc(q8_bytes) : NULL;
        memset(scratch, 0xee, scratch_bytes);
        fill_with(out, s->n * s->n_embd, 2);
        ssw_cpu_moe_args args = {.gate = &l.gate.m,
                                 .up = &l.up.m,
                                 .down = &l.down.m,
                                 .gate_bias = l.gate_bias,
                                 .up_bias = l.up_bias,
                                 .down_bias = l.down_bias,
                                 .glu = s->glu,
                                 .glu_alpha = 1.702f,
                                 .glu_limit = 7,
                                 .x = {x, s->n_embd, q8},
                                 .n = s->n,
                                 .n_used = s->n_used,
                                 .chosen = chosen,
                                 .weights = weights,
                                 .out = out,
                                 .out_stride = s->n_embd,
                                 .accumulate = s->n % 2 == 0,
                                 .scratch = scratch};
        cpu_case_run(&c, moe_op, &args);
        check_output(s, &l, &args, (ssw_cpu_isa)isa);
        check_other_workers(&c, s, args, CASE_BF16_NONE);
        check_bf16(&c, s, &l, args);
        if (s->n > 1 && !args.accumulate) { /* a token alone, bit for bit */
            float *alone = test_malloc((size_t)s->n_embd * sizeof *alone);
            args.n = 1;
            args.out = alone;
            cpu_case_run(&c, moe_op, &args);
            assert_memory_equal(alone, out, (size_t)s->n_embd * sizeof *alone);
            test_free(alone);
        }
        ssw_cpu_memory_free(scratch, scratch_bytes);
        ssw_cpu_memory_free(q8, q8_bytes);
        cpu_case_close(&c);
    }
    cpu_weights_free(&l.gate);
    cpu_weights_free(&l.up);
    cpu_weights_free(&l.down);
    if (l.gate_bias) {
        test_free(l.gate_bias);
        test_free(l.up_bias);
        test_free(l.down_bias);
    }
    test_free(x);
    test_free(chosen);
    test_free(weights);
    test_free(out);
}

static void experts_of_every_shape(void **state)
{
    static const shape shapes[] = {
        {64, 96, 1, 4, 2, SSW_DTYPE_MXFP4, SSW_DTYPE_MXFP4, SSW_CPU_GLU_SILU_CLAMPED, false},
        {96, 64, 3, 7, 4, SSW_DTYPE_MXFP4, SSW_DTYPE_MXFP4, SSW_CPU_GLU_SILU_CLAMPED, false},
        {64, 64, 17, 5, 3, SSW_DTYPE_MXFP4, SSW_DTYPE_MXFP4, SSW_CPU_GLU_SILU_CLAMPED, false},
        {64, 160, 49, 6, 4, SSW_DTYPE_MXFP4, SSW_DTYPE_Q8_0, SSW_CPU_GLU_SILU, true},
        {32, 64, 128, 16, 2, SSW_DTYPE_Q8_0, SSW_DTYPE_Q4_0, SSW_CPU_GLU_SILU_CLAMPED, true},
        {544, 64, 75, 5, 2, SSW_DTYPE_Q4_0, SSW_DTYPE_MXFP4, SSW_CPU_GLU_SILU_CLAMPED,
         true}, /* chunks of columns */
        {32, 1056, 40, 3, 2, SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_0, SSW_CPU_GLU_SILU, true},
        {32, 64, 290, 1, 1, SSW_DTYPE_MXFP4, SSW_DTYPE_Q8_0, SSW_CPU_GLU_SILU,
         true}, /* more than one pass of pairs */
        {160, 32, 5, 3, 1, SSW_DTYPE_Q4_0, SSW_DTYPE_Q4_0, SSW_CPU_GLU_SILU, false},
        {64, 96, 9, 1, 1, SSW_DTYPE_Q8_0, SSW_DTYPE_Q8_0, SSW_CPU_GLU_SILU, false}, /* a dense layer */
        {40, 48, 7, 5, 2, SSW_DTYPE_F16, SSW_DTYPE_BF16, SSW_CPU_GLU_SILU_CLAMPED, false},
        {33, 37, 21, 4, 3, SSW_DTYPE_F32, SSW_DTYPE_F32, SSW_CPU_GLU_SILU, false},
        {64, 40, 31, 4, 3, SSW_DTYPE_Q8_0, SSW_DTYPE_F16, SSW_CPU_GLU_SILU, false},
        {37, 64, 31, 4, 3, SSW_DTYPE_F32, SSW_DTYPE_Q4_0, SSW_CPU_GLU_SILU, false},
        {256, 256, 3, 4, 2, SSW_DTYPE_Q4_K, SSW_DTYPE_Q6_K, SSW_CPU_GLU_SILU, false}, /* as in Q4_K_M */
        {256, 96, 49, 4, 2, SSW_DTYPE_Q5_K, SSW_DTYPE_Q5_1, SSW_CPU_GLU_SILU,
         true}, /* Q5_K_M, narrow experts */
        {256, 512, 1, 3, 2, SSW_DTYPE_Q2_K, SSW_DTYPE_Q3_K, SSW_CPU_GLU_SILU, false},
        {512, 64, 21, 4, 3, SSW_DTYPE_Q3_K, SSW_DTYPE_IQ4_NL, SSW_CPU_GLU_SILU_CLAMPED, false},
        {256, 256, 7, 4, 3, SSW_DTYPE_IQ4_XS, SSW_DTYPE_Q5_K, SSW_CPU_GLU_SILU, false},
        {96, 256, 5, 4, 3, SSW_DTYPE_Q5_0, SSW_DTYPE_IQ4_XS, SSW_CPU_GLU_SILU, false},
        {64, 96, 9, 4, 3, SSW_DTYPE_Q4_1, SSW_DTYPE_Q5_0, SSW_CPU_GLU_SILU, false},
        {256, 256, 4, 4, 3, SSW_DTYPE_Q6_K, SSW_DTYPE_Q4_K, SSW_CPU_GLU_SILU, false},
        {96, 256, 2, 4, 3, SSW_DTYPE_Q5_1, SSW_DTYPE_Q2_K, SSW_CPU_GLU_SILU, false},
        {64, 32, 2, 4, 3, SSW_DTYPE_IQ4_NL, SSW_DTYPE_Q4_1, SSW_CPU_GLU_SILU, false},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape(&shapes[i]);
}

static void route_op(ssw_cpu_worker *worker, const void *args)
{
    ssw_cpu_route(worker, args);
}

static void routes_as_written_out_by_hand(void **state)
{
    /* e^0 = 1, e^ln 2 = 2, ... : the softmax of log n is n over the sum */
    const float logits[2][5] = {{logf(3), logf(1), logf(4), logf(4), logf(2)}, {0, 0, 0, 0, 0}};
    int32_t chosen[6];
    float weights[6];
    cpu_case c;
    assert_true(cpu_case_open(&c, SSW_CPU_ISA_GENERIC, 2));
    ssw_cpu_route_args args = {.logits = &logits[0][0],
                               .logits_stride = 5,
                               .n = 2,
                               .n_experts = 5,
                               .n_used = 3,
                               .kind = SSW_CPU_ROUTE_TOPK_SOFTMAX,
                               .scale = 1,
                               .chosen = chosen,
                               .weights = weights};
    const int32_t want[6] = {2, 3, 0, 0, 1, 2};
    cpu_case_run(&c, route_op, &args);
    assert_memory_equal(chosen, want, sizeof want);
    assert_float_equal(weights[0], 4.0 / 11, 1e-6);
    assert_float_equal(weights[2], 3.0 / 11, 1e-6);
    assert_float_equal(weights[5], 1.0 / 3, 1e-6);
    args.kind = SSW_CPU_ROUTE_SOFTMAX_TOPK;
    cpu_case_run(&c, route_op, &args);
    assert_memory_equal(chosen, want, sizeof want);
    assert_float_equal(weights[0], 4.0 / 14, 1e-6);
    assert_float_equal(weights[2], 3.0 / 14, 1e-6);
    assert_float_equal(weights[5], 1.0 / 5, 1e-6);
    args.renormalise = true;
    args.scale = 2;
    cpu_case_run(&c, route_op, &args);
    assert_float_equal(weights[0], 8.0 / 11, 1e-6);
    cpu_case_close(&c);
}

/* Two groups of three; the sigmoid of log n is n / (n + 1). */
static void sigmoid_as_written_out_by_hand(void **state)
{
    const float logits[6] = {logf(9), logf(1), logf(1), logf(4), logf(4), logf(3)};
    const float bias[6] = {0, 0, 0, 0, 0, 0.06f};
    int32_t chosen[2];
    float weights[2];
    cpu_case c;
    assert_true(cpu_case_open(&c, SSW_CPU_ISA_GENERIC, 1));
    ssw_cpu_route_args args = {.logits = logits,
                               .logits_stride = 6,
                               .n = 1,
                               .n_experts = 6,
                               .n_used = 2,
                               .kind = SSW_CPU_ROUTE_SIGMOID,
                               .scale = 1,
                               .chosen = chosen,
                               .weights = weights};
    cpu_case_run(&c, route_op, &args);
    assert_true(chosen[0] == 0 && chosen[1] == 3); /* of equals the lower number */
    assert_float_equal(weights[0], 0.9, 1e-6);
    assert_float_equal(weights[1], 0.8, 1e-6);
    args.bias = bias; /* 0.75 + 0.06 passes 0.8, but weighs 0.75 */
    args.renormalise = true;
    args.scale = 2.5f;
    cpu_case_run(&c, route_op, &args);
    assert_true(chosen[0] == 0 && chosen[1] == 5);
    assert_float_equal(weights[0], 2.5 * 0.9 / 1.65, 1e-6);
    assert_float_equal(weights[1], 2.5 * 0.75 / 1.65, 1e-6);
    args.n_groups = 2; /* 0.9 + 0.5 against 0.81 + 0.8 */
    args.n_groups_used = 1;
    cpu_case_run(&c, route_op, &args);
    assert_true(chosen[0] == 5 && chosen[1] == 3);
    cpu_case_close(&c);
}

/* Windows of 2 per cent, worked out by hand: a positive and a negative row, and ties. */
static void sparsemixer_as_written_out_by_hand(void **state)
{
    const float logits[3][5] = {
        {9.9f, 5, 10, 9.75f, -10}, /* 10: only 9.9 within 0.2; then 9.9: 9.75 within 0.198 */
        {-10.1f, -10, -10.5f, -30,
         0} /* 0: 0/0 counts as within, the others are 1 away; then -10: 10.1, not 10.5 */,
        {3, 3, 3, 1, 1}};
    const int32_t want[6] = {2, 0, 4, 1, 0, 1};
    const double want_weights[6] = {
        1 / (1 + exp(-0.1)), 1 / (1 + exp(-0.15)), 1, 1 / (1 + exp(-0.1)), 1.0 / 3, 1.0 / 2};
    int32_t chosen[6];
    float weights[6];
    cpu_case c;
    assert_true(cpu_case_open(&c, SSW_CPU_ISA_GENERIC, 2));
    ssw_cpu_route_args args = {.logits = &logits[0][0],
                               .logits_stride = 5,
                               .n = 3,
                               .n_experts = 5,
                               .n_used = 2,
                               .kind = SSW_CPU_ROUTE_SPARSEMIXER,
                               .jitter = 0.01f,
                               .scale = 1,
                               .chosen = chosen,
                               .weights = weights};
    cpu_case_run(&c, route_op, &args);
    assert_memory_equal(chosen, want, sizeof want);
    for (int i = 0; i < 6; i++)
        assert_float_equal(weights[i], want_weights[i], 1e-6);
    cpu_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_of_every_shape),
        cmocka_unit_test(routes_as_written_out_by_hand),
        cmocka_unit_test(sigmoid_as_written_out_by_hand),
        cmocka_unit_test(sparsemixer_as_written_out_by_hand),
    };
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
