/* Edit distance and suggestions, checked against distances counted by hand. */
#include "../cmocka_all.h"

#include "cli/nearest.h"

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(ssw_cli_edit_distance("", ""), 0);
    assert_int_equal(ssw_cli_edit_distance("serve", "serve"), 0);
    assert_int_equal(ssw_cli_edit_distance("", "abc"), 3);
    assert_int_equal(ssw_cli_edit_distance("abc", ""), 3);
    assert_int_equal(ssw_cli_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(ssw_cli_edit_distance("srever", "server"), 1); /* neighbours swapped */
    assert_int_equal(ssw_cli_edit_distance("flaw", "lawn"), 2);
}

static void suggests_only_what_is_near(void **state)
{
    (void)state;
    static const char *const words[] = {"serve", "ab", "report", "verify"};
    assert_string_equal(ssw_cli_find_nearest("serv", words, 4), "serve");
    assert_string_equal(ssw_cli_find_nearest("server", words, 4), "serve");
    assert_string_equal(ssw_cli_find_nearest("ba", words, 4), "ab");
    assert_string_equal(ssw_cli_find_nearest("varify", words, 4), "verify");
    assert_null(ssw_cli_find_nearest("zzzzzzzz", words, 4));
    assert_null(ssw_cli_find_nearest("chat", words, 4));
    char longest[200];
    for (size_t i = 0; i < sizeof longest - 1; i++)
        longest[i] = 'a';
    longest[sizeof longest - 1] = '\0';
    assert_null(ssw_cli_find_nearest(longest, words, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(suggests_only_what_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
