/* The cache of file hashes: used while path, size, time and inode are the same, never when they are not. */
#include "../cmocka_all.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_hash.h"

static const char digest_of_a[] =
    "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"; /* of "a" */
static const char digest_of_b[] =
    "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"; /* of "b" */

typedef struct place {
    char folder[64], file[96], cache[96];
} place;

static void write_letter(const place *p, char letter, time_t seconds)
{
    FILE *out = fopen(p->file, "wb");
    assert_non_null(out);
    assert_int_equal(fputc(letter, out), letter);
    assert_int_equal(fclose(out), 0);
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, p->file, times, 0), 0);
}

static int make_place(void **state)
{
    place *p = calloc(1, sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/ssw-hash-XXXXXX");
    if (!p || !mkdtemp(p->folder))
        return -1;
    snprintf(p->file, sizeof p->file, "%s/model.gguf", p->folder);
    snprintf(p->cache, sizeof p->cache, "%s/cache", p->folder);
    *state = p;
    return mkdir(p->cache, 0700);
}

static int remove_place(void **state)
{
    place *p = *state;
    DIR *dir = opendir(p->cache);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(p->cache);
    unlink(p->file);
    rmdir(p->folder);
    free(p);
    return 0;
}

static void assert_hash(const place *p, const char *cache, const char *expected)
{
    ssw_sha256_text text;
    ssw_error err = {0};
    int64_t n_bytes;
    if (ssw_file_hash(p->file, cache, text, &n_bytes, &err) != SSW_OK)
        fail_msg("%s", err.message);
    assert_string_equal(text, expected);
    assert_int_equal(n_bytes, 1);
}

/* The cache is believed: a change that keeps size, time and inode is not seen. That is what it is to be a
 * cache. */
static void test_believed_while_unchanged(void **state)
{
    const place *p = *state;
    write_letter(p, 'a', 1000);
    assert_hash(p, p->cache, digest_of_a);
    write_letter(p, 'b', 1000); /* fopen "w" keeps the inode */
    assert_hash(p, p->cache, digest_of_a);
    assert_hash(p, NULL, digest_of_b);
}

static void test_new_time_new_hash(void **state)
{
    const place *p = *state;
    write_letter(p, 'a', 1000);
    assert_hash(p, p->cache, digest_of_a);
    write_letter(p, 'b', 1001);
    assert_hash(p, p->cache, digest_of_b);
    assert_hash(p, p->cache, digest_of_b);
}

static void test_new_file_new_hash(void **state)
{
    const place *p = *state;
    char moved[128];
    write_letter(p, 'a', 1000);
    assert_hash(p, p->cache, digest_of_a);
    snprintf(moved, sizeof moved, "%s.old", p->file);
    assert_int_equal(rename(p->file, moved), 0); /* keeps the first inode in use */
    write_letter(p, 'b', 1000);
    assert_hash(p, p->cache, digest_of_b);
    unlink(moved);
}

static void test_without_a_usable_cache(void **state)
{
    const place *p = *state;
    ssw_sha256_text text;
    ssw_error err;
    int64_t n_bytes;
    write_letter(p, 'a', 1000);
    assert_hash(p, "/nowhere/at/all", digest_of_a);
    assert_int_equal(ssw_file_hash(p->folder, p->cache, text, &n_bytes, &err), SSW_ERR_IO);
    assert_int_equal(ssw_file_hash("/nowhere/model.gguf", p->cache, text, &n_bytes, &err), SSW_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/model.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_believed_while_unchanged, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_new_time_new_hash, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_new_file_new_hash, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_without_a_usable_cache, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
