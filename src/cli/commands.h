/* The subcommands of the program. Each lives in a file of its own, cmd_NAME.c, and reads its own arguments by
 * argp; argv[0] is "seesaw NAME". The value returned is the process's exit status. A new one needs a line
 * here and a row in main.c. */
#ifndef SSW_CLI_COMMANDS_H
#define SSW_CLI_COMMANDS_H

enum {
    SSW_EXIT_OK = 0,
    SSW_EXIT_FAILED = 1, /* of a gate: regressed */
    SSW_EXIT_USAGE = 2,
    SSW_EXIT_INCONCLUSIVE = 3,
    SSW_EXIT_INVALID = 4,       /* the measurement proves nothing */
    SSW_EXIT_SERVER_FAILED = 5, /* the measured server crashed, hung or refused */
    SSW_EXIT_INTERRUPTED = 130  /* as shells say it: 128 + SIGINT */
};

int ssw_cmd_ab(int argc, char **argv);
int ssw_cmd_serve(int argc, char **argv);
int ssw_cmd_inspect(int argc, char **argv);
int ssw_cmd_report(int argc, char **argv);
int ssw_cmd_gate(int argc, char **argv);
int ssw_cmd_verify(int argc, char **argv);
int ssw_cmd_synth(int argc, char **argv);
int ssw_cmd_quantize(int argc, char **argv);
int ssw_cmd_eval(int argc, char **argv);
int ssw_cmd_compare(int argc, char **argv);
int ssw_cmd_index(int argc, char **argv);

#endif
