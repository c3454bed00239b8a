/* Starts the known-answer server on a free port and ends it; for tests. */
#ifndef SSW_TESTS_BENCH_SPAWN_FAKE_H
#define SSW_TESTS_BENCH_SPAWN_FAKE_H

#include <sys/types.h>

typedef struct fake_process {
    pid_t pid;
    int port;
} fake_process;

/* options: what follows --port 0 on the command line, separated by blanks. Fails the test when it does not
 * start. */
fake_process fake_start(const char *options);
void fake_stop(fake_process *fake);

#endif
