/* seesaw index: records run folders in the index. `seesaw ab` does it for each run that it finishes. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/compare/compare_walk.h"
#include "bench/compare/run_index.h"
#include "cli/commands.h"
#include "cli/index_path.h"

enum { KEY_INDEX = 256, KEY_REBUILD };

typedef struct arguments {
    const char *index;
    bool rebuild;
    char **dirs;
    int n_dirs;
} arguments;

static const struct argp_option options[] = {
    {"index", KEY_INDEX, "FILE", 0, "the index (default: runs.sqlite in the cache folder)", 0},
    {"rebuild", KEY_REBUILD, 0, 0, "forget all other runs first", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case KEY_INDEX:
        a->index = text;
        return 0;
    case KEY_REBUILD:
        a->rebuild = true;
        return 0;
    case ARGP_KEY_ARGS:
        a->dirs = state->argv + state->next;
        a->n_dirs = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name run folders, or folders that hold some");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A folder that cannot be read is named and left out. */
static ssw_status record(ssw_run_index *index, const ssw_compare_dirs *dirs, size_t *n_recorded,
                         ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < dirs->n; i++) {
        ssw_compare_rows rows = {0};
        ssw_error fault = {0};
        if (ssw_compare_read_run(dirs->dirs[i], &rows, &fault)) {
            fprintf(stderr, "seesaw index: %s is left out: %s\n", dirs->dirs[i], fault.message);
        } else {
            status = ssw_run_index_put(index, &rows, err);
            *n_recorded += !status;
        }
        ssw_compare_rows_deinit(&rows);
    }
    return status;
}

int ssw_cmd_index(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "DIR...",
        .doc = "Record runs in the index, from which `seesaw compare --index' makes its table. `seesaw ab' "
               "records each run that it finishes; this is for runs from elsewhere and for a new index. DIR "
               "is a "
               "run folder, or holds some. A run that is recorded already is replaced.",
    };
    arguments a = {0};
    char path[SSW_COMPARE_DIR_MAX];
    ssw_compare_dirs dirs = {0};
    ssw_run_index *index = NULL;
    ssw_error err = {0};
    size_t n_recorded = 0;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    ssw_status status = SSW_OK;
    if (!ssw_cli_find_index(a.index, path))
        status = ssw_error_set(&err, SSW_ERR_USAGE, "there is no folder for the index: give --index FILE");
    for (int i = 0; !status && i < a.n_dirs; i++)
        status = ssw_compare_find_runs(a.dirs[i], &dirs, &err);
    if (!status)
        status = ssw_run_index_open(path, true, &index, &err);
    if (!status && a.rebuild)
        status = ssw_run_index_clear(index, &err);
    if (!status)
        status = record(index, &dirs, &n_recorded, &err);
    if (status)
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
    else
        printf("%s: %zu of %zu runs recorded\n", path, n_recorded, dirs.n);
    ssw_run_index_close(index);
    size_t n_found = dirs.n;
    ssw_compare_dirs_deinit(&dirs);
    if (status)
        return status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
    return n_recorded == n_found ? SSW_EXIT_OK : SSW_EXIT_FAILED;
}
