/* seesaw compare: one table across runs, from their folders or from the index. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/compare/compare_table.h"
#include "bench/compare/compare_walk.h"
#include "bench/compare/run_index.h"
#include "cli/commands.h"
#include "cli/index_path.h"

enum { KEY_JSON = 256, KEY_CSV, KEY_MD, KEY_STRICT, KEY_INDEX, KEY_MODEL, KEY_SINCE, KEY_MACHINE };

typedef struct arguments {
    ssw_compare_format format;
    bool strict, from_index;
    const char *index;
    ssw_run_index_query query;
    char **dirs;
    int n_dirs;
} arguments;

static const struct argp_option options[] = {
    {"json", KEY_JSON, 0, 0, "as JSON", 1},
    {"csv", KEY_CSV, 0, 0, "as CSV", 1},
    {"md", KEY_MD, 0, 0, "as Markdown", 1},
    {"strict", KEY_STRICT, 0, 0,
     "refuse, with exit status 4, runs of different settings and runs that are not a complete and valid "
     "measurement; without it they are marked",
     1},
    {0, 0, 0, 0, "From the index:", 2},
    {"index", KEY_INDEX, "FILE", OPTION_ARG_OPTIONAL,
     "runs that were recorded, instead of folders (default: runs.sqlite in the cache folder)", 2},
    {"model", KEY_MODEL, "TEXT", 0, "only models whose name contains TEXT", 2},
    {"since", KEY_SINCE, "DATE", 0, "only runs from that UTC date on: YYYY-MM-DD, or with a time", 2},
    {"machine", KEY_MACHINE, "ID", 0, "only the machine whose id, as the table has it, begins so", 2},
    {0, 0, 0, 0, "Help:", -1},
    {0},
};

static bool is_date(const char *text)
{
    static const char pattern[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof pattern - 1; i++) {
        bool fits = pattern[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == pattern[i];
        if (!fits)
            return false;
    }
    return text[10] == '\0' || text[10] == 'T';
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case KEY_JSON:
        a->format = SSW_COMPARE_JSON;
        return 0;
    case KEY_CSV:
        a->format = SSW_COMPARE_CSV;
        return 0;
    case KEY_MD:
        a->format = SSW_COMPARE_MD;
        return 0;
    case KEY_STRICT:
        a->strict = true;
        return 0;
    case KEY_INDEX:
        a->from_index = true;
        a->index = text;
        return 0;
    case KEY_MODEL:
        a->query.model = text;
        return 0;
    case KEY_SINCE:
        if (!is_date(text))
            argp_error(state, "--since wants YYYY-MM-DD, or YYYY-MM-DDTHH:MM, not '%s'", text);
        a->query.since = text;
        return 0;
    case KEY_MACHINE:
        a->query.machine = text;
        return 0;
    case ARGP_KEY_ARGS:
        a->dirs = state->argv + state->next;
        a->n_dirs = state->argc - state->next;
        return 0;
    case ARGP_KEY_END:
        if (a->from_index && a->n_dirs)
            argp_error(state, "either folders or --index (its file is given as --index=FILE)");
        if (!a->from_index && (a->query.model || a->query.since || a->query.machine))
            argp_error(state, "--model, --since and --machine go with --index");
        if (!a->from_index && !a->n_dirs)
            argp_error(state, "name run folders, or folders that hold some, or use --index");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static ssw_status read_folders(const arguments *a, ssw_compare_rows *rows, ssw_error *err)
{
    ssw_compare_dirs dirs = {0};
    ssw_status status = SSW_OK;
    for (int i = 0; !status && i < a->n_dirs; i++)
        status = ssw_compare_find_runs(a->dirs[i], &dirs, err);
    for (size_t i = 0; !status && i < dirs.n; i++) {
        status = ssw_compare_read_run(dirs.dirs[i], rows, err);
        if (status)
            ssw_error_prefix(err, "%s", dirs.dirs[i]);
    }
    ssw_compare_dirs_deinit(&dirs);
    return status;
}

static ssw_status read_index(const arguments *a, ssw_compare_rows *rows, ssw_error *err)
{
    char path[SSW_COMPARE_DIR_MAX];
    ssw_run_index *index = NULL;
    if (!ssw_cli_find_index(a->index, path))
        return ssw_error_set(err, SSW_ERR_USAGE, "there is no folder for the index: give --index=FILE");
    ssw_status status = ssw_run_index_open(path, false, &index, err);
    if (!status)
        status = ssw_run_index_find(index, &a->query, rows, err);
    if (!status && rows->n == 0)
        status = ssw_error_set(err, SSW_ERR_USAGE, "%s: no such run is recorded", path);
    ssw_run_index_close(index);
    return status;
}

static ssw_status check_strict(const ssw_compare_rows *rows, ssw_error *err)
{
    ssw_compare_doubts doubts = ssw_compare_find_doubts(rows);
    if (doubts.n_settings > 1)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "the runs have %zu different settings; without --strict they are marked",
                             doubts.n_settings);
    if (doubts.n_unsound)
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED,
                             "%zu rows are of runs that are incomplete, inconclusive or invalid; without "
                             "--strict they are marked",
                             doubts.n_unsound);
    return SSW_OK;
}

int ssw_cmd_compare(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "DIR...\n--index[=FILE]",
        .doc =
            "One table across runs, a row for each arm: memory, TTFT and rates with 95 % intervals, what it "
            "saves and its decode rate over its run's first arm. DIR is a run folder, or holds some.\v"
            "Below the table stand each run's machine, GPU, server and commit. Rows of different prompts or "
            "request settings do not compare and are marked, as are incomplete and invalid runs.\n\n"
            "Exit status: 0; 2 wrong usage; 4 refused by --strict; 1 anything else.",
    };
    arguments a = {.format = SSW_COMPARE_TEXT};
    ssw_compare_rows rows = {0};
    ssw_strbuf text;
    ssw_error err = {0};
    int code = SSW_EXIT_OK;
    if (argp_parse(&argp, argc, argv, 0, NULL, &a))
        return SSW_EXIT_USAGE;
    ssw_strbuf_init(&text, SSW_COMPARE_BYTES_MAX);
    ssw_status status = a.from_index ? read_index(&a, &rows, &err) : read_folders(&a, &rows, &err);
    if (status)
        code = status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
    if (!status && a.strict && (status = check_strict(&rows, &err)))
        code = SSW_EXIT_INVALID;
    if (!status && (status = ssw_compare_render(&rows, a.format, &text, &err)))
        code = SSW_EXIT_FAILED;
    if (status)
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
    else
        fputs(ssw_strbuf_text(&text), stdout);
    ssw_strbuf_deinit(&text);
    ssw_compare_rows_deinit(&rows);
    return code;
}
