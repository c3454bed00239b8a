/* Damaged and hostile files: each begins as a good file of the writer's and is then changed in one place.
 * Every message is one line that names the file and the fault. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "gguf_files.h"

static char path[256];

static void put_u32(unsigned char *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_u64(unsigned char *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

/* The file at `path` is refused; the message begins with it and holds `fault`. */
static void expect_refusal(ssw_status expected, const char *fault)
{
    ssw_error err = {0};
    ssw_gguf *gguf = NULL;
    ssw_status status = ssw_gguf_open(path, &gguf, &err);
    ssw_gguf_close(gguf);
    if (status != expected)
        fail_msg("status %s instead of %s (%s)", ssw_status_name(status), ssw_status_name(expected),
                 err.message);
    if (strncmp(err.message, path, strlen(path)) != 0 || !strstr(err.message, fault) ||
        strchr(err.message, '\n'))
        fail_msg("'%s' does not name the file and '%s'", err.message, fault);
}

static file_bytes sample(void)
{
    write_sample_gguf(scratch_path(path, sizeof path, "bad.gguf"));
    return read_whole_file(path);
}

static void refuse_bytes(file_bytes file, ssw_status expected, const char *fault)
{
    write_whole_file(path, file.data, file.n_bytes);
    expect_refusal(expected, fault);
}

/* Where the value of a key begins: after its name and the number of its type. */
static unsigned char *value_of(file_bytes file, const char *key)
{
    return file.data + find_once(file, key) + strlen(key) + 4;
}

/* Behind the name of a tensor: dimensions (4), dims (8 each), type (4), offset (8). */
static unsigned char *shape_of(file_bytes file, const char *tensor)
{
    return file.data + find_once(file, tensor) + strlen(tensor);
}

static void truncated_anywhere(void **state)
{
    file_bytes file = sample();
    size_t padding = 8; /* 24 bytes of the last tensor are padded to 32; padding may be missing */
    char missing[64];
    for (size_t n = 1; n < file.n_bytes - padding; n++) {
        ssw_error err = {0};
        ssw_gguf *gguf;
        if (ssw_gguf_open_memory("bad.gguf", file.data, n, &gguf, &err) != SSW_ERR_FORMAT)
            fail_msg("%zu of %zu bytes: %s", n, file.n_bytes, err.message);
        if (strncmp(err.message, "bad.gguf: truncated: ", 21) != 0 || !strstr(err.message, "missing"))
            fail_msg("%zu of %zu bytes: %s", n, file.n_bytes, err.message);
    }
    for (size_t n = file.n_bytes - padding; n <= file.n_bytes; n++) {
        ssw_gguf *gguf;
        assert_int_equal(ssw_gguf_open_memory("whole", file.data, n, &gguf, NULL), SSW_OK);
        ssw_gguf_close(gguf);
    }
    file.n_bytes -= padding + 5;
    snprintf(missing, sizeof missing, "tensor 'c.weight' ends at byte %zu, 5 bytes are missing",
             file.n_bytes + 5);
    refuse_bytes(file, SSW_ERR_FORMAT, missing);
    free(file.data);
}

static void not_a_file(void **state)
{
    scratch_path(path, sizeof path, "none.gguf");
    expect_refusal(SSW_ERR_IO, "No such file or directory");
    scratch_path(path, sizeof path, "folder.gguf");
    mkdir(path, 0700);
    expect_refusal(SSW_ERR_IO, "not a regular file");
    rmdir(path);
    scratch_path(path, sizeof path, "empty.gguf");
    write_whole_file(path, "", 0);
    expect_refusal(SSW_ERR_FORMAT, "the file is empty");
    write_whole_file(path, "PK\3\4 something else altogether", 30);
    expect_refusal(SSW_ERR_FORMAT, "not a GGUF file: it begins with 50 4b 03 04");
}

static void wrong_versions(void **state)
{
    static const struct {
        uint32_t version;
        const char *fault;
    } cases[] = {{1, "GGUF version 1;"},
                 {4, "GGUF version 4;"},
                 {0, "GGUF version 0;"},
                 {0x03000000, "a big-endian GGUF file"},
                 {0x02000000, "a big-endian GGUF file"}};
    file_bytes file = sample();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_u32(file.data + 4, cases[i].version);
        refuse_bytes(file, SSW_ERR_UNSUPPORTED, cases[i].fault);
    }
    free(file.data);
}

