/* Memory by server start and phase, and the load times. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report/analysis.h"

static const struct {
    const char *key, *name;
} memory_texts[SSW_MEMORY_COUNT] = {
    [SSW_MEMORY_PSS] = {"pss", "host memory (PSS)"},
    [SSW_MEMORY_PSS_ANON] = {"pss_anon", "anonymous"},
    [SSW_MEMORY_PSS_FILE] = {"pss_file", "file-mapped"},
    [SSW_MEMORY_PSS_SHMEM] = {"pss_shmem", "shared"},
    [SSW_MEMORY_RSS] = {"rss", "host memory (RSS)"},
    [SSW_MEMORY_SWAP] = {"swap", "swap"},
    [SSW_MEMORY_VRAM] = {"vram", "VRAM of the server"},
    [SSW_MEMORY_VRAM_DEVICE] = {"vram_device", "VRAM in use on the device"},
};

const char *ssw_memory_key(ssw_memory memory)
{
    return memory_texts[memory].key;
}

const char *ssw_memory_name(ssw_memory memory)
{
    return memory_texts[memory].name;
}

const char *ssw_memory_phase_key(int phase)
{
    return phase == SSW_MEMORY_PEAK ? "peak" : ssw_phase_name((ssw_phase)phase);
}

static int64_t value_of(const ssw_reading *reading, ssw_memory memory)
{
    switch (memory) {
    case SSW_MEMORY_PSS:
        if (reading->pss_anon_bytes < 0 || reading->pss_file_bytes < 0 || reading->pss_shmem_bytes < 0)
            return SSW_EVIDENCE_NONE;
        return reading->pss_anon_bytes + reading->pss_file_bytes + reading->pss_shmem_bytes;
    case SSW_MEMORY_PSS_ANON:
        return reading->pss_anon_bytes;
    case SSW_MEMORY_PSS_FILE:
        return reading->pss_file_bytes;
    case SSW_MEMORY_PSS_SHMEM:
        return reading->pss_shmem_bytes;
    case SSW_MEMORY_RSS:
        return reading->rss_bytes;
    case SSW_MEMORY_SWAP:
        return reading->swap_bytes;
    case SSW_MEMORY_VRAM:
        return reading->vram_process_bytes;
    case SSW_MEMORY_VRAM_DEVICE:
        return reading->vram_device_bytes;
    case SSW_MEMORY_COUNT:
        break;
    }
    return SSW_EVIDENCE_NONE;
}

static bool takes_median(int phase)
{
    return phase == SSW_PHASE_IDLE || phase == SSW_PHASE_LOADED || phase == SSW_PHASE_BETWEEN;
}

/* Where one start's readings lie; they are written in order of time, so each start's are together. */
typedef struct range {
    size_t from, to;
} range;

static ssw_status fill_cell(const ssw_analysis *analysis, range readings, size_t start, ssw_memory memory,
                            int phase, double *scratch, ssw_error *err)
{
    size_t n = 0;
    for (size_t i = readings.from; i < readings.to; i++) {
        const ssw_reading *reading = &analysis->evidence->readings[i];
        size_t at = (size_t)reading->block * analysis->n_arms + (size_t)reading->position;
        int64_t value = value_of(reading, memory);
        if (at == start && (int)reading->phase == phase && value >= 0)
            scratch[n++] = (double)value;
    }
    ssw_summary summary;
    ssw_status status = ssw_stats_summarize(scratch, n, &summary, err);
    analysis->memory[start][memory][phase] = takes_median(phase) ? summary.median : summary.max;
    return status;
}

static void fill_start_ends(const ssw_analysis *analysis, size_t start)
{
    double(*cells)[SSW_MEMORY_PHASES] = analysis->memory[start];
    bool process_hidden = true;
    for (int phase = 0; phase < SSW_PHASE_COUNT; phase++)
        process_hidden &= isnan(cells[SSW_MEMORY_VRAM][phase]);
    for (int phase = 0; phase < SSW_PHASE_COUNT && process_hidden; phase++)
        cells[SSW_MEMORY_VRAM][phase] =
            cells[SSW_MEMORY_VRAM_DEVICE][phase] - cells[SSW_MEMORY_VRAM_DEVICE][SSW_PHASE_IDLE];
    for (int memory = 0; memory < SSW_MEMORY_COUNT; memory++) {
        double peak = NAN;
        for (int phase = SSW_PHASE_LOADED; phase <= SSW_PHASE_BETWEEN; phase++)
            peak = fmax(peak, cells[memory][phase]); /* fmax leaves NAN out */
        cells[memory][SSW_MEMORY_PEAK] = peak;
    }
}

static void find_ranges(const ssw_analysis *analysis, range *ranges)
{
    const ssw_evidence *evidence = analysis->evidence;
    for (size_t i = 0; i < evidence->n_readings; i++) {
        const ssw_reading *reading = &evidence->readings[i];
        size_t start = (size_t)reading->block * analysis->n_arms + (size_t)reading->position;
        if ((size_t)reading->position >= analysis->n_arms || start >= analysis->n_starts)
            continue;
        if (ranges[start].to == 0)
            ranges[start].from = i;
        ranges[start].to = i + 1;
    }
}

/* The arm that ran as this start; n_arms when the schedule has none. */
static size_t arm_of_start(const ssw_analysis *analysis, size_t start)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    for (size_t i = 0; i < manifest->n_schedule; i++) {
        const ssw_manifest_start *entry = &manifest->schedule[i];
        int arm = ssw_manifest_find_arm(manifest, entry->arm);
        if ((size_t)entry->block * analysis->n_arms + (size_t)entry->position == start && arm >= 0)
            return (size_t)arm;
    }
    return analysis->n_arms;
}

