/* Energy counters: RAPL from a tree of files as the kernel lays it out, with a wrap; NVML's from a library of
 * our own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/evidence/sample.h"
#include "bench/telemetry/nvml.h"
#include "bench/telemetry/rapl.h"

static char root[64];

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, zone);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void put_zone(const char *zone, const char *name, const char *energy)
{
    put(zone, "name", name);
    put(zone, "max_energy_range_uj", "1000000\n");
    put(zone, "energy_uj", energy);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "powercap-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void counts_from_open_and_over_a_wrap(void **state)
{
    (void)state;
    char reason[SSW_RAPL_TEXT_MAX];
    ssw_rapl_reading reading;
    put_zone("intel-rapl:0", "package-0\n", "900000\n");
    put_zone("intel-rapl:0:0", "core\n", "5\n");
    put_zone("intel-rapl:0:1", "dram\n", "100\n");
    put_zone("intel-rapl:1", "package-1\n", "0\n");
    put_zone("intel-rapl:2", "psys\n", "7\n");
    put_zone("intel-rapl-mmio:0", "package-0\n", "900000\n");
    ssw_rapl *rapl = ssw_rapl_open(root, reason);
    assert_non_null(rapl);
    assert_string_equal(ssw_rapl_describe(rapl), "2 packages, 1 DRAM");
    ssw_rapl_read(rapl, &reading);
    assert_true(reading.package_uj == 0 && reading.dram_uj == 0);
    put("intel-rapl:0", "energy_uj", "990000\n");
    put("intel-rapl:1", "energy_uj", "11\n");
    put("intel-rapl:0:1", "energy_uj", "350\n");
    ssw_rapl_read(rapl, &reading);
    assert_true(reading.package_uj == 90011 && reading.dram_uj == 250);
    put("intel-rapl:0", "energy_uj", "20000\n"); /* past 1000000 */
    ssw_rapl_read(rapl, &reading);
    assert_true(reading.package_uj == 120011);
    ssw_rapl_close(rapl);
}

static void says_why_there_is_none(void **state)
{
    (void)state;
    char reason[SSW_RAPL_TEXT_MAX];
    assert_null(ssw_rapl_open("absent-powercap", reason));
    assert_non_null(strstr(reason, "No such file"));
    assert_null(ssw_rapl_open(root, reason));
    assert_non_null(strstr(reason, "no RAPL zone"));
    put("intel-rapl:0", "name", "package-0\n");
    assert_null(
        ssw_rapl_open(root, reason)); /* as where only root may read it: the counter cannot be opened */
    assert_non_null(strstr(reason, "intel-rapl:0/energy_uj: "));
    put_zone("intel-rapl:0", "package-0\n", "nonsense\n");
    assert_null(ssw_rapl_open(root, reason));
    assert_non_null(strstr(reason, "cannot be read"));
    put_zone("intel-rapl:0", "package-0\n", "1\n");
    ssw_rapl *rapl = ssw_rapl_open(root, reason);
    ssw_rapl_reading reading;
    assert_non_null(rapl);
    assert_string_equal(ssw_rapl_describe(rapl), "1 package, no DRAM");
    ssw_rapl_read(rapl, &reading);
    assert_true(reading.dram_uj == SSW_EVIDENCE_NONE); /* unknown, not 0 */
    ssw_rapl_close(rapl);
}

static void nvml_counters(void **state)
{
    (void)state;
    char reason[SSW_NVML_REASON_MAX], path[128];
    ssw_nvml_reading reading;
    const ssw_proc_tree tree = {0};
    ssw_nvml *nvml = ssw_nvml_open(getenv("FAKE_NVML_LIBRARY"), reason);
    assert_non_null(nvml);
    ssw_nvml_read(nvml, &tree, &reading);
    assert_true(reading.energy_mj == SSW_EVIDENCE_NONE && reading.temperature_c == 61);
    put("nvml", "energy", "123456\n");
    snprintf(path, sizeof path, "%s/nvml/energy", root);
    setenv("FAKE_NVML_ENERGY", path, 1);
    ssw_nvml_read(nvml, &tree, &reading);
    assert_true(reading.energy_mj == 2 * 123456); /* two devices */
    assert_true(ssw_nvml_read_pcie(nvml, false) == 1200 && ssw_nvml_read_pcie(nvml, true) == 3400);
    unsetenv("FAKE_NVML_ENERGY");
    ssw_nvml_close(nvml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_from_open_and_over_a_wrap, make_root, remove_root),
        cmocka_unit_test_setup_teardown(says_why_there_is_none, make_root, remove_root),
        cmocka_unit_test_setup_teardown(nvml_counters, make_root, remove_root)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
