/* Byte-pair merging; see bpe.h. A candidate whose symbols have changed since it was pushed is stale and is
 * skipped. */
#include "token/bpe.h"

#include <stdlib.h>

enum {
    PROBES_MAX = 4096,      /* a table that needs more was made to be slow */
    ROOM_TO_SPARE = 1 << 16 /* symbols */
};

static size_t slot_of(const ssw_bpe_table *table, uint64_t pair)
{
    pair ^= pair >> 29;
    pair *= UINT64_C(0xbf58476d1ce4e5b9);
    pair ^= pair >> 32;
    pair *= UINT64_C(0x94d049bb133111eb);
    return (size_t)(pair ^ pair >> 29) & (table->n_slots - 1);
}

ssw_status ssw_bpe_table_init(ssw_bpe_table *table, size_t n_merges, ssw_error *err)
{
    *table = (ssw_bpe_table){.n_slots = 2};
    while (table->n_slots < 2 * n_merges)
        table->n_slots *= 2;
    table->slots = malloc(table->n_slots * sizeof *table->slots);
    if (!table->slots)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu merges", n_merges);
    for (size_t i = 0; i < table->n_slots; i++)
        table->slots[i].pair = SSW_BPE_NO_PAIR;
    for (int i = 0; i < 256; i++)
        table->byte_ids[i] = -1;
    return SSW_OK;
}

void ssw_bpe_table_deinit(ssw_bpe_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

ssw_status ssw_bpe_table_add(ssw_bpe_table *table, int32_t left, int32_t right, uint32_t rank, int32_t merged,
                             ssw_error *err)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = slot_of(table, pair);
    for (int probes = 0; table->slots[slot].pair != SSW_BPE_NO_PAIR; probes++) {
        if (table->slots[slot].pair == pair)
            return SSW_OK;
        if (probes == PROBES_MAX)
            return ssw_error_set(err, SSW_ERR_LIMIT, "the merges collide too often in a hash table");
        slot = (slot + 1) & (table->n_slots - 1);
    }
    table->slots[slot] = (ssw_bpe_merge){pair, rank, merged};
    return SSW_OK;
}

static const ssw_bpe_merge *find(const ssw_bpe_table *table, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = slot_of(table, pair);
    for (int probes = 0; probes <= PROBES_MAX; probes++) {
        if (table->slots[slot].pair == pair)
            return &table->slots[slot];
        if (table->slots[slot].pair == SSW_BPE_NO_PAIR)
            break;
        slot = (slot + 1) & (table->n_slots - 1);
    }
    return NULL;
}

void ssw_bpe_workspace_deinit(ssw_bpe_workspace *workspace)
{
    free(workspace->symbols);
    free(workspace->heap);
    *workspace = (ssw_bpe_workspace){0};
}

static void push(ssw_bpe_workspace *workspace, uint64_t candidate)
{
    uint64_t *heap = workspace->heap;
    size_t i = workspace->n_heap++;
    for (; i > 0 && candidate < heap[(i - 1) / 2]; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = candidate;
}

static uint64_t pop(ssw_bpe_workspace *workspace)
{
    uint64_t *heap = workspace->heap, top = heap[0], last = heap[--workspace->n_heap];
    size_t i = 0, n = workspace->n_heap;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (last <= heap[child])
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* How symbol `at` merges with the next one; NULL if it does not. */
static const ssw_bpe_merge *find_at(const ssw_bpe_table *table, const ssw_bpe_symbol *symbols, uint32_t at)
{
    if (symbols[at].id < 0 || symbols[at].next == SSW_BPE_END)
        return NULL;
    return find(table, symbols[at].id, symbols[symbols[at].next].id);
}

static void consider(const ssw_bpe_table *table, ssw_bpe_workspace *workspace, uint32_t at)
{
    const ssw_bpe_merge *merge = at == SSW_BPE_END ? NULL : find_at(table, workspace->symbols, at);
    if (merge)
        push(workspace, (uint64_t)merge->rank << 32 | at);
}

/* Room for n symbols; each starts one candidate and each merge, of fewer than n, adds two more. */
ssw_status ssw_bpe_workspace_reserve(ssw_bpe_workspace *workspace, size_t n, ssw_error *err)
{
    workspace->n_symbols = n;
    workspace->n_heap = 0;
    if (n >= SSW_BPE_END)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a word of %zu symbols", n);
    if (n <= workspace->symbols_capacity)
        return SSW_OK;
    size_t capacity = n < ROOM_TO_SPARE ? n + n / 2 + 64 : n;
    ssw_bpe_workspace_deinit(workspace);
    workspace->symbols = malloc(capacity * sizeof *workspace->symbols);
    workspace->heap = malloc(3 * capacity * sizeof *workspace->heap);
    if (!workspace->symbols || !workspace->heap) {
        ssw_bpe_workspace_deinit(workspace);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a word of %zu bytes", n);
    }
    workspace->n_symbols = n;
    workspace->symbols_capacity = capacity;
    workspace->heap_capacity = 3 * capacity;
    return SSW_OK;
}

void ssw_bpe_merge_symbols(const ssw_bpe_table *table, ssw_bpe_workspace *workspace)
{
    ssw_bpe_symbol *symbols = workspace->symbols;
    for (uint32_t i = 0; i + 1 < workspace->n_symbols; i++)
        consider(table, workspace, i);
    while (workspace->n_heap > 0) {
        uint64_t candidate = pop(workspace);
        uint32_t at = (uint32_t)candidate;
        const ssw_bpe_merge *merge = find_at(table, symbols, at);
        if (!merge || merge->rank != candidate >> 32)
            continue;
        ssw_bpe_symbol *left = &symbols[at], *right = &symbols[left->next];
        left->id = merge->merged;
        right->id = -1;
        left->next = right->next;
        if (left->next != SSW_BPE_END)
            symbols[left->next].prev = at;
        consider(table, workspace, left->prev);
        consider(table, workspace, at);
    }
}

ssw_status ssw_bpe_merge_word(const ssw_bpe_table *table, ssw_bpe_workspace *workspace, const char *word,
                              size_t n_bytes, ssw_error *err)
{
    ssw_status status = ssw_bpe_workspace_reserve(workspace, n_bytes, err);
    if (status != SSW_OK)
        return status;
    ssw_bpe_symbol *symbols = workspace->symbols;
    for (uint32_t i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)word[i];
        symbols[i] = (ssw_bpe_symbol){table->byte_ids[byte], i - 1, i + 1 < n_bytes ? i + 1 : SSW_BPE_END};
        if (symbols[i].id < 0)
            return ssw_error_set(err, SSW_ERR_FORMAT, "the vocabulary has no token for the byte 0x%02x",
                                 byte);
    }
    ssw_bpe_merge_symbols(table, workspace);
    return SSW_OK;
}
