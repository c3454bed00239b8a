/* Control tokens in text: a sorted list, narrowed byte by byte as in a trie. */
#include <stdlib.h>
#include <string.h>

#include "token/tokenizer_internal.h"

static const ssw_token_entry *entry_of(const ssw_tokenizer *tokenizer, size_t rank)
{
    return &tokenizer->entries[tokenizer->specials[rank]];
}

static int compare_specials(const void *a, const void *b, void *context)
{
    const ssw_tokenizer *tokenizer = context;
    const ssw_token_entry *x = &tokenizer->entries[*(const int32_t *)a],
                          *y = &tokenizer->entries[*(const int32_t *)b];
    int order = memcmp(tokenizer->bytes + x->offset, tokenizer->bytes + y->offset,
                       x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes);
    return order ? order : (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

void ssw_tokenizer_index_specials(ssw_tokenizer *tokenizer)
{
    qsort_r(tokenizer->specials, tokenizer->n_specials, sizeof *tokenizer->specials, compare_specials,
            tokenizer);
    for (size_t i = 0; i < tokenizer->n_specials; i++)
        tokenizer->special_first_bytes[(unsigned char)tokenizer->bytes[entry_of(tokenizer, i)->offset]] =
            true;
}

/* Of the specials in [low, high), which agree up to `depth`, the first whose byte at depth is not below
 * `byte`. Those that end at depth come first. */
static size_t lower_bound(const ssw_tokenizer *tokenizer, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ssw_token_entry *entry = entry_of(tokenizer, middle);
        int at = depth < entry->n_bytes ? (unsigned char)tokenizer->bytes[entry->offset + depth] : -1;
        if (at < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t ssw_tokenizer_match_special(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes,
                                    bool parse_control)
{
    int32_t best = SSW_TOKEN_NONE;
    size_t low = 0, high = tokenizer->n_specials;
    for (size_t depth = 0; depth < n_bytes && low < high; depth++) {
        int byte = (unsigned char)text[depth];
        low = lower_bound(tokenizer, low, high, depth, byte);
        high = lower_bound(tokenizer, low, high, depth, byte + 1);
        if (low == high)
            break;
        const ssw_token_entry *entry = entry_of(tokenizer, low); /* the shortest of those that remain */
        if (entry->n_bytes == depth + 1 && (parse_control || entry->type == SSW_TOKEN_USER_DEFINED))
            best = tokenizer->specials[low];
    }
    return best;
}
