/* What the files of prepare.h share. */
#ifndef SSW_BENCH_RUN_PREPARE_INTERNAL_H
#define SSW_BENCH_RUN_PREPARE_INTERNAL_H

#include "bench/run/offload_claim.h"
#include "bench/run/prepare.h"

/* Path, size and SHA-256, the texts in the manifest's arena. */
ssw_status ssw_prepare_hash(ssw_manifest *manifest, const char *path, const char *cache_dir,
                            ssw_manifest_file *out, ssw_error *err);

/* Every arm: its adapter, server, command line, environment, treatment, and what it says of experts. */
ssw_status ssw_prepare_arms(const ssw_prepare_options *options, ssw_manifest *manifest,
                            const ssw_expert_layers *layers, ssw_error *err);

#endif
