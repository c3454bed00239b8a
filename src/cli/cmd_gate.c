/* seesaw gate: judges a run that is there already. */
#include "cli/commands.h"
#include "cli/gate_options.h"

typedef struct arguments {
    const char *dir;
    ssw_gate_choice choice;
} arguments;

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    arguments *all = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &all->choice;
        return 0;
    case ARGP_KEY_ARG:
        if (all->dir)
            argp_error(state, "one run at a time");
        all->dir = argument;
        return 0;
    case ARGP_KEY_END:
        if (!all->dir)
            argp_error(state, "which run folder?");
        if (all->choice.max_regress == 0)
            argp_error(state, "--max-regress P%% is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int ssw_cmd_gate(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ssw_gate_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_option,
        .args_doc = "FOLDER",
        .doc = "Judge a run for continuous integration: is an arm slower than it may be?\vWithout --against "
               "every arm is "
               "compared with the first arm of the run, by pairs; with it, with the arm of the same name of "
               "a stored run.\n\n"
               "Exit status: 0 each interval ends within the limit; 1 an interval lies beyond it; 3 neither, "
               "so more runs are "
               "needed; 4 the runs prove nothing or cannot be compared; 5 a server failed; 2 wrong usage.",
        .children = children,
    };
    arguments all = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &all))
        return SSW_EXIT_USAGE;
    return ssw_gate_finish(argv[0], &all.choice, all.dir, stdout);
}
