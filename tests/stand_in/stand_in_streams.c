/* The stand-in's order: streams, events, graphs, copies and signals.
 *
 * A stream is a thread and a list of operations; the lock of a stream guards its list and its numbers. An
 * event holds the stream of its last record and how many operations that stream then has to have finished.
 * The NULL stream is opened when it is first used. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "stand_in_parts.h"

typedef struct node {
    struct node *next;
    stand_in_operation *run;
    uint64_t n_bytes;
    _Alignas(64) uint8_t args[];
} node;

typedef struct node_list {
    node *first, **end;
} node_list;

struct ssw_cuda_graph {
    node_list nodes;
};

struct CUstream_st {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    node_list waiting;
    uint64_t n_enqueued, n_finished;
    ssw_cuda_graph *recording; /* or NULL */
    bool is_closing;
};

/* Shared by streams that record it, wait for it, or both. */
struct CUevent_st {
    ssw_cuda_stream stream; /* NULL: never recorded */
    uint64_t reached_at;    /* operations of the stream */
};

static ssw_cuda_stream null_stream;

/* ---- lists ---- */

static void append(node_list *list, node *added)
{
    if (!list->end)
        list->end = &list->first;
    *list->end = added;
    list->end = &added->next;
}

static node *make_node(stand_in_operation *run, const void *args, uint64_t n_bytes)
{
    uint64_t room = (sizeof(node) + n_bytes + 63) / 64 * 64;
    node *made = aligned_alloc(64, room);
    if (!made)
        stand_in_end("no memory for an operation");
    made->next = NULL;
    made->run = run;
    made->n_bytes = n_bytes;
    memcpy(made->args, args, n_bytes);
    return made;
}

static void free_nodes(node_list *list)
{
    for (node *at = list->first, *next; at; at = next) {
        next = at->next;
        free(at);
    }
    *list = (node_list){0};
}

/* ---- streams ---- */

/* One operation after the other, until the stream is closed and has none left, or the device has stopped. */
static void *run_stream(void *context)
{
    ssw_cuda_stream stream = context;
    pthread_mutex_lock(&stream->lock);
    for (;;) {
        while (!stream->waiting.first && !stream->is_closing)
            pthread_cond_wait(&stream->changed, &stream->lock);
        node *next = stream->waiting.first;
        if (!next)
            break;
        pthread_mutex_unlock(&stream->lock);
        bool has_run = stand_in_may_run();
        if (has_run)
            next->run(next->args);
        pthread_mutex_lock(&stream->lock);
        pthread_cond_broadcast(&stream->changed);
        if (!has_run)
            break;
        stream->waiting.first = next->next;
        if (!next->next)
            stream->waiting.end = NULL;
        stream->n_finished++;
        free(next);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

static ssw_cuda_stream make_stream(void)
{
    ssw_cuda_stream stream = calloc(1, sizeof *stream);
    if (!stream)
        stand_in_end("no memory for a stream");
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->changed, NULL);
    if (pthread_create(&stream->thread, NULL, run_stream, stream) != 0)
        stand_in_end("no thread for a stream");
    return stream;
}

static void end_stream(ssw_cuda_stream stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->is_closing = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    free_nodes(&stream->waiting);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static ssw_cuda_stream stream_of(ssw_cuda_stream stream)
{
    if (stream)
        return stream;
    if (!null_stream)
        null_stream = make_stream();
    return null_stream;
}

void stand_in_reset_streams(void)
{
    if (null_stream)
        end_stream(null_stream);
    null_stream = NULL;
}

ssw_status ssw_cuda_stream_open(ssw_cuda_stream *out, ssw_error *err)
{
    *out = NULL;
    if (stand_in_must_fail(STAND_IN_OPEN))
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "CUDA: making a stream: out of memory");
    *out = make_stream();
    stand_in_add_streams(1);
    return SSW_OK;
}

void ssw_cuda_stream_close(ssw_cuda_stream stream)
{
    if (!stream)
        return;
    end_stream(stream);
    stand_in_add_streams(-1);
}

void stand_in_enqueue(ssw_cuda_stream given, stand_in_operation *run, const void *args, uint64_t n_bytes)
{
    ssw_cuda_stream stream = stream_of(given);
    node *added = make_node(run, args, n_bytes);
    if (stream->recording) {
        append(&stream->recording->nodes, added);
        return;
    }
    pthread_mutex_lock(&stream->lock);
    append(&stream->waiting, added);
    stream->n_enqueued++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

bool stand_in_is_recording(ssw_cuda_stream stream)
{
    return stream_of(stream)->recording != NULL;
}

/* False when the device stopped before. */
static bool await(ssw_cuda_stream stream, uint64_t n_finished)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->n_finished < n_finished && !stand_in_is_stopped()) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++; /* another stream may be the one that stops */
        pthread_cond_timedwait(&stream->changed, &stream->lock, &until);
    }
    bool has_finished = stream->n_finished >= n_finished;
    pthread_mutex_unlock(&stream->lock);
    return has_finished;
}

