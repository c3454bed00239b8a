/* The stand-in's attention: a softmax over the positions that a row sees, one head after the other. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "quant/half.h"
#include "stand_in_math.h"
#include "stand_in_parts.h"

/* Not the kernels' layout: only that whoever forgets to ask for it is found out. */
uint64_t ssw_cuda_attention_scratch_floats(int32_t n_rows, int32_t n_heads, int32_t head_dim,
                                           int32_t max_length)
{
    return (uint64_t)n_rows * (uint64_t)n_heads * (uint64_t)(head_dim + 2);
}

/* n elements of keys or values from `at` on. */
static void read_cache(const void *cache, const uint16_t *scales, int64_t at, int32_t n, float *out)
{
    const uint16_t *halves = cache;
    const uint8_t *bytes = cache;
    for (int32_t i = 0; i < n; i++)
        out[i] = scales ? (float)(bytes[at + i] - 128) * ssw_half_from_f16(scales[(at + i) / SSW_CUDA_BLOCK])
                        : ssw_half_from_f16(halves[at + i]);
}

static void require_cache(const void *cache, const uint16_t *scales, int64_t at, int64_t n, const char *what)
{
    stand_in_require((const uint8_t *)cache + at * (scales ? 1 : 2), (uint64_t)n * (scales ? 1 : 2), what);
    if (scales)
        stand_in_require(scales + at / SSW_CUDA_BLOCK, (uint64_t)n / SSW_CUDA_BLOCK * sizeof *scales, what);
}

static float dot(const float *a, const float *b, int32_t n)
{
    float sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One head of one row, to out [head_dim]. scores: [max_length]. */
static void attend(const ssw_cuda_attention_args *args, const ssw_cuda_part *part, int32_t i, int32_t head,
                   float *scores, float *out)
{
    int32_t d = args->head_dim, own = part->position + i, n_ring = args->kv.n_rows;
    int32_t from = args->window > 0 && own + 1 > args->window ? own + 1 - args->window : 0;
    int32_t kv_head = head / (args->n_heads / args->n_kv_heads);
    int64_t at = part->sequence * args->kv.sequence_stride + (int64_t)kv_head * n_ring * d;
    const float *q = args->q + ((int64_t)(part->first_row + i) * args->n_heads + head) * d;
    float largest = args->sinks ? args->sinks[head] : -INFINITY, sum = 0, row[SSW_CUDA_HEAD_DIM_MAX];
    require_cache(args->kv.k, args->kv.k_scales, at, (int64_t)n_ring * d, "cache of keys");
    require_cache(args->kv.v, args->kv.v_scales, at, (int64_t)n_ring * d, "cache of values");
    if (own >= args->max_length || own + 1 - from > n_ring)
        stand_in_end("attention at position %d from %d on, of %d, in a ring of %d", own, from,
                     args->max_length, n_ring);
    for (int32_t p = from; p <= own; p++) {
        read_cache(args->kv.k, args->kv.k_scales, at + (int64_t)(p % n_ring) * d, d, row);
        scores[p] = dot(q, row, d) * args->scale;
        largest = fmaxf(largest, scores[p]);
    }
    if (args->sinks)
        sum = expf(args->sinks[head] - largest);
    for (int32_t e = 0; e < d; e++)
        out[e] = 0;
    for (int32_t p = from; p <= own; p++) {
        float weight = expf(scores[p] - largest);
        sum += weight;
        read_cache(args->kv.v, args->kv.v_scales, at + (int64_t)(p % n_ring) * d, d, row);
        for (int32_t e = 0; e < d; e++)
            out[e] += weight * row[e];
    }
    for (int32_t e = 0; e < d; e++)
        out[e] /= sum;
}

static void run_attention(const void *given)
{
    const ssw_cuda_attention_args *args = given;
    int64_t width = (int64_t)args->n_heads * args->head_dim;
    uint64_t n_scratch =
        ssw_cuda_attention_scratch_floats(args->n_rows, args->n_heads, args->head_dim, args->max_length);
    float *scores = malloc((size_t)args->max_length * sizeof *scores);
    float *out = malloc((size_t)width * sizeof *out);
    int32_t n_rows = 0;
    if (!scores || !out)
        stand_in_end("no memory for attention");
    stand_in_require(args->parts, (uint64_t)args->n_parts * sizeof *args->parts, "parts of a step");
    stand_in_require(args->sinks, (uint64_t)args->n_heads * sizeof(float), "sinks");
    stand_in_require(args->q, (uint64_t)(args->n_rows * width) * sizeof(float), "queries");
    stand_in_require(args->scratch, n_scratch * sizeof(float), "attention's scratch");
    stand_in_require(args->counters, SSW_CUDA_ATTENTION_COUNTERS * sizeof *args->counters,
                     "attention's counters");
    for (int32_t i = 0; i < SSW_CUDA_ATTENTION_COUNTERS; i++) {
        if (args->counters[i] != 0)
            stand_in_end("attention's counter %d is %u, not zero", i, args->counters[i]);
    }
    for (uint64_t i = 0; i < n_scratch; i++)
        args->scratch[i] = NAN; /* what is not the kernels' own is found out */
    stand_in_require_acts(args->out, args->n_rows, width, "attention's out");
    for (int32_t p = 0; p < args->n_parts; p++) {
        const ssw_cuda_part *part = &args->parts[p];
        if (!args->parts_host && part->n_rows != 1)
            stand_in_end("a part of %d rows in a decode step", part->n_rows);
        n_rows += part->n_rows;
        for (int32_t i = 0; i < part->n_rows; i++) {
            for (int32_t head = 0; head < args->n_heads; head++)
                attend(args, part, i, head, scores, out + (int64_t)head * args->head_dim);
            stand_in_store_acts(out, width, args->out, (part->first_row + i) * width);
        }
    }
    if (n_rows != args->n_rows)
        stand_in_end("attention of %d rows whose parts have %d", args->n_rows, n_rows);
    free(scores);
    free(out);
}

void ssw_cuda_attention(ssw_cuda_stream stream, const ssw_cuda_attention_args *args)
{
    assert(args->head_dim % 16 == 0 && args->head_dim <= SSW_CUDA_HEAD_DIM_MAX);
    assert(args->n_heads % args->n_kv_heads == 0);
    assert((!args->out.q && !args->kv.k_scales && !args->kv.v_scales) ||
           args->head_dim % SSW_CUDA_BLOCK == 0);
    for (int32_t p = 0; args->parts_host && p < args->n_parts; p++)
        assert(args->parts_host[p].position + args->parts_host[p].n_rows <= args->max_length);
    stand_in_enqueue(stream, run_attention, args, sizeof *args);
}
