/* How arms differ, and whether they may. Pure: only the arms' own words are looked at, since everything else
 * on their command lines and in their environments is made alike. */
#ifndef SSW_BENCH_PLAN_PLAN_GUARD_H
#define SSW_BENCH_PLAN_PLAN_GUARD_H

#include "bench/plan/plan.h"

/* The same-configuration guard. The treatment is the server where arms have servers of different kinds; else
 * the options that say where experts lie (--cpu-moe,
 * --n-cpu-moe, --override-tensor, --moe-cache-mib) where arms differ in one of them, else the one option or
 * variable in which they differ. SSW_ERR_USAGE names every other difference that plan->allowed does not name.
 * Arms that run already are left out: nothing is known of their command lines. */
ssw_status ssw_plan_check_arms(const ssw_plan *plan, ssw_error *err);

/* "adds: --cpu-moe; lacks: -t 4": the arm's own words against those of the first; in the arena. NULL when out
 * of memory. */
const char *ssw_plan_describe_treatment(const ssw_plan *plan, size_t index, ssw_arena *arena);

#endif
