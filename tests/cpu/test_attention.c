/* KV cache, rotation and attention against a double-precision softmax over all positions at once.
 *
 * The truth uses keys and values rounded to F16, as the cache holds them. Bound: 1e-5 of the largest value,
 * for float sums over at most a few hundred terms and exponentials good to 2e-7. */
#include "cpu_case.h"

#include <math.h>
#include <string.h>

#include "quant/half.h"

enum { POSITIONS_MAX = 400 };
#define BOUND 3.2e-4

static float *make_uniform(int n, uint32_t seed)
{
    float *out = test_malloc((size_t)n * sizeof *out);
    for (int i = 0; i < n; i++)
        out[i] = cpu_case_uniform(&seed);
    return out;
}

typedef struct shape {
    int n_heads, n_kv_heads, dim, window, n_pairs;
    bool sinks, interleaved;
    int steps[8]; /* tokens of each batch, 0 ends */
    int n_batch;
} shape;

/* Everything one sequence has ever seen. */
typedef struct history {
    float *q, *k, *v; /* [POSITIONS_MAX][heads][dim], unrotated */
} history;

static void rotate_truth(const shape *s, const ssw_cpu_rope *rope, int position, const float *in, float *out)
{
    memcpy(out, in, (size_t)s->dim * sizeof *out);
    for (int i = 0; i < s->n_pairs; i++) {
        int a = s->interleaved ? 2 * i : i, b = s->interleaved ? 2 * i + 1 : i + s->n_pairs;
        double angle = (double)((float)position * rope->inv_freq[i]);
        double cosine = cos(angle) * (double)rope->scale, sine = sin(angle) * (double)rope->scale;
        out[a] = (float)((double)in[a] * cosine - (double)in[b] * sine);
        out[b] = (float)((double)in[a] * sine + (double)in[b] * cosine);
    }
}

static void attend_truth(const shape *s, const ssw_cpu_rope *rope, const history *h, const float *sinks,
                         int position, int head, double *out)
{
    int kv_head = head / (s->n_heads / s->n_kv_heads), oldest = 0;
    float q[SSW_CPU_HEAD_DIM_MAX];
    double scores[POSITIONS_MAX], max = sinks ? (double)sinks[head] : -INFINITY, sum = 0;
    rotate_truth(s, rope, position, h->q + (position * s->n_heads + head) * s->dim, q);
    if (s->window > 0 && position - s->window + 1 > 0)
        oldest = position - s->window + 1;
    for (int p = oldest; p <= position; p++) {
        float k[SSW_CPU_HEAD_DIM_MAX];
        rotate_truth(s, rope, p, h->k + (p * s->n_kv_heads + kv_head) * s->dim, k);
        scores[p] = 0;
        for (int d = 0; d < s->dim; d++)
            scores[p] += (double)q[d] * (double)ssw_half_from_f16(ssw_half_to_f16(k[d])) * 0.3;
        max = fmax(max, scores[p]);
    }
    sum = sinks ? exp((double)sinks[head] - max) : 0;
    memset(out, 0, (size_t)s->dim * sizeof *out);
    for (int p = oldest; p <= position; p++) {
        double weight = exp(scores[p] - max);
        sum += weight;
        for (int d = 0; d < s->dim; d++)
            out[d] += weight * (double)ssw_half_from_f16(
                                   ssw_half_to_f16(h->v[(p * s->n_kv_heads + kv_head) * s->dim + d]));
    }
    for (int d = 0; d < s->dim; d++)
        out[d] /= sum;
}

static void attention_op(ssw_cpu_worker *worker, const void *args)
{
    ssw_cpu_kv_store(worker, args);
    ssw_cpu_barrier(worker);
    ssw_cpu_attention(worker, args);
}

