/* Asks an executable for its version. */
#ifndef SSW_BENCH_RUN_VERSION_PROBE_H
#define SSW_BENCH_RUN_VERSION_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* The first line with a digit that `PATH --version` prints on stdout or stderr within five seconds, without
 * control characters; false when there is none. */
/* environment: NULL-terminated, "NAME=VALUE". */
bool ssw_version_probe(const char *path, const char *const *environment, char *out, size_t size);

#endif
