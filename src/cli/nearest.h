/* "Did you mean": the nearest word of a list by edit distance. Pure. */
#ifndef SSW_CLI_NEAREST_H
#define SSW_CLI_NEAREST_H

#include <stddef.h>

enum { SSW_CLI_WORD_BYTES_MAX = 32 };

/* Insertions, deletions, substitutions and swaps of neighbours each cost 1 (optimal string alignment). Words
 * longer than SSW_CLI_WORD_BYTES_MAX are compared by that many first bytes. */
int ssw_cli_edit_distance(const char *a, const char *b);

/* NULL when no word is near enough to be meant (more than a third of the typed letters wrong, and more than
 * one). */
const char *ssw_cli_find_nearest(const char *typed, const char *const *words, size_t n_words);

#endif
