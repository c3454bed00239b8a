/* What `seesaw serve` reads and prints besides HTTP: files of API keys, the placement table. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api_keys.h"
#include "cli/placement_table.h"
#include "serve/server.h"

/* Reads a file of these bytes. */
static ssw_status read_keys(const char *bytes, size_t n_bytes, ssw_cli_api_keys *keys, ssw_error *err)
{
    char path[] = "/tmp/seesaw-keys-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n_bytes), n_bytes);
    close(fd);
    ssw_status status = ssw_cli_api_keys_read(path, keys, err);
    unlink(path);
    return status;
}

static ssw_status read_text(const char *text, ssw_cli_api_keys *keys, ssw_error *err)
{
    return read_keys(text, strlen(text), keys, err);
}

static void keys_are_lines(void **state)
{
    (void)state;
    ssw_cli_api_keys keys;
    ssw_error err;
    assert_int_equal(read_text("# ours\n\n  first \r\nsecond", &keys, &err), SSW_OK);
    assert_int_equal(keys.n_keys, 2);
    assert_string_equal(keys.keys[0], "first");
    assert_string_equal(keys.keys[1], "second");
    ssw_cli_api_keys_free(&keys);
}

static void bad_key_files_are_refused(void **state)
{
    (void)state;
    ssw_cli_api_keys keys;
    ssw_error err;
    assert_int_equal(read_text("", &keys, &err), SSW_ERR_FORMAT); /* would leave the server open */
    assert_non_null(strstr(err.message, "/tmp/seesaw-keys-"));
    assert_int_equal(read_text("# only this\n \n", &keys, &err), SSW_ERR_FORMAT);
    assert_int_equal(ssw_cli_api_keys_read("/no/such/file", &keys, &err), SSW_ERR_IO);
    assert_non_null(strstr(err.message, "/no/such/file"));
    char *many = calloc(1, 4 * SSW_SERVER_API_KEYS_MAX);
    assert_non_null(many);
    for (int i = 0; i <= SSW_SERVER_API_KEYS_MAX; i++)
        strcat(many + 2 * i, "k\n");
    assert_int_equal(read_text(many, &keys, &err), SSW_ERR_LIMIT);
    free(many);
    char line[SSW_SERVER_API_KEY_BYTES_MAX + 100];
    memset(line, 'k', sizeof line);
    assert_int_equal(read_keys(line, SSW_SERVER_API_KEY_BYTES_MAX, &keys, &err), SSW_OK);
    ssw_cli_api_keys_free(&keys);
    assert_int_equal(read_keys(line, SSW_SERVER_API_KEY_BYTES_MAX + 1, &keys, &err), SSW_ERR_LIMIT);
    assert_int_equal(read_keys(line, sizeof line, &keys, &err), SSW_ERR_LIMIT);
}

/* What the table and the line about offload say, in memory that the caller frees. */
static char *print(const ssw_engine_info *info)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *out = open_memstream(&text, &n_bytes);
    assert_non_null(out);
    ssw_cli_print_placement(info, out);
    ssw_cli_print_offload_effect(info, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void table_has_every_place_and_the_sum(void **state)
{
    (void)state;
    ssw_engine_info info = {
        .architecture = "gpt-oss",
        .name = "made up",
        .isa = "avx2",
        .n_layers = 3,
        .n_experts = 8,
        .n_experts_used = 2,
        .n_places = 2,
        .places = {{"attention", "CPU", "repacked", 1000, 1024},
                   {"experts", "CPU", "mapped file", 20000, 20000}},
    };
    char *text = print(&info);
    assert_non_null(strstr(text, "made up (gpt-oss)"));
    assert_non_null(
        strstr(text, "attention          CPU     repacked                1000            1024\n"));
    assert_non_null(
        strstr(text, "experts            CPU     mapped file            20000           20000\n"));
    assert_non_null(
        strstr(text, "total                                             21000           21024\n"));
    assert_non_null(strstr(text, "moved nothing"));
    free(text);
    info.places[0].device = "CUDA0";
    text = print(&info);
    assert_null(strstr(text, "moved nothing"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_lines),
        cmocka_unit_test(bad_key_files_are_refused),
        cmocka_unit_test(table_has_every_place_and_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
