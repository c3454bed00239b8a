/* See cache_dir.h. */
#include "cli/cache_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *ssw_cli_make_cache_dir(char path[SSW_CLI_CACHE_DIR_MAX])
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base == '/')
        snprintf(path, SSW_CLI_CACHE_DIR_MAX, "%.3000s", base);
    else if (home && *home == '/')
        snprintf(path, SSW_CLI_CACHE_DIR_MAX, "%.3000s/.cache", home);
    else
        return NULL;
    mkdir(path, 0755); /* there already, or the next one fails too */
    strcat(path, "/seesaw");
    return mkdir(path, 0755) == 0 || errno == EEXIST ? path : NULL;
}
