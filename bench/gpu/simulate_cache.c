/* What the expert cache would hold of made-up routing: hits and uploads of engine/expert_cache.h, without a
 * model.
 *
 * Usage: simulate_cache LAYERS EXPERTS USED SLOTS ZIPF [TOKENS]: experts are drawn by Zipf's law with that
 * exponent, in an order of popularity of each layer's own; 0: evenly. The first quarter is not counted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/expert_cache.h"

enum { EXPERTS_MAX = 512, USED_MAX = 32, LAYERS_MAX = 128 };

typedef struct routing {
    ssw_expert_cache_shape shape;
    double sums[EXPERTS_MAX]; /* of popularity, from the most popular on */
    int32_t order[LAYERS_MAX][EXPERTS_MAX];
    uint64_t random;
} routing;

static double draw(routing *r)
{
    r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(r->random >> 40) / (double)(1 << 24);
}

static void init(routing *r, double exponent)
{
    int32_t n = r->shape.n_experts;
    double sum = 0;
    for (int32_t e = 0; e < n; e++)
        r->sums[e] = sum += pow(e + 1, -exponent);
    for (int32_t layer = 0; layer < r->shape.n_layers; layer++) {
        int32_t *order = r->order[layer];
        for (int32_t e = 0; e < n; e++) {
            int32_t at = (int32_t)(draw(r) * (e + 1));
            order[e] = order[at];
            order[at] = e;
        }
    }
}

static void choose(routing *r, int32_t layer, int32_t *chosen)
{
    for (int32_t k = 0; k < r->shape.n_used;) {
        double at = draw(r) * r->sums[r->shape.n_experts - 1];
        int32_t e = 0, earlier = 0;
        while (r->sums[e] < at)
            e++;
        chosen[k] = r->order[layer][e];
        while (chosen[earlier] != chosen[k])
            earlier++;
        k += earlier == k; /* else it was chosen before */
    }
}

int main(int argc, char **argv)
{
    static routing r = {.random = 1};
    ssw_expert_cache *cache;
    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX];
    ssw_error err;
    if (argc < 6) {
        fputs("usage: simulate_cache LAYERS EXPERTS USED SLOTS ZIPF [TOKENS]\n", stderr);
        return 2;
    }
    r.shape = (ssw_expert_cache_shape){.n_layers = atoi(argv[1]),
                                       .n_experts = atoi(argv[2]),
                                       .n_used = atoi(argv[3]),
                                       .n_slots = atoi(argv[4])};
    int32_t n_all = r.shape.n_layers * r.shape.n_experts, n_tokens = argc > 6 ? atoi(argv[6]) : 2000;
    if (r.shape.n_layers < 1 || r.shape.n_layers > LAYERS_MAX || r.shape.n_experts > EXPERTS_MAX ||
        r.shape.n_used < 1 || r.shape.n_used > USED_MAX || r.shape.n_used > r.shape.n_experts ||
        r.shape.n_slots < 1 || r.shape.n_slots > n_all || n_tokens < 4) {
        fputs("simulate_cache: no such shape\n", stderr);
        return 2;
    }
    r.shape.n_moves = ssw_expert_cache_moves(r.shape.n_layers, r.shape.n_used);
    if (ssw_expert_cache_open(&r.shape, &cache, &err) != SSW_OK) {
        fprintf(stderr, "simulate_cache: %s\n", err.message);
        return 1;
    }
    init(&r, atof(argv[5]));
    double hits = 0, uploads = 0, n_counted = 0;
    for (int32_t t = 0; t < n_tokens; t++) {
        int32_t n_hits = 0;
        for (int32_t layer = 0; layer < r.shape.n_layers; layer++) {
            int32_t chosen[USED_MAX];
            choose(&r, layer, chosen);
            n_hits += ssw_expert_cache_count(cache, layer, chosen, r.shape.n_used);
        }
        int32_t n_moves = ssw_expert_cache_turn(cache, 1, moves);
        if (t < n_tokens / 4)
            continue;
        hits += n_hits;
        uploads += n_moves;
        n_counted++;
    }
    printf("room for %.1f %%, hits %.1f %%, uploads per token %.2f of %d uses\n",
           100.0 * r.shape.n_slots / n_all, 100 * hits / (n_counted * r.shape.n_layers * r.shape.n_used),
           uploads / n_counted, (int)(r.shape.n_layers * r.shape.n_used));
    ssw_expert_cache_close(cache);
    return 0;
}
