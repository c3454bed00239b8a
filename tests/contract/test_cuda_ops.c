/* The GPU operations for few tokens, and those between the products, against the CPU's plain-C operations
 * (SSW_CPU_ISA_GENERIC), which round activations alike: what is left is the order of float sums, and an
 * activation now and then that rounds to the neighbouring eighth bit.
 *
 * Skipped where no GPU is. Matrix products with many tokens and attention have tests of their own. */
#include "cuda_operands.h"

#include "../cpu/cpu_case.h"
#include "quant/half.h"

enum { N_PLAIN_TYPES = 6 }; /* the first of cpu_case_types; the others are variants of one kernel */

/* ---- products ---- */

/* cols, or the next width that the type can have. */
static int64_t width(ssw_dtype dtype, int64_t cols)
{
    int64_t block = ssw_dtype_find((uint32_t)dtype)->block_elements;
    return (cols + block - 1) / block * block;
}

static void check_product(ssw_dtype dtype, int64_t rows, int64_t cols, int64_t n, bool accumulate)
{
    weights w = make_weights(dtype, rows, cols, 2);
    acts x = make_acts(n, cols);
    float *bias = random_floats((size_t)rows, -1, 1), *out = random_floats((size_t)(n * rows), -1, 1);
    float *device_out = on_device(out, (size_t)(n * rows) * sizeof *out);
    ssw_cuda_product_args gpu = {.w = w.gpu,
                                 .index = 1,
                                 .x = x.gpu,
                                 .n = (int32_t)n,
                                 .bias = on_device(bias, (size_t)rows * sizeof *bias),
                                 .out = device_out,
                                 .out_stride = rows,
                                 .accumulate = accumulate};
    ssw_cpu_matmul_args cpu = {&w.cpu, 1, x.cpu, n, bias, out, rows, accumulate};
    ssw_cuda_gemv(stream, &gpu);
    CPU(ssw_cpu_matmul, &cpu);
    float *got = from_device(device_out, (size_t)(n * rows) * sizeof *got);
    char what[96];
    snprintf(what, sizeof what, "%s %dx%d, %d tokens", ssw_dtype_find((uint32_t)dtype)->name, (int)rows,
             (int)cols, (int)n);
    assert_close(what, out, got, (size_t)(n * rows), SUM_TOLERANCE);
    free(got);
    free(bias);
    free(out);
    drop_acts(&x, n, cols);
    ssw_cpu_matrix_deinit(&w.cpu);
    free_all(NULL);
}

static void products_are_the_cpus(void **state)
{
    static const int64_t columns[] = {32, 96, 2880, 4096};
    static const int64_t rows[] = {7, 16, 45, 256};
    (void)state;
    for (int d = 0; d < CASE_TYPES; d++) {
        for (int i = 0; i < 4; i++) {
            for (int64_t n = 1; n <= TOKENS; n += d < N_PLAIN_TYPES ? 1 : 1 + n / 2)
                check_product(cpu_case_types[d], rows[(i + (int)n) % 4], width(cpu_case_types[d], columns[i]),
                              n, n % 2 == 0);
        }
    }
    check_product(SSW_DTYPE_F32, 33, 50, 3, false);
}

static void fused_products_are_the_single_ones(void **state)
{
    (void)state;
    for (int d = 0; d < CASE_TYPES; d++) {
        static const int64_t rows[3] = {64, 16, 23};
        int64_t cols = width(cpu_case_types[d], 128);
        acts x = make_acts(2, cols);
        ssw_cuda_product_args args[3];
        float *alone[3];
        weights w[3];
        for (int i = 0; i < 3; i++) {
            w[i] = make_weights(cpu_case_types[d], rows[i], cols, 1);
            args[i] = (ssw_cuda_product_args){.w = w[i].gpu,
                                              .x = x.gpu,
                                              .n = 2,
                                              .out = on_device(NULL, (size_t)(2 * rows[i]) * sizeof(float)),
                                              .out_stride = rows[i]};
            ssw_cuda_gemv(stream, &args[i]);
            alone[i] = from_device(args[i].out, (size_t)(2 * rows[i]) * sizeof(float));
            args[i].out = on_device(NULL, (size_t)(2 * rows[i]) * sizeof(float));
        }
        ssw_cuda_gemv_fused(stream, args, 3);
        for (int i = 0; i < 3; i++) {
            float *got = from_device(args[i].out, (size_t)(2 * rows[i]) * sizeof(float));
            assert_memory_equal(got, alone[i], (size_t)(2 * rows[i]) * sizeof(float));
            free(got);
            free(alone[i]);
            ssw_cpu_matrix_deinit(&w[i].cpu);
        }
        drop_acts(&x, 2, cols);
        free_all(NULL);
    }
}

