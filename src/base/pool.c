/* The worker pool: a job epoch that workers wait on, a countdown of those still working, and a reusable
 * barrier.
 *
 * Every wait spins first and then sleeps on a futex, so that workers meet within a fraction of a microsecond
 * when each has a core, and do not burn another process's time when they have not. */
#include "base/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cores.h"

enum { CACHE_LINE_BYTES = 64, SPINS_PER_CLOCK_READ = 64 };
#define DEFAULT_SPIN_NS (200 * SSW_NS_PER_US)
#define BARRIER_SPIN_NS (50 * SSW_NS_PER_US)

/* A counter that threads wait on. Each on a cache line of its own. */
typedef struct gate {
    _Alignas(CACHE_LINE_BYTES) atomic_uint value;
    atomic_int n_sleepers;
} gate;

typedef struct worker {
    ssw_pool *pool;
    int index;
    int cpu; /* -1: anywhere */
    pthread_t thread;
} worker;

struct ssw_pool {
    gate epoch;   /* one more for every job */
    gate done;    /* one more for every finished job */
    gate barrier; /* one more each time all have arrived */
    _Alignas(CACHE_LINE_BYTES) atomic_int n_arrived;
    _Alignas(CACHE_LINE_BYTES) atomic_int n_working;
    _Alignas(CACHE_LINE_BYTES) ssw_pool_job *job;
    void *context;
    atomic_bool quit;
    int n_threads;
    int n_started;
    int64_t spin_ns;
    atomic_int n_pinned;
    int caller_cpu; /* where worker 0 belongs; -1: anywhere */
    /* Waiting workers yield between looks, so that another thread (the one that answers HTTP, say) gets a
     * core at once. Only where every worker is bound: one that is free may be put beside a bound one by the
     * kernel, and two that yield to each other stay there. */
    atomic_bool yields;
    pid_t caller; /* the last thread that was worker 0 */
    worker *workers;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void gate_sleep(gate *g, unsigned old)
{
    atomic_fetch_add(&g->n_sleepers, 1);
    /* The kernel compares again, so a change between our look and this call is not missed. */
    syscall(SYS_futex, &g->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&g->n_sleepers, 1);
}

/* Returns once the gate's value differs from old. */
static void gate_wait(gate *g, unsigned old, int64_t spin_ns, bool yields)
{
    for (int i = 0; i < SPINS_PER_CLOCK_READ; i++) {
        if (atomic_load_explicit(&g->value, memory_order_acquire) != old)
            return;
        relax();
    }
    int64_t end_ns = ssw_clock_now_ns() + spin_ns;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK_READ; i++) {
            if (atomic_load_explicit(&g->value, memory_order_acquire) != old)
                return;
            relax();
        }
        if (yields)
            sched_yield();
    } while (ssw_clock_now_ns() < end_ns);
    while (atomic_load(&g->value) == old)
        gate_sleep(g, old);
}

static void gate_open(gate *g)
{
    atomic_fetch_add(&g->value, 1);
    if (atomic_load(&g->n_sleepers) > 0)
        syscall(SYS_futex, &g->value, FUTEX_WAKE_PRIVATE, SSW_POOL_THREADS_MAX, NULL, NULL, 0);
}

static bool pin_current_thread(int cpu)
{
    cpu_set_t *mask = CPU_ALLOC(SSW_CORES_MAX);
    size_t mask_bytes = CPU_ALLOC_SIZE(SSW_CORES_MAX);
    if (!mask)
        return false;
    CPU_ZERO_S(mask_bytes, mask);
    CPU_SET_S((size_t)cpu, mask_bytes, mask);
    bool ok = sched_setaffinity(0, mask_bytes, mask) == 0;
    CPU_FREE(mask);
    return ok;
}

static void finish_part(ssw_pool *pool)
{
    if (atomic_fetch_sub(&pool->n_working, 1) == 1)
        gate_open(&pool->done);
}

static void *worker_main(void *context)
{
    worker *self = context;
    ssw_pool *pool = self->pool;
    unsigned seen = 0;
    if (self->cpu >= 0 && pin_current_thread(self->cpu))
        atomic_fetch_add(&pool->n_pinned, 1);
    finish_part(pool); /* ssw_pool_open waits for this, so that n_pinned is final */
    for (;;) {
        gate_wait(&pool->epoch, seen, pool->spin_ns, atomic_load(&pool->yields));
        seen++;
        if (atomic_load(&pool->quit))
            return NULL;
        pool->job(pool->context, self->index, pool->n_threads);
        finish_part(pool);
    }
}