static ssw_status summarize_memory(ssw_analysis *analysis, const size_t *arm_of, double *scratch,
                                   ssw_error *err)
{
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        for (int cell = 0; cell < SSW_MEMORY_COUNT * SSW_MEMORY_PHASES; cell++) {
            int memory = cell / SSW_MEMORY_PHASES, phase = cell % SSW_MEMORY_PHASES;
            size_t n = 0;
            for (size_t start = 0; start < analysis->n_starts; start++) {
                double value = analysis->memory[start][memory][phase];
                if (arm_of[start] == arm && isfinite(value))
                    scratch[n++] = value;
            }
            ssw_summary *out = &analysis->arms[arm].memory.phases[memory][phase];
            ssw_status status = ssw_stats_summarize(scratch, n, out, err);
            if (status)
                return status;
        }
    }
    return SSW_OK;
}

/* Pairs the starts of one block. The sequential design has one block, hence one pair and no interval. */
static ssw_status compare_memory(ssw_analysis *analysis, const size_t *arm_of, double *scratch,
                                 ssw_error *err)
{
    double *logs = scratch, *saved = scratch + analysis->n_starts;
    for (size_t arm = 1; arm < analysis->n_arms; arm++) {
        for (int cell = 0; cell < SSW_MEMORY_COUNT * SSW_MEMORY_PHASES; cell++) {
            int memory = cell / SSW_MEMORY_PHASES, phase = cell % SSW_MEMORY_PHASES;
            size_t n = 0, n_logs = 0;
            for (size_t block = 0; block < analysis->n_starts / analysis->n_arms; block++) {
                double first = NAN, second = NAN;
                for (size_t position = 0; position < analysis->n_arms; position++) {
                    size_t start = block * analysis->n_arms + position;
                    if (arm_of[start] == 0)
                        first = analysis->memory[start][memory][phase];
                    else if (arm_of[start] == arm)
                        second = analysis->memory[start][memory][phase];
                }
                if (isfinite(first - second))
                    saved[n++] = first - second;
                if (first > 0 && second > 0)
                    logs[n_logs++] = log(second / first);
            }
            ssw_memory_comparison *out = &analysis->arms[arm].memory_comparisons[memory][phase];
            ssw_stats_ratio(logs, n_logs, &out->ratio);
            ssw_status status = ssw_stats_summarize(saved, n, &out->saved, err);
            if (status)
                return status;
        }
    }
    return SSW_OK;
}

static ssw_status summarize_load(ssw_analysis *analysis, double *scratch, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    for (size_t arm = 0; arm < analysis->n_arms; arm++) {
        size_t n = 0;
        for (size_t i = 0; i < evidence->n_servers; i++) {
            const ssw_server_life *life = &evidence->servers[i];
            bool ready = life->ready_ns != SSW_EVIDENCE_NONE && life->spawn_ns != SSW_EVIDENCE_NONE;
            if (ready && ssw_manifest_find_arm(&evidence->manifest, life->arm) == (int)arm)
                scratch[n++] = (double)(life->ready_ns - life->spawn_ns) / 1e6;
        }
        ssw_status status = ssw_stats_summarize(scratch, n, &analysis->arms[arm].load_ms, err);
        if (status)
            return status;
    }
    return SSW_OK;
}

ssw_status ssw_analysis_measure_memory(ssw_analysis *analysis, ssw_error *err)
{
    const ssw_evidence *evidence = analysis->evidence;
    size_t n_scratch = evidence->n_readings + evidence->n_servers + 2 * analysis->n_starts;
    double *scratch = ssw_arena_alloc(&analysis->arena, n_scratch, sizeof *scratch);
    range *ranges = ssw_arena_alloc(&analysis->arena, analysis->n_starts, sizeof *ranges);
    size_t *arm_of = ssw_arena_alloc(&analysis->arena, analysis->n_starts, sizeof *arm_of);
    if (!scratch || !ranges || !arm_of)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu readings", evidence->n_readings);
    find_ranges(analysis, ranges);
    ssw_status status = SSW_OK;
    for (size_t start = 0; start < analysis->n_starts; start++) {
        arm_of[start] = arm_of_start(analysis, start);
        for (int cell = 0; cell < SSW_MEMORY_COUNT * SSW_PHASE_COUNT && !status; cell++)
            status = fill_cell(analysis, ranges[start], start, cell / SSW_PHASE_COUNT, cell % SSW_PHASE_COUNT,
                               scratch, err);
        fill_start_ends(analysis, start);
    }
    for (size_t i = 0; i < evidence->n_readings && !analysis->vram_source; i++)
        analysis->vram_source = evidence->readings[i].vram_source;
    if (!status)
        status = summarize_memory(analysis, arm_of, scratch, err);
    if (!status)
        status = compare_memory(analysis, arm_of, scratch, err);
    if (!status)
        status = summarize_load(analysis, scratch, err);
    return status;
}

ssw_memory ssw_analysis_headline_memory(const ssw_analysis *analysis)
{
    static const ssw_memory preference[] = {SSW_MEMORY_VRAM, SSW_MEMORY_PSS, SSW_MEMORY_RSS};
    for (size_t i = 0; i < sizeof preference / sizeof preference[0]; i++) {
        bool measured = true;
        for (size_t arm = 0; arm < analysis->n_arms; arm++)
            measured &= analysis->arms[arm].memory.phases[preference[i]][SSW_PHASE_LOADED].n > 0;
        if (measured)
            return preference[i];
    }
    return SSW_MEMORY_COUNT;
}
