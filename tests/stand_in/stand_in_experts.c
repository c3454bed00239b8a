/* The stand-in's experts: hidden layers pair by pair, then their sums. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in_math.h"
#include "stand_in_parts.h"

static float *floats(int64_t n)
{
    float *out = malloc((size_t)n * sizeof *out);
    if (!out)
        stand_in_end("no memory for %lld floats", (long long)n);
    return out;
}

/* out [n][rows] = rows `rows` of x times an expert's matrix, plus its bias. False when the expert is absent.
 */
static bool multiply(const ssw_cuda_matrix *w, int32_t expert, const float *bias, int64_t bias_stride,
                     ssw_cuda_acts x, const int32_t *rows, int32_t n, float *out)
{
    ssw_cuda_product_args args = {.w = *w,
                                  .index = expert,
                                  .x = x,
                                  .n = n,
                                  .bias = bias ? bias + expert * bias_stride : NULL,
                                  .out = out,
                                  .out_stride = w->rows};
    return stand_in_multiply(&args, rows);
}

/* Hidden from element `at` on, of n rows of x. */
static void store_hidden(const ssw_cuda_experts *experts, int32_t expert, ssw_cuda_acts x,
                         const int32_t *rows, int32_t n, ssw_cuda_acts hidden, int64_t at)
{
    int64_t n_ff = experts->gate.rows;
    float *gate = floats(n * n_ff), *up = floats(n * n_ff);
    if (multiply(&experts->gate, expert, experts->gate_bias, experts->bias_stride, x, rows, n, gate) &&
        multiply(&experts->up, expert, experts->up_bias, experts->bias_stride, x, rows, n, up)) {
        ssw_cpu_moe_args glu = {.glu = experts->glu == SSW_CUDA_GLU_SILU_CLAMPED ? SSW_CPU_GLU_SILU_CLAMPED
                                                                                 : SSW_CPU_GLU_SILU,
                                .glu_alpha = experts->glu_alpha,
                                .glu_limit = experts->glu_limit};
        ssw_kernels_generic()->glu(&glu, gate, up, (int)(n * n_ff), gate);
        stand_in_store_acts(gate, n * n_ff, hidden, at);
    }
    free(gate);
    free(up);
}

/* Rows `at` and following of hidden. */
static void make_hidden(const ssw_cuda_experts *experts, int32_t expert, ssw_cuda_acts x, const int32_t *rows,
                        int32_t n, ssw_cuda_acts hidden, int64_t at)
{
    store_hidden(experts, expert, x, rows, n, hidden, at * experts->gate.rows);
}

static void require_experts(const ssw_cuda_experts *experts)
{
    uint64_t n_up = (uint64_t)(experts->gate.n_matrices - 1) * (uint64_t)experts->bias_stride +
                    (uint64_t)experts->gate.rows;
    uint64_t n_down = (uint64_t)experts->gate.n_matrices * (uint64_t)experts->down.rows;
    const ssw_cuda_matrix *all[] = {&experts->gate, &experts->up, &experts->down};
    stand_in_require(experts->gate_bias, n_up * sizeof(float), "experts' gate bias");
    stand_in_require(experts->up_bias, n_up * sizeof(float), "experts' up bias");
    stand_in_require(experts->down_bias, n_down * sizeof(float), "experts' down bias");
    for (int i = 0; i < 3; i++)
        stand_in_require(all[i]->table, (uint64_t)all[i]->n_matrices * sizeof(void *), "table of experts");
}

/* ---- few tokens ---- */

typedef struct moe_call {
    ssw_cuda_moe_args args;
    ssw_cuda_experts experts, shared;
} moe_call;

/* out += the expert's output for the token, times weight; hidden: its row `at`. */
static void add_expert(const ssw_cuda_experts *experts, int32_t expert, const ssw_cuda_moe_args *args,
                       int32_t token, ssw_cuda_acts hidden, int32_t at, float weight)
{
    int64_t n_embd = experts->down.rows;
    float *row = floats(n_embd), *out = args->out + token * n_embd;
    make_hidden(experts, expert, args->x, &token, 1, hidden, at);
    if (multiply(&experts->down, expert, experts->down_bias, n_embd, hidden, &at, 1, row)) {
        for (int64_t i = 0; i < n_embd; i++)
            out[i] += weight * row[i];
    }
    free(row);
}

