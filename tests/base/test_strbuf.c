/* The byte string and the arena: growth, the hard maximum, sticky failure. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"

static void appends_and_takes(void **state)
{
    ssw_strbuf buf;
    ssw_strbuf_init(&buf, 1000);
    assert_string_equal(ssw_strbuf_text(&buf), "");
    for (int i = 0; i < 100; i++)
        ssw_strbuf_append_format(&buf, "%d,", i);
    assert_int_equal(buf.n_bytes, 290);
    ssw_strbuf_drop_front(&buf, 288);
    assert_string_equal(ssw_strbuf_text(&buf), "9,");
    char *taken = ssw_strbuf_take(&buf);
    assert_string_equal(taken, "9,");
    free(taken);
    taken = ssw_strbuf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
    ssw_strbuf_deinit(&buf);
}

static void stops_at_the_maximum(void **state)
{
    ssw_strbuf buf;
    ssw_error err;
    ssw_strbuf_init(&buf, 8);
    ssw_strbuf_append_text(&buf, "12345678");
    assert_int_equal(ssw_strbuf_check(&buf, "body", &err), SSW_OK);
    ssw_strbuf_append_text(&buf, "9");
    ssw_strbuf_append_text(&buf, "");
    assert_string_equal(ssw_strbuf_text(&buf), "12345678");
    assert_int_equal(ssw_strbuf_check(&buf, "body", &err), SSW_ERR_LIMIT);
    assert_non_null(strstr(err.message, "body is larger than 8 bytes"));
    assert_null(ssw_strbuf_take(&buf));
    ssw_strbuf_clear(&buf);
    ssw_strbuf_append_text(&buf, "ok");
    assert_string_equal(ssw_strbuf_text(&buf), "ok");
    ssw_strbuf_deinit(&buf);
}

static void arena_is_zeroed_aligned_and_bounded(void **state)
{
    ssw_arena arena;
    ssw_arena_init(&arena, 1 << 20);
    for (int i = 1; i < 200; i++) {
        unsigned char *p = ssw_arena_alloc(&arena, (size_t)i, 7);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (int k = 0; k < i * 7; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, (size_t)i * 7);
    }
    assert_null(ssw_arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(ssw_arena_alloc(&arena, 1, 1 << 20));
    assert_string_equal(ssw_arena_copy_text(&arena, "abcdef", 3), "abc");
    ssw_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_and_takes),
        cmocka_unit_test(stops_at_the_maximum),
        cmocka_unit_test(arena_is_zeroed_aligned_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
