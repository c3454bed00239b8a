/* Joules per token, clocks, temperatures and PCIe traffic, from the counters in telemetry.jsonl. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "bench/report/analysis.h"

typedef struct source { /* of a counter: where a reading has it, and joules per step */
    size_t offset;
    double joules;
} source;

static const source sources[SSW_ENERGY_COUNT] = {
    [SSW_ENERGY_GPU] = {offsetof(ssw_reading, gpu_energy_mj), 1e-3},
    [SSW_ENERGY_PACKAGE] = {offsetof(ssw_reading, package_energy_uj), 1e-6},
    [SSW_ENERGY_DRAM] = {offsetof(ssw_reading, dram_energy_uj), 1e-6},
};

static const size_t level_offsets[SSW_LEVEL_COUNT] = {
    [SSW_LEVEL_CLOCK_SM] = offsetof(ssw_reading, gpu_clock_sm_mhz),
    [SSW_LEVEL_CLOCK_MEM] = offsetof(ssw_reading, gpu_clock_mem_mhz),
    [SSW_LEVEL_POWER] = offsetof(ssw_reading, gpu_power_mw),
    [SSW_LEVEL_TEMPERATURE] = offsetof(ssw_reading, gpu_temperature_c),
    [SSW_LEVEL_PCIE_RX] = offsetof(ssw_reading, gpu_pcie_rx_kb_s),
    [SSW_LEVEL_PCIE_TX] = offsetof(ssw_reading, gpu_pcie_tx_kb_s),
};

static int64_t value_at(const ssw_reading *reading, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)reading + offset);
}

typedef struct series { /* a counter over time, in joules; times rise */
    size_t n;
    int64_t *t_ns;
    double *joules;
} series;

static ssw_status make_series(ssw_analysis *analysis, const source *from, series *out, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    out->t_ns = malloc((evidence->n_readings + 1) * sizeof *out->t_ns);
    out->joules = malloc((evidence->n_readings + 1) * sizeof *out->joules);
    out->n = 0;
    if (!out->t_ns || !out->joules)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu readings", evidence->n_readings);
    for (size_t i = 0; i < evidence->n_readings; i++) {
        int64_t value = value_at(&evidence->readings[i], from->offset), t_ns = evidence->readings[i].t_ns;
        if (value == SSW_EVIDENCE_NONE || (out->n && t_ns <= out->t_ns[out->n - 1]))
            continue;
        out->t_ns[out->n] = t_ns;
        out->joules[out->n++] = (double)value * from->joules;
    }
    return SSW_OK;
}

static void free_series(series *s)
{
    free(s->t_ns);
    free(s->joules);
}

/* The counter at a time between two readings, by a straight line; NAN outside. *before: the reading before
 * it. */
static double counter_at(const series *s, int64_t t_ns, size_t *before)
{
    size_t low = 0, high = s->n;
    if (s->n < 2 || t_ns < s->t_ns[0] || t_ns > s->t_ns[s->n - 1])
        return NAN;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->t_ns[middle] <= t_ns)
            low = middle;
        else
            high = middle;
    }
    *before = low < s->n - 1 ? low : s->n - 2;
    double span = (double)(s->t_ns[*before + 1] - s->t_ns[*before]);
    double part = (double)(t_ns - s->t_ns[*before]) / span;
    return s->joules[*before] + part * (s->joules[*before + 1] - s->joules[*before]);
}

/* A counter that fell in between has been reset: nothing is known then. */
static double joules_between(const series *s, int64_t from_ns, int64_t to_ns)
{
    size_t first = 0, last = 0;
    double begin = counter_at(s, from_ns, &first), end = counter_at(s, to_ns, &last);
    if (!isfinite(begin) || !isfinite(end))
        return NAN;
    for (size_t i = first; i <= last; i++) {
        if (s->joules[i + 1] < s->joules[i])
            return NAN;
    }
    return end - begin;
}

