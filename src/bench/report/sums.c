/* Hashes of the evidence files. */
#include "bench/report/sums.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

ssw_status ssw_sums_compute(const char *dir, ssw_sums *out, ssw_error *err)
{
    static const char *const names[SSW_SUMS_MAX] = {"manifest.json",
                                                    "samples.jsonl",
                                                    "tokens.jsonl",
                                                    "telemetry.jsonl",
                                                    "quality/manifest.json",
                                                    "quality/quality.json",
                                                    "quality/samples.jsonl",
                                                    "quality/tokens.jsonl",
                                                    "quality/executions.jsonl",
                                                    "quality/embeddings.jsonl",
                                                    "quality/telemetry.jsonl"};
    out->n = 0;
    for (int i = 0; i < SSW_SUMS_MAX; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", dir, names[i]) >= (int)sizeof path)
            return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
        if (i > 1 &&
            access(path, F_OK) != 0) /* the reader needs the first two, and has said so if they are missing */
            continue;
        ssw_sum *sum = &out->items[out->n];
        sum->name = names[i];
        ssw_status status = ssw_sha256_file(path, sum->sha256, NULL, err);
        if (status)
            return status;
        out->n++;
    }
    return SSW_OK;
}