static int choose_threads(const ssw_pool_options *options, int n_cores)
{
    if (options->n_threads > 0)
        return options->n_threads;
    int limit = ssw_cores_read_cgroup_limit();
    int n = limit > 0 && limit < n_cores ? limit : n_cores;
    return n > SSW_POOL_THREADS_MAX ? SSW_POOL_THREADS_MAX : n;
}

static ssw_status start_workers(ssw_pool *pool, ssw_error *err)
{
    unsigned old = atomic_load(&pool->done.value);
    atomic_store(&pool->n_working, pool->n_threads);
    for (int i = 1; i < pool->n_threads; i++) {
        int rc = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
        if (rc != 0)
            return ssw_error_set_errno(err, SSW_ERR_UNAVAILABLE, rc, "cannot start worker thread %d of %d", i,
                                       pool->n_threads);
        pool->n_started++;
    }
    finish_part(pool);
    gate_wait(&pool->done, old, DEFAULT_SPIN_NS, false);
    return SSW_OK;
}

ssw_status ssw_pool_open(const ssw_pool_options *options, ssw_pool **out, ssw_error *err)
{
    int cpus[SSW_CORES_MAX];
    int n_cores = ssw_cores_list(cpus, SSW_CORES_MAX);
    ssw_status status = SSW_OK;
    ssw_pool *pool = NULL;
    *out = NULL;
    if (options->n_threads < 0 || options->n_threads > SSW_POOL_THREADS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "threads: %d is not between 0 and %d", options->n_threads,
                             SSW_POOL_THREADS_MAX);
    pool = aligned_alloc(CACHE_LINE_BYTES, sizeof *pool);
    if (!pool)
        return ssw_error_set(err, SSW_ERR_NOMEM, "thread pool: out of memory");
    *pool = (ssw_pool){.n_threads = choose_threads(options, n_cores), .caller_cpu = -1};
    pool->spin_ns = options->spin_ns > 0 ? options->spin_ns : DEFAULT_SPIN_NS;
    pool->workers = calloc((size_t)pool->n_threads, sizeof *pool->workers);
    if (!pool->workers) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "thread pool: out of memory");
        goto cleanup;
    }
    /* More threads than cores would fight over the pinned ones: then none is bound. */
    bool pin = options->pin && pool->n_threads <= n_cores;
    for (int i = 0; i < pool->n_threads; i++)
        pool->workers[i] = (worker){.pool = pool, .index = i, .cpu = pin ? cpus[i] : -1};
    if (pin)
        pool->caller_cpu = cpus[0];
    status = start_workers(pool, err);
    if (status != SSW_OK)
        goto cleanup;
    *out = pool;
    pool = NULL;
cleanup:
    ssw_pool_close(pool);
    return status;
}

void ssw_pool_close(ssw_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    gate_open(&pool->epoch);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    free(pool);
}

/* Threads created later inherit their creator's binding, so the program's first thread is left free. */
static void pin_caller(ssw_pool *pool)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    if (self == pool->caller)
        return;
    pool->caller = self;
    bool is_bound = self != getpid() && pin_current_thread(pool->caller_cpu);
    atomic_store(&pool->yields, is_bound && atomic_load(&pool->n_pinned) == pool->n_threads - 1);
}

void ssw_pool_run(ssw_pool *pool, ssw_pool_job *job, void *context)
{
    if (pool->caller_cpu >= 0)
        pin_caller(pool);
    if (pool->n_threads == 1) {
        job(context, 0, 1);
        return;
    }
    unsigned old = atomic_load_explicit(&pool->done.value, memory_order_relaxed);
    pool->job = job;
    pool->context = context;
    atomic_store_explicit(&pool->n_working, pool->n_threads, memory_order_relaxed);
    gate_open(&pool->epoch);
    job(context, 0, pool->n_threads);
    finish_part(pool);
    gate_wait(&pool->done, old, BARRIER_SPIN_NS, atomic_load(&pool->yields));
}

void ssw_pool_barrier(ssw_pool *pool)
{
    if (pool->n_threads == 1)
        return;
    unsigned old = atomic_load_explicit(&pool->barrier.value, memory_order_relaxed);
    if (atomic_fetch_add(&pool->n_arrived, 1) == pool->n_threads - 1) {
        atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
        gate_open(&pool->barrier);
    } else {
        gate_wait(&pool->barrier, old, BARRIER_SPIN_NS, atomic_load(&pool->yields));
    }
}

int ssw_pool_threads(const ssw_pool *pool)
{
    return pool->n_threads;
}

int ssw_pool_pinned(const ssw_pool *pool)
{
    return atomic_load(&pool->n_pinned);
}
