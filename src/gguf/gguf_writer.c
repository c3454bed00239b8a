/* The GGUF writer: keys and tensor announcements gather in memory, tensor data go straight to the file. */
#include "gguf/gguf_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "gguf/gguf_internal.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the writer stores host-order values as they are"
#endif

enum { ALIGNMENT_DEFAULT = 32, FILE_BUFFER_BYTES = 1 << 20 };
#define HEADER_BYTES_MAX ((size_t)2 << 30)

typedef enum writer_phase { PHASE_KEYS, PHASE_DATA, PHASE_FINISHED } writer_phase;

struct ssw_gguf_writer {
    char *path, *tmp_path;
    FILE *file;
    writer_phase phase;
    ssw_error failure; /* the first one; status SSW_OK while there is none */
    uint64_t alignment_bytes;
    ssw_strbuf keys, infos; /* as they will stand in the file */
    uint64_t n_keys, n_tensors;
    uint64_t *sizes_bytes; /* [n_tensors] */
    size_t sizes_capacity;
    uint64_t next_offset_bytes; /* of the next announced tensor */
    uint64_t current;           /* the tensor whose data come next */
    uint64_t current_bytes;     /* of it, written so far */
};

static void fail(ssw_gguf_writer *writer, ssw_status status, const char *what, const char *name)
{
    if (writer->failure.status == SSW_OK)
        ssw_error_set(&writer->failure, status, "%s: %s '%s'", writer->path, what, name);
}

static uint64_t align_up(const ssw_gguf_writer *writer, uint64_t n)
{
    return (n + writer->alignment_bytes - 1) / writer->alignment_bytes * writer->alignment_bytes;
}

static void append_u32(ssw_strbuf *buf, uint32_t value)
{
    ssw_strbuf_append(buf, &value, sizeof value);
}

static void append_u64(ssw_strbuf *buf, uint64_t value)
{
    ssw_strbuf_append(buf, &value, sizeof value);
}

static void append_text(ssw_strbuf *buf, const char *text, size_t n_bytes)
{
    append_u64(buf, n_bytes);
    ssw_strbuf_append(buf, text, n_bytes);
}

ssw_status ssw_gguf_writer_open(const char *path, uint32_t alignment_bytes, ssw_gguf_writer **out,
                                ssw_error *err)
{
    *out = NULL;
    uint32_t alignment = alignment_bytes ? alignment_bytes : ALIGNMENT_DEFAULT;
    if (alignment < SSW_GGUF_ALIGNMENT_MIN || alignment > SSW_GGUF_ALIGNMENT_MAX ||
        (alignment & (alignment - 1)) != 0)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "%s: alignment %" PRIu32 " is not a power of two from %d to %d", path, alignment,
                             SSW_GGUF_ALIGNMENT_MIN, SSW_GGUF_ALIGNMENT_MAX);
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return ssw_error_set(err, SSW_ERR_USAGE, "%s: exists and is not a regular file", path);
    ssw_gguf_writer *writer = calloc(1, sizeof *writer);
    if (!writer || !(writer->path = strdup(path)) || asprintf(&writer->tmp_path, "%s.tmp", path) < 0) {
        ssw_gguf_writer_close(writer);
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", path);
    }
    ssw_strbuf_init(&writer->keys, HEADER_BYTES_MAX);
    ssw_strbuf_init(&writer->infos, HEADER_BYTES_MAX);
    writer->alignment_bytes = alignment;
    writer->file = fopen(writer->tmp_path, "wbe");
    if (!writer->file) {
        ssw_status status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", writer->tmp_path);
        ssw_gguf_writer_close(writer);
        return status;
    }
    setvbuf(writer->file, NULL, _IOFBF, FILE_BUFFER_BYTES);
    if (alignment_bytes)
        ssw_gguf_writer_set_u32(writer, "general.alignment", alignment);
    *out = writer;
    return SSW_OK;
}

