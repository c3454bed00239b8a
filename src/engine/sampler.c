/* The sampler chain. The vocabulary is never sorted whole: a heap of the k largest is kept while the logits
 * are read once, and for top-p without top-k k grows until the heap holds the mass asked for. Generator:
 * xoshiro256** seeded by splitmix64 (Blackman and Vigna, https://prng.di.unimi.it/). */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_TOP_P_HEAP = 256, TOP_P_HEAP_GROWTH = 8 };
#define PENALISED 0x8000u /* a mark in recent_counts; counts stay below SSW_SAMPLER_REPEAT_MAX */

typedef struct candidate {
    float logit;
    int32_t token;
} candidate;

struct ssw_sampler {
    int32_t n_vocab;
    ssw_sampling sampling;
    uint64_t random[4];
    int32_t recent[SSW_SAMPLER_REPEAT_MAX]; /* ring of the last repeat_last_n tokens */
    int32_t n_recent, next_recent;
    uint16_t *recent_counts; /* [n_vocab], how often each is in the ring */
    candidate *candidates;   /* [n_vocab] */
    float *weights;          /* [n_vocab] */
};

void ssw_sampling_init(ssw_sampling *sampling)
{
    *sampling = (ssw_sampling){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
    };
}

ssw_status ssw_sampler_open(int32_t n_vocab, ssw_sampler **out, ssw_error *err)
{
    *out = NULL;
    if (n_vocab < 1)
        return ssw_error_set(err, SSW_ERR_USAGE, "a sampler needs a vocabulary");
    ssw_sampler *sampler = calloc(1, sizeof *sampler);
    if (sampler) {
        sampler->n_vocab = n_vocab;
        sampler->recent_counts = calloc((size_t)n_vocab, sizeof *sampler->recent_counts);
        sampler->candidates = calloc((size_t)n_vocab, sizeof *sampler->candidates);
        sampler->weights = calloc((size_t)n_vocab, sizeof *sampler->weights);
    }
    if (!sampler || !sampler->recent_counts || !sampler->candidates || !sampler->weights) {
        ssw_sampler_close(sampler);
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a sampler over %d tokens", n_vocab);
    }
    *out = sampler;
    return SSW_OK;
}

void ssw_sampler_close(ssw_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->recent_counts);
    free(sampler->candidates);
    free(sampler->weights);
    free(sampler);
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

