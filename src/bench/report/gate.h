/* A gate: is an arm slower than it may be? Against the first arm of its own run (pairs, side by side in
 * time), or against the same arm of a stored run (no pairs: the two sessions' block means, by Welch). Reads
 * evidence only. */
#ifndef SSW_BENCH_REPORT_GATE_H
#define SSW_BENCH_REPORT_GATE_H

#include "base/status.h"
#include "base/strbuf.h"
#include "bench/plan/plan.h"
#include "bench/stats/metrics.h"

enum { SSW_GATE_CHECKS_MAX = 2 * SSW_PLAN_ARMS_MAX, SSW_GATE_TEXT_MAX = 256 };

typedef enum ssw_gate_outcome { /* from good to bad; the worst check is the gate's outcome */
                                SSW_GATE_PASSED,
                                SSW_GATE_INCONCLUSIVE,
                                SSW_GATE_REGRESSED,
                                SSW_GATE_INVALID,
                                SSW_GATE_SERVER_FAILED
} ssw_gate_outcome;

typedef struct ssw_gate_options {
    const char *dir;     /* the run in question */
    const char *against; /* a stored run; NULL: arms against the first arm of dir */
    double max_regress;  /* 0.03: 3 % more time */
} ssw_gate_options;

typedef struct ssw_gate_check {
    char arm[SSW_PLAN_ARM_NAME_MAX + 1];
    ssw_metric metric;
    size_t n; /* pairs, or blocks of the run in question */
    double time, ci_low,
        ci_high; /* what the time is multiplied by: of a rate the inverse ratio; NAN: not known */
    ssw_gate_outcome outcome; /* PASSED: ci_high within the limit; REGRESSED: ci_low beyond it */
} ssw_gate_check;

typedef struct ssw_gate {
    ssw_gate_outcome outcome;
    char reason[SSW_GATE_TEXT_MAX]; /* why there are no checks, or why they do not count; "" else */
    char model[SSW_GATE_TEXT_MAX], created_utc[32];
    size_t n_checks;
    ssw_gate_check checks[SSW_GATE_CHECKS_MAX];
} ssw_gate;

/* An error only where a folder cannot be read; everything else is an outcome. */
ssw_status ssw_gate_check_run(const ssw_gate_options *options, ssw_gate *out, ssw_error *err);

/* One line a check, then the outcome. */
void ssw_gate_print(const ssw_gate *gate, const ssw_gate_options *options, ssw_strbuf *out);
/* JUnit's XML: a test case for each check; regressed is a failure, everything else but passed an error. */
void ssw_gate_print_junit(const ssw_gate *gate, const ssw_gate_options *options, ssw_strbuf *out);

#endif
