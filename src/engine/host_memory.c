/* See the header. */
#include "engine/host_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 512, PATH_BYTES_MAX = LINE_BYTES_MAX + 64 };

/* The number behind a name in a file of "name number" lines, or the first number for a NULL name; 0 without
 * one. */
static uint64_t read_number(const char *path, const char *name)
{
    char line[LINE_BYTES_MAX];
    uint64_t value = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (value == 0 && fgets(line, sizeof line, file)) {
        size_t n = name ? strlen(name) : 0;
        if (n == 0 || strncmp(line, name, n) == 0)
            value = strtoull(line + n, NULL, 10);
    }
    fclose(file);
    return value;
}

/* What one cgroup has left; 0 when it has no limit ("max"). */
static uint64_t cgroup_left_bytes(const char *cgroup)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", cgroup);
    uint64_t max = read_number(path, NULL);
    if (max == 0)
        return 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", cgroup);
    uint64_t used = read_number(path, NULL);
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", cgroup);
    uint64_t file_bytes = read_number(path, "file ");
    used = used > file_bytes ? used - file_bytes : 0;
    return max > used ? max - used : 1;
}

uint64_t ssw_host_memory_available_bytes(void)
{
    char line[LINE_BYTES_MAX], own[LINE_BYTES_MAX] = "";
    uint64_t least = read_number("/proc/meminfo", "MemAvailable:") * 1024;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return least;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            snprintf(own, sizeof own, "%s", line + 3);
    }
    fclose(file);
    while (own[0] == '/') { /* the own group and every one above it */
        uint64_t left = cgroup_left_bytes(strcmp(own, "/") == 0 ? "" : own);
        if (left > 0 && (least == 0 || left < least))
            least = left;
        char *slash = strrchr(own, '/');
        if (slash == own && own[1] != '\0')
            own[1] = '\0';
        else
            *slash = '\0';
    }
    return least;
}

void ssw_host_memory_touch(void *memory, uint64_t n_bytes)
{
    volatile uint8_t *at = memory;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
#ifdef MADV_POPULATE_WRITE
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page,
              end = ((uintptr_t)memory + n_bytes) / page * page;
    if (end > begin && madvise((void *)begin, end - begin, MADV_POPULATE_WRITE) == 0)
        return;
#endif
    for (uint64_t i = 0; i < n_bytes; i += page)
        at[i] = at[i];
}
