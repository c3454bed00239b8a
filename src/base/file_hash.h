/* SHA-256 of large files, remembered between runs: a model of 12 GB need not be read again for each run.
 *
 * The cache is a folder with one small JSON file per path; an entry counts only while path, size,
 * modification time and inode are the same. `seesaw verify` does not use it. */
#ifndef SSW_BASE_FILE_HASH_H
#define SSW_BASE_FILE_HASH_H

#include "base/sha256.h"

/* cache_dir NULL: no cache. A cache that cannot be read or written is as good as none. */
ssw_status ssw_file_hash(const char *path, const char *cache_dir, ssw_sha256_text out, int64_t *n_bytes,
                         ssw_error *err);

#endif
