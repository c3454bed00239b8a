/* One call of `seesaw ab`, from checked options to exit status. */
#ifndef SSW_CLI_AB_SESSION_H
#define SSW_CLI_AB_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/plan/plan.h"
#include "bench/run/quality_plan.h"
#include "cli/gate_options.h"

typedef struct ssw_ab_options {
    const char *model;
    const char *server; /* an adapter's name, a path, or NAME=PATH */
    const char *out;    /* the folder in which the run's folder is made */
    const char *resume; /* a run's folder; then the plan is that run's own */
    bool report, json;
    bool record;       /* in the index */
    const char *index; /* its file; NULL: the default one */
    ssw_quality_options quality;
    ssw_gate_choice gate;
    int n_rest;           /* runs of a queue after this one */
    int64_t run_begin_ns; /* when this program began */
    int argc;             /* the whole command line, for the manifest */
    char **argv;
} ssw_ab_options;

/* plan is taken and deinitialised. Returns the exit status. */
int ssw_ab_run_session(const ssw_ab_options *options, ssw_plan *plan);

#endif
