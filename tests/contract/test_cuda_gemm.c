/* The GPU's products with many tokens against dequantised weights (src/quant, bit-exact with ggml) times the
 * quantised activations, in double. The integer products are exact and float weights are made of tf32 pieces,
 * so that only sums and scales round: 4e-6 of sum |w x|, as for the CPU's kernels.
 *
 * Argument "small": without the largest, for the stand-in, which takes long for them. */
#include "cuda_test_memory.h"

#include <math.h>

#include "../cpu/cpu_case.h"

enum { CHECKS_MAX = 6000, GUARD = 3 };

/* cols, or the next width that the type can have. */
static int64_t width(ssw_dtype dtype, int64_t cols)
{
    int64_t block = ssw_dtype_find((uint32_t)dtype)->block_elements;
    return (cols + block - 1) / block * block;
}

static ssw_cuda_matrix put_matrix(const ssw_cpu_matrix *m)
{
    return (ssw_cuda_matrix){.dtype = m->dtype,
                             .rows = m->rows,
                             .cols = m->cols,
                             .n_matrices = (int32_t)m->n_matrices,
                             .band_bytes = m->band_bytes,
                             .matrix_bytes = m->matrix_bytes,
                             .data = cuda_test_put(m->data, m->n_bytes)};
}

static void free_matrix(ssw_cuda_matrix *m)
{
    ssw_cuda_free((void *)(uintptr_t)m->data);
}

/* Activations of which only the form is there that the weights take. */
typedef struct operand {
    float *x; /* the values that count */
    ssw_cuda_acts device;
} operand;

static operand make_operand(ssw_dtype dtype, int64_t n, uint32_t seed)
{
    operand out = {cpu_case_floats(n, seed), {0}};
    if (ssw_kernels_dtype_is_float(dtype)) {
        out.device.f32 = cuda_test_put(out.x, (uint64_t)n * sizeof(float));
        return out;
    }
    cuda_test_acts acts = cuda_test_quantize(out.x, n);
    memcpy(out.x, acts.rounded, (size_t)n * sizeof(float));
    out.device.q = cuda_test_put(acts.q, (uint64_t)n);
    out.device.q_scales = cuda_test_put(acts.q_scales, (uint64_t)n / 4);
    cuda_test_acts_free(&acts);
    return out;
}

static void free_operand(operand *o)
{
    test_free(o->x);
    ssw_cuda_free(o->device.f32);
    ssw_cuda_free(o->device.q);
    ssw_cuda_free(o->device.q_scales);
}

/* ---- ssw_cuda_gemm ---- */

typedef struct shape {
    int64_t rows, cols;
    int32_t n;
} shape;

static void check_product(ssw_dtype dtype, shape s, bool accumulate)
{
    cpu_weights w = cpu_weights_make(dtype, s.rows, s.cols, 2, 7);
    operand x = make_operand(dtype, s.n * s.cols, 11);
    int64_t stride = s.rows + GUARD;
    float *bias = cpu_case_floats(s.rows, 13), *before = cpu_case_floats(s.n * stride, 17);
    ssw_cuda_product_args args = {.w = put_matrix(&w.m),
                                  .index = 1,
                                  .x = x.device,
                                  .n = s.n,
                                  .bias = accumulate ? NULL : cuda_test_put(bias, (uint64_t)s.rows * 4),
                                  .out = cuda_test_put(before, (uint64_t)(s.n * stride) * 4),
                                  .out_stride = stride,
                                  .accumulate = accumulate};
    ssw_cuda_gemm(NULL, &args);
    float *out = cuda_test_get(args.out, (uint64_t)(s.n * stride) * 4);
    uint32_t state = 19;
    int64_t n_all = s.n * s.rows;
    for (int64_t i = 0; i < (n_all < CHECKS_MAX ? n_all : CHECKS_MAX); i++) {
        int64_t at = n_all < CHECKS_MAX ? i : (int64_t)cpu_case_random(&state) % n_all, t = at / s.rows,
                r = at % s.rows;
        const float *row = w.truth + (s.rows + r) * s.cols, *xt = x.x + t * s.cols;
        double add = (double)(accumulate ? before[t * stride + r] : bias[r]),
               wanted = add + cpu_case_dot(row, xt, s.cols);
        double bound = cpu_case_bound(row, xt, s.cols, false) + 1e-6 * fabs(add);
        if (!(fabs((double)out[t * stride + r] - wanted) <= bound))
            fail_msg("type %d, %lld x %lld, token %lld of %d, row %lld: %.9g, not %.9g (bound %.3g)",
                     (int)dtype, (long long)s.rows, (long long)s.cols, (long long)t, s.n, (long long)r,
                     (double)out[t * stride + r], wanted, bound);
    }
    for (int64_t t = 0; t < s.n; t++) {
        assert_memory_equal(out + t * stride + s.rows, before + t * stride + s.rows, GUARD * sizeof(float));
        for (int64_t r = 0; r < s.rows; r++)
            assert_true(isfinite(out[t * stride + r]));
    }
    free(out);
    test_free(bias);
    test_free(before);
    ssw_cuda_free((void *)(uintptr_t)args.bias);
    ssw_cuda_free(args.out);
    free_matrix(&args.w);
    free_operand(&x);
    cpu_weights_free(&w);
}

