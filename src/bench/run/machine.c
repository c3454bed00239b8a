/* The machine, from /proc and /sys. */
#include "bench/run/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/sha256.h"
#include "bench/telemetry/proc_usage.h"

enum { LINE_BYTES_MAX = 1024, CORES_MAX = 4096, HASH_DIGITS = 12 };

static const char *keep(ssw_manifest *manifest, const char *text)
{
    return text && *text ? ssw_arena_copy_text(&manifest->arena, text, strlen(text)) : NULL;
}

/* The first line of a small file, "" when there is none. */
static const char *read_line(const char *path, char line[LINE_BYTES_MAX])
{
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file) {
        if (!fgets(line, LINE_BYTES_MAX, file))
            line[0] = '\0';
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* The value behind "key\t: ", NULL for another line. */
static const char *value_of(char *line, const char *key)
{
    size_t n = strlen(key);
    char *colon = strchr(line, ':');
    if (strncmp(line, key, n) != 0 || !colon || strspn(line + n, " \t") != (size_t)(colon - line) - n)
        return NULL;
    colon[strcspn(colon, "\n")] = '\0';
    return colon[1] == ' ' ? colon + 2 : colon + 1;
}

static int64_t count_distinct(const long *values, size_t n)
{
    int64_t distinct = 0;
    for (size_t i = 0; i < n; i++) {
        bool fresh = true;
        for (size_t j = 0; j < i && fresh; j++)
            fresh = values[j] != values[i];
        distinct += fresh;
    }
    return distinct;
}

/* "model name", and distinct packages and (package, core) pairs over all processors. */
static void read_cpuinfo(ssw_manifest *manifest)
{
    ssw_manifest_machine *machine = &manifest->machine;
    static const int core_factor = 1 << 16;
    char line[LINE_BYTES_MAX];
    long *packages = calloc(CORES_MAX, sizeof *packages), *cores = calloc(CORES_MAX, sizeof *cores);
    size_t n = 0, n_ids = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && packages && cores && fgets(line, sizeof line, file)) {
        const char *value;
        if (value_of(line, "processor")) {
            n++;
        } else if (n > 0 && n <= CORES_MAX) {
            if (!machine->cpu && (value = value_of(line, "model name")))
                machine->cpu = keep(manifest, value);
            else if ((value = value_of(line, "physical id")))
                packages[n - 1] = strtol(value, NULL, 10);
            else if ((value = value_of(line, "core id"))) {
                cores[n - 1] = packages[n - 1] * core_factor + strtol(value, NULL, 10);
                n_ids++;
            }
        }
    }
    if (file)
        fclose(file);
    if (n)
        machine->threads = (int64_t)n;
    if (n && n_ids == n) { /* not every architecture and hypervisor says */
        machine->sockets = count_distinct(packages, n);
        machine->cores = count_distinct(cores, n);
    }
    free(packages);
    free(cores);
}

static void read_system(ssw_manifest *manifest)
{
    ssw_manifest_machine *machine = &manifest->machine;
    char line[LINE_BYTES_MAX];
    struct utsname names;
    cpu_set_t usable;
    ssw_sha256_text hash;
    if (uname(&names) == 0) {
        machine->kernel = keep(manifest, names.release);
        if (ssw_sha256_bytes(names.nodename, strlen(names.nodename), hash, NULL) == SSW_OK) {
            hash[HASH_DIGITS] = '\0';
            machine->hostname_hash = keep(manifest, hash);
        }
    }
    machine->governor =
        keep(manifest, read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line));
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", line);
    if (*line)
        machine->cpu_khz_max = strtoll(line, NULL, 10);
    machine->memory_bytes = ssw_proc_meminfo_bytes("MemTotal");
    machine->swap_bytes = ssw_proc_meminfo_bytes("SwapTotal");
    if (sched_getaffinity(0, sizeof usable, &usable) == 0)
        machine->threads_usable = CPU_COUNT(&usable);
    if (access("/.dockerenv", F_OK) == 0)
        machine->container = "docker";
    else if (access("/run/.containerenv", F_OK) == 0)
        machine->container = "podman";
    else if (strstr(read_line("/proc/1/cgroup", line), "kubepods"))
        machine->container = "kubernetes";
}

static ssw_status describe_gpus(ssw_manifest *manifest, const ssw_nvml *nvml, ssw_error *err)
{
    ssw_manifest_machine *machine = &manifest->machine;
    size_t n = ssw_nvml_count_devices(nvml);
    machine->gpus = ssw_arena_alloc(&manifest->arena, n + 1, sizeof *machine->gpus);
    if (!machine->gpus)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the list of GPUs");
    machine->nvml = keep(manifest, ssw_nvml_version(nvml));
    if (!machine->nvml)
        machine->nvml = "unknown";
    for (size_t i = 0; i < n; i++) {
        ssw_nvml_device device;
        ssw_nvml_describe(nvml, i, &device);
        machine->gpus[machine->n_gpus++] = (ssw_manifest_gpu){
            .index = (int)i,
            .name = keep(manifest, device.name),
            .uuid = keep(manifest, device.uuid),
            .driver = keep(manifest, ssw_nvml_driver(nvml)),
            .memory_bytes = device.memory_bytes,
            .power_limit_mw = device.power_limit_mw,
            .clock_sm_max_mhz = device.clock_sm_max_mhz,
            .clock_mem_max_mhz = device.clock_mem_max_mhz,
        };
    }
    return SSW_OK;
}

ssw_status ssw_machine_describe(ssw_manifest *manifest, const ssw_nvml *nvml, const char *nvml_reason,
                                ssw_error *err)
{
    read_cpuinfo(manifest);
    read_system(manifest);
    if (nvml)
        return describe_gpus(manifest, nvml, err);
    manifest->machine.nvml_reason = keep(manifest, nvml_reason);
    return SSW_OK;
}
