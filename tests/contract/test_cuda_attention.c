/* The GPU's attention against a softmax in double over the same keys and values, F16 or Q8_0 as quantised
 * here.
 *
 * The kernels round queries and weights to F16 (2^-12 relative each, as a mean). That moves a score by about
 * 2^-12 times the root of sum (q k)^2; four times that is taken as `score_error`, and the results may differ
 * by max |v| * (2 score_error + 2^-10). What comes out of a Q8_0 cache, q times scale, rounds to F16 too:
 * keys as queries do, so that score_error is root 2 times as large, values by another 2^-11. Queries are
 * large, so that few positions have most of the weight and a position too many or too few shows. */
#include "cuda_test_memory.h"

#include <math.h>

#include "../cpu/cpu_case.h"
#include "quant/half.h"

enum { PARTS_MAX = 8 };

typedef struct attention_case {
    int32_t n_heads, n_kv_heads, head_dim, window;
    bool sinks, q8;
    int32_t n_rows; /* of the ring */
    int32_t n_parts;
    ssw_cuda_part parts[PARTS_MAX]; /* n_rows and position; the rest is filled in */
} attention_case;

/* Keys or values of all sequences, one more than parts: [n_parts + 1][n_kv_heads][ring][head_dim]. */
typedef struct test_cache {
    float *values;    /* as the cache has them, exactly */
    void *data;       /* device: F16, or q + 128 */
    uint16_t *scales; /* device, or NULL */
} test_cache;

typedef struct attention_data {
    const attention_case *c;
    ssw_cuda_part parts[PARTS_MAX];
    int32_t n_rows, max_length;
    bool k_is_q8, v_is_q8;
    test_cache k, v;
    float *q, *sinks;
    ssw_cuda_attention_args args;
} attention_data;

static void make_f16(test_cache *out, int64_t n, uint32_t seed)
{
    uint16_t *halves = malloc((size_t)n * sizeof *halves);
    uint32_t state = seed;
    assert_non_null(halves);
    for (int64_t i = 0; i < n; i++) {
        halves[i] = ssw_half_to_f16(cpu_case_uniform(&state));
        out->values[i] = ssw_half_from_f16(halves[i]);
    }
    out->data = cuda_test_put(halves, (uint64_t)n * 2);
    free(halves);
}

/* As cuda_ops.h says. */
static uint16_t quantise(const float block[SSW_CUDA_BLOCK], uint8_t *out)
{
    float largest = 0;
    for (int i = 0; i < SSW_CUDA_BLOCK; i++)
        largest = fmaxf(largest, fabsf(block[i]));
    uint16_t half = ssw_half_to_f16(largest / 127);
    float scale = ssw_half_from_f16(half);
    for (int i = 0; i < SSW_CUDA_BLOCK; i++)
        out[i] = (uint8_t)(128 + (scale > 0 ? fminf(fmaxf(rintf(block[i] / scale), -127), 127) : 0));
    return half;
}

static void make_q8(test_cache *out, int64_t n, uint32_t seed)
{
    uint8_t *bytes = malloc((size_t)n);
    uint16_t *scales = malloc((size_t)(n / SSW_CUDA_BLOCK) * sizeof *scales);
    uint32_t state = seed;
    assert_true(bytes && scales);
    for (int64_t b = 0; b < n / SSW_CUDA_BLOCK; b++) {
        float block[SSW_CUDA_BLOCK], size = b % 7 == 0 ? 0.01f : 1;
        for (int i = 0; i < SSW_CUDA_BLOCK; i++)
            block[i] = size * cpu_case_uniform(&state);
        scales[b] = quantise(block, bytes + b * SSW_CUDA_BLOCK);
        for (int64_t i = b * SSW_CUDA_BLOCK; i < (b + 1) * SSW_CUDA_BLOCK; i++)
            out->values[i] = (float)(bytes[i] - 128) * ssw_half_from_f16(scales[b]);
    }
    out->data = cuda_test_put(bytes, (uint64_t)n);
    out->scales = cuda_test_put(scales, (uint64_t)n / SSW_CUDA_BLOCK * 2);
    free(bytes);
    free(scales);
}