/* ---- experts ---- */

typedef struct moe_case {
    ssw_dtype dtype, down_dtype;
    int64_t n_embd, n_ff, n;
    int32_t n_experts, n_used;
    bool has_bias, is_clamped;
} moe_case;

static void check_moe(const moe_case *c)
{
    weights gate = make_weights(c->dtype, c->n_ff, c->n_embd, c->n_experts);
    weights up = make_weights(c->dtype, c->n_ff, c->n_embd, c->n_experts);
    weights down = make_weights(c->down_dtype, c->n_embd, c->n_ff, c->n_experts);
    acts x = make_acts(c->n, c->n_embd);
    size_t n_pairs = (size_t)(c->n * c->n_used), n_out = (size_t)(c->n * c->n_embd);
    size_t n_hidden = (size_t)(c->n_experts * c->n_ff), n_down = (size_t)(c->n_experts * c->n_embd);
    float *gate_bias = random_floats(n_hidden, -1, 1), *up_bias = random_floats(n_hidden, -1, 1);
    float *down_bias = random_floats(n_down, -1, 1), *mix = random_floats(n_pairs, 0, 1);
    float *out = random_floats(n_out, -1, 1);
    int32_t *chosen = malloc(n_pairs * sizeof *chosen);
    assert_non_null(chosen);
    for (size_t p = 0; p < n_pairs; p++)
        chosen[p] = (int32_t)((p * 7 + p / (size_t)c->n_used) % (size_t)c->n_experts);
    ssw_cuda_experts experts = {
        .gate = gate.gpu,
        .up = up.gpu,
        .down = down.gpu,
        .gate_bias = c->has_bias ? on_device(gate_bias, n_hidden * sizeof(float)) : NULL,
        .up_bias = c->has_bias ? on_device(up_bias, n_hidden * sizeof(float)) : NULL,
        .down_bias = c->has_bias ? on_device(down_bias, n_down * sizeof(float)) : NULL,
        .bias_stride = c->n_ff,
        .glu = c->is_clamped ? SSW_CUDA_GLU_SILU_CLAMPED : SSW_CUDA_GLU_SILU,
        .glu_alpha = 1.702f,
        .glu_limit = 7};
    float *device_out = on_device(out, n_out * sizeof *out);
    ssw_cuda_moe_args args = {.experts = &experts,
                              .x = x.gpu,
                              .n = (int32_t)c->n,
                              .n_used = c->n_used,
                              .chosen = on_device(chosen, n_pairs * sizeof *chosen),
                              .weights = on_device(mix, n_pairs * sizeof *mix),
                              .hidden = empty_acts((int64_t)n_pairs, c->n_ff),
                              .out = device_out};
    uint64_t scratch_bytes = ssw_cpu_moe_scratch_bytes(c->n, c->n_used, c->n_ff, c->n_embd);
    ssw_cpu_moe_args cpu = {.gate = &gate.cpu,
                            .up = &up.cpu,
                            .down = &down.cpu,
                            .gate_bias = c->has_bias ? gate_bias : NULL,
                            .up_bias = c->has_bias ? up_bias : NULL,
                            .down_bias = c->has_bias ? down_bias : NULL,
                            .glu = c->is_clamped ? SSW_CPU_GLU_SILU_CLAMPED : SSW_CPU_GLU_SILU,
                            .glu_alpha = 1.702f,
                            .glu_limit = 7,
                            .x = x.cpu,
                            .n = c->n,
                            .n_used = c->n_used,
                            .chosen = chosen,
                            .weights = mix,
                            .out = out,
                            .out_stride = c->n_embd,
                            .accumulate = true,
                            .scratch = ssw_cpu_memory_alloc(scratch_bytes)};
    ssw_cuda_moe(stream, &args);
    CPU(ssw_cpu_moe, &cpu);
    float *got = from_device(device_out, n_out * sizeof *got);
    char what[96];
    snprintf(what, sizeof what, "experts %s/%s, %d tokens", ssw_dtype_find((uint32_t)c->dtype)->name,
             ssw_dtype_find((uint32_t)c->down_dtype)->name, (int)c->n);
    /* A hidden value that rounds to its neighbour moves an output by a weight times a 127th. */
    assert_close(what, out, got, n_out, 2e-3f);
    ssw_cpu_memory_free(cpu.scratch, scratch_bytes);
    ssw_cpu_matrix_deinit(&gate.cpu);
    ssw_cpu_matrix_deinit(&up.cpu);
    ssw_cpu_matrix_deinit(&down.cpu);
    drop_acts(&x, c->n, c->n_embd);
    free(gate_bias);
    free(up_bias);
    free(down_bias);
    free(mix);
    free(out);
    free(chosen);
    free(got);
    free_all(NULL);
}

