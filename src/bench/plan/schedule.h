/* The order in which servers are started and prompts are sent, from the plan's seed. Pure.
 *
 * ABBA: `runs` blocks. A block starts every arm once (its positions 0, 1, ...), and each start answers every
 * prompt once; so sample `run` r of a prompt belongs to block r - 1 for every arm, and the samples of one
 * prompt in one block are a pair. Blocks come in twos: the second is the mirror of the first (A B, B A), so
 * that over each two blocks an arm is as often early as late. With k arms the orders are the rows of a
 * Williams square (1949), arms and rows drawn from the seed: over each k blocks (2k where k is odd) every arm
 * stands at every position equally often, and follows every other arm equally often; then arms and rows are
 * drawn again. The order of the prompts is drawn anew for each block and is the same for all arms of it.
 * SEQUENTIAL: one block, arms in declared order, prompts in declared order, all runs of a prompt one after
 * another. */
#ifndef SSW_BENCH_PLAN_SCHEDULE_H
#define SSW_BENCH_PLAN_SCHEDULE_H

#include "bench/plan/plan.h"

typedef struct ssw_schedule_start { /* one start of one server */
    int block, position;
    int arm; /* index in the plan */
} ssw_schedule_start;

typedef struct ssw_schedule_request {
    int prompt; /* index in the plan */
    int run;    /* from 1 */
} ssw_schedule_request;

typedef struct ssw_schedule {
    size_t n_starts;
    ssw_schedule_start *starts;
    size_t n_requests;              /* of each start */
    ssw_schedule_request *requests; /* [n_starts][n_requests] */
} ssw_schedule;

/* The plan must be finished. */
ssw_status ssw_schedule_init(ssw_schedule *schedule, const ssw_plan *plan, ssw_error *err);
void ssw_schedule_deinit(ssw_schedule *schedule);
const ssw_schedule_request *ssw_schedule_requests_of(const ssw_schedule *schedule, size_t start);

#endif
