/* See logits_file.h. Little-endian, as the machines are that this program is built for. */
#include "cli/logits_file.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC   "SSWLOGIT"
#define VERSION 1u
#define STEPS   65535.0f

typedef struct file_header {
    char magic[8];
    uint32_t version;
    int32_t n_vocab, window, n_windows;
} file_header;

typedef struct row_scale { /* logit = lowest + step · code */
    float lowest, step;
} row_scale;

struct ssw_logits_writer {
    char path[PATH_MAX], temporary[PATH_MAX + 4];
    FILE *file;
    int32_t n_vocab;
    uint64_t rows_left;
    uint16_t *codes;
};

struct ssw_logits_reader {
    char path[PATH_MAX];
    FILE *file;
    ssw_logits_shape shape;
    uint64_t rows_left;
    int32_t *tokens;
    uint16_t *codes;
};

int32_t ssw_logits_rows_per_window(int32_t window)
{
    return window - 1 - window / 2;
}

static uint64_t count_rows(const ssw_logits_shape *shape)
{
    return (uint64_t)shape->n_windows * (uint64_t)ssw_logits_rows_per_window(shape->window);
}

static ssw_status check_shape(const ssw_logits_shape *shape, ssw_error *err)
{
    if (shape->n_vocab < 1 || shape->n_vocab > SSW_LOGITS_VOCAB_MAX)
        return ssw_error_set(err, SSW_ERR_FORMAT, "a vocabulary of %d", shape->n_vocab);
    if (shape->window < 3 || shape->window > SSW_LOGITS_WINDOW_MAX)
        return ssw_error_set(err, SSW_ERR_FORMAT, "windows of %d tokens", shape->window);
    if (shape->n_windows < 1 || shape->n_windows > SSW_LOGITS_WINDOWS_MAX)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%d windows", shape->n_windows);
    return SSW_OK;
}

static ssw_status put(ssw_logits_writer *writer, const void *bytes, size_t n_bytes, ssw_error *err)
{
    if (fwrite(bytes, 1, n_bytes, writer->file) != n_bytes)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", writer->temporary);
    return SSW_OK;
}

ssw_status ssw_logits_writer_open(const char *path, const ssw_logits_shape *shape, const int32_t *tokens,
                                  ssw_logits_writer **out, ssw_error *err)
{
    file_header header = {.version = VERSION,
                          .n_vocab = shape->n_vocab,
                          .window = shape->window,
                          .n_windows = shape->n_windows};
    memcpy(header.magic, MAGIC, sizeof header.magic);
    ssw_status status = check_shape(shape, err);
    if (!status && strlen(path) >= PATH_MAX)
        status = ssw_error_set(err, SSW_ERR_USAGE, "%.200s: the path is too long", path);
    if (status)
        return status;
    ssw_logits_writer *writer = calloc(1, sizeof *writer);
    uint16_t *codes = calloc((size_t)shape->n_vocab, sizeof *codes);
    if (!writer || !codes) {
        free(codes);
        free(writer);
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for logits");
    }
    writer->codes = codes;
    writer->n_vocab = shape->n_vocab;
    writer->rows_left = count_rows(shape);
    snprintf(writer->path, sizeof writer->path, "%s", path);
    snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp", path);
    writer->file = fopen(writer->temporary, "wbe");
    if (!writer->file)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", writer->temporary);
    if (!status)
        status = put(writer, &header, sizeof header, err);
    if (!status)
        status = put(writer, tokens, sizeof *tokens * (size_t)shape->window * (size_t)shape->n_windows, err);
    if (status) {
        ssw_logits_writer_close(writer);
        return status;
    }
    *out = writer;
    return SSW_OK;
}

ssw_status ssw_logits_writer_put(ssw_logits_writer *writer, const float *logits, ssw_error *err)
{
    float lowest = logits[0], highest = logits[0];
    for (int32_t i = 0; i < writer->n_vocab; i++) {
        if (!isfinite(logits[i]))
            return ssw_error_set(err, SSW_ERR_FORMAT, "%s: a logit is not finite", writer->path);
        lowest = fminf(lowest, logits[i]);
        highest = fmaxf(highest, logits[i]);
    }
    if (writer->rows_left == 0)
        return ssw_error_set(err, SSW_ERR_INTERNAL, "%s: more logits than were announced", writer->path);
    writer->rows_left--;
    const row_scale scale = {lowest, (highest - lowest) / STEPS};
    for (int32_t i = 0; i < writer->n_vocab; i++)
        writer->codes[i] =
            scale.step > 0 ? (uint16_t)fminf(roundf((logits[i] - lowest) / scale.step), STEPS) : 0;
    ssw_status status = put(writer, &scale, sizeof scale, err);
    return status ? status : put(writer, writer->codes, sizeof *writer->codes * (size_t)writer->n_vocab, err);
}

