/* See the header. */
#include "token/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "token/utf8.h"

enum { UNIT_BYTES = 4 };

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

ssw_status ssw_charsmap_init(ssw_charsmap *map, const void *table, size_t n_bytes, ssw_error *err)
{
    const unsigned char *bytes = table;
    memset(map, 0, sizeof *map);
    if (n_bytes > SSW_CHARSMAP_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a precompiled_charsmap of %zu bytes; at most %zu are read",
                             n_bytes, SSW_CHARSMAP_BYTES_MAX);
    size_t n_trie = n_bytes > UNIT_BYTES ? read_u32(bytes) : 0;
    if (n_trie < UNIT_BYTES || n_trie % UNIT_BYTES != 0 || n_trie >= n_bytes - UNIT_BYTES ||
        bytes[n_bytes - 1] != 0)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "precompiled_charsmap is not the size of a trie, the trie and texts");
    map->n_units = n_trie / UNIT_BYTES;
    map->n_replacement_bytes = n_bytes - UNIT_BYTES - n_trie;
    map->units = malloc(n_trie);
    map->replacements = malloc(map->n_replacement_bytes);
    if (!map->units || !map->replacements)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a precompiled_charsmap");
    for (size_t i = 0; i < map->n_units; i++)
        map->units[i] = read_u32(bytes + UNIT_BYTES * (i + 1));
    memcpy(map->replacements, bytes + UNIT_BYTES + n_trie, map->n_replacement_bytes);
    return SSW_OK;
}

void ssw_charsmap_deinit(ssw_charsmap *map)
{
    free(map->units);
    free(map->replacements);
    memset(map, 0, sizeof *map);
}

/* A unit of the trie: its label in the low byte (and bit 31, which a label must not have), whether a value
 * belongs to it in bit 8, the way to its children above. */
static size_t children_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << (unit & UINT32_C(1) << 9 ? 8 : 0);
}

/* Length of the longest entry at the beginning of text, and its replacement's offset; 0 when there is none.
 */
static size_t find_longest(const ssw_charsmap *map, const char *text, size_t n_bytes, size_t *replacement)
{
    size_t longest = 0, node = map->n_units > 0 ? children_of(map->units[0]) : 0;
    for (size_t i = 0; i < n_bytes; i++) {
        uint32_t byte = (unsigned char)text[i];
        node ^= byte;
        if (node >= map->n_units || (map->units[node] & (UINT32_C(1) << 31 | 0xFF)) != byte)
            break;
        uint32_t unit = map->units[node];
        node ^= children_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        size_t value = node < map->n_units ? map->units[node] & INT32_MAX : SIZE_MAX;
        if (value < map->n_replacement_bytes) {
            longest = i + 1;
            *replacement = value;
        }
    }
    return longest;
}

const char *ssw_charsmap_match(const ssw_charsmap *map, const char *text, size_t n_bytes, size_t *n_taken,
                               size_t *n_out)
{
    size_t replacement = 0;
    *n_taken = find_longest(map, text, n_bytes, &replacement);
    if (*n_taken > 0) {
        const char *out = map->replacements + replacement;
        *n_out = strlen(out);
        return out;
    }
    int length = ssw_utf8_check(text, n_bytes);
    *n_taken = length > 0 ? (size_t)length : 1;
    *n_out = length > 0 ? (size_t)length : sizeof SSW_UTF8_REPLACEMENT - 1;
    return length > 0 ? text : SSW_UTF8_REPLACEMENT;
}
