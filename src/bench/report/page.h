/* A page as a list of blocks, written once and rendered as Markdown and as HTML.
 *
 * Text goes in raw and is escaped by the renderers, so nothing that a model, a server or a user wrote can
 * become markup. All of it lives in an arena; a failed allocation sets `failed`, and the renderers report it.
 * Not thread-safe. */
#ifndef SSW_BENCH_REPORT_PAGE_H
#define SSW_BENCH_REPORT_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "bench/report/figures.h"

typedef enum ssw_page_style { SSW_PAGE_PLAIN, SSW_PAGE_STRONG, SSW_PAGE_CODE, SSW_PAGE_FAINT } ssw_page_style;

typedef struct ssw_page_run { /* a stretch of text in one style */
    ssw_page_style style;
    const char *text;
    const ssw_figure *figure; /* the number that the text shows, or NULL */
    bool line_break;          /* before it */
    struct ssw_page_run *next;
} ssw_page_run;

typedef enum ssw_page_tone { SSW_PAGE_NEUTRAL, SSW_PAGE_GOOD, SSW_PAGE_BAD, SSW_PAGE_QUIET } ssw_page_tone;

typedef struct ssw_page_cell { /* of a table, a list or a row of tiles */
    ssw_page_run *first, *last;
    bool number; /* aligned to the right, never wrapped */
    ssw_page_tone tone;
    struct ssw_page_cell *next;
} ssw_page_cell;

typedef enum ssw_page_kind {
    SSW_PAGE_TITLE,
    SSW_PAGE_HEADING,
    SSW_PAGE_PARAGRAPH,
    SSW_PAGE_VERDICT, /* each cell one sentence; the block's tone colours it */
    SSW_PAGE_NOTE,
    SSW_PAGE_LIST,
    SSW_PAGE_TABLE, /* cells row by row, the first n_columns are the head */
    SSW_PAGE_TILES, /* cells in threes: label, value, detail */
    SSW_PAGE_PLOT,  /* text: inline SVG of our own making, NULL where only a script draws it; name: its file
                       without suffix, and the figure's id; caption in the cell */
    SSW_PAGE_CODE_BLOCK,
    SSW_PAGE_FOLD /* a heading whose content, up to the next heading, is folded away in HTML */
} ssw_page_kind;

typedef struct ssw_page_block {
    ssw_page_kind kind;
    ssw_page_tone tone;
    bool wide; /* a plot that takes the page's whole width */
    size_t n_columns;
    const char *text, *name;
    ssw_page_cell *first, *last;
    struct ssw_page_block *next;
} ssw_page_block;

typedef struct ssw_page {
    ssw_arena *arena; /* borrowed */
    ssw_page_block *first, *last;
    ssw_page_block lost; /* stands in for a block that could not be allocated */
    bool failed;
} ssw_page;

void ssw_page_init(ssw_page *page, ssw_arena *arena);

/* Opens a block with one empty cell, to which text is then added. */
ssw_page_block *ssw_page_add(ssw_page *page, ssw_page_kind kind);
void ssw_page_add_table(ssw_page *page, size_t n_columns); /* no cell yet */

/* Opens the next cell of the last block; the first call after ssw_page_add_table opens the first. */
void ssw_page_cell_add(ssw_page *page, bool number, ssw_page_tone tone);

/* Adds text to the last cell. */
void ssw_page_write(ssw_page *page, ssw_page_style style, const char *text);
void ssw_page_print(ssw_page *page, ssw_page_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* text shows figure; figure may be NULL (not finite), then text is written as it is. */
void ssw_page_write_figure(ssw_page *page, ssw_page_style style, const ssw_figure *figure, const char *text);
void ssw_page_break_line(ssw_page *page); /* the next run begins a new line */

/* A cell with one run. */
void ssw_page_cell_text(ssw_page *page, ssw_page_style style, const char *text);
void ssw_page_cell_number(ssw_page *page, ssw_page_tone tone, const ssw_figure *figure, const char *text);

/* Text as it may stand in an element or an attribute of XML and HTML. */
void ssw_page_put_escaped(ssw_strbuf *out, const char *text);

/* level: of the title, 1 for a page of its own. */
ssw_status ssw_page_render_md(const ssw_page *page, int level, ssw_strbuf *out, ssw_error *err);
/* Only the verdict's sentences, one per line. */
void ssw_page_render_verdict(const ssw_page *page, int lines_max, ssw_strbuf *out);
/* title is the browser's. Self-contained: style inside, no reference to anything outside. data is what
 * ssw_page_data_render made: then the page also carries it and the script that draws it over the plots, and a
 * Content-Security-Policy under which no other script runs; NULL: a page without script. */
ssw_status ssw_page_render_html(const ssw_page *page, const char *title, const char *data, ssw_strbuf *out,
                                ssw_error *err);

#endif
