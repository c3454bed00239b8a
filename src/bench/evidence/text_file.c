/* Whole small files. */
#include "bench/evidence/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

ssw_status ssw_text_file_read(const char *path, size_t max_bytes, char **text, size_t *n_bytes,
                              ssw_error *err)
{
    ssw_status status = SSW_OK;
    struct stat info;
    size_t used = 0;
    char *buffer = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    if (fstat(fd, &info)) {
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        status = ssw_error_set(err, SSW_ERR_IO, "%s: not a regular file", path);
        goto cleanup;
    }
    if ((size_t)info.st_size > max_bytes) {
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
        goto cleanup;
    }
    buffer = malloc((size_t)info.st_size + 1);
    if (!buffer) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", path);
        goto cleanup;
    }
    while (used < (size_t)info.st_size) {
        ssize_t got = read(fd, buffer + used, (size_t)info.st_size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
            goto cleanup;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    buffer[used] = '\0';
    *text = buffer;
    *n_bytes = used;
    buffer = NULL;
cleanup:
    free(buffer);
    close(fd);
    return status;
}

static int write_all(int fd, const char *bytes, size_t n_bytes)
{
    while (n_bytes) {
        ssize_t put = write(fd, bytes, n_bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        bytes += put;
        n_bytes -= (size_t)put;
    }
    return 0;
}

ssw_status ssw_text_file_create(const char *path, const char *text, size_t n_bytes, ssw_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    ssw_status status = SSW_OK;
    bool newline = n_bytes == 0 || text[n_bytes - 1] != '\n';
    if (write_all(fd, text, n_bytes) || (newline && write_all(fd, "\n", 1)) || fsync(fd))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    if (close(fd) && !status)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    return status;
}
