/* The 20 ms sampler. One mutex guards what the runner sets and what it takes; reading /proc and NVML is done
 * without. */
#include "bench/telemetry/memory_sampler.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "bench/evidence/sample.h"
#include "bench/telemetry/proc_usage.h"

#define PCIE_INTERVAL_NS (500 * SSW_NS_PER_MS)
#define SCAN_INTERVAL_NS (500 * SSW_NS_PER_MS)
#define DEAR_PSS_NS      (5 * SSW_NS_PER_MS)
enum { BUSY_PERCENT = 50 /* utilisation from which clocks must be high */ };
enum { PSS_SHARE = 20 /* one part in so many of the time: 5 % */ };

typedef struct target { /* what to read, as the runner set it */
    int arm, block, position;
    pid_t pid;
    ssw_phase phase;
    unsigned changes;
} target;

struct ssw_sampler {
    ssw_sampler_options options;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* under the mutex */
    target target;
    bool stopping;
    ssw_sampler_watch watch;
    int64_t faults_seen; /* when the watch was last taken */
    int64_t faults_now;
    int64_t level_t_ns, level_available_bytes, level_vram_bytes;
    /* the thread's own */
    ssw_proc_tree tree;
    pid_t scanned_pid;
    int64_t next_scan_ns, next_pss_ns, pss_cost_ns, next_pcie_ns;
    bool pcie_received; /* the direction that is read next */
    bool process_seen;  /* NVML has named a process of the tree: its list can be believed */
    ssw_status status;
    ssw_error error;
};

static void read_host(ssw_sampler *sampler, const target *now, bool changed, ssw_reading *reading)
{
    ssw_proc_usage usage;
    int64_t t_ns = reading->t_ns;
    if (now->pid != sampler->scanned_pid || t_ns >= sampler->next_scan_ns) {
        ssw_proc_scan_tree(now->pid, &sampler->tree);
        sampler->scanned_pid = now->pid;
        sampler->next_scan_ns = t_ns + SCAN_INTERVAL_NS;
    }
    ssw_proc_read_usage(&sampler->tree, &usage);
    reading->rss_bytes = usage.rss_bytes;
    reading->major_faults = usage.major_faults;
    reading->cpu_ns = usage.cpu_ns;
    reading->available_bytes = ssw_proc_available_bytes();
    bool in_request = now->phase == SSW_PHASE_PREFILL || now->phase == SSW_PHASE_DECODE;
    bool forced = changed && !(in_request && sampler->pss_cost_ns > DEAR_PSS_NS);
    if (sampler->tree.n && (forced || t_ns >= sampler->next_pss_ns)) {
        ssw_proc_pss pss;
        ssw_proc_read_pss(&sampler->tree, &pss);
        reading->pss_anon_bytes = pss.anon_bytes;
        reading->pss_file_bytes = pss.file_bytes;
        reading->pss_shmem_bytes = pss.shmem_bytes;
        reading->swap_bytes = pss.swap_bytes;
        reading->smaps_cost_ns = sampler->pss_cost_ns = pss.cost_ns;
        sampler->next_pss_ns = t_ns + PSS_SHARE * pss.cost_ns;
    }
}

static void read_energy(ssw_rapl *rapl, ssw_reading *reading)
{
    ssw_rapl_reading energy;
    ssw_rapl_read(rapl, &energy);
    reading->package_energy_uj = energy.package_uj;
    reading->dram_energy_uj = energy.dram_uj;
}

static void read_pcie(ssw_sampler *sampler, ssw_reading *reading)
{
    if (reading->t_ns < sampler->next_pcie_ns)
        return;
    int64_t value = ssw_nvml_read_pcie(sampler->options.nvml, sampler->pcie_received);
    if (sampler->pcie_received)
        reading->gpu_pcie_rx_kb_s = value;
    else
        reading->gpu_pcie_tx_kb_s = value;
    sampler->pcie_received = !sampler->pcie_received;
    sampler->next_pcie_ns = reading->t_ns + PCIE_INTERVAL_NS;
}