static test_cache make_cache(int64_t n, uint32_t seed, bool is_q8)
{
    test_cache out = {.values = malloc((size_t)n * sizeof(float))};
    assert_non_null(out.values);
    (is_q8 ? make_q8 : make_f16)(&out, n, seed);
    return out;
}

static void open_case(attention_data *d, const attention_case *c, int kinds)
{
    int64_t stride = (int64_t)c->n_kv_heads * c->n_rows * c->head_dim, n_cache = stride * (c->n_parts + 1);
    uint32_t state = 5;
    memset(d, 0, sizeof *d);
    d->c = c;
    d->k_is_q8 = kinds % 2;
    d->v_is_q8 = kinds / 2;
    for (int i = 0; i < c->n_parts; i++) {
        const ssw_cuda_part *part = &c->parts[i];
        d->parts[i] = (ssw_cuda_part){d->n_rows, part->n_rows, c->n_parts - i, part->position};
        d->n_rows += part->n_rows;
        if (part->position + part->n_rows > d->max_length)
            d->max_length = part->position + part->n_rows;
    }
    int64_t n_q = (int64_t)d->n_rows * c->n_heads * c->head_dim;
    d->k = make_cache(n_cache, 1, d->k_is_q8);
    d->v = make_cache(n_cache, 2, d->v_is_q8);
    d->q = malloc((size_t)n_q * sizeof(float));
    d->sinks = malloc((size_t)c->n_heads * sizeof(float));
    assert_true(d->q && d->sinks);
    for (int64_t i = 0; i < n_q; i++)
        d->q[i] = 5 * cpu_case_uniform(&state);
    for (int i = 0; i < c->n_heads; i++)
        d->sinks[i] = 4 + 2 * cpu_case_uniform(&state);
    uint64_t n_scratch = ssw_cuda_attention_scratch_floats(d->n_rows, c->n_heads, c->head_dim, d->max_length);
    void *counters = NULL;
    assert_int_equal(ssw_cuda_alloc(&counters, SSW_CUDA_ATTENTION_COUNTERS * 4, NULL), SSW_OK);
    d->args = (ssw_cuda_attention_args){
        .kv = {d->k.data, d->v.data, stride, c->n_rows, d->k.scales, d->v.scales},
        .parts = cuda_test_put(d->parts, sizeof d->parts),
        .n_parts = c->n_parts,
        .n_rows = d->n_rows,
        .max_length = d->max_length,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .window = c->window,
        .scale = 1 / sqrtf((float)c->head_dim),
        .sinks = c->sinks ? cuda_test_put(d->sinks, (uint64_t)c->n_heads * 4) : NULL,
        .q = cuda_test_put(d->q, (uint64_t)n_q * 4),
        .out = {cuda_test_put(NULL, (uint64_t)n_q * 4), c->q8 ? cuda_test_put(NULL, (uint64_t)n_q) : NULL,
                c->q8 ? cuda_test_put(NULL, (uint64_t)n_q / 4) : NULL},
        .scratch = cuda_test_put(NULL, n_scratch * 4),
        .counters = counters};
}

static void close_case(attention_data *d)
{
    const void *buffers[] = {d->k.data,     d->k.scales,          d->v.data,       d->v.scales,
                             d->args.parts, d->args.sinks,        d->args.q,       d->args.out.f32,
                             d->args.out.q, d->args.out.q_scales, d->args.scratch, d->args.counters};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ssw_cuda_free((void *)(uintptr_t)buffers[i]);
    free(d->k.values);
    free(d->v.values);
    free(d->q);
    free(d->sinks);
}

