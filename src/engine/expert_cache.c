/* See the header. An expert's number here is layer * n_experts + expert. */
#include "engine/expert_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ADVANTAGE 1.5f /* of the newcomer's heat */

enum { NOT_HERE = -1, ON_ITS_WAY = -2 };

struct ssw_expert_cache {
    ssw_expert_cache_shape shape;
    int32_t n_all;
    float *heat;      /* [n_all] */
    int32_t *uses;    /* [n_all], of the step */
    int32_t *slot_of; /* [n_all], NOT_HERE or ON_ITS_WAY */
    ssw_expert_cache_move pending[SSW_EXPERT_CACHE_MOVES_MAX];
    int32_t n_pending;
};

ssw_status ssw_expert_cache_open(const ssw_expert_cache_shape *shape, ssw_expert_cache **out, ssw_error *err)
{
    *out = NULL;
    ssw_expert_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return ssw_error_set(err, SSW_ERR_NOMEM, "no memory for the expert cache");
    cache->shape = *shape;
    cache->n_all = shape->n_layers * shape->n_experts;
    size_t n = (size_t)cache->n_all;
    cache->heat = calloc(n, sizeof *cache->heat);
    cache->uses = calloc(n, sizeof *cache->uses);
    cache->slot_of = calloc(n, sizeof *cache->slot_of);
    if (!cache->heat || !cache->uses || !cache->slot_of) {
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

/* Heat as if the step's tokens had come one by one with its uses spread evenly over them. */
static void fold_uses(ssw_expert_cache *cache, int32_t n_tokens)
{
    if (n_tokens < 1)
        return;
    double decay = 1 - 1.0 / SSW_EXPERT_CACHE_HORIZON, faded = pow(decay, n_tokens);
    float keep = (float)faded, weight = (float)((1 - faded) / (n_tokens * (1 - decay)));
    for (int32_t i = 0; i < cache->n_all; i++)
        cache->heat[i] = cache->heat[i] * keep + (float)cache->uses[i] * weight;
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
        if (newcomer < 0 || old < 0 ||
            cache->heat[newcomer] <= cache->heat[old] * ADVANTAGE + SSW_EXPERT_CACHE_MARGIN)
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
