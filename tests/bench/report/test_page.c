/* Pages: what comes from outside stays text in both renderings; figures are kept once; markers in a Markdown
 * file. */
#include "../../cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/report/page.h"
#include "bench/report/report_make.h"

#define HOSTILE "<script>x</script> & \"q\" 'p' `b` | *s* [l](u)\x01\xff\xc3"

typedef struct fixture {
    ssw_arena arena;
    ssw_page page;
    ssw_strbuf out;
} fixture;

static void open_fixture(fixture *f)
{
    ssw_arena_init(&f->arena, 1 << 20);
    ssw_page_init(&f->page, &f->arena);
    ssw_strbuf_init(&f->out, 1 << 20);
}

static void close_fixture(fixture *f)
{
    ssw_strbuf_deinit(&f->out);
    ssw_arena_deinit(&f->arena);
}

static void markdown_escapes(void **state)
{
    fixture f;
    open_fixture(&f);
    ssw_page_add(&f.page, SSW_PAGE_PARAGRAPH);
    ssw_page_write(&f.page, SSW_PAGE_PLAIN, HOSTILE);
    ssw_page_write(&f.page, SSW_PAGE_CODE, "a`|b");
    ssw_page_add_table(&f.page, 2);
    ssw_page_cell_text(&f.page, SSW_PAGE_PLAIN, "h|1");
    ssw_page_cell_text(&f.page, SSW_PAGE_PLAIN, "h2");
    ssw_page_cell_text(&f.page, SSW_PAGE_CODE, "x|y");
    ssw_page_cell_number(&f.page, SSW_PAGE_NEUTRAL, NULL, "1.5");
    ssw_page_add(&f.page, SSW_PAGE_CODE_BLOCK)->text = "```\n</pre>";
    assert_int_equal(ssw_page_render_md(&f.page, 1, &f.out, NULL), SSW_OK);
    assert_string_equal(
        ssw_strbuf_text(&f.out),
        "&lt;script>x&lt;/script> &amp; \"q\" 'p' \\`b\\` \\| \\*s\\* \\[l\\](u) ??`` a`|b ``\n\n"
        "| h\\|1 | h2 |\n|---|---:|\n| `x\\|y` | 1.5 |\n\n"
        "````text\n```\n</pre>\n````\n");
    close_fixture(&f);
}

static void html_escapes(void **state)
{
    fixture f;
    open_fixture(&f);
    ssw_page_add(&f.page, SSW_PAGE_FOLD);
    ssw_page_write(&f.page, SSW_PAGE_STRONG, HOSTILE);
    ssw_page_add(&f.page, SSW_PAGE_CODE_BLOCK)->text = "</pre><script>";
    assert_int_equal(ssw_page_render_html(&f.page, "</title>" HOSTILE, NULL, &f.out, NULL), SSW_OK);
    const char *text = ssw_strbuf_text(&f.out);
    assert_null(strstr(text, "<script"));
    assert_non_null(strstr(text, "<title>&lt;/title&gt;&lt;script&gt;"));
    assert_non_null(strstr(
        text, "<details>\n<summary><strong>&lt;script&gt;x&lt;/script&gt; &amp; &quot;q&quot; &#39;p&#39; "));
    assert_non_null(strstr(text, "<pre>&lt;/pre&gt;&lt;script&gt;</pre>\n</details>\n</main>"));
    close_fixture(&f);
}

static void text_that_is_cut_inside_a_character_stays_utf8(void **state)
{
    fixture f;
    open_fixture(&f);
    ssw_page_add(&f.page, SSW_PAGE_PARAGRAPH);
    ssw_page_print(&f.page, SSW_PAGE_PLAIN, "%.4s|%s|%s|%s", "abc\xe6\xbc\xa2", "\xe6\xbc\xa2", "\xc0\xaf",
                   "\xed\xa0\x80");
    assert_int_equal(ssw_page_render_md(&f.page, 1, &f.out, NULL), SSW_OK);
    assert_string_equal(ssw_strbuf_text(&f.out), "abc?\\|\xe6\xbc\xa2\\|??\\|???\n");
    close_fixture(&f);
}

static void figures_are_kept_once(void **state)
{
    fixture f;
    ssw_figures figures;
    open_fixture(&f);
    ssw_figures_init(&figures, &f.arena);
    const ssw_figure seven = {
        .value = 7, .unit = "ms", .formula = "f", .n = 3, .sd = 1, .ci_low = NAN, .ci_high = NAN};
    const ssw_figure nothing = {.value = NAN, .unit = "ms", .formula = "f"};
    const ssw_figure *kept = ssw_figures_put(&figures, &seven, "a.%d", 1);
    assert_non_null(kept);
    assert_ptr_equal(ssw_figures_put(&figures, &nothing, "a.2"), NULL);
    assert_ptr_equal(ssw_figures_put(&figures, &seven, "a.1"), kept);
    json_t *json = ssw_figures_to_json(&figures);
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(text,
                        "{\"a.1\":{\"formula\":\"f\",\"n\":3,\"sd\":1.0,\"unit\":\"ms\",\"value\":7.0}}");
    free(text);
    json_decref(json);
    ssw_figures_deinit(&figures);
    close_fixture(&f);
}

static void out_of_room_is_an_error_not_a_page(void **state)
{
    fixture f;
    open_fixture(&f);
    f.arena.max_bytes = 200;
    for (int i = 0; i < 50; i++) {
        ssw_page_add(&f.page, SSW_PAGE_PARAGRAPH);
        ssw_page_write(&f.page, SSW_PAGE_PLAIN, "text");
    }
    assert_int_equal(ssw_page_render_md(&f.page, 1, &f.out, NULL), SSW_ERR_NOMEM);
    close_fixture(&f);
}

static void expect_file(const char *path, const char *expected)
{
    char text[512] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}

static void sections_are_replaced_between_markers(void **state)
{
    char path[] = "insert-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "# Top\n", 6) == 6 && close(fd) == 0);
    assert_int_equal(ssw_report_insert(path, "m", "one\n", NULL), SSW_OK);
    expect_file(path, "# Top\n\n<!-- seesaw:begin m -->\n\none\n\n<!-- seesaw:end m -->\n");
    assert_int_equal(ssw_report_insert(path, "n", "other\n", NULL), SSW_OK);
    assert_int_equal(ssw_report_insert(path, "m", "two\n", NULL), SSW_OK);
    expect_file(path, "# Top\n\n<!-- seesaw:begin m -->\n\ntwo\n\n<!-- seesaw:end m -->\n"
                      "\n<!-- seesaw:begin n -->\n\nother\n\n<!-- seesaw:end n -->\n");
    FILE *file = fopen(path, "w");
    fputs("<!-- seesaw:begin m -->\n", file);
    fclose(file);
    ssw_error err;
    assert_int_equal(ssw_report_insert(path, "m", "three\n", &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "<!-- seesaw:begin m --> has no end marker"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown_escapes),
        cmocka_unit_test(html_escapes),
        cmocka_unit_test(text_that_is_cut_inside_a_character_stays_utf8),
        cmocka_unit_test(figures_are_kept_once),
        cmocka_unit_test(out_of_room_is_an_error_not_a_page),
        cmocka_unit_test(sections_are_replaced_between_markers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
