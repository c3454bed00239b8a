/* Building a page: blocks, cells, runs. */
#include "bench/report/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PRINT_MAX = 4096 };

void ssw_page_init(ssw_page *page, ssw_arena *arena)
{
    *page = (ssw_page){.arena = arena};
}

static void *allocate(ssw_page *page, size_t size_bytes)
{
    void *memory = ssw_arena_alloc(page->arena, 1, size_bytes);
    if (!memory)
        page->failed = true;
    return memory;
}

static ssw_page_block *add_block(ssw_page *page, ssw_page_kind kind)
{
    ssw_page_block *block = allocate(page, sizeof *block);
    if (!block) { /* what is added now goes nowhere, so that callers need not check */
        page->lost = (ssw_page_block){0};
        return &page->lost;
    }
    block->kind = kind;
    if (page->last)
        page->last->next = block;
    else
        page->first = block;
    page->last = block;
    return block;
}

ssw_page_block *ssw_page_add(ssw_page *page, ssw_page_kind kind)
{
    ssw_page_block *block = add_block(page, kind);
    ssw_page_cell_add(page, false, SSW_PAGE_NEUTRAL);
    return block;
}

void ssw_page_add_table(ssw_page *page, size_t n_columns)
{
    add_block(page, SSW_PAGE_TABLE)->n_columns = n_columns;
}

void ssw_page_cell_add(ssw_page *page, bool number, ssw_page_tone tone)
{
    ssw_page_cell *cell = allocate(page, sizeof *cell);
    if (!cell || !page->last)
        return;
    cell->number = number;
    cell->tone = tone;
    if (page->last->last)
        page->last->last->next = cell;
    else
        page->last->first = cell;
    page->last->last = cell;
}

/* Bytes of the UTF-8 character at text, 0 when there is none: a cut text may end inside one. */
static size_t character_bytes(const unsigned char *text)
{
    static const unsigned char least_second[] = {[0xe0 - 0xe0] = 0xa0, [0xf0 - 0xe0] = 0x90};
    size_t n = *text < 0x80                    ? 1
               : *text >= 0xc2 && *text < 0xe0 ? 2
               : (*text & 0xf0) == 0xe0        ? 3
               : *text >= 0xf0 && *text < 0xf5 ? 4
                                               : 0;
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = n > 2 && *text - 0xe0u < sizeof least_second && text[1] < least_second[*text - 0xe0u];
    bool surrogate = *text == 0xed && text[1] > 0x9f, too_high = *text == 0xf4 && text[1] > 0x8f;
    return overlong || surrogate || too_high ? 0 : n;
}

/* A copy in which what is not UTF-8 is a question mark. */
static const char *copy_valid(ssw_page *page, const char *text)
{
    size_t n_bytes = strlen(text);
    char *copy = ssw_arena_copy_text(page->arena, text, n_bytes);
    for (size_t i = 0; copy && i < n_bytes;) {
        size_t n = character_bytes((const unsigned char *)copy + i);
        if (n == 0)
            copy[i] = '?';
        i += n ? n : 1;
    }
    return copy;
}

void ssw_page_write_figure(ssw_page *page, ssw_page_style style, const ssw_figure *figure, const char *text)
{
    ssw_page_run *run = allocate(page, sizeof *run);
    const char *copy = copy_valid(page, text);
    if (!run || !copy || !page->last || !page->last->last) {
        page->failed = true;
        return;
    }
    *run = (ssw_page_run){.style = style, .text = copy, .figure = figure};
    ssw_page_cell *cell = page->last->last;
    if (cell->last)
        cell->last->next = run;
    else
        cell->first = run;
    cell->last = run;
}

void ssw_page_write(ssw_page *page, ssw_page_style style, const char *text)
{
    ssw_page_write_figure(page, style, NULL, text);
}

void ssw_page_print(ssw_page *page, ssw_page_style style, const char *format, ...)
{
    char text[PRINT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ssw_page_write(page, style, text);
}

void ssw_page_break_line(ssw_page *page)
{
    ssw_page_write(page, SSW_PAGE_PLAIN, "");
    if (page->last && page->last->last && page->last->last->last)
        page->last->last->last->line_break = true;
}

void ssw_page_cell_text(ssw_page *page, ssw_page_style style, const char *text)
{
    ssw_page_cell_add(page, false, SSW_PAGE_NEUTRAL);
    ssw_page_write(page, style, text);
}

void ssw_page_cell_number(ssw_page *page, ssw_page_tone tone, const ssw_figure *figure, const char *text)
{
    ssw_page_cell_add(page, true, tone);
    ssw_page_write_figure(page, SSW_PAGE_PLAIN, figure, text);
}
