/* Read-only view of a GGUF v2 or v3 model, one file or a split set (NAME-00001-of-0000N.gguf).
 *
 * Source: the GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 * Files are mapped, never copied, and are taken as hostile: every length, count, type and offset is checked
 * against the file's size and a maximum below before it is used, all at open. Errors are one line and name
 * the file. Pointers handed out are borrowed from the handle. Immutable after open, so any thread may read.
 * A file that is cut short while it is open ends the program at the next read there, as every map does. */
#ifndef SSW_GGUF_GGUF_H
#define SSW_GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SSW_GGUF_DIMS_MAX = 4,
    SSW_GGUF_SPLITS_MAX = 999,
    SSW_GGUF_TENSORS_MAX = 100000,
    SSW_GGUF_KEYS_MAX = 10000,
    SSW_GGUF_NAME_BYTES_MAX = 255,
    SSW_GGUF_KEY_BYTES_MAX = 65535,
    SSW_GGUF_ALIGNMENT_MIN = 8,
    SSW_GGUF_ALIGNMENT_MAX = 1 << 20,
    SSW_GGUF_ARRAY_DEPTH_MAX = 1 /* arrays of arrays are refused */
};
#define SSW_GGUF_STRING_BYTES_MAX (UINT64_C(16) << 20)
#define SSW_GGUF_ARRAY_LENGTH_MAX (UINT64_C(16) << 20)

typedef struct ssw_gguf ssw_gguf;

typedef enum ssw_gguf_type { /* numbers of the specification */
                             SSW_GGUF_U8 = 0,
                             SSW_GGUF_I8,
                             SSW_GGUF_U16,
                             SSW_GGUF_I16,
                             SSW_GGUF_U32,
                             SSW_GGUF_I32,
                             SSW_GGUF_F32,
                             SSW_GGUF_BOOL,
                             SSW_GGUF_STRING,
                             SSW_GGUF_ARRAY,
                             SSW_GGUF_U64,
                             SSW_GGUF_I64,
                             SSW_GGUF_F64
} ssw_gguf_type;

typedef struct ssw_gguf_text { /* not NUL-terminated: points into the map */
    const char *bytes;
    size_t n_bytes;
} ssw_gguf_text;

typedef struct ssw_gguf_key ssw_gguf_key; /* one metadata pair */

typedef struct ssw_gguf_tensor {
    const char *name; /* NUL-terminated copy */
    ssw_dtype dtype;
    int n_dims;
    uint64_t dims[SSW_GGUF_DIMS_MAX]; /* dims[0] is the row length (innermost); unused ones are 1 */
    uint64_t n_bytes;
    const void
        *data;      /* in the map, at a multiple of general.alignment from its start (maps start on a page) */
    uint32_t split; /* which file of the set, from 0 */
    uint64_t offset_bytes; /* from the start of that file's tensor data */
} ssw_gguf_tensor;

/* Of a split set, path is the first part; the others are found beside it and must belong to it. The keys are
 * those of the first part, the tensors those of all parts, in order. */
ssw_status ssw_gguf_open(const char *path, ssw_gguf **out, ssw_error *err);

/* The same for one whole file in memory; bytes stay the caller's and must outlive the handle. name is for
 * messages. */
ssw_status ssw_gguf_open_memory(const char *name, const void *bytes, size_t n_bytes, ssw_gguf **out,
                                ssw_error *err);

void ssw_gguf_close(ssw_gguf *gguf); /* NULL is allowed */

/* The files of the set, in order. */
size_t ssw_gguf_count_files(const ssw_gguf *gguf);
const char *ssw_gguf_file_path(const ssw_gguf *gguf, size_t index);
uint64_t ssw_gguf_file_bytes(const ssw_gguf *gguf, size_t index);

size_t ssw_gguf_count_tensors(const ssw_gguf *gguf);
const ssw_gguf_tensor *ssw_gguf_tensor_at(const ssw_gguf *gguf, size_t index);
const ssw_gguf_tensor *ssw_gguf_find_tensor(const ssw_gguf *gguf, const char *name); /* NULL if absent */

size_t ssw_gguf_count_keys(const ssw_gguf *gguf);
const ssw_gguf_key *ssw_gguf_key_at(const ssw_gguf *gguf, size_t index);
const ssw_gguf_key *ssw_gguf_find_key(const ssw_gguf *gguf, const char *name); /* NULL if absent */
const char *ssw_gguf_key_name(const ssw_gguf_key *key);
ssw_gguf_type ssw_gguf_key_type(const ssw_gguf_key *key);

/* Typed reads; false when the key is NULL, of another kind, or does not fit. Any integer type converts to
 * u64/i64 if the value fits; f64 also reads F32 and integers. */
bool ssw_gguf_read_u64(const ssw_gguf_key *key, uint64_t *out);
bool ssw_gguf_read_i64(const ssw_gguf_key *key, int64_t *out);
bool ssw_gguf_read_f64(const ssw_gguf_key *key, double *out);
bool ssw_gguf_read_bool(const ssw_gguf_key *key, bool *out);
bool ssw_gguf_read_text(const ssw_gguf_key *key, ssw_gguf_text *out);
bool ssw_gguf_text_is(const ssw_gguf_text *text, const char *expected);

/* Arrays: element type and length; 0 for a key that is not an array. */
uint64_t ssw_gguf_array_length(const ssw_gguf_key *key);
ssw_gguf_type ssw_gguf_array_type(const ssw_gguf_key *key);
/* Raw little-endian elements of a fixed-size type (possibly unaligned: copy before use); NULL for strings. */
const void *ssw_gguf_array_data(const ssw_gguf_key *key);
/* Element of a string array in O(1) (the reader indexes string arrays at open). */
bool ssw_gguf_array_text(const ssw_gguf_key *key, uint64_t index, ssw_gguf_text *out);

#ifdef __cplusplus
}
#endif
#endif
