/* What the expert cache holds: first, after a change of habits, and that noise moves nothing. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "engine/expert_cache.h"

enum { N_LAYERS = 3, N_EXPERTS = 8, N_USED = 2 };

static ssw_expert_cache *open_cache(int32_t n_slots, int32_t n_moves)
{
    ssw_expert_cache *cache;
    const ssw_expert_cache_shape shape = {N_LAYERS, N_EXPERTS, N_USED, n_slots, n_moves};
    assert_int_equal(ssw_expert_cache_open(&shape, &cache, NULL), SSW_OK);
    return cache;
}

static int32_t count_held(const ssw_expert_cache *cache)
{
    int32_t n = 0;
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        for (int32_t e = 0; e < N_EXPERTS; e++)
            n += ssw_expert_cache_slot(cache, layer, e) >= 0;
    }
    return n;
}

static void is_filled_evenly_at_first(void **state)
{
    (void)state;
    ssw_expert_cache *cache = open_cache(7, 1);
    assert_int_equal(count_held(cache), 7);
    assert_int_equal(ssw_expert_cache_slot(cache, 0, 2), 6);
    assert_int_equal(ssw_expert_cache_slot(cache, 1, 1), 4);
    assert_int_equal(ssw_expert_cache_slot(cache, 1, 2), -1);
    assert_int_equal(ssw_expert_cache_slot(cache, 2, 0), 2);
    const int32_t chosen[] = {0, 1, 2, 3, 7, 7};
    assert_int_equal(ssw_expert_cache_count(cache, 0, chosen, 6), 3);
    ssw_expert_cache_close(cache);
}

/* A step of one token that uses two experts of the layer; returns the moves that were begun after it. */
static int32_t step(ssw_expert_cache *cache, int32_t layer, int32_t a, int32_t b,
                    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX])
{
    const int32_t chosen[N_USED] = {a, b};
    ssw_expert_cache_count(cache, layer, chosen, N_USED);
    return ssw_expert_cache_turn(cache, 1, moves);
}

static void a_hot_expert_comes_in_at_the_next_boundary(void **state)
{
    (void)state;
    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX];
    ssw_expert_cache *cache = open_cache(3, 1); /* expert 0 of each layer */
    int32_t n_moves = 0;
    int n_steps = 0;
    for (; n_moves == 0 && n_steps < 20; n_steps++)
        n_moves = step(cache, 1, 5, 6, moves);
    assert_int_equal(n_moves, 1);
    assert_int_equal(n_steps, 6); /* 8 (1 - (7 / 8)^6) + 6 / 64 > 4 */
    assert_int_equal(moves[0].layer, 1);
    assert_int_equal(moves[0].expert, 5);
    assert_int_equal(moves[0].old_layer, 0); /* none of the old ones was used: the lowest number */
    assert_int_equal(moves[0].old_expert, 0);
    assert_int_equal(moves[0].slot, 0);
    assert_int_equal(ssw_expert_cache_slot(cache, 1, 5), -1); /* on its way */
    assert_int_equal(ssw_expert_cache_slot(cache, 0, 0), -1); /* gone at once */
    assert_int_equal(step(cache, 1, 5, 6, moves), 1);         /* the second, of another layer's room */
    assert_int_equal(moves[0].expert, 6);
    assert_int_equal(ssw_expert_cache_slot(cache, 1, 5), 0);
    assert_int_equal(count_held(cache), 2);
    assert_int_equal(step(cache, 1, 5, 6, moves), 0);
    assert_int_equal(count_held(cache), 3);
    ssw_expert_cache_close(cache);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A step of every layer: of each an expert by chance, and a favourite; -1: by chance too. */
static int32_t mixed_step(ssw_expert_cache *cache, const int32_t favourites[N_LAYERS], uint32_t *seed,
                          int32_t *n_hits)
{
    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX];
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        int32_t other = (int32_t)(next_random(seed) % N_EXPERTS);
        int32_t chosen[N_USED] = {other, (other + 1) % N_EXPERTS};
        if (favourites[layer] >= 0 && other != favourites[layer])
            chosen[1] = favourites[layer];
        *n_hits += ssw_expert_cache_count(cache, layer, chosen, N_USED);
    }
    return ssw_expert_cache_turn(cache, 1, moves);
}

