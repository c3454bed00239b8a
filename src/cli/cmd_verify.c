/* seesaw verify: recomputes a run's figures from its evidence and re-hashes what it was measured on. */
#include <argp.h>
#include <jansson.h>
#include <stdio.h>

#include "bench/report/verify_run.h"
#include "cli/commands.h"

enum option_key { KEY_JSON = 256, KEY_GNUPLOT, KEY_NO_MODEL, KEY_NO_SERVER };

static const struct argp_option option_list[] = {
    {"model", 'm', "PATH", 0, "where the model lies now, if it moved (of a split model the first file)", 0},
    {"gnuplot", KEY_GNUPLOT, "PATH", 0, "the gnuplot that drew the plots (found on PATH)", 0},
    {"no-model", KEY_NO_MODEL, NULL, 0,
     "the model is not on this machine: leave out its hash, and the token counts, which need its tokenizer",
     0},
    {"no-server", KEY_NO_SERVER, NULL, 0, "the servers are not on this machine: leave out their hashes", 0},
    {"json", KEY_JSON, NULL, 0, "print the checks as JSON", 0},
    {0},
};

typedef struct arguments {
    const char *dir;
    ssw_verify_options options;
    int json;
} arguments;

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    arguments *all = state->input;
    switch (key) {
    case 'm':
        all->options.model = argument;
        return 0;
    case KEY_GNUPLOT:
        all->options.gnuplot = argument;
        return 0;
    case KEY_NO_MODEL:
        all->options.no_model = true;
        return 0;
    case KEY_NO_SERVER:
        all->options.no_server = true;
        return 0;
    case KEY_JSON:
        all->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        if (all->dir)
            argp_error(state, "one folder at a time");
        all->dir = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which run folder?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_json(const char *dir, const ssw_verify_result *result)
{
    static const char *const outcomes[] = {"same", "skipped", "differs"};
    json_t *checks = json_array();
    for (int i = 0; i < result->n_checks; i++)
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s+}", "check", result->checks[i].name,
                                                "outcome", outcomes[result->checks[i].outcome], "text",
                                                result->checks[i].text, ""));
    json_t *root = json_pack("{s:s, s:b, s:o}", "dir", dir, "verified", result->same, "checks", checks);
    if (root)
        json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void print_text(const ssw_verify_result *result)
{
    static const char *const outcomes[] = {"ok", "skipped", "DIFFERS"};
    for (int i = 0; i < result->n_checks; i++) {
        const ssw_verify_check *check = &result->checks[i];
        fprintf(check->outcome == SSW_VERIFY_DIFFERS ? stderr : stdout, "%-9s %-8s %s\n", check->name,
                outcomes[check->outcome], check->text);
    }
}

int ssw_cmd_verify(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .args_doc = "FOLDER",
        .doc = "Check a run: hash its evidence, the model and the server again, count every reply's tokens "
               "again, and make "
               "the report again, which must come out byte for byte.\vEnds 0 when all is the same, 4 at the "
               "first "
               "difference, which is named.",
    };
    arguments all = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &all))
        return SSW_EXIT_USAGE;
    if (all.options.no_model && all.options.model) {
        fprintf(stderr, "%s: --no-model and --model contradict each other\n", argv[0]);
        return SSW_EXIT_USAGE;
    }
    ssw_verify_result result;
    ssw_error err = {0};
    if (ssw_verify_run(all.dir, &all.options, &result, &err)) {
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
        return SSW_EXIT_FAILED;
    }
    if (all.json)
        print_json(all.dir, &result);
    else
        print_text(&result);
    return result.same ? SSW_EXIT_OK : SSW_EXIT_INVALID;
}
