/* From a plan to a manifest: full command lines, checksums, what the model and the machine are. */
#ifndef SSW_BENCH_RUN_PREPARE_H
#define SSW_BENCH_RUN_PREPARE_H

#include "bench/adapter/adapter.h"
#include "bench/evidence/manifest.h"
#include "bench/plan/schedule.h"
#include "bench/telemetry/nvml.h"
#include "bench/telemetry/rapl.h"

typedef struct ssw_prepare_server {
    const char *path; /* of the executable; NULL when the server runs already */
    const ssw_adapter *adapter;
} ssw_prepare_server;

typedef struct ssw_prepare_options {
    const char *tool_version, *tool_commit; /* commit may be NULL */
    int argc;                               /* the bench's own command line */
    char *const *argv;
    const char *model;                 /* what -m said: a path, or a name that only the server knows */
    const ssw_prepare_server *servers; /* one for each arm */
    const char *const *environment;    /* the bench's own, NULL-terminated */
    const char *cache_dir;             /* of file hashes; NULL for none */
    const ssw_nvml *nvml;              /* may be NULL */
    const char *nvml_reason;
    const ssw_rapl *rapl; /* may be NULL */
    const char *rapl_reason;
} ssw_prepare_options;

/* manifest->plan must be finished; the rest is filled in, each prompt's tokens are counted, and the schedule
 * is made. */
ssw_status ssw_prepare_manifest(const ssw_prepare_options *options, ssw_manifest *manifest,
                                ssw_schedule *schedule, ssw_error *err);

/* Hashes the model and the servers again and compares with the manifest: a run that is resumed must go on
 * with the same bytes. SSW_ERR_USAGE names the first difference. */
ssw_status ssw_prepare_check(const ssw_manifest *manifest, const char *cache_dir, ssw_error *err);

#endif
