/* Error text stays one line, prefixes stack, and the type table agrees with the GGUF specification. */
#include "../cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/dtype.h"
#include "base/status.h"

static void error_is_one_line(void **state)
{
    ssw_error err;
    assert_int_equal(ssw_error_set(&err, SSW_ERR_FORMAT, "bad\nkey %d", 7), SSW_ERR_FORMAT);
    assert_string_equal(err.message, "bad key 7");
    assert_int_equal(ssw_error_prefix(&err, "%s", "m.gguf"), SSW_ERR_FORMAT);
    assert_string_equal(err.message, "m.gguf: bad key 7");
    ssw_error_set_errno(&err, SSW_ERR_IO, ENOENT, "open x");
    assert_string_equal(err.message, "open x: No such file or directory");
    assert_int_equal(ssw_error_set(NULL, SSW_ERR_IO, "x"), SSW_ERR_IO);
}

static void block_geometry(void **state)
{
    assert_int_equal(ssw_dtype_row_bytes(SSW_DTYPE_MXFP4, 2880), 2880 / 32 * 17);
    assert_int_equal(ssw_dtype_row_bytes(SSW_DTYPE_Q4_K, 1408), 0); /* not a multiple of 256 */
    assert_int_equal(ssw_dtype_row_bytes(SSW_DTYPE_BF16, 3), 6);
    assert_int_equal(ssw_dtype_row_bytes(SSW_DTYPE_F64, UINT64_MAX / 4), 0);
    assert_null(ssw_dtype_find(4));
    assert_int_equal(ssw_dtype_find_name("mxfp4")->dtype, SSW_DTYPE_MXFP4);
}

static void clocks(void **state)
{
    int64_t start = ssw_clock_now_ns();
    ssw_clock_sleep_until_ns(start + SSW_NS_PER_MS);
    assert_true(ssw_clock_now_ns() >= start + SSW_NS_PER_MS);
    char text[SSW_CLOCK_TEXT_MAX];
    ssw_clock_format_utc(INT64_C(1761955200) * SSW_NS_PER_S, text);
    assert_string_equal(text, "2025-11-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_one_line),
        cmocka_unit_test(block_geometry),
        cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
