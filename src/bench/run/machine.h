/* What machine this is, for the manifest. Linux's /proc and /sys; what cannot be read stays unknown. */
#ifndef SSW_BENCH_RUN_MACHINE_H
#define SSW_BENCH_RUN_MACHINE_H

#include "bench/evidence/manifest.h"
#include "bench/telemetry/nvml.h"

/* Fills in manifest->machine. nvml may be NULL; nvml_reason says why then. */
ssw_status ssw_machine_describe(ssw_manifest *manifest, const ssw_nvml *nvml, const char *nvml_reason,
                                ssw_error *err);

#endif
