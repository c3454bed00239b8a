/* A bump allocator: many small allocations, one free. Memory is zeroed. Not thread-safe. */
#ifndef SSW_BASE_ARENA_H
#define SSW_BASE_ARENA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_arena_chunk ssw_arena_chunk;

typedef struct ssw_arena {
    ssw_arena_chunk *head;
    size_t used_bytes; /* over all chunks, rounding included */
    size_t max_bytes;
} ssw_arena;

void ssw_arena_init(ssw_arena *arena, size_t max_bytes);
void ssw_arena_deinit(ssw_arena *arena);

/* NULL when memory runs out or max_bytes would be passed; aligned for any plain type. */
void *ssw_arena_alloc(ssw_arena *arena, size_t n, size_t size_bytes);

/* A NUL-terminated copy of n_bytes of text. */
char *ssw_arena_copy_text(ssw_arena *arena, const char *text, size_t n_bytes);

#ifdef __cplusplus
}
#endif
#endif
