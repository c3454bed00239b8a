/* Classes of rates, what follows from them, and when it is said that they do not hold: made-up figures. */
#include "../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cpu/ops.h"
#include "engine/host_rates.h"

#define LAYER_NS 2000000

static char said[2048];
static int n_said;

static void keep(void *context, ssw_log_level level, const char *line)
{
    (void)context;
    assert_int_equal(level, SSW_LOG_WARN);
    snprintf(said, sizeof said, "%s", line);
    n_said++;
}

static void expect_class(double measured, double wanted)
{
    double found = ssw_host_rate_class(measured);
    if (fabs(found / wanted - 1) > 1e-9)
        fail_msg("%g is of class %g, not %g", measured, found, wanted);
}

static void measurements_become_classes(void **state)
{
    (void)state;
    expect_class(0, 0.9e9);
    expect_class(1, 0.9e9);
    expect_class(1e20, 1.4e12);
    for (double rate = 0.58e11; rate < 1.42e11; rate += 1e9) /* 8-bit integers on AVX-512 */
        expect_class(rate, 0.9e11);
    for (double rate = 1.43e11; rate < 3.54e11; rate += 1e9) /* bf16 on AMX */
        expect_class(rate, 2.25e11);
    double before = 0.9e9;
    for (double rate = 0.9e9; rate < 1.4e12; rate *= 1.001) { /* none far from its class, none missing */
        double class = ssw_host_rate_class(rate);
        assert_true(class >= before && class / before < 2.58);
        assert_true(class / rate < 1.61 && rate / class < 1.61);
        expect_class(class, class);
        before = class;
    }
    expect_class(before, 1.4e12);
}

static void rates_are_written_as_the_flag_takes_them(void **state)
{
    (void)state;
    char text[SSW_HOST_RATES_TEXT_MAX];
    ssw_host_format_rates(&(ssw_engine_cpu_rates){1e11, 2.5e11}, text);
    assert_string_equal(text, "100,250");
    ssw_host_format_rates(&(ssw_engine_cpu_rates){1.5e9, 0}, text);
    assert_string_equal(text, "1.5");
}

static void expect_time(ssw_host_expert expert, double wanted_s, ssw_engine_bound wanted)
{
    static const ssw_engine_cpu_rates rates = {1e11, 2e11};
    ssw_engine_bound bound;
    double s = ssw_host_predict(&rates, &expert, 10, &bound);
    if (fabs(s / wanted_s - 1) > 1e-9 || bound != wanted)
        fail_msg("%d pairs: %g s by %s, expected %g by %s", (int)expert.n_pairs, s,
                 ssw_engine_bound_name(bound), wanted_s, ssw_engine_bound_name(wanted));
}

/* Of ten threads. */
static void time_follows_from_bytes_or_products(void **state)
{
    (void)state;
    enum { MIN = SSW_CPU_BF16_PAIRS_MIN };
    expect_time((ssw_host_expert){1, 1e6, 5e7, true}, 1e-3, SSW_ENGINE_BOUND_BYTES);
    expect_time((ssw_host_expert){10, 1e9, 5e7, true}, 1e-2, SSW_ENGINE_BOUND_VECTORS);
    expect_time((ssw_host_expert){MIN - 1, 1e9, 5e7, true}, 1e-3 * (MIN - 1), SSW_ENGINE_BOUND_VECTORS);
    expect_time((ssw_host_expert){MIN, 1e9, 5e7, true}, 5e-4 * MIN, SSW_ENGINE_BOUND_TILES);
    expect_time((ssw_host_expert){33, 1e9, 5e7, true}, 5e-4 * 33, SSW_ENGINE_BOUND_TILES);
    expect_time((ssw_host_expert){33, 1e9, 5e7, false}, 1e-3 * 33, SSW_ENGINE_BOUND_VECTORS);
    expect_time((ssw_host_expert){33, 1e6, 5e10, true}, 1, SSW_ENGINE_BOUND_BYTES);
    double gathering_s = ssw_host_predict_gathering(512 * 4096, 15);
    assert_true(gathering_s > 1e-4 && gathering_s < 1e-3);
}

/* n layers of which each takes `ratio` times LAYER_NS. */
static void watch_layers(ssw_host_watch *watch, ssw_engine_bound bound, int n, double ratio)
{
    for (int i = 0; i < n; i++)
        ssw_host_watch_layer(watch, bound, LAYER_NS, (int64_t)(LAYER_NS * ratio));
}

