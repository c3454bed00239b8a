/* SHA-256 of files and bytes (OpenSSL), as 64 lower-case hex digits. */
#ifndef SSW_BASE_SHA256_H
#define SSW_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SSW_SHA256_TEXT_SIZE = 65 };

typedef char ssw_sha256_text[SSW_SHA256_TEXT_SIZE];

/* Reads the file once, in pieces; any size. n_bytes may be NULL. Errors name the file. */
ssw_status ssw_sha256_file(const char *path, ssw_sha256_text out, int64_t *n_bytes, ssw_error *err);
ssw_status ssw_sha256_bytes(const void *bytes, size_t n_bytes, ssw_sha256_text out, ssw_error *err);

#endif