static void experts_are_the_cpus(void **state)
{
    (void)state;
    for (int d = 0; d < CASE_TYPES; d++) {
        ssw_dtype own = cpu_case_types[d], next = cpu_case_types[(d + 1) % CASE_TYPES];
        check_moe(&(moe_case){own, own, width(own, 96), width(own, 64), 1, 7, 4, true, true});
        check_moe(
            &(moe_case){own, next, width(own, 2880), width(next, 160), 3, 5, 2, d % 2 == 0, d % 2 == 0});
        check_moe(&(moe_case){own, own, 256, width(own, 1408), 8, 9, 6, false, false});
    }
    check_moe(&(moe_case){SSW_DTYPE_F32, SSW_DTYPE_F16, 40, 24, 2, 3, 2, true, false});
}

/* ---- between the products ---- */

static void norms_are_the_cpus(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        int64_t n = 3, cols = variant < 2 ? 2880 : 96;
        size_t n_values = (size_t)(n * cols), q8_bytes = (size_t)n * ssw_cpu_q8_row_bytes(cols);
        float *x = random_floats(n_values, -3, 5), *weight = random_floats((size_t)cols, 0, 2);
        float *bias = random_floats((size_t)cols, -1, 1), *out = random_floats(n_values, 0, 1);
        uint8_t *q8 = ssw_cpu_memory_alloc(q8_bytes), *q8_device = on_device(NULL, q8_bytes);
        ssw_cuda_norm_args gpu = {.x = on_device(x, n_values * sizeof *x),
                                  .n = (int32_t)n,
                                  .cols = (int32_t)cols,
                                  .weight = on_device(weight, (size_t)cols * sizeof *weight),
                                  .bias = variant % 2 ? on_device(bias, (size_t)cols * sizeof *bias) : NULL,
                                  .eps = 1e-5f,
                                  .subtract_mean = variant % 2,
                                  .out = empty_acts(n, cols),
                                  .out_cpu_q8 = q8_device};
        ssw_cpu_norm_args cpu = {x,     cols,        n,   cols, weight, variant % 2 ? bias : NULL,
                                 1e-5f, variant % 2, out, cols, q8,     false};
        ssw_cuda_norm(stream, &gpu);
        CPU(ssw_cpu_norm, &cpu);
        float *got = from_device(gpu.out.f32, n_values * sizeof *got);
        int8_t *q = from_device(gpu.out.q, n_values);
        float *scales = from_device(gpu.out.q_scales, n_values / SSW_CUDA_BLOCK * 2 * sizeof *scales);
        uint8_t *blocks = from_device(q8_device, q8_bytes);
        assert_close("norm", out, got, n_values, SUM_TOLERANCE);
        int block_bytes = (int)(q8_bytes / (n_values / SSW_CUDA_BLOCK));
        for (size_t b = 0; b < n_values / SSW_CUDA_BLOCK; b++) {
            const uint8_t *here = blocks + b * (size_t)block_bytes, *there = q8 + b * (size_t)block_bytes;
            float scale, expected;
            int32_t sums[2], sum = 0, half_sums[2] = {0};
            int16_t halves[2];
            memcpy(&scale, here, sizeof scale);
            memcpy(sums, here + sizeof scale, sizeof sums);
            memcpy(&expected, there, sizeof expected);
            assert_true(fabsf(scale - expected) <= 1e-5f * expected);
            assert_true(scale == scales[2 * b]);
            for (int i = 0; i < SSW_CUDA_BLOCK; i++) {
                int8_t value = (int8_t)here[block_bytes - SSW_CUDA_BLOCK + i];
                assert_true(abs(value - (int8_t)there[block_bytes - SSW_CUDA_BLOCK + i]) <= 1);
                assert_int_equal(value, q[b * SSW_CUDA_BLOCK + (size_t)i]);
                sum += value;
                half_sums[i / (SSW_CUDA_BLOCK / 2)] += value;
            }
            memcpy(halves, here + sizeof scale + sizeof sums, sizeof halves);
            assert_int_equal(halves[0], half_sums[0]);
            assert_int_equal(halves[1], half_sums[1]);
            assert_int_equal(sums[0], -16 * sum);
            assert_int_equal(sums[1], -128 * sum);
            assert_true(fabsf(scales[2 * b + 1] - scale * (float)sum) <= 1e-5f);
        }
        free(x);
        free(weight);
        free(bias);
        free(out);
        free(got);
        free(q);
        free(scales);
        free(blocks);
        ssw_cpu_memory_free(q8, q8_bytes);
        free_all(NULL);
    }
}

