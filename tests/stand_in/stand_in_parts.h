/* What the files of the stand-in share: stand_in_device.c (memory, failures), stand_in_streams.c (order),
 * and the operations. */
#ifndef SSW_TESTS_STAND_IN_PARTS_H
#define SSW_TESTS_STAND_IN_PARTS_H

#include "cuda/cuda_device.h"
#include "cuda/cuda_ops.h"
#include "stand_in.h"

/* Runs on the stream's thread. args: the copy that was made when it was enqueued. */
typedef void stand_in_operation(const void *args);

/* The one way in for an operation. Structs that args points to on the host must be part of args. */
void stand_in_enqueue(ssw_cuda_stream stream, stand_in_operation *run, const void *args, uint64_t n_bytes);
bool stand_in_is_recording(ssw_cuda_stream stream);

/* Whether a GPU could reach it: device memory, or pinned. */
bool stand_in_reaches(const void *memory, uint64_t n_bytes);
/* Ends the program if it could not. NULL is allowed. */
void stand_in_require(const void *memory, uint64_t n_bytes, const char *what);
_Noreturn void stand_in_end(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Counts the call; true when it shall fail. */
bool stand_in_must_fail(stand_in_call which);
/* Streams, events and graphs that come and go; n is 1 or -1. */
void stand_in_add_streams(int32_t n);
void stand_in_add_events(int32_t n);
void stand_in_add_graphs(int32_t n);

/* Before each operation. False: the device stops here, and with it the stream. */
bool stand_in_may_run(void);
bool stand_in_is_stopped(void);
bool stand_in_must_give_up(void); /* counts the wait */
void stand_in_reset_streams(void);

#endif
