/* seesaw report: makes a run folder's report from its evidence. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/report/report.h"
#include "cli/commands.h"

enum option_key { KEY_INTO = 256, KEY_FORMAT, KEY_SECTION, KEY_GNUPLOT };

static const struct argp_option option_list[] = {
    {"format", KEY_FORMAT, "md,html,json,csv", 0, "which files to make (all)", 0},
    {"into", KEY_INTO, "FILE", 0, "also put the tables into this Markdown file, between its seesaw markers",
     0},
    {"section", KEY_SECTION, "NAME", 0, "the markers' name (the model's name)", 0},
    {"gnuplot", KEY_GNUPLOT, "PATH", 0, "the gnuplot that draws the plots (found on PATH)", 0},
    {0},
};

typedef struct arguments {
    const char *dir;
    ssw_report_options options;
} arguments;

static unsigned read_formats(struct argp_state *state, const char *text)
{
    static const struct {
        const char *name;
        unsigned format;
    } known[] = {
        {"md", SSW_REPORT_MD}, {"html", SSW_REPORT_HTML}, {"json", SSW_REPORT_JSON}, {"csv", SSW_REPORT_CSV}};
    const size_t n_known = sizeof known / sizeof *known;
    unsigned formats = 0;
    while (*text) {
        size_t n = strcspn(text, ","), i = 0;
        while (i < n_known && (strlen(known[i].name) != n || strncmp(known[i].name, text, n) != 0))
            i++;
        if (i == n_known)
            argp_error(state, "--format wants md, html, json, csv or several of them with commas, not '%.*s'",
                       (int)n, text);
        else
            formats |= known[i].format;
        text += n + (text[n] == ',');
    }
    return formats;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    arguments *all = state->input;
    switch (key) {
    case KEY_FORMAT:
        all->options.formats = read_formats(state, argument);
        return 0;
    case KEY_INTO:
        all->options.into = argument;
        return 0;
    case KEY_SECTION:
        all->options.section = argument;
        return 0;
    case KEY_GNUPLOT:
        all->options.gnuplot = argument;
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

int ssw_cmd_report(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_list,
        .parser = parse_option,
        .args_doc = "FOLDER",
        .doc = "Make a run's report from its evidence: report.md, report.html, figures.json, samples.csv, "
               "figures.csv and the plots, in "
               "FOLDER/report.",
    };
    arguments all = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &all))
        return SSW_EXIT_USAGE;
    ssw_error err = {0};
    if (ssw_report_write(all.dir, &all.options, &err)) {
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
        return SSW_EXIT_FAILED;
    }
    printf("%s/report\n", all.dir);
    return SSW_EXIT_OK;
}
