/* See quantize.h. Threads live for one slab of a tensor's rows, each with a range of its own; the caller's
 * thread writes the slab when all have ended. */
#include "quantize/quantize.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/disk_space.h"
#include "gguf/gguf_writer.h"
#include "quant/quant.h"

enum { SLAB_WEIGHTS = 1 << 20, COPY_BYTES = 4 << 20, QUANTIZATION_VERSION = 2 };

typedef struct share { /* one thread's rows of a slab */
    const ssw_gguf_tensor *tensor;
    const uint8_t *from;
    uint8_t *to;
    ssw_dtype dtype;
    uint64_t n_rows;
    float *row;  /* [dims[0]] */
    bool failed; /* a weight is infinite or not a number */
} share;

typedef struct conversion {
    ssw_gguf_writer *writer;
    const ssw_quantize_run *run;
    uint64_t read_bytes, total_bytes;
    int n_threads;
} conversion;

static void *convert_share(void *context)
{
    share *s = context;
    uint64_t n = s->tensor->dims[0], from_bytes = ssw_dtype_row_bytes(s->tensor->dtype, n),
             to_bytes = ssw_dtype_row_bytes(s->dtype, n);
    for (uint64_t r = 0; r < s->n_rows && !s->failed; r++) {
        ssw_quant_dequantize_row(s->tensor->dtype, s->from + r * from_bytes, n, s->row);
        for (uint64_t i = 0; i < n; i++)
            s->failed |= !isfinite(s->row[i]);
        if (!s->failed)
            ssw_quant_quantize_row(s->dtype, s->row, n, s->to + r * to_bytes);
    }
    return NULL;
}

/* Runs all shares at once, the first on this thread. */
static bool run_shares(share *shares, int n)
{
    pthread_t threads[SSW_QUANTIZE_THREADS_MAX];
    bool started[SSW_QUANTIZE_THREADS_MAX] = {false}, failed = false;
    for (int i = 1; i < n; i++)
        started[i] = pthread_create(&threads[i], NULL, convert_share, &shares[i]) == 0;
    for (int i = 0; i < n; i++) {
        if (!started[i])
            convert_share(&shares[i]);
    }
    for (int i = 0; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        failed |= shares[i].failed;
    }
    return !failed;
}

static ssw_status report(conversion *c, uint64_t read_bytes, ssw_error *err)
{
    c->read_bytes += read_bytes;
    if (c->run->progress)
        c->run->progress(c->run->context, c->read_bytes, c->total_bytes);
    if (c->run->cancel && atomic_load(c->run->cancel))
        return ssw_error_set(err, SSW_ERR_CANCELLED, "stopped; the unfinished file is removed");
    return SSW_OK;
}

static ssw_status copy_tensor(conversion *c, const ssw_gguf_tensor *tensor, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (uint64_t at = 0; status == SSW_OK && at < tensor->n_bytes; at += COPY_BYTES) {
        uint64_t n = tensor->n_bytes - at < COPY_BYTES ? tensor->n_bytes - at : COPY_BYTES;
        status = ssw_gguf_writer_write_data(c->writer, (const uint8_t *)tensor->data + at, (size_t)n, err);
        if (status == SSW_OK)
            status = report(c, n, err);
    }
    return status;
}

static ssw_status convert_slabs(conversion *c, const ssw_gguf_tensor *tensor, ssw_dtype dtype,
                                uint64_t slab_rows, float *values, uint8_t *rows, ssw_error *err)
{
    uint64_t n = tensor->dims[0], n_rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    uint64_t from_bytes = ssw_dtype_row_bytes(tensor->dtype, n), to_bytes = ssw_dtype_row_bytes(dtype, n);
    ssw_status status = SSW_OK;
    for (uint64_t at = 0; status == SSW_OK && at < n_rows; at += slab_rows) {
        share shares[SSW_QUANTIZE_THREADS_MAX];
        uint64_t left = n_rows - at < slab_rows ? n_rows - at : slab_rows, begin = 0;
        for (int i = 0; i < c->n_threads; i++) {
            uint64_t end = left * (uint64_t)(i + 1) / (uint64_t)c->n_threads;
            shares[i] = (share){.tensor = tensor,
                                .from = (const uint8_t *)tensor->data + (at + begin) * from_bytes,
                                .to = rows + begin * to_bytes,
                                .dtype = dtype,
                                .n_rows = end - begin,
                                .row = values + (uint64_t)i * n};
            begin = end;
        }
        if (!run_shares(shares, c->n_threads))
            return ssw_error_set(err, SSW_ERR_FORMAT,
                                 "tensor '%s' has weights that are infinite or not a number", tensor->name);
        status = ssw_gguf_writer_write_data(c->writer, rows, (size_t)(left * to_bytes), err);
        if (status == SSW_OK)
            status = report(c, left * from_bytes, err);
    }
    return status;
}

static ssw_status convert_tensor(conversion *c, const ssw_gguf_tensor *tensor, ssw_dtype dtype,
                                 ssw_error *err)
{
    uint64_t n = tensor->dims[0];
    if (!ssw_quant_supports(tensor->dtype))
        return ssw_error_set(err, SSW_ERR_UNSUPPORTED, "tensor '%s' is %s, which is not converted",
                             tensor->name, ssw_dtype_find((uint32_t)tensor->dtype)->name);
    if (n == 0 || n > SSW_QUANTIZE_ROW_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "tensor '%s' has rows of %llu weights, at most %d are read",
                             tensor->name, (unsigned long long)n, SSW_QUANTIZE_ROW_MAX);
    uint64_t slab_rows = SLAB_WEIGHTS / n;
    slab_rows = slab_rows > 0 ? slab_rows * (uint64_t)c->n_threads : (uint64_t)c->n_threads;
    float *values = malloc((size_t)(n * (uint64_t)c->n_threads * sizeof *values));
    uint8_t *rows = malloc((size_t)(slab_rows * ssw_dtype_row_bytes(dtype, n)));
    ssw_status status = values && rows ? convert_slabs(c, tensor, dtype, slab_rows, values, rows, err)
                                       : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    free(values);
    free(rows);
    return status;
}

