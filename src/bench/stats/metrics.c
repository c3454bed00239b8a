/* One request's figures. */
#include "bench/stats/metrics.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

static const double NS_PER_MS = 1e6, NS_PER_S = 1e9;

static const ssw_metric_traits traits[SSW_METRIC_COUNT] = {
    [SSW_METRIC_TTFR] = {"ttfr", "TTFR", "ms", "first frame with a choice − t_send", SSW_BETTER_LOWER},
    [SSW_METRIC_TTFT] = {"ttft", "TTFT", "ms", "first frame with text − t_send", SSW_BETTER_LOWER},
    [SSW_METRIC_E2E] = {"e2e", "E2E", "ms", "last frame with text − t_send", SSW_BETTER_LOWER},
    [SSW_METRIC_TOKENS] = {"tokens", "tokens n", "tokens", "the reply tokenised whole", SSW_BETTER_NEITHER},
    [SSW_METRIC_DECODE_RATE] = {"decode_rate", "decode rate", "tokens/s", "(n − 1) / (t_last − t_first)",
                                SSW_BETTER_HIGHER},
    [SSW_METRIC_ITL] = {"itl", "ITL", "ms", "(t_last − t_first) / (n − 1)", SSW_BETTER_LOWER},
    [SSW_METRIC_TPS] = {"tps", "TPS", "tokens/s", "n / E2E", SSW_BETTER_HIGHER},
    [SSW_METRIC_PREFILL_RATE] = {"prefill_rate", "prefill rate", "tokens/s", "prompt tokens / TTFT",
                                 SSW_BETTER_HIGHER},
    [SSW_METRIC_CHUNK_GAP] = {"chunk_gap", "chunk gap", "ms", "median time between frames with text",
                              SSW_BETTER_LOWER},
    [SSW_METRIC_CHUNK_GAP_MAX] = {"chunk_gap_max", "longest chunk gap", "ms",
                                  "longest time between frames with text", SSW_BETTER_LOWER},
    [SSW_METRIC_TOKENS_PER_CHUNK] = {"tokens_per_chunk", "tokens per chunk", "tokens", "n / frames with text",
                                     SSW_BETTER_NEITHER},
};

const ssw_metric_traits *ssw_metric_describe(ssw_metric metric)
{
    return &traits[metric];
}

static ssw_status compute_gaps(const ssw_request_times *times, double *out, ssw_error *err)
{
    size_t n = times->n_chunks - 1;
    double *gaps = malloc(n * sizeof *gaps);
    if (!gaps)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu gaps", n);
    for (size_t i = 0; i < n; i++)
        gaps[i] = (double)(times->chunk_ns[i + 1] - times->chunk_ns[i]) / NS_PER_MS;
    gsl_sort(gaps, 1, n);
    out[SSW_METRIC_CHUNK_GAP] = gsl_stats_median_from_sorted_data(gaps, 1, n);
    out[SSW_METRIC_CHUNK_GAP_MAX] = gaps[n - 1];
    free(gaps);
    return SSW_OK;
}

ssw_status ssw_metric_compute(const ssw_request_times *times, double out[SSW_METRIC_COUNT], ssw_error *err)
{
    for (int i = 0; i < SSW_METRIC_COUNT; i++)
        out[i] = NAN;
    if (times->first_choice_ns != SSW_METRIC_NO_TIME)
        out[SSW_METRIC_TTFR] = (double)(times->first_choice_ns - times->send_ns) / NS_PER_MS;
    if (times->n_tokens >= 0)
        out[SSW_METRIC_TOKENS] = (double)times->n_tokens;
    if (times->n_chunks == 0)
        return SSW_OK;
    double n = (double)times->n_tokens;
    double first_ns = (double)(times->chunk_ns[0] - times->send_ns);
    double last_ns = (double)(times->chunk_ns[times->n_chunks - 1] - times->send_ns);
    out[SSW_METRIC_TTFT] = first_ns / NS_PER_MS;
    out[SSW_METRIC_E2E] = last_ns / NS_PER_MS;
    if (times->n_tokens > 0) {
        out[SSW_METRIC_TOKENS_PER_CHUNK] = n / (double)times->n_chunks;
        if (last_ns > 0)
            out[SSW_METRIC_TPS] = n / last_ns * NS_PER_S;
    }
    if (times->n_tokens > 1 && last_ns > first_ns) {
        out[SSW_METRIC_DECODE_RATE] = (n - 1) / (last_ns - first_ns) * NS_PER_S;
        out[SSW_METRIC_ITL] = (last_ns - first_ns) / (n - 1) / NS_PER_MS;
    }
    if (times->n_prompt_tokens > 0 && first_ns > 0)
        out[SSW_METRIC_PREFILL_RATE] = (double)times->n_prompt_tokens / first_ns * NS_PER_S;
    return times->n_chunks > 1 ? compute_gaps(times, out, err) : SSW_OK;
}
