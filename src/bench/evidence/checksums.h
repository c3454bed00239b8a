/* SHA256SUMS: the checksums of a run folder's files, in the form that `sha256sum -c` reads. */
#ifndef SSW_BENCH_EVIDENCE_CHECKSUMS_H
#define SSW_BENCH_EVIDENCE_CHECKSUMS_H

#include "base/status.h"

enum { SSW_CHECKSUMS_FILES_MAX = 256 };

/* Hashes every regular file of DIR itself (not of its folders, nor hidden ones), in the order of their names,
 * and replaces DIR/SHA256SUMS. */
ssw_status ssw_checksums_write(const char *dir, ssw_error *err);

#endif
