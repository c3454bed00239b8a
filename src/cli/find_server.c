/* Servers by name or path. */
#include "cli/find_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 64 };

/* A name without '/' is looked for on PATH. */
static ssw_status find_program(const char *given, char path[PATH_MAX], ssw_error *err)
{
    char candidate[PATH_MAX];
    const char *folders = strchr(given, '/') ? "" : getenv("PATH");
    for (const char *part = folders; part && *part;) {
        size_t n = strcspn(part, ":");
        snprintf(candidate, sizeof candidate, "%.*s/%s", (int)n, part, given);
        if (access(candidate, X_OK) == 0 && realpath(candidate, path))
            return SSW_OK;
        part += n + (part[n] == ':');
    }
    if (!realpath(given, path) || access(path, X_OK))
        return ssw_error_set_errno(err, SSW_ERR_USAGE, errno, "server %s", given);
    return SSW_OK;
}

/* "seesaw" is this very program. */
static ssw_status find_self(char path[PATH_MAX], ssw_error *err)
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0 ? SSW_OK : ssw_error_set_errno(err, SSW_ERR_IO, errno, "/proc/self/exe");
}

static ssw_status check_abilities(const ssw_adapter *adapter, const ssw_plan *plan, ssw_error *err)
{
    if (!ssw_adapter_ask_path(adapter, plan->ask))
        return ssw_error_set(err, SSW_ERR_USAGE, "%s has no route for --ask %s", adapter->title,
                             ssw_plan_ask_name(plan->ask));
    if (plan->fixed_length && !adapter->has_fixed_length)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "%s cannot be asked to ignore the end of text (--length fixed)", adapter->title);
    return SSW_OK;
}

ssw_status ssw_cli_find_server(const char *given, bool runs, const ssw_plan *plan, ssw_found_server *out,
                               ssw_error *err)
{
    char name[NAME_BYTES_MAX];
    size_t n_name = strcspn(given, "=:");
    snprintf(name, sizeof name, "%.*s", (int)(n_name < sizeof name ? n_name : 0), given);
    const ssw_adapter *named = ssw_adapter_find(name);
    const char *program = named ? named->program : given;
    if (named && given[n_name])
        program = given + n_name + 1;
    out->adapter = named ? named : ssw_adapter_of_program(given);
    out->path[0] = '\0';
    ssw_status status = check_abilities(out->adapter, plan, err);
    if (status || runs)
        return status;
    if (!program)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "--server %s names no executable: give --server %s=PATH, or --url", given,
                             given);
    return strcmp(given, "seesaw") == 0 ? find_self(out->path, err) : find_program(program, out->path, err);
}
