/* Whether a file that is about to be written has room. POSIX. */
#ifndef SSW_BASE_DISK_SPACE_H
#define SSW_BASE_DISK_SPACE_H

#include <stdint.h>

#include "base/status.h"

/* SSW_ERR_IO with both sizes where the folder of path has no room for so many bytes and 64 MiB more: for what
 * else the file holds, and so that the disk is not filled to its last byte. */
ssw_status ssw_disk_check_space(const char *path, uint64_t needed_bytes, ssw_error *err);

#endif
