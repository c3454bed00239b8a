/* See disk_space.h. */
#include "base/disk_space.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { PATH_BYTES_MAX = 4096 };
#define SPARE_BYTES (UINT64_C(64) << 20)

ssw_status ssw_disk_check_space(const char *path, uint64_t needed_bytes, ssw_error *err)
{
    char copy[PATH_BYTES_MAX];
    struct statvfs fs;
    if (strlen(path) >= sizeof copy)
        return ssw_error_set(err, SSW_ERR_LIMIT, "the path is longer than %d bytes", PATH_BYTES_MAX - 1);
    snprintf(copy, sizeof copy, "%s", path);
    if (statvfs(dirname(copy), &fs) != 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot look at its folder", path);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes < needed_bytes + SPARE_BYTES)
        return ssw_error_set(err, SSW_ERR_IO, "%s: needs %.2f GB, the disk has %.2f GB free", path,
                             (double)needed_bytes * 1e-9, (double)free_bytes * 1e-9);
    return SSW_OK;
}
