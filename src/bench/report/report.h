/* From an evidence folder to pages: report.md, report.html, figures.json, two tables as CSV and the plots,
 * under DIR/report.
 *
 * Reads evidence only (docs/EVIDENCE.md), never the clock nor the machine, so the same folder gives the same
 * bytes years later. Each figure and the rule behind it: docs/METHOD.md. gnuplot draws the plots in a child
 * process; where it is missing the report is made without them and says so. Any thread; nothing is kept
 * between calls. */
#ifndef SSW_BENCH_REPORT_REPORT_H
#define SSW_BENCH_REPORT_REPORT_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"

enum { SSW_REPORT_SUMMARY_LINES_MAX = 15 };
#define SSW_REPORT_BYTES_MAX (UINT64_C(64) << 20) /* of any one file that is made */

typedef enum ssw_report_format {
    SSW_REPORT_MD = 1,
    SSW_REPORT_HTML = 2,
    SSW_REPORT_JSON = 4,
    SSW_REPORT_CSV = 8, /* samples.csv and figures.csv */
    SSW_REPORT_ALL = 15
} ssw_report_format;

typedef struct ssw_report_options {
    unsigned formats;    /* ssw_report_format or-ed together; 0 means all */
    const char *gnuplot; /* its name or path; NULL for "gnuplot" found on PATH */
    const char *into; /* a Markdown file whose section between seesaw's markers is replaced; NULL for none */
    const char *section; /* the marker's name; NULL for the model's name */
} ssw_report_options;

/* What the run is worth, for exit codes: 0, 3, 4 and 5 of docs/METHOD.md in this order. */
typedef enum ssw_report_worth {
    SSW_REPORT_MEASURED, /* complete and valid, and some effect, or the absence of a large one, was shown */
    SSW_REPORT_INCONCLUSIVE, /* too few pairs to say anything */
    SSW_REPORT_INVALID,      /* the evidence contradicts the treatment, or part of it is missing */
    SSW_REPORT_SERVER_FAILED /* a server crashed or hung */
} ssw_report_worth;

/* options may be NULL. Writes DIR/report (made if absent); files that exist are replaced whole. */
ssw_status ssw_report_write(const char *dir, const ssw_report_options *options, ssw_error *err);

/* The closing summary for a terminal: plain text, at most SSW_REPORT_SUMMARY_LINES_MAX lines. worth may be
 * NULL. */
ssw_status ssw_report_summary(const char *dir, ssw_strbuf *out, ssw_report_worth *worth, ssw_error *err);

#endif
