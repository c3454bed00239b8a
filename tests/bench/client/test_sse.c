/* The event-stream parser against the standard's own examples and rules, split at every place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmocka_all.h"

#include "bench/client/sse.h"

typedef struct seen { /* events as "name|data|bytes;" */
    char text[4096];
    int64_t last_t_ns;
    int stop_after;
} seen;

static ssw_status note(void *context, const ssw_sse_event *event, ssw_error *err)
{
    seen *all = context;
    size_t used = strlen(all->text);
    snprintf(all->text + used, sizeof all->text - used, "%s|%s|%zu;", event->name, event->data,
             event->n_bytes);
    all->last_t_ns = event->t_ns;
    if (all->stop_after && --all->stop_after == 0)
        return ssw_error_set(err, SSW_ERR_CANCELLED, "enough");
    return SSW_OK;
}

/* Pushes the stream in two pieces, cut at every place, and in single bytes. */
static void expect_events(const char *stream, size_t n, const char *expected)
{
    for (size_t cut = 0; cut <= n + 1; cut++) {
        seen all = {0};
        ssw_sse_parser parser;
        ssw_sse_init(&parser, note, &all);
        if (cut <= n) {
            assert_int_equal(ssw_sse_push(&parser, stream, cut, 1, NULL), SSW_OK);
            assert_int_equal(ssw_sse_push(&parser, stream + cut, n - cut, 2, NULL), SSW_OK);
        } else {
            for (size_t i = 0; i < n; i++)
                assert_int_equal(ssw_sse_push(&parser, stream + i, 1, (int64_t)i, NULL), SSW_OK);
        }
        /* The LF of a CRLF that comes in a later block is not counted: compare names and data alone then. */
        assert_string_equal(all.text, expected);
        ssw_sse_deinit(&parser);
    }
}

static void test_standard_examples(void **state)
{
    (void)state;
    const char stocks[] = "data: YHOO\ndata: +2\ndata: 10\n\n";
    expect_events(stocks, sizeof stocks - 1, "|YHOO\n+2\n10|30;");
    const char blocks[] =
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
    expect_events(blocks, sizeof blocks - 1, "|first event|25;|second event|22;");
    const char empties[] = "data\n\ndata\ndata\n\ndata:";
    expect_events(empties, sizeof empties - 1, "||6;|\n|11;");
    const char same[] = "data:test\n\ndata: test\n\n";
    expect_events(same, sizeof same - 1, "|test|11;|test|12;");
    const char named[] = "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\ndata: x\n\n";
    expect_events(named, sizeof named - 1, "add|73857293|27;remove|2153|26;|x|9;");
}

static void test_bare_cr_and_mark(void **state)
{
    (void)state;
    const char cr[] = "data: a\r\rdata: b\r\r";
    expect_events(cr, sizeof cr - 1, "|a|9;|b|9;");
    const char mark[] = "\xef\xbb\xbf"
                        "data: a\n\n";
    expect_events(mark, sizeof mark - 1, "|a|12;");
}

static void test_crlf_split_anywhere(void **state)
{
    (void)state;
    const char text[] = "data: a\r\n\r\n:c\r\ndata: b\r\n\r\n";
    for (size_t cut = 0; cut < sizeof text; cut++) {
        seen all = {0};
        ssw_sse_parser parser;
        ssw_sse_init(&parser, note, &all);
        assert_int_equal(ssw_sse_push(&parser, text, cut, 1, NULL), SSW_OK);
        assert_int_equal(ssw_sse_push(&parser, text + cut, sizeof text - 1 - cut, 2, NULL), SSW_OK);
        assert_non_null(strstr(all.text, "|a|"));
        assert_non_null(strstr(all.text, ";|b|"));
        ssw_sse_deinit(&parser);
    }
}

static void test_time_is_that_of_the_last_byte(void **state)
{
    (void)state;
    seen all = {0};
    ssw_sse_parser parser;
    ssw_sse_init(&parser, note, &all);
    ssw_sse_push(&parser, "data: a\n", 8, 10, NULL);
    assert_int_equal(all.last_t_ns, 0);
    assert_true(ssw_sse_is_torn(&parser));
    ssw_sse_push(&parser, "\n", 1, 20, NULL);
    assert_int_equal(all.last_t_ns, 20);
    assert_false(ssw_sse_is_torn(&parser));
    ssw_sse_deinit(&parser);
}

static void test_limits(void **state)
{
    (void)state;
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    seen all = {0};
    ssw_error err;
    ssw_sse_parser parser;
    ssw_sse_init(&parser, note, &all);
    ssw_status status = SSW_OK;
    for (int i = 0; i < 5 && !status; i++)
        status = ssw_sse_push(&parser, block, sizeof block, 0, &err);
    assert_int_equal(status, SSW_ERR_LIMIT);
    ssw_sse_deinit(&parser);

    ssw_sse_init(&parser, note, &all); /* endless comments inside one event */
    block[0] = ':';
    block[sizeof block - 1] = '\n';
    status = SSW_OK;
    for (int i = 0; i < 9 && !status; i++)
        status = ssw_sse_push(&parser, block, sizeof block, 0, &err);
    assert_int_equal(status, SSW_ERR_LIMIT);
    ssw_sse_deinit(&parser);

    all.stop_after = 1;
    ssw_sse_init(&parser, note, &all);
    assert_int_equal(ssw_sse_push(&parser, "data: a\n\ndata: b\n\n", 18, 0, &err), SSW_ERR_CANCELLED);
    assert_string_equal(all.text, "|a|9;");
    ssw_sse_deinit(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard_examples),
        cmocka_unit_test(test_bare_cr_and_mark),
        cmocka_unit_test(test_crlf_split_anywhere),
        cmocka_unit_test(test_time_is_that_of_the_last_byte),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
