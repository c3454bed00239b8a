/* How fast this machine reads memory: what bounds a decoder whose experts lie in host memory.
 *
 * Method: threads, each bound to a core of its own where that is allowed, read disjoint slices of one buffer
 * that is several times larger than the last-level cache, from start to end with wide loads into several
 * sums. Each pass reads the whole buffer once; the best and the median of the passes are given. Huge pages
 * are asked for. The buffer is written once before, each slice by the thread that reads it, so that its pages
 * lie near that thread. */
#ifndef SSW_BASE_READ_BANDWIDTH_H
#define SSW_BASE_READ_BANDWIDTH_H

#include <stdint.h>

#include "base/status.h"

enum { SSW_READ_BANDWIDTH_PASSES_MAX = 1000 };

typedef struct ssw_read_bandwidth_options {
    int n_threads;         /* 0: one per physical core this process may use */
    int n_passes;          /* 0: 12 */
    uint64_t buffer_bytes; /* 0: eight times the last-level cache, at least 512 MiB, at most a quarter of free
                              memory */
} ssw_read_bandwidth_options;

typedef struct ssw_read_bandwidth {
    double best_bytes_per_s, median_bytes_per_s;
    uint64_t buffer_bytes, cache_bytes; /* cache_bytes: last level, 0 if unknown */
    int n_threads, n_threads_pinned, n_passes;
} ssw_read_bandwidth;

/* SSW_ERR_NOMEM when there is not enough memory for a buffer of twice the cache. */
ssw_status ssw_read_bandwidth_measure(const ssw_read_bandwidth_options *options, ssw_read_bandwidth *out,
                                      ssw_error *err);

#endif