ssw_status ssw_logits_writer_finish(ssw_logits_writer *writer, ssw_error *err)
{
    if (writer->rows_left)
        return ssw_error_set(err, SSW_ERR_INTERNAL, "%s: fewer logits than were announced", writer->path);
    bool failed = fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0;
    failed |= fclose(writer->file) != 0;
    writer->file = NULL;
    if (failed || rename(writer->temporary, writer->path) != 0) {
        ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", writer->path);
        unlink(writer->temporary);
        return err ? err->status : SSW_ERR_IO;
    }
    return SSW_OK;
}

void ssw_logits_writer_close(ssw_logits_writer *writer)
{
    if (!writer)
        return;
    if (writer->file) {
        fclose(writer->file);
        unlink(writer->temporary);
    }
    free(writer->codes);
    free(writer);
}

static ssw_status get(ssw_logits_reader *reader, void *bytes, size_t n_bytes, ssw_error *err)
{
    if (fread(bytes, 1, n_bytes, reader->file) != n_bytes)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: the file ends too early", reader->path);
    return SSW_OK;
}

static ssw_status read_header(ssw_logits_reader *reader, ssw_error *err)
{
    file_header header;
    struct stat info;
    ssw_status status = get(reader, &header, sizeof header, err);
    if (status)
        return status;
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.version != VERSION)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: not a file that --logits-out of this version wrote",
                             reader->path);
    reader->shape = (ssw_logits_shape){header.n_vocab, header.window, header.n_windows};
    status = check_shape(&reader->shape, err);
    if (status) {
        ssw_error_prefix(err, "%s", reader->path);
        return status;
    }
    reader->rows_left = count_rows(&reader->shape);
    /* No factor exceeds 2^20, and a row's bytes 2^22: nothing overflows. */
    uint64_t n_tokens = (uint64_t)header.window * (uint64_t)header.n_windows;
    uint64_t row_bytes = sizeof(row_scale) + sizeof(uint16_t) * (uint64_t)header.n_vocab;
    uint64_t bytes = sizeof header + sizeof(int32_t) * n_tokens + reader->rows_left * row_bytes;
    if (fstat(fileno(reader->file), &info) != 0 || !S_ISREG(info.st_mode) || (uint64_t)info.st_size != bytes)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: its header asks for another size", reader->path);
    reader->tokens = malloc(sizeof *reader->tokens * n_tokens);
    reader->codes = malloc(sizeof *reader->codes * (size_t)header.n_vocab);
    if (!reader->tokens || !reader->codes)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %s", reader->path);
    status = get(reader, reader->tokens, sizeof *reader->tokens * n_tokens, err);
    for (uint64_t i = 0; !status && i < n_tokens; i++) {
        if (reader->tokens[i] < 0 || reader->tokens[i] >= header.n_vocab)
            status = ssw_error_set(err, SSW_ERR_FORMAT, "%s: token %d is not of its vocabulary", reader->path,
                                   reader->tokens[i]);
    }
    return status;
}

ssw_status ssw_logits_reader_open(const char *path, ssw_logits_reader **out, ssw_error *err)
{
    ssw_logits_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %.200s", path);
    snprintf(reader->path, sizeof reader->path, "%s", path);
    reader->file = fopen(path, "rbe");
    ssw_status status =
        reader->file ? read_header(reader, err) : ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    if (status)
        ssw_logits_reader_close(reader);
    else
        *out = reader;
    return status;
}

const ssw_logits_shape *ssw_logits_reader_shape(const ssw_logits_reader *reader)
{
    return &reader->shape;
}

const int32_t *ssw_logits_reader_tokens(const ssw_logits_reader *reader)
{
    return reader->tokens;
}

ssw_status ssw_logits_reader_next(ssw_logits_reader *reader, float *logits, ssw_error *err)
{
    row_scale scale;
    if (reader->rows_left == 0)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: no more logits", reader->path);
    reader->rows_left--;
    ssw_status status = get(reader, &scale, sizeof scale, err);
    if (!status &&
        (!isfinite(scale.lowest) || !(scale.step >= 0) || !isfinite(scale.lowest + scale.step * STEPS)))
        status = ssw_error_set(err, SSW_ERR_FORMAT, "%s: a scale is not a number", reader->path);
    if (!status)
        status = get(reader, reader->codes, sizeof *reader->codes * (size_t)reader->shape.n_vocab, err);
    for (int32_t i = 0; !status && i < reader->shape.n_vocab; i++)
        logits[i] = scale.lowest + scale.step * (float)reader->codes[i];
    return status;
}

void ssw_logits_reader_close(ssw_logits_reader *reader)
{
    if (!reader)
        return;
    if (reader->file)
        fclose(reader->file);
    free(reader->tokens);
    free(reader->codes);
    free(reader);
}
