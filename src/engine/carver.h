/* Hands out consecutive aligned pieces of one allocation; with a NULL base it only counts, so that the same
 * code predicts a size and fills it. */
#ifndef SSW_ENGINE_CARVER_H
#define SSW_ENGINE_CARVER_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssw_carver {
    uint8_t *base;
    uint64_t at;
    uint64_t alignment; /* a power of two */
} ssw_carver;

static inline void *ssw_carve(ssw_carver *c, uint64_t n, uint64_t size)
{
    uint64_t offset = c->at;
    c->at += (n * size + c->alignment - 1) / c->alignment * c->alignment;
    return c->base ? c->base + offset : NULL;
}

#endif