/* Two sequences with the same history: the second runs one batch behind, so that batches mix positions. */
static void check_shape(const shape *s, ssw_cpu_isa isa)
{
    cpu_case c;
    if (!cpu_case_open(&c, isa, 1 + s->n_heads % CASE_THREADS))
        return;
    int q_dim = s->n_heads * s->dim, kv_dim = s->n_kv_heads * s->dim;
    history h = {make_uniform(POSITIONS_MAX * q_dim, 1), make_uniform(POSITIONS_MAX * kv_dim, 2),
                 make_uniform(POSITIONS_MAX * kv_dim, 3)};
    float *sinks = s->sinks ? make_uniform(s->n_heads, 4) : NULL;
    ssw_cpu_rope rope;
    ssw_cpu_rope_init(&rope, &(ssw_cpu_rope_config){.n_rot = 2 * s->n_pairs, .freq_base = 1000, .factor = 1});
    int32_t n_rows = ssw_cpu_kv_rows(POSITIONS_MAX, s->window, s->n_batch);
    uint64_t kv_bytes = ssw_cpu_kv_bytes(n_rows, s->n_kv_heads, s->dim);
    ssw_cpu_attention_item items[2] = {{.kv = {ssw_cpu_memory_alloc(kv_bytes), n_rows}},
                                       {.kv = {ssw_cpu_memory_alloc(kv_bytes), n_rows}}};
    float *q = test_malloc((size_t)(2 * s->n_batch * q_dim) * 4),
          *out = test_malloc((size_t)(2 * s->n_batch * q_dim) * 4);
    float *k = test_malloc((size_t)(2 * s->n_batch * kv_dim) * 4),
          *v = test_malloc((size_t)(2 * s->n_batch * kv_dim) * 4);
    float *cos_sin = test_malloc((size_t)(2 * s->n_batch * 2 * (s->n_pairs + 1)) * 4);
    for (int step = 0;
         step < 8 && (s->steps[step] > 0 || items[1].position + items[1].n < items[0].position + items[0].n);
         step++) {
        int n = 0;
        items[1] = (ssw_cpu_attention_item){items[1].kv, 0, step > 0 ? s->steps[step - 1] : 0,
                                            items[1].position + items[1].n};
        items[0] = (ssw_cpu_attention_item){items[0].kv, 0, s->steps[step], items[0].position + items[0].n};
        for (int i = 0; i < 2; i++) {
            items[i].first = n;
            for (int t = 0; t < items[i].n; t++, n++) {
                int p = items[i].position + t;
                memcpy(q + n * q_dim, h.q + p * q_dim, (size_t)q_dim * 4);
                memcpy(k + n * kv_dim, h.k + p * kv_dim, (size_t)kv_dim * 4);
                memcpy(v + n * kv_dim, h.v + p * kv_dim, (size_t)kv_dim * 4);
                ssw_cpu_rope_angles(&rope, p, cos_sin + n * 2 * s->n_pairs);
            }
        }
        ssw_cpu_attention_args args = {.items = items,
                                       .n_items = 2,
                                       .n_heads = s->n_heads,
                                       .n_kv_heads = s->n_kv_heads,
                                       .head_dim = s->dim,
                                       .window = s->window,
                                       .scale = 0.3f,
                                       .sinks = sinks,
                                       .cos_sin = cos_sin,
                                       .n_pairs = s->n_pairs,
                                       .interleaved = s->interleaved,
                                       .q = q,
                                       .k = k,
                                       .v = v,
                                       .q_stride = q_dim,
                                       .kv_stride = kv_dim,
                                       .out = out,
                                       .out_stride = q_dim};
        cpu_case_run(&c, attention_op, &args);
        for (int i = 0; i < 2; i++) {
            for (int t = 0; t < items[i].n; t++) {
                for (int head = 0; head < s->n_heads; head++) {
                    double want[SSW_CPU_HEAD_DIM_MAX];
                    attend_truth(s, &rope, &h, sinks, items[i].position + t, head, want);
                    for (int d = 0; d < s->dim; d++) {
                        double got = (double)out[(items[i].first + t) * q_dim + head * s->dim + d];
                        if (!(fabs(got - want[d]) <= BOUND))
                            fail_msg("%s: position %d head %d dimension %d: %g, not %g",
                                     ssw_cpu_isa_name(isa), items[i].position + t, head, d, got, want[d]);
                    }
                }
            }
        }
    }
    for (int i = 0; i < 2; i++)
        ssw_cpu_memory_free(items[i].kv.data, kv_bytes);
    float *owned[] = {h.q, h.k, h.v, q, k, v, out, cos_sin, sinks};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (owned[i])
            test_free(owned[i]);
    }
    cpu_case_close(&c);
}

