/* The style sheet of report.html: light and dark by the reader's choice, one column on a phone, A4 on paper.
 */
#ifndef SSW_BENCH_REPORT_PAGE_STYLE_H
#define SSW_BENCH_REPORT_PAGE_STYLE_H

extern const char *const ssw_page_style_sheet[]; /* pieces, ends with NULL */

#endif
