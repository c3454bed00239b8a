/* A page as one HTML file with nothing from outside; its one script only draws over plots that are there
 * without it. Written as XML too, so that an XML parser can check it. */
#include <string.h>

#include "bench/report/page.h"
#include "bench/report/page_assets.h"

static void put(ssw_strbuf *out, const char *text)
{
    ssw_strbuf_append_text(out, text);
}

/* Control characters have no place in XML; what is not UTF-8 was replaced when the evidence was read. */
void ssw_page_put_escaped(ssw_strbuf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '<')
            put(out, "&lt;");
        else if (byte == '>')
            put(out, "&gt;");
        else if (byte == '&')
            put(out, "&amp;");
        else if (byte == '"')
            put(out, "&quot;");
        else if (byte == '\'')
            put(out, "&#39;");
        else if (byte >= 0x20 || byte == '\n' || byte == '\t')
            ssw_strbuf_append(out, c, 1);
        else
            put(out, "\xef\xbf\xbd");
    }
}

static const char *const tone_names[] = {"", "good", "bad", "quiet"};

static void put_runs(ssw_strbuf *out, const ssw_page_cell *cell)
{
    static const char *const opening[] = {"", "<strong>", "<code>", "<span class=\"faint\">"};
    static const char *const closing[] = {"", "</strong>", "</code>", "</span>"};
    for (const ssw_page_run *run = cell ? cell->first : NULL; run; run = run->next) {
        if (run->line_break)
            put(out, "<br/>");
        if (!*run->text)
            continue;
        put(out, opening[run->style]);
        if (run->figure) {
            ssw_strbuf_append_format(out, "<data value=\"%.17g\" title=\"", run->figure->value);
            ssw_page_put_escaped(out, run->figure->key);
            put(out, "\">");
        }
        ssw_page_put_escaped(out, run->text);
        put(out, run->figure ? "</data>" : "");
        put(out, closing[run->style]);
    }
}

static void put_element(ssw_strbuf *out, const char *element, const char *class_name,
                        const ssw_page_cell *cell)
{
    put(out, "<");
    put(out, element);
    if (*class_name) {
        put(out, " class=\"");
        put(out, class_name);
        put(out, "\"");
    }
    put(out, ">");
    put_runs(out, cell);
    put(out, "</");
    put(out, element);
    put(out, ">\n");
}

static void put_table(ssw_strbuf *out, const ssw_page_block *block)
{
    const ssw_page_cell *below = block->first; /* the first row of the body says how the head is aligned */
    for (size_t i = 0; i < block->n_columns && below; i++)
        below = below->next;
    size_t place = 0;
    put(out, "<div class=\"scroll\"><table>\n<thead>");
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next, place++) {
        bool head = place < block->n_columns;
        bool number = head ? below && below->number : cell->number;
        if (place % block->n_columns == 0)
            put(out, place == block->n_columns ? "</tr></thead>\n<tbody><tr>"
                     : place                   ? "</tr>\n<tr>"
                                               : "<tr>");
        ssw_strbuf_append_format(out, head ? "<th class=\"%s%s\">" : "<td class=\"%s%s\">",
                                 number ? "number " : "", tone_names[cell->tone]);
        put_runs(out, cell);
        put(out, head ? "</th>" : "</td>");
        below = below ? below->next : NULL;
    }
    put(out, place > block->n_columns ? "</tr></tbody></table></div>\n" : "</tr></thead></table></div>\n");
}

static void put_cells(ssw_strbuf *out, const ssw_page_block *block, const char *element)
{
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next) {
        if (cell->first)
            put_element(out, element, "", cell);
    }
}

static void put_tiles(ssw_strbuf *out, const ssw_page_block *block)
{
    static const char *const names[] = {"label", "value", "detail"};
    int place = 0;
    put(out, "<div class=\"tiles\">\n");
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next) {
        if (!cell->first)
            continue;
        put(out, place == 0 ? "<div class=\"tile\">" : "");
        ssw_strbuf_append_format(out, "<div class=\"%s %s\">", names[place], tone_names[cell->tone]);
        put_runs(out, cell);
        put(out, "</div>");
        place = (place + 1) % 3;
        put(out, place == 0 ? "</div>\n" : "");
    }
    put(out, "</div>\n");
}

