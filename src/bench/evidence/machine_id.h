/* A name for a machine that is the same in every run on it and says nothing of whose it is. Computed from
 * what the manifest holds, so folders of earlier versions have one too. docs/EVIDENCE.md has the recipe. */
#ifndef SSW_BENCH_EVIDENCE_MACHINE_ID_H
#define SSW_BENCH_EVIDENCE_MACHINE_ID_H

#include "bench/evidence/manifest.h"

enum { SSW_MACHINE_ID_DIGITS = 12 };

typedef char ssw_machine_id_text[SSW_MACHINE_ID_DIGITS + 1];

/* Lower-case hex digits. Clones of one image differ in it where they differ in CPU, threads, memory or GPUs.
 * Fails only for want of memory. */
ssw_status ssw_machine_id(const ssw_manifest_machine *machine, ssw_machine_id_text out, ssw_error *err);

#endif
