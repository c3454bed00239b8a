/* The quality phase of `seesaw ab`: its options, and DIR/quality/ of a run's folder, which is a run folder
 * itself. */
#ifndef SSW_CLI_AB_QUALITY_H
#define SSW_CLI_AB_QUALITY_H

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

#include "bench/run/prepare.h"
#include "bench/run/quality_plan.h"
#include "bench/run/runner.h"

/* A child parser; its input is an ssw_quality_options. */
extern const struct argp ssw_ab_quality_argp;

/* What a plan file said, as if it were given as options: a wrong value ends the program like theirs. */
void ssw_ab_quality_take_plan(struct argp_state *state, const ssw_plan_quality *said,
                              ssw_quality_options *options);

/* Makes DIR/quality with all that says what shall run; nothing is started. plan is that of the run. */
ssw_status ssw_ab_quality_prepare(const char *dir, const ssw_prepare_options *prepare, const ssw_plan *plan,
                                  const ssw_quality_options *options, ssw_error *err);

/* Whether the folder has a quality phase that is not finished. */
bool ssw_ab_quality_is_open(const char *dir);

typedef struct ssw_ab_quality_run_options {
    const char *dir; /* the run's folder */
    FILE *out;       /* for the screen */
    const ssw_nvml *nvml;
    const char *const *environment;
    const char *cache_dir;
    int cancel_fd;
} ssw_ab_quality_run_options;

/* Runs what is missing: requests, token counts, programs, embeddings, checksums. *outcome is set when that
 * fails. */
ssw_status ssw_ab_quality_run(const ssw_ab_quality_run_options *options, ssw_run_outcome *outcome,
                              ssw_error *err);

#endif
