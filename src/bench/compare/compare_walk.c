/* See compare_walk.h. */
#include "bench/compare/compare_walk.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssw_status append(ssw_compare_dirs *out, const char *dir, ssw_error *err)
{
    if (out->n == SSW_COMPARE_RUNS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d runs", SSW_COMPARE_RUNS_MAX);
    char **grown = realloc(out->dirs, (out->n + 1) * sizeof *grown);
    char *copy = strdup(dir);
    out->dirs = grown ? grown : out->dirs;
    if (!grown || !copy) {
        free(copy);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the runs' names");
    }
    out->dirs[out->n++] = copy;
    return SSW_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

ssw_status ssw_compare_find_runs(const char *dir, ssw_compare_dirs *out, ssw_error *err)
{
    char path[PATH_MAX], root[PATH_MAX];
    size_t before = out->n, length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        length--;
    if (snprintf(root, sizeof root, "%.*s", (int)length, dir) >= (int)sizeof root)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    char *const roots[] = {root, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, by_name);
    ssw_status status = tree ? SSW_OK : ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", dir);
    for (FTSENT *entry; !status && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_D)
            continue;
        bool fits = snprintf(path, sizeof path, "%s/manifest.json", entry->fts_path) < (int)sizeof path;
        if (fits && access(path, F_OK) == 0) {
            status = append(out, entry->fts_path, err);
            fts_set(tree, entry, FTS_SKIP);
        } else if (!fits || entry->fts_level >= SSW_COMPARE_DEPTH_MAX) {
            fts_set(tree, entry, FTS_SKIP);
        }
    }
    if (tree)
        fts_close(tree);
    if (!status && out->n == before)
        status = ssw_error_set(err, SSW_ERR_USAGE, "%s: no run folder (with a manifest.json) is there", dir);
    return status;
}

void ssw_compare_dirs_deinit(ssw_compare_dirs *dirs)
{
    for (size_t i = 0; i < dirs->n; i++)
        free(dirs->dirs[i]);
    free(dirs->dirs);
    *dirs = (ssw_compare_dirs){0};
}