static ssw_host_watch open_watch(double vectors, double tiles)
{
    n_said = 0;
    said[0] = 0;
    return (ssw_host_watch){.log = {keep, NULL, SSW_LOG_INFO}, .rates = {vectors, tiles}};
}

static void expect_said(const char *words)
{
    if (!strstr(said, words))
        fail_msg("expected '%s' in: %s", words, said);
}

static void what_does_not_hold_is_said_once(void **state)
{
    (void)state;
    enum { N = SSW_HOST_JUDGED_LAYERS };
    ssw_host_watch watch = open_watch(1e11, 2.5e11);
    watch_layers(&watch, SSW_ENGINE_BOUND_TILES, N - 1, 3);
    assert_int_equal(n_said, 0);
    watch_layers(&watch, SSW_ENGINE_BOUND_TILES, 1, 3);
    assert_int_equal(n_said, 1);
    expect_said("on tiles) took 3.00 times as long as planned with --cpu-moe-rate 100,250");
    expect_said("start again: with --cpu-moe-rate 100,90, or without");
    watch_layers(&watch, SSW_ENGINE_BOUND_TILES, 5 * N, 4);
    assert_int_equal(n_said, 1);
    watch_layers(&watch, SSW_ENGINE_BOUND_VECTORS, N, 0.3); /* the other rate; too slow is wrong, too */
    assert_int_equal(n_said, 2);
    expect_said("on vectors) took 0.30 times");
    expect_said("with --cpu-moe-rate 225,250, or");
    watch = open_watch(1e11, 0);
    watch_layers(&watch, SSW_ENGINE_BOUND_VECTORS, N, 6);
    expect_said("with --cpu-moe-rate 14, or");
}

static void what_holds_or_says_little_is_not_said(void **state)
{
    (void)state;
    enum { N = SSW_HOST_JUDGED_LAYERS };
    ssw_host_watch watch = open_watch(1e11, 2.5e11);
    watch_layers(&watch, SSW_ENGINE_BOUND_TILES, 10 * N, 2.4);
    watch_layers(&watch, SSW_ENGINE_BOUND_VECTORS, 10 * N, 0.45);
    watch_layers(&watch, SSW_ENGINE_BOUND_BYTES, 10 * N, 5); /* no flag would help */
    for (int i = 0; i < 10 * N; i++) {                       /* short, so that what is fixed counts most */
        ssw_host_watch_layer(&watch, SSW_ENGINE_BOUND_TILES, 100000, 400000);
        ssw_host_watch_layer(&watch, SSW_ENGINE_BOUND_TILES, 0, 20000);
    }
    for (int i = 0; i < 10 * N; i++) /* some bad ones among good ones */
        watch_layers(&watch, SSW_ENGINE_BOUND_TILES, 1, i % 8 == 0 ? 8 : 1);
    assert_int_equal(n_said, 0);
}

static void sums_are_of_all_layers_with_a_prediction(void **state)
{
    (void)state;
    ssw_engine_prompt_times times;
    ssw_host_watch watch = open_watch(1e11, 2.5e11);
    watch_layers(&watch, SSW_ENGINE_BOUND_TILES, 3, 2);
    ssw_host_watch_layer(&watch, SSW_ENGINE_BOUND_TILES, 10, 30);
    ssw_host_watch_layer(&watch, SSW_ENGINE_BOUND_TILES, 0, 30); /* nothing was the CPU's */
    ssw_host_watch_layer(&watch, SSW_ENGINE_BOUND_BYTES, 5, 7);
    ssw_host_watch_read(&watch, SSW_ENGINE_BOUND_TILES, &times);
    assert_int_equal(times.n_layers, 4);
    assert_int_equal(times.predicted_ns, 3 * LAYER_NS + 10);
    assert_int_equal(times.actual_ns, 6 * LAYER_NS + 30);
    ssw_host_watch_read(&watch, SSW_ENGINE_BOUND_BYTES, &times);
    assert_int_equal(times.actual_ns, 7);
    ssw_host_watch_read(&watch, SSW_ENGINE_BOUND_VECTORS, &times);
    assert_int_equal(times.n_layers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measurements_become_classes),
        cmocka_unit_test(rates_are_written_as_the_flag_takes_them),
        cmocka_unit_test(time_follows_from_bytes_or_products),
        cmocka_unit_test(what_does_not_hold_is_said_once),
        cmocka_unit_test(what_holds_or_says_little_is_not_said),
        cmocka_unit_test(sums_are_of_all_layers_with_a_prediction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