/* One head of one row: the truth to out [head_dim]; returns how far from it the kernel may be. */
static double attend(const attention_data *d, const ssw_cuda_part *part, int32_t i, int32_t head, double *out)
{
    const attention_case *c = d->c;
    int32_t dim = c->head_dim, own = part->position + i, kv_head = head / (c->n_heads / c->n_kv_heads);
    int32_t from = c->window > 0 && own - c->window + 1 > 0 ? own - c->window + 1 : 0, n = own + 1 - from;
    int64_t at = part->sequence * d->args.kv.sequence_stride + (int64_t)kv_head * c->n_rows * dim;
    const float *q = d->q + ((int64_t)(part->first_row + i) * c->n_heads + head) * dim;
    double *scores = malloc((size_t)n * sizeof *scores), score_error = 0;
    double largest = c->sinks ? (double)d->sinks[head] : -INFINITY, sum = 0;
    assert_non_null(scores);
    for (int32_t p = 0; p < n; p++) {
        const float *k = d->k.values + at + (int64_t)((from + p) % c->n_rows) * dim;
        double squares = 0;
        scores[p] = 0;
        for (int32_t e = 0; e < dim; e++) {
            double product = (double)q[e] * (double)k[e] * (double)d->args.scale;
            scores[p] += product;
            squares += product * product;
        }
        score_error = fmax(score_error, (d->k_is_q8 ? 5.7 : 4) * 0x1p-12 * sqrt(squares));
        largest = fmax(largest, scores[p]);
    }
    for (int32_t e = 0; e < dim; e++)
        out[e] = 0;
    if (c->sinks)
        sum += exp((double)d->sinks[head] - largest);
    for (int32_t p = 0; p < n; p++) {
        const float *v = d->v.values + at + (int64_t)((from + p) % c->n_rows) * dim;
        double weight = exp(scores[p] - largest);
        sum += weight;
        for (int32_t e = 0; e < dim; e++)
            out[e] += weight * (double)v[e];
    }
    for (int32_t e = 0; e < dim; e++)
        out[e] /= sum;
    free(scores);
    return 2 * score_error + 0x1p-10 + (d->v_is_q8 ? 0x1p-11 : 0); /* |v| <= 1 */
}

static void check_results(const attention_data *d, const float *out)
{
    const attention_case *c = d->c;
    double wanted[SSW_CUDA_HEAD_DIM_MAX], worst = 0;
    for (int32_t p = 0; p < c->n_parts; p++) {
        const ssw_cuda_part *part = &d->parts[p];
        for (int32_t i = 0; i<part->n_rows; i += part->n_rows> 40 ? 7 : 1) {
            for (int32_t head = 0; head<c->n_heads; head += c->n_heads> 20 ? 5 : 1) {
                double bound = attend(d, part, i, head, wanted);
                const float *row = out + ((int64_t)(part->first_row + i) * c->n_heads + head) * c->head_dim;
                for (int32_t e = 0; e < c->head_dim; e++) {
                    double error = fabs((double)row[e] - wanted[e]);
                    worst = fmax(worst, error);
                    if (!(error <= bound))
                        fail_msg("part %d, row %d, head %d, dimension %d: %.7g, not %.7g (bound %.3g)", p, i,
                                 head, e, (double)row[e], wanted[e], bound);
                }
            }
        }
    }
    printf("head_dim %d, %d over %d heads, window %d, keys %s, values %s: largest error %.2g\n", c->head_dim,
           c->n_heads, c->n_kv_heads, c->window, d->k_is_q8 ? "Q8_0" : "F16", d->v_is_q8 ? "Q8_0" : "F16",
           worst);
}

