/* NVML by dlopen. The few types are declared here by the API reference, so that building needs no CUDA. */
#include "bench/telemetry/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/evidence/sample.h"

typedef int nvml_return; /* 0 is success */
typedef struct nvml_device_handle *nvml_device;

typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;

typedef struct nvml_process { /* nvmlProcessInfo_v2_t, which both _v2 and _v3 of the call fill in */
    unsigned int pid;
    unsigned long long used_bytes;
    unsigned int gpu_instance, compute_instance;
} nvml_process;

typedef struct nvml_utilization {
    unsigned int gpu, memory;
} nvml_utilization;

enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2, NVML_TEMPERATURE_GPU = 0, NVML_PCIE_TX = 0, NVML_PCIE_RX = 1 };
enum { NVML_GPU_IS_LOST = 15, NVML_RESET_REQUIRED = 16 }; /* of nvml_return */
#define NVML_NOT_AVAILABLE (~0ULL)

struct ssw_nvml {
    void *library;
    size_t n_devices;
    nvml_device devices[SSW_NVML_DEVICES_MAX];
    char version[SSW_NVML_TEXT_MAX], driver[SSW_NVML_TEXT_MAX];
    nvml_return (*init)(void);
    nvml_return (*shutdown)(void);
    const char *(*error_string)(nvml_return);
    nvml_return (*system_version)(char *, unsigned);
    nvml_return (*driver_version)(char *, unsigned);
    nvml_return (*count)(unsigned *);
    nvml_return (*by_index)(unsigned, nvml_device *);
    nvml_return (*memory)(nvml_device, nvml_memory *);
    /* from here on a driver may lack one */
    nvml_return (*processes)(nvml_device, unsigned *, nvml_process *);
    nvml_return (*name)(nvml_device, char *, unsigned);
    nvml_return (*uuid)(nvml_device, char *, unsigned);
    nvml_return (*utilization)(nvml_device, nvml_utilization *);
    nvml_return (*clock)(nvml_device, unsigned, unsigned *);
    nvml_return (*clock_max)(nvml_device, unsigned, unsigned *);
    nvml_return (*power)(nvml_device, unsigned *);
    nvml_return (*power_limit)(nvml_device, unsigned *);
    nvml_return (*throttle)(nvml_device, unsigned long long *);
    nvml_return (*energy)(nvml_device, unsigned long long *);
    nvml_return (*temperature)(nvml_device, unsigned, unsigned *);
    nvml_return (*pcie)(nvml_device, unsigned, unsigned *);
};

typedef struct wanted_symbol {
    const char *name, *older; /* older: tried when name is missing */
    size_t offset;
    bool needed;
} wanted_symbol;

static const wanted_symbol symbols[] = {
    {"nvmlInit_v2", NULL, offsetof(ssw_nvml, init), true},
    {"nvmlShutdown", NULL, offsetof(ssw_nvml, shutdown), true},
    {"nvmlErrorString", NULL, offsetof(ssw_nvml, error_string), true},
    {"nvmlSystemGetNVMLVersion", NULL, offsetof(ssw_nvml, system_version), true},
    {"nvmlSystemGetDriverVersion", NULL, offsetof(ssw_nvml, driver_version), true},
    {"nvmlDeviceGetCount_v2", NULL, offsetof(ssw_nvml, count), true},
    {"nvmlDeviceGetHandleByIndex_v2", NULL, offsetof(ssw_nvml, by_index), true},
    {"nvmlDeviceGetMemoryInfo", NULL, offsetof(ssw_nvml, memory), true},
    {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
     offsetof(ssw_nvml, processes), false},
    {"nvmlDeviceGetName", NULL, offsetof(ssw_nvml, name), false},
    {"nvmlDeviceGetUUID", NULL, offsetof(ssw_nvml, uuid), false},
    {"nvmlDeviceGetUtilizationRates", NULL, offsetof(ssw_nvml, utilization), false},
    {"nvmlDeviceGetClockInfo", NULL, offsetof(ssw_nvml, clock), false},
    {"nvmlDeviceGetMaxClockInfo", NULL, offsetof(ssw_nvml, clock_max), false},
    {"nvmlDeviceGetPowerUsage", NULL, offsetof(ssw_nvml, power), false},
    {"nvmlDeviceGetEnforcedPowerLimit", NULL, offsetof(ssw_nvml, power_limit), false},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetCurrentClocksEventReasons",
     offsetof(ssw_nvml, throttle), false},
    {"nvmlDeviceGetTotalEnergyConsumption", NULL, offsetof(ssw_nvml, energy), false},
    {"nvmlDeviceGetTemperature", NULL, offsetof(ssw_nvml, temperature), false},
    {"nvmlDeviceGetPcieThroughput", NULL, offsetof(ssw_nvml, pcie), false},
};

