/* One arm of one run as a row that can stand beside other runs' rows: what it was, where it was measured, and
 * its figures with intervals. Made from a run folder's evidence by the report's own analysis, or read from an
 * index.
 *
 * Plain data of a fixed size; texts are cut to fit. NAN: not measured. */
#ifndef SSW_BENCH_COMPARE_COMPARE_ROW_H
#define SSW_BENCH_COMPARE_COMPARE_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { SSW_COMPARE_ROWS_MAX = 10000, SSW_COMPARE_TEXT_MAX = 256, SSW_COMPARE_DIR_MAX = 4096 };

typedef struct ssw_compare_value {
    double mean, ci_low, ci_high; /* 95 % */
} ssw_compare_value;

typedef enum ssw_compare_figure {
    SSW_COMPARE_VRAM,       /* bytes, loaded */
    SSW_COMPARE_HOST,       /* bytes, loaded: PSS, or RSS where that was not read */
    SSW_COMPARE_TTFT,       /* ms */
    SSW_COMPARE_RATE,       /* tokens/s while decoding */
    SSW_COMPARE_TPS,        /* tokens/s over the whole request */
    SSW_COMPARE_SAVED,      /* bytes of the headline memory less than the run's first arm */
    SSW_COMPARE_TTFT_RATIO, /* over the run's first arm, from pairs */
    SSW_COMPARE_RATE_RATIO,
    SSW_COMPARE_FIGURES
} ssw_compare_figure;

/* "vram_bytes", ..., "decode_rate_ratio": in JSON, CSV and the index. */
const char *ssw_compare_figure_key(ssw_compare_figure figure);

typedef enum ssw_compare_text {
    SSW_COMPARE_CREATED, /* UTC, ISO 8601 */
    SSW_COMPARE_MODEL,
    SSW_COMPARE_MODEL_SHA256, /* of its first file; "" when it was no local file */
    SSW_COMPARE_MACHINE,      /* machine_id.h */
    SSW_COMPARE_CPU,
    SSW_COMPARE_GPU,     /* of the first one; "" without */
    SSW_COMPARE_COMMIT,  /* of the tool */
    SSW_COMPARE_SERVER,  /* adapter and version */
    SSW_COMPARE_SETTING, /* prompts and request settings: rows compare only where these are equal */
    SSW_COMPARE_STATE,   /* "measured", "inconclusive", "invalid", "server-failed", "incomplete" */
    SSW_COMPARE_ARM,
    SSW_COMPARE_TREATMENT,
    SSW_COMPARE_RUN_ID, /* SHA-256 of the run's manifest.json */
    SSW_COMPARE_TEXTS
} ssw_compare_text;

const char *ssw_compare_text_key(ssw_compare_text text); /* "created_utc", ..., "run_id" */

typedef struct ssw_compare_row {
    char dir[SSW_COMPARE_DIR_MAX];
    char texts[SSW_COMPARE_TEXTS][SSW_COMPARE_TEXT_MAX];
    int position;  /* of the arm in its run; 0 is what the others are compared with */
    int n_samples; /* measured requests */
    ssw_compare_value figures[SSW_COMPARE_FIGURES];
} ssw_compare_row;

typedef struct ssw_compare_rows {
    ssw_compare_row *rows;
    size_t n, capacity;
} ssw_compare_rows;

void ssw_compare_rows_deinit(ssw_compare_rows *rows);
/* A new row, zeroed, its figures NAN. SSW_ERR_LIMIT past SSW_COMPARE_ROWS_MAX. */
ssw_status ssw_compare_rows_add(ssw_compare_rows *rows, ssw_compare_row **out, ssw_error *err);

/* Cut to size - 1 bytes at most, between two UTF-8 characters. */
void ssw_compare_copy_text(char *out, size_t size, const char *text);

/* Appends a run's arms, the A/A arm left out. */
ssw_status ssw_compare_read_run(const char *dir, ssw_compare_rows *rows, ssw_error *err);

#endif
