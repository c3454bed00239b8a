/* A stand-in for the GPU, in plain C: the functions of cuda/cuda_device.h and cuda/cuda_ops.h over host
 * memory, so that the engine's GPU half can be tested where no GPU is. It shows what the engine does with a
 * device (placement, order, hand-over, errors), not what the kernels compute: those have tests of their own.
 *
 * "Device memory" is host memory, zeroed, counted, between guards. Every stream is a thread that takes
 * operations from a queue in order; an event is a number that a stream reaches; a graph is a list of
 * operations. An operation is plain C in the CPU's arithmetic ("generic": 8-bit activations, exact integer
 * sums). Memory that a GPU could not reach, an overrun, or a call that CUDA would refuse ends the program
 * with a line that says why.
 *
 * This header is how a test makes the device small, failing, silent or late, and counts what is alive. Not
 * for the device's own functions, which are those of the two headers. One device; one caller at a time. */
#ifndef SSW_TESTS_STAND_IN_H
#define SSW_TESTS_STAND_IN_H

#include <stdbool.h>
#include <stdint.h>

/* Back to a device of 8 GiB on which everything works, with nothing counted. Nothing may be alive. */
void stand_in_reset(void);

void stand_in_set_memory(uint64_t total_bytes);
void stand_in_set_copy_rate(double bytes_per_s); /* what ssw_cuda_measure_copies finds; 25e9 at first */

/* ---- failures ---- */

typedef enum stand_in_call {
    STAND_IN_ANY_CALL,
    STAND_IN_ALLOC,      /* ssw_cuda_alloc */
    STAND_IN_ALLOC_HOST, /* ssw_cuda_alloc_host */
    STAND_IN_PIN,
    STAND_IN_COPY, /* those that return a status */
    STAND_IN_OPEN, /* streams and events */
    STAND_IN_GRAPH,
    STAND_IN_CALL_COUNT
} stand_in_call;

/* The n-th such call from now on fails, n from 1. n 0: none. */
void stand_in_fail(stand_in_call which, int64_t n);
/* Whether that call has come. */
bool stand_in_has_failed(void);

/* The device finishes n more operations and then stops, as one that hangs. */
void stand_in_stop_after(int64_t n_operations);
/* The n-th wait for a signal from now on says that it gave up, n from 1. It goes on when the word is there
 * all the same: a device that did not would read what the host still writes. */
void stand_in_give_up(int64_t n);

/* ---- what is alive ---- */

typedef struct stand_in_counts {
    int32_t n_device, n_host, n_pinned, n_streams, n_events, n_graphs;
    int32_t n_measured; /* calls of ssw_cuda_measure_copies since the reset */
    uint64_t device_bytes, host_bytes, pinned_bytes;
    uint64_t device_bytes_highest; /* since the reset */
} stand_in_counts;

stand_in_counts stand_in_count(void);
/* Sizes of device memory that is alive, oldest first; returns how many there are. */
int32_t stand_in_list(uint64_t *sizes, int32_t max);
int64_t stand_in_operations(void); /* finished since the reset */

#endif