static void uneven_layers_get_their_favourites_and_keep_them(void **state)
{
    (void)state;
    static const int32_t first[N_LAYERS] = {7, -1, 6}, second[N_LAYERS] = {5, 4, -1};
    ssw_expert_cache *cache = open_cache(6, 2);
    uint32_t seed = 1;
    int32_t n_hits = 0, n_moves = 0;
    for (int i = 0; i < 1000; i++)
        mixed_step(cache, first, &seed, &n_hits);
    assert_true(ssw_expert_cache_slot(cache, 0, 7) >= 0);
    assert_true(ssw_expert_cache_slot(cache, 2, 6) >= 0);
    n_hits = 0;
    for (int i = 0; i < 1000; i++)
        n_moves += mixed_step(cache, first, &seed, &n_hits);
    assert_true(n_moves <= 25);               /* settled */
    assert_true(n_hits > 1000 * (2 + 6) / 4); /* both favourites, and a quarter of the rest at the least */
    for (int i = 0; i < 2000; i++)
        mixed_step(cache, second, &seed, &n_hits);
    assert_true(ssw_expert_cache_slot(cache, 0, 5) >= 0);
    assert_true(ssw_expert_cache_slot(cache, 1, 4) >= 0);
    ssw_expert_cache_close(cache);
}

static void chance_moves_little(void **state)
{
    (void)state;
    static const int32_t none[N_LAYERS] = {-1, -1, -1};
    ssw_expert_cache *cache = open_cache(12, 4);
    uint32_t seed = 3;
    int32_t n_hits = 0, n_moves = 0;
    for (int i = 0; i < 4000; i++)
        n_moves += mixed_step(cache, none, &seed, &n_hits);
    assert_true(n_moves < 4000 * N_LAYERS / 50); /* a fiftieth of the misses */
    assert_in_range(n_hits, 4000 * N_LAYERS * 9 / 10, 4000 * N_LAYERS * 11 / 10); /* half of two each */
    ssw_expert_cache_close(cache);
}

static void a_long_prompt_is_soon_forgotten(void **state)
{
    (void)state;
    ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX];
    ssw_expert_cache *cache = open_cache(1, 1);
    enum { N_PROMPT = 4000 };
    int32_t *chosen = calloc(N_PROMPT, sizeof *chosen);
    assert_non_null(chosen);
    for (int i = 0; i < N_PROMPT; i++)
        chosen[i] = 3;
    ssw_expert_cache_count(cache, 0, chosen, N_PROMPT);
    assert_int_equal(ssw_expert_cache_turn(cache, N_PROMPT, moves), 1);
    assert_int_equal(moves[0].expert, 3);
    int n_steps = 0; /* another takes over after some tokens, not after as many as the prompt had */
    while (step(cache, 2, 4, 5, moves) == 0 && n_steps < N_PROMPT)
        n_steps++;
    assert_in_range(n_steps, 8, 200);
    free(chosen);
    ssw_expert_cache_close(cache);
}

static void the_same_steps_give_the_same_contents(void **state)
{
    (void)state;
    static const int32_t favourites[N_LAYERS] = {1, 2, -1};
    ssw_expert_cache *a = open_cache(5, 2), *b = open_cache(5, 2);
    uint32_t seed_a = 9, seed_b = 9;
    int32_t hits_a = 0, hits_b = 0;
    for (int i = 0; i < 500; i++)
        assert_int_equal(mixed_step(a, favourites, &seed_a, &hits_a),
                         mixed_step(b, favourites, &seed_b, &hits_b));
    assert_int_equal(hits_a, hits_b);
    for (int32_t layer = 0; layer < N_LAYERS; layer++) {
        for (int32_t e = 0; e < N_EXPERTS; e++)
            assert_int_equal(ssw_expert_cache_slot(a, layer, e), ssw_expert_cache_slot(b, layer, e));
    }
    ssw_expert_cache_close(a);
    ssw_expert_cache_close(b);
}

static void a_cache_of_all_never_changes(void **state)
{
    (void)state;
    static const int32_t favourites[N_LAYERS] = {1, 2, 3};
    ssw_expert_cache *cache = open_cache(N_LAYERS * N_EXPERTS, SSW_EXPERT_CACHE_MOVES_MAX);
    uint32_t seed = 1;
    int32_t n_hits = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(mixed_step(cache, favourites, &seed, &n_hits), 0);
    assert_int_equal(n_hits, 100 * N_LAYERS * N_USED);
    ssw_expert_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_filled_evenly_at_first),
        cmocka_unit_test(a_hot_expert_comes_in_at_the_next_boundary),
        cmocka_unit_test(uneven_layers_get_their_favourites_and_keep_them),
        cmocka_unit_test(chance_moves_little),
        cmocka_unit_test(a_long_prompt_is_soon_forgotten),
        cmocka_unit_test(the_same_steps_give_the_same_contents),
        cmocka_unit_test(a_cache_of_all_never_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
