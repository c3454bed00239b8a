/* Memory over time: the readings of one server start, thinned for drawing. */
#ifndef SSW_BENCH_REPORT_SERIES_H
#define SSW_BENCH_REPORT_SERIES_H

#include "bench/report/analysis.h"

typedef enum ssw_series_kind {
    SSW_SERIES_ANON,
    SSW_SERIES_FILE,
    SSW_SERIES_SHMEM,
    SSW_SERIES_RSS,
    SSW_SERIES_VRAM, /* of the process tree; the device's where those figures are hidden */
    SSW_SERIES_COUNT
} ssw_series_kind;

typedef struct ssw_series_point {
    int64_t t_ns; /* since the server was spawned */
    ssw_phase phase;
    int64_t bytes[SSW_SERIES_COUNT]; /* negative where not read */
} ssw_series_point;

typedef struct ssw_series { /* one server start */
    int arm, block;         /* arm: -1 when the manifest does not know it */
    size_t step; /* readings in a row of one phase that make a point: its first time, their highest values */
    size_t n;
    ssw_series_point *points;
} ssw_series;

/* Where the readings of the start end that begins at reading `from`. */
size_t ssw_series_end(const ssw_evidence *evidence, size_t from);

/* Readings from..to, thinned to about most points; every change of phase keeps a point of its own. */
ssw_status ssw_series_make(const ssw_evidence *evidence, size_t from, size_t to, size_t most, ssw_series *out,
                           ssw_error *err);
void ssw_series_deinit(ssw_series *series);

/* A headline memory (VRAM, PSS or RSS) of a point; negative where not read. */
int64_t ssw_series_value(const ssw_series_point *point, ssw_memory memory);

#endif
