/* What the readers of the two stream forms share. */
#ifndef SSW_BENCH_CLIENT_COMPLETION_INTERNAL_H
#define SSW_BENCH_CLIENT_COMPLETION_INTERNAL_H

#include <jansson.h>

#include "bench/client/completion.h"

/* SSW_EVIDENCE_NONE when it is absent or of another type. */
int64_t ssw_completion_integer_of(const json_t *object, const char *key);

/* The string under key, NULL when it is absent, of another type or empty. */
const json_t *ssw_completion_text_of(const json_t *object, const char *key);

/* In the arena, and appended to whole; a NUL written as \u0000 would cut C strings short: it is kept as
 * U+FFFD. NULL when out of memory. */
const char *ssw_completion_keep_text(ssw_arena *arena, const json_t *value, ssw_strbuf *whole);

#endif
