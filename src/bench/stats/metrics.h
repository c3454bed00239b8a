/* One request's figures from its timestamps. Pure: no clock, no I/O. The definitions are those of
 * docs/METHOD.md. */
#ifndef SSW_BENCH_STATS_METRICS_H
#define SSW_BENCH_STATS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SSW_METRIC_NO_TIME  INT64_MIN
#define SSW_METRIC_NO_COUNT INT64_C(-1)

typedef enum ssw_metric {
    SSW_METRIC_TTFR,
    SSW_METRIC_TTFT,
    SSW_METRIC_E2E,
    SSW_METRIC_TOKENS,
    SSW_METRIC_DECODE_RATE,
    SSW_METRIC_ITL,
    SSW_METRIC_TPS,
    SSW_METRIC_PREFILL_RATE,
    SSW_METRIC_CHUNK_GAP,
    SSW_METRIC_CHUNK_GAP_MAX,
    SSW_METRIC_TOKENS_PER_CHUNK,
    SSW_METRIC_COUNT
} ssw_metric;

typedef enum ssw_better { SSW_BETTER_NEITHER, SSW_BETTER_LOWER, SSW_BETTER_HIGHER } ssw_better;

typedef struct ssw_metric_traits {
    const char *key;     /* in figures.json: "decode_rate" */
    const char *name;    /* in a table: "decode rate" */
    const char *unit;    /* "tokens/s" */
    const char *formula; /* as printed beside the number */
    ssw_better better;
} ssw_metric_traits;

const ssw_metric_traits *ssw_metric_describe(ssw_metric metric);

typedef struct ssw_request_times {
    int64_t send_ns;         /* t_send: the last byte of the request was handed to the socket */
    int64_t first_choice_ns; /* first frame with a choice; SSW_METRIC_NO_TIME if none came */
    size_t n_chunks;         /* frames with a non-empty content, reasoning or tool-call delta */
    const int64_t *chunk_ns; /* their times [n_chunks], in order of arrival */
    int64_t n_tokens;        /* of the reply; SSW_METRIC_NO_COUNT if unknown */
    int64_t n_prompt_tokens; /* as prefilled, chat format included; SSW_METRIC_NO_COUNT if unknown */
} ssw_request_times;

/* out[SSW_METRIC_COUNT]; NAN where a figure is not defined (a rate of fewer than two tokens, say). Times in
 * ms. SSW_ERR_NOMEM for the copy that the median gap needs. */
ssw_status ssw_metric_compute(const ssw_request_times *times, double out[SSW_METRIC_COUNT], ssw_error *err);

#endif
