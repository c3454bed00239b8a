/* --server's word, and an arm's: which adapter and which executable it means. */
#ifndef SSW_CLI_FIND_SERVER_H
#define SSW_CLI_FIND_SERVER_H

#include <limits.h>

#include "bench/adapter/adapter.h"

typedef struct ssw_found_server {
    const ssw_adapter *adapter;
    char path[PATH_MAX]; /* of the executable; "" when the server runs already */
} ssw_found_server;

/* given: an adapter's name, a path, or NAME=PATH (NAME:PATH in an arm). runs: the server runs already, so
 * that no executable is looked for. SSW_ERR_USAGE for one that is not there, or that cannot do what the plan
 * asks. */
ssw_status ssw_cli_find_server(const char *given, bool runs, const ssw_plan *plan, ssw_found_server *out,
                               ssw_error *err);

#endif