void ssw_gguf_writer_close(ssw_gguf_writer *writer)
{
    if (!writer)
        return;
    if (writer->file) {
        fclose(writer->file);
        unlink(writer->tmp_path);
    }
    ssw_strbuf_deinit(&writer->keys);
    ssw_strbuf_deinit(&writer->infos);
    free(writer->sizes_bytes);
    free(writer->tmp_path);
    free(writer->path);
    free(writer);
}

/* Name and type of one more key; false when no key may be added. */
static bool begin_key(ssw_gguf_writer *writer, const char *key, ssw_gguf_type type)
{
    size_t n_bytes = strlen(key);
    if (writer->phase != PHASE_KEYS)
        fail(writer, SSW_ERR_USAGE, "too late for key", key);
    else if (n_bytes == 0 || n_bytes > SSW_GGUF_KEY_BYTES_MAX || writer->n_keys >= SSW_GGUF_KEYS_MAX)
        fail(writer, SSW_ERR_LIMIT, "too many keys or a bad name at key", key);
    if (writer->failure.status != SSW_OK)
        return false;
    append_text(&writer->keys, key, n_bytes);
    append_u32(&writer->keys, (uint32_t)type);
    writer->n_keys++;
    return true;
}

void ssw_gguf_writer_set(ssw_gguf_writer *writer, const char *key, ssw_gguf_type type, const void *value)
{
    size_t n_bytes = ssw_gguf_type_bytes((uint32_t)type);
    if (n_bytes == 0)
        fail(writer, SSW_ERR_USAGE, "not a scalar type for key", key);
    else if (begin_key(writer, key, type))
        ssw_strbuf_append(&writer->keys, value, n_bytes);
}

void ssw_gguf_writer_set_u32(ssw_gguf_writer *writer, const char *key, uint32_t value)
{
    ssw_gguf_writer_set(writer, key, SSW_GGUF_U32, &value);
}

void ssw_gguf_writer_set_f32(ssw_gguf_writer *writer, const char *key, float value)
{
    ssw_gguf_writer_set(writer, key, SSW_GGUF_F32, &value);
}

void ssw_gguf_writer_set_bool(ssw_gguf_writer *writer, const char *key, bool value)
{
    unsigned char byte = value ? 1 : 0;
    ssw_gguf_writer_set(writer, key, SSW_GGUF_BOOL, &byte);
}

static void set_bytes(ssw_gguf_writer *writer, const char *key, const char *text, size_t n_bytes)
{
    if (begin_key(writer, key, SSW_GGUF_STRING))
        append_text(&writer->keys, text, n_bytes);
}

void ssw_gguf_writer_set_text(ssw_gguf_writer *writer, const char *key, const char *value)
{
    set_bytes(writer, key, value, strlen(value));
}

void ssw_gguf_writer_set_array(ssw_gguf_writer *writer, const char *key, ssw_gguf_type type,
                               const void *values, uint64_t n)
{
    size_t n_bytes = ssw_gguf_type_bytes((uint32_t)type);
    if (n_bytes == 0 || n > SSW_GGUF_ARRAY_LENGTH_MAX)
        fail(writer, SSW_ERR_USAGE, "not an array of a fixed-size type, or too long, at key", key);
    else if (begin_key(writer, key, SSW_GGUF_ARRAY)) {
        append_u32(&writer->keys, (uint32_t)type);
        append_u64(&writer->keys, n);
        ssw_strbuf_append(&writer->keys, values, (size_t)n * n_bytes);
    }
}

void ssw_gguf_writer_set_texts(ssw_gguf_writer *writer, const char *key, const ssw_gguf_text *values,
                               uint64_t n)
{
    if (n > SSW_GGUF_ARRAY_LENGTH_MAX)
        fail(writer, SSW_ERR_LIMIT, "too many strings at key", key);
    else if (begin_key(writer, key, SSW_GGUF_ARRAY)) {
        append_u32(&writer->keys, SSW_GGUF_STRING);
        append_u64(&writer->keys, n);
        for (uint64_t i = 0; i < n; i++)
            append_text(&writer->keys, values[i].bytes, values[i].n_bytes);
    }
}

