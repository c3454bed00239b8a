/* Checks that a run folder still is what its report was made from: hashes, token counts, and the report
 * itself.
 *
 * Nothing is written. A difference is not an error of this function: it is its finding. */
#ifndef SSW_BENCH_REPORT_VERIFY_RUN_H
#define SSW_BENCH_REPORT_VERIFY_RUN_H

#include <stdbool.h>

#include "base/status.h"

enum { SSW_VERIFY_CHECKS_MAX = 8, SSW_VERIFY_TEXT_MAX = 512, SSW_VERIFY_SUMS_MAX = 64 };

typedef struct ssw_verify_options {
    const char *model;   /* where the model's (first) file lies now; NULL: where the manifest says */
    const char *gnuplot; /* NULL for "gnuplot" found on PATH */
    bool no_model;       /* it is not here: neither its hash nor token counts are checked */
    bool no_server;      /* the servers' executables are not here */
} ssw_verify_options;

typedef enum ssw_verify_outcome {
    SSW_VERIFY_SAME,
    SSW_VERIFY_SKIPPED,
    SSW_VERIFY_DIFFERS
} ssw_verify_outcome;

typedef struct ssw_verify_check {
    const char *name; /* "evidence", "model", "server", "tokens", "report"; "quality" for that phase's */
    ssw_verify_outcome outcome;
    char text[SSW_VERIFY_TEXT_MAX]; /* what was compared, why not, or the first difference; one line */
} ssw_verify_check;

typedef struct ssw_verify_result {
    bool same; /* no check differs */
    int n_checks;
    ssw_verify_check
        checks[SSW_VERIFY_CHECKS_MAX]; /* in the order made; the first that differs is the last */
} ssw_verify_result;

/* An error only when the checks could not be made (out of memory); a folder that cannot be read is a
 * difference. */
ssw_status ssw_verify_run(const char *dir, const ssw_verify_options *options, ssw_verify_result *out,
                          ssw_error *err);

#endif