static void huge_counts(void **state)
{
    file_bytes file = sample();
    put_u64(file.data + 8, UINT64_MAX);
    refuse_bytes(file, SSW_ERR_LIMIT, "counts 18446744073709551615 tensors; at most 100000");
    put_u64(file.data + 8, SSW_GGUF_TENSORS_MAX);
    refuse_bytes(file, SSW_ERR_FORMAT, "truncated: 16 keys and 100000 tensors are announced");
    put_u64(file.data + 8, 3);
    put_u64(file.data + 16, UINT64_C(1) << 40);
    refuse_bytes(file, SSW_ERR_LIMIT, "counts 1099511627776 keys; at most 10000");
    put_u64(file.data + 16, 16);
    put_u64(value_of(file, "k.texts") + 4, UINT64_C(1) << 60);
    refuse_bytes(file, SSW_ERR_LIMIT, "key 'k.texts' has 1152921504606846976 elements");
    put_u64(value_of(file, "k.texts") + 4, SSW_GGUF_ARRAY_LENGTH_MAX);
    refuse_bytes(file, SSW_ERR_FORMAT, "truncated: key 'k.texts' has 16777216 strings");
    put_u64(value_of(file, "k.texts") + 4, 3);
    put_u64(value_of(file, "k.floats") + 4, 1000);
    refuse_bytes(file, SSW_ERR_FORMAT, "truncated: key 'k.floats' needs 4000 bytes");
    free(file.data);
}

static void bad_strings(void **state)
{
    file_bytes file = sample();
    unsigned char *length = value_of(file, "general.architecture");
    put_u64(length, 1000000);
    refuse_bytes(file, SSW_ERR_FORMAT, "truncated: key 'general.architecture' needs 1000000 bytes");
    put_u64(length, UINT64_MAX);
    refuse_bytes(file, SSW_ERR_LIMIT, "key 'general.architecture' is a string of 18446744073709551615 bytes");
    put_u64(length, 6);
    unsigned char *name = file.data + 24; /* the first key's name: length, then bytes */
    put_u64(name, 0);
    refuse_bytes(file, SSW_ERR_FORMAT, "the name of key 0 is empty");
    put_u64(name, UINT64_C(1) << 63);
    refuse_bytes(file, SSW_ERR_LIMIT, "the name of key 0 is a string of 9223372036854775808 bytes");
    put_u64(name, 20);
    name[8] = 0;
    refuse_bytes(file, SSW_ERR_FORMAT, "the name of key 0 contains a NUL byte");
    name[8] = '\n';
    name[9] = 0xff;
    put_u32(name + 8 + 20, 99);
    refuse_bytes(file, SSW_ERR_FORMAT, "key '??neral.architecture' has the unknown type 99");
    free(file.data);
}

static void bad_value_types(void **state)
{
    file_bytes file = sample();
    put_u32(value_of(file, "k.u32") - 4, 13);
    refuse_bytes(file, SSW_ERR_FORMAT, "key 'k.u32' has the unknown type 13");
    put_u32(value_of(file, "k.u32") - 4, SSW_GGUF_U32);
    put_u32(value_of(file, "k.texts"), SSW_GGUF_ARRAY);
    refuse_bytes(file, SSW_ERR_UNSUPPORTED, "key 'k.texts' is an array of arrays");
    put_u32(value_of(file, "k.texts"), 77);
    refuse_bytes(file, SSW_ERR_FORMAT, "key 'k.texts' is an array of the unknown type 77");
    put_u32(value_of(file, "k.texts"), SSW_GGUF_STRING);
    *value_of(file, "k.bool") = 2;
    refuse_bytes(file, SSW_ERR_FORMAT, "key 'k.bool' holds 2 as a bool");
    *value_of(file, "k.bool") = 1;
    value_of(file, "k.flags")[12 + 2] = 255;
    refuse_bytes(file, SSW_ERR_FORMAT, "key 'k.flags' holds 255 as a bool");
    free(file.data);
}

