/* Where the program remembers what is costly to find out again, such as the hashes of large files. */
#ifndef SSW_CLI_CACHE_DIR_H
#define SSW_CLI_CACHE_DIR_H

enum { SSW_CLI_CACHE_DIR_MAX = 4096 };

/* Writes $XDG_CACHE_HOME/seesaw or ~/.cache/seesaw into path and makes that folder. NULL when neither can be
 * had, else path. */
const char *ssw_cli_make_cache_dir(char path[SSW_CLI_CACHE_DIR_MAX]);

#endif
