/* What a process tree uses, from Linux's /proc. Sources: proc(5), and the kernel's
 * Documentation/filesystems/proc.rst for smaps_rollup. SSW_EVIDENCE_NONE for what cannot be read. */
#ifndef SSW_BENCH_TELEMETRY_PROC_USAGE_H
#define SSW_BENCH_TELEMETRY_PROC_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SSW_PROC_TREE_MAX = 256 };

typedef struct ssw_proc_tree { /* a process and its descendants, as last scanned */
    size_t n;
    pid_t pids[SSW_PROC_TREE_MAX];
} ssw_proc_tree;

typedef struct ssw_proc_usage { /* sums over a tree */
    int64_t rss_bytes;
    int64_t major_faults; /* since each process's start */
    int64_t cpu_ns;       /* user and system; in steps of the kernel's clock tick */
} ssw_proc_usage;

typedef struct ssw_proc_pss {
    int64_t anon_bytes, file_bytes, shmem_bytes, swap_bytes;
    int64_t cost_ns; /* what reading it took */
} ssw_proc_pss;

/* All of /proc is read: about a millisecond on a busy machine. A dead root gives an empty tree. */
void ssw_proc_scan_tree(pid_t root, ssw_proc_tree *out);
bool ssw_proc_tree_has(const ssw_proc_tree *tree, pid_t pid);

void ssw_proc_read_usage(const ssw_proc_tree *tree, ssw_proc_usage *out);
/* Walks every mapping of every process: milliseconds for each few GiB that are resident. */
void ssw_proc_read_pss(const ssw_proc_tree *tree, ssw_proc_pss *out);

/* MemAvailable of /proc/meminfo. */
int64_t ssw_proc_available_bytes(void);
/* One value of /proc/meminfo ("SwapTotal"). */
int64_t ssw_proc_meminfo_bytes(const char *key);

#endif
