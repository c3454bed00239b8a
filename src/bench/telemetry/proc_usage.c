/* /proc readers. Files are read whole with one read(): the kernel makes each text at that moment. */
#include "bench/telemetry/proc_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/evidence/sample.h"

enum { TEXT_BYTES_MAX = 8192, PROCESSES_MAX = 65536 };

typedef struct parent_link {
    pid_t pid, parent;
} parent_link;

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* /proc/PID/stat behind the name, i.e. from field 3 (state) on; NULL when the process has gone. */
static const char *read_stat(pid_t pid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, size))
        return NULL;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end + 2 : NULL;
}

static size_t read_parents(parent_link *links, size_t max)
{
    char text[1024];
    size_t n = 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return 0;
    for (const struct dirent *entry; n < max && (entry = readdir(dir));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        pid_t pid = (pid_t)atoi(entry->d_name);
        const char *fields = read_stat(pid, text, sizeof text);
        int parent;
        if (fields && sscanf(fields, "%*c %d", &parent) == 1)
            links[n++] = (parent_link){.pid = pid, .parent = parent};
    }
    closedir(dir);
    return n;
}

bool ssw_proc_tree_has(const ssw_proc_tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->n; i++) {
        if (tree->pids[i] == pid)
            return true;
    }
    return false;
}

void ssw_proc_scan_tree(pid_t root, ssw_proc_tree *out)
{
    out->n = 0;
    parent_link *links = root > 0 ? malloc(PROCESSES_MAX * sizeof *links) : NULL;
    if (!links)
        return;
    size_t n = read_parents(links, PROCESSES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (links[i].pid == root)
            out->pids[out->n++] = root;
    }
    for (size_t at = 0; at < out->n; at++) { /* breadth first: children are appended behind */
        for (size_t i = 0; i < n && out->n < SSW_PROC_TREE_MAX; i++) {
            if (links[i].parent == out->pids[at] && !ssw_proc_tree_has(out, links[i].pid))
                out->pids[out->n++] = links[i].pid;
        }
    }
    free(links);
}

/* NONE + x is x: a sum is known as soon as one part is. */
static void add(int64_t *sum, int64_t value)
{
    *sum = *sum == SSW_EVIDENCE_NONE ? value : *sum + value;
}

void ssw_proc_read_usage(const ssw_proc_tree *tree, ssw_proc_usage *out)
{
    char path[64], text[1024];
    int64_t page_bytes = sysconf(_SC_PAGESIZE), tick_ns = SSW_NS_PER_S / sysconf(_SC_CLK_TCK);
    *out = (ssw_proc_usage){SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE};
    for (size_t i = 0; i < tree->n; i++) {
        unsigned long long major, user, system;
        long long resident;
        const char *fields = read_stat(tree->pids[i], text, sizeof text);
        /* fields 3 to 15: state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime
         */
        if (fields && sscanf(fields, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %llu %*u %llu %llu", &major, &user,
                             &system) == 3) {
            add(&out->major_faults, (int64_t)major);
            add(&out->cpu_ns, (int64_t)(user + system) * tick_ns);
        }
        snprintf(path, sizeof path, "/proc/%d/statm", (int)tree->pids[i]);
        if (read_text(path, text, sizeof text) && sscanf(text, "%*d %lld", &resident) == 1)
            add(&out->rss_bytes, resident * page_bytes);
    }
}

/* The value in kB behind "KEY:" at the beginning of a line, in bytes. */
static int64_t find_kb(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            return strtoll(line + n + 1, NULL, 10) * 1024;
        if (!*line)
            break;
    }
    return SSW_EVIDENCE_NONE;
}

static void add_kb(int64_t *sum, const char *text, const char *key)
{
    int64_t value = find_kb(text, key);
    if (value != SSW_EVIDENCE_NONE)
        add(sum, value);
}

void ssw_proc_read_pss(const ssw_proc_tree *tree, ssw_proc_pss *out)
{
    char path[64], text[TEXT_BYTES_MAX];
    int64_t begin_ns = ssw_clock_now_ns();
    *out = (ssw_proc_pss){SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE, 0};
    for (size_t i = 0; i < tree->n; i++) {
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)tree->pids[i]);
        if (!read_text(path, text, sizeof text))
            continue;
        add_kb(&out->anon_bytes, text, "Pss_Anon");
        add_kb(&out->file_bytes, text, "Pss_File");
        add_kb(&out->shmem_bytes, text, "Pss_Shmem");
        add_kb(&out->swap_bytes, text, "SwapPss");
    }
    out->cost_ns = ssw_clock_now_ns() - begin_ns;
}

int64_t ssw_proc_meminfo_bytes(const char *key)
{
    char text[TEXT_BYTES_MAX];
    return read_text("/proc/meminfo", text, sizeof text) ? find_kb(text, key) : SSW_EVIDENCE_NONE;
}

int64_t ssw_proc_available_bytes(void)
{
    return ssw_proc_meminfo_bytes("MemAvailable");
}
