/* The KV cache's layout, storing into it, and attention over it.
 *
 * Work is cut by (sequence, KV head, up to 64 queries): the queries of one unit share a KV head, so that each
 * tile of keys and values is read once for all of them. Tiles start at positions that are multiples of 64
 * whatever the batch, which makes a token's result independent of its neighbours. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu/kernels.h"
#include "quant/half.h"

enum {
    BAND = SSW_CPU_BAND_ROWS,
    TILE = SSW_KV_TILE,
    QUERIES = SSW_ATTENTION_QUERIES,
    LATENT_QUERIES_MIN = 4 /* to a unit: as many as kernels let share a load */
};

int32_t ssw_cpu_kv_rows(int32_t ctx, int32_t window, int32_t n_batch)
{
    int64_t rows = ctx;
    if (window > 0 && (int64_t)window + n_batch < rows)
        rows = (int64_t)window + n_batch;
    return (int32_t)((rows + TILE - 1) / TILE * TILE);
}

uint64_t ssw_cpu_kv_bytes(int32_t n_rows, int32_t n_kv_heads, int32_t key_dim, int32_t value_dim)
{
    return (uint64_t)n_rows * (uint64_t)n_kv_heads * ((uint64_t)key_dim + (uint64_t)value_dim) *
           sizeof(uint16_t);
}

static uint16_t *keys_of(const ssw_cpu_kv *kv, const ssw_cpu_attention_args *args, int head)
{
    return kv->data + (size_t)head * (size_t)kv->n_rows * (size_t)args->head_dim;
}

static uint16_t *values_of(const ssw_cpu_kv *kv, const ssw_cpu_attention_args *args, int head)
{
    return keys_of(kv, args, args->n_kv_heads + head);
}

static int32_t count_tokens(const ssw_cpu_attention_args *args)
{
    int32_t n = 0;
    for (int32_t i = 0; i < args->n_items; i++)
        n += args->items[i].n;
    return n;
}

/* ---- storing ---- */

static void rotate(const ssw_cpu_attention_args *args, const float *cos_sin, const float *in, float *out)
{
    int n_pairs = args->n_pairs, first = args->rotated_from;
    for (int i = 0; i < n_pairs; i++) {
        int a = first + (args->interleaved ? 2 * i : i);
        int b = first + (args->interleaved ? 2 * i + 1 : i + n_pairs);
        float x = in[a], y = in[b], c = cos_sin[i], s = cos_sin[n_pairs + i];
        out[a] = x * c - y * s;
        out[b] = x * s + y * c;
    }
}

static void store_token(const ssw_cpu_attention_args *args, const ssw_cpu_attention_item *item, int32_t i,
                        int head)
{
    int dim = args->head_dim, group = args->n_heads / args->n_kv_heads;
    int64_t token = item->first + i;
    const float *k = args->k + token * args->kv_stride + head * dim;
    float rotated[SSW_CPU_HEAD_DIM_MAX];
    if (args->cos_sin) {
        const float *cos_sin = args->cos_sin + token * 2 * args->n_pairs;
        float *q = args->q + token * args->q_stride + head * group * dim;
        for (int g = 0; g < group; g++)
            rotate(args, cos_sin, q + g * dim, q + g * dim);
        memcpy(rotated, k, (size_t)dim * sizeof *k);
        rotate(args, cos_sin, k, rotated);
        k = rotated;
    }
    int32_t row = (int32_t)(((int64_t)item->position + i) % item->kv.n_rows);
    uint16_t *key = keys_of(&item->kv, args, head) + (size_t)(row / BAND) * BAND * (size_t)dim + row % BAND;
    for (int d = 0; d < dim; d++)
        key[d * BAND] = ssw_half_to_f16(k[d]);
    if (args->latent_dim > 0)
        return;
    const float *v = args->v + token * args->kv_stride + head * dim;
    uint16_t *value = values_of(&item->kv, args, head) + (size_t)row * (size_t)dim;
    for (int d = 0; d < dim; d++)
        value[d] = ssw_half_to_f16(v[d]);
}

