/* The options and the end of a gate, shared by `seesaw gate` and `seesaw ab`. */
#ifndef SSW_CLI_GATE_OPTIONS_H
#define SSW_CLI_GATE_OPTIONS_H

#include <argp.h>
#include <stdio.h>

typedef struct ssw_gate_choice {
    const char *against, *junit; /* NULL: not given */
    double max_regress;          /* a share; 0: no gate */
} ssw_gate_choice;

/* --against, --max-regress and --junit; the input is a ssw_gate_choice. */
extern const struct argp ssw_gate_argp;

/* Refuses, before anything is measured, what could not be judged afterwards. Returns the exit status. */
int ssw_gate_refuse(const char *program, const ssw_gate_choice *choice);

/* Judges the run in dir, prints to out, writes the JUnit file. Returns the exit status. */
int ssw_gate_finish(const char *program, const ssw_gate_choice *choice, const char *dir, FILE *out);

/* The run itself ended with that status: only the JUnit file is left to write. Returns the status. */
int ssw_gate_give_up(const char *program, const ssw_gate_choice *choice, int status, const char *reason);

#endif