static void put_block(ssw_strbuf *out, const ssw_page_block *block)
{
    switch (block->kind) {
    case SSW_PAGE_TITLE:
        put_element(out, "h1", "", block->first);
        return;
    case SSW_PAGE_HEADING:
        put_element(out, "h2", "", block->first);
        return;
    case SSW_PAGE_PARAGRAPH:
        put_element(out, "p", "", block->first);
        return;
    case SSW_PAGE_VERDICT:
        ssw_strbuf_append_format(out, "<div class=\"verdict %s\">\n", tone_names[block->tone]);
        put_cells(out, block, "p");
        put(out, "</div>\n");
        return;
    case SSW_PAGE_NOTE:
        put_element(out, "p", block->tone == SSW_PAGE_BAD ? "note bad" : "note", block->first);
        return;
    case SSW_PAGE_LIST:
        put(out, "<ul>\n");
        put_cells(out, block, "li");
        put(out, "</ul>\n");
        return;
    case SSW_PAGE_TABLE:
        put_table(out, block);
        return;
    case SSW_PAGE_TILES:
        put_tiles(out, block);
        return;
    case SSW_PAGE_PLOT:
        ssw_strbuf_append_format(out, "<figure id=\"%s\" class=\"%s\"%s>", block->name,
                                 block->wide ? "wide" : "", block->text ? "" : " hidden=\"hidden\"");
        put(out, block->text ? block->text : "");
        put_element(out, "figcaption", "", block->first);
        put(out, "</figure>\n");
        return;
    case SSW_PAGE_CODE_BLOCK:
        put(out, "<pre>");
        ssw_page_put_escaped(out, block->text);
        put(out, "</pre>\n");
        return;
    case SSW_PAGE_FOLD:
        put_element(out, "summary", "", block->first);
        return;
    }
}

static void put_body(ssw_strbuf *out, const ssw_page *page)
{
    bool in_fold = false, in_plots = false;
    for (const ssw_page_block *block = page->first; block; block = block->next) {
        if (in_plots && block->kind != SSW_PAGE_PLOT)
            put(out, "</div>\n");
        if (in_fold && (block->kind == SSW_PAGE_FOLD || block->kind == SSW_PAGE_HEADING)) {
            put(out, "</details>\n");
            in_fold = false;
        }
        if (!in_plots && block->kind == SSW_PAGE_PLOT)
            put(out, "<div class=\"plots\">\n");
        in_plots = block->kind == SSW_PAGE_PLOT;
        if (block->kind == SSW_PAGE_FOLD) {
            put(out, "<details>\n");
            in_fold = true;
        }
        put_block(out, block);
    }
    put(out, in_plots ? "</div>\n" : "");
    put(out, in_fold ? "</details>\n" : "");
}

static void put_script(ssw_strbuf *out, const char *data)
{
    put(out, "<script type=\"application/json\" id=\"seesaw-data\">");
    put(out, data);
    put(out, "</script>\n<script>");
    put(out, ssw_page_script);
    put(out, "</script>\n");
}

ssw_status ssw_page_render_html(const ssw_page *page, const char *title, const char *data, ssw_strbuf *out,
                                ssw_error *err)
{
    if (page->failed)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the page");
    put(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'; script-src ");
    put(out, data ? "'sha256-" : "'none'");
    put(out, data ? ssw_page_script_sha256 : "");
    put(out, data ? "'\"/>" : "\"/>");
    put(out, "\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
             "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
    ssw_page_put_escaped(out, title);
    put(out, "</title>\n<style>\n");
    put(out, ssw_page_style_sheet);
    put(out, "</style>\n</head>\n<body>\n<main>\n");
    put_body(out, page);
    put(out, "</main>\n");
    if (data)
        put_script(out, data);
    put(out, "</body>\n</html>\n");
    return ssw_strbuf_check(out, "report.html", err);
}