void ssw_cpu_kv_store(ssw_cpu_worker *worker, const ssw_cpu_attention_args *args)
{
    assert(args->head_dim <= SSW_CPU_HEAD_DIM_MAX && args->n_heads % args->n_kv_heads == 0);
    assert(args->rotated_from + 2 * args->n_pairs <= args->head_dim && args->latent_dim <= args->head_dim);
    ssw_span span =
        ssw_span_of((int64_t)count_tokens(args) * args->n_kv_heads, worker->index, worker->n_workers);
    int64_t unit = 0;
    for (int32_t s = 0; s < args->n_items; s++) {
        const ssw_cpu_attention_item *item = &args->items[s];
        int64_t end = unit + (int64_t)item->n * args->n_kv_heads;
        assert(item->kv.n_rows % TILE == 0);
        for (int64_t u = span.begin > unit ? span.begin : unit; u < end && u < span.end; u++)
            store_token(args, item, (int32_t)((u - unit) / args->n_kv_heads),
                        (int)((u - unit) % args->n_kv_heads));
        unit = end;
    }
}

/* ---- attending ---- */

/* Up to 64 queries of one sequence and KV head; query i of the unit is token i / group, head i % group. */
typedef struct unit {
    const ssw_cpu_attention_item *item;
    int head;
    int64_t first;
    int n;
} unit;

static int64_t queries_of(const ssw_cpu_attention_args *args, const ssw_cpu_attention_item *item)
{
    return (int64_t)item->n * (args->n_heads / args->n_kv_heads);
}

/* Queries to a unit. All heads share a latent key: with few tokens they are spread over the workers. */
static int64_t unit_queries(const ssw_cpu_attention_args *args, int n_workers)
{
    int64_t n = 0;
    if (args->latent_dim == 0)
        return QUERIES;
    for (int32_t s = 0; s < args->n_items; s++)
        n += queries_of(args, &args->items[s]);
    int64_t share = (n + n_workers - 1) / n_workers;
    share = (share + LATENT_QUERIES_MIN - 1) / LATENT_QUERIES_MIN * LATENT_QUERIES_MIN;
    return share < QUERIES ? share : QUERIES;
}

/* The last queries first: they see the most positions. */
static bool find_unit(const ssw_cpu_attention_args *args, int64_t n_each, int64_t number, unit *out)
{
    for (int32_t s = 0; s < args->n_items; s++) {
        const ssw_cpu_attention_item *item = &args->items[s];
        int64_t n_queries = queries_of(args, item);
        int64_t n_chunks = (n_queries + n_each - 1) / n_each;
        if (number < n_chunks * args->n_kv_heads) {
            int64_t chunk = n_chunks - 1 - number / args->n_kv_heads;
            int64_t rest = n_queries - chunk * n_each;
            *out = (unit){item, (int)(number % args->n_kv_heads), chunk * n_each,
                          rest < n_each ? (int)rest : (int)n_each};
            return true;
        }
        number -= n_chunks * args->n_kv_heads;
    }
    return false;
}

/* Where a unit's working memory lies in the worker's scratch. */
typedef struct workspace {
    float *q, *acc, *max, *sum, *kernel;
    int *from, *to;
    uint16_t *values; /* of a latent tile */
} workspace;

static workspace place_workspace(const ssw_cpu_worker *worker, int dim)
{
    workspace s;
    s.q = worker->attention;
    s.acc = s.q + QUERIES * dim;
    s.max = worker->attention + QUERIES * 2 * SSW_CPU_HEAD_DIM_MAX;
    s.sum = s.max + QUERIES;
    s.from = (int *)(void *)(s.sum + QUERIES);
    s.to = s.from + QUERIES;
    s.kernel = s.sum + 3 * QUERIES;
    s.values = (uint16_t *)(void *)(s.kernel + SSW_ATTENTION_SCRATCH_FLOATS);
    return s;
}

static void load_queries(const ssw_cpu_attention_args *args, const unit *u, workspace *s)
{
    int group = args->n_heads / args->n_kv_heads, dim = args->head_dim;
    for (int i = 0; i < u->n; i++) {
        int64_t token = u->item->first + (u->first + i) / group;
        int head = u->head * group + (int)((u->first + i) % group);
        const float *q = args->q + token * args->q_stride + head * dim;
        for (int d = 0; d < dim; d++)
            s->q[i * dim + d] = q[d] * args->scale;
        s->max[i] = args->sinks ? args->sinks[head] : -INFINITY;
        s->sum[i] = args->sinks ? 1 : 0; /* exp(sink - max) */
    }
    memset(s->acc, 0, (size_t)(u->n * dim) * sizeof *s->acc);
}