ssw_status ssw_cuda_stream_sync(ssw_cuda_stream given, ssw_error *err)
{
    ssw_cuda_stream stream = stream_of(given);
    if (await(stream, stream->n_enqueued))
        return SSW_OK;
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE,
                         "CUDA: running kernels: the launch timed out and was terminated");
}

ssw_status ssw_cuda_stream_check(ssw_cuda_stream stream, ssw_error *err)
{
    return SSW_OK;
}

/* ---- events ---- */

ssw_status ssw_cuda_event_open(ssw_cuda_event *out, ssw_error *err)
{
    *out = NULL;
    if (stand_in_must_fail(STAND_IN_OPEN))
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "CUDA: making an event: out of memory");
    *out = calloc(1, sizeof **out);
    if (!*out)
        stand_in_end("no memory for an event");
    stand_in_add_events(1);
    return SSW_OK;
}

void ssw_cuda_event_close(ssw_cuda_event event)
{
    if (!event)
        return;
    free(event);
    stand_in_add_events(-1);
}

void ssw_cuda_event_record(ssw_cuda_event event, ssw_cuda_stream given)
{
    ssw_cuda_stream stream = stream_of(given);
    if (stream->recording)
        stand_in_end("an event is recorded into a graph: write that when an engine needs it");
    event->stream = stream;
    event->reached_at = stream->n_enqueued;
}

static void run_wait(const void *args)
{
    const struct CUevent_st *event = args;
    await(event->stream, event->reached_at);
}

/* For the last record before this call, as CUDA does; an event without one holds nobody up. */
void ssw_cuda_stream_wait(ssw_cuda_stream stream, ssw_cuda_event event)
{
    if (event->stream)
        stand_in_enqueue(stream, run_wait, event, sizeof *event);
}

/* ---- graphs ---- */

static ssw_status refuse_graph(const char *what, ssw_error *err)
{
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "CUDA: %s a graph: out of memory", what);
}

ssw_status ssw_cuda_graph_begin(ssw_cuda_stream given, ssw_error *err)
{
    ssw_cuda_stream stream = stream_of(given);
    if (stand_in_must_fail(STAND_IN_GRAPH))
        return refuse_graph("recording", err);
    if (stream->recording)
        stand_in_end("a graph is begun within another");
    stream->recording = calloc(1, sizeof *stream->recording);
    if (!stream->recording)
        stand_in_end("no memory for a graph");
    stand_in_add_graphs(1);
    return SSW_OK;
}

ssw_status ssw_cuda_graph_end(ssw_cuda_stream given, ssw_cuda_graph **out, ssw_error *err)
{
    ssw_cuda_stream stream = stream_of(given);
    *out = NULL;
    ssw_cuda_graph *graph = stream->recording;
    if (!graph)
        stand_in_end("a graph is ended that was not begun");
    stream->recording = NULL;
    if (stand_in_must_fail(STAND_IN_GRAPH)) {
        ssw_cuda_graph_close(graph);
        return refuse_graph("preparing", err);
    }
    *out = graph;
    return SSW_OK;
}

ssw_status ssw_cuda_graph_launch(ssw_cuda_graph *graph, ssw_cuda_stream stream, ssw_error *err)
{
    if (stand_in_must_fail(STAND_IN_GRAPH))
        return refuse_graph("starting", err);
    for (const node *at = graph->nodes.first; at; at = at->next)
        stand_in_enqueue(stream, at->run, at->args, at->n_bytes);
    return SSW_OK;
}

