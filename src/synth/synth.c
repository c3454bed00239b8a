/* See synth.h. Makers take chunk numbers in order and fill the slots of a ring; the caller's thread writes
 * slots in the same order. One mutex guards the ring's counters; the blocks are made and written outside of
 * it. */
#include "synth/synth.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/disk_space.h"
#include "gguf/gguf_writer.h"
#include "synth/random_blocks.h"
#include "synth/shape_keys.h"
#include "synth/vocabulary.h"

enum { SLOTS_PER_THREAD = 3 };

/* A piece of one tensor. */
typedef struct piece {
    const ssw_synth_tensor *tensor;
    uint64_t first_block, n_blocks;
} piece;

typedef struct slot {
    unsigned char *bytes; /* [SSW_SYNTH_CHUNK_BYTES] */
    size_t n_bytes;
    bool ready;
} slot;

typedef struct factory {
    const ssw_synth_plan *plan;
    uint64_t seed;
    pthread_mutex_t mutex;
    pthread_cond_t slot_free, slot_ready;
    slot *slots; /* [n_slots] */
    uint64_t n_slots, n_taken, n_written;
    size_t next_tensor; /* where the next piece begins */
    uint64_t next_block;
    bool stop;
    pthread_t threads[SSW_SYNTH_THREADS_MAX];
    int n_threads;
} factory;

static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/* Under the mutex. False when there is nothing left. */
static bool take_piece(factory *f, piece *out)
{
    if (f->next_tensor == f->plan->n_tensors)
        return false;
    const ssw_synth_tensor *tensor = &f->plan->tensors[f->next_tensor];
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)tensor->dtype);
    uint64_t n_blocks = tensor->n_bytes / traits->block_bytes;
    uint64_t room = SSW_SYNTH_CHUNK_BYTES / traits->block_bytes;
    if (tensor->row_scale) /* whole rows */
        room = room / tensor->dims[0] * tensor->dims[0];
    uint64_t left = n_blocks - f->next_block;
    *out = (piece){tensor, f->next_block, left < room ? left : room};
    f->next_block += out->n_blocks;
    if (f->next_block == n_blocks) {
        f->next_tensor++;
        f->next_block = 0;
    }
    return true;
}

static void add_one(unsigned char *bytes, uint64_t n)
{
    float value;
    for (uint64_t i = 0; i < n; i++, bytes += sizeof value) {
        memcpy(&value, bytes, sizeof value);
        value += 1;
        memcpy(bytes, &value, sizeof value);
    }
}

static void make_piece(const factory *f, const piece *p, slot *out)
{
    const ssw_synth_tensor *tensor = p->tensor;
    const ssw_dtype_traits *traits = ssw_dtype_find((uint32_t)tensor->dtype);
    uint64_t seed = ssw_random_mix(ssw_random_mix(f->seed, hash_name(tensor->name)), p->first_block);
    out->n_bytes = (size_t)(p->n_blocks * traits->block_bytes);
    if (tensor->values) {
        memcpy(out->bytes, tensor->values + p->first_block, out->n_bytes);
    } else if (tensor->row_scale) {
        uint64_t n = tensor->dims[0];
        for (uint64_t at = 0; at < p->n_blocks; at += n) {
            uint64_t row = (p->first_block + at) / n;
            ssw_random_blocks_fill(ssw_random_mix(seed, row), tensor->dtype,
                                   tensor->sigma * tensor->row_scale[row],
                                   out->bytes + at * traits->block_bytes, (size_t)n);
        }
    } else {
        ssw_random_blocks_fill(seed, tensor->dtype, tensor->sigma, out->bytes, (size_t)p->n_blocks);
    }
    if (tensor->around_one)
        add_one(out->bytes, p->n_blocks);
}

static void *make_pieces(void *context)
{
    factory *f = context;
    piece p;
    pthread_mutex_lock(&f->mutex);
    for (;;) {
        while (!f->stop && f->n_taken - f->n_written >= f->n_slots)
            pthread_cond_wait(&f->slot_free, &f->mutex);
        if (f->stop || !take_piece(f, &p))
            break;
        slot *mine = &f->slots[f->n_taken++ % f->n_slots];
        pthread_mutex_unlock(&f->mutex);
        make_piece(f, &p, mine);
        pthread_mutex_lock(&f->mutex);
        mine->ready = true;
        pthread_cond_signal(&f->slot_ready);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

static int count_cores(void)
{
    int cpus[SSW_SYNTH_THREADS_MAX];
    int n = ssw_cores_list(cpus, SSW_SYNTH_THREADS_MAX), limit = ssw_cores_read_cgroup_limit();
    return limit > 0 && limit < n ? limit : n;
}

static void factory_close(factory *f)
{
    pthread_mutex_lock(&f->mutex);
    f->stop = true;
    pthread_cond_broadcast(&f->slot_free);
    pthread_mutex_unlock(&f->mutex);
    for (int i = 0; i < f->n_threads; i++)
        pthread_join(f->threads[i], NULL);
    for (uint64_t i = 0; f->slots && i < f->n_slots; i++)
        free(f->slots[i].bytes);
    free(f->slots);
    pthread_cond_destroy(&f->slot_ready);
    pthread_cond_destroy(&f->slot_free);
    pthread_mutex_destroy(&f->mutex);
}

/* factory_close is due even after a failure. */
static ssw_status factory_open(factory *f, int n_threads, ssw_error *err)
{
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->slot_free, NULL);
    pthread_cond_init(&f->slot_ready, NULL);
    f->n_slots = (uint64_t)n_threads * SLOTS_PER_THREAD;
    f->slots = calloc(f->n_slots, sizeof *f->slots);
    for (uint64_t i = 0; f->slots && i < f->n_slots; i++) {
        if (!(f->slots[i].bytes = malloc(SSW_SYNTH_CHUNK_BYTES)))
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %" PRIu64 " buffers of %d MiB",
                                 f->n_slots, SSW_SYNTH_CHUNK_BYTES >> 20);
    }
    if (!f->slots)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    for (int i = 0; i < n_threads; i++) {
        int failed = pthread_create(&f->threads[f->n_threads], NULL, make_pieces, f);
        if (failed && f->n_threads == 0)
            return ssw_error_set_errno(err, SSW_ERR_NOMEM, failed, "cannot start a thread");
        f->n_threads += failed == 0;
    }
    return SSW_OK;
}