static void routes_are_the_cpus(void **state)
{
    static const ssw_cpu_route_kind kinds[] = {SSW_CPU_ROUTE_TOPK_SOFTMAX, SSW_CPU_ROUTE_SOFTMAX_TOPK,
                                               SSW_CPU_ROUTE_SOFTMAX_TOPK, SSW_CPU_ROUTE_SPARSEMIXER};
    static const int32_t experts[] = {32, 64, 128, 16}, used[] = {4, 6, 8, 2};
    (void)state;
    for (int i = 0; i < 4; i++) {
        enum { N = 50 };
        size_t n_pairs = (size_t)(N * used[i]);
        float *logits = random_floats((size_t)(N * experts[i]), -3, 3);
        for (int t = 0; t < N; t += 5) /* ties */
            logits[t * experts[i] + 3] = logits[t * experts[i] + 9];
        int32_t *chosen = malloc(n_pairs * sizeof *chosen);
        float *mix = malloc(n_pairs * sizeof *mix);
        assert_non_null(chosen);
        assert_non_null(mix);
        ssw_cpu_route_args cpu = {.logits = logits,
                                  .logits_stride = experts[i],
                                  .n = N,
                                  .n_experts = experts[i],
                                  .n_used = used[i],
                                  .kind = kinds[i],
                                  .renormalise = i == 2,
                                  .jitter = 0.01f,
                                  .scale = 1.5f,
                                  .chosen = chosen,
                                  .weights = mix};
        ssw_cuda_route_args gpu = {.logits = on_device(logits, (size_t)(N * experts[i]) * sizeof *logits),
                                   .n = N,
                                   .n_experts = experts[i],
                                   .n_used = used[i],
                                   .kind = (ssw_cuda_route_kind)kinds[i],
                                   .renormalise = i == 2,
                                   .jitter = 0.01f,
                                   .scale = 1.5f,
                                   .chosen = on_device(NULL, n_pairs * sizeof *chosen),
                                   .weights = on_device(NULL, n_pairs * sizeof *mix)};
        CPU(ssw_cpu_route, &cpu);
        ssw_cuda_route(stream, &gpu);
        int32_t *got_chosen = from_device(gpu.chosen, n_pairs * sizeof *chosen);
        float *got_mix = from_device(gpu.weights, n_pairs * sizeof *mix);
        assert_memory_equal(chosen, got_chosen, n_pairs * sizeof *chosen);
        assert_close("expert weights", mix, got_mix, n_pairs, SUM_TOLERANCE);

        int32_t *first = on_device(NULL, (size_t)(experts[i] + 1) * sizeof *first);
        int32_t *pair = on_device(NULL, n_pairs * sizeof *pair);
        ssw_cuda_sort_pairs(stream, gpu.chosen, (int32_t)n_pairs, experts[i], first, pair);
        int32_t *got_first = from_device(first, (size_t)(experts[i] + 1) * sizeof *first);
        int32_t *got_pair = from_device(pair, n_pairs * sizeof *pair);
        assert_int_equal(got_first[0], 0);
        assert_int_equal(got_first[experts[i]], n_pairs);
        for (int32_t e = 0; e < experts[i]; e++) {
            for (int32_t p = got_first[e]; p < got_first[e + 1]; p++) {
                assert_int_equal(chosen[got_pair[p]], e);
                assert_true(p == got_first[e] || got_pair[p - 1] < got_pair[p]);
            }
        }
        free(logits);
        free(chosen);
        free(mix);
        free(got_chosen);
        free(got_mix);
        free(got_first);
        free(got_pair);
        free_all(NULL);
    }
}

