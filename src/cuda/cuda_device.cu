/* The CUDA runtime behind C names. */
#include "cuda/cuda_device.h"

#include "base/clock.h"
#include "cuda/signal.cuh"

#include <atomic>
#include <cuda_runtime.h>
#include <stdlib.h>
#include <string.h>

struct ssw_cuda_graph {
    cudaGraphExec_t exec;
};

static ssw_status fault(cudaError_t code, const char *what, ssw_error *err)
{
    if (code == cudaSuccess)
        return SSW_OK;
    (void)cudaGetLastError(); /* a refused call must not taint the next */
    ssw_status status = code == cudaErrorMemoryAllocation ? SSW_ERR_NOMEM : SSW_ERR_UNAVAILABLE;
    return ssw_error_set(err, status, "CUDA: %s: %s", what, cudaGetErrorString(code));
}

/* Something that answers only if the device can run code of this program. */
__global__ void probe_kernel() {}

int32_t ssw_cuda_device_count(ssw_error *why)
{
    int n = 0;
    (void)setenv("CUDA_MODULE_LOADING", "EAGER", 0);
    cudaError_t code = cudaGetDeviceCount(&n);
    if (code == cudaErrorInsufficientDriver) { /* what the runtime says where there is none at all, too */
        if (why)
            ssw_error_set(why, SSW_ERR_UNAVAILABLE, "CUDA: no NVIDIA driver, or one older than CUDA %d.%d",
                          CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
        (void)cudaGetLastError();
        return 0;
    }
    if (code != cudaSuccess) {
        if (why)
            (void)fault(code, "looking for devices", why);
        (void)cudaGetLastError();
        return 0;
    }
    if (n == 0 && why)
        ssw_error_set(why, SSW_ERR_UNAVAILABLE, "CUDA: the driver sees no device");
    return n;
}

ssw_status ssw_cuda_device_open(int32_t index, ssw_cuda_device *out, ssw_error *err)
{
    cudaDeviceProp properties;
    size_t free_bytes = 0, total_bytes = 0;
    memset(out, 0, sizeof *out);
    cudaError_t code = cudaSetDevice(index);
    if (code == cudaSuccess)
        code = cudaDeviceSetLimit(cudaLimitStackSize, SSW_CUDA_STACK_BYTES);
    if (code == cudaSuccess)
        code = cudaGetDeviceProperties(&properties, index);
    if (code == cudaSuccess)
        code = cudaMemGetInfo(&free_bytes, &total_bytes);
    if (code == cudaSuccess) {
        probe_kernel<<<1, 1>>>();
        code = cudaDeviceSynchronize();
    }
    if (code != cudaSuccess)
        return fault(code, "opening the device", err);
    memcpy(out->name, properties.name, SSW_CUDA_NAME_MAX - 1);
    out->index = index;
    out->compute_major = properties.major;
    out->compute_minor = properties.minor;
    out->n_multiprocessors = properties.multiProcessorCount;
    out->total_bytes = total_bytes;
    out->free_bytes = free_bytes;
    int same = 0;
    out->maps_registered_memory =
        cudaDeviceGetAttribute(&same, cudaDevAttrCanUseHostPointerForRegisteredMem, index) == cudaSuccess &&
        same;
    return SSW_OK;
}

ssw_status ssw_cuda_device_use(const ssw_cuda_device *device, ssw_error *err)
{
    return fault(cudaSetDevice(device->index), "choosing the device", err);
}

uint64_t ssw_cuda_device_free_bytes(void)
{
    size_t free_bytes = 0, total_bytes = 0;
    return cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess ? free_bytes : 0;
}

/* ---- memory ---- */

ssw_status ssw_cuda_alloc(void **out, uint64_t n_bytes, ssw_error *err)
{
    *out = NULL;
    cudaError_t code = cudaMalloc(out, n_bytes);
    if (code == cudaSuccess)
        code = cudaMemset(*out, 0, n_bytes);
    if (code == cudaSuccess)
        return SSW_OK;
    ssw_cuda_free(*out);
    *out = NULL;
    (void)cudaGetLastError();
    return ssw_error_set(err, SSW_ERR_NOMEM, "no %.1f MiB of GPU memory: %s", (double)n_bytes / (1 << 20),
                         cudaGetErrorString(code));
}

void ssw_cuda_free(void *memory)
{
    (void)cudaFree(memory);
}

ssw_status ssw_cuda_alloc_host(void **out, uint64_t n_bytes, ssw_error *err)
{
    *out = NULL;
    cudaError_t code = cudaHostAlloc(out, n_bytes, cudaHostAllocMapped | cudaHostAllocPortable);
    if (code != cudaSuccess)
        return fault(code, "allocating pinned host memory", err);
    memset(*out, 0, n_bytes);
    return SSW_OK;
}

void ssw_cuda_free_host(void *memory)
{
    (void)cudaFreeHost(memory);
}

ssw_status ssw_cuda_pin(void *memory, uint64_t n_bytes, ssw_error *err)
{
    return fault(cudaHostRegister(memory, n_bytes, cudaHostRegisterMapped | cudaHostRegisterPortable),
                 "pinning host memory", err);
}

void ssw_cuda_unpin(void *memory)
{
    (void)cudaHostUnregister(memory);
}

ssw_status ssw_cuda_copy_to_device(void *to, const void *from, uint64_t n_bytes, ssw_error *err)
{
    return fault(cudaMemcpy(to, from, n_bytes, cudaMemcpyHostToDevice), "copying to the device", err);
}

ssw_status ssw_cuda_copy_to_host(void *to, const void *from, uint64_t n_bytes, ssw_error *err)
{
    return fault(cudaMemcpy(to, from, n_bytes, cudaMemcpyDeviceToHost), "copying from the device", err);
}

void ssw_cuda_copy_async(ssw_cuda_stream stream, void *to, const void *from, uint64_t n_bytes)
{
    (void)cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDefault, stream);
}

