/* Finds run folders below a folder: a launch's, a queue's, or all of runs/. */
#ifndef SSW_BENCH_COMPARE_COMPARE_WALK_H
#define SSW_BENCH_COMPARE_COMPARE_WALK_H

#include <stddef.h>

#include "base/status.h"

enum { SSW_COMPARE_DEPTH_MAX = 4, SSW_COMPARE_RUNS_MAX = 10000 };

typedef struct ssw_compare_dirs {
    char **dirs; /* each owned */
    size_t n;
} ssw_compare_dirs;

/* Appends dir if it is a run folder (it holds a manifest.json), else those below it, at most
 * SSW_COMPARE_DEPTH_MAX levels down, by name; links are not followed. SSW_ERR_USAGE when there is none. */
ssw_status ssw_compare_find_runs(const char *dir, ssw_compare_dirs *out, ssw_error *err);
void ssw_compare_dirs_deinit(ssw_compare_dirs *dirs);

#endif
