/* Progress of a command that writes one long file, on a terminal only; and the wish to stop it. */
#ifndef SSW_CLI_FILE_METER_H
#define SSW_CLI_FILE_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ssw_file_meter {
    int64_t begin_ns, shown_ns;
    bool is_shown; /* standard error is a terminal */
} ssw_file_meter;

void ssw_file_meter_begin(ssw_file_meter *meter);

/* A progress callback whose context is the meter: share done, rate, time left; erased at the end. */
void ssw_file_meter_show(void *meter, uint64_t done_bytes, uint64_t total_bytes);

/* Clears the line, before an error is printed. */
void ssw_file_meter_erase(const ssw_file_meter *meter);

/* From now on SIGINT and SIGTERM set the flag that is returned. */
atomic_bool *ssw_cli_catch_interrupts(void);

#endif
