/* The stand-in's device: memory that is counted and guarded, and the failures that a test asks for. One lock
 * for everything here; streams' threads look, the caller changes. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in_parts.h"

enum { PIECES_MAX = 4096, GUARD_BYTES = 256, GUARD = 0xA5 };

typedef enum piece_kind { PIECE_DEVICE, PIECE_HOST, PIECE_PINNED } piece_kind;

typedef struct piece {
    piece_kind kind;
    uint8_t *memory; /* behind a guard, unless it was pinned only */
    uint64_t n_bytes;
} piece;

static struct {
    pthread_mutex_t lock;
    piece pieces[PIECES_MAX]; /* oldest first */
    int32_t n_pieces;
    stand_in_counts counts;
    uint64_t total_bytes;
    double copy_bytes_per_s;
    stand_in_call failing;
    int64_t fails_in; /* 0: never, or it has */
    bool has_failed;
    int64_t stops_in; /* operations; negative: never */
    int64_t n_operations;
    atomic_bool is_stopped;
    int64_t gives_up_in; /* 0: never, or it has */
} device = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .total_bytes = UINT64_C(8) << 30,
            .copy_bytes_per_s = 25e9,
            .stops_in = -1};

static void lock(void)
{
    pthread_mutex_lock(&device.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&device.lock);
}

