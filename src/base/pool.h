/* A persistent pool of pinned worker threads for work that comes in many short pieces.
 *
 * The calling thread is worker 0; the pool starts n_threads - 1 more, each pinned to a physical core of its
 * own where the affinity mask and the cgroup's CPU limit allow it. One caller at a time. Workers spin for a
 * while before they sleep, so that a decode step's pieces start within a microsecond and an idle server costs
 * nothing. */
#ifndef SSW_BASE_POOL_H
#define SSW_BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SSW_POOL_THREADS_MAX = 512 };

typedef struct ssw_pool ssw_pool;

typedef struct ssw_pool_options {
    int n_threads; /* 0: one per physical core that this process may use */
    bool pin;      /* bind workers to cores; a refused binding is reported by ssw_pool_pinned, not an error */
    int64_t spin_ns; /* how long an idle worker spins before it sleeps; 0 for the default */
} ssw_pool_options;

/* Called once on every worker; worker is 0 .. n_workers - 1. */
typedef void ssw_pool_job(void *context, int worker, int n_workers);

ssw_status ssw_pool_open(const ssw_pool_options *options, ssw_pool **out, ssw_error *err);
void ssw_pool_close(ssw_pool *pool); /* NULL is allowed */

/* Runs job on all workers and returns when every one has finished. No allocation, no lock. */
void ssw_pool_run(ssw_pool *pool, ssw_pool_job *job, void *context);

/* Inside a job: waits until every worker has called it. All writes before are visible to all workers after.
 */
void ssw_pool_barrier(ssw_pool *pool);

int ssw_pool_threads(const ssw_pool *pool);
int ssw_pool_pinned(const ssw_pool *pool); /* how many workers are bound to a core */

#ifdef __cplusplus
}
#endif
#endif
