/* One memory reading: a line of telemetry.jsonl. SSW_EVIDENCE_NONE stands for what could not be read. */
#ifndef SSW_BENCH_EVIDENCE_READING_H
#define SSW_BENCH_EVIDENCE_READING_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef enum ssw_phase {
    SSW_PHASE_IDLE,    /* before the server starts */
    SSW_PHASE_LOADING, /* started, not ready */
    SSW_PHASE_LOADED,  /* ready, nothing asked yet */
    SSW_PHASE_WARMUP,
    SSW_PHASE_PREFILL, /* a measured request, before its first token */
    SSW_PHASE_DECODE,  /* from its first token on */
    SSW_PHASE_BETWEEN, /* between requests */
    SSW_PHASE_STOPPED, /* after the server has gone */
    SSW_PHASE_COUNT
} ssw_phase;

const char *ssw_phase_name(ssw_phase phase);

/* One line of telemetry.jsonl; SSW_EVIDENCE_NONE for null. */
typedef struct ssw_reading {
    int64_t t_ns;
    const char *arm;
    int block, position;
    ssw_phase phase;
    int64_t pss_anon_bytes, pss_file_bytes, pss_shmem_bytes, rss_bytes, swap_bytes;
    int64_t major_faults, cpu_ns; /* since the server's start, over its process tree */
    int64_t available_bytes;      /* MemAvailable of the machine */
    int64_t vram_process_bytes;   /* of the process tree, over all GPUs */
    int64_t vram_device_bytes;    /* in use on all GPUs, whoever uses it */
    const char *vram_source;      /* "nvml-process", "nvml-device" (process figures are hidden), or NULL */
    int64_t vram_foreign_bytes;   /* of processes outside the tree that NVML shows */
    int64_t gpu_util, gpu_clock_sm_mhz, gpu_clock_mem_mhz, gpu_power_mw, gpu_throttle; /* of the first GPU */
    int64_t gpu_temperature_c, gpu_pcie_tx_kb_s, gpu_pcie_rx_kb_s; /* the same; tx: from the GPU */
    int64_t gpu_energy_mj;                                         /* a counter, over all GPUs */
    int64_t package_energy_uj, dram_energy_uj;                     /* RAPL counters, over all packages */
    int64_t smaps_cost_ns;
} ssw_reading;

/* All numbers NONE. */
void ssw_reading_init(ssw_reading *reading);

/* The line's object; NULL when out of memory. */
json_t *ssw_reading_to_json(const ssw_reading *reading);
ssw_status ssw_reading_from_json(ssw_arena *arena, const json_t *object, ssw_reading *out, ssw_error *err);

#endif
