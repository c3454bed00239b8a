/* The plots, drawn by gnuplot in a child process from scripts of our own (plot_scripts.h). */
#ifndef SSW_BENCH_REPORT_PLOTS_H
#define SSW_BENCH_REPORT_PLOTS_H

#include "bench/report/analysis.h"

enum {
    SSW_PLOTS_COUNT = 7,
    SSW_PLOTS_POINTS_MAX = 600, /* of one arm; of more, every k-th is drawn */
    SSW_PLOTS_WAIT_MAX_MS = 60000
};
#define SSW_PLOTS_BYTES_MAX ((size_t)8 << 20) /* of one drawing */

typedef struct ssw_plot {
    const char *name;    /* its file without suffix: "plot-ttft" */
    const char *caption; /* what it shows, one sentence */
    char *svg;           /* NULL when it was not drawn */
    char *png;
    size_t svg_bytes, png_bytes;
    bool has_data; /* there is something to draw */
    bool wide;     /* takes the page's whole width */
} ssw_plot;

typedef struct ssw_plots {
    ssw_plot plots[SSW_PLOTS_COUNT];
    char made_with[64]; /* "gnuplot 5.4 patchlevel 4"; "" when nothing was drawn */
    char why_not[256];  /* one line, when nothing was drawn */
} ssw_plots;

/* A gnuplot that is missing or fails is no error: why_not says so. */
ssw_status ssw_plots_draw(const ssw_analysis *analysis, const char *gnuplot, bool with_png, ssw_plots *out,
                          ssw_error *err);
void ssw_plots_deinit(ssw_plots *plots);

/* Fills in everything but the drawings: for those that were loaded, or left out, not drawn. */
void ssw_plots_name(const ssw_analysis *analysis, ssw_plots *plots);

/* The drawing without its XML head and with ids of its own, fit to stand inside a page. The caller frees it;
 * NULL when out of memory or when there is none. */
char *ssw_plot_inline_svg(const ssw_plot *plot);

#endif
