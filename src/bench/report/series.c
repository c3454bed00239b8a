/* Thinning a start's memory readings: the highest of every few in a row. */
#include "bench/report/series.h"

#include <stdlib.h>

size_t ssw_series_end(const ssw_evidence *evidence, size_t from)
{
    const ssw_reading *first = &evidence->readings[from];
    size_t to = from + 1;
    while (to < evidence->n_readings && evidence->readings[to].block == first->block &&
           evidence->readings[to].position == first->position)
        to++;
    return to;
}

static void raise(ssw_series_point *point, const ssw_reading *reading)
{
    const int64_t here[SSW_SERIES_COUNT] = {
        reading->pss_anon_bytes, reading->pss_file_bytes, reading->pss_shmem_bytes, reading->rss_bytes,
        reading->vram_process_bytes >= 0 ? reading->vram_process_bytes : reading->vram_device_bytes};
    for (int i = 0; i < SSW_SERIES_COUNT; i++)
        point->bytes[i] = here[i] > point->bytes[i] ? here[i] : point->bytes[i];
}

/* When the server was spawned; where that is not known, the first reading. */
static int64_t find_zero(const ssw_evidence *evidence, const ssw_reading *first)
{
    for (size_t i = 0; i < evidence->n_servers; i++) {
        const ssw_server_life *life = &evidence->servers[i];
        if (life->block == first->block && life->position == first->position &&
            life->spawn_ns != SSW_EVIDENCE_NONE)
            return life->spawn_ns;
    }
    return first->t_ns;
}

ssw_status ssw_series_make(const ssw_evidence *evidence, size_t from, size_t to, size_t most, ssw_series *out,
                           ssw_error *err)
{
    const ssw_reading *readings = evidence->readings;
    int64_t zero_ns = find_zero(evidence, &readings[from]);
    *out = (ssw_series){.arm = ssw_manifest_find_arm(&evidence->manifest, readings[from].arm),
                        .block = readings[from].block,
                        .step = (to - from + most - 1) / most};
    out->points = malloc((to - from) * sizeof *out->points);
    if (!out->points)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu readings", to - from);
    for (size_t i = from; i < to;) {
        ssw_series_point *point = &out->points[out->n++];
        *point = (ssw_series_point){.t_ns = readings[i].t_ns - zero_ns, .phase = readings[i].phase};
        for (int k = 0; k < SSW_SERIES_COUNT; k++)
            point->bytes[k] = -1;
        for (size_t first = i; i < to && i - first < out->step && readings[i].phase == point->phase; i++)
            raise(point, &readings[i]);
    }
    return SSW_OK;
}

void ssw_series_deinit(ssw_series *series)
{
    free(series->points);
    *series = (ssw_series){0};
}

int64_t ssw_series_value(const ssw_series_point *point, ssw_memory memory)
{
    switch (memory) {
    case SSW_MEMORY_VRAM:
        return point->bytes[SSW_SERIES_VRAM];
    case SSW_MEMORY_RSS:
        return point->bytes[SSW_SERIES_RSS];
    default:
        return point->bytes[SSW_SERIES_ANON] < 0
                   ? -1
                   : point->bytes[SSW_SERIES_ANON] + point->bytes[SSW_SERIES_FILE] +
                         point->bytes[SSW_SERIES_SHMEM];
    }
}
