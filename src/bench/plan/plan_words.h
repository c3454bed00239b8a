/* Splits a line into words as a shell does, without expanding anything. Pure. */
#ifndef SSW_BENCH_PLAN_PLAN_WORDS_H
#define SSW_BENCH_PLAN_PLAN_WORDS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

/* Words are separated by blanks; '...' keeps everything, "..." keeps all but \" and \\, a backslash outside
 * quotes keeps the next character. SSW_ERR_USAGE for an open quote, SSW_ERR_LIMIT past max_words. Words go to
 * the arena. */
ssw_status ssw_plan_split_words(ssw_arena *arena, const char *line, const char **words, size_t max_words,
                                size_t *n_words, ssw_error *err);

#endif
