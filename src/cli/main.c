/* seesaw: finds the subcommand and hands over. */
#include <argp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/nearest.h"

typedef struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"ab", "measure a server's arms against each other and report", ssw_cmd_ab},
    {"report", "make a run's report from its evidence", ssw_cmd_report},
    {"compare", "one table across runs", ssw_cmd_compare},
    {"index", "record runs so that they can be compared without their folders", ssw_cmd_index},
    {"verify", "check a run: every hash, every count, every figure", ssw_cmd_verify},
    {"gate", "judge a run: is an arm slower than it may be?", ssw_cmd_gate},
    {"serve", "serve a Mixture-of-Experts model over HTTP", ssw_cmd_serve},
    {"inspect", "show what a model is made of and what it will need", ssw_cmd_inspect},
    {"synth", "write a model of a published shape with random weights", ssw_cmd_synth},
    {"quantize", "write a model again in another type", ssw_cmd_quantize},
    {"eval", "a text's perplexity, and KL and agreement against another model", ssw_cmd_eval},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0], PROGRAM_NAME_MAX = 64 };

static char *list_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    char *list = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&list, &n_bytes);
    if (!out)
        return NULL;
    fputs("Commands:\n", out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`seesaw COMMAND --help' tells more about each.", out);
    if (fclose(out) != 0) {
        free(list);
        return NULL;
    }
    return list; /* argp frees it */
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    int *command_index = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        *command_index = state->next - 1;
        state->next = state->argc; /* the rest is the subcommand's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int refuse_command(const char *typed)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = ssw_cli_find_nearest(typed, names, N_COMMANDS);
    if (nearest)
        fprintf(stderr, "seesaw: unknown command '%s'; did you mean '%s'?\n", typed, nearest);
    else
        fprintf(stderr, "seesaw: unknown command '%s'; `seesaw --help' lists them\n", typed);
    return SSW_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    argp_program_version = "seesaw " SSW_VERSION;
    argp_err_exit_status = SSW_EXIT_USAGE;
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "COMMAND [OPTION...]",
        .doc = "Measure and run Mixture-of-Experts models with their experts on the GPU or in host memory.\v",
        .help_filter = list_commands,
    };
    int command_index = 0;
    error_t failed = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &command_index);
    if (failed)
        return SSW_EXIT_USAGE;
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[command_index], commands[i].name) != 0)
            continue;
        char name[PROGRAM_NAME_MAX];
        snprintf(name, sizeof name, "seesaw %s", commands[i].name);
        argv[command_index] = name; /* argp's messages begin with it */
        return commands[i].run(argc - command_index, argv + command_index);
    }
    return refuse_command(argv[command_index]);
}