static uint64_t xoshiro256(uint64_t s[4])
{
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Uniform in [0, 1). */
static double draw_uniform(ssw_sampler *sampler)
{
    return (double)(xoshiro256(sampler->random) >> 11) * 0x1.0p-53;
}

void ssw_sampler_begin(ssw_sampler *sampler, const ssw_sampling *sampling)
{
    for (int32_t i = 0; i < sampler->n_recent; i++)
        sampler->recent_counts[sampler->recent[i]] = 0;
    sampler->n_recent = sampler->next_recent = 0;
    sampler->sampling = *sampling;
    if (sampler->sampling.repeat_last_n > SSW_SAMPLER_REPEAT_MAX)
        sampler->sampling.repeat_last_n = SSW_SAMPLER_REPEAT_MAX;
    uint64_t state = sampling->seed;
    for (int i = 0; i < 4; i++)
        sampler->random[i] = splitmix64(&state);
}

static bool penalty_is_on(const ssw_sampler *sampler)
{
    return sampler->sampling.repeat_penalty != 1.0f && sampler->sampling.repeat_last_n > 0;
}

void ssw_sampler_accept(ssw_sampler *sampler, int32_t token)
{
    if (!penalty_is_on(sampler) || token < 0 || token >= sampler->n_vocab)
        return;
    int32_t capacity = sampler->sampling.repeat_last_n;
    if (sampler->n_recent == capacity)
        sampler->recent_counts[sampler->recent[sampler->next_recent]]--;
    else
        sampler->n_recent++;
    sampler->recent[sampler->next_recent] = token;
    sampler->recent_counts[token]++;
    sampler->next_recent = (sampler->next_recent + 1) % capacity;
}

/* A token is penalised once, however often it occurred (Keskar et al., 2019, as llama.cpp applies it). */
static void apply_penalty(ssw_sampler *sampler, float *logits)
{
    float penalty = sampler->sampling.repeat_penalty;
    uint16_t *counts = sampler->recent_counts;
    for (int32_t i = 0; i < sampler->n_recent; i++) {
        int32_t token = sampler->recent[i];
        if (counts[token] & PENALISED)
            continue;
        counts[token] |= (uint16_t)PENALISED;
        logits[token] = logits[token] > 0.0f ? logits[token] / penalty : logits[token] * penalty;
    }
    for (int32_t i = 0; i < sampler->n_recent; i++)
        counts[sampler->recent[i]] &= (uint16_t)~PENALISED;
}

/* Whether a comes after b in falling order; the lower id wins a tie, so that results do not depend on the
 * method. */
static bool is_less(candidate a, candidate b)
{
    return a.logit < b.logit || (a.logit == b.logit && a.token > b.token);
}

/* heap[0] is the least of the kept. */
static void sift_down(candidate *heap, int32_t n, int32_t at)
{
    candidate moved = heap[at];
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && is_less(heap[child + 1], heap[child]))
            child++;
        if (!is_less(heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The k largest finite logits in falling order; returns how many there are. heap: room for k. */
static int32_t select_largest(const float *logits, int32_t n_vocab, candidate *heap, int32_t k)
{
    int32_t n = 0, next = 0;
    for (; next < n_vocab && n < k; next++) {
        if (isfinite(logits[next]))
            heap[n++] = (candidate){logits[next], next};
    }
    for (int32_t i = n / 2 - 1; i >= 0; i--)
        sift_down(heap, n, i);
    float threshold = n > 0 ? heap[0].logit : 0.0f;
    for (; n > 0 && next < n_vocab; next++) {
        /* NaN compares false; a tie loses to the lower id that is already kept */
        if (!(logits[next] > threshold) || !isfinite(logits[next]))
            continue;
        heap[0] = (candidate){logits[next], next};
        sift_down(heap, n, 0);
        threshold = heap[0].logit;
    }
    for (int32_t end = n - 1; end > 0; end--) {
        candidate least = heap[0];
        heap[0] = heap[end];
        heap[end] = least;
        sift_down(heap, end, 0);
    }
    return n;
}

static int32_t find_largest(const float *logits, int32_t n_vocab)
{
    int32_t best = -1;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (isfinite(logits[i]) && (best < 0 || logits[i] > logits[best]))
            best = i;
    }
    return best;
}

static double sum_exp(const float *logits, int32_t n_vocab, float largest)
{
    double sum = 0.0;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (isfinite(logits[i]))
            sum += (double)expf(logits[i] - largest);
    }
    return sum;
}

/* How many of the n leading candidates hold the mass top_p of `total`; 0 when all n do not. */
static int32_t count_mass(const candidate *candidates, int32_t n, double total, float top_p)
{
    double mass = 0.0;
    for (int32_t i = 0; i < n; i++) {
        mass += (double)expf(candidates[i].logit - candidates[0].logit);
        if (mass >= (double)top_p * total)
            return i + 1;
    }
    return 0;
}

/* top-p over the whole vocabulary: most distributions need few candidates, so start small. */
static int32_t select_mass(const ssw_sampler *sampler, const float *logits, float largest)
{
    double total = sum_exp(logits, sampler->n_vocab, largest);
    for (int64_t k = FIRST_TOP_P_HEAP;; k *= TOP_P_HEAP_GROWTH) {
        int32_t room = k < sampler->n_vocab ? (int32_t)k : sampler->n_vocab;
        int32_t n = select_largest(logits, sampler->n_vocab, sampler->candidates, room);
        int32_t kept = count_mass(sampler->candidates, n, total, sampler->sampling.top_p);
        if (kept > 0)
            return kept;
        if (n < room || room == sampler->n_vocab)
            return n;
    }
}

static int32_t keep_all(ssw_sampler *sampler, const float *logits)
{
    int32_t n = 0;
    for (int32_t i = 0; i < sampler->n_vocab; i++) {
        if (isfinite(logits[i]))
            sampler->candidates[n++] = (candidate){logits[i], i};
    }
    return n;
}

/* min-p: tokens whose probability is at least min_p of the most likely one's. */
static int32_t keep_likely(candidate *candidates, int32_t n, float largest, float min_p)
{
    float threshold = largest + logf(min_p);
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        if (candidates[i].logit >= threshold)
            candidates[kept++] = candidates[i];
    }
    return kept;
}

static int32_t draw(ssw_sampler *sampler, int32_t n, float largest)
{
    double total = 0.0;
    for (int32_t i = 0; i < n; i++) {
        sampler->weights[i] = expf((sampler->candidates[i].logit - largest) / sampler->sampling.temperature);
        total += (double)sampler->weights[i];
    }
    double left = draw_uniform(sampler) * total;
    for (int32_t i = 0; i < n; i++) {
        left -= (double)sampler->weights[i];
        if (left < 0.0)
            return sampler->candidates[i].token;
    }
    return sampler->candidates[n - 1].token; /* rounding */
}

