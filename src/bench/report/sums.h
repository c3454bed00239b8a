/* SHA-256 of the evidence that a report is made from. */
#ifndef SSW_BENCH_REPORT_SUMS_H
#define SSW_BENCH_REPORT_SUMS_H

#include "base/sha256.h"

enum { SSW_SUMS_MAX = 11 };

typedef struct ssw_sum {
    const char *name; /* "manifest.json" */
    ssw_sha256_text sha256;
} ssw_sum;

typedef struct ssw_sums { /* manifest, samples, tokens, telemetry, the quality phase's: those that exist */
    size_t n;
    ssw_sum items[SSW_SUMS_MAX];
} ssw_sums;

ssw_status ssw_sums_compute(const char *dir, ssw_sums *out, ssw_error *err);

#endif