/* Twice, for the scratch must be ready for the next call, and the order of sums fixed. */
static void run_one(const attention_case *c, bool as_decode, int kinds)
{
    attention_data d;
    open_case(&d, c, kinds);
    uint64_t n = (uint64_t)d.n_rows * (uint64_t)(c->n_heads * c->head_dim);
    d.args.parts_host = as_decode ? NULL : d.parts;
    ssw_cuda_attention(NULL, &d.args);
    float *out = cuda_test_get(d.args.out.f32, n * 4);
    check_results(&d, out);
    ssw_cuda_attention(NULL, &d.args);
    float *again = cuda_test_get(d.args.out.f32, n * 4);
    assert_memory_equal(out, again, n * 4);
    if (c->q8) {
        int8_t *q = cuda_test_get(d.args.out.q, n);
        float *scales = cuda_test_get(d.args.out.q_scales, n / 4);
        cuda_test_check_q8(out, q, scales, (int64_t)n);
        free(q);
        free(scales);
    }
    free(out);
    free(again);
    close_case(&d);
}

/* With every kind of cache that has blocks for it. */
static void run_case(const attention_case *c, bool as_decode)
{
    for (int kinds = 0; kinds < (c->head_dim % SSW_CUDA_BLOCK == 0 ? 4 : 1); kinds++)
        run_one(c, as_decode, kinds);
}

static void parts_of_many_rows_agree(void **state)
{
    (void)state;
    run_case(&(attention_case){64, 8, 64, 0, true, true, 512, 2, {{0, 300, 0, 0}, {0, 50, 0, 130}}}, false);
    run_case(
        &(attention_case){
            64, 8, 64, 128, true, true, 256, 3, {{0, 100, 0, 1000}, {0, 1, 0, 777}, {0, 27, 0, 0}}},
        false);
    run_case(&(attention_case){4, 4, 128, 0, false, true, 256, 2, {{0, 130, 0, 0}, {0, 2, 0, 200}}}, false);
    run_case(&(attention_case){8, 2, 128, 100, false, false, 192, 1, {{0, 64, 0, 500}}}, false);
    run_case(&(attention_case){6, 3, 96, 0, false, true, 320, 2, {{0, 65, 0, 250}, {0, 3, 0, 0}}}, false);
    run_case(&(attention_case){5, 1, 80, 9, true, false, 100, 2, {{0, 33, 0, 70}, {0, 40, 0, 0}}}, false);
    run_case(&(attention_case){20, 1, 16, 0, false, false, 128, 1, {{0, 70, 0, 3}}}, false);
    run_case(&(attention_case){10, 2, 32, 20, true, true, 128, 2, {{0, 45, 0, 90}, {0, 2, 0, 0}}}, false);
    run_case(&(attention_case){4, 2, 160, 0, false, true, 192, 1, {{0, 70, 0, 60}}}, false);
    run_case(&(attention_case){2, 1, 256, 0, true, true, 192, 1, {{0, 90, 0, 100}}}, false);
}

static void parts_of_one_row_agree(void **state)
{
    (void)state;
    for (int as_decode = 0; as_decode < 2; as_decode++) {
        run_case(
            &(attention_case){
                64, 8, 64, 0, true, true, 640, 3, {{0, 1, 0, 599}, {0, 1, 0, 0}, {0, 1, 0, 26}}},
            as_decode);
        run_case(&(attention_case){64, 8, 64, 128, true, true, 192, 2, {{0, 1, 0, 5000}, {0, 1, 0, 130}}},
                 as_decode);
        run_case(&(attention_case){16, 16, 128, 0, false, true, 3072, 1, {{0, 1, 0, 3000}}}, as_decode);
        run_case(&(attention_case){32, 8, 128, 0, false, true, 8192, 1, {{0, 1, 0, 8191}}}, as_decode);
        run_case(
            &(attention_case){6,
                              3,
                              96,
                              0,
                              false,
                              true,
                              320,
                              5,
                              {{0, 1, 0, 300}, {0, 1, 0, 15}, {0, 1, 0, 16}, {0, 1, 0, 127}, {0, 1, 0, 128}}},
            as_decode);
        run_case(&(attention_case){40, 2, 80, 0, true, false, 300, 1, {{0, 1, 0, 290}}}, as_decode);
        run_case(&(attention_case){9, 3, 32, 0, true, true, 256, 2, {{0, 1, 0, 200}, {0, 1, 0, 1}}},
                 as_decode);
        run_case(&(attention_case){4, 2, 160, 0, false, true, 320, 1, {{0, 1, 0, 310}}}, as_decode);
        run_case(&(attention_case){3, 1, 256, 200, true, true, 512, 2, {{0, 1, 0, 400}, {0, 1, 0, 90}}},
                 as_decode);
    }
}

