/* SHA-256 against the examples of FIPS 180-2, appendix B: "abc" and a million times "a". */
#include "../../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256.h"

#define ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void published_digests(void **state)
{
    ssw_sha256_text text;
    assert_int_equal(ssw_sha256_bytes("abc", 3, text, NULL), SSW_OK);
    assert_string_equal(text, ABC);

    char path[] = "sha256-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    for (int i = 0; i < 1000000; i++)
        putc('a', file);
    assert_int_equal(fclose(file), 0);
    int64_t n_bytes = 0;
    assert_int_equal(ssw_sha256_file(path, text, &n_bytes, NULL), SSW_OK);
    unlink(path);
    assert_string_equal(text, MILLION);
    assert_int_equal(n_bytes, 1000000);
}

static void a_missing_file_is_named(void **state)
{
    ssw_sha256_text text;
    ssw_error err;
    assert_int_equal(ssw_sha256_file("no/such.gguf", text, NULL, &err), SSW_ERR_IO);
    assert_string_equal(err.message, "no/such.gguf: cannot open: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
