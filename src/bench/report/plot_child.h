/* gnuplot as a child process: script in, drawing out. */
#ifndef SSW_BENCH_REPORT_PLOT_CHILD_H
#define SSW_BENCH_REPORT_PLOT_CHILD_H

#include "base/status.h"
#include "base/strbuf.h"

/* Runs `gnuplot -d -` with the script on its standard input; *drawing is its standard output, NUL-terminated,
 * freed by the caller. SSW_ERR_UNAVAILABLE with one line when it is missing, fails, says nothing or takes too
 * long. */
ssw_status ssw_plot_run_child(const char *gnuplot, const ssw_strbuf *script, char **drawing, size_t *n_bytes,
                              ssw_error *err);

#endif
