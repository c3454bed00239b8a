/* Host memory against an allocation of known size, NVML against a library of our own, and the sampler's
 * phases. The environment variable FAKE_NVML_LIBRARY names the library; meson sets it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "base/clock.h"
#include "bench/evidence/evidence_reader.h"
#include "bench/telemetry/memory_sampler.h"

#define MIB INT64_C(1048576)

/* A sanitizer's shadow memory counts as the process's own. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SHADOW (2048 * MIB)
#else
#define SHADOW 0
#endif

/* A process with a child, each of which holds `mib` MiB of its own; its pid. */
static pid_t start_family(int mib)
{
    int fds[2];
    char ready;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pid_t child = fork();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        size_t n = (size_t)mib * (size_t)MIB;
        char *block = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(block, child ? 1 : 2, n);
        ssize_t put = write(fds[1], "r", 1);
        (void)put;
        for (;;)
            pause();
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(read(fds[0], &ready, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void end_family(pid_t pid)
{
    kill(pid, SIGKILL); /* the child follows by PR_SET_PDEATHSIG */
    waitpid(pid, NULL, 0);
}

static void test_memory_of_a_tree(void **state)
{
    (void)state;
    ssw_proc_tree tree;
    ssw_proc_usage usage;
    ssw_proc_pss pss;
    pid_t pid = start_family(40);
    ssw_proc_scan_tree(pid, &tree);
    assert_int_equal(tree.n, 2);
    assert_true(ssw_proc_tree_has(&tree, pid));
    ssw_proc_read_usage(&tree, &usage);
    ssw_proc_read_pss(&tree, &pss);
    assert_in_range(usage.rss_bytes, 80 * MIB, 100 * MIB + SHADOW);
    assert_in_range(pss.anon_bytes, 80 * MIB, 90 * MIB + SHADOW);
    assert_true(pss.file_bytes >= 0 && pss.file_bytes < 10 * MIB + SHADOW);
    assert_true(pss.cost_ns > 0);
    assert_true(usage.cpu_ns != SSW_EVIDENCE_NONE && usage.major_faults != SSW_EVIDENCE_NONE);
    end_family(pid);
    ssw_proc_scan_tree(pid, &tree);
    assert_int_equal(tree.n, 0);
    ssw_proc_read_usage(&tree, &usage);
    assert_true(usage.rss_bytes == SSW_EVIDENCE_NONE); /* unknown, not 0 */
    assert_true(ssw_proc_available_bytes() > 0);
    assert_true(ssw_proc_meminfo_bytes("MemTotal") > ssw_proc_available_bytes());
    assert_true(ssw_proc_meminfo_bytes("NoSuchKey") == SSW_EVIDENCE_NONE);
}

static ssw_nvml *open_fake(void)
{
    char reason[SSW_NVML_REASON_MAX];
    ssw_nvml *nvml = ssw_nvml_open(getenv("FAKE_NVML_LIBRARY"), reason);
    if (!nvml)
        fail_msg("%s", reason);
    return nvml;
}

static void set_pid(pid_t pid)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    setenv("FAKE_NVML_PID", text, 1);
}

static void test_nvml(void **state)
{
    (void)state;
    ssw_nvml_device device;
    ssw_nvml_reading reading;
    const ssw_proc_tree tree = {.n = 2, .pids = {5, 777}};
    unsetenv("FAKE_NVML");
    set_pid(777);
    ssw_nvml *nvml = open_fake();
    assert_int_equal(ssw_nvml_count_devices(nvml), 2);
    assert_string_equal(ssw_nvml_version(nvml), "12.570.0");
    assert_string_equal(ssw_nvml_driver(nvml), "570.0");
    ssw_nvml_describe(nvml, 1, &device);
    assert_string_equal(device.name, "Fake GPU 1");
    assert_true(device.memory_bytes == 1000 * MIB);
    assert_string_equal(device.uuid, ""); /* a driver without that call */
    assert_true(device.power_limit_mw == SSW_EVIDENCE_NONE);
    ssw_nvml_read(nvml, &tree, &reading);
    assert_true(reading.process_bytes == 200 * MIB);
    assert_true(reading.foreign_bytes == 7 * MIB);
    assert_true(reading.device_bytes == 230 * MIB);
    assert_true(reading.util_percent == 42 && reading.clock_sm_mhz == 1980 && reading.clock_mem_mhz == 2619);
    assert_true(reading.power_mw == 250000 && reading.throttle == 0x21);
    assert_true((uint64_t)reading.throttle & SSW_NVML_THROTTLED);
    setenv("FAKE_NVML", "hidden", 1);
    ssw_nvml_read(nvml, &tree, &reading);
    assert_true(reading.process_bytes == SSW_EVIDENCE_NONE && reading.foreign_bytes == SSW_EVIDENCE_NONE);
    assert_true(reading.device_bytes == 230 * MIB && !reading.lost);
    setenv("FAKE_NVML_LOST", "/", 1);
    ssw_nvml_read(nvml, &tree, &reading);
    assert_true(reading.lost && reading.device_bytes == SSW_EVIDENCE_NONE);
    unsetenv("FAKE_NVML_LOST");
    unsetenv("FAKE_NVML");
    ssw_nvml_close(nvml);
}

static void test_nvml_that_cannot_be_used(void **state)
{
    (void)state;
    char reason[SSW_NVML_REASON_MAX];
    assert_null(ssw_nvml_open("libabsent-nvml.so", reason));
    assert_non_null(strstr(reason, "libabsent-nvml.so"));
    assert_null(ssw_nvml_open("libm.so.6", reason));
    assert_string_equal(reason, "NVML has no nvmlInit_v2");
    setenv("FAKE_NVML", "init", 1);
    assert_null(ssw_nvml_open(getenv("FAKE_NVML_LIBRARY"), reason));
    assert_string_equal(reason, "NVML does not start: Driver Not Loaded");
    unsetenv("FAKE_NVML");
}

/* Reads telemetry.jsonl back with the reader's own function. */
static size_t read_back(const char *path, ssw_reading *out, size_t max, ssw_arena *arena)
{
    char line[4096];
    size_t n = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (n < max && fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        ssw_error err = {0};
        if (ssw_reading_from_json(arena, object, &out[n], &err))
            fail_msg("%s: %s", err.message, line);
        json_decref(object);
        n++;
    }
    fclose(file);
    return n;
}

static void test_sampler(void **state)
{
    (void)state;
    enum { READINGS_MAX = 500 };
    static ssw_reading readings[READINGS_MAX];
    static const char *const arms[] = {"a", "b"};
    ssw_jsonl file;
    ssw_sampler *sampler;
    ssw_arena arena;
    ssw_sampler_watch watch;
    unlink("telemetry-test.jsonl");
    ssw_arena_init(&arena, 1 << 24);
    pid_t pid = start_family(20);
    set_pid(pid);
    ssw_nvml *nvml = open_fake();
    assert_int_equal(ssw_jsonl_open(&file, ".", "telemetry-test.jsonl", NULL), SSW_OK);
    const ssw_sampler_options options = {.file = &file, .nvml = nvml, .arm_names = arms};
    assert_int_equal(ssw_sampler_start(&options, &sampler, NULL), SSW_OK);
    usleep(50000);
    ssw_sampler_set_server(sampler, 1, 3, 1, pid);
    ssw_sampler_set_phase(sampler, SSW_PHASE_LOADED);
    usleep(300000);
    int64_t begin_ns = ssw_clock_now_ns();
    ssw_sampler_set_phase(sampler, SSW_PHASE_DECODE);
    assert_true(ssw_clock_now_ns() - begin_ns < 5 * SSW_NS_PER_MS);
    usleep(200000);
    int64_t t_ns, available, vram;
    ssw_sampler_get_level(sampler, &t_ns, &available, &vram);
    assert_true(t_ns > begin_ns && available > 0 && vram == 230 * MIB);
    ssw_sampler_take_watch(sampler, &watch);
    assert_true(watch.throttle == 0x21 && watch.foreign_bytes_max == 7 * MIB);
    assert_int_equal(ssw_sampler_stop(sampler, NULL), SSW_OK);
    assert_int_equal(ssw_jsonl_close(&file, NULL), SSW_OK);
    end_family(pid);
    size_t n = read_back("telemetry-test.jsonl", readings, READINGS_MAX, &arena);
    size_t n_loaded = 0, n_decode = 0, n_pss = 0;
    for (size_t i = 0; i < n; i++) {
        const ssw_reading *r = &readings[i];
        assert_true(i == 0 || r->t_ns > readings[i - 1].t_ns);
        n_loaded += r->phase == SSW_PHASE_LOADED;
        n_decode += r->phase == SSW_PHASE_DECODE;
        if (r->phase != SSW_PHASE_LOADED)
            continue;
        assert_string_equal(r->arm, "b");
        assert_int_equal(r->block, 3);
        assert_in_range(r->rss_bytes, 40 * MIB, 60 * MIB + SHADOW);
        assert_true(r->vram_process_bytes == 200 * MIB);
        assert_string_equal(r->vram_source, "nvml-process");
        if (r->pss_anon_bytes != SSW_EVIDENCE_NONE) {
            assert_in_range(r->pss_anon_bytes, 40 * MIB, 50 * MIB + SHADOW);
            n_pss++;
        }
    }
    /* every 20 ms, less what a busy machine takes away */
    assert_in_range(n_loaded, 5, 17);
    assert_in_range(n_decode, 3, 12);
    assert_true(n_pss >= 1);
    ssw_nvml_close(nvml);
    ssw_arena_deinit(&arena);
    unlink("telemetry-test.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_a_tree),
        cmocka_unit_test(test_nvml),
        cmocka_unit_test(test_nvml_that_cannot_be_used),
        cmocka_unit_test(test_sampler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
