/* Numbers as a report prints them. */
#include "../../cmocka_all.h"

#include <math.h>

#include "bench/report/number.h"

static void digits_follow_the_uncertainty(void **state)
{
    ssw_number_text text;
    assert_string_equal(ssw_number_format_spread(text, 41.30456, 0.6234), "41.30 ± 0.62");
    assert_string_equal(ssw_number_format_spread(text, 217.349, 9.4), "217.3 ± 9.4");
    assert_string_equal(ssw_number_format_spread(text, 217.349, 94), "217 ± 94");
    assert_string_equal(ssw_number_format_spread(text, 12666.4, 131.2), "12,666 ± 131");
    assert_string_equal(ssw_number_format_spread(text, 0.0012345, 0.0000234), "0.001234 ± 0.000023");
    assert_string_equal(ssw_number_format_spread(text, 97, 0), "97 ± 0");
    assert_string_equal(ssw_number_format_spread(text, 41.30456, NAN), "41.30");
    assert_string_equal(ssw_number_format_interval(text, 0.68860653, 0.69848812), "[0.6886, 0.6985]");
    assert_string_equal(ssw_number_format_interval(text, -6.2, 21.1), "[−6, 21]");
    assert_string_equal(ssw_number_format_interval(text, NAN, NAN), "–");
}

static void plain_numbers(void **state)
{
    ssw_number_text text;
    assert_string_equal(ssw_number_format(text, 1234567.4, 0), "1,234,567");
    assert_string_equal(ssw_number_format(text, 3602, 0), "3,602");
    assert_string_equal(ssw_number_format(text, 999.96, 1), "1,000.0");
    assert_string_equal(ssw_number_format(text, -3.25, 1), "−3.2");
    assert_string_equal(ssw_number_format(text, -0.01, 1), "0.0"); /* no minus before nothing */
    assert_string_equal(ssw_number_format(text, NAN, 1), "–");
    assert_string_equal(ssw_number_format(text, INFINITY, 1), "∞");
    assert_string_equal(ssw_number_format(text, 1e300, 2), "1.00e+300");
    assert_string_equal(ssw_number_format_mib(text, 12666.0 * 1048576), "12,666");
    assert_string_equal(ssw_number_format_mib(text, 61.25 * 1048576), "61.2");
    assert_string_equal(ssw_number_format_mib(text, 7.969 * 1048576), "7.97");
}

static void percentages(void **state)
{
    ssw_number_text text;
    assert_string_equal(ssw_number_format_percent(text, 4.06), "4.1");
    assert_string_equal(ssw_number_format_percent(text, 12.4), "12");
    assert_string_equal(ssw_number_format_percent(text, 1000), "1,000");
    assert_string_equal(ssw_number_format_percent(text, 25586496), "over 1,000");
    assert_string_equal(ssw_number_format_percent(text, INFINITY), "over 1,000");
    assert_string_equal(ssw_number_format_percent(text, NAN), "–");
}

static void changes_in_words(void **state)
{
    ssw_number_text text;
    assert_string_equal(ssw_number_format_change(text, 6.77 / 46.88, "faster", "slower"), "6.9 times slower");
    assert_string_equal(ssw_number_format_change(text, 0.968, "faster", "slower"), "3.2 % slower");
    assert_string_equal(ssw_number_format_change(text, 1.2, "faster", "slower"), "20.0 % faster");
    assert_string_equal(ssw_number_format_change(text, 40, "faster", "slower"), "40 times faster");
    assert_string_equal(ssw_number_format_change(text, 1, "faster", "slower"), "equal");
    assert_string_equal(ssw_number_format_change(text, NAN, "faster", "slower"), "–");
    assert_string_equal(ssw_number_format_change(text, 0, "faster", "slower"), "–");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_follow_the_uncertainty),
        cmocka_unit_test(plain_numbers),
        cmocka_unit_test(percentages),
        cmocka_unit_test(changes_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
