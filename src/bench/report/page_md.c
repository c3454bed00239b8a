/* A page as Markdown (GitHub's: tables with pipes). Whatever came from outside is escaped. */
#include <string.h>

#include "bench/report/page.h"

static void put(ssw_strbuf *out, const char *text)
{
    ssw_strbuf_append_text(out, text);
}

static void put_escaped(ssw_strbuf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '<')
            put(out, "&lt;");
        else if (*c == '&')
            put(out, "&amp;");
        else if ((unsigned char)*c < 0x20)
            put(out, " ");
        else {
            if (strchr("\\`*_[]#|~", *c))
                put(out, "\\");
            ssw_strbuf_append(out, c, 1);
        }
    }
}

/* A code span: fenced by more backticks than the text has in a row; in a table pipes are escaped. */
static void put_code(ssw_strbuf *out, const char *text, bool in_table)
{
    size_t longest = 0, row = 0;
    for (const char *c = text; *c; c++) {
        row = *c == '`' ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    for (size_t i = 0; i <= longest; i++)
        put(out, "`");
    if (longest)
        put(out, " ");
    for (const char *c = text; *c; c++) {
        if (in_table && *c == '|')
            put(out, "\\");
        ssw_strbuf_append(out, (unsigned char)*c < 0x20 ? " " : c, 1);
    }
    if (longest)
        put(out, " ");
    for (size_t i = 0; i <= longest; i++)
        put(out, "`");
}

static void put_runs(ssw_strbuf *out, const ssw_page_cell *cell, bool in_table)
{
    for (const ssw_page_run *run = cell ? cell->first : NULL; run; run = run->next) {
        if (run->line_break)
            put(out, in_table ? "<br>" : "  \n");
        if (!*run->text)
            continue;
        if (run->style == SSW_PAGE_CODE) {
            put_code(out, run->text, in_table);
            continue;
        }
        const char *mark = run->style == SSW_PAGE_STRONG ? "**" : "";
        put(out, mark);
        put_escaped(out, run->text);
        put(out, mark);
    }
}

static void put_table(ssw_strbuf *out, const ssw_page_block *block)
{
    const ssw_page_cell *second_row = block->first;
    for (size_t i = 0; i < block->n_columns && second_row; i++)
        second_row = second_row->next;
    size_t column = 0, row = 0;
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next) {
        put(out, column == 0 ? "| " : " | ");
        put_runs(out, cell, true);
        if (++column < block->n_columns)
            continue;
        put(out, " |\n");
        column = 0;
        if (row++ > 0)
            continue;
        put(out, "|");
        const ssw_page_cell *below = second_row;
        for (size_t i = 0; i < block->n_columns; i++) {
            put(out, below && below->number ? "---:|" : "---|");
            below = below ? below->next : NULL;
        }
        put(out, "\n");
    }
}

static void put_items(ssw_strbuf *out, const ssw_page_block *block, const char *mark)
{
    bool first = true;
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next) {
        if (!cell->first)
            continue;
        put(out, !first && *mark == '>' ? ">\n> " : mark);
        first = false;
        put_runs(out, cell, false);
        put(out, "\n");
    }
}

static void put_tiles(ssw_strbuf *out, const ssw_page_block *block)
{
    int place = 0;
    for (const ssw_page_cell *cell = block->first; cell; cell = cell->next) {
        if (!cell->first)
            continue;
        put(out, place == 0 ? "- " : place == 1 ? ": " : "; ");
        put_runs(out, cell, true);
        place = (place + 1) % 3;
        if (place == 0)
            put(out, "\n");
    }
}

static void put_code_block(ssw_strbuf *out, const char *text)
{
    size_t longest = 2, row = 0;
    for (const char *c = text; *c; c++) {
        row = *c == '`' ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i <= longest; i++)
            put(out, "`");
        put(out, side == 0 ? "text\n" : "\n");
        if (side == 0) {
            put(out, text);
            if (*text && text[strlen(text) - 1] != '\n')
                put(out, "\n");
        }
    }
}

static void put_block(ssw_strbuf *out, const ssw_page_block *block, int level)
{
    switch (block->kind) {
    case SSW_PAGE_TITLE:
    case SSW_PAGE_HEADING:
    case SSW_PAGE_FOLD:
        for (int i = block->kind == SSW_PAGE_TITLE; i <= level; i++)
            put(out, "#");
        put(out, " ");
        break;
    case SSW_PAGE_TABLE:
        put_table(out, block);
        return;
    case SSW_PAGE_VERDICT:
        put_items(out, block, "> ");
        return;
    case SSW_PAGE_LIST:
        put_items(out, block, "- ");
        return;
    case SSW_PAGE_TILES:
        put_tiles(out, block);
        return;
    case SSW_PAGE_PLOT:
        if (!block->text)
            return;
        put(out, "![");
        put_runs(out, block->first, false);
        put(out, "](");
        put(out, block->name);
        put(out, ".svg)\n");
        return;
    case SSW_PAGE_CODE_BLOCK:
        put_code_block(out, block->text);
        return;
    case SSW_PAGE_PARAGRAPH:
    case SSW_PAGE_NOTE:
        break;
    }
    put_runs(out, block->first, false);
    put(out, "\n");
}

ssw_status ssw_page_render_md(const ssw_page *page, int level, ssw_strbuf *out, ssw_error *err)
{
    if (page->failed)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the page");
    for (const ssw_page_block *block = page->first; block; block = block->next) {
        put_block(out, block, level);
        if (block->next)
            put(out, "\n");
    }
    return ssw_strbuf_check(out, "report.md", err);
}

void ssw_page_render_verdict(const ssw_page *page, int lines_max, ssw_strbuf *out)
{
    const ssw_page_block *block = page->first;
    while (block && block->kind != SSW_PAGE_VERDICT)
        block = block->next;
    for (const ssw_page_cell *cell = block ? block->first : NULL; cell && lines_max > 0; cell = cell->next) {
        if (!cell->first)
            continue;
        for (const ssw_page_run *run = cell->first; run; run = run->next) {
            for (const char *c = run->text; *c; c++)
                ssw_strbuf_append(out, (unsigned char)*c < 0x20 || *c == 0x7f ? " " : c, 1);
        }
        put(out, "\n");
        lines_max--;
    }
}
