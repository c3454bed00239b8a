/* What report.html carries besides its content, embedded by tools/embed_page_assets: the style sheet (light
 * and dark by the reader's choice, one column on a phone, A4 on paper), the script that makes its charts live
 * (uPlot and the files of web/), and the script's SHA-256 in base64. */
#ifndef SSW_BENCH_REPORT_PAGE_ASSETS_H
#define SSW_BENCH_REPORT_PAGE_ASSETS_H

extern const char ssw_page_style_sheet[];
extern const char ssw_page_script[]; /* stands between <script> and </script> as it is */
extern const char ssw_page_script_sha256[];

#endif