void ssw_gguf_writer_copy_key(ssw_gguf_writer *writer, const ssw_gguf_key *key)
{
    if (key->type == SSW_GGUF_STRING) {
        set_bytes(writer, key->name, (const char *)key->value, (size_t)key->length);
    } else if (key->type == SSW_GGUF_ARRAY && key->element_type == SSW_GGUF_STRING) {
        if (!begin_key(writer, key->name, SSW_GGUF_ARRAY))
            return;
        append_u32(&writer->keys, SSW_GGUF_STRING);
        append_u64(&writer->keys, key->length);
        ssw_gguf_text text;
        for (uint64_t i = 0; ssw_gguf_array_text(key, i, &text); i++)
            append_text(&writer->keys, text.bytes, text.n_bytes);
    } else if (key->type == SSW_GGUF_ARRAY) {
        ssw_gguf_writer_set_array(writer, key->name, key->element_type, key->value, key->length);
    } else {
        ssw_gguf_writer_set(writer, key->name, key->type, key->value);
    }
}

/* Room for one more tensor's size. */
static bool reserve_size(ssw_gguf_writer *writer)
{
    if (writer->n_tensors < writer->sizes_capacity)
        return true;
    size_t capacity = writer->sizes_capacity ? 2 * writer->sizes_capacity : 64;
    uint64_t *sizes = realloc(writer->sizes_bytes, capacity * sizeof *sizes);
    if (!sizes)
        return false;
    writer->sizes_bytes = sizes;
    writer->sizes_capacity = capacity;
    return true;
}

void ssw_gguf_writer_add_tensor(ssw_gguf_writer *writer, const char *name, ssw_dtype dtype, int n_dims,
                                const uint64_t *dims)
{
    size_t n_name = strlen(name);
    uint64_t n_bytes = n_dims > 0 ? ssw_dtype_row_bytes(dtype, dims[0]) : 0;
    bool fits = n_dims >= 1 && n_dims <= SSW_GGUF_DIMS_MAX && n_bytes > 0;
    for (int i = 1; fits && i < n_dims; i++)
        fits =
            dims[i] > 0 && !__builtin_mul_overflow(n_bytes, dims[i], &n_bytes) && n_bytes < UINT64_C(1) << 62;
    if (writer->phase != PHASE_KEYS)
        fail(writer, SSW_ERR_USAGE, "too late for tensor", name);
    else if (n_name == 0 || n_name > SSW_GGUF_NAME_BYTES_MAX || writer->n_tensors >= SSW_GGUF_TENSORS_MAX)
        fail(writer, SSW_ERR_LIMIT, "too many tensors or a bad name at tensor", name);
    else if (!fits)
        fail(writer, SSW_ERR_USAGE, "impossible dimensions of tensor", name);
    else if (!reserve_size(writer))
        fail(writer, SSW_ERR_NOMEM, "out of memory at tensor", name);
    if (writer->failure.status != SSW_OK)
        return;
    append_text(&writer->infos, name, n_name);
    append_u32(&writer->infos, (uint32_t)n_dims);
    for (int i = 0; i < n_dims; i++)
        append_u64(&writer->infos, dims[i]);
    append_u32(&writer->infos, (uint32_t)dtype);
    append_u64(&writer->infos, writer->next_offset_bytes);
    writer->sizes_bytes[writer->n_tensors++] = n_bytes;
    writer->next_offset_bytes = align_up(writer, writer->next_offset_bytes + n_bytes);
}

static ssw_status put(ssw_gguf_writer *writer, const void *bytes, size_t n_bytes, ssw_error *err)
{
    if (n_bytes && fwrite(bytes, 1, n_bytes, writer->file) != n_bytes)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: write failed", writer->tmp_path);
    return SSW_OK;
}

