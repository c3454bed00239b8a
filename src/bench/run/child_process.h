/* A server as a child that cannot outlive the bench.
 *
 * Between the bench and the server stands a keeper: a small forked child in a session of its own (the
 * terminal's Ctrl-C does not reach it) that holds the read end of a pipe. When the bench ends in any way,
 * kill -9 included, the kernel closes the pipe's other end and the keeper kills the server and all its
 * descendants: it is their subreaper, so daemonised grandchildren come back to it. If the keeper itself is
 * killed, PR_SET_PDEATHSIG kills the server. After fork() the keeper calls only async-signal-safe functions,
 * so the bench may have threads. */
#ifndef SSW_BENCH_RUN_CHILD_PROCESS_H
#define SSW_BENCH_RUN_CHILD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

typedef struct ssw_child ssw_child;

typedef struct ssw_child_options {
    const char *const *argv; /* NULL-terminated; argv[0] is the executable's path */
    const char *const *envp; /* NULL-terminated: the whole environment */
    const char *log_path;    /* stdout and stderr are appended; a line is written before: header */
    const char *header;
} ssw_child_options;

typedef struct ssw_child_end {
    int exit_code;   /* -1 when a signal ended it */
    int exit_signal; /* 0 when it exited */
    bool killed;     /* SIGKILL was needed */
    int64_t end_ns;
} ssw_child_end;

/* SSW_ERR_IO when the executable cannot be started, naming it. */
ssw_status ssw_child_start(const ssw_child_options *options, ssw_child **out, ssw_error *err);

pid_t ssw_child_pid(const ssw_child *server);
int64_t ssw_child_spawn_ns(const ssw_child *server); /* just before its fork */
int ssw_child_fd(const ssw_child *server);           /* readable when the server has ended */

/* Whether it has ended; waits up to timeout_ns. */
bool ssw_child_has_ended(ssw_child *server, int64_t timeout_ns, ssw_child_end *end);

/* SIGTERM to its process group, SIGKILL after grace_ns; returns when nothing of it is left. An ended server
 * is allowed. */
void ssw_child_stop(ssw_child *server, int64_t grace_ns, ssw_child_end *end);

void ssw_child_close(ssw_child *server); /* kills what still lives; NULL is allowed */

#endif
