/* The data that report.html's charts draw, as the text of a JSON object.
 *
 * They are the evidence's own numbers, thinned where there are many; what was left out is counted in the
 * object itself and said beside the chart. Any thread. */
#ifndef SSW_BENCH_REPORT_PAGE_DATA_H
#define SSW_BENCH_REPORT_PAGE_DATA_H

#include "base/strbuf.h"
#include "bench/report/analysis.h"

enum {
    SSW_PAGE_DATA_POINTS_MAX = 24000,     /* memory readings, shared out evenly over the server starts */
    SSW_PAGE_DATA_START_POINTS_MAX = 600, /* of one start */
    SSW_PAGE_DATA_STARTS_MAX = 1000,      /* later ones are left out */
    SSW_PAGE_DATA_REPLY_BYTES_MAX =
        3 << 20 /* text, and 8 for each frame; a reply that does not fit is left out */
};

/* Appends the object. No character of it can end or change the element that it stands in: '<', '>' and '&'
 * are written as escapes. */
ssw_status ssw_page_data_render(const ssw_analysis *analysis, ssw_strbuf *out, ssw_error *err);

#endif
