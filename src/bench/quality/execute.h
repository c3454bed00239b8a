/* Runs the programs inside the replies of a quality folder and writes executions.jsonl. */
#ifndef SSW_BENCH_QUALITY_EXECUTE_H
#define SSW_BENCH_QUALITY_EXECUTE_H

#include "bench/evidence/evidence_reader.h"
#include "bench/quality/problems.h"
#include "bench/quality/sandbox.h"

typedef struct ssw_execute_result {
    int n_programs, n_passed;
    bool no_sandbox; /* nothing was run; reason says why */
    ssw_error reason;
} ssw_execute_result;

/* Whether a sample passes; n_done of n_total programs are judged. Must be quick. */
typedef void ssw_execute_observer(void *context, int n_done, int n_total);

/* One line for each measured sample whose prompt's label names a problem. Without a sandbox each line says
 * "not-run" and why. observer may be NULL. An
 * older file is replaced at the end. cancel_fd: readable: stop,
 * SSW_ERR_CANCELLED; -1 for none. */
ssw_status ssw_quality_execute(const ssw_evidence *evidence, const ssw_problems *problems,
                               const ssw_sandbox_options *sandbox, int cancel_fd,
                               ssw_execute_observer *observer, void *context, ssw_execute_result *out,
                               ssw_error *err);

#endif
