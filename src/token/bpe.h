/* Byte-pair merging of one word or text: the pair of lowest rank, leftmost first, until none is left.
 *
 * Source: Sennrich, Haddow, Birch, 2016; ties as in GPT-2's encoder.py. O(n log n) in the word's bytes: a
 * linked list of symbols and a heap of candidate pairs. Tables are immutable once filled; each thread brings
 * its own workspace. */
#ifndef SSW_TOKEN_BPE_H
#define SSW_TOKEN_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_bpe_merge {
    uint64_t pair; /* left << 32 | right; SSW_BPE_NO_PAIR in a free slot */
    uint32_t rank;
    int32_t merged;
} ssw_bpe_merge;

#define SSW_BPE_NO_PAIR UINT64_MAX

typedef struct ssw_bpe_table {
    ssw_bpe_merge *slots;  /* open addressing */
    size_t n_slots;        /* a power of two, at least twice the merges */
    int32_t byte_ids[256]; /* the token of each single byte; -1 when there is none */
} ssw_bpe_table;

ssw_status ssw_bpe_table_init(ssw_bpe_table *table, size_t n_merges, ssw_error *err);
void ssw_bpe_table_deinit(ssw_bpe_table *table);
/* The first of equal pairs stays. At most n_merges times. */
ssw_status ssw_bpe_table_add(ssw_bpe_table *table, int32_t left, int32_t right, uint32_t rank, int32_t merged,
                             ssw_error *err);

typedef struct ssw_bpe_symbol {
    int32_t id;          /* -1: merged into its left neighbour */
    uint32_t prev, next; /* SSW_BPE_END at the ends */
} ssw_bpe_symbol;

#define SSW_BPE_END UINT32_MAX

typedef struct ssw_bpe_workspace { /* zero it to begin */
    ssw_bpe_symbol *symbols;
    size_t n_symbols, symbols_capacity;
    uint64_t *heap; /* candidates: rank << 32 | index of the left symbol */
    size_t n_heap, heap_capacity;
} ssw_bpe_workspace;

void ssw_bpe_workspace_deinit(ssw_bpe_workspace *workspace);

/* After it, the ids are those of workspace->symbols whose id is >= 0, in order. SSW_ERR_FORMAT when the
 * vocabulary has no token for one of the bytes. */
ssw_status ssw_bpe_merge_word(const ssw_bpe_table *table, ssw_bpe_workspace *workspace, const char *word,
                              size_t n_bytes, ssw_error *err);

/* The two halves of it, for symbols that are not bytes: room for n symbols, to be filled by the caller, who
 * links them in order; symbols that never merge have ids below -1. Then merging, after which the ids are
 * those met by following `next` from the first. */
ssw_status ssw_bpe_workspace_reserve(ssw_bpe_workspace *workspace, size_t n, ssw_error *err);
void ssw_bpe_merge_symbols(const ssw_bpe_table *table, ssw_bpe_workspace *workspace);

#ifdef __cplusplus
}
#endif
#endif
