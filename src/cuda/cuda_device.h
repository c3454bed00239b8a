/* One NVIDIA device: what it is, its memory, streams, events and graphs. A thin door to the CUDA runtime, so
 * that C code needs no CUDA header.
 *
 * Calls are for one thread at a time; each of them works on the device that ssw_cuda_device_open chose last
 * on this thread. Errors name the call that failed in the runtime's words. */
#ifndef SSW_CUDA_DEVICE_H
#define SSW_CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *ssw_cuda_stream; /* a cudaStream_t */
typedef struct CUevent_st *ssw_cuda_event;   /* a cudaEvent_t */
typedef struct ssw_cuda_graph ssw_cuda_graph;

enum { SSW_CUDA_NAME_MAX = 128 };

/* Stack that the kernels need, which is what they spill; ssw_cuda_device_open sets it aside for every thread
 * that the device can hold: CUDA's own 1024 would be 264 MiB on an H100. A launch that needs more makes CUDA
 * take more, for which it waits until the device is idle: never, where a kernel waits for this process. So
 * the build checks every kernel (tools/compile_cuda). */
enum { SSW_CUDA_STACK_BYTES = 160 };

typedef struct ssw_cuda_device {
    char name[SSW_CUDA_NAME_MAX]; /* "NVIDIA H100 80GB HBM3" */
    int32_t index;
    int32_t compute_major, compute_minor, n_multiprocessors;
    uint64_t total_bytes, free_bytes; /* free: when it was opened */
    bool maps_registered_memory;      /* registered host memory has the same address on the device */
} ssw_cuda_device;

/* 0 when there is no driver or no device; why, if not NULL, then says it in a line. To be called before
 * anything else here: it sets CUDA_MODULE_LOADING=EAGER unless that is set. A kernel that is loaded when it
 * is first launched may have to wait until the device is idle, and while another waits for the CPU's experts
 * it never is (CUDA C++ Programming Guide, lazy loading, concurrent execution). */
int32_t ssw_cuda_device_count(ssw_error *why);
/* Makes a context. SSW_ERR_UNAVAILABLE when the device cannot run this program's kernels. */
ssw_status ssw_cuda_device_open(int32_t index, ssw_cuda_device *out, ssw_error *err);
ssw_status ssw_cuda_device_use(const ssw_cuda_device *device, ssw_error *err); /* on another thread */
uint64_t ssw_cuda_device_free_bytes(void); /* now; 0 if the driver does not say */

/* ---- memory ---- */

/* Zeroed. SSW_ERR_NOMEM. */
ssw_status ssw_cuda_alloc(void **out, uint64_t n_bytes, ssw_error *err);
void ssw_cuda_free(void *memory); /* NULL is allowed */
/* Host memory that the device reads and writes at the same address; zeroed. */
ssw_status ssw_cuda_alloc_host(void **out, uint64_t n_bytes, ssw_error *err);
void ssw_cuda_free_host(void *memory);
/* Pins memory that exists, so that copies run at full speed and kernels can read it. The caller unpins before
 * freeing. */
ssw_status ssw_cuda_pin(void *memory, uint64_t n_bytes, ssw_error *err);
void ssw_cuda_unpin(void *memory);

ssw_status ssw_cuda_copy_to_device(void *to, const void *from, uint64_t n_bytes, ssw_error *err);
ssw_status ssw_cuda_copy_to_host(void *to, const void *from, uint64_t n_bytes, ssw_error *err);
/* In stream order; host memory must be pinned, or the call waits. Any direction. Faults: the stream's. */
void ssw_cuda_copy_async(ssw_cuda_stream stream, void *to, const void *from, uint64_t n_bytes);

/* Copies from pinned host memory to the device, in no order among each other, as one call: a call each costs
 * the bus some 3 us (bench/gpu/bench_copies). With a toolkit or a driver before CUDA 13 it is a call each. */
typedef struct ssw_cuda_copies {
    void *const *to;
    const void *const *from;
    const size_t *n_bytes;
    int32_t n;
} ssw_cuda_copies;

void ssw_cuda_copy_many(ssw_cuda_stream stream, const ssw_cuda_copies *copies);

/* Bytes a second from pinned memory to the device: the best of a few copies. */
ssw_status ssw_cuda_measure_copies(double *bytes_per_s, ssw_error *err);

/* ---- order ---- */

ssw_status ssw_cuda_stream_open(ssw_cuda_stream *out, ssw_error *err);
void ssw_cuda_stream_close(ssw_cuda_stream stream);
/* Waits until everything before is done; the first fault of any of it. */
ssw_status ssw_cuda_stream_sync(ssw_cuda_stream stream, ssw_error *err);
/* The first fault of a launch, without waiting. */
ssw_status ssw_cuda_stream_check(ssw_cuda_stream stream, ssw_error *err);

ssw_status ssw_cuda_event_open(ssw_cuda_event *out, ssw_error *err); /* without times */
void ssw_cuda_event_close(ssw_cuda_event event);
void ssw_cuda_event_record(ssw_cuda_event event, ssw_cuda_stream stream);
void ssw_cuda_stream_wait(ssw_cuda_stream stream, ssw_cuda_event event);

/* ---- graphs ---- */

/* Everything enqueued on the stream between begin and end becomes a graph instead of running. */
ssw_status ssw_cuda_graph_begin(ssw_cuda_stream stream, ssw_error *err);
ssw_status ssw_cuda_graph_end(ssw_cuda_stream stream, ssw_cuda_graph **out, ssw_error *err);
ssw_status ssw_cuda_graph_launch(ssw_cuda_graph *graph, ssw_cuda_stream stream, ssw_error *err);
void ssw_cuda_graph_close(ssw_cuda_graph *graph); /* NULL is allowed */

/* ---- handing over between host threads and kernels, through mapped pinned memory ---- */

/* A place for one word that one side writes and the other waits for; alone on its cache line. */
typedef struct ssw_cuda_signal {
    uint32_t value;
    uint32_t unused[31];
} ssw_cuda_signal;

/* In stream order: signal->value = *step, after all earlier writes of the stream are visible to the
 * host. step: device memory, so that a graph says another value each time. */
void ssw_cuda_signal_set(ssw_cuda_stream stream, ssw_cuda_signal *signal, const uint32_t *step);
/* In stream order: waits until signal->value == *step. After patience_ns the wait gives up and sets
 * *gave_up (mapped host memory) to 1: a host that died must not hang the device. */
void ssw_cuda_signal_wait(ssw_cuda_stream stream, const ssw_cuda_signal *signal, const uint32_t *step,
                          uint64_t patience_ns, uint32_t *gave_up);

#ifdef __cplusplus
}
#endif
#endif
