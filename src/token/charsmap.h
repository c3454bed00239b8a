/* SentencePiece's normalisation as a table: which pieces of text are replaced by which, NFKC and the like.
 *
 * Source: precompiled_charsmap of sentencepiece_model.proto, as GGUF carries it in
 * tokenizer.ggml.precompiled_charsmap: the bytes of a double-array trie (darts-clone), then the replacements,
 * each ended by a zero. The table is hostile: no place in it is trusted. Immutable after init. */
#ifndef SSW_TOKEN_CHARSMAP_H
#define SSW_TOKEN_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SSW_CHARSMAP_BYTES_MAX ((size_t)16 << 20)

typedef struct ssw_charsmap {
    uint32_t *units; /* [n_units]; none: everything stays as it is */
    size_t n_units;
    char *replacements; /* ends with a zero */
    size_t n_replacement_bytes;
} ssw_charsmap;

/* Copies the table. */
ssw_status ssw_charsmap_init(ssw_charsmap *map, const void *table, size_t n_bytes, ssw_error *err);
void ssw_charsmap_deinit(ssw_charsmap *map);

/* What the beginning of text (n_bytes > 0) becomes: the longest entry that matches, else its first character
 * as it is, or U+FFFD for a byte that begins none. Borrowed, of *n_out bytes; *n_taken of the text are used
 * up. */
const char *ssw_charsmap_match(const ssw_charsmap *map, const char *text, size_t n_bytes, size_t *n_taken,
                               size_t *n_out);

#endif
