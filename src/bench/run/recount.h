/* After the last sample: counts every reply's tokens again and writes tokens.jsonl. */
#ifndef SSW_BENCH_RUN_RECOUNT_H
#define SSW_BENCH_RUN_RECOUNT_H

#include "base/status.h"

typedef struct ssw_recount_result {
    int n_counted, n_disagree; /* samples */
} ssw_recount_result;

/* model_path NULL: not a local GGUF, each line has null counts. Replaces an older tokens.jsonl. */
ssw_status ssw_recount_tokens(const char *dir, const char *model_path, ssw_recount_result *out,
                              ssw_error *err);

#endif
