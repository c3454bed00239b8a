/* The bench measures itself: its own client against the known-answer server, before the first server starts.
 * Takes 0.7 s. */
#ifndef SSW_BENCH_RUN_SELF_AUDIT_RUN_H
#define SSW_BENCH_RUN_SELF_AUDIT_RUN_H

#include "bench/evidence/self_audit.h"

/* No other thread may run when it is called (it forks). SSW_ERR_CANCELLED by cancel_fd; another error only
 * when the server cannot be made: an answer that the client reads wrongly is a result, and is in *out. */
ssw_status ssw_self_audit_run(int cancel_fd, ssw_self_audit *out, ssw_error *err);

#endif
