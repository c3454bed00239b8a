/* A libnvidia-ml.so.1 for tests, by NVIDIA's API reference: two devices; the process in FAKE_NVML_PID uses
 * 100 MiB on each, a foreign one 7 MiB on the second. FAKE_NVML=init: nvmlInit fails. FAKE_NVML=hidden: no
 * processes are shown. A file named by FAKE_NVML_PIDFILE holds the process's number instead, and may say how
 * many MiB it uses on each device; while a file named by FAKE_NVML_LOST is there the GPUs are lost.
 * FAKE_NVML_MAX_CLOCK: the highest SM clock, with all units busy. FAKE_NVML_ENERGY: a file's number, the
 * energy of each device in mJ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct memory {
    unsigned long long total, free, used;
} memory;

typedef struct process {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} process;

typedef struct utilization {
    unsigned int gpu, memory;
} utilization;

static const unsigned long long MIB = 1ULL << 20;
static char devices[2];

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT const char *nvmlErrorString(int code);
EXPORT int nvmlSystemGetNVMLVersion(char *out, unsigned size);
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned size);
EXPORT int nvmlDeviceGetCount_v2(unsigned *n);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
EXPORT int nvmlDeviceGetMemoryInfo(void *device, memory *out);
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, process *out);
EXPORT int nvmlDeviceGetName(void *device, char *out, unsigned size);
EXPORT int nvmlDeviceGetUtilizationRates(void *device, utilization *out);
EXPORT int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *out);
EXPORT int nvmlDeviceGetMaxClockInfo(void *device, unsigned kind, unsigned *out);
EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *out);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out);
EXPORT int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *out);
EXPORT int nvmlDeviceGetPcieThroughput(void *device, unsigned counter, unsigned *out);
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out);

static int mode_is(const char *name)
{
    const char *mode = getenv("FAKE_NVML");
    return mode && strcmp(mode, name) == 0;
}

int nvmlInit_v2(void)
{
    return mode_is("init") ? 9 : 0;
}

int nvmlShutdown(void)
{
    return 0;
}

const char *nvmlErrorString(int code)
{
    return code == 9 ? "Driver Not Loaded" : "Unknown Error";
}

int nvmlSystemGetNVMLVersion(char *out, unsigned size)
{
    snprintf(out, size, "12.570.0");
    return 0;
}

int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    snprintf(out, size, "570.0");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
    *n = 2;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &devices[index];
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, memory *out)
{
    const char *lost = getenv("FAKE_NVML_LOST");
    if (lost && access(lost, F_OK) == 0)
        return 15;
    out->total = 1000 * MIB;
    out->used = device == &devices[0] ? 110 * MIB : 120 * MIB;
    out->free = out->total - out->used;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *n, process *out)
{
    const char *pid = getenv("FAKE_NVML_PID"), *pid_path = getenv("FAKE_NVML_PIDFILE");
    unsigned count = 0;
    unsigned long long used_mib = 100;
    char text[64];
    FILE *file = pid_path ? fopen(pid_path, "r") : NULL;
    if (file && fgets(text, sizeof text, file)) {
        pid = text;
        sscanf(text, "%*d %llu", &used_mib);
    }
    if (file)
        fclose(file);
    if (mode_is("hidden")) {
        *n = 0;
        return 0;
    }
    if (pid)
        out[count++] = (process){(unsigned)atoi(pid), used_mib * MIB, 0, 0};
    out[count++] = (process){4000001, ~0ULL, 0, 0}; /* a driver that does not tell */
    if (device == &devices[1])
        out[count++] = (process){4000000, 7 * MIB, 0, 0};
    *n = count;
    return 0;
}

int nvmlDeviceGetName(void *device, char *out, unsigned size)
{
    snprintf(out, size, "Fake GPU %d", device == &devices[1]);
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, utilization *out)
{
    (void)device;
    *out = (utilization){getenv("FAKE_NVML_MAX_CLOCK") ? 99 : 42, 13};
    return 0;
}

int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *out)
{
    (void)device;
    *out = kind == 1 ? 1980 : 2619;
    return 0;
}

int nvmlDeviceGetMaxClockInfo(void *device, unsigned kind, unsigned *out)
{
    const char *most = getenv("FAKE_NVML_MAX_CLOCK");
    (void)device;
    if (!most)
        return 3; /* not supported */
    *out = kind == 1 ? (unsigned)atoi(most) : 2619;
    return 0;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *out)
{
    (void)device;
    *out = 250000;
    return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out)
{
    (void)device;
    *out = 0x21; /* idle and software thermal slowdown */
    return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out)
{
    const char *path = getenv("FAKE_NVML_ENERGY");
    FILE *file = path ? fopen(path, "r") : NULL;
    int n = file ? fscanf(file, "%llu", out) : 0;
    (void)device;
    if (file)
        fclose(file);
    return n == 1 ? 0 : 3; /* not supported */
}

int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *out)
{
    (void)device;
    *out = 61;
    return sensor == 0 ? 0 : 2;
}

int nvmlDeviceGetPcieThroughput(void *device, unsigned counter, unsigned *out)
{
    (void)device;
    *out = counter == 0 ? 1200 : 3400; /* sent, received */
    return 0;
}
