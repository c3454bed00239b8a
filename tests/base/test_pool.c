/* Every worker runs each job once, barriers order writes, and waiting workers sleep and wake. */
#include "../cmocka_all.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/pool.h"

enum { ROUNDS = 300, THREADS_MAX = 5 };

typedef struct board {
    ssw_pool *pool;
    atomic_int n_calls;
    int slots[THREADS_MAX];
    atomic_int n_wrong;
} board;

static void play(void *context, int worker, int n_workers)
{
    board *b = context;
    atomic_fetch_add(&b->n_calls, 1);
    for (int round = 1; round <= 20; round++) {
        b->slots[worker] = round;
        ssw_pool_barrier(b->pool);
        for (int i = 0; i < n_workers; i++) {
            if (b->slots[i] != round)
                atomic_fetch_add(&b->n_wrong, 1);
        }
        ssw_pool_barrier(b->pool);
    }
}

static void barriers_order_writes(void **state)
{
    for (int n = 1; n <= THREADS_MAX; n++) {
        board b = {0};
        ssw_pool_options options = {.n_threads = n, .spin_ns = 1};
        assert_int_equal(ssw_pool_open(&options, &b.pool, NULL), SSW_OK);
        assert_int_equal(ssw_pool_threads(b.pool), n);
        assert_int_equal(ssw_pool_pinned(b.pool), 0);
        for (int i = 0; i < ROUNDS / 10; i++) {
            memset(b.slots, 0, sizeof b.slots);
            ssw_pool_run(b.pool, play, &b);
        }
        assert_int_equal(b.n_calls, n * (ROUNDS / 10));
        assert_int_equal(b.n_wrong, 0);
        ssw_pool_close(b.pool);
    }
}

static void count(void *context, int worker, int n_workers)
{
    board *b = context;
    b->slots[worker]++;
}

static void sleeping_workers_wake(void **state)
{
    board b = {0};
    ssw_pool_options options = {.n_threads = 3, .pin = true, .spin_ns = 1};
    assert_int_equal(ssw_pool_open(&options, &b.pool, NULL), SSW_OK);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 50 == 0)
            ssw_clock_sleep_until_ns(ssw_clock_now_ns() + 2 * SSW_NS_PER_MS);
        ssw_pool_run(b.pool, count, &b);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(b.slots[i], ROUNDS);
    ssw_pool_close(b.pool);
}

static void options_are_checked(void **state)
{
    ssw_pool *pool;
    ssw_error err;
    ssw_pool_options options = {.n_threads = SSW_POOL_THREADS_MAX + 1};
    assert_int_equal(ssw_pool_open(&options, &pool, &err), SSW_ERR_LIMIT);
    assert_null(pool);
    options.n_threads = -1;
    assert_int_equal(ssw_pool_open(&options, &pool, &err), SSW_ERR_LIMIT);
    options = (ssw_pool_options){.pin = true};
    assert_int_equal(ssw_pool_open(&options, &pool, &err), SSW_OK);
    int cpus[SSW_CORES_MAX];
    assert_true(ssw_pool_threads(pool) >= 1);
    assert_true(ssw_pool_threads(pool) <= ssw_cores_list(cpus, SSW_CORES_MAX));
    assert_true(ssw_pool_pinned(pool) < ssw_pool_threads(pool)); /* the first thread stays free */
    ssw_pool_close(pool);
    ssw_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(barriers_order_writes),
        cmocka_unit_test(sleeping_workers_wake),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