void stand_in_end(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("stand-in: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* ---- what tests set and read ---- */

void stand_in_reset(void)
{
    stand_in_reset_streams();
    lock();
    stand_in_counts *c = &device.counts;
    if (device.n_pieces + c->n_streams + c->n_events + c->n_graphs > 0)
        stand_in_end("reset with %d pieces of memory, %d streams, %d events, %d graphs alive",
                     device.n_pieces, c->n_streams, c->n_events, c->n_graphs);
    *c = (stand_in_counts){0};
    device.total_bytes = UINT64_C(8) << 30;
    device.copy_bytes_per_s = 25e9;
    device.fails_in = 0;
    device.has_failed = false;
    device.stops_in = -1;
    device.n_operations = 0;
    atomic_store(&device.is_stopped, false);
    device.gives_up_in = 0;
    unlock();
}

void stand_in_set_memory(uint64_t total_bytes)
{
    lock();
    device.total_bytes = total_bytes;
    unlock();
}

void stand_in_set_copy_rate(double bytes_per_s)
{
    lock();
    device.copy_bytes_per_s = bytes_per_s;
    unlock();
}

void stand_in_fail(stand_in_call which, int64_t n)
{
    lock();
    device.failing = which;
    device.fails_in = n;
    device.has_failed = false;
    unlock();
}

bool stand_in_has_failed(void)
{
    lock();
    bool has_failed = device.has_failed;
    unlock();
    return has_failed;
}

void stand_in_stop_after(int64_t n_operations)
{
    lock();
    device.stops_in = n_operations;
    unlock();
}

void stand_in_give_up(int64_t n)
{
    lock();
    device.gives_up_in = n;
    unlock();
}

stand_in_counts stand_in_count(void)
{
    lock();
    stand_in_counts counts = device.counts;
    unlock();
    return counts;
}

int32_t stand_in_list(uint64_t *sizes, int32_t max)
{
    int32_t n = 0;
    lock();
    for (int32_t i = 0; i < device.n_pieces; i++) {
        if (device.pieces[i].kind == PIECE_DEVICE && n++ < max)
            sizes[n - 1] = device.pieces[i].n_bytes;
    }
    unlock();
    return n;
}

int64_t stand_in_operations(void)
{
    lock();
    int64_t n = device.n_operations;
    unlock();
    return n;
}

/* ---- what the other files ask ---- */

bool stand_in_must_fail(stand_in_call which)
{
    lock();
    bool is_meant = device.failing == STAND_IN_ANY_CALL || device.failing == which;
    bool fails = is_meant && device.fails_in > 0 && --device.fails_in == 0;
    device.has_failed = device.has_failed || fails;
    unlock();
    return fails;
}

bool stand_in_must_give_up(void)
{
    lock();
    bool gives_up = device.gives_up_in > 0 && --device.gives_up_in == 0;
    unlock();
    return gives_up;
}

bool stand_in_may_run(void)
{
    lock();
    bool may = device.stops_in != 0;
    if (may) {
        device.n_operations++;
        device.stops_in -= device.stops_in > 0;
    }
    unlock();
    if (!may)
        atomic_store(&device.is_stopped, true);
    return may;
}

bool stand_in_is_stopped(void)
{
    return atomic_load(&device.is_stopped);
}

void stand_in_add_streams(int32_t n)
{
    lock();
    device.counts.n_streams += n;
    unlock();
}

void stand_in_add_events(int32_t n)
{
    lock();
    device.counts.n_events += n;
    unlock();
}

void stand_in_add_graphs(int32_t n)
{
    lock();
    device.counts.n_graphs += n;
    unlock();
}

/* ---- the list of memory ---- */

static void count_piece(piece_kind kind, int32_t n, uint64_t n_bytes)
{
    stand_in_counts *c = &device.counts;
    int32_t *counts[] = {&c->n_device, &c->n_host, &c->n_pinned};
    uint64_t *bytes[] = {&c->device_bytes, &c->host_bytes, &c->pinned_bytes};
    *counts[kind] += n;
    *bytes[kind] += n > 0 ? n_bytes : -n_bytes;
    if (c->device_bytes > c->device_bytes_highest)
        c->device_bytes_highest = c->device_bytes;
}

static void add_piece(piece_kind kind, void *memory, uint64_t n_bytes)
{
    lock();
    if (device.n_pieces == PIECES_MAX)
        stand_in_end("more than %d pieces of memory", PIECES_MAX);
    device.pieces[device.n_pieces++] = (piece){kind, memory, n_bytes};
    count_piece(kind, 1, n_bytes);
    unlock();
}

static piece remove_piece(piece_kind kind, const void *memory)
{
    lock();
    int32_t i = 0;
    while (i < device.n_pieces && (device.pieces[i].memory != memory || device.pieces[i].kind != kind))
        i++;
    if (i == device.n_pieces)
        stand_in_end("%p is given back, but was never taken", memory);
    piece removed = device.pieces[i];
    memmove(&device.pieces[i], &device.pieces[i + 1],
            (size_t)(device.n_pieces - i - 1) * sizeof device.pieces[0]);
    device.n_pieces--;
    count_piece(kind, -1, removed.n_bytes);
    unlock();
    return removed;
}

bool stand_in_reaches(const void *memory, uint64_t n_bytes)
{
    const uint8_t *at = memory;
    bool is_found = false;
    lock();
    for (int32_t i = 0; i < device.n_pieces && !is_found; i++) {
        const piece *p = &device.pieces[i];
        is_found = at >= p->memory && at + n_bytes <= p->memory + p->n_bytes;
    }
    unlock();
    return is_found;
}

void stand_in_require(const void *memory, uint64_t n_bytes, const char *what)
{
    if (memory && !stand_in_reaches(memory, n_bytes))
        stand_in_end("%s: %llu bytes at %p are neither device memory nor pinned", what,
                     (unsigned long long)n_bytes, memory);
}

/* Zeroed, between two guards. */
static void *take(piece_kind kind, uint64_t n_bytes)
{
    uint64_t room = (n_bytes + GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES + 2 * GUARD_BYTES;
    uint8_t *memory = aligned_alloc(GUARD_BYTES, room);
    if (!memory)
        return NULL;
    memset(memory, GUARD, GUARD_BYTES);
    memset(memory + GUARD_BYTES, 0, n_bytes);
    memset(memory + GUARD_BYTES + n_bytes, GUARD, room - GUARD_BYTES - n_bytes);
    add_piece(kind, memory + GUARD_BYTES, n_bytes);
    return memory + GUARD_BYTES;
}

static void give_back(piece_kind kind, void *memory)
{
    if (!memory)
        return;
    piece p = remove_piece(kind, memory);
    for (int i = 0; i < GUARD_BYTES; i++) {
        if (p.memory[-1 - i] != GUARD || p.memory[p.n_bytes + (uint64_t)i] != GUARD)
            stand_in_end("%llu bytes at %p were overrun", (unsigned long long)p.n_bytes, memory);
    }
    free(p.memory - GUARD_BYTES);
}

/* ---- cuda_device.h ---- */

int32_t ssw_cuda_device_count(ssw_error *why)
{
    return 1;
}

ssw_status ssw_cuda_device_open(int32_t index, ssw_cuda_device *out, ssw_error *err)
{
    *out = (ssw_cuda_device){.name = "stand-in for a GPU",
                             .compute_major = 9,
                             .n_multiprocessors = 1,
                             .maps_registered_memory = true};
    if (index != 0)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "CUDA: opening the device: invalid device ordinal");
    lock();
    out->total_bytes = device.total_bytes;
    unlock();
    out->free_bytes = ssw_cuda_device_free_bytes();
    return SSW_OK;
}

ssw_status ssw_cuda_device_use(const ssw_cuda_device *own, ssw_error *err)
{
    return SSW_OK;
}

uint64_t ssw_cuda_device_free_bytes(void)
{
    lock();
    uint64_t used = device.counts.device_bytes;
    uint64_t n = device.total_bytes > used ? device.total_bytes - used : 0;
    unlock();
    return n;
}

ssw_status ssw_cuda_alloc(void **out, uint64_t n_bytes, ssw_error *err)
{
    bool fits = n_bytes <= ssw_cuda_device_free_bytes();
    *out = fits && !stand_in_must_fail(STAND_IN_ALLOC) ? take(PIECE_DEVICE, n_bytes) : NULL;
    return *out ? SSW_OK
                : ssw_error_set(err, SSW_ERR_NOMEM, "no %.1f MiB of GPU memory: out of memory",
                                (double)n_bytes / (1 << 20));
}

void ssw_cuda_free(void *memory)
{
    give_back(PIECE_DEVICE, memory);
}

ssw_status ssw_cuda_alloc_host(void **out, uint64_t n_bytes, ssw_error *err)
{
    *out = stand_in_must_fail(STAND_IN_ALLOC_HOST) ? NULL : take(PIECE_HOST, n_bytes);
    return *out ? SSW_OK
                : ssw_error_set(err, SSW_ERR_NOMEM, "CUDA: allocating pinned host memory: out of memory");
}

void ssw_cuda_free_host(void *memory)
{
    give_back(PIECE_HOST, memory);
}

ssw_status ssw_cuda_pin(void *memory, uint64_t n_bytes, ssw_error *err)
{
    if (stand_in_must_fail(STAND_IN_PIN))
        return ssw_error_set(err, SSW_ERR_NOMEM, "CUDA: pinning host memory: out of memory");
    if (stand_in_reaches(memory, 1))
        stand_in_end("%p is pinned twice", memory);
    add_piece(PIECE_PINNED, memory, n_bytes);
    return SSW_OK;
}

void ssw_cuda_unpin(void *memory)
{
    remove_piece(PIECE_PINNED, memory);
}

ssw_status ssw_cuda_measure_copies(double *bytes_per_s, ssw_error *err)
{
    lock();
    *bytes_per_s = device.copy_bytes_per_s;
    device.counts.n_measured++;
    unlock();
    return SSW_OK;
}
