/* Small GGUF files to test with, made by the project's writer, and ways to damage them. */
#ifndef SSW_TESTS_GGUF_FILES_H
#define SSW_TESTS_GGUF_FILES_H

#include <stddef.h>
#include <stdint.h>

/* A path in a folder of this process's own, made on first use; the name is copied after it. */
const char *scratch_path(char *out, size_t n_bytes, const char *name);
void scratch_remove(void);

typedef struct file_bytes {
    unsigned char *data;
    size_t n_bytes;
} file_bytes;

file_bytes read_whole_file(const char *path); /* the caller frees data; stops the test program on failure */
void write_whole_file(const char *path, const void *bytes, size_t n_bytes);

/* One key of every kind, and three tensors: "a.weight" F32 [8], "b.weight" Q8_0 [32][2], "c.weight" F16
 * [3][4][1]. */
void write_sample_gguf(const char *path);

/* Offset of the only occurrence of `text`; stops the test program when there is not exactly one. */
size_t find_once(file_bytes file, const char *text);

#endif
