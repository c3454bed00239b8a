/* See gguf_files.h. Failures here are faults of the test program: it stops. */
#include "gguf_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf/gguf_writer.h"

static char folder[64];

static void stop(const char *what, const char *name)
{
    fprintf(stderr, "test files: %s: %s\n", what, name);
    abort();
}

const char *scratch_path(char *out, size_t n_bytes, const char *name)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/ssw-gguf-XXXXXX");
        if (!mkdtemp(folder))
            stop("mkdtemp", folder);
    }
    snprintf(out, n_bytes, "%s/%s", folder, name);
    return out;
}

void scratch_remove(void)
{
    DIR *dir = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (dir)
        closedir(dir);
    if (folder[0])
        rmdir(folder);
    folder[0] = '\0';
}

file_bytes read_whole_file(const char *path)
{
    file_bytes file = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END) != 0)
        stop("open", path);
    file.n_bytes = (size_t)ftell(in);
    file.data = malloc(file.n_bytes + 1);
    rewind(in);
    if (!file.data || fread(file.data, 1, file.n_bytes, in) != file.n_bytes)
        stop("read", path);
    fclose(in);
    return file;
}

void write_whole_file(const char *path, const void *bytes, size_t n_bytes)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, n_bytes, out) != n_bytes || fclose(out) != 0)
        stop("write", path);
}

size_t find_once(file_bytes file, const char *text)
{
    unsigned char *first = memmem(file.data, file.n_bytes, text, strlen(text));
    if (!first)
        stop("not found", text);
    size_t at = (size_t)(first - file.data);
    if (memmem(first + 1, file.n_bytes - at - 1, text, strlen(text)))
        stop("found twice", text);
    return at;
}

static void set_sample_keys(ssw_gguf_writer *writer)
{
    static const ssw_gguf_text texts[] = {{"one", 3}, {"", 0}, {"three\0!", 7}};
    static const float floats[] = {0.5f, -1.25f};
    static const unsigned char flags[] = {1, 0, 1};
    const int8_t i8 = -8;
    const uint8_t u8 = 8;
    const int16_t i16 = -16;
    const uint16_t u16 = 16;
    const int32_t i32 = -32;
    const int64_t i64 = -64;
    const uint64_t u64 = UINT64_MAX;
    const double f64 = 2.5;
    ssw_gguf_writer_set_text(writer, "general.architecture", "sample");
    ssw_gguf_writer_set(writer, "k.i8", SSW_GGUF_I8, &i8);
    ssw_gguf_writer_set(writer, "k.u8", SSW_GGUF_U8, &u8);
    ssw_gguf_writer_set(writer, "k.i16", SSW_GGUF_I16, &i16);
    ssw_gguf_writer_set(writer, "k.u16", SSW_GGUF_U16, &u16);
    ssw_gguf_writer_set(writer, "k.i32", SSW_GGUF_I32, &i32);
    ssw_gguf_writer_set_u32(writer, "k.u32", 32);
    ssw_gguf_writer_set(writer, "k.i64", SSW_GGUF_I64, &i64);
    ssw_gguf_writer_set(writer, "k.u64", SSW_GGUF_U64, &u64);
    ssw_gguf_writer_set_f32(writer, "k.f32", 1.5f);
    ssw_gguf_writer_set(writer, "k.f64", SSW_GGUF_F64, &f64);
    ssw_gguf_writer_set_bool(writer, "k.bool", true);
    ssw_gguf_writer_set_texts(writer, "k.texts", texts, 3);
    ssw_gguf_writer_set_array(writer, "k.floats", SSW_GGUF_F32, floats, 2);
    ssw_gguf_writer_set_array(writer, "k.flags", SSW_GGUF_BOOL, flags, 3);
    ssw_gguf_writer_set_array(writer, "k.empty", SSW_GGUF_U32, NULL, 0);
}

void write_sample_gguf(const char *path)
{
    ssw_error err;
    ssw_gguf_writer *writer;
    unsigned char bytes[128];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    if (ssw_gguf_writer_open(path, 0, &writer, &err) != SSW_OK)
        stop("writer", err.message);
    set_sample_keys(writer);
    ssw_gguf_writer_add_tensor(writer, "a.weight", SSW_DTYPE_F32, 1, (const uint64_t[]){8});
    ssw_gguf_writer_add_tensor(writer, "b.weight", SSW_DTYPE_Q8_0, 2, (const uint64_t[]){32, 2});
    ssw_gguf_writer_add_tensor(writer, "c.weight", SSW_DTYPE_F16, 3, (const uint64_t[]){3, 4, 1});
    if (ssw_gguf_writer_begin_data(writer, &err) != SSW_OK ||
        ssw_gguf_writer_write_data(writer, bytes, 32, &err) != SSW_OK ||
        ssw_gguf_writer_write_data(writer, bytes, 30, &err) != SSW_OK ||
        ssw_gguf_writer_write_data(writer, bytes + 30, 38, &err) != SSW_OK ||
        ssw_gguf_writer_write_data(writer, bytes, 24, &err) != SSW_OK ||
        ssw_gguf_writer_finish(writer, &err) != SSW_OK)
        stop("writer", err.message);
    ssw_gguf_writer_close(writer);
}
