/* See the header. An expert's number here is layer * n_experts + expert. */
#include "engine/expert_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOT_HERE = -1,
    ON_ITS_WAY = -2,
    MOVES_DIVISOR = 16,
    QUICK_TOKENS = 8, /* over which uses fade */
    SLOW_TOKENS = 512,
    SLOW_DIVISOR = 256 /* an expert of average use has SLOW_TOKENS / SLOW_DIVISOR of its heat from the slow */
};

struct ssw_expert_cache {
    ssw_expert_cache_shape shape;
    int32_t n_all;
    float *quick, *slow; /* [n_all], faded uses */
    float *heat;         /* [n_all], of both */
    int32_t *uses;       /* [n_all], of the step */
    int32_t *slot_of;    /* [n_all], NOT_HERE or ON_ITS_WAY */
    ssw_expert_cache_move pending[SSW_EXPERT_CACHE_MOVES_MAX];
    int32_t n_pending;
};

int32_t ssw_expert_cache_moves(int32_t n_layers, int32_t n_used)
{
    int32_t n = n_layers * n_used / MOVES_DIVISOR;
    n = n < SSW_EXPERT_CACHE_MOVES_MAX ? n : SSW_EXPERT_CACHE_MOVES_MAX;
    return n > 1 ? n : 1;
}

ssw_status ssw_expert_cache_open(const ssw_expert_cache_shape *shape, ssw_expert_cache **out, ssw_error *err)
{
    *out = NULL;
    ssw_expert_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the expert cache");
    cache->shape = *shape;
    cache->n_all = shape->n_layers * shape->n_experts;
    size_t n = (size_t)cache->n_all;
    cache->quick = calloc(n, sizeof *cache->quick);
    cache->slow = calloc(n, sizeof *cache->slow);
    cache->heat = calloc(n, sizeof *cache->heat);
    cache->uses = calloc(n, sizeof *cache->uses);
    cache->slot_of = calloc(n, sizeof *cache->slot_of);
    if (!cache->quick || !cache->slow || !cache->heat || !cache->uses || !cache->slot_of) {
        ssw_expert_cache_close(cache);
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the expert cache");
    }
    for (size_t i = 0; i < n; i++)
        cache->slot_of[i] = NOT_HERE;
    for (int32_t s = 0; s < shape->n_slots; s++)
        cache->slot_of[s % shape->n_layers * shape->n_experts + s / shape->n_layers] = s;
    *out = cache;
    return SSW_OK;
}

void ssw_expert_cache_close(ssw_expert_cache *cache)
{
    if (!cache)
        return;
    free(cache->quick);
    free(cache->slow);
    free(cache->heat);
    free(cache->uses);
    free(cache->slot_of);
    free(cache);
}

int32_t ssw_expert_cache_slot(const ssw_expert_cache *cache, int32_t layer, int32_t expert)
{
    int32_t slot = cache->slot_of[layer * cache->shape.n_experts + expert];
    return slot >= 0 ? slot : -1;
}

int32_t ssw_expert_cache_count(ssw_expert_cache *cache, int32_t layer, const int32_t *chosen, int32_t n)
{
    int32_t *uses = cache->uses + layer * cache->shape.n_experts;
    const int32_t *slot_of = cache->slot_of + layer * cache->shape.n_experts;
    int32_t n_hits = 0;
    for (int32_t i = 0; i < n; i++) {
        uses[chosen[i]]++;
        n_hits += slot_of[chosen[i]] >= 0;
    }
    return n_hits;
}

/* As if the step's tokens had come one by one with its uses spread evenly over them. */
static void fade(const ssw_expert_cache *cache, float *faded, int32_t n_tokens, int32_t horizon)
{
    double decay = 1 - 1.0 / horizon, kept = pow(decay, n_tokens);
    float keep = (float)kept, weight = (float)((1 - kept) / (n_tokens * (1 - decay)));
    for (int32_t i = 0; i < cache->n_all; i++)
        faded[i] = faded[i] * keep + (float)cache->uses[i] * weight;
}

static void fold_uses(ssw_expert_cache *cache, int32_t n_tokens)
{
    float slow_weight = (float)cache->shape.n_experts / (float)(SLOW_DIVISOR * cache->shape.n_used);
    if (n_tokens < 1)
        return;
    fade(cache, cache->quick, n_tokens, QUICK_TOKENS);
    fade(cache, cache->slow, n_tokens, SLOW_TOKENS);
    for (int32_t i = 0; i < cache->n_all; i++)
        cache->heat[i] = cache->quick[i] + slow_weight * cache->slow[i];
    memset(cache->uses, 0, (size_t)cache->n_all * sizeof *cache->uses);
}

/* The hottest expert without a slot, and the coolest with one; of equals the lower number. */
static void find_extremes(const ssw_expert_cache *cache, int32_t *hottest, int32_t *coolest)
{
    *hottest = *coolest = -1;
    for (int32_t i = 0; i < cache->n_all; i++) {
        float heat = cache->heat[i];
        if (cache->slot_of[i] == NOT_HERE) {
            if (*hottest < 0 || heat > cache->heat[*hottest])
                *hottest = i;
        } else if (cache->slot_of[i] >= 0 && (*coolest < 0 || heat < cache->heat[*coolest])) {
            *coolest = i;
        }
    }
}

int32_t ssw_expert_cache_turn(ssw_expert_cache *cache, int32_t n_tokens,
                              ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX])
{
    int32_t n_experts = cache->shape.n_experts;
    for (int32_t i = 0; i < cache->n_pending; i++) {
        const ssw_expert_cache_move *move = &cache->pending[i];
        cache->slot_of[move->layer * n_experts + move->expert] = move->slot;
    }
    fold_uses(cache, n_tokens);
    for (cache->n_pending = 0; cache->n_pending < cache->shape.n_moves;) {
        int32_t newcomer, old;
        find_extremes(cache, &newcomer, &old);
        if (newcomer < 0 || old < 0 || cache->heat[newcomer] <= cache->heat[old] + SSW_EXPERT_CACHE_MARGIN)
            break;
        int32_t slot = cache->slot_of[old];
        cache->slot_of[old] = NOT_HERE;
        cache->slot_of[newcomer] = ON_ITS_WAY;
        cache->pending[cache->n_pending++] = (ssw_expert_cache_move){.slot = slot,
                                                                     .layer = newcomer / n_experts,
                                                                     .expert = newcomer % n_experts,
                                                                     .old_layer = old / n_experts,
                                                                     .old_expert = old % n_experts};
    }
    memcpy(moves, cache->pending, (size_t)cache->n_pending * sizeof *moves);
    return cache->n_pending;
}
