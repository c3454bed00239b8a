/* A report in memory: what ssw_report_write writes and what verification compares. */
#ifndef SSW_BENCH_REPORT_REPORT_MAKE_H
#define SSW_BENCH_REPORT_REPORT_MAKE_H

#include "bench/report/plots.h"
#include "bench/report/report.h"

typedef struct ssw_report_make_options {
    const char *gnuplot; /* NULL for "gnuplot" */
    bool with_png;
    const char *no_plots;   /* not NULL: draw nothing, and give this as the reason */
    const char *plots_from; /* not NULL: take the drawings from this folder instead of drawing */
} ssw_report_make_options;

typedef struct ssw_report_pages {
    ssw_strbuf md, html, json, samples_csv, figures_csv;
    ssw_strbuf section; /* for a file such as docs/VALIDATION.md */
    char section_name[128];
    ssw_plots plots;
} ssw_report_pages;

ssw_status ssw_report_make(const char *dir, const ssw_report_make_options *options, ssw_report_pages *out,
                           ssw_error *err);
void ssw_report_pages_deinit(ssw_report_pages *pages); /* also after a failed make */

/* Replaces the text between <!-- seesaw:begin NAME --> and <!-- seesaw:end NAME --> of a Markdown file, or
 * appends both with the text when the file has no such markers (or is not there). The file is replaced whole.
 */
ssw_status ssw_report_insert(const char *path, const char *name, const char *text, ssw_error *err);

/* Writes path whole: a new file beside it, then a rename. */
ssw_status ssw_report_put_file(const char *path, const char *bytes, size_t n_bytes, ssw_error *err);

#endif
