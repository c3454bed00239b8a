/* The price of a hand-over between device and host, without any work on either side: a graph of layers that
 * raise a signal and wait for the other one, as a decode step does, and a host that answers at once.
 * Microseconds of a round trip: the host's write seen by the device, a kernel's end and the next one's start,
 * the device's write seen by the host. Medians over steps. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cuda/cuda_device.h"

enum { LAYERS = 24, STEPS = 501 };
#define PATIENCE_NS (5 * SSW_NS_PER_S)

typedef struct bench {
    ssw_cuda_stream stream;
    ssw_cuda_graph *graph;
    ssw_cuda_signal *ready, *done; /* mapped, [LAYERS] */
    uint32_t *step_host, *step;    /* mapped, and on the device */
    uint32_t *gave_up;
} bench;

static void check(ssw_status status, const ssw_error *err)
{
    if (status == SSW_OK)
        return;
    fprintf(stderr, "bench_handoff: %s\n", err->message);
    exit(1);
}

static void set_up(bench *b)
{
    void *ready, *done, *step_host, *step, *gave_up;
    ssw_error err;
    check(ssw_cuda_alloc_host(&ready, LAYERS * sizeof *b->ready, &err), &err);
    check(ssw_cuda_alloc_host(&done, LAYERS * sizeof *b->done, &err), &err);
    check(ssw_cuda_alloc_host(&step_host, sizeof *b->step_host, &err), &err);
    check(ssw_cuda_alloc_host(&gave_up, sizeof *b->gave_up, &err), &err);
    check(ssw_cuda_alloc(&step, sizeof *b->step, &err), &err);
    *b = (bench){.ready = ready, .done = done, .step_host = step_host, .step = step, .gave_up = gave_up};
    check(ssw_cuda_stream_open(&b->stream, &err), &err);
    check(ssw_cuda_graph_begin(b->stream, &err), &err);
    ssw_cuda_copy_async(b->stream, b->step, b->step_host, sizeof *b->step);
    for (int i = 0; i < LAYERS; i++) {
        ssw_cuda_signal_set(b->stream, &b->ready[i], b->step);
        ssw_cuda_signal_wait(b->stream, &b->done[i], b->step, PATIENCE_NS, b->gave_up);
    }
    check(ssw_cuda_graph_end(b->stream, &b->graph, &err), &err);
}

/* Seconds of a step from its first signal to its last. */
static double run_step(bench *b)
{
    ssw_error err;
    uint32_t number = ++*b->step_host;
    int64_t begin_ns = 0;
    check(ssw_cuda_graph_launch(b->graph, b->stream, &err), &err);
    for (int i = 0; i < LAYERS; i++) {
        while (__atomic_load_n(&b->ready[i].value, __ATOMIC_ACQUIRE) != number)
            ;
        if (i == 0)
            begin_ns = ssw_clock_now_ns();
        if (i < LAYERS - 1)
            __atomic_store_n(&b->done[i].value, number, __ATOMIC_RELEASE);
    }
    int64_t end_ns = ssw_clock_now_ns();
    __atomic_store_n(&b->done[LAYERS - 1].value, number, __ATOMIC_RELEASE);
    check(ssw_cuda_stream_sync(b->stream, &err), &err);
    return (double)(end_ns - begin_ns) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static double seconds[STEPS];
    ssw_cuda_device device;
    ssw_error err;
    bench b;
    check(ssw_cuda_device_open(0, &device, &err), &err);
    set_up(&b);
    for (int i = 0; i < STEPS; i++)
        seconds[i] = run_step(&b) / (LAYERS - 1);
    qsort(seconds, STEPS, sizeof *seconds, by_value);
    printf("{\"device\": \"%s\", \"round_trip_us\": %.2f, \"p10_us\": %.2f, \"p90_us\": %.2f}\n", device.name,
           seconds[STEPS / 2] * 1e6, seconds[STEPS / 10] * 1e6, seconds[STEPS - STEPS / 10] * 1e6);
    return 0;
}
