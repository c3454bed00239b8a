/* One line on standard error, rewritten ten times a second. */
#include "cli/file_meter.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define PERIOD_NS  (100 * SSW_NS_PER_MS)
#define ERASE_LINE "\r\033[K"

static atomic_bool interrupted; /* set by the signal handler only */

void ssw_file_meter_begin(ssw_file_meter *meter)
{
    *meter = (ssw_file_meter){.begin_ns = ssw_clock_now_ns(), .is_shown = isatty(STDERR_FILENO) == 1};
}

void ssw_file_meter_show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    ssw_file_meter *meter = context;
    int64_t now_ns = ssw_clock_now_ns();
    if (!meter->is_shown || (now_ns - meter->shown_ns < PERIOD_NS && done_bytes < total_bytes))
        return;
    meter->shown_ns = now_ns;
    double seconds = fmax((double)(now_ns - meter->begin_ns) * 1e-9, 1e-3);
    double rate = fmax((double)done_bytes, 1) / seconds;
    fprintf(stderr, "\r%3.0f %%  %.2f of %.2f GB  %.2f GB/s  %.0f s left \033[K",
            100.0 * (double)done_bytes / (double)total_bytes, (double)done_bytes * 1e-9,
            (double)total_bytes * 1e-9, rate * 1e-9, (double)(total_bytes - done_bytes) / rate);
    if (done_bytes == total_bytes)
        ssw_file_meter_erase(meter);
}

void ssw_file_meter_erase(const ssw_file_meter *meter)
{
    if (meter->is_shown)
        fputs(ERASE_LINE, stderr);
}

static void interrupt(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

atomic_bool *ssw_cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}