/* Whether the GPU is lost. */
static bool read_gpu(ssw_sampler *sampler, ssw_reading *reading)
{
    ssw_nvml_reading gpu;
    if (!sampler->options.nvml)
        return false;
    ssw_nvml_read(sampler->options.nvml, &sampler->tree, &gpu);
    sampler->process_seen = sampler->process_seen || gpu.process_bytes != SSW_EVIDENCE_NONE;
    reading->vram_device_bytes = gpu.device_bytes;
    reading->vram_process_bytes = gpu.process_bytes;
    /* until NVML has named one of ours, a stranger in its list may be ours under the host's number */
    reading->vram_foreign_bytes = sampler->process_seen ? gpu.foreign_bytes : SSW_EVIDENCE_NONE;
    reading->vram_source = sampler->process_seen ? "nvml-process" : "nvml-device";
    reading->gpu_util = gpu.util_percent;
    reading->gpu_clock_sm_mhz = gpu.clock_sm_mhz;
    reading->gpu_clock_mem_mhz = gpu.clock_mem_mhz;
    reading->gpu_power_mw = gpu.power_mw;
    reading->gpu_throttle = gpu.throttle;
    reading->gpu_temperature_c = gpu.temperature_c;
    reading->gpu_energy_mj = gpu.energy_mj;
    read_pcie(sampler, reading);
    return gpu.lost;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b; /* NONE is the smallest number */
}

static void note_clock(ssw_sampler_watch *watch, const ssw_reading *reading)
{
    int64_t clock_mhz = reading->gpu_clock_sm_mhz;
    if (clock_mhz == SSW_EVIDENCE_NONE || reading->gpu_util < BUSY_PERCENT)
        return;
    if (watch->busy_clock_mhz == SSW_EVIDENCE_NONE || clock_mhz < watch->busy_clock_mhz)
        watch->busy_clock_mhz = clock_mhz;
}

static void note_watch(ssw_sampler *sampler, const ssw_reading *reading, bool gpu_lost)
{
    note_clock(&sampler->watch, reading);
    sampler->watch.gpu_lost = sampler->watch.gpu_lost || gpu_lost;
    if (reading->gpu_throttle != SSW_EVIDENCE_NONE)
        sampler->watch.throttle |= reading->gpu_throttle;
    sampler->watch.foreign_bytes_max = larger(sampler->watch.foreign_bytes_max, reading->vram_foreign_bytes);
    sampler->watch.swap_bytes_max = larger(sampler->watch.swap_bytes_max, reading->swap_bytes);
    sampler->faults_now = reading->major_faults;
}

static void read_once(ssw_sampler *sampler, const target *now, bool changed)
{
    ssw_reading reading;
    ssw_reading_init(&reading);
    reading.t_ns = ssw_clock_now_ns();
    reading.arm = sampler->options.arm_names[now->arm];
    reading.block = now->block;
    reading.position = now->position;
    reading.phase = now->phase;
    read_host(sampler, now, changed, &reading);
    if (sampler->options.rapl)
        read_energy(sampler->options.rapl, &reading);
    bool gpu_lost = read_gpu(sampler, &reading);
    if (!sampler->status)
        sampler->status =
            ssw_jsonl_append(sampler->options.file, ssw_reading_to_json(&reading), false, &sampler->error);
    pthread_mutex_lock(&sampler->mutex);
    if (sampler->target.pid == now->pid)
        note_watch(sampler, &reading, gpu_lost);
    sampler->level_t_ns = reading.t_ns;
    sampler->level_available_bytes = reading.available_bytes;
    sampler->level_vram_bytes = reading.vram_device_bytes;
    pthread_mutex_unlock(&sampler->mutex);
}

static void *sample_loop(void *argument)
{
    ssw_sampler *sampler = argument;
    unsigned seen = 0;
    int64_t due_ns = ssw_clock_now_ns();
    pthread_mutex_lock(&sampler->mutex);
    while (!sampler->stopping) {
        target now = sampler->target;
        pthread_mutex_unlock(&sampler->mutex);
        read_once(sampler, &now, now.changes != seen);
        seen = now.changes;
        due_ns += SSW_SAMPLER_INTERVAL_NS;
        int64_t t_ns = ssw_clock_now_ns();
        if (due_ns < t_ns) /* a slow reading: go on from here, without catching up */
            due_ns = t_ns + SSW_SAMPLER_INTERVAL_NS;
        const struct timespec until = {.tv_sec = due_ns / SSW_NS_PER_S, .tv_nsec = due_ns % SSW_NS_PER_S};
        pthread_mutex_lock(&sampler->mutex);
        int waited = 0;
        while (!sampler->stopping && sampler->target.changes == seen && waited == 0)
            waited = pthread_cond_timedwait(&sampler->wake, &sampler->mutex, &until);
    }
    pthread_mutex_unlock(&sampler->mutex);
    return NULL;
}