static void run_moe(const void *given)
{
    const moe_call *call = given;
    const ssw_cuda_moe_args *args = &call->args;
    const ssw_cuda_experts *experts = &call->experts;
    int64_t n_embd = experts->down.rows, n_pairs = (int64_t)args->n * args->n_used;
    require_experts(experts);
    stand_in_require_acts(args->x, args->n, experts->gate.cols, "experts' x");
    stand_in_require_acts(args->hidden, n_pairs, experts->gate.rows, "experts' hidden");
    stand_in_require(args->chosen, (uint64_t)n_pairs * sizeof(int32_t), "chosen experts");
    stand_in_require(args->weights, (uint64_t)n_pairs * sizeof(float), "experts' weights");
    stand_in_require(args->out, (uint64_t)(args->n * n_embd) * sizeof(float), "experts' out");
    for (int32_t p = 0; p < n_pairs; p++) {
        int32_t expert = args->chosen[p];
        if (expert >= 0 && stand_in_matrix_at(&experts->gate, expert))
            add_expert(experts, expert, args, p / args->n_used, args->hidden, p, args->weights[p]);
    }
    if (!args->shared)
        return;
    require_experts(&call->shared);
    stand_in_require_acts(args->shared_hidden, args->n, call->shared.gate.rows, "shared experts' hidden");
    for (int32_t t = 0; t < args->n; t++)
        add_expert(&call->shared, 0, args, t, args->shared_hidden, t, 1);
}

void ssw_cuda_moe(ssw_cuda_stream stream, const ssw_cuda_moe_args *args)
{
    assert(args->n >= 1 && args->n <= SSW_CUDA_GEMV_TOKENS_MAX);
    assert(args->n_used >= 1 && args->n_used <= SSW_CUDA_EXPERTS_USED_MAX);
    assert(!args->hidden.q || args->experts->gate.rows % SSW_CUDA_BLOCK == 0);
    assert(!args->shared || ssw_cuda_moe_takes_shared(args->experts, args->shared));
    moe_call call = {.args = *args, .experts = *args->experts};
    if (args->shared)
        call.shared = *args->shared;
    stand_in_enqueue(stream, run_moe, &call, sizeof call);
}

/* ---- many tokens ---- */

typedef struct gemm_call {
    ssw_cuda_expert_gemm_args args;
    ssw_cuda_experts experts;
    ssw_cuda_expert_rows listed[SSW_CUDA_EXPERT_ROWS_MAX];
} gemm_call;

static void require_gemm(const gemm_call *call)
{
    const ssw_cuda_pairs *pairs = &call->args.pairs;
    require_experts(&call->experts);
    stand_in_require(pairs->first, (uint64_t)(pairs->n_experts + 1) * sizeof(int32_t), "sorted pairs' first");
    stand_in_require(pairs->pair, (uint64_t)pairs->n_pairs * sizeof(int32_t), "sorted pairs");
    stand_in_require_acts(call->args.hidden, pairs->n_pairs, call->experts.gate.rows, "experts' hidden");
    for (int32_t i = 0; i < call->args.n_listed; i++) {
        int32_t e = call->listed[i].expert;
        if (pairs->first[e + 1] - pairs->first[e] != call->listed[i].n_pairs)
            stand_in_end("expert %d has %d pairs, not %d", e, pairs->first[e + 1] - pairs->first[e],
                         call->listed[i].n_pairs);
    }
    for (int32_t e = call->args.expert_begin; e < call->args.expert_end; e++) {
        if (pairs->first[e + 1] - pairs->first[e] > call->args.max_pairs_per_expert)
            stand_in_end("expert %d has %d pairs, at most %d were said", e,
                         pairs->first[e + 1] - pairs->first[e], call->args.max_pairs_per_expert);
    }
}

/* The next rows of an expert's sorted pairs from i on, up to a tile; n of them. */
static int32_t take_tile(const ssw_cuda_pairs *pairs, int32_t expert, int32_t i)
{
    int32_t n = pairs->first[expert + 1] - i;
    return n < SSW_TILE_TOKENS ? n : SSW_TILE_TOKENS;
}

static void find_tokens(const ssw_cuda_pairs *pairs, int32_t i, int32_t n, int32_t *tokens)
{
    for (int32_t k = 0; k < n; k++)
        tokens[k] = pairs->pair[i + k] / pairs->n_used;
}

/* ---- listed rows ---- */

/* The rows as a matrix of their own. */
static ssw_cuda_matrix listed_matrix(const ssw_cuda_matrix *m, const ssw_cuda_expert_rows *rows, int which)
{
    ssw_cuda_matrix view = *m;
    view.table = NULL;
    view.data = rows->at[which];
    view.rows = rows->n_rows;
    view.n_matrices = 1;
    return view;
}

