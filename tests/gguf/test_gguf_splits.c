/* Split sets (NAME-00001-of-00003.gguf): put together in order; refused when a part is missing, out of place,
 * from another set, or when parts share a tensor. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "gguf_files.h"

/* One part with one tensor of four bytes of value `fill`; count 0: without the split keys. */
static void write_part(const char *name, uint16_t no, uint16_t count, int32_t n_tensors, const char *tensor,
                       unsigned char fill)
{
    char path[256];
    ssw_error err;
    ssw_gguf_writer *writer;
    const unsigned char data[4] = {fill, fill, fill, fill};
    assert_int_equal(ssw_gguf_writer_open(scratch_path(path, sizeof path, name), 0, &writer, &err), SSW_OK);
    if (no == 0)
        ssw_gguf_writer_set_text(writer, "general.name", "set");
    if (count > 0) {
        ssw_gguf_writer_set(writer, "split.no", SSW_GGUF_U16, &no);
        ssw_gguf_writer_set(writer, "split.count", SSW_GGUF_U16, &count);
        ssw_gguf_writer_set(writer, "split.tensors.count", SSW_GGUF_I32, &n_tensors);
    }
    ssw_gguf_writer_add_tensor(writer, tensor, SSW_DTYPE_I8, 1, (const uint64_t[]){4});
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_write_data(writer, data, sizeof data, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
}

static void write_set(void)
{
    write_part("m-00001-of-00003.gguf", 0, 3, 3, "a", 1);
    write_part("m-00002-of-00003.gguf", 1, 3, 3, "b", 2);
    write_part("m-00003-of-00003.gguf", 2, 3, 3, "c", 3);
}

/* Opening `opened` fails with a message that begins with the path of `blamed`. */
static void expect_refusal(const char *opened, const char *blamed, ssw_status expected, const char *fault)
{
    char path[256], blamed_path[256];
    ssw_error err = {0};
    ssw_gguf *gguf = NULL;
    ssw_status status = ssw_gguf_open(scratch_path(path, sizeof path, opened), &gguf, &err);
    ssw_gguf_close(gguf);
    scratch_path(blamed_path, sizeof blamed_path, blamed);
    if (status != expected || strncmp(err.message, blamed_path, strlen(blamed_path)) != 0 ||
        !strstr(err.message, fault))
        fail_msg("%s: '%s' does not name %s and '%s'", ssw_status_name(status), err.message, blamed, fault);
}

static void whole_set(void **state)
{
    char path[256];
    ssw_error err = {0};
    ssw_gguf *gguf;
    write_set();
    if (ssw_gguf_open(scratch_path(path, sizeof path, "m-00001-of-00003.gguf"), &gguf, &err) != SSW_OK)
        fail_msg("%s", err.message);
    assert_int_equal(ssw_gguf_count_files(gguf), 3);
    assert_int_equal(ssw_gguf_count_tensors(gguf), 3);
    for (size_t i = 0; i < 3; i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        assert_int_equal(tensor->split, i);
        assert_int_equal(*(const unsigned char *)tensor->data, i + 1);
        assert_ptr_equal(tensor, ssw_gguf_find_tensor(gguf, (const char *[]){"a", "b", "c"}[i]));
    }
    assert_non_null(ssw_gguf_find_key(gguf, "general.name")); /* the first part's */
    assert_non_null(strstr(ssw_gguf_file_path(gguf, 2), "m-00003-of-00003.gguf"));
    assert_true(ssw_gguf_file_bytes(gguf, 2) > 0);
    ssw_gguf_close(gguf);
}

static void missing_part(void **state)
{
    char path[256];
    write_set();
    unlink(scratch_path(path, sizeof path, "m-00002-of-00003.gguf"));
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_IO, "No such file");
}

static void truncated_part(void **state)
{
    char path[256];
    write_set();
    file_bytes file = read_whole_file(scratch_path(path, sizeof path, "m-00003-of-00003.gguf"));
    write_whole_file(path, file.data, file.n_bytes / 2);
    free(file.data);
    expect_refusal("m-00001-of-00003.gguf", "m-00003-of-00003.gguf", SSW_ERR_FORMAT, "truncated");
}

static void foreign_parts(void **state)
{
    write_set();
    write_part("m-00002-of-00003.gguf", 1, 4, 3, "b", 2);
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_FORMAT,
                   "part 2 of 4, expected part 2 of 3");
    write_part("m-00002-of-00003.gguf", 2, 3, 3, "b", 2);
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_FORMAT,
                   "part 3 of 3, expected part 2 of 3");
    write_part("m-00002-of-00003.gguf", 1, 3, 7, "b", 2);
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_FORMAT, "should have 7 tensors");
    write_part("m-00002-of-00003.gguf", 1, 0, 3, "b", 2);
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_FORMAT, "'split.no' is missing");
    write_part("m-00002-of-00003.gguf", 1, 3, 3, "a", 2);
    expect_refusal("m-00001-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_FORMAT,
                   "tensor 'a' appears twice in the split set");
    write_set();
    write_part("m-00001-of-00003.gguf", 0, 3, 5, "a", 1);
    expect_refusal("m-00001-of-00003.gguf", "m-00001-of-00003.gguf", SSW_ERR_FORMAT,
                   "should have 5 tensors, the 3 files together have 3");
}

static void names_and_keys_disagree(void **state)
{
    write_set();
    expect_refusal("m-00002-of-00003.gguf", "m-00002-of-00003.gguf", SSW_ERR_USAGE,
                   "part 2 of 3; name the first part");
    write_part("renamed.gguf", 0, 3, 3, "a", 1);
    expect_refusal("renamed.gguf", "renamed.gguf", SSW_ERR_FORMAT, "must end in -00001-of-00003.gguf");
    write_part("k-00001-of-00002.gguf", 0, 0, 0, "a", 1);
    expect_refusal("k-00001-of-00002.gguf", "k-00001-of-00002.gguf", SSW_ERR_FORMAT, "one of 2 parts");
    write_part("huge-00001-of-60000.gguf", 0, 60000, 3, "a", 1);
    expect_refusal("huge-00001-of-60000.gguf", "huge-00001-of-60000.gguf", SSW_ERR_LIMIT,
                   "'split.count' is 60000");
}

static int remove_scratch(void **state)
{
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_set),
        cmocka_unit_test(missing_part),
        cmocka_unit_test(truncated_part),
        cmocka_unit_test(foreign_parts),
        cmocka_unit_test(names_and_keys_disagree),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