/* Keys take the way of queries on the CPU, which gives rotated queries back. */
static void rotation_is_the_cpus(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        enum { N = 5, HEADS = 6, KV_HEADS = 2, ROWS = 64, POSITION = 60 };
        int32_t d = variant < 2 ? 64 : 128;
        size_t n_q = (size_t)(N * HEADS * d), n_kv = (size_t)(N * KV_HEADS * d);
        float *q = random_floats(n_q, -1, 1), *k = random_floats(n_kv, -1, 1),
              *v = random_floats(n_kv, -1, 1);
        ssw_cpu_rope rope;
        ssw_cpu_rope_init(&rope, &(ssw_cpu_rope_config){.n_rot = d, .freq_base = 10000, .factor = 1});
        rope.scale = 1.25f;
        float cos_sin[N][2 * SSW_CPU_ROPE_PAIRS_MAX], angles[N * 2 * SSW_CPU_ROPE_PAIRS_MAX];
        ssw_cuda_row rows[N];
        for (int t = 0; t < N; t++) {
            ssw_cpu_rope_angles(&rope, POSITION + t, cos_sin[t]);
            memcpy(angles + t * d, cos_sin[t], (size_t)d * sizeof(float));
            rows[t] = (ssw_cuda_row){.sequence = 1, .position = POSITION + t};
        }
        size_t cache_halves = (size_t)(2 * KV_HEADS * ROWS * d);
        ssw_cuda_kv kv = {.k = on_device(NULL, cache_halves * 2),
                          .v = on_device(NULL, cache_halves * 2),
                          .sequence_stride = KV_HEADS * ROWS * d,
                          .n_rows = ROWS};
        ssw_cuda_rope_args gpu = {.rows = on_device(rows, sizeof rows),
                                  .n = N,
                                  .n_heads = HEADS,
                                  .n_kv_heads = KV_HEADS,
                                  .head_dim = d,
                                  .inv_freq = on_device(rope.inv_freq, sizeof rope.inv_freq),
                                  .n_pairs = d / 2,
                                  .magnitude = rope.scale,
                                  .interleaved = variant % 2,
                                  .q = on_device(q, n_q * sizeof *q),
                                  .k = on_device(k, n_kv * sizeof *k),
                                  .v = on_device(v, n_kv * sizeof *v),
                                  .kv = kv};
        ssw_cuda_rope_store(stream, &gpu);
        int32_t cpu_rows = ssw_cpu_kv_rows(ROWS, 0, N);
        uint16_t *cache = ssw_cpu_memory_alloc(ssw_cpu_kv_bytes(cpu_rows, KV_HEADS, d, d));
        float *rotated_q = malloc(n_q * sizeof *q), *rotated_k = malloc(n_kv * sizeof *k);
        memcpy(rotated_q, q, n_q * sizeof *q);
        memcpy(rotated_k, k, n_kv * sizeof *k);
        ssw_cpu_attention_item item = {.kv = {cache, cpu_rows}, .n = N, .position = POSITION};
        ssw_cpu_attention_args args = {.items = &item,
                                       .n_items = 1,
                                       .n_heads = HEADS,
                                       .n_kv_heads = KV_HEADS,
                                       .head_dim = d,
                                       .scale = 1,
                                       .cos_sin = angles,
                                       .n_pairs = d / 2,
                                       .interleaved = variant % 2,
                                       .q = rotated_q,
                                       .k = k,
                                       .v = v,
                                       .q_stride = HEADS * d,
                                       .kv_stride = KV_HEADS * d};
        CPU(ssw_cpu_kv_store, &args);
        args.n_heads = KV_HEADS;
        args.q = rotated_k;
        args.q_stride = KV_HEADS * d;
        CPU(ssw_cpu_kv_store, &args);
        float *got_q = from_device(gpu.q, n_q * sizeof *q);
        uint16_t *got_k = from_device(kv.k, cache_halves * 2), *got_v = from_device(kv.v, cache_halves * 2);
        assert_close("rotated queries", rotated_q, got_q, n_q, SUM_TOLERANCE);
        for (int t = 0; t < N; t++) {
            for (int head = 0; head < KV_HEADS; head++) {
                size_t at = (size_t)(kv.sequence_stride + (head * ROWS + (POSITION + t) % ROWS) * d);
                size_t from = (size_t)((t * KV_HEADS + head) * d);
                for (int i = 0; i < d; i++) {
                    assert_true(fabsf(ssw_half_from_f16(got_k[at + (size_t)i]) -
                                      rotated_k[from + (size_t)i]) <= 2e-3f);
                    assert_int_equal(got_v[at + (size_t)i], ssw_half_to_f16(v[from + (size_t)i]));
                }
            }
        }
        ssw_cpu_memory_free(cache, ssw_cpu_kv_bytes(cpu_rows, KV_HEADS, d, d));
        free(q);
        free(k);
        free(v);
        free(rotated_q);
        free(rotated_k);
        free(got_q);
        free(got_k);
        free(got_v);
        free_all(NULL);
    }
}

