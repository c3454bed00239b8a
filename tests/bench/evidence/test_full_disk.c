/* A disk that is really full: a small tmpfs in a mount namespace of our own. The sample in hand must be saved
 * from the reserve, and the error said. Skipped (77) where namespaces may not be made. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/evidence_writer.h"

enum { SKIPPED = 77, FILES_MAX = 10000 };

static char dir[] = "full-disk-XXXXXX";

static bool mount_small_disk(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mkdtemp(dir) && mount("none", dir, "tmpfs", 0, "size=2m") == 0;
}

static void fill_disk(void)
{
    char path[64], block[4096] = {0};
    snprintf(path, sizeof path, "%s/filler", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    for (int i = 0; i < FILES_MAX && write(fd, block, sizeof block) == (ssize_t)sizeof block; i++)
        ;
    close(fd);
}

static void test_the_sample_in_hand_is_saved(void **state)
{
    (void)state;
    ssw_evidence_writer writer;
    ssw_error err = {0};
    char *text = malloc(20001);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    ssw_sample sample = {
        .id = "s", .arm = "a", .run = 1, .attempt = 1, .prompt = "q1", .text = text, .reasoning = ""};
    assert_int_equal(ssw_evidence_writer_open(&writer, dir, &err), SSW_OK);
    assert_int_equal(ssw_evidence_write_sample(&writer, &sample, &err), SSW_OK);
    fill_disk();
    assert_int_equal(ssw_evidence_write_sample(&writer, &sample, &err), SSW_ERR_IO);
    assert_non_null(strstr(err.message, "the last line was saved, but"));
    assert_non_null(strstr(err.message, "No space left on device"));
    assert_int_equal(ssw_evidence_write_end(&writer, "failed", 2, &err), SSW_OK); /* there is room again */
    assert_int_equal(ssw_evidence_writer_close(&writer, &err), SSW_OK);
    char path[64], line[32768];
    int n = 0;
    snprintf(path, sizeof path, "%s/samples.jsonl", dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        json_decref(object);
        n++;
    }
    fclose(file);
    assert_int_equal(n, 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_sample_in_hand_is_saved)};
    if (!mount_small_disk()) {
        fprintf(stderr, "skipped: no mount namespace (%s)\n", strerror(errno));
        rmdir(dir);
        return SKIPPED;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount(dir);
    rmdir(dir);
    return failed;
}