static void attends_as_the_whole_softmax(void **state)
{
    static const shape shapes[] = {
        {8, 1, 32, 0, 16, true, false, {5, 1, 1, 30}, 30},
        {16, 2, 64, 0, 32, true, false, {100, 1, 64, 1}, 100},
        {16, 2, 64, 24, 32, true, false, {50, 1, 100, 1, 1, 99}, 100}, /* the ring turns over */
        {4, 4, 16, 7, 8, false, true, {1, 1, 1, 3, 9, 60, 70}, 70}, /* window below a tile, pairs interleaved
                                                                     */
        {6, 2, 48, 0, 8, false, false, {70, 2, 33}, 70},            /* half the dimensions rotated */
        {5, 1, 20, 0, 10, true, true, {9, 1, 70}, 70},              /* a width no vector divides */
        {20, 2, 128, 33, 64, true, false, {33, 34, 1}, 34},
        {3, 1, 64, 0, 0, false, false, {3, 70}, 70}, /* no rotation */
    };
    for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            check_shape(&shapes[i], (ssw_cpu_isa)isa);
    }
}

static void yarn_is_the_papers(void **state)
{
    /* gpt-oss: 64 dimensions, base 150000, factor 32 over 4096, betas 32 and 1, ends not rounded.
     * transformers' _compute_yarn_parameters gives low 8.0928..., high 17.3980...; checked here from the
     * formulae. */
    ssw_cpu_rope rope, plain;
    ssw_cpu_rope_config config = {.n_rot = 64,
                                  .freq_base = 150000,
                                  .factor = 32,
                                  .original_ctx = 4096,
                                  .beta_fast = 32,
                                  .beta_slow = 1};
    ssw_cpu_rope_init(&rope, &config);
    config.factor = 1;
    ssw_cpu_rope_init(&plain, &config);
    assert_float_equal(rope.scale, 1.3465736, 1e-6);
    assert_float_equal(plain.scale, 1, 0);
    for (int i = 0; i < 32; i++) {
        assert_float_equal(plain.inv_freq[i], pow(150000, -2.0 * i / 64), 1e-6);
        double ratio = (double)rope.inv_freq[i] / (double)plain.inv_freq[i];
        if (i <= 8)
            assert_float_equal(ratio, 1, 1e-6);
        else if (i >= 18)
            assert_float_equal(ratio, 1.0 / 32, 1e-6);
        else
            assert_true(ratio > 1.0 / 32 && ratio < 1);
    }
    double slowness = (12 - 8.0928) / (17.3980 - 8.0928);
    assert_float_equal((double)rope.inv_freq[12] / (double)plain.inv_freq[12], 1 - slowness + slowness / 32,
                       1e-4);
}

static void cache_sizes(void **state)
{
    assert_int_equal(ssw_cpu_kv_rows(1000, 0, 512), 1024);
    assert_int_equal(ssw_cpu_kv_rows(8192, 128, 512), 640);
    assert_int_equal(ssw_cpu_kv_rows(200, 128, 512), 256);
    assert_int_equal(ssw_cpu_kv_bytes(640, 8, 64), 640 * 8 * 64 * 2 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attends_as_the_whole_softmax),
        cmocka_unit_test(yarn_is_the_papers),
        cmocka_unit_test(cache_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
