/* Stop strings: never a part of one comes out, and nothing that cannot become one is held back. */
#include "../cmocka_all.h"

#include <string.h>

#include "serve/stop_filter.h"
#include "serve/wire_text.h"

enum { PIECES_MAX = 8 };

/* What comes out after each piece, joined by '|', then '$' if stopped, then what flush gives. */
static void expect(const char *const *stop_texts, const char *const *pieces, const char *expected)
{
    ssw_stop_text stops[PIECES_MAX];
    size_t n_stops = 0;
    for (; stop_texts[n_stops]; n_stops++)
        stops[n_stops] = (ssw_stop_text){stop_texts[n_stops], strlen(stop_texts[n_stops])};
    ssw_stop_filter filter;
    ssw_strbuf out;
    ssw_stop_filter_init(&filter, stops, n_stops);
    ssw_strbuf_init(&out, 10000);
    for (size_t i = 0; pieces[i]; i++) {
        bool has_stopped = ssw_stop_filter_push(&filter, pieces[i], strlen(pieces[i]), &out);
        ssw_strbuf_append_text(&out, has_stopped ? "$" : "|");
    }
    ssw_stop_filter_flush(&filter, &out);
    assert_string_equal(ssw_strbuf_text(&out), expected);
    ssw_strbuf_deinit(&out);
    ssw_stop_filter_deinit(&filter);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void holds_back_what_may_become_a_stop(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    expect(none, LIST("a", "b"), "a|b|");
    expect(LIST("END"), LIST("a E", "N", "D b"), "a ||$");
    expect(LIST("END"), LIST("a E", "N", "x"), "a ||ENx|");
    expect(LIST("END"), LIST("a EN"), "a |EN");
    expect(LIST("END"), LIST("xENDy"), "x$");
    expect(LIST("aab"), LIST("a", "a", "a", "b"), "||a|$");
    expect(LIST("\n\n"), LIST("one\n", "two", "\n", "\n"), "one|\ntwo||$");
    expect(LIST("abc", "bd"), LIST("ab", "d"), "|a$");
    expect(LIST("long stop", "op"), LIST("a long st", "op"), "a |$");
    expect(LIST("x"), LIST("", "x", "more"), "|$$");
}

static void broken_text_becomes_json(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *repaired;
    } texts[] = {
        {"plain", "plain"},
        {"\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *text = ssw_wire_text(texts[i].bytes, strlen(texts[i].bytes));
        assert_non_null(text);
        assert_string_equal(json_string_value(text), texts[i].repaired);
        json_decref(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_back_what_may_become_a_stop),
        cmocka_unit_test(broken_text_becomes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
