/* Whole small files, read and written with clear errors. */
#ifndef SSW_BENCH_EVIDENCE_TEXT_FILE_H
#define SSW_BENCH_EVIDENCE_TEXT_FILE_H

#include <stddef.h>

#include "base/status.h"

/* The whole file, NUL-terminated; the caller frees *text. Larger than max_bytes is SSW_ERR_LIMIT. */
ssw_status ssw_text_file_read(const char *path, size_t max_bytes, char **text, size_t *n_bytes,
                              ssw_error *err);

/* Writes a new file, ending in a newline, and syncs it to disk. A file of that name is SSW_ERR_IO. */
ssw_status ssw_text_file_create(const char *path, const char *text, size_t n_bytes, ssw_error *err);

#endif
