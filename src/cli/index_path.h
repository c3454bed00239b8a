/* Where finished runs are recorded. */
#ifndef SSW_CLI_INDEX_PATH_H
#define SSW_CLI_INDEX_PATH_H

#include "bench/compare/compare_row.h"

/* given, or runs.sqlite in the cache folder. NULL when there is none. */
const char *ssw_cli_find_index(const char *given, char path[SSW_COMPARE_DIR_MAX]);

/* Records a run that is finished. */
ssw_status ssw_cli_index_run(const char *given, const char *dir, ssw_error *err);

#endif