/* What ssw_cuda_rope_store puts into a Q8_0 cache, without a rotation: the bits that quantise has. */
static void stores_the_nearest_of_eight_bits(void **state)
{
    enum { N = 3, KV_HEADS = 2, DIM = 96, RING = 64, POSITION = 62, BLOCKS = DIM / SSW_CUDA_BLOCK };
    (void)state;
    const float sizes[] = {1, 300, 0, 1e-6f, 60000};
    float in[2][N * KV_HEADS * DIM];
    uint32_t random = 9;
    ssw_cuda_row rows[N];
    int64_t stride = KV_HEADS * RING * DIM, n_cache = 2 * stride;
    for (int i = 0; i < 2 * N * KV_HEADS * DIM; i++)
        in[i % 2][i / 2] = sizes[i / 2 / SSW_CUDA_BLOCK % 5] * cpu_case_uniform(&random);
    for (int t = 0; t < N; t++)
        rows[t] = (ssw_cuda_row){.sequence = 1, .position = POSITION + t};
    ssw_cuda_rope_args args = {
        .rows = cuda_test_put(rows, sizeof rows),
        .n = N,
        .n_kv_heads = KV_HEADS,
        .head_dim = DIM,
        .k = cuda_test_put(in[0], sizeof in[0]),
        .v = cuda_test_put(in[1], sizeof in[1]),
        .kv = {cuda_test_put(NULL, (uint64_t)n_cache), cuda_test_put(NULL, (uint64_t)n_cache), stride, RING,
               cuda_test_put(NULL, (uint64_t)n_cache / 16), cuda_test_put(NULL, (uint64_t)n_cache / 16)}};
    ssw_cuda_rope_store(NULL, &args);
    const void *stored[2][2] = {{args.kv.k, args.kv.k_scales}, {args.kv.v, args.kv.v_scales}};
    for (int side = 0; side < 2; side++) {
        uint8_t *q = cuda_test_get(stored[side][0], (uint64_t)n_cache), wanted[SSW_CUDA_BLOCK];
        uint16_t *scales = cuda_test_get(stored[side][1], (uint64_t)n_cache / 16);
        for (int b = 0; b < N * KV_HEADS * BLOCKS; b++) {
            int token = b / (KV_HEADS * BLOCKS), head = b / BLOCKS % KV_HEADS;
            int64_t at =
                (stride + (head * RING + (POSITION + token) % RING) * DIM) / SSW_CUDA_BLOCK + b % BLOCKS;
            assert_int_equal(scales[at], quantise(in[side] + b * SSW_CUDA_BLOCK, wanted));
            assert_memory_equal(q + at * SSW_CUDA_BLOCK, wanted, sizeof wanted);
        }
        free(q);
        free(scales);
        ssw_cuda_free((void *)(uintptr_t)stored[side][0]);
        ssw_cuda_free((void *)(uintptr_t)stored[side][1]);
    }
    const void *buffers[] = {args.rows, args.k, args.v};
    for (int i = 0; i < 3; i++)
        ssw_cuda_free((void *)(uintptr_t)buffers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_of_many_rows_agree),
                                       cmocka_unit_test(parts_of_one_row_agree),
                                       cmocka_unit_test(stores_the_nearest_of_eight_bits)};
    cuda_test_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