static ssw_status write_pieces(factory *f, ssw_gguf_writer *writer, const ssw_synth_run *run, ssw_error *err)
{
    ssw_status status = SSW_OK;
    uint64_t written_bytes = 0, total_bytes = f->plan->tensor_bytes;
    while (status == SSW_OK && written_bytes < total_bytes) {
        pthread_mutex_lock(&f->mutex);
        slot *next = &f->slots[f->n_written % f->n_slots];
        while (!next->ready)
            pthread_cond_wait(&f->slot_ready, &f->mutex);
        pthread_mutex_unlock(&f->mutex);
        status = ssw_gguf_writer_write_data(writer, next->bytes, next->n_bytes, err);
        written_bytes += next->n_bytes;
        pthread_mutex_lock(&f->mutex);
        next->ready = false;
        f->n_written++;
        pthread_cond_signal(&f->slot_free);
        pthread_mutex_unlock(&f->mutex);
        if (status == SSW_OK && run->progress)
            run->progress(run->context, written_bytes, total_bytes);
        if (status == SSW_OK && run->cancel && atomic_load(run->cancel))
            status = ssw_error_set(err, SSW_ERR_CANCELLED, "stopped; the unfinished file is removed");
    }
    return status;
}

static ssw_status write_header(const ssw_synth_options *options, const ssw_synth_plan *plan,
                               ssw_gguf_writer *writer, ssw_error *err)
{
    ssw_shape_keys_write(options, writer);
    ssw_status status = ssw_vocabulary_write(options->shape, options->n_vocab, writer, err);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const ssw_synth_tensor *tensor = &plan->tensors[i];
        ssw_gguf_writer_add_tensor(writer, tensor->name, tensor->dtype, tensor->n_dims, tensor->dims);
    }
    return status == SSW_OK ? ssw_gguf_writer_begin_data(writer, err) : status;
}

ssw_status ssw_synth_write(const ssw_synth_options *options, const char *path, const ssw_synth_run *run,
                           ssw_synth_result *result, ssw_error *err)
{
    ssw_synth_plan plan;
    ssw_gguf_writer *writer = NULL;
    factory *f = NULL;
    int n_threads = run->n_threads > 0 ? run->n_threads : count_cores();
    ssw_status status;
    if (run->n_threads < 0 || n_threads > SSW_SYNTH_THREADS_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "threads: 1 to %d, not %d", SSW_SYNTH_THREADS_MAX,
                             run->n_threads);
    status = ssw_synth_plan_init(&plan, options, err);
    if (status != SSW_OK)
        return status;
    status = ssw_disk_check_space(path, plan.tensor_bytes, err);
    if (status != SSW_OK)
        goto cleanup;
    status = ssw_gguf_writer_open(path, 0, &writer, err);
    if (status != SSW_OK)
        goto cleanup;
    status = write_header(options, &plan, writer, err);
    if (status != SSW_OK)
        goto cleanup;
    int64_t begin_ns = ssw_clock_now_ns();
    f = calloc(1, sizeof *f);
    if (!f) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
        goto cleanup;
    }
    f->plan = &plan;
    f->seed = options->seed;
    status = factory_open(f, n_threads, err);
    if (status == SSW_OK)
        status = write_pieces(f, writer, run, err);
    if (status == SSW_OK)
        status = ssw_gguf_writer_finish(writer, err);
    *result = (ssw_synth_result){.n_tensors = plan.n_tensors,
                                 .n_parameters = plan.n_parameters,
                                 .n_active = plan.n_active,
                                 .n_embedding = plan.n_embedding,
                                 .tensor_bytes = plan.tensor_bytes,
                                 .n_threads = f->n_threads,
                                 .write_ns = ssw_clock_now_ns() - begin_ns};
cleanup:
    if (f)
        factory_close(f);
    free(f);
    ssw_gguf_writer_close(writer);
    ssw_synth_plan_deinit(&plan);
    return status;
}
