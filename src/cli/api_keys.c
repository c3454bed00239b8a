/* Lines of a small file. */
#include "cli/api_keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/server.h"

/* Without blanks at either end, in place. */
static char *trim(char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    size_t n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = '\0';
    return line;
}

static ssw_status add_key(ssw_cli_api_keys *keys, const char *path, const char *key, ssw_error *err)
{
    if (keys->n_keys == SSW_SERVER_API_KEYS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: more than %d keys", path, (int)SSW_SERVER_API_KEYS_MAX);
    if (strlen(key) > SSW_SERVER_API_KEY_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: a key is longer than %d bytes", path,
                             (int)SSW_SERVER_API_KEY_BYTES_MAX);
    keys->keys[keys->n_keys] = strdup(key);
    if (!keys->keys[keys->n_keys])
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: memory ran out", path);
    keys->n_keys++;
    return SSW_OK;
}

ssw_status ssw_cli_api_keys_read(const char *path, ssw_cli_api_keys *out, ssw_error *err)
{
    *out = (ssw_cli_api_keys){0};
    FILE *file = fopen(path, "re");
    if (!file)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    char line[SSW_SERVER_API_KEY_BYTES_MAX + 64];
    ssw_status status = SSW_OK;
    out->keys = calloc(SSW_SERVER_API_KEYS_MAX, sizeof *out->keys);
    if (!out->keys)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "%s: memory ran out", path);
    while (status == SSW_OK && fgets(line, sizeof line, file)) {
        if (!strchr(line, '\n') && !feof(file)) {
            status = ssw_error_set(err, SSW_ERR_LIMIT, "%s: a line is longer than %zu bytes", path,
                                   sizeof line - 2);
            break;
        }
        const char *key = trim(line);
        if (key[0] != '\0' && key[0] != '#')
            status = add_key(out, path, key, err);
    }
    if (status == SSW_OK && ferror(file))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    if (status == SSW_OK && out->n_keys == 0)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "%s: there is no key in it", path);
    fclose(file);
    if (status != SSW_OK)
        ssw_cli_api_keys_free(out);
    return status;
}

void ssw_cli_api_keys_free(ssw_cli_api_keys *keys)
{
    for (size_t i = 0; i < keys->n_keys; i++)
        free(keys->keys[i]);
    free(keys->keys);
    *keys = (ssw_cli_api_keys){0};
}