bool ssw_cpu_attention_can_store(const ssw_cpu_attention_args *args)
{
    for (int32_t s = 0; s < args->n_items; s++) {
        if (queries_of(args, &args->items[s]) > QUERIES)
            return false;
    }
    return args->latent_dim == 0; /* else several workers share an item */
}

static int clamp_to_tile(int64_t position)
{
    return position < 0 ? 0 : position > TILE ? TILE : (int)position;
}

/* The keys of a tile position by position, as the kernels take values. */
static const uint16_t *lay_out_latent(const uint16_t *keys, int dim, uint16_t *out)
{
    for (int band = 0; band < TILE / BAND; band++) {
        const uint16_t *from = keys + band * BAND * dim;
        for (int p = 0; p < BAND; p++) {
            for (int d = 0; d < dim; d++)
                out[(band * BAND + p) * dim + d] = from[d * BAND + p];
        }
    }
    return out;
}

static void attend_unit(const ssw_cpu_worker *worker, const ssw_cpu_attention_args *args, const unit *u,
                        workspace *s)
{
    int group = args->n_heads / args->n_kv_heads, dim = args->head_dim;
    const ssw_cpu_kv *kv = &u->item->kv;
    int64_t first = u->item->position + u->first / group;
    int64_t last = u->item->position + (u->first + u->n - 1) / group;
    int64_t oldest = args->window > 0 && first - args->window + 1 > 0 ? first - args->window + 1 : 0;
    assert(last - oldest < kv->n_rows);
    for (int64_t start = oldest / TILE * TILE; start <= last; start += TILE) {
        for (int i = 0; i < u->n; i++) {
            int64_t own = u->item->position + (u->first + i) / group;
            s->from[i] = clamp_to_tile(args->window > 0 ? own - args->window + 1 - start : 0);
            s->to[i] = clamp_to_tile(own + 1 - start);
        }
        size_t offset = (size_t)(start % kv->n_rows) * (size_t)dim;
        const uint16_t *k = keys_of(kv, args, u->head) + offset;
        ssw_attention_tile tile = {.k = k,
                                   .v = args->latent_dim > 0 ? lay_out_latent(k, dim, s->values)
                                                             : values_of(kv, args, u->head) + offset,
                                   .head_dim = dim,
                                   .n = u->n,
                                   .q = s->q,
                                   .from = s->from,
                                   .to = s->to,
                                   .max = s->max,
                                   .sum = s->sum,
                                   .acc = s->acc,
                                   .scratch = s->kernel};
        worker->kernels->attend(&tile);
    }
}

static void store_results(const ssw_cpu_worker *worker, const ssw_cpu_attention_args *args, const unit *u,
                          const workspace *s)
{
    int group = args->n_heads / args->n_kv_heads;
    int dim = args->latent_dim > 0 ? args->latent_dim : args->head_dim;
    for (int i = 0; i < u->n; i++) {
        int64_t token = u->item->first + (u->first + i) / group;
        int head = u->head * group + (int)((u->first + i) % group);
        float *out = args->out + token * args->out_stride + head * dim;
        float scale = 1 / s->sum[i];
        for (int d = 0; d < dim; d++)
            out[d] = s->acc[i * args->head_dim + d] * scale;
        if (args->out_q8) {
            int64_t blocks = args->n_heads * dim / SSW_QUANT_BLOCK;
            worker->kernels->quantize(
                out, dim, (ssw_q8_block *)args->out_q8 + token * blocks + head * (dim / SSW_QUANT_BLOCK));
        }
    }
}

void ssw_cpu_attention(ssw_cpu_worker *worker, const ssw_cpu_attention_args *args)
{
    assert(!args->out_q8 || (args->head_dim % SSW_QUANT_BLOCK == 0 && args->latent_dim == 0));
    workspace s = place_workspace(worker, args->head_dim);
    ssw_cpu_queue *queue = ssw_cpu_queue_begin(worker);
    unit u;
    assert(!args->store || ssw_cpu_attention_can_store(args));
    int64_t n_each = unit_queries(args, worker->n_workers);
    while (find_unit(args, n_each, ssw_cpu_queue_take(queue), &u)) {
        for (int32_t i = 0; args->store && i < u.item->n; i++)
            store_token(args, u.item, i, u.head);
        load_queries(args, &u, &s);
        attend_unit(worker, args, &u, &s);
        store_results(worker, args, &u, &s);
    }
}
