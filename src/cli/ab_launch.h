/* `seesaw ab --launcher slurm`: the options, submitting, and collecting what the tasks left. */
#ifndef SSW_CLI_AB_LAUNCH_H
#define SSW_CLI_AB_LAUNCH_H

#include <argp.h>
#include <stdbool.h>

#include "bench/launch/slurm_job.h"

typedef struct ssw_ab_launch {
    const char *launcher; /* "slurm"; NULL: measure here */
    const char *partition, *gres, *time;
    const char *collect; /* a launch's folder */
    bool no_wait;
    const char *models[SSW_LAUNCH_MODELS_MAX]; /* every -m */
    size_t n_models;
} ssw_ab_launch;

/* Its input is a ssw_ab_launch; -m is the caller's. */
extern const struct argp ssw_ab_launch_argp;

/* The words of the command line that are each run's own: all but those of the launch, -m, --out and --json.
 * out: [SSW_LAUNCH_WORDS_MAX], borrowed. Returns how many. */
size_t ssw_ab_pick_arguments(int argc, char **argv, const char **out);

/* Submits one job array below the folder out; argv is the whole command line, of which the tasks get what is
 * theirs. Waits and collects, or says how to. Returns the exit status: the highest of the tasks'. */
int ssw_ab_submit(const ssw_ab_launch *launch, const char *out, bool json, int argc, char **argv);

/* What the tasks of a launch left so far, to standard output and DIR/collected.json. */
int ssw_ab_collect(const char *dir, bool json);

#endif
