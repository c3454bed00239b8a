/* What of the model's files lies in the page cache when a server starts: a declared factor, since a load from
 * a cold cache may take ten times as long as one from a warm cache.
 *
 * Source: posix_fadvise(2) (POSIX_FADV_DONTNEED drops clean pages that nobody has mapped) and mincore(2). */
#ifndef SSW_BENCH_RUN_PAGE_CACHE_H
#define SSW_BENCH_RUN_PAGE_CACHE_H

#include "bench/evidence/manifest.h"

/* Reads every file whole (WARM) or drops it (COLD), then looks whether that is so: SSW_ERR_UNAVAILABLE when
 * more than a hundredth is missing or left, as on a tmpfs or while another process has the file mapped. AS_IS
 * does nothing. */
ssw_status ssw_page_cache_prepare(const ssw_manifest_file *files, size_t n, ssw_plan_page_cache state,
                                  ssw_error *err);

/* Bytes of the files that are in the page cache, by whole pages; SSW_EVIDENCE_NONE when that cannot be read
 * or there is no file. */
int64_t ssw_page_cache_resident_bytes(const ssw_manifest_file *files, size_t n);

#endif
