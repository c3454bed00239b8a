/* Arms made of one flag and several values. Pure. */
#ifndef SSW_BENCH_PLAN_PLAN_SWEEP_H
#define SSW_BENCH_PLAN_PLAN_SWEEP_H

#include "bench/plan/plan.h"

/* "n-cpu-moe=0:24:4" (from, to, step; whole numbers, to included where a step hits it) or "n-cpu-moe=0,8,24".
 * A flag of one letter gets one dash, a longer one two; one that begins with a dash stays as it is. Kept
 * until ssw_plan_finish makes the arms of it; a second one is refused. */
ssw_status ssw_plan_sweep_option(ssw_plan *plan, const char *option, ssw_error *err);

/* "8GiB", "7.5 GB", "500MiB" or bytes: the memory in which the smallest value of a sweep shall fit. */
ssw_status ssw_plan_fit_option(ssw_plan *plan, const char *option, ssw_error *err);

/* Makes the arms FLAG-VALUE, with the words of the one arm that the plan may have, which stands for all, in
 * front, and its name in place of FLAG. For ssw_plan_finish. */
ssw_status ssw_plan_make_sweep(ssw_plan *plan, ssw_error *err);

#endif