static void sums_add_up(void **state)
{
    enum { N = 3, USED = 4, EMBD = 300 };
    static const int32_t chosen[N * USED] = {0, 1, 2, 3, 4, 3, 2, 1, 1, 0, 4, 2};
    static const uint8_t mask[] = {1, 0, 1, 0, 1};
    (void)state;
    float *rows = random_floats(N * USED * EMBD, -1, 1), *mix = random_floats(N * USED, 0, 1);
    float *out = random_floats(N * EMBD, -1, 1);
    float *device_out = on_device(out, N * EMBD * sizeof *out);
    float *device_rows = on_device(rows, N * USED * EMBD * sizeof *rows);
    ssw_cuda_sum_args args = {.rows = device_rows,
                              .weights = on_device(mix, N * USED * sizeof *mix),
                              .n = N,
                              .n_used = USED,
                              .n_embd = EMBD,
                              .out = device_out};
    ssw_cuda_sum_pairs(stream, &args);
    args.chosen = on_device(chosen, sizeof chosen);
    args.mask = on_device(mask, sizeof mask);
    ssw_cuda_sum_pairs(stream, &args);
    ssw_cuda_add(stream, device_rows, N * EMBD, device_out);
    for (int t = 0; t < N; t++) {
        for (int c = 0; c < EMBD; c++) {
            for (int s = 0; s < USED; s++)
                out[t * EMBD + c] += (float)(1 + mask[chosen[t * USED + s]]) * mix[t * USED + s] *
                                     rows[(t * USED + s) * EMBD + c];
            out[t * EMBD + c] += rows[t * EMBD + c];
        }
    }
    float *got = from_device(device_out, N * EMBD * sizeof *got);
    assert_close("sums", out, got, N * EMBD, SUM_TOLERANCE);
    free(rows);
    free(mix);
    free(out);
    free(got);
    free_all(NULL);
}

/* A graph that waits for the host's word, says its own, and gives up when none comes. */
static void signals_meet(void **state)
{
    (void)state;
    ssw_error err;
    void *mapped = NULL;
    assert_int_equal(ssw_cuda_alloc_host(&mapped, 3 * sizeof(ssw_cuda_signal), &err), SSW_OK);
    ssw_cuda_signal *to_device = mapped, *to_host = to_device + 1;
    uint32_t *gave_up = &(to_device + 2)->value;
    uint32_t number = 1, *step = on_device(&number, sizeof number);
    ssw_cuda_graph *graph;
    assert_int_equal(ssw_cuda_graph_begin(stream, &err), SSW_OK);
    ssw_cuda_signal_wait(stream, to_device, step, UINT64_C(200000000), gave_up);
    ssw_cuda_signal_set(stream, to_host, step);
    assert_int_equal(ssw_cuda_graph_end(stream, &graph, &err), SSW_OK);
    for (number = 1; number <= 3; number++) {
        assert_int_equal(ssw_cuda_copy_to_device(step, &number, sizeof number, &err), SSW_OK);
        assert_int_equal(ssw_cuda_graph_launch(graph, stream, &err), SSW_OK);
        if (number < 3)
            __atomic_store_n(&to_device->value, number, __ATOMIC_RELEASE);
        assert_int_equal(ssw_cuda_stream_sync(stream, &err), SSW_OK);
        assert_int_equal(to_host->value, number);
        assert_int_equal(*gave_up, number == 3);
    }
    ssw_cuda_graph_close(graph);
    ssw_cuda_free_host(mapped);
    free_all(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(products_are_the_cpus, free_all),
        cmocka_unit_test_teardown(fused_products_are_the_single_ones, free_all),
        cmocka_unit_test_teardown(experts_are_the_cpus, free_all),
        cmocka_unit_test_teardown(norms_are_the_cpus, free_all),
        cmocka_unit_test_teardown(routes_are_the_cpus, free_all),
        cmocka_unit_test_teardown(rotation_is_the_cpus, free_all),
        cmocka_unit_test_teardown(sums_add_up, free_all),
        cmocka_unit_test_teardown(signals_meet, free_all),
    };
    int status = open_operands();
    return status ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