/* False when the driver is too old. */
static bool copy_batch(ssw_cuda_stream stream, const ssw_cuda_copies *copies)
{
#if CUDART_VERSION >= 13000 /* 12.8 has it with other arguments */
    cudaMemcpyAttributes attributes = {};
    size_t first = 0;
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    cudaError_t code = cudaMemcpyBatchAsync(copies->to, copies->from, copies->n_bytes, (size_t)copies->n,
                                            &attributes, &first, 1, stream);
    if (code != cudaErrorNotSupported && code != cudaErrorCallRequiresNewerDriver)
        return true; /* another fault is the stream's */
    (void)cudaGetLastError();
#endif
    return false;
}

void ssw_cuda_copy_many(ssw_cuda_stream stream, const ssw_cuda_copies *copies)
{
    static std::atomic<bool> is_too_old(CUDART_VERSION < 13000);
    if (!is_too_old && copy_batch(stream, copies))
        return;
    is_too_old = true;
    for (int32_t i = 0; i < copies->n; i++)
        ssw_cuda_copy_async(stream, copies->to[i], copies->from[i], copies->n_bytes[i]);
}

ssw_status ssw_cuda_measure_copies(double *bytes_per_s, ssw_error *err)
{
    const uint64_t n_bytes = 32 << 20;
    void *host = NULL, *device = NULL;
    *bytes_per_s = 0;
    ssw_status status = ssw_cuda_alloc_host(&host, n_bytes, err);
    if (status == SSW_OK)
        status = ssw_cuda_alloc(&device, n_bytes, err);
    for (int i = 0; i < 4 && status == SSW_OK; i++) {
        int64_t begin_ns = ssw_clock_now_ns();
        status = ssw_cuda_copy_to_device(device, host, n_bytes, err);
        double rate = (double)n_bytes * 1e9 / (double)(ssw_clock_now_ns() - begin_ns);
        *bytes_per_s = rate > *bytes_per_s ? rate : *bytes_per_s;
    }
    ssw_cuda_free(device);
    ssw_cuda_free_host(host);
    return status;
}

