/* Each metric on requests whose figures are worked out by hand. */
#include "../../cmocka_all.h"
#include "../near.h"

#include <math.h>
#include <string.h>

#include "bench/stats/metrics.h"

#define MS INT64_C(1000000)

static void a_plain_reply(void **state)
{
    /* Sent at 1000 ms; role frame 50 ms later; 5 chunks 100, 120, 150, 170, 200 ms after sending; 6 tokens.
     */
    const int64_t chunks[] = {1100 * MS, 1120 * MS, 1150 * MS, 1170 * MS, 1200 * MS};
    const ssw_request_times times = {1000 * MS, 1050 * MS, 5, chunks, 6, 30};
    double out[SSW_METRIC_COUNT];
    assert_int_equal(ssw_metric_compute(&times, out, NULL), SSW_OK);
    assert_near(out[SSW_METRIC_TTFR], 50, 1e-12);
    assert_near(out[SSW_METRIC_TTFT], 100, 1e-12);
    assert_near(out[SSW_METRIC_E2E], 200, 1e-12);
    assert_near(out[SSW_METRIC_TOKENS], 6, 0);
    assert_near(out[SSW_METRIC_DECODE_RATE], 50, 1e-12);  /* 5 tokens in 0.1 s */
    assert_near(out[SSW_METRIC_ITL], 20, 1e-12);          /* 100 ms over 5 */
    assert_near(out[SSW_METRIC_TPS], 30, 1e-12);          /* 6 tokens in 0.2 s */
    assert_near(out[SSW_METRIC_PREFILL_RATE], 300, 1e-9); /* 30 tokens in 0.1 s */
    assert_near(out[SSW_METRIC_CHUNK_GAP], 25, 1e-12);    /* of 20, 30, 20, 30 */
    assert_near(out[SSW_METRIC_CHUNK_GAP_MAX], 30, 1e-12);
    assert_near(out[SSW_METRIC_TOKENS_PER_CHUNK], 1.2, 1e-12);
}

static void what_cannot_be_known_is_nan(void **state)
{
    const int64_t chunks[] = {1100 * MS};
    double out[SSW_METRIC_COUNT];
    ssw_request_times times = {1000 * MS, 1050 * MS, 1, chunks, 8, SSW_METRIC_NO_COUNT};
    assert_int_equal(ssw_metric_compute(&times, out, NULL), SSW_OK); /* the whole reply in one frame */
    assert_true(isnan(out[SSW_METRIC_DECODE_RATE]) && isnan(out[SSW_METRIC_ITL]) &&
                isnan(out[SSW_METRIC_CHUNK_GAP]));
    assert_true(isnan(out[SSW_METRIC_PREFILL_RATE]));
    assert_near(out[SSW_METRIC_TPS], 80, 1e-12);
    times = (ssw_request_times){1000 * MS, 1050 * MS, 1, chunks, SSW_METRIC_NO_COUNT, 3}; /* nobody counted */
    assert_int_equal(ssw_metric_compute(&times, out, NULL), SSW_OK);
    assert_true(isnan(out[SSW_METRIC_TOKENS]) && isnan(out[SSW_METRIC_TPS]) &&
                isnan(out[SSW_METRIC_TOKENS_PER_CHUNK]));
    assert_near(out[SSW_METRIC_TTFT], 100, 1e-12);
    times = (ssw_request_times){1000 * MS, SSW_METRIC_NO_TIME, 0, NULL, 0, 3}; /* nothing came */
    assert_int_equal(ssw_metric_compute(&times, out, NULL), SSW_OK);
    assert_true(isnan(out[SSW_METRIC_TTFR]) && isnan(out[SSW_METRIC_TTFT]) && isnan(out[SSW_METRIC_E2E]));
    assert_near(out[SSW_METRIC_TOKENS], 0, 0);
}

/* Nanosecond clocks of a machine that has been up for a year still give exact differences. */
static void large_clocks_keep_their_digits(void **state)
{
    const int64_t send_ns = INT64_C(31536000000000001);
    const int64_t chunks[] = {send_ns + 1500001, send_ns + 2500003};
    const ssw_request_times times = {send_ns, send_ns + 1, 2, chunks, 2, 1};
    double out[SSW_METRIC_COUNT];
    assert_int_equal(ssw_metric_compute(&times, out, NULL), SSW_OK);
    assert_near(out[SSW_METRIC_TTFR], 1e-6, 1e-18);
    assert_near(out[SSW_METRIC_TTFT], 1.500001, 1e-12);
    assert_near(out[SSW_METRIC_ITL], 1.000002, 1e-12);
}

static void every_metric_is_described(void **state)
{
    for (int i = 0; i < SSW_METRIC_COUNT; i++) {
        const ssw_metric_traits *traits = ssw_metric_describe((ssw_metric)i);
        assert_non_null(traits->key);
        assert_non_null(traits->formula);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(traits->key, ssw_metric_describe((ssw_metric)k)->key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_reply),
        cmocka_unit_test(what_cannot_be_known_is_nan),
        cmocka_unit_test(large_clocks_keep_their_digits),
        cmocka_unit_test(every_metric_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
