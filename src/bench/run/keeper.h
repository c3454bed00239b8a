/* The keeper's side of child_process.h. Internal to src/bench/run. */
#ifndef SSW_BENCH_RUN_KEEPER_H
#define SSW_BENCH_RUN_KEEPER_H

#include <stdint.h>
#include <stdnoreturn.h>

typedef struct ssw_keeper_options {
    const char *const *argv;
    const char *const *envp;
    int log_fd;
    int control_fd; /* one byte is a command; the end of the file means that the bench has gone */
    int report_fd;  /* ssw_keeper_report records go here */
} ssw_keeper_options;

enum { SSW_KEEPER_TERM = 'T', SSW_KEEPER_KILL = 'K' };

typedef enum ssw_keeper_event {
    SSW_KEEPER_STARTED,     /* value: pid; t_ns: just before the fork */
    SSW_KEEPER_EXEC_FAILED, /* value: errno */
    SSW_KEEPER_ENDED,       /* value: wait status */
    SSW_KEEPER_GONE         /* nothing is left; the keeper exits */
} ssw_keeper_event;

typedef struct ssw_keeper_report {
    ssw_keeper_event event;
    int value;
    int64_t t_ns;
} ssw_keeper_report;

/* Runs in the forked child. */
noreturn void ssw_keeper_main(const ssw_keeper_options *options);

#endif
