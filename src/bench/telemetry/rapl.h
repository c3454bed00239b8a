/* Energy of processor packages and their memory, from the kernel's power capping tree (RAPL counters).
 *
 * Source: the kernel's Documentation/power/powercap/powercap.rst. Zones are folders intel-rapl:N (name
 * package-N; AMD's too) and intel-rapl:N:M (name dram); energy_uj counts microjoules and wraps at
 * max_energy_range_uj. Since 2020 kernels let only root read it. The counters are the machine's: everything
 * that runs is in them. Owned by one thread. */
#ifndef SSW_BENCH_TELEMETRY_RAPL_H
#define SSW_BENCH_TELEMETRY_RAPL_H

#include <stdint.h>

enum { SSW_RAPL_ZONES_MAX = 32, SSW_RAPL_TEXT_MAX = 300 };

typedef struct ssw_rapl ssw_rapl;

typedef struct ssw_rapl_reading { /* since ssw_rapl_open, over all zones; SSW_EVIDENCE_NONE without such a
                                     zone */
    int64_t package_uj, dram_uj;
} ssw_rapl_reading;

/* root: NULL for /sys/class/powercap. NULL with a reason when no package counter can be read. */
ssw_rapl *ssw_rapl_open(const char *root, char reason[SSW_RAPL_TEXT_MAX]);
void ssw_rapl_close(ssw_rapl *rapl); /* NULL is allowed */

const char *ssw_rapl_describe(const ssw_rapl *rapl); /* "2 packages, no DRAM" */

/* To be called often enough that no counter wraps twice in between: once a minute is. */
void ssw_rapl_read(ssw_rapl *rapl, ssw_rapl_reading *out);

#endif
