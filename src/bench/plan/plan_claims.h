/* Checks of what a plan says about its verdicts: the A/A arm, the margin of equivalence, stopping early. */
#ifndef SSW_BENCH_PLAN_PLAN_CLAIMS_H
#define SSW_BENCH_PLAN_PLAN_CLAIMS_H

#include "bench/plan/plan.h"

ssw_status ssw_plan_check_claims(const ssw_plan *plan, ssw_error *err);

#endif