static double joules_per_token(const ssw_analysis *analysis, const series *s, size_t index)
{
    const ssw_sample *sample = analysis->samples[index];
    const ssw_frame *last = sample ? ssw_sample_last_text(sample) : NULL;
    if (!last || analysis->tokens[index] < 1)
        return NAN;
    return joules_between(s, sample->send_ns, last->t_ns) / (double)analysis->tokens[index];
}

/* Values of one arm, and ln(arm / first arm) of its pairs with their runs. */
static ssw_status measure_source(ssw_analysis *analysis, const series *s, size_t arm, ssw_energy source_of,
                                 ssw_error *err)
{
    size_t n_requests = analysis->n_prompts * analysis->n_runs, n = 0, n_pairs = 0;
    ssw_energy_results *results = &analysis->energy[arm];
    double *values = malloc((3 * n_requests + 1) * sizeof *values);
    size_t *runs = malloc((n_requests + 1) * sizeof *runs);
    ssw_status status = SSW_OK;
    if (!values || !runs) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu requests", n_requests);
        goto cleanup;
    }
    double *logs = values + n_requests, *means = values + 2 * n_requests;
    for (size_t i = 0; i < n_requests; i++) {
        double value = joules_per_token(analysis, s, arm * n_requests + i);
        double first = joules_per_token(analysis, s, i);
        if (isfinite(value))
            values[n++] = value;
        if (value > 0 && first > 0) {
            runs[n_pairs] = i % analysis->n_runs;
            logs[n_pairs++] = log(value / first);
        }
    }
    status = ssw_stats_summarize(values, n, &results->per_token[source_of], err);
    if (!status) {
        size_t n_means = ssw_stats_group_means(logs, runs, n_pairs, analysis->n_runs, means);
        ssw_stats_ratio(means, n_means, &results->ratios[source_of]);
    }
cleanup:
    free(values);
    free(runs);
    return status;
}

static ssw_status measure_levels(ssw_analysis *analysis, size_t arm, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    ssw_energy_results *results = &analysis->energy[arm];
    double *values = malloc((evidence->n_readings + 1) * sizeof *values);
    ssw_status status = values ? SSW_OK : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for readings");
    for (int level = 0; !status && level < SSW_LEVEL_COUNT; level++) {
        size_t n = 0;
        for (size_t i = 0; i < evidence->n_readings; i++) {
            const ssw_reading *reading = &evidence->readings[i];
            bool busy = reading->phase == SSW_PHASE_PREFILL || reading->phase == SSW_PHASE_DECODE;
            int64_t value = value_at(reading, level_offsets[level]);
            if (!busy || ssw_manifest_find_arm(&evidence->manifest, reading->arm) != (int)arm)
                continue;
            if (level == 0 && reading->gpu_throttle != SSW_EVIDENCE_NONE)
                results->throttle |= (uint64_t)reading->gpu_throttle;
            if (value != SSW_EVIDENCE_NONE)
                values[n++] = (double)value;
        }
        status = ssw_stats_summarize(values, n, &results->levels[level], err);
    }
    free(values);
    return status;
}

ssw_status ssw_analysis_measure_energy(ssw_analysis *analysis, ssw_error *err)
{
    ssw_status status = SSW_OK;
    analysis->energy = ssw_arena_alloc(&analysis->arena, analysis->n_arms, sizeof *analysis->energy);
    if (!analysis->energy)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu arms", analysis->n_arms);
    for (int k = 0; !status && k < SSW_ENERGY_COUNT; k++) {
        series s = {0};
        status = make_series(analysis, &sources[k], &s, err);
        for (size_t arm = 0; !status && arm < analysis->n_arms; arm++)
            status = measure_source(analysis, &s, arm, (ssw_energy)k, err);
        free_series(&s);
    }
    for (size_t arm = 0; !status && arm < analysis->n_arms; arm++)
        status = measure_levels(analysis, arm, err);
    return status;
}
