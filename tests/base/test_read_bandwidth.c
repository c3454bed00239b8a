/* The probe's bookkeeping and refusals. What it measures depends on the machine: only that it is a speed is
 * checked. */
#include "../cmocka_all.h"

#include "base/read_bandwidth.h"

static void test_measures(void **state)
{
    (void)state;
    ssw_read_bandwidth result;
    ssw_error err = {0};
    long cache_mib = 0;
    ssw_read_bandwidth_options o = {.n_threads = 2, .n_passes = 3, .buffer_bytes = UINT64_C(64) << 20};
    if (ssw_read_bandwidth_measure(&(ssw_read_bandwidth_options){.n_passes = 1}, &result, &err) == SSW_OK)
        cache_mib = (long)(result.cache_bytes >> 20);
    assert_true(result.buffer_bytes >= 2 * result.cache_bytes);
    o.buffer_bytes += (uint64_t)cache_mib * 2 << 20;
    assert_int_equal(ssw_read_bandwidth_measure(&o, &result, &err), SSW_OK);
    assert_int_equal(result.n_threads, 2);
    assert_int_equal(result.n_passes, 3);
    assert_int_equal(result.buffer_bytes, o.buffer_bytes);
    assert_true(result.best_bytes_per_s >= result.median_bytes_per_s);
    assert_true(result.median_bytes_per_s > 1e7 && result.best_bytes_per_s < 1e14);
}

static void test_refuses(void **state)
{
    (void)state;
    ssw_read_bandwidth result;
    ssw_error err;
    assert_int_equal(ssw_read_bandwidth_measure(&(ssw_read_bandwidth_options){.n_passes = -1}, &result, &err),
                     SSW_ERR_USAGE);
    assert_int_equal(
        ssw_read_bandwidth_measure(&(ssw_read_bandwidth_options){.buffer_bytes = 4096}, &result, &err),
        SSW_ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_measures), cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
