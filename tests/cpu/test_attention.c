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
    int latent; /* values are so many first numbers of the keys, what follows is rotated; 0: own values */
} shape;

static int value_dim(const shape *s)
{
    return s->latent > 0 ? s->latent : s->dim;
}

/* Everything one sequence has ever seen, and the truth about it. */
typedef struct history {
    float *q, *k, *v; /* [POSITIONS_MAX][heads][dim], unrotated */
    float *sinks;     /* or NULL */
    float *want;      /* [POSITIONS_MAX][n_heads][value_dim] */
    int n;
    ssw_cpu_rope rope;
} history;

static void rotate_truth(const shape *s, const ssw_cpu_rope *rope, int position, const float *in, float *out)
{
    memcpy(out, in, (size_t)s->dim * sizeof *out);
    for (int i = 0; i < s->n_pairs; i++) {
        int a = s->latent + (s->interleaved ? 2 * i : i);
        int b = s->latent + (s->interleaved ? 2 * i + 1 : i + s->n_pairs);
        double angle = (double)((float)position * rope->inv_freq[i]);
        double cosine = cos(angle) * (double)rope->scale, sine = sin(angle) * (double)rope->scale;
        out[a] = (float)((double)in[a] * cosine - (double)in[b] * sine);
        out[b] = (float)((double)in[a] * sine + (double)in[b] * cosine);
    }
}

/* keys, values: [POSITIONS_MAX][n_kv_heads][dim] as the cache holds them; of latent values the keys. */
static void attend_truth(const shape *s, const history *h, const float *keys, const float *values,
                         int position, int head)
{
    int kv_head = head / (s->n_heads / s->n_kv_heads), oldest = 0,
        at = (position * s->n_heads + head) * s->dim;
    float q[SSW_CPU_HEAD_DIM_MAX];
    double scores[POSITIONS_MAX], out[SSW_CPU_HEAD_DIM_MAX] = {0};
    double max = h->sinks ? (double)h->sinks[head] : -INFINITY;
    rotate_truth(s, &h->rope, position, h->q + at, q);
    if (s->window > 0 && position - s->window + 1 > 0)
        oldest = position - s->window + 1;
    for (int p = oldest; p <= position; p++) {
        scores[p] = 0;
        for (int d = 0; d < s->dim; d++)
            scores[p] += (double)q[d] * (double)keys[(p * s->n_kv_heads + kv_head) * s->dim + d] * 0.3;
        max = fmax(max, scores[p]);
    }
    double sum = h->sinks ? exp((double)h->sinks[head] - max) : 0;
    for (int p = oldest; p <= position; p++) {
        double weight = exp(scores[p] - max);
        sum += weight;
        for (int d = 0; d < s->dim; d++)
            out[d] += weight * (double)values[(p * s->n_kv_heads + kv_head) * s->dim + d];
    }
    for (int d = 0; d < value_dim(s); d++)
        h->want[(position * s->n_heads + head) * value_dim(s) + d] = (float)(out[d] / sum);
}

static history make_history(const shape *s)
{
    int q_dim = s->n_heads * s->dim, kv_dim = s->n_kv_heads * s->dim;
    history h = {.q = make_uniform(POSITIONS_MAX * q_dim, 1),
                 .k = make_uniform(POSITIONS_MAX * kv_dim, 2),
                 .v = make_uniform(POSITIONS_MAX * kv_dim, 3),
                 .sinks = s->sinks ? make_uniform(s->n_heads, 4) : NULL,
                 .want = test_malloc((size_t)(POSITIONS_MAX * q_dim) * sizeof(float))};
    float *keys = make_uniform(POSITIONS_MAX * kv_dim, 0), *values = make_uniform(POSITIONS_MAX * kv_dim, 0);
    ssw_cpu_rope_init(&h.rope,
                      &(ssw_cpu_rope_config){.n_rot = 2 * s->n_pairs, .freq_base = 1000, .factor = 1});
    for (int i = 0; i < 8; i++)
        h.n += s->steps[i];
    for (int i = 0; i < h.n * s->n_kv_heads; i++)
        rotate_truth(s, &h.rope, i / s->n_kv_heads, h.k + i * s->dim, keys + i * s->dim);
    for (int i = 0; i < h.n * kv_dim; i++) {
        keys[i] = ssw_half_from_f16(ssw_half_to_f16(keys[i]));
        values[i] = ssw_half_from_f16(ssw_half_to_f16(h.v[i]));
    }
    for (int i = 0; i < h.n * s->n_heads; i++)
        attend_truth(s, &h, keys, s->latent > 0 ? keys : values, i / s->n_heads, i % s->n_heads);
    test_free(keys);
    test_free(values);
    return h;
}