static ssw_status check_place(const ssw_gguf *from, const char *path, uint64_t needed_bytes, ssw_error *err)
{
    struct stat there, file;
    for (size_t i = 0; stat(path, &there) == 0 && i < ssw_gguf_count_files(from); i++) {
        if (stat(ssw_gguf_file_path(from, i), &file) == 0 && file.st_dev == there.st_dev &&
            file.st_ino == there.st_ino)
            return ssw_error_set(err, SSW_ERR_USAGE, "%s: is the model that is read", path);
    }
    return ssw_disk_check_space(path, needed_bytes, err);
}

static void write_keys(const ssw_gguf *from, const ssw_type_mix *mix, ssw_gguf_writer *writer)
{
    for (size_t i = 0; i < ssw_gguf_count_keys(from); i++) {
        const ssw_gguf_key *key = ssw_gguf_key_at(from, i);
        const char *name = ssw_gguf_key_name(key);
        if (strncmp(name, "split.", 6) != 0 && strcmp(name, "general.alignment") != 0 &&
            strcmp(name, "general.file_type") != 0 && strcmp(name, "general.quantization_version") != 0)
            ssw_gguf_writer_copy_key(writer, key);
    }
    ssw_gguf_writer_set_u32(writer, "general.quantization_version", QUANTIZATION_VERSION);
    ssw_gguf_writer_set_u32(writer, "general.file_type", mix->file_type);
}

/* types: [n_tensors], filled. */
static void plan_types(const ssw_gguf *from, const ssw_type_mix *mix, ssw_dtype *types,
                       ssw_quantize_result *r)
{
    ssw_mix_facts facts;
    ssw_mix_facts_read(from, &facts);
    *r = (ssw_quantize_result){.n_tensors = ssw_gguf_count_tensors(from)};
    for (size_t i = 0; i < r->n_tensors; i++) {
        const ssw_gguf_tensor *t = ssw_gguf_tensor_at(from, i);
        bool fell_back;
        types[i] = ssw_type_mix_choose(mix, &facts, t, &fell_back);
        uint64_t n_bytes = ssw_dtype_row_bytes(types[i], t->dims[0]) * t->dims[1] * t->dims[2] * t->dims[3];
        r->n_converted += types[i] != t->dtype;
        r->n_requantized += types[i] != t->dtype && ssw_dtype_find((uint32_t)t->dtype)->block_elements > 1;
        r->n_fell_back += fell_back;
        r->from_bytes += t->n_bytes;
        r->to_bytes += n_bytes;
        r->type_bytes[types[i]] += n_bytes;
    }
}

ssw_status ssw_quantize_file(const ssw_gguf *from, const char *path, const ssw_type_mix *mix,
                             const ssw_quantize_run *run, ssw_quantize_result *result, ssw_error *err)
{
    uint64_t alignment_bytes = 0;
    int cpus[SSW_CORES_MAX], n_threads = run->n_threads;
    if (n_threads < 0 || n_threads > SSW_QUANTIZE_THREADS_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "threads: 1 to %d, not %d", SSW_QUANTIZE_THREADS_MAX,
                             n_threads);
    if (n_threads == 0)
        n_threads = ssw_cores_list(cpus, SSW_QUANTIZE_THREADS_MAX);
    size_t n_tensors = ssw_gguf_count_tensors(from);
    ssw_dtype *types = calloc(n_tensors + 1, sizeof *types);
    conversion c = {.run = run, .n_threads = n_threads};
    int64_t begin_ns = ssw_clock_now_ns();
    if (!types)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    plan_types(from, mix, types, result);
    c.total_bytes = result->from_bytes;
    ssw_gguf_read_u64(ssw_gguf_find_key(from, "general.alignment"), &alignment_bytes);
    ssw_status status = check_place(from, path, result->to_bytes, err);
    if (status == SSW_OK)
        status = ssw_gguf_writer_open(path, (uint32_t)alignment_bytes, &c.writer, err);
    if (status != SSW_OK)
        goto cleanup;
    write_keys(from, mix, c.writer);
    for (size_t i = 0; i < n_tensors; i++) {
        const ssw_gguf_tensor *t = ssw_gguf_tensor_at(from, i);
        ssw_gguf_writer_add_tensor(c.writer, t->name, types[i], t->n_dims, t->dims);
    }
    status = ssw_gguf_writer_begin_data(c.writer, err);
    for (size_t i = 0; status == SSW_OK && i < n_tensors; i++) {
        const ssw_gguf_tensor *t = ssw_gguf_tensor_at(from, i);
        status = types[i] == t->dtype ? copy_tensor(&c, t, err) : convert_tensor(&c, t, types[i], err);
    }
    if (status == SSW_OK)
        status = ssw_gguf_writer_finish(c.writer, err);
    result->n_threads = n_threads;
    result->elapsed_ns = ssw_clock_now_ns() - begin_ns;
cleanup:
    ssw_gguf_writer_close(c.writer);
    free(types);
    return status;
}
