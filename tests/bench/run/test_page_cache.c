/* The page cache as a factor, on a real file of this machine; and what arguments say of experts. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/run/offload_claim.h"
#include "bench/run/page_cache.h"

enum { FILE_BYTES = 8 << 20, TMPFS = 0x01021994 };

static char path[] = "/var/tmp/seesaw-page-cache-XXXXXX"; /* /tmp may be a tmpfs, which has nothing to drop */

static void test_warm_and_cold(void **state)
{
    (void)state;
    ssw_error err = {0};
    struct statfs where;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const ssw_manifest_file file = {.path = path, .bytes = FILE_BYTES};
    char *block = calloc(1, FILE_BYTES);
    assert_int_equal(write(fd, block, FILE_BYTES), FILE_BYTES);
    free(block);
    assert_int_equal(ssw_page_cache_prepare(&file, 1, SSW_PLAN_CACHE_WARM, &err), SSW_OK);
    assert_int_equal(ssw_page_cache_resident_bytes(&file, 1), FILE_BYTES);
    assert_int_equal(fstatfs(fd, &where), 0);
    ssw_status cold = ssw_page_cache_prepare(&file, 1, SSW_PLAN_CACHE_COLD, &err);
    if (where.f_type == TMPFS) {
        assert_int_equal(cold, SSW_ERR_UNAVAILABLE);
    } else {
        assert_int_equal(cold, SSW_OK);
        assert_true(ssw_page_cache_resident_bytes(&file, 1) <= FILE_BYTES / 100);
        /* a page that somebody has mapped and locked cannot be dropped, and that is said */
        void *map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
        assert_true(map != MAP_FAILED);
        assert_int_equal(ssw_page_cache_prepare(&file, 1, SSW_PLAN_CACHE_COLD, &err), SSW_ERR_UNAVAILABLE);
        assert_non_null(
            strstr(err.message, "the page cache is not cold: it holds 8388608 of the model's 8388608"));
        munmap(map, FILE_BYTES);
    }
    assert_int_equal(ssw_page_cache_prepare(&file, 1, SSW_PLAN_CACHE_AS_IS, NULL), SSW_OK);
    close(fd);
    unlink(path);
    assert_int_equal(ssw_page_cache_prepare(&file, 1, SSW_PLAN_CACHE_WARM, &err), SSW_ERR_IO);
    assert_int_equal(ssw_page_cache_resident_bytes(&file, 1), SSW_EVIDENCE_NONE);
    assert_int_equal(ssw_page_cache_resident_bytes(&file, 0), SSW_EVIDENCE_NONE);
}

static int64_t claim(const char *words, bool known)
{
    ssw_plan plan;
    ssw_expert_layers layers = {.layer_bytes = {10, 200, 3000}, .known = known};
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm(&plan, "a", words, NULL), SSW_OK);
    int64_t bytes = ssw_offload_claim(&plan.arms[0], &layers);
    ssw_plan_deinit(&plan);
    return bytes;
}

static void test_what_arguments_say_of_experts(void **state)
{
    (void)state;
    assert_int_equal(claim("", true), 0);
    assert_int_equal(claim("-t 4 --cpu-moe", true), 3210);
    assert_int_equal(claim("-cmoe", true), 3210);
    assert_int_equal(claim("--n-cpu-moe 2", true), 210);
    assert_int_equal(claim("--n-cpu-moe=1", true), 10);
    assert_int_equal(claim("-ncmoe 0", true), 0);
    assert_int_equal(claim("--n-cpu-moe 99", true), 3210);
    assert_int_equal(claim("--cpu-moe --n-cpu-moe 1", true), 3210);
    assert_int_equal(claim("--n-cpu-moe x", true), SSW_EVIDENCE_NONE);
    assert_int_equal(claim("-ot exps=CPU", true), SSW_EVIDENCE_NONE);
    assert_int_equal(claim("--cpu-moe", false), SSW_EVIDENCE_NONE);
    assert_int_equal(claim("--cpu-moe --moe-cache-mib 0", true), 3210);
    assert_int_equal(claim("--cpu-moe --moe-cache-mib 1", true), 0); /* larger than all */
    assert_int_equal(claim("--moe-cache-mib 1", true), 0);
    ssw_plan plan;
    ssw_expert_layers large = {.layer_bytes = {5 << 20, 7 << 20}, .known = true};
    ssw_plan_init(&plan);
    assert_int_equal(ssw_plan_add_arm(&plan, "a", "--cpu-moe --moe-cache-mib=4", NULL), SSW_OK);
    assert_int_equal(ssw_offload_claim(&plan.arms[0], &large), 8 << 20);
    ssw_plan_deinit(&plan);
    assert_int_equal(claim("--cpu-moe --moe-cache-mib x", true), SSW_EVIDENCE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_and_cold),
        cmocka_unit_test(test_what_arguments_say_of_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
