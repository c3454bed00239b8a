/* Runs a Python program that nobody trusts: a model wrote it.
 *
 * First wall: bubblewrap (bwrap). New user, PID, network, IPC, UTS and cgroup namespaces; a root of its own
 * that is read-only and holds /usr alone; an empty environment; 16 MiB of /tmp; no /proc, no /etc, no home,
 * no devices but /dev/null. Second wall: prlimit inside, on address space, processor time, processes, file
 * sizes and descriptors (a namespace does not bound those). Last: SIGKILL at the wall-clock limit, which
 * takes the whole PID namespace with it. Root first becomes user 65534, since the kernel does not count
 * root's processes.
 *
 * Nothing is ever run without the first wall: where bwrap is missing or the kernel gives no namespaces,
 * ssw_sandbox_open says why, and pass@k is not measured. Sources: bwrap(1), prlimit(1), setrlimit(2). */
#ifndef SSW_BENCH_QUALITY_SANDBOX_H
#define SSW_BENCH_QUALITY_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { SSW_SANDBOX_PROGRAM_BYTES_MAX = 1 << 20, SSW_SANDBOX_LINE_MAX = 200, SSW_SANDBOX_TAIL_BYTES = 4096 };

typedef struct ssw_sandbox_options {
    const char *bwrap;    /* NULL for /usr/bin/bwrap */
    int64_t wall_ns;      /* SIGKILL after that */
    int64_t memory_bytes; /* of address space, each process */
    int cpu_s, processes;
} ssw_sandbox_options;

typedef enum ssw_sandbox_outcome {
    SSW_SANDBOX_ENDED,  /* exit_code says how */
    SSW_SANDBOX_KILLED, /* by a signal: a limit, or its own doing */
    SSW_SANDBOX_TIMEOUT /* the wall-clock limit */
} ssw_sandbox_outcome;

typedef struct ssw_sandbox_result {
    ssw_sandbox_outcome outcome;
    int exit_code; /* 128 + signal when killed */
    int64_t wall_ns;
    char tail[SSW_SANDBOX_TAIL_BYTES +
              1]; /* the end of what it wrote to standard output and error; may hold NULs */
} ssw_sandbox_result;

/* 10 s of wall clock, 5 s of processor, 512 MiB, 16 processes. */
void ssw_sandbox_options_init(ssw_sandbox_options *options);

/* Tries an empty program. SSW_ERR_UNAVAILABLE says why no program can be run here. */
ssw_status ssw_sandbox_check(const ssw_sandbox_options *options, ssw_error *err);

/* The program is Python 3 source. SSW_OK also for a program that failed: see *out. */
ssw_status ssw_sandbox_run(const ssw_sandbox_options *options, const char *program, ssw_sandbox_result *out,
                           ssw_error *err);

#endif