static bool leaves_large_out;

static void products_agree(void **state)
{
    (void)state;
    const int64_t small_max = INT64_C(1) << 27; /* products */
    static const shape shapes[] = {{16, 32, 9},      {40, 64, 17},    {1, 96, 33},
                                   {200, 1408, 27},  {130, 5760, 50}, {512, 2880, 64},
                                   {4000, 640, 300}, {7700, 32, 130}, {1040, 2880, 700}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        bool is_large = shapes[i].rows * shapes[i].cols * shapes[i].n > small_max;
        for (int d = 0; d < CASE_TYPES && !(is_large && leaves_large_out); d++) {
            shape s = shapes[i];
            s.cols = width(cpu_case_types[d], s.cols);
            check_product(cpu_case_types[d], s, (i + (size_t)d) % 2 == 0);
        }
    }
}

/* ---- experts ---- */

typedef struct expert_case {
    ssw_dtype up, down;
    int64_t n_embd, n_ff;
    int32_t n_experts, n_used, n;
    ssw_cuda_glu_kind glu;
    int32_t absent; /* an expert whose table entries are NULL, or -1 */
} expert_case;

/* Pairs sorted by expert; the first experts are chosen most, and expert 1 of more than two by nobody. */
static void sort_pairs(const expert_case *c, int32_t *first, int32_t *pair, int32_t *expert_of)
{
    uint32_t state = 23;
    int32_t n_pairs = c->n * c->n_used, at = 0;
    for (int32_t p = 0; p < n_pairs; p++) {
        uint32_t a = cpu_case_random(&state) % (uint32_t)c->n_experts,
                 b = cpu_case_random(&state) % (uint32_t)c->n_experts;
        expert_of[p] = (int32_t)(a < b ? a : b);
        if (expert_of[p] == 1 && c->n_experts > 2)
            expert_of[p] = 0;
    }
    for (int32_t e = 0; e < c->n_experts; e++) {
        first[e] = at;
        for (int32_t p = 0; p < n_pairs; p++) {
            if (expert_of[p] == e)
                pair[at++] = p;
        }
    }
    first[c->n_experts] = at;
}

/* A table on the device of where the experts' matrices lie, in reverse order of memory, one of them absent.
 */
static void scatter_matrix(ssw_cuda_matrix *m, const ssw_cpu_matrix *from, int32_t absent)
{
    int32_t n = m->n_matrices;
    const uint8_t **table = malloc((size_t)n * sizeof *table);
    uint8_t *reversed = malloc((size_t)from->n_bytes);
    assert_true(table && reversed);
    for (int32_t e = 0; e < n; e++) {
        memcpy(reversed + (uint64_t)(n - 1 - e) * from->matrix_bytes,
               from->data + (uint64_t)e * from->matrix_bytes, from->matrix_bytes);
        table[e] = e == absent ? NULL : m->data + (uint64_t)(n - 1 - e) * from->matrix_bytes;
    }
    assert_int_equal(ssw_cuda_copy_to_device((void *)(uintptr_t)m->data, reversed, from->n_bytes, NULL),
                     SSW_OK);
    m->table = cuda_test_put(table, (uint64_t)n * sizeof *table);
    free(table);
    free(reversed);
}

