/* JSON lines, one write each. */
#include "bench/evidence/jsonl_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Cuts the file behind its last newline. */
static int cut_torn_line(int fd)
{
    char block[65536];
    struct stat info;
    if (fstat(fd, &info))
        return -1;
    for (off_t end = info.st_size; end > 0;) {
        size_t n = end < (off_t)sizeof block ? (size_t)end : sizeof block;
        if (pread(fd, block, n, end - (off_t)n) != (ssize_t)n)
            return -1;
        const char *newline = memrchr(block, '\n', n);
        if (newline) {
            off_t keep = end - (off_t)n + (newline - block) + 1;
            return keep == info.st_size ? 0 : ftruncate(fd, keep);
        }
        end -= (off_t)n;
    }
    return info.st_size ? ftruncate(fd, 0) : 0;
}

ssw_status ssw_jsonl_open(ssw_jsonl *file, const char *dir, const char *name, ssw_error *err)
{
    *file = (ssw_jsonl){.fd = -1};
    if ((size_t)snprintf(file->path, sizeof file->path, "%s/%s", dir, name) >= sizeof file->path)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: the path is too long", dir);
    file->fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file->fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", file->path);
    if (cut_torn_line(file->fd)) {
        ssw_status status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", file->path);
        close(file->fd);
        file->fd = -1;
        return status;
    }
    return SSW_OK;
}

ssw_status ssw_jsonl_close(ssw_jsonl *file, ssw_error *err)
{
    if (file->fd < 0)
        return SSW_OK;
    ssw_status status = SSW_OK;
    if (fsync(file->fd))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", file->path);
    close(file->fd);
    file->fd = -1;
    return status;
}

static ssw_status append_text(ssw_jsonl *file, const char *text, size_t n, ssw_error *err)
{
    off_t before = lseek(file->fd, 0, SEEK_END);
    ssize_t put;
    do {
        put = write(file->fd, text, n);
    } while (put < 0 && errno == EINTR);
    if (put == (ssize_t)n)
        return SSW_OK;
    int error_number = put < 0 ? errno : ENOSPC; /* a short write to a file means that it cannot grow */
    if (put > 0 && ftruncate(file->fd, before))
        error_number = errno;
    return ssw_error_set_errno(err, SSW_ERR_IO, error_number, "%s: cannot write %zu bytes", file->path, n);
}

ssw_status ssw_jsonl_append(ssw_jsonl *file, json_t *line, bool sync, ssw_error *err)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text)
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory for a line", file->path);
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the NUL: the line goes out by its length */
    ssw_status status = append_text(file, text, n + 1, err);
    free(text);
    if (!status && sync && fdatasync(file->fd) && errno != EINVAL && errno != EROFS)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot sync", file->path);
    return status;
}

static const char fresh_suffix[] = ".new";

ssw_status ssw_jsonl_open_fresh(ssw_jsonl *file, const char *dir, const char *name, ssw_error *err)
{
    char fresh[SSW_JSONL_PATH_MAX], path[SSW_JSONL_PATH_MAX];
    *file = (ssw_jsonl){.fd = -1};
    if ((size_t)snprintf(fresh, sizeof fresh, "%s%s", name, fresh_suffix) >= sizeof fresh ||
        (size_t)snprintf(path, sizeof path, "%s/%s%s", dir, name, fresh_suffix) >= sizeof path)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    unlink(path);
    return ssw_jsonl_open(file, dir, fresh, err);
}

ssw_status ssw_jsonl_close_fresh(ssw_jsonl *file, ssw_status status, ssw_error *err)
{
    char final[SSW_JSONL_PATH_MAX];
    if (file->fd < 0)
        return status;
    ssw_status closed = ssw_jsonl_close(file, status ? NULL : err);
    status = status ? status : closed;
    snprintf(final, sizeof final, "%.*s", (int)(strlen(file->path) - strlen(fresh_suffix)), file->path);
    if (!status && rename(file->path, final))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", final);
    if (status)
        unlink(file->path);
    return status;
}