/* ---- order ---- */

ssw_status ssw_cuda_stream_open(ssw_cuda_stream *out, ssw_error *err)
{
    return fault(cudaStreamCreateWithFlags(out, cudaStreamNonBlocking), "making a stream", err);
}

void ssw_cuda_stream_close(ssw_cuda_stream stream)
{
    if (stream)
        (void)cudaStreamDestroy(stream);
}

ssw_status ssw_cuda_stream_sync(ssw_cuda_stream stream, ssw_error *err)
{
    ssw_status status = ssw_cuda_stream_check(stream, err);
    return status == SSW_OK ? fault(cudaStreamSynchronize(stream), "running kernels", err) : status;
}

ssw_status ssw_cuda_stream_check(ssw_cuda_stream stream, ssw_error *err)
{
    (void)stream; /* the runtime keeps one per thread */
    return fault(cudaGetLastError(), "launching kernels", err);
}

ssw_status ssw_cuda_event_open(ssw_cuda_event *out, ssw_error *err)
{
    return fault(cudaEventCreateWithFlags(out, cudaEventDisableTiming), "making an event", err);
}

void ssw_cuda_event_close(ssw_cuda_event event)
{
    if (event)
        (void)cudaEventDestroy(event);
}

void ssw_cuda_event_record(ssw_cuda_event event, ssw_cuda_stream stream)
{
    (void)cudaEventRecord(event, stream);
}

void ssw_cuda_stream_wait(ssw_cuda_stream stream, ssw_cuda_event event)
{
    (void)cudaStreamWaitEvent(stream, event, 0);
}

/* ---- graphs ---- */

ssw_status ssw_cuda_graph_begin(ssw_cuda_stream stream, ssw_error *err)
{
    return fault(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph", err);
}

ssw_status ssw_cuda_graph_end(ssw_cuda_stream stream, ssw_cuda_graph **out, ssw_error *err)
{
    *out = NULL;
    cudaGraph_t graph = NULL;
    ssw_status status = fault(cudaStreamEndCapture(stream, &graph), "recording a graph", err);
    if (status != SSW_OK)
        return status;
    ssw_cuda_graph *made = (ssw_cuda_graph *)calloc(1, sizeof *made);
    if (made)
        status = fault(cudaGraphInstantiate(&made->exec, graph, 0), "preparing a graph", err);
    else
        status = ssw_error_set(err, SSW_ERR_NOMEM, "no memory for a graph");
    (void)cudaGraphDestroy(graph);
    if (status != SSW_OK) {
        free(made);
        return status;
    }
    *out = made;
    return SSW_OK;
}

ssw_status ssw_cuda_graph_launch(ssw_cuda_graph *graph, ssw_cuda_stream stream, ssw_error *err)
{
    return fault(cudaGraphLaunch(graph->exec, stream), "starting a graph", err);
}

void ssw_cuda_graph_close(ssw_cuda_graph *graph)
{
    if (!graph)
        return;
    (void)cudaGraphExecDestroy(graph->exec);
    free(graph);
}

/* ---- signals ---- */

__global__ void set_signal(ssw_cuda_signal *signal, const uint32_t *step)
{
    __threadfence_system();
    *(volatile uint32_t *)&signal->value = *step;
}

__global__ void wait_signal(const ssw_cuda_signal *signal, const uint32_t *step, uint64_t patience_ns,
                            uint32_t *gave_up)
{
    await_signal(signal, *step, patience_ns, gave_up);
}

void ssw_cuda_signal_set(ssw_cuda_stream stream, ssw_cuda_signal *signal, const uint32_t *step)
{
    set_signal<<<1, 1, 0, stream>>>(signal, step);
}

void ssw_cuda_signal_wait(ssw_cuda_stream stream, const ssw_cuda_signal *signal, const uint32_t *step,
                          uint64_t patience_ns, uint32_t *gave_up)
{
    wait_signal<<<1, 1, 0, stream>>>(signal, step, patience_ns, gave_up);
}