static double glu(const expert_case *c, double gate, double up, double alpha, double limit)
{
    if (c->glu == SSW_CUDA_GLU_SILU)
        return gate / (1 + exp(-gate)) * up;
    gate = fmin(gate, limit);
    up = fmax(fmin(up, limit), -limit);
    return gate / (1 + exp(-alpha * gate)) * (up + 1);
}

/* Everything of one case: on the host, and the arguments on the device. */
typedef struct expert_data {
    const expert_case *c;
    cpu_weights gate, up, down;
    float *gate_bias, *up_bias, *down_bias;
    operand x;
    int32_t *first, *pair, *expert_of;
    ssw_cuda_experts experts;
    ssw_cuda_expert_gemm_args args;
} expert_data;

static void check_hidden(const expert_data *d, const float *hidden)
{
    const expert_case *c = d->c;
    uint32_t state = 29;
    for (int i = 0; i < CHECKS_MAX; i++) {
        int32_t at = (int32_t)(cpu_case_random(&state) % (uint32_t)(c->n * c->n_used)),
                e = d->expert_of[d->pair[at]];
        int64_t r = (int64_t)cpu_case_random(&state) % c->n_ff, row = e * c->n_ff + r;
        if (e == c->absent)
            continue;
        const float *xt = d->x.x + d->pair[at] / c->n_used * c->n_embd;
        const float *wg = d->gate.truth + row * c->n_embd, *wu = d->up.truth + row * c->n_embd;
        double gate = cpu_case_dot(wg, xt, c->n_embd) + (double)d->gate_bias[row];
        double up = cpu_case_dot(wu, xt, c->n_embd) + (double)d->up_bias[row];
        double gate_error = cpu_case_bound(wg, xt, c->n_embd, false) + 1e-6 * fabs(gate);
        double up_error = cpu_case_bound(wu, xt, c->n_embd, false) + 1e-6 * fabs(up);
        double wanted = glu(c, gate, up, (double)d->experts.glu_alpha, (double)d->experts.glu_limit);
        /* the activation's slope is below 1.2; fast exponentials err by some 2^-21 of it, times their
         * argument */
        double bound = 1.2 * gate_error * (fabs(up) + 1 + up_error) + up_error * fabs(gate) +
                       4e-6 * (1 + fabs(gate)) * fabs(wanted);
        double got = (double)hidden[at * c->n_ff + r];
        if (!(fabs(got - wanted) <= bound + 1e-12))
            fail_msg("type %d: hidden %d, row %lld: %.9g, not %.9g (bound %.3g)", (int)c->up, at,
                     (long long)r, got, wanted, bound);
    }
}

static void check_out(const expert_data *d, const float *hidden, const float *out)
{
    const expert_case *c = d->c;
    uint32_t state = 31;
    for (int i = 0; i < CHECKS_MAX; i++) {
        int32_t at = (int32_t)(cpu_case_random(&state) % (uint32_t)(c->n * c->n_used)), p = d->pair[at],
                e = d->expert_of[p];
        int64_t r = (int64_t)cpu_case_random(&state) % c->n_embd, row = e * c->n_embd + r;
        double got = (double)out[p * c->n_embd + r];
        if (e == c->absent) {
            assert_true(isnan(got)); /* left alone */
            continue;
        }
        const float *w = d->down.truth + row * c->n_ff, *h = hidden + at * c->n_ff;
        double wanted = cpu_case_dot(w, h, c->n_ff) + (double)d->down_bias[row];
        double bound = cpu_case_bound(w, h, c->n_ff, false) + 1e-6 * fabs(wanted);
        if (!(fabs(got - wanted) <= bound))
            fail_msg("type %d: pair %d, row %lld: %.9g, not %.9g (bound %.3g)", (int)c->down, p, (long long)r,
                     got, wanted, bound);
    }
}

