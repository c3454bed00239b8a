/* Control tokens in text: a sorted list, narrowed byte by byte as in a trie. */
#include <stdlib.h>
#include <string.h>

#include "token/tokenizer_internal.h"

static int compare_ids(const void *a, const void *b, void *context)
{
    const ssw_tokenizer *tokenizer = context;
    const ssw_token_entry *x = &tokenizer->entries[*(const int32_t *)a],
                          *y = &tokenizer->entries[*(const int32_t *)b];
    int order = memcmp(tokenizer->bytes + x->offset, tokenizer->bytes + y->offset,
                       x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

void ssw_tokenizer_sort_ids(const ssw_tokenizer *tokenizer, int32_t *ids, size_t n)
{
    qsort_r(ids, n, sizeof *ids, compare_ids, (void *)(uintptr_t)tokenizer);
}

void ssw_tokenizer_index_specials(ssw_tokenizer *tokenizer)
{
    ssw_tokenizer_sort_ids(tokenizer, tokenizer->specials, tokenizer->n_specials);
    for (size_t i = 0; i < tokenizer->n_specials; i++) {
        const ssw_token_entry *entry = &tokenizer->entries[tokenizer->specials[i]];
        tokenizer->special_first_bytes[(unsigned char)tokenizer->bytes[entry->offset]] = true;
    }
}

/* Of the range, which agrees up to `depth`, the first whose byte at depth is not below `byte`. Those that end
 * at depth come first. */
static size_t lower_bound(const ssw_tokenizer *tokenizer, const ssw_tokenizer_range *range, size_t depth,
                          int byte)
{
    size_t low = range->low, high = range->high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ssw_token_entry *entry = &tokenizer->entries[range->ids[middle]];
        int at = depth < entry->n_bytes ? (unsigned char)tokenizer->bytes[entry->offset + depth] : -1;
        if (at < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ssw_tokenizer_narrow(const ssw_tokenizer *tokenizer, ssw_tokenizer_range *range, size_t depth, char byte,
                          int32_t *whole)
{
    int value = (unsigned char)byte;
    *whole = SSW_TOKEN_NONE;
    range->low = lower_bound(tokenizer, range, depth, value);
    range->high = lower_bound(tokenizer, range, depth, value + 1);
    if (range->low == range->high)
        return false;
    int32_t shortest = range->ids[range->low];
    if (tokenizer->entries[shortest].n_bytes == depth + 1)
        *whole = shortest;
    return true;
}

int32_t ssw_tokenizer_match_special(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                    bool parse_control)
{
    int32_t best = SSW_TOKEN_NONE, id;
    ssw_tokenizer_range range = {tokenizer->specials, 0, tokenizer->n_specials};
    for (size_t depth = 0; depth < n_bytes; depth++) {
        if (!ssw_tokenizer_narrow(tokenizer, &range, depth, text[depth], &id))
            break;
        if (id != SSW_TOKEN_NONE && (parse_control || tokenizer->entries[id].type == SSW_TOKEN_USER_DEFINED))
            best = id;
    }
    return best;
}