/* Of the n that top-k left: top-p sees them as probabilities of their own. */
static int32_t keep_mass(const ssw_sampler *sampler, int32_t n, float largest)
{
    double total = 0.0;
    if (sampler->sampling.top_p >= 1.0f)
        return n;
    for (int32_t i = 0; i < n; i++)
        total += (double)expf(sampler->candidates[i].logit - largest);
    int32_t kept = count_mass(sampler->candidates, n, total, sampler->sampling.top_p);
    return kept > 0 ? kept : n;
}

static int32_t draw_likely(ssw_sampler *sampler, int32_t n, float largest)
{
    float min_p = sampler->sampling.min_p;
    if (min_p > 0.0f)
        n = keep_likely(sampler->candidates, n, largest, min_p < 1.0f ? min_p : 1.0f);
    return draw(sampler, n, largest);
}

static bool has_top_k(const ssw_sampler *sampler)
{
    return sampler->sampling.top_k > 0 && sampler->sampling.top_k < sampler->n_vocab;
}

int32_t ssw_sampler_choose(ssw_sampler *sampler, float *logits)
{
    const ssw_sampling *sampling = &sampler->sampling;
    if (penalty_is_on(sampler))
        apply_penalty(sampler, logits);
    int32_t best = find_largest(logits, sampler->n_vocab);
    if (best < 0 || sampling->temperature <= 0.0f)
        return best;
    float largest = logits[best];
    int32_t n;
    if (has_top_k(sampler)) {
        n = select_largest(logits, sampler->n_vocab, sampler->candidates, sampling->top_k);
        n = keep_mass(sampler, n, largest);
    } else if (sampling->top_p < 1.0f) {
        n = select_mass(sampler, logits, largest);
    } else {
        n = keep_all(sampler, logits);
    }
    return draw_likely(sampler, n, largest);
}

bool ssw_sampler_needs_all(const ssw_sampler *sampler, int32_t n_excluded)
{
    const ssw_sampling *sampling = &sampler->sampling;
    int32_t n_needed = sampling->temperature <= 0.0f ? 1 : sampling->top_k;
    bool is_bounded = sampling->temperature <= 0.0f || has_top_k(sampler);
    return penalty_is_on(sampler) || !is_bounded || n_needed > SSW_ENGINE_TOP_LOGITS - n_excluded;
}

static bool is_among(const int32_t *tokens, int32_t n, int32_t token)
{
    for (int32_t i = 0; i < n; i++) {
        if (tokens[i] == token)
            return true;
    }
    return false;
}

int32_t ssw_sampler_choose_top(ssw_sampler *sampler, const ssw_top_logit *top, const int32_t *excluded,
                               int32_t n_excluded)
{
    bool is_greedy = sampler->sampling.temperature <= 0.0f;
    int32_t n = 0, n_wanted = is_greedy ? 1 : sampler->sampling.top_k;
    for (int32_t i = 0; i < SSW_ENGINE_TOP_LOGITS && top[i].token >= 0 && n < n_wanted; i++) {
        if (!is_among(excluded, n_excluded, top[i].token))
            sampler->candidates[n++] = (candidate){top[i].logit, top[i].token};
    }
    if (n == 0 || is_greedy)
        return n == 0 ? -1 : sampler->candidates[0].token;
    float largest = sampler->candidates[0].logit;
    return draw_likely(sampler, keep_mass(sampler, n, largest), largest);
}

int32_t ssw_logprobs_compute(const float *logits, int32_t n_vocab, int32_t token, float *logprob,
                             ssw_logprob *top, int32_t n_top)
{
    *logprob = -INFINITY;
    candidate largest[SSW_ENGINE_TOP_LOGPROBS_MAX + 1];
    if (n_top > SSW_ENGINE_TOP_LOGPROBS_MAX)
        n_top = SSW_ENGINE_TOP_LOGPROBS_MAX;
    int32_t n = select_largest(logits, n_vocab, largest, n_top > 0 ? n_top : 1);
    if (n == 0)
        return 0;
    float log_sum = largest[0].logit + (float)log(sum_exp(logits, n_vocab, largest[0].logit));
    if (token >= 0 && token < n_vocab && isfinite(logits[token]))
        *logprob = logits[token] - log_sum;
    if (n > n_top)
        n = n_top;
    for (int32_t i = 0; i < n; i++)
        top[i] = (ssw_logprob){largest[i].token, largest[i].logit - log_sum};
    return n;
}