static void open_case(expert_data *d, const expert_case *c)
{
    int64_t n_pairs = c->n * c->n_used;
    memset(d, 0, sizeof *d);
    d->c = c;
    d->gate = cpu_weights_make(c->up, c->n_ff, c->n_embd, c->n_experts, 1);
    d->up = cpu_weights_make(c->up, c->n_ff, c->n_embd, c->n_experts, 2);
    d->down = cpu_weights_make(c->down, c->n_embd, c->n_ff, c->n_experts, 3);
    d->gate_bias = cpu_case_floats(c->n_experts * c->n_ff, 4);
    d->up_bias = cpu_case_floats(c->n_experts * c->n_ff, 5);
    d->down_bias = cpu_case_floats(c->n_experts * c->n_embd, 6);
    d->x = make_operand(c->up, c->n * c->n_embd, 8);
    d->first = malloc((size_t)(c->n_experts + 1) * 4);
    d->pair = malloc((size_t)n_pairs * 4);
    d->expert_of = malloc((size_t)n_pairs * 4);
    assert_true(d->first && d->pair && d->expert_of);
    sort_pairs(c, d->first, d->pair, d->expert_of);
    d->experts =
        (ssw_cuda_experts){.gate = put_matrix(&d->gate.m),
                           .up = put_matrix(&d->up.m),
                           .down = put_matrix(&d->down.m),
                           .gate_bias = cuda_test_put(d->gate_bias, (uint64_t)(c->n_experts * c->n_ff) * 4),
                           .up_bias = cuda_test_put(d->up_bias, (uint64_t)(c->n_experts * c->n_ff) * 4),
                           .down_bias = cuda_test_put(d->down_bias, (uint64_t)(c->n_experts * c->n_embd) * 4),
                           .bias_stride = c->n_ff,
                           .glu = c->glu,
                           .glu_alpha = 1.702f,
                           .glu_limit = 7};
    if (c->absent >= 0) {
        scatter_matrix(&d->experts.gate, &d->gate.m, c->absent);
        scatter_matrix(&d->experts.up, &d->up.m, c->absent);
        scatter_matrix(&d->experts.down, &d->down.m, c->absent);
    }
    d->args = (ssw_cuda_expert_gemm_args){
        .experts = &d->experts,
        .pairs = {cuda_test_put(d->first, (uint64_t)(c->n_experts + 1) * 4),
                  cuda_test_put(d->pair, (uint64_t)n_pairs * 4), (int32_t)n_pairs, c->n_used, c->n_experts},
        .expert_begin = 0,
        .expert_end = c->n_experts,
        .max_pairs_per_expert = (int32_t)n_pairs,
        .x = d->x.device,
        .hidden = {cuda_test_put(NULL, (uint64_t)(n_pairs * c->n_ff) * 4), NULL, NULL},
        .out = cuda_test_put(NULL, (uint64_t)(n_pairs * c->n_embd) * 4)};
    if (!ssw_kernels_dtype_is_float(c->down)) {
        d->args.hidden.q = cuda_test_put(NULL, (uint64_t)(n_pairs * c->n_ff));
        d->args.hidden.q_scales = cuda_test_put(NULL, (uint64_t)(n_pairs * c->n_ff) / 4);
    }
}

static void close_matrix(ssw_cuda_matrix *m)
{
    ssw_cuda_free((void *)(uintptr_t)m->table);
    free_matrix(m);
}

static void close_case(expert_data *d)
{
    cpu_weights_free(&d->gate);
    cpu_weights_free(&d->up);
    cpu_weights_free(&d->down);
    close_matrix(&d->experts.gate);
    close_matrix(&d->experts.up);
    close_matrix(&d->experts.down);
    const void *buffers[] = {d->experts.gate_bias, d->experts.up_bias,      d->experts.down_bias,
                             d->args.pairs.first,  d->args.pairs.pair,      d->args.hidden.f32,
                             d->args.hidden.q,     d->args.hidden.q_scales, d->args.out};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ssw_cuda_free((void *)(uintptr_t)buffers[i]);
    float *floats[] = {d->gate_bias, d->up_bias, d->down_bias};
    for (int i = 0; i < 3; i++)
        test_free(floats[i]);
    free_operand(&d->x);
    free(d->first);
    free(d->pair);
    free(d->expert_of);
}

/* Returns hidden as the next product sees it; the caller frees. */
static float *check_all_hidden(const expert_data *d)
{
    const expert_case *c = d->c;
    int64_t n_pairs = c->n * c->n_used, n = n_pairs * c->n_ff;
    float *hidden = cuda_test_get(d->args.hidden.f32, (uint64_t)n * 4);
    check_hidden(d, hidden);
    if (!d->args.hidden.q)
        return hidden;
    int8_t *q = cuda_test_get(d->args.hidden.q, (uint64_t)n);
    float *scales = cuda_test_get(d->args.hidden.q_scales, (uint64_t)n / 4);
    for (int64_t i = 0; i < n_pairs; i++) {
        if (d->expert_of[d->pair[i]] == c->absent)
            continue;
        cuda_test_check_q8(hidden + i * c->n_ff, q + i * c->n_ff, scales + i * c->n_ff / 16, c->n_ff);
        for (int64_t r = 0; r < c->n_ff; r++)
            hidden[i * c->n_ff + r] = (float)q[i * c->n_ff + r] * scales[(i * c->n_ff + r) / 32 * 2];
    }
    free(q);
    free(scales);
    return hidden;
}

