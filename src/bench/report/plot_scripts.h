/* What each plot shows, as a script for gnuplot. */
#ifndef SSW_BENCH_REPORT_PLOT_SCRIPTS_H
#define SSW_BENCH_REPORT_PLOT_SCRIPTS_H

#include "base/strbuf.h"
#include "bench/report/plots.h"

typedef struct ssw_plot_kind {
    const char *name, *caption; /* as in ssw_plot */
    bool wide;
    bool (*has_data)(const ssw_analysis *analysis);
    /* Appends everything but `set terminal`. Text of the evidence only goes in quoted, as data. */
    ssw_status (*put)(ssw_strbuf *out, const ssw_analysis *analysis, ssw_error *err);
} ssw_plot_kind;

extern const ssw_plot_kind ssw_plot_kinds[SSW_PLOTS_COUNT]; /* in the order in which a page shows them */

#endif