static void make_listed_hidden(const gemm_call *call, const ssw_cuda_expert_rows *rows)
{
    const ssw_cuda_pairs *pairs = &call->args.pairs;
    const ssw_cuda_experts *all = &call->experts;
    int64_t bias_at = rows->expert * all->bias_stride + rows->first_row, n_ff = all->gate.rows;
    int32_t tokens[SSW_TILE_TOKENS];
    ssw_cuda_experts part = *all;
    part.gate = listed_matrix(&all->gate, rows, 0);
    part.up = listed_matrix(&all->up, rows, 1);
    part.gate_bias = all->gate_bias ? all->gate_bias + bias_at : NULL;
    part.up_bias = all->up_bias ? all->up_bias + bias_at : NULL;
    for (int32_t i = pairs->first[rows->expert], n; i < pairs->first[rows->expert + 1]; i += n) {
        n = take_tile(pairs, rows->expert, i);
        find_tokens(pairs, i, n, tokens);
        for (int32_t t = 0; t < n; t++) /* a row of hidden is longer than the part's */
            store_hidden(&part, 0, call->args.x, &tokens[t], 1, call->args.hidden,
                         (i + t) * n_ff + rows->first_row);
    }
}

/* Columns [first, first + n) of rows i and following: copies, which the caller frees. */
static ssw_cuda_acts cut_columns(ssw_cuda_acts x, int64_t row_cols, int64_t first, int64_t n, int32_t i,
                                 int32_t n_rows)
{
    ssw_cuda_acts out = {0};
    if (x.f32)
        out.f32 = floats(n_rows * n);
    if (x.q) {
        out.q = (int8_t *)floats(n_rows * n / 4);
        out.q_scales = floats(n_rows * n / SSW_CUDA_BLOCK * 2);
    }
    for (int32_t r = 0; r < n_rows; r++) {
        int64_t from = (i + r) * row_cols + first, to = r * n;
        if (x.f32)
            memcpy(out.f32 + to, x.f32 + from, (size_t)n * sizeof *x.f32);
        if (!x.q)
            continue;
        memcpy(out.q + to, x.q + from, (size_t)n);
        memcpy(out.q_scales + to / SSW_CUDA_BLOCK * 2, x.q_scales + from / SSW_CUDA_BLOCK * 2,
               (size_t)(n / SSW_CUDA_BLOCK * 2) * sizeof(float));
    }
    return out;
}

/* out [n][rows->n_rows] += of pairs i and following, one of the two matrices. */
static void add_listed(const gemm_call *call, const ssw_cuda_expert_rows *rows, int which, int32_t i,
                       int32_t n, float *out)
{
    const ssw_cuda_matrix *down = &call->experts.down, *after = &call->args.down_after;
    ssw_cuda_matrix part = listed_matrix(which == 0 ? down : after, rows, which);
    ssw_cuda_acts hidden = cut_columns(call->args.hidden, down->cols + after->cols,
                                       which == 0 ? 0 : down->cols, part.cols, i, n);
    ssw_cuda_product_args args = {
        .w = part, .x = hidden, .n = n, .out = out, .out_stride = part.rows, .accumulate = true};
    (void)stand_in_multiply(&args, NULL);
    free(hidden.f32);
    free(hidden.q);
    free(hidden.q_scales);
}

static void make_listed_out(const gemm_call *call, const ssw_cuda_expert_rows *rows)
{
    const ssw_cuda_pairs *pairs = &call->args.pairs;
    int64_t n_embd = call->experts.down.rows;
    const float *bias = rows->at[0] ? call->experts.down_bias : NULL;
    float *tile = floats(SSW_TILE_TOKENS * rows->n_rows);
    for (int32_t i = pairs->first[rows->expert], n; i < pairs->first[rows->expert + 1]; i += n) {
        n = take_tile(pairs, rows->expert, i);
        for (int32_t k = 0; k < n * rows->n_rows; k++)
            tile[k] = bias ? bias[rows->expert * n_embd + rows->first_row + k % rows->n_rows] : 0;
        for (int which = 0; which < 2; which++) {
            if (rows->at[which])
                add_listed(call, rows, which, i, n, tile);
        }
        for (int32_t t = 0; t < n; t++)
            memcpy(call->args.out + pairs->pair[i + t] * n_embd + rows->first_row, tile + t * rows->n_rows,
                   (size_t)rows->n_rows * sizeof *tile);
    }
    free(tile);
}

/* ---- either ---- */

static void run_gemm_up(const void *given)
{
    const gemm_call *call = given;
    const ssw_cuda_expert_gemm_args *args = &call->args;
    const ssw_cuda_pairs *pairs = &args->pairs;
    int32_t tokens[SSW_TILE_TOKENS];
    require_gemm(call);
    stand_in_require_acts(args->x, pairs->n_pairs / pairs->n_used, call->experts.gate.cols, "experts' x");
    for (int32_t i = 0; i < args->n_listed; i++)
        make_listed_hidden(call, &call->listed[i]);
    for (int32_t e = args->expert_begin; e < args->expert_end; e++) {
        for (int32_t i = pairs->first[e], n; i < pairs->first[e + 1]; i += n) {
            n = take_tile(pairs, e, i);
            find_tokens(pairs, i, n, tokens);
            make_hidden(&call->experts, e, args->x, tokens, n, args->hidden, i);
        }
    }
}

