/* What the writer writes the reader reads back: every value type, tensors, alignment, copying; and the
 * writer's own errors, a full disk among them. That both agree with llama.cpp's gguf-py was checked by hand
 * (docs in the header). */
#include "../cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "gguf_files.h"

static ssw_gguf *open_ok(const char *path)
{
    ssw_error err = {0};
    ssw_gguf *gguf = NULL;
    if (ssw_gguf_open(path, &gguf, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return gguf;
}

static const ssw_gguf_key *key_of(const ssw_gguf *gguf, const char *name)
{
    const ssw_gguf_key *key = ssw_gguf_find_key(gguf, name);
    assert_non_null(key);
    assert_string_equal(ssw_gguf_key_name(key), name);
    return key;
}

static void check_sample_keys(const ssw_gguf *gguf)
{
    uint64_t u;
    int64_t i;
    double d;
    bool b;
    ssw_gguf_text text;
    assert_true(ssw_gguf_read_text(key_of(gguf, "general.architecture"), &text));
    assert_int_equal(text.n_bytes, 6);
    assert_memory_equal(text.bytes, "sample", 6);
    assert_true(ssw_gguf_read_i64(key_of(gguf, "k.i8"), &i) && i == -8);
    assert_true(ssw_gguf_read_i64(key_of(gguf, "k.i16"), &i) && i == -16);
    assert_true(ssw_gguf_read_i64(key_of(gguf, "k.i32"), &i) && i == -32);
    assert_true(ssw_gguf_read_i64(key_of(gguf, "k.i64"), &i) && i == -64);
    assert_true(ssw_gguf_read_u64(key_of(gguf, "k.u8"), &u) && u == 8);
    assert_true(ssw_gguf_read_u64(key_of(gguf, "k.u16"), &u) && u == 16);
    assert_true(ssw_gguf_read_u64(key_of(gguf, "k.u32"), &u) && u == 32);
    assert_true(ssw_gguf_read_u64(key_of(gguf, "k.u64"), &u) && u == UINT64_MAX);
    assert_false(ssw_gguf_read_u64(key_of(gguf, "k.i8"), &u));
    assert_false(ssw_gguf_read_i64(key_of(gguf, "k.u64"), &i));
    assert_false(ssw_gguf_read_u64(key_of(gguf, "k.f32"), &u));
    assert_true(ssw_gguf_read_f64(key_of(gguf, "k.f32"), &d) && d == 1.5);
    assert_true(ssw_gguf_read_f64(key_of(gguf, "k.f64"), &d) && d == 2.5);
    assert_true(ssw_gguf_read_f64(key_of(gguf, "k.i8"), &d) && d == -8);
    assert_false(ssw_gguf_read_f64(key_of(gguf, "k.bool"), &d));
    assert_true(ssw_gguf_read_bool(key_of(gguf, "k.bool"), &b) && b);
    assert_false(ssw_gguf_read_bool(key_of(gguf, "k.u8"), &b));
    assert_false(ssw_gguf_read_u64(NULL, &u));
    assert_null(ssw_gguf_find_key(gguf, "k.none"));
}

static void check_sample_arrays(const ssw_gguf *gguf)
{
    ssw_gguf_text text;
    const ssw_gguf_key *texts = key_of(gguf, "k.texts");
    assert_int_equal(ssw_gguf_array_length(texts), 3);
    assert_int_equal(ssw_gguf_array_type(texts), SSW_GGUF_STRING);
    assert_null(ssw_gguf_array_data(texts));
    assert_true(ssw_gguf_array_text(texts, 2, &text) && text.n_bytes == 7);
    assert_memory_equal(text.bytes, "three\0!", 7);
    assert_true(ssw_gguf_array_text(texts, 1, &text) && text.n_bytes == 0);
    assert_false(ssw_gguf_array_text(texts, 3, &text));
    float floats[2];
    memcpy(floats, ssw_gguf_array_data(key_of(gguf, "k.floats")), sizeof floats);
    assert_true(floats[0] == 0.5f && floats[1] == -1.25f);
    assert_int_equal(ssw_gguf_array_length(key_of(gguf, "k.empty")), 0);
    assert_int_equal(ssw_gguf_array_length(key_of(gguf, "k.u8")), 0);
    assert_false(ssw_gguf_array_text(key_of(gguf, "k.floats"), 0, &text));
}

static void check_sample_tensors(const ssw_gguf *gguf, uint64_t alignment)
{
    assert_int_equal(ssw_gguf_count_tensors(gguf), 3);
    const ssw_gguf_tensor *b = ssw_gguf_find_tensor(gguf, "b.weight");
    assert_ptr_equal(b, ssw_gguf_tensor_at(gguf, 1));
    assert_int_equal(b->dtype, SSW_DTYPE_Q8_0);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 32);
    assert_int_equal(b->dims[1], 2);
    assert_int_equal(b->dims[2], 1);
    assert_int_equal(b->n_bytes, 68);
    assert_int_equal((uintptr_t)b->data % alignment, 0);
    assert_int_equal(((const unsigned char *)b->data)[67], 67);
    assert_int_equal(ssw_gguf_find_tensor(gguf, "c.weight")->n_bytes, 24);
    assert_null(ssw_gguf_find_tensor(gguf, "c.weigh"));
}

static void round_trip(void **state)
{
    char path[256];
    write_sample_gguf(scratch_path(path, sizeof path, "sample.gguf"));
    ssw_gguf *gguf = open_ok(path);
    assert_int_equal(ssw_gguf_count_keys(gguf), 16);
    check_sample_keys(gguf);
    check_sample_arrays(gguf);
    check_sample_tensors(gguf, 32);
    assert_int_equal(ssw_gguf_count_files(gguf), 1);
    assert_string_equal(ssw_gguf_file_path(gguf, 0), path);
    ssw_gguf_close(gguf);
}

static void version_2_is_read(void **state)
{
    char path[256];
    write_sample_gguf(scratch_path(path, sizeof path, "v2.gguf"));
    file_bytes file = read_whole_file(path);
    assert_int_equal(file.data[4], 3);
    file.data[4] = 2;
    write_whole_file(path, file.data, file.n_bytes);
    free(file.data);
    ssw_gguf *gguf = open_ok(path);
    check_sample_keys(gguf);
    check_sample_tensors(gguf, 32);
    ssw_gguf_close(gguf);
}

/* Every key and tensor of one file written into another, at another alignment. */
static void copy_with_alignment(void **state)
{
    char from_path[256], path[256];
    ssw_error err;
    ssw_gguf_writer *writer;
    write_sample_gguf(scratch_path(from_path, sizeof from_path, "from.gguf"));
    ssw_gguf *from = open_ok(from_path);
    scratch_path(path, sizeof path, "aligned.gguf");
    assert_int_equal(ssw_gguf_writer_open(path, 4096, &writer, &err), SSW_OK);
    for (size_t i = 0; i < ssw_gguf_count_keys(from); i++)
        ssw_gguf_writer_copy_key(writer, ssw_gguf_key_at(from, i));
    for (size_t i = 0; i < ssw_gguf_count_tensors(from); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(from, i);
        ssw_gguf_writer_add_tensor(writer, tensor->name, tensor->dtype, tensor->n_dims, tensor->dims);
    }
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    for (size_t i = 0; i < ssw_gguf_count_tensors(from); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(from, i);
        assert_int_equal(ssw_gguf_writer_write_data(writer, tensor->data, tensor->n_bytes, &err), SSW_OK);
    }
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
    ssw_gguf_close(from);
    ssw_gguf *gguf = open_ok(path);
    assert_int_equal(ssw_gguf_count_keys(gguf), 17);
    check_sample_keys(gguf);
    check_sample_arrays(gguf);
    check_sample_tensors(gguf, 4096);
    ssw_gguf_close(gguf);
}

static void open_memory(void **state)
{
    char path[256];
    ssw_error err = {0};
    ssw_gguf *gguf;
    write_sample_gguf(scratch_path(path, sizeof path, "memory.gguf"));
    file_bytes file = read_whole_file(path);
    assert_int_equal(ssw_gguf_open_memory("in memory", file.data, file.n_bytes, &gguf, &err), SSW_OK);
    check_sample_keys(gguf);
    ssw_gguf_close(gguf);
    assert_int_equal(ssw_gguf_open_memory("in memory", file.data, 10, &gguf, &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "in memory: truncated"));
    assert_null(gguf);
    free(file.data);
}

static void writer_refuses_misuse(void **state)
{
    char path[256];
    ssw_error err;
    ssw_gguf_writer *writer;
    scratch_path(path, sizeof path, "misuse.gguf");
    assert_int_equal(ssw_gguf_writer_open(path, 48, &writer, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_gguf_writer_open("/no/such/folder/x.gguf", 0, &writer, &err), SSW_ERR_IO);

    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    ssw_gguf_writer_add_tensor(writer, "w", SSW_DTYPE_Q8_0, 1, (const uint64_t[]){33});
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_ERR_USAGE);
    assert_non_null(strstr(err.message, "impossible dimensions of tensor 'w'"));
    ssw_gguf_writer_close(writer);

    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    ssw_gguf_writer_add_tensor(writer, "w", SSW_DTYPE_F32, 1, (const uint64_t[]){2});
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_write_data(writer, "1234567890", 9, &err), SSW_ERR_USAGE);
    assert_int_equal(ssw_gguf_writer_write_data(writer, "1234567890", 7, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_ERR_USAGE);
    ssw_gguf_writer_close(writer);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing was left behind */
    char tmp[300];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    assert_int_not_equal(access(tmp, F_OK), 0);
}

/* A file-size limit stands for a full disk: write(2) fails in the same place. */
static void full_disk(void **state)
{
    char path[256];
    ssw_error err = {0};
    ssw_gguf_writer *writer;
    static const unsigned char block[1 << 16];
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 2 << 20;
    signal(SIGXFSZ, SIG_IGN);
    scratch_path(path, sizeof path, "full.gguf");
    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    ssw_gguf_writer_add_tensor(writer, "w", SSW_DTYPE_I8, 1, (const uint64_t[]){4 << 20});
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    setrlimit(RLIMIT_FSIZE, &small);
    ssw_status status = SSW_OK;
    for (int i = 0; i < 64 && status == SSW_OK; i++)
        status = ssw_gguf_writer_write_data(writer, block, sizeof block, &err);
    if (status == SSW_OK)
        status = ssw_gguf_writer_finish(writer, &err);
    ssw_gguf_writer_close(writer);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, SSW_ERR_IO);
    assert_non_null(strstr(err.message, "full.gguf.tmp: write failed: File too large"));
    assert_int_not_equal(access(path, F_OK), 0);
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(version_2_is_read),
        cmocka_unit_test(copy_with_alignment),
        cmocka_unit_test(open_memory),
        cmocka_unit_test(writer_refuses_misuse),
        cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