/* Zeros up to the next multiple of the alignment after n_bytes. */
static ssw_status put_padding(ssw_gguf_writer *writer, uint64_t n_bytes, ssw_error *err)
{
    static const unsigned char zeros[256];
    uint64_t left = align_up(writer, n_bytes) - n_bytes;
    ssw_status status = SSW_OK;
    while (left > 0 && status == SSW_OK) {
        size_t part = left < sizeof zeros ? (size_t)left : sizeof zeros;
        status = put(writer, zeros, part, err);
        left -= part;
    }
    return status;
}

ssw_status ssw_gguf_writer_begin_data(ssw_gguf_writer *writer, ssw_error *err)
{
    ssw_strbuf head;
    if (writer->phase != PHASE_KEYS)
        fail(writer, SSW_ERR_USAGE, "begun twice:", "data");
    if (writer->keys.failed || writer->infos.failed)
        fail(writer, SSW_ERR_NOMEM, "out of memory or too large:", "keys");
    if (writer->failure.status != SSW_OK)
        return ssw_error_set(err, writer->failure.status, "%s", writer->failure.message);
    ssw_strbuf_init(&head, 64);
    ssw_strbuf_append(&head, "GGUF", 4);
    append_u32(&head, 3);
    append_u64(&head, writer->n_tensors);
    append_u64(&head, writer->n_keys);
    ssw_status status = ssw_strbuf_check(&head, "the header", err);
    if (status == SSW_OK)
        status = put(writer, head.data, head.n_bytes, err);
    if (status == SSW_OK)
        status = put(writer, writer->keys.data, writer->keys.n_bytes, err);
    if (status == SSW_OK)
        status = put(writer, writer->infos.data, writer->infos.n_bytes, err);
    if (status == SSW_OK)
        status = put_padding(writer, head.n_bytes + writer->keys.n_bytes + writer->infos.n_bytes, err);
    ssw_strbuf_deinit(&head);
    writer->phase = PHASE_DATA;
    return status;
}

ssw_status ssw_gguf_writer_write_data(ssw_gguf_writer *writer, const void *bytes, size_t n_bytes,
                                      ssw_error *err)
{
    if (n_bytes == 0)
        return SSW_OK;
    if (writer->phase != PHASE_DATA || writer->current >= writer->n_tensors ||
        n_bytes > writer->sizes_bytes[writer->current] - writer->current_bytes)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "%s: more data than tensor %" PRIu64 " of %" PRIu64 " has room for",
                             writer->path, writer->current, writer->n_tensors);
    ssw_status status = put(writer, bytes, n_bytes, err);
    writer->current_bytes += n_bytes;
    if (status == SSW_OK && writer->current_bytes == writer->sizes_bytes[writer->current]) {
        status = put_padding(writer, writer->current_bytes, err);
        writer->current++;
        writer->current_bytes = 0;
    }
    return status;
}

ssw_status ssw_gguf_writer_finish(ssw_gguf_writer *writer, ssw_error *err)
{
    if (writer->phase != PHASE_DATA || writer->current != writer->n_tensors)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "%s: unfinished: %" PRIu64 " of %" PRIu64 " tensors have their data",
                             writer->path, writer->current, writer->n_tensors);
    int error_number = fflush(writer->file) != 0 ? errno : 0;
    if (fclose(writer->file) != 0 && error_number == 0)
        error_number = errno;
    writer->file = NULL;
    writer->phase = PHASE_FINISHED;
    if (error_number == 0 && rename(writer->tmp_path, writer->path) != 0)
        error_number = errno;
    if (error_number == 0)
        return SSW_OK;
    unlink(writer->tmp_path);
    return ssw_error_set_errno(err, SSW_ERR_IO, error_number, "%s: write failed", writer->tmp_path);
}