/* NULL, or the name of a needed symbol that is missing. */
static const char *find_symbols(ssw_nvml *nvml)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(nvml->library, symbols[i].name);
        if (!address && symbols[i].older)
            address = dlsym(nvml->library, symbols[i].older);
        if (!address && symbols[i].needed)
            return symbols[i].name;
        memcpy((char *)nvml + symbols[i].offset, &address, sizeof address);
    }
    return NULL;
}

static bool start(ssw_nvml *nvml, char reason[SSW_NVML_REASON_MAX])
{
    unsigned n = 0;
    const char *missing = find_symbols(nvml);
    if (missing) {
        snprintf(reason, SSW_NVML_REASON_MAX, "NVML has no %s", missing);
        return false;
    }
    nvml_return code = nvml->init();
    if (code) {
        snprintf(reason, SSW_NVML_REASON_MAX, "NVML does not start: %s", nvml->error_string(code));
        return false;
    }
    if (nvml->system_version(nvml->version, sizeof nvml->version))
        nvml->version[0] = '\0';
    if (nvml->driver_version(nvml->driver, sizeof nvml->driver))
        nvml->driver[0] = '\0';
    code = nvml->count(&n);
    for (unsigned i = 0; !code && i < n && i < SSW_NVML_DEVICES_MAX; i++) {
        if (nvml->by_index(i, &nvml->devices[nvml->n_devices]) == 0)
            nvml->n_devices++;
    }
    if (nvml->n_devices == 0) {
        snprintf(reason, SSW_NVML_REASON_MAX, "NVML shows no device%s%s", code ? ": " : "",
                 code ? nvml->error_string(code) : "");
        nvml->shutdown();
        return false;
    }
    return true;
}

ssw_nvml *ssw_nvml_open(const char *library, char reason[SSW_NVML_REASON_MAX])
{
    reason[0] = '\0';
    ssw_nvml *nvml = calloc(1, sizeof *nvml);
    if (!nvml) {
        snprintf(reason, SSW_NVML_REASON_MAX, "out of memory");
        return NULL;
    }
    nvml->library = dlopen(library ? library : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library) {
        const char *text = dlerror();
        snprintf(reason, SSW_NVML_REASON_MAX, "%s", text ? text : "libnvidia-ml.so.1 cannot be opened");
    } else if (start(nvml, reason)) {
        return nvml;
    } else {
        dlclose(nvml->library);
    }
    free(nvml);
    return NULL;
}

void ssw_nvml_close(ssw_nvml *nvml)
{
    if (!nvml)
        return;
    nvml->shutdown();
    dlclose(nvml->library);
    free(nvml);
}

const char *ssw_nvml_version(const ssw_nvml *nvml)
{
    return nvml->version;
}

const char *ssw_nvml_driver(const ssw_nvml *nvml)
{
    return nvml->driver;
}

size_t ssw_nvml_count_devices(const ssw_nvml *nvml)
{
    return nvml->n_devices;
}

