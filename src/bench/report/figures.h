/* Every number that a report prints, under a stable key. A number reaches a page only through here, so
 * figures.json is complete by construction. Not thread-safe. */
#ifndef SSW_BENCH_REPORT_FIGURES_H
#define SSW_BENCH_REPORT_FIGURES_H

#include <jansson.h>
#include <search.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

enum { SSW_FIGURES_MAX = 1 << 17, SSW_FIGURE_KEY_MAX = 160 };

typedef struct ssw_figure {
    const char *key;            /* "decode_rate.offload.mean" */
    double value;               /* NAN is not kept: see put */
    const char *unit;           /* "" for a plain ratio */
    const char *formula;        /* how it follows from the evidence */
    size_t n;                   /* values or pairs behind it */
    double sd, ci_low, ci_high; /* NAN where there is none */
    const struct ssw_figure *next;
} ssw_figure;

typedef struct ssw_figures {
    ssw_arena *arena; /* borrowed */
    struct hsearch_data index;
    size_t n;
    const ssw_figure *last; /* a list, newest first */
    bool failed;            /* out of memory, or past SSW_FIGURES_MAX */
} ssw_figures;

void ssw_figures_init(ssw_figures *figures, ssw_arena *arena);
void ssw_figures_deinit(ssw_figures *figures);

/* Keeps a copy under the key that format makes; the same key again replaces nothing and gives the first. NULL
 * when the value is not finite (there is nothing to print) or memory ran out. */
const ssw_figure *ssw_figures_put(ssw_figures *figures, const ssw_figure *figure, const char *key_format, ...)
    __attribute__((format(printf, 3, 4)));

/* {key: {value, unit, formula, n, sd, ci_low, ci_high}}; NULL when out of memory. */
json_t *ssw_figures_to_json(const ssw_figures *figures);

#endif