/* Ranges of experts one after the other, as streaming does. */
static void run_case(const expert_case *c)
{
    expert_data d;
    int64_t n_pairs = c->n * c->n_used;
    open_case(&d, c);
    for (int32_t e = 0; e < c->n_experts; e += 3) {
        d.args.expert_begin = e;
        d.args.expert_end = e + 3 < c->n_experts ? e + 3 : c->n_experts;
        ssw_cuda_expert_gemm_up(NULL, &d.args);
        ssw_cuda_expert_gemm_down(NULL, &d.args);
    }
    float *hidden = check_all_hidden(&d);
    float *out = cuda_test_get(d.args.out, (uint64_t)(n_pairs * c->n_embd) * 4);
    check_out(&d, hidden, out);
    d.args.expert_begin = 0;
    d.args.accumulate = true;
    ssw_cuda_expert_gemm_down(NULL, &d.args);
    float *twice = cuda_test_get(d.args.out, (uint64_t)(n_pairs * c->n_embd) * 4);
    for (int64_t i = 0; i < n_pairs * c->n_embd; i++) {
        if (d.expert_of[i / c->n_embd] != c->absent)
            assert_true(twice[i] == 2 * out[i]);
    }
    free(twice);
    free(hidden);
    free(out);
    close_case(&d);
}

/* ---- listed rows ---- */

static const uint8_t *band_at(const ssw_cuda_matrix *m, int32_t expert, int32_t row)
{
    return m->data + (uint64_t)expert * m->matrix_bytes +
           (uint64_t)(row / SSW_CUDA_BAND_ROWS) * m->band_bytes;
}

/* All of an expert's rows in pieces of at most so many, the last first. matrices: NULL where one is left out.
 */
static int32_t list_rows(const expert_data *d, int32_t expert, int32_t n_rows, int32_t at_once,
                         const ssw_cuda_matrix *const matrices[2], ssw_cuda_expert_rows *out)
{
    int32_t n = 0;
    for (int32_t first = (n_rows - 1) / at_once * at_once; first >= 0; first -= at_once) {
        ssw_cuda_expert_rows *rows = &out[n++];
        *rows = (ssw_cuda_expert_rows){.expert = expert,
                                       .n_pairs = d->first[expert + 1] - d->first[expert],
                                       .first_row = first,
                                       .n_rows = n_rows - first < at_once ? n_rows - first : at_once};
        for (int i = 0; i < 2; i++)
            rows->at[i] = matrices[i] ? band_at(matrices[i], expert, first) : NULL;
    }
    return n;
}

/* Which of down's two matrices the expert's rows are listed with. */
static bool has_part(int32_t expert, int which)
{
    return expert % 3 != 2 - which;
}

static void check_listed_out(const expert_data *d, const cpu_weights parts[2], const float *hidden,
                             const float *out)
{
    const expert_case *c = d->c;
    uint32_t state = 37;
    for (int i = 0; i < CHECKS_MAX; i++) {
        int32_t at = (int32_t)(cpu_case_random(&state) % (uint32_t)(c->n * c->n_used)), p = d->pair[at],
                e = d->expert_of[p];
        int64_t r = (int64_t)cpu_case_random(&state) % c->n_embd, row = e * c->n_embd + r, col = 0;
        double got = (double)out[p * c->n_embd + r], wanted = 0, bound = 0;
        for (int which = 0; which < 2; which++) {
            int64_t cols = parts[which].m.cols;
            const float *w = parts[which].truth + row * cols, *h = hidden + at * c->n_ff + col;
            col += cols;
            if (!has_part(e, which))
                continue;
            wanted += cpu_case_dot(w, h, cols) + (which == 0 ? (double)d->down_bias[row] : 0);
            bound += cpu_case_bound(w, h, cols, false);
        }
        if (!(fabs(got - wanted) <= bound + 1e-6 * fabs(wanted)))
            fail_msg("type %d: listed pair %d, row %lld: %.9g, not %.9g (bound %.3g)", (int)c->down, p,
                     (long long)r, got, wanted, bound);
    }
}

