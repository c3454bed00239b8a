/* Bump allocator over a list of chunks; a large request gets a chunk of its own. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024 };

struct ssw_arena_chunk {
    ssw_arena_chunk *next;
    size_t used_bytes;
    size_t size_bytes;
    alignas(max_align_t) unsigned char bytes[];
};

void ssw_arena_init(ssw_arena *arena, size_t max_bytes)
{
    *arena = (ssw_arena){.max_bytes = max_bytes};
}

void ssw_arena_deinit(ssw_arena *arena)
{
    for (ssw_arena_chunk *chunk = arena->head; chunk;) {
        ssw_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (ssw_arena){.max_bytes = arena->max_bytes};
}

void *ssw_arena_alloc(ssw_arena *arena, size_t n, size_t size_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size_bytes, &bytes) || bytes > arena->max_bytes)
        return NULL;
    const size_t align = alignof(max_align_t);
    bytes = (bytes + align - 1) / align * align;
    if (bytes > arena->max_bytes - arena->used_bytes)
        return NULL;
    ssw_arena_chunk *chunk = arena->head;
    if (!chunk || bytes > chunk->size_bytes - chunk->used_bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + size);
        if (!chunk)
            return NULL;
        chunk->size_bytes = size;
        chunk->next = arena->head;
        arena->head = chunk;
    }
    void *p = chunk->bytes + chunk->used_bytes;
    chunk->used_bytes += bytes;
    arena->used_bytes += bytes;
    return p;
}

char *ssw_arena_copy_text(ssw_arena *arena, const char *text, size_t n_bytes)
{
    char *copy = n_bytes == SIZE_MAX ? NULL : ssw_arena_alloc(arena, n_bytes + 1, 1);
    if (copy && n_bytes)
        memcpy(copy, text, n_bytes);
    return copy;
}
