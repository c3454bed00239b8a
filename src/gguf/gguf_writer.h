/* Writes one GGUF v3 file: keys first, then the list of tensors, then their data, streamed in that order.
 *
 * Source: as gguf.h. The file grows as PATH.tmp and takes its name only in ssw_gguf_writer_finish, so that
 * PATH is never half a model. Key calls cannot fail one by one: the first failure (memory, a limit, a call
 * out of order) is kept and returned by ssw_gguf_writer_begin_data. Keys and tensors must have unique names;
 * the reader refuses duplicates. One thread at a time. */
#ifndef SSW_GGUF_WRITER_H
#define SSW_GGUF_WRITER_H

#include "gguf/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssw_gguf_writer ssw_gguf_writer;

/* alignment_bytes: 0 for the format's default of 32; other values are written as general.alignment. */
ssw_status ssw_gguf_writer_open(const char *path, uint32_t alignment_bytes, ssw_gguf_writer **out,
                                ssw_error *err);
/* Before finish: the unfinished file is removed. NULL is allowed. */
void ssw_gguf_writer_close(ssw_gguf_writer *writer);

/* One scalar; value points to an object of the type's size (bool: one byte). */
void ssw_gguf_writer_set(ssw_gguf_writer *writer, const char *key, ssw_gguf_type type, const void *value);
void ssw_gguf_writer_set_u32(ssw_gguf_writer *writer, const char *key, uint32_t value);
void ssw_gguf_writer_set_f32(ssw_gguf_writer *writer, const char *key, float value);
void ssw_gguf_writer_set_bool(ssw_gguf_writer *writer, const char *key, bool value);
void ssw_gguf_writer_set_text(ssw_gguf_writer *writer, const char *key, const char *value);
/* n elements of a fixed-size type, in host order (the project runs on little-endian machines only). */
void ssw_gguf_writer_set_array(ssw_gguf_writer *writer, const char *key, ssw_gguf_type type,
                               const void *values, uint64_t n);
void ssw_gguf_writer_set_texts(ssw_gguf_writer *writer, const char *key, const ssw_gguf_text *values,
                               uint64_t n);
/* The same key and value as in another file. */
void ssw_gguf_writer_copy_key(ssw_gguf_writer *writer, const ssw_gguf_key *key);

/* Announces the next tensor. dims[0] is the row length; its data come in the same order. */
void ssw_gguf_writer_add_tensor(ssw_gguf_writer *writer, const char *name, ssw_dtype dtype, int n_dims,
                                const uint64_t *dims);

/* Writes everything announced so far; no key and no tensor may follow. */
ssw_status ssw_gguf_writer_begin_data(ssw_gguf_writer *writer, ssw_error *err);
/* The next bytes of the tensors' data. One call may hold a part of a tensor, or exactly up to its end; the
 * padding between tensors is written here. SSW_ERR_IO when the disk is full. */
ssw_status ssw_gguf_writer_write_data(ssw_gguf_writer *writer, const void *bytes, size_t n_bytes,
                                      ssw_error *err);
/* Checks that every tensor is complete, and gives the file its name. Does not close. */
ssw_status ssw_gguf_writer_finish(ssw_gguf_writer *writer, ssw_error *err);

#ifdef __cplusplus
}
#endif
#endif
