/* NVIDIA's management library, opened at run time. Where it is absent, that is said, and is no error.
 *
 * Source: NVIDIA's NVML API reference. Versioned symbols are asked for by name (nvmlInit_v2,
 * nvmlDeviceGetComputeRunningProcesses_v3 and, before driver 510, _v2). Any one thread at a time. */
#ifndef SSW_BENCH_TELEMETRY_NVML_H
#define SSW_BENCH_TELEMETRY_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/telemetry/proc_usage.h"

enum {
    SSW_NVML_DEVICES_MAX = 16,
    SSW_NVML_PROCESSES_MAX = 128,
    SSW_NVML_TEXT_MAX = 96,
    SSW_NVML_REASON_MAX = 200
};

/* The bits of nvmlDeviceGetCurrentClocksThrottleReasons that mean "slower than asked": power cap, thermal and
 * hardware slowdowns; not idle, and not clocks that a person has set. */
#define SSW_NVML_THROTTLED UINT64_C(0xec)

typedef struct ssw_nvml ssw_nvml;

typedef struct ssw_nvml_device {
    char name[SSW_NVML_TEXT_MAX], uuid[SSW_NVML_TEXT_MAX];
    int64_t memory_bytes, power_limit_mw, clock_sm_max_mhz,
        clock_mem_max_mhz; /* SSW_EVIDENCE_NONE: not known */
} ssw_nvml_device;

typedef struct ssw_nvml_reading { /* SSW_EVIDENCE_NONE for what the driver does not tell */
    int64_t process_bytes;        /* of the tree's processes, over all devices */
    int64_t foreign_bytes;        /* of others that NVML names */
    int64_t device_bytes;         /* in use on all devices */
    int64_t energy_mj;            /* of all devices, since the driver was loaded */
    int64_t temperature_c;        /* of the first device, as all below */
    int64_t util_percent, clock_sm_mhz, clock_mem_mhz, power_mw, throttle; /* of the first device */
    bool lost; /* a device has fallen off the bus, or needs a reset: nothing on it can go on */
} ssw_nvml_reading;

/* library: its path or NULL for libnvidia-ml.so.1. NULL with a reason when it cannot be used. */
ssw_nvml *ssw_nvml_open(const char *library, char reason[SSW_NVML_REASON_MAX]);
void ssw_nvml_close(ssw_nvml *nvml); /* NULL is allowed */

const char *ssw_nvml_version(const ssw_nvml *nvml);
const char *ssw_nvml_driver(const ssw_nvml *nvml);
size_t ssw_nvml_count_devices(const ssw_nvml *nvml);
void ssw_nvml_describe(const ssw_nvml *nvml, size_t index, ssw_nvml_device *out);

/* In a container NVML may hide processes or number them as the host does; process_bytes is NONE then. */
void ssw_nvml_read(const ssw_nvml *nvml, const ssw_proc_tree *tree, ssw_nvml_reading *out);

/* Bytes over PCIe of the first device, in KB/s, to it (received) or from it (sent), as the driver counted
 * them over 20 ms; the call takes as long. NONE when it does not tell. */
int64_t ssw_nvml_read_pcie(const ssw_nvml *nvml, bool received);

#endif