static void free_history(history *h)
{
    float *owned[] = {h->q, h->k, h->v, h->want, h->sinks};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (owned[i])
            test_free(owned[i]);
    }
}

static void attention_op(ssw_cpu_worker *worker, const void *args)
{
    const ssw_cpu_attention_args *a = args;
    if (!a->store) {
        ssw_cpu_kv_store(worker, a);
        ssw_cpu_barrier(worker);
    }
    ssw_cpu_attention(worker, a);
}

/* Operands of one batch. */
typedef struct batch {
    ssw_cpu_attention_item items[2];
    float *q, *k, *v, *cos_sin, *out;
} batch;

static void load_batch(const shape *s, const history *h, batch *b)
{
    int q_dim = s->n_heads * s->dim, kv_dim = s->n_kv_heads * s->dim, n = 0;
    for (int i = 0; i < 2; i++) {
        b->items[i].first = n;
        for (int t = 0; t < b->items[i].n; t++, n++) {
            int p = b->items[i].position + t;
            memcpy(b->q + n * q_dim, h->q + p * q_dim, (size_t)q_dim * sizeof(float));
            memcpy(b->k + n * kv_dim, h->k + p * kv_dim, (size_t)kv_dim * sizeof(float));
            memcpy(b->v + n * kv_dim, h->v + p * kv_dim, (size_t)kv_dim * sizeof(float));
            ssw_cpu_rope_angles(&h->rope, p, b->cos_sin + n * 2 * s->n_pairs);
        }
    }
}

static void check_batch(cpu_case *c, const shape *s, const history *h, batch *b)
{
    int q_dim = s->n_heads * s->dim, out_dim = s->n_heads * value_dim(s);
    ssw_cpu_attention_args args = {.items = b->items,
                                   .n_items = 2,
                                   .n_heads = s->n_heads,
                                   .n_kv_heads = s->n_kv_heads,
                                   .head_dim = s->dim,
                                   .latent_dim = s->latent,
                                   .rotated_from = s->latent,
                                   .window = s->window,
                                   .scale = 0.3f,
                                   .sinks = h->sinks,
                                   .cos_sin = b->cos_sin,
                                   .n_pairs = s->n_pairs,
                                   .interleaved = s->interleaved,
                                   .q = b->q,
                                   .k = b->k,
                                   .v = s->latent > 0 ? NULL : b->v,
                                   .q_stride = q_dim,
                                   .kv_stride = s->n_kv_heads * s->dim,
                                   .out = b->out,
                                   .out_stride = out_dim};
    if (b->items[0].position % 2 == 0) /* both ways of storing take turns */
        args.store = ssw_cpu_attention_can_store(&args);
    cpu_case_run(c, attention_op, &args);
    for (int i = 0; i < 2; i++) {
        const float *got = b->out + b->items[i].first * out_dim;
        const float *want = h->want + b->items[i].position * out_dim;
        for (int j = 0; j < b->items[i].n * out_dim; j++) {
            if (!(fabs((double)got[j] - (double)want[j]) <= BOUND))
                fail_msg("%s: position %d head %d dimension %d: %g, not %g", ssw_cpu_isa_name(c->isa),
                         b->items[i].position + j / out_dim, j / value_dim(s) % s->n_heads, j % value_dim(s),
                         (double)got[j], (double)want[j]);
        }
    }
}