static void run_gemm_down(const void *given)
{
    const gemm_call *call = given;
    const ssw_cuda_expert_gemm_args *args = &call->args;
    const ssw_cuda_pairs *pairs = &args->pairs;
    int64_t n_embd = call->experts.down.rows;
    float *tile = floats(SSW_TILE_TOKENS * n_embd);
    int32_t rows[SSW_TILE_TOKENS];
    require_gemm(call);
    stand_in_require(args->out, (uint64_t)(pairs->n_pairs * n_embd) * sizeof(float), "experts' out");
    for (int32_t i = 0; i < args->n_listed; i++)
        make_listed_out(call, &call->listed[i]);
    for (int32_t e = args->expert_begin; e < args->expert_end; e++) {
        for (int32_t i = pairs->first[e], n; i < pairs->first[e + 1]; i += n) {
            n = take_tile(pairs, e, i);
            for (int32_t k = 0; k < n; k++)
                rows[k] = i + k;
            if (!multiply(&call->experts.down, e, call->experts.down_bias, n_embd, args->hidden, rows, n,
                          tile))
                continue;
            for (int64_t k = 0; k < n * n_embd; k++) {
                float *out = &args->out[pairs->pair[i + k / n_embd] * n_embd + k % n_embd];
                *out = (args->accumulate ? *out : 0) + tile[k];
            }
        }
    }
    free(tile);
}

static void enqueue_gemm(ssw_cuda_stream stream, void (*run)(const void *),
                         const ssw_cuda_expert_gemm_args *args)
{
    gemm_call call = {.args = *args, .experts = *args->experts};
    assert(args->expert_begin >= 0 && args->expert_end <= args->pairs.n_experts);
    assert(args->n_listed >= 0 && args->n_listed <= SSW_CUDA_EXPERT_ROWS_MAX);
    if (args->n_listed > 0) {
        call.args.expert_begin = call.args.expert_end = 0;
        memcpy(call.listed, args->listed, (size_t)args->n_listed * sizeof call.listed[0]);
    }
    stand_in_enqueue(stream, run, &call, sizeof call);
}

void ssw_cuda_expert_gemm_up(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    enqueue_gemm(stream, run_gemm_up, args);
}

void ssw_cuda_expert_gemm_down(ssw_cuda_stream stream, const ssw_cuda_expert_gemm_args *args)
{
    enqueue_gemm(stream, run_gemm_down, args);
}

/* ---- sums ---- */

static void run_sum_pairs(const void *given)
{
    const ssw_cuda_sum_args *args = given;
    int64_t n_pairs = (int64_t)args->n * args->n_used;
    stand_in_require(args->rows, (uint64_t)(n_pairs * args->n_embd) * sizeof(float), "rows of a sum");
    stand_in_require(args->weights, (uint64_t)n_pairs * sizeof(float), "weights of a sum");
    stand_in_require(args->chosen, (uint64_t)n_pairs * sizeof(int32_t), "chosen experts of a sum");
    stand_in_require(args->mask, 1, "mask of a sum");
    stand_in_require(args->out, (uint64_t)(args->n * args->n_embd) * sizeof(float), "a sum");
    for (int64_t p = 0; p < n_pairs; p++) {
        float *out = args->out + p / args->n_used * args->n_embd;
        const float *row = args->rows + p * args->n_embd;
        if (args->mask && !args->mask[args->chosen[p]])
            continue;
        for (int64_t i = 0; i < args->n_embd; i++)
            out[i] += args->weights[p] * row[i];
    }
}

void ssw_cuda_sum_pairs(ssw_cuda_stream stream, const ssw_cuda_sum_args *args)
{
    assert(!args->mask == !args->chosen);
    stand_in_enqueue(stream, run_sum_pairs, args, sizeof *args);
}

typedef struct add_args {
    const float *rows;
    int64_t n;
    float *out;
} add_args;

static void run_add(const void *given)
{
    const add_args *args = given;
    stand_in_require(args->rows, (uint64_t)args->n * sizeof(float), "rows to add");
    stand_in_require(args->out, (uint64_t)args->n * sizeof(float), "rows added to");
    for (int64_t i = 0; i < args->n; i++)
        args->out[i] += args->rows[i];
}

void ssw_cuda_add(ssw_cuda_stream stream, const float *rows, int64_t n, float *out)
{
    stand_in_enqueue(stream, run_add, &(add_args){rows, n, out}, sizeof(add_args));
}

void ssw_cuda_await_add(ssw_cuda_stream stream, const ssw_cuda_await_args *args)
{
    assert(args->cols % 4 == 0);
    ssw_cuda_signal_wait(stream, args->signal, args->step, args->patience_ns, args->gave_up);
    ssw_cuda_add(stream, args->rows, (int64_t)args->n * args->cols, args->out);
}
