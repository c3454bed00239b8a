/* Which experts a cache of a few slots holds: the decisions, without any memory of experts.
 *
 * Every expert of every layer has a heat: its uses, of which older ones fade. They fade twice, within some 8
 * tokens and within some 512: experts come in runs, which is where most hits are to be had, and some are used
 * more than others for long. The slots are one pool for all layers: experts are of one size, each hit saves
 * the same work in whichever layer it is, and every layer has the same number of uses per token, so that the
 * hottest experts of all are the best use of the room. Layers whose routing is uneven get more slots by
 * themselves.
 *
 * A replacement must promise more than noise: the newcomer's heat exceeds the other's by
 * SSW_EXPERT_CACHE_MARGIN, which is half of the quick part of an expert that every token uses. docs/GPU.md
 * has what was tried. Decisions follow from the counted uses alone, never from time: the same steps give the
 * same contents. One thread; nothing is allocated after open. */
#ifndef SSW_ENGINE_EXPERT_CACHE_H
#define SSW_ENGINE_EXPERT_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { SSW_EXPERT_CACHE_MARGIN = 4, SSW_EXPERT_CACHE_MOVES_MAX = 16 };

typedef struct ssw_expert_cache ssw_expert_cache;

typedef struct ssw_expert_cache_shape {
    int32_t n_layers, n_experts; /* a layer's; layers are numbered from 0 */
    int32_t n_used;              /* of a layer by a token */
    int32_t n_slots;             /* 1 to n_layers * n_experts */
    int32_t n_moves;             /* begun per step at most; 1 to SSW_EXPERT_CACHE_MOVES_MAX */
} ssw_expert_cache_shape;

/* As many moves as uploads may take of a step: a sixteenth of the experts that a token uses. They go over a
 * bus that the GPU's share of misses uses too, from memory that the CPU reads. */
int32_t ssw_expert_cache_moves(int32_t n_layers, int32_t n_used);

/* Filled evenly at first, since nothing is known: slot s is to hold expert s / n_layers of layer
 * s % n_layers. */
ssw_status ssw_expert_cache_open(const ssw_expert_cache_shape *shape, ssw_expert_cache **out, ssw_error *err);
void ssw_expert_cache_close(ssw_expert_cache *cache); /* NULL is allowed */

/* The slot of an expert that may be used; -1: it has none, or is not there yet. */
int32_t ssw_expert_cache_slot(const ssw_expert_cache *cache, int32_t layer, int32_t expert);

/* Within a step: n choices of experts by a layer's tokens. Returns how many of them are in the cache. */
int32_t ssw_expert_cache_count(ssw_expert_cache *cache, int32_t layer, const int32_t *chosen, int32_t n);

typedef struct ssw_expert_cache_move { /* into a slot */
    int32_t slot;
    int32_t layer, expert;         /* the newcomer */
    int32_t old_layer, old_expert; /* whose slot it was */
} ssw_expert_cache_move;

/* Between two steps, the first of which had n_tokens: the newcomers of the boundary before are there now;
 * returns the number of replacements to begin, whose newcomers must be there at the next boundary. Those
 * they replace are gone at once. */
int32_t ssw_expert_cache_turn(ssw_expert_cache *cache, int32_t n_tokens,
                              ssw_expert_cache_move moves[SSW_EXPERT_CACHE_MOVES_MAX]);

#endif
