/* Rows of many runs as one table: for people (plain or Markdown), as JSON, as CSV. Pure. */
#ifndef SSW_BENCH_COMPARE_COMPARE_TABLE_H
#define SSW_BENCH_COMPARE_COMPARE_TABLE_H

#include <stdint.h>

#include "base/strbuf.h"
#include "bench/compare/compare_row.h"

typedef enum ssw_compare_format {
    SSW_COMPARE_TEXT,
    SSW_COMPARE_MD,
    SSW_COMPARE_JSON,
    SSW_COMPARE_CSV
} ssw_compare_format;

#define SSW_COMPARE_BYTES_MAX (UINT64_C(256) << 20)

/* What keeps rows from being compared: how many different settings there are, and how many rows are of runs
 * that are not "measured". A table marks both: settings by a letter, the others by their state. */
typedef struct ssw_compare_doubts {
    size_t n_settings, n_unsound;
} ssw_compare_doubts;

ssw_compare_doubts ssw_compare_find_doubts(const ssw_compare_rows *rows);

ssw_status ssw_compare_render(const ssw_compare_rows *rows, ssw_compare_format format, ssw_strbuf *out,
                              ssw_error *err);

#endif
