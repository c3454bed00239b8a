/* See index_path.h. */
#include "cli/index_path.h"

#include <stdio.h>

#include "bench/compare/run_index.h"
#include "cli/cache_dir.h"

const char *ssw_cli_find_index(const char *given, char path[SSW_COMPARE_DIR_MAX])
{
    char cache[SSW_CLI_CACHE_DIR_MAX];
    if (given)
        snprintf(path, SSW_COMPARE_DIR_MAX, "%s", given);
    else if (ssw_cli_make_cache_dir(cache))
        snprintf(path, SSW_COMPARE_DIR_MAX, "%.4000s/runs.sqlite", cache);
    else
        return NULL;
    return path;
}

ssw_status ssw_cli_index_run(const char *given, const char *dir, ssw_error *err)
{
    char path[SSW_COMPARE_DIR_MAX];
    ssw_compare_rows rows = {0};
    ssw_run_index *index = NULL;
    if (!ssw_cli_find_index(given, path))
        return ssw_error_set(err, SSW_ERR_IO, "there is no folder for the index: give --index FILE");
    ssw_status status = ssw_compare_read_run(dir, &rows, err);
    if (!status)
        status = ssw_run_index_open(path, true, &index, err);
    if (!status)
        status = ssw_run_index_put(index, &rows, err);
    ssw_run_index_close(index);
    ssw_compare_rows_deinit(&rows);
    return status;
}
