/* Reads /sys and /proc. A file that is missing or odd means "no such limit", never an error. */
#include "base/cores.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES_MAX = 4096 + 64, LINE_BYTES_MAX = 4096 };

static int read_line(const char *path, char *line, int max)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    int ok = fgets(line, max, file) ? 0 : -1;
    fclose(file);
    return ok;
}

/* The lowest processor that shares cpu's core ("0,64" or "0-1"), or cpu itself when unknown. */
static int find_first_sibling(int cpu)
{
    char path[PATH_BYTES_MAX], line[LINE_BYTES_MAX];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    if (read_line(path, line, sizeof line) != 0)
        return cpu;
    char *end;
    long first = strtol(line, &end, 10);
    return end == line || first < 0 || first >= SSW_CORES_MAX ? cpu : (int)first;
}

int ssw_cores_list(int *cpus, int max)
{
    cpu_set_t *mask = CPU_ALLOC(SSW_CORES_MAX);
    size_t mask_bytes = CPU_ALLOC_SIZE(SSW_CORES_MAX);
    unsigned char seen[SSW_CORES_MAX] = {0};
    int n = 0;
    if (mask && sched_getaffinity(0, mask_bytes, mask) == 0) {
        for (int cpu = 0; cpu < SSW_CORES_MAX && n < max; cpu++) {
            if (!CPU_ISSET_S((size_t)cpu, mask_bytes, mask))
                continue;
            int core = find_first_sibling(cpu);
            if (seen[core])
                continue;
            seen[core] = 1;
            cpus[n++] = cpu;
        }
    }
    if (mask)
        CPU_FREE(mask);
    if (n == 0 && max > 0)
        cpus[n++] = 0;
    return n;
}

/* "max 100000" or "150000 100000". */
static int parse_cpu_max(const char *line)
{
    char *end;
    errno = 0;
    long long quota = strtoll(line, &end, 10);
    if (end == line || errno || quota <= 0)
        return 0;
    long long period = strtoll(end, NULL, 10);
    if (period <= 0)
        return 0;
    long long whole = (quota + period - 1) / period;
    return whole > SSW_CORES_MAX ? SSW_CORES_MAX : (int)whole;
}

int ssw_cores_read_cgroup_limit(void)
{
    char path[PATH_BYTES_MAX], line[LINE_BYTES_MAX];
    int limit = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return 0;
    char own[LINE_BYTES_MAX] = "";
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::", 3) == 0) { /* cgroup v2 */
            line[strcspn(line, "\n")] = '\0';
            snprintf(own, sizeof own, "%s", line + 3);
        }
    }
    fclose(file);
    while (own[0] == '/') { /* the own group and every one above it */
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", own);
        if (read_line(path, line, sizeof line) == 0) {
            int here = parse_cpu_max(line);
            if (here > 0 && (limit == 0 || here < limit))
                limit = here;
        }
        char *slash = strrchr(own, '/');
        if (slash == own && own[1] != '\0')
            own[1] = '\0';
        else
            *slash = '\0';
    }
    return limit;
}