void ssw_cuda_graph_close(ssw_cuda_graph *graph)
{
    if (!graph)
        return;
    free_nodes(&graph->nodes);
    free(graph);
    stand_in_add_graphs(-1);
}

/* ---- copies ---- */

/* As the runtime's: after what the NULL stream has, beside what other streams do. */
static ssw_status copy_now(void *to, const void *from, const void *on_device, uint64_t n_bytes,
                           ssw_error *err)
{
    if (stand_in_must_fail(STAND_IN_COPY))
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "CUDA: copying: an illegal memory access");
    if (null_stream && ssw_cuda_stream_sync(NULL, err) != SSW_OK)
        return SSW_ERR_UNAVAILABLE;
    stand_in_require(on_device, n_bytes, "copy");
    memcpy(to, from, n_bytes);
    return SSW_OK;
}

ssw_status ssw_cuda_copy_to_device(void *to, const void *from, uint64_t n_bytes, ssw_error *err)
{
    return copy_now(to, from, to, n_bytes, err);
}

ssw_status ssw_cuda_copy_to_host(void *to, const void *from, uint64_t n_bytes, ssw_error *err)
{
    return copy_now(to, from, from, n_bytes, err);
}

typedef struct copy_args {
    void *to;
    const void *from;
    uint64_t n_bytes;
} copy_args;

static void run_copy(const void *args)
{
    const copy_args *copy = args;
    memcpy(copy->to, copy->from, copy->n_bytes);
}

void ssw_cuda_copy_async(ssw_cuda_stream stream, void *to, const void *from, uint64_t n_bytes)
{
    bool waits = !stand_in_reaches(to, n_bytes) || !stand_in_reaches(from, n_bytes);
    if (waits && stand_in_is_recording(stream))
        stand_in_end("a graph copies memory that is not pinned");
    stand_in_enqueue(stream, run_copy, &(copy_args){to, from, n_bytes}, sizeof(copy_args));
    if (waits)
        (void)ssw_cuda_stream_sync(stream, NULL);
}

void ssw_cuda_copy_many(ssw_cuda_stream stream, const ssw_cuda_copies *copies)
{
    for (int32_t i = 0; i < copies->n; i++)
        ssw_cuda_copy_async(stream, copies->to[i], copies->from[i], copies->n_bytes[i]);
}

/* ---- signals ---- */

typedef struct signal_args {
    ssw_cuda_signal *signal;
    const uint32_t *step;
    uint64_t patience_ns;
    uint32_t *gave_up;
} signal_args;

static void run_signal_set(const void *args)
{
    const signal_args *s = args;
    stand_in_require(s->signal, sizeof *s->signal, "signal");
    stand_in_require(s->step, sizeof *s->step, "signal's step");
    __atomic_store_n(&s->signal->value, *s->step, __ATOMIC_RELEASE);
}

static void run_signal_wait(const void *args)
{
    const signal_args *s = args;
    stand_in_require(s->signal, sizeof *s->signal, "signal");
    stand_in_require(s->step, sizeof *s->step, "signal's step");
    int64_t begin_ns = ssw_clock_now_ns();
    bool gives_up = stand_in_must_give_up();
    while (__atomic_load_n(&s->signal->value, __ATOMIC_ACQUIRE) != *s->step) {
        if ((uint64_t)(ssw_clock_now_ns() - begin_ns) > s->patience_ns) {
            gives_up = true;
            break;
        }
        sched_yield();
    }
    if (gives_up)
        __atomic_store_n(s->gave_up, 1, __ATOMIC_RELEASE);
}

void ssw_cuda_signal_set(ssw_cuda_stream stream, ssw_cuda_signal *signal, const uint32_t *step)
{
    stand_in_enqueue(stream, run_signal_set, &(signal_args){.signal = signal, .step = step},
                     sizeof(signal_args));
}

void ssw_cuda_signal_wait(ssw_cuda_stream stream, const ssw_cuda_signal *signal, const uint32_t *step,
                          uint64_t patience_ns, uint32_t *gave_up)
{
    signal_args args = {(ssw_cuda_signal *)(uintptr_t)signal, step, patience_ns, gave_up};
    stand_in_enqueue(stream, run_signal_wait, &args, sizeof args);
}