/* Two sequences with the same history: the second runs one batch behind, so that batches mix positions. */
static void check_shape(const shape *s, const history *h, ssw_cpu_isa isa)
{
    cpu_case c;
    if (!cpu_case_open(&c, isa, 1 + s->n_heads % CASE_THREADS))
        return;
    int q_dim = s->n_heads * s->dim, kv_dim = s->n_kv_heads * s->dim;
    int32_t n_rows = ssw_cpu_kv_rows(POSITIONS_MAX, s->window, s->n_batch);
    uint64_t kv_bytes = ssw_cpu_kv_bytes(n_rows, s->n_kv_heads, s->dim, s->latent ? 0 : s->dim);
    batch b = {.items = {{.kv = {ssw_cpu_memory_alloc(kv_bytes), n_rows}},
                         {.kv = {ssw_cpu_memory_alloc(kv_bytes), n_rows}}},
               .q = make_uniform(2 * s->n_batch * q_dim, 0),
               .k = make_uniform(2 * s->n_batch * kv_dim, 0),
               .v = make_uniform(2 * s->n_batch * kv_dim, 0),
               .cos_sin = make_uniform(2 * s->n_batch * 2 * (s->n_pairs + 1), 0),
               .out = make_uniform(2 * s->n_batch * q_dim, 0)};
    for (int step = 0; b.items[1].position + b.items[1].n < h->n; step++) {
        for (int i = 0; i < 2; i++)
            b.items[i].position += b.items[i].n;
        b.items[1].n = b.items[0].n;
        b.items[0].n = s->steps[step];
        load_batch(s, h, &b);
        check_batch(&c, s, h, &b);
    }
    for (int i = 0; i < 2; i++)
        ssw_cpu_memory_free(b.items[i].kv.data, kv_bytes);
    float *owned[] = {b.q, b.k, b.v, b.cos_sin, b.out};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        test_free(owned[i]);
    cpu_case_close(&c);
}

static void attends_as_the_whole_softmax(void **state)
{
    static const shape shapes[] = {
        {8, 1, 32, 0, 16, true, false, {5, 1, 1, 30}, 30, 0},
        {16, 2, 64, 0, 32, true, false, {100, 1, 64, 1}, 100, 0},
        {16, 2, 64, 24, 32, true, false, {50, 1, 100, 1, 1, 99}, 100, 0}, /* the ring turns over */
        {4, 4, 16, 7, 8, false, true, {1, 1, 1, 3, 9, 60, 70}, 70, 0},    /* window below a tile, pairs
                                                                           * interleaved
                                                                           */
        {6, 2, 48, 0, 8, false, false, {70, 2, 33}, 70, 0},               /* half the dimensions rotated */
        {5, 1, 20, 0, 10, true, true, {9, 1, 70}, 70, 0},                 /* a width no vector divides */
        {20, 2, 128, 33, 64, true, false, {33, 34, 1}, 34, 0},
        {3, 1, 64, 0, 0, false, false, {3, 70}, 70, 0},            /* no rotation */
        {16, 1, 576, 0, 32, false, true, {40, 1, 1, 30}, 40, 512}, /* DeepSeek-V2's latent keys */
        {5, 1, 26, 0, 3, false, true, {9, 1, 70}, 70, 20},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        history h = make_history(&shapes[i]);
        for (int isa = SSW_CPU_ISA_REFERENCE; isa < SSW_CPU_ISA_COUNT; isa++)
            check_shape(&shapes[i], &h, (ssw_cpu_isa)isa);
        free_history(&h);
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
    assert_int_equal(ssw_cpu_kv_bytes(640, 8, 64, 64), 640 * 8 * 64 * 2 * 2);
    assert_int_equal(ssw_cpu_kv_bytes(640, 1, 576, 0), 640 * 576 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attends_as_the_whole_softmax),
        cmocka_unit_test(yarn_is_the_papers),
        cmocka_unit_test(cache_sizes),
    };
    return cmocka_run_group_tests(tests, cpu_case_say_isas, NULL);
}