/* c's down is left out: there are two of them, with `own` columns and the others. */
static void run_listed_case(const expert_case *c, int64_t own)
{
    expert_data d;
    open_case(&d, c);
    cpu_weights parts[2] = {cpu_weights_make(c->down, c->n_embd, own, c->n_experts, 13),
                            cpu_weights_make(c->down, c->n_embd, c->n_ff - own, c->n_experts, 14)};
    ssw_cuda_matrix matrices[2] = {put_matrix(&parts[0].m), put_matrix(&parts[1].m)};
    const ssw_cuda_matrix *const up[2] = {&d.experts.gate, &d.experts.up};
    ssw_cuda_matrix down = d.experts.down;
    ssw_cuda_expert_rows listed[SSW_CUDA_EXPERT_ROWS_MAX];
    d.args.listed = listed;
    d.experts.down = matrices[0];
    d.args.down_after = matrices[1];
    for (int32_t e = 0; e < c->n_experts; e++) {
        d.args.n_listed = list_rows(&d, e, (int32_t)c->n_ff, SSW_CUDA_EXPERT_TILE_ROWS, up, listed);
        ssw_cuda_expert_gemm_up(NULL, &d.args);
    }
    d.args.n_listed = 0;
    for (int32_t e = 0; e < c->n_experts; e++) { /* several experts a launch */
        const ssw_cuda_matrix *const of_e[2] = {has_part(e, 0) ? &matrices[0] : NULL,
                                                has_part(e, 1) ? &matrices[1] : NULL};
        d.args.n_listed += list_rows(&d, e, (int32_t)c->n_embd, 2 * SSW_CUDA_EXPERT_TILE_ROWS, of_e,
                                     listed + d.args.n_listed);
    }
    ssw_cuda_expert_gemm_down(NULL, &d.args);
    float *hidden = check_all_hidden(&d);
    float *out = cuda_test_get(d.args.out, (uint64_t)(c->n * c->n_used * c->n_embd) * 4);
    check_listed_out(&d, parts, hidden, out);
    free(hidden);
    free(out);
    for (int i = 0; i < 2; i++) {
        free_matrix(&matrices[i]);
        cpu_weights_free(&parts[i]);
    }
    d.experts.down = down;
    close_case(&d);
}

static void listed_rows_agree(void **state)
{
    (void)state;
    for (int i = 0; i < CASE_TYPES; i++) {
        ssw_dtype up = cpu_case_types[i], down = cpu_case_types[CASE_TYPES - 1 - i];
        int64_t own = width(down, 96), rest = width(down, 64);
        run_listed_case(
            &(expert_case){up, down, width(up, 288), own + rest, 6, 3, 90, SSW_CUDA_GLU_SILU_CLAMPED, -1},
            own);
    }
}

static void experts_agree(void **state)
{
    (void)state;
    for (int i = 0; i < CASE_TYPES; i++) {
        ssw_dtype up = cpu_case_types[i], down = cpu_case_types[CASE_TYPES - 1 - i];
        run_case(&(expert_case){up, up, width(up, 96), width(up, 160), 5, 2, 150, SSW_CUDA_GLU_SILU, -1});
        run_case(&(expert_case){up, down, width(up, 224), width(down, 1408), 7, 3, 40,
                                SSW_CUDA_GLU_SILU_CLAMPED, 2});
    }
    if (!leaves_large_out)
        run_case(&(expert_case){SSW_DTYPE_MXFP4, SSW_DTYPE_MXFP4, 2880, 2880, 3, 1, 400,
                                SSW_CUDA_GLU_SILU_CLAMPED, -1});
    run_case(&(expert_case){SSW_DTYPE_Q8_0, SSW_DTYPE_Q4_0, 64, 32, 70, 6, 30, SSW_CUDA_GLU_SILU, 40});
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_agree), cmocka_unit_test(experts_agree),
                                       cmocka_unit_test(listed_rows_agree)};
    leaves_large_out = argc > 1 && strcmp(argv[1], "small") == 0;
    cuda_test_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
