/* A run as tables for other programs: RFC 4180, UTF-8, one header line. docs/EVIDENCE.md lists the columns.
 *
 * Numbers are unrounded, in C's notation; what is not known is an empty field. A text that a spreadsheet
 * would take for a formula (it begins with = + - @, a tab or a carriage return) gets an apostrophe in front.
 */
#ifndef SSW_BENCH_REPORT_CSV_H
#define SSW_BENCH_REPORT_CSV_H

#include "base/strbuf.h"
#include "bench/report/analysis.h"
#include "bench/report/figures.h"

/* A field in quotes; NULL is an empty one. */
void ssw_csv_put_text(ssw_strbuf *out, const char *text);
/* A comma and the number. */
void ssw_csv_put_real(ssw_strbuf *out, double value);

/* One row for each sample of the evidence, in its order; figures only where it was measured. */
void ssw_csv_put_samples(const ssw_analysis *analysis, ssw_strbuf *out);

/* One row for each printed figure, in the order in which the report prints them. */
ssw_status ssw_csv_put_figures(const ssw_figures *figures, ssw_strbuf *out, ssw_error *err);

#endif