static void bad_shapes(void **state)
{
    file_bytes file = sample();
    unsigned char *a = shape_of(file, "a.weight"), *b = shape_of(file, "b.weight");
    put_u32(a, 5);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'a.weight' has 5 dimensions");
    put_u32(a, 0);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'a.weight' has 0 dimensions");
    put_u32(a, 1);
    put_u64(a + 4, 0);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'a.weight' has a dimension of 0");
    put_u64(a + 4, UINT64_MAX);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'a.weight': the product of its dimensions overflows");
    put_u64(a + 4, 8);
    put_u64(b + 12, UINT64_C(1) << 60);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'b.weight': the product of its dimensions overflows");
    put_u64(b + 12, 2);
    put_u64(b + 4, 33);
    refuse_bytes(file, SSW_ERR_FORMAT,
                 "tensor 'b.weight': rows of 33 elements are not a multiple of the 32 of Q8_0");
    put_u64(b + 4, 32);
    put_u32(b + 20, 4242);
    refuse_bytes(file, SSW_ERR_UNSUPPORTED, "tensor 'b.weight' has the unknown type number 4242");
    put_u32(b + 20, UINT32_MAX);
    refuse_bytes(file, SSW_ERR_UNSUPPORTED, "tensor 'b.weight' has the unknown type number 4294967295");
    free(file.data);
}

static void bad_offsets(void **state)
{
    file_bytes file = sample();
    unsigned char *b = shape_of(file, "b.weight") + 24;
    put_u64(b, 0);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensors 'a.weight' and 'b.weight' overlap");
    put_u64(b, 64); /* now into c.weight, which begins at 128 */
    refuse_bytes(file, SSW_ERR_FORMAT, "tensors 'b.weight' and 'c.weight' overlap");
    put_u64(b, 33);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'b.weight' starts at 33, not a multiple of the alignment 32");
    put_u64(b, UINT64_C(1) << 63);
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'b.weight' starts at the impossible offset");
    put_u64(b, UINT64_C(1) << 40);
    refuse_bytes(file, SSW_ERR_FORMAT, "truncated: tensor 'b.weight' ends at byte");
    free(file.data);
}

static void duplicates(void **state)
{
    file_bytes file = sample();
    memcpy(file.data + find_once(file, "k.i16"), "k.i32", 5);
    refuse_bytes(file, SSW_ERR_FORMAT, "key 'k.i32' appears twice");
    free(file.data);
    file = sample();
    file.data[find_once(file, "b.weight")] = 'c';
    refuse_bytes(file, SSW_ERR_FORMAT, "tensor 'c.weight' appears twice");
    free(file.data);
}

static void bad_alignment(void **state)
{
    ssw_error err;
    ssw_gguf_writer *writer;
    scratch_path(path, sizeof path, "bad.gguf");
    assert_int_equal(ssw_gguf_writer_open(path, 64, &writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
    file_bytes file = read_whole_file(path);
    static const uint32_t wrong[] = {0, 1, 48, 3, UINT32_MAX, 1u << 31};
    unsigned char *value = value_of(file, "general.alignment");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char fault[64];
        snprintf(fault, sizeof fault, "general.alignment is %u; it must be a power of two", wrong[i]);
        put_u32(value, wrong[i]);
        refuse_bytes(file, SSW_ERR_FORMAT, fault);
    }
    put_u32(value - 4, SSW_GGUF_F32);
    refuse_bytes(file, SSW_ERR_FORMAT, "general.alignment is of type f32");
    free(file.data);
}

/* Any one byte may be anything: the reader answers, and what it accepts it can also show. */
static void every_byte_changed(void **state)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    file_bytes file = sample();
    size_t n_accepted = 0;
    for (size_t i = 0; i < file.n_bytes; i++) {
        unsigned char good = file.data[i];
        for (size_t j = 0; j < sizeof values; j++) {
            ssw_error err = {0};
            ssw_gguf *gguf;
            file.data[i] = values[j];
            ssw_status status = ssw_gguf_open_memory("bad.gguf", file.data, file.n_bytes, &gguf, &err);
            if (status != SSW_OK && strncmp(err.message, "bad.gguf: ", 10) != 0)
                fail_msg("byte %zu: '%s'", i, err.message);
            n_accepted += status == SSW_OK;
            ssw_gguf_close(gguf);
        }
        file.data[i] = good;
    }
    assert_true(n_accepted > 0 && n_accepted < 5 * file.n_bytes);
    free(file.data);
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_anywhere), cmocka_unit_test(not_a_file),
        cmocka_unit_test(wrong_versions),     cmocka_unit_test(huge_counts),
        cmocka_unit_test(bad_strings),        cmocka_unit_test(bad_value_types),
        cmocka_unit_test(bad_shapes),         cmocka_unit_test(bad_offsets),
        cmocka_unit_test(duplicates),         cmocka_unit_test(bad_alignment),
        cmocka_unit_test(every_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