static ssw_sampler_watch empty_watch(void)
{
    return (ssw_sampler_watch){.foreign_bytes_max = SSW_EVIDENCE_NONE,
                               .swap_bytes_max = SSW_EVIDENCE_NONE,
                               .major_faults = SSW_EVIDENCE_NONE,
                               .busy_clock_mhz = SSW_EVIDENCE_NONE};
}

ssw_status ssw_sampler_start(const ssw_sampler_options *options, ssw_sampler **out, ssw_error *err)
{
    *out = NULL;
    ssw_sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the memory sampler");
    sampler->options = *options;
    sampler->target.arm = options->first_arm;
    sampler->watch = empty_watch();
    sampler->faults_seen = sampler->faults_now = SSW_EVIDENCE_NONE;
    sampler->level_available_bytes = sampler->level_vram_bytes = SSW_EVIDENCE_NONE;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&sampler->mutex, NULL);
    int failed = pthread_create(&sampler->thread, NULL, sample_loop, sampler);
    if (failed) {
        pthread_cond_destroy(&sampler->wake);
        pthread_mutex_destroy(&sampler->mutex);
        free(sampler);
        return ssw_error_set_errno(err, SSW_ERR_IO, failed, "the memory sampler's thread does not start");
    }
    *out = sampler;
    return SSW_OK;
}

ssw_status ssw_sampler_stop(ssw_sampler *sampler, ssw_error *err)
{
    if (!sampler)
        return SSW_OK;
    pthread_mutex_lock(&sampler->mutex);
    sampler->stopping = true;
    pthread_cond_signal(&sampler->wake);
    pthread_mutex_unlock(&sampler->mutex);
    pthread_join(sampler->thread, NULL);
    ssw_status status = sampler->status;
    if (status && err)
        *err = sampler->error;
    pthread_cond_destroy(&sampler->wake);
    pthread_mutex_destroy(&sampler->mutex);
    free(sampler);
    return status;
}

void ssw_sampler_set_server(ssw_sampler *sampler, int arm, int block, int position, pid_t pid)
{
    pthread_mutex_lock(&sampler->mutex);
    target *t = &sampler->target;
    *t = (target){arm, block, position, pid, t->phase, t->changes + 1};
    sampler->watch = empty_watch();
    sampler->faults_seen = sampler->faults_now = SSW_EVIDENCE_NONE;
    pthread_cond_signal(&sampler->wake);
    pthread_mutex_unlock(&sampler->mutex);
}

void ssw_sampler_set_phase(ssw_sampler *sampler, ssw_phase phase)
{
    pthread_mutex_lock(&sampler->mutex);
    if (sampler->target.phase != phase) {
        sampler->target.phase = phase;
        sampler->target.changes++;
        pthread_cond_signal(&sampler->wake);
    }
    pthread_mutex_unlock(&sampler->mutex);
}

void ssw_sampler_get_level(ssw_sampler *sampler, int64_t *t_ns, int64_t *available_bytes, int64_t *vram_bytes)
{
    pthread_mutex_lock(&sampler->mutex);
    *t_ns = sampler->level_t_ns;
    *available_bytes = sampler->level_available_bytes;
    *vram_bytes = sampler->level_vram_bytes;
    pthread_mutex_unlock(&sampler->mutex);
}

void ssw_sampler_take_watch(ssw_sampler *sampler, ssw_sampler_watch *out)
{
    pthread_mutex_lock(&sampler->mutex);
    *out = sampler->watch;
    if (sampler->faults_now != SSW_EVIDENCE_NONE && sampler->faults_seen != SSW_EVIDENCE_NONE)
        out->major_faults = sampler->faults_now - sampler->faults_seen;
    sampler->faults_seen = sampler->faults_now;
    sampler->watch = empty_watch();
    pthread_mutex_unlock(&sampler->mutex);
}