void ssw_nvml_describe(const ssw_nvml *nvml, size_t index, ssw_nvml_device *out)
{
    nvml_device device = nvml->devices[index];
    nvml_memory memory;
    unsigned value;
    *out = (ssw_nvml_device){.memory_bytes = SSW_EVIDENCE_NONE,
                             .power_limit_mw = SSW_EVIDENCE_NONE,
                             .clock_sm_max_mhz = SSW_EVIDENCE_NONE,
                             .clock_mem_max_mhz = SSW_EVIDENCE_NONE};
    if (!nvml->name || nvml->name(device, out->name, sizeof out->name))
        out->name[0] = '\0';
    if (!nvml->uuid || nvml->uuid(device, out->uuid, sizeof out->uuid))
        out->uuid[0] = '\0';
    if (nvml->memory(device, &memory) == 0)
        out->memory_bytes = (int64_t)memory.total;
    if (nvml->power_limit && nvml->power_limit(device, &value) == 0)
        out->power_limit_mw = value;
    if (nvml->clock_max && nvml->clock_max(device, NVML_CLOCK_SM, &value) == 0)
        out->clock_sm_max_mhz = value;
    if (nvml->clock_max && nvml->clock_max(device, NVML_CLOCK_MEM, &value) == 0)
        out->clock_mem_max_mhz = value;
}

static void add(int64_t *sum, int64_t value)
{
    *sum = *sum == SSW_EVIDENCE_NONE ? value : *sum + value;
}

static void read_processes(const ssw_nvml *nvml, nvml_device device, const ssw_proc_tree *tree,
                           ssw_nvml_reading *out)
{
    nvml_process processes[SSW_NVML_PROCESSES_MAX];
    unsigned n = SSW_NVML_PROCESSES_MAX;
    if (!nvml->processes || nvml->processes(device, &n, processes))
        return;
    for (unsigned i = 0; i < n && i < SSW_NVML_PROCESSES_MAX; i++) {
        if (processes[i].used_bytes == NVML_NOT_AVAILABLE)
            continue;
        bool ours = ssw_proc_tree_has(tree, (pid_t)processes[i].pid);
        add(ours ? &out->process_bytes : &out->foreign_bytes, (int64_t)processes[i].used_bytes);
    }
}

static void read_first_device(const ssw_nvml *nvml, ssw_nvml_reading *out)
{
    nvml_device device = nvml->devices[0];
    nvml_utilization utilization;
    unsigned value;
    unsigned long long reasons;
    if (nvml->utilization && nvml->utilization(device, &utilization) == 0)
        out->util_percent = utilization.gpu;
    if (nvml->clock && nvml->clock(device, NVML_CLOCK_SM, &value) == 0)
        out->clock_sm_mhz = value;
    if (nvml->clock && nvml->clock(device, NVML_CLOCK_MEM, &value) == 0)
        out->clock_mem_mhz = value;
    if (nvml->temperature && nvml->temperature(device, NVML_TEMPERATURE_GPU, &value) == 0)
        out->temperature_c = value;
    if (nvml->power && nvml->power(device, &value) == 0)
        out->power_mw = value;
    if (nvml->throttle && nvml->throttle(device, &reasons) == 0)
        out->throttle = (int64_t)reasons;
}

void ssw_nvml_read(const ssw_nvml *nvml, const ssw_proc_tree *tree, ssw_nvml_reading *out)
{
    const int64_t none = SSW_EVIDENCE_NONE;
    *out = (ssw_nvml_reading){none, none, none, none, none, none, none, none, none, none, false};
    for (size_t i = 0; i < nvml->n_devices; i++) {
        nvml_memory memory;
        unsigned long long energy_mj;
        nvml_return code = nvml->memory(nvml->devices[i], &memory);
        if (code == 0)
            add(&out->device_bytes, (int64_t)memory.used);
        out->lost = out->lost || code == NVML_GPU_IS_LOST || code == NVML_RESET_REQUIRED;
        if (nvml->energy && nvml->energy(nvml->devices[i], &energy_mj) == 0)
            add(&out->energy_mj, (int64_t)energy_mj);
        read_processes(nvml, nvml->devices[i], tree, out);
    }
    read_first_device(nvml, out);
}

int64_t ssw_nvml_read_pcie(const ssw_nvml *nvml, bool received)
{
    unsigned value;
    if (!nvml->pcie || nvml->pcie(nvml->devices[0], received ? NVML_PCIE_RX : NVML_PCIE_TX, &value))
        return SSW_EVIDENCE_NONE;
    return value;
}
