/* A thread that reads memory every 20 ms while servers run and appends each reading to telemetry.jsonl.
 *
 * The runner tells it which server is meant and in which phase; the other calls may come from any thread and
 * are quick. Costs are bounded: /proc/PID/stat and statm of the known tree every time; the tree is scanned
 * anew twice a second; smaps_rollup (PSS), whose price grows with the resident size, at each change of phase
 * and otherwise as often as keeps it under 5 % of one core. When it costs more than 5 ms it is left out at
 * the changes to prefill and decode, since it holds the server's memory map locked meanwhile. PCIe traffic,
 * each reading of which takes the driver 20 ms, is read twice a second, one direction after the other. */
#ifndef SSW_BENCH_TELEMETRY_MEMORY_SAMPLER_H
#define SSW_BENCH_TELEMETRY_MEMORY_SAMPLER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"
#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/reading.h"
#include "bench/telemetry/nvml.h"
#include "bench/telemetry/rapl.h"

#define SSW_SAMPLER_INTERVAL_NS INT64_C(20000000)

typedef struct ssw_sampler ssw_sampler;

typedef struct ssw_sampler_options {
    ssw_jsonl *file;              /* the sampler's alone while it runs */
    const ssw_nvml *nvml;         /* the same; NULL when there is none */
    ssw_rapl *rapl;               /* the same */
    const char *const *arm_names; /* borrowed */
    int first_arm;                /* whose start the readings belong to until ssw_sampler_set_server */
} ssw_sampler_options;

/* What happened since the last call of ssw_sampler_take_watch. */
typedef struct ssw_sampler_watch {
    int64_t throttle;          /* reasons or-ed together; 0 without a GPU */
    int64_t foreign_bytes_max; /* NONE when not known */
    int64_t swap_bytes_max;
    int64_t major_faults;   /* new ones; NONE when not known */
    int64_t busy_clock_mhz; /* lowest SM clock while the first GPU was busy; NONE when it never was */
    bool gpu_lost;
} ssw_sampler_watch;

ssw_status ssw_sampler_start(const ssw_sampler_options *options, ssw_sampler **out, ssw_error *err);
/* Ends the thread. The error is the first that writing met: readings after it are missing. */
ssw_status ssw_sampler_stop(ssw_sampler *sampler, ssw_error *err);

/* pid 0: no server. arm is an index of arm_names. */
void ssw_sampler_set_server(ssw_sampler *sampler, int arm, int block, int position, pid_t pid);
void ssw_sampler_set_phase(ssw_sampler *sampler, ssw_phase phase);

/* The machine's free memory and the GPUs' used memory at the last reading, which began at *t_ns; NONE when
 * not known. */
void ssw_sampler_get_level(ssw_sampler *sampler, int64_t *t_ns, int64_t *available_bytes,
                           int64_t *vram_bytes);

void ssw_sampler_take_watch(ssw_sampler *sampler, ssw_sampler_watch *out);

#endif
