/* A file of API keys: one per line, empty lines and lines that begin with # are skipped. */
#ifndef SSW_CLI_API_KEYS_H
#define SSW_CLI_API_KEYS_H

#include <stddef.h>

#include "base/status.h"

typedef struct ssw_cli_api_keys {
    char **keys; /* [n_keys], owned */
    size_t n_keys;
} ssw_cli_api_keys;

/* A file without any key is an error: it would leave the server open. */
ssw_status ssw_cli_api_keys_read(const char *path, ssw_cli_api_keys *out, ssw_error *err);
void ssw_cli_api_keys_free(ssw_cli_api_keys *keys);

#endif
