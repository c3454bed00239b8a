/* RAPL counters, kept open. */
#include "bench/telemetry/rapl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/evidence/sample.h"

static const char default_root[] = "/sys/class/powercap";

typedef struct zone {
    int fd;
    bool is_dram;
    int64_t range_uj, last_uj, total_uj;
} zone;

struct ssw_rapl {
    size_t n;
    zone zones[SSW_RAPL_ZONES_MAX];
    char text[SSW_RAPL_TEXT_MAX];
};

static bool read_number(int fd, int64_t *out)
{
    char text[32], *end = NULL;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    *out = strtoll(text, &end, 10);
    return end != text && *out >= 0;
}

/* The file's open descriptor, or -1 with errno. */
static int open_file(const char *root, const char *zone_name, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s/%s", root, zone_name, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool read_name(const char *root, const char *zone_name, char *out, size_t size)
{
    int fd = open_file(root, zone_name, "name");
    ssize_t n = fd < 0 ? -1 : pread(fd, out, size - 1, 0);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return n > 0;
}

/* The memory-mapped interface (intel-rapl-mmio:N) shows the same package a second time and is left out. */
static int is_zone(const struct dirent *entry)
{
    return strncmp(entry->d_name, "intel-rapl:", 11) == 0;
}

static void add_zone(ssw_rapl *rapl, const char *root, const char *zone_name, char reason[SSW_RAPL_TEXT_MAX])
{
    char name[64];
    zone found = {0};
    if (rapl->n == SSW_RAPL_ZONES_MAX || !read_name(root, zone_name, name, sizeof name))
        return;
    found.is_dram = strcmp(name, "dram") == 0;
    if (!found.is_dram && strncmp(name, "package-", 8) != 0) /* core and uncore are inside the package */
        return;
    found.fd = open_file(root, zone_name, "energy_uj");
    if (found.fd < 0) {
        snprintf(reason, SSW_RAPL_TEXT_MAX, "%.100s/%.60s/energy_uj: %s", root, zone_name, strerror(errno));
        return;
    }
    int range_fd = open_file(root, zone_name, "max_energy_range_uj");
    bool good =
        range_fd >= 0 && read_number(range_fd, &found.range_uj) && read_number(found.fd, &found.last_uj);
    if (range_fd >= 0)
        close(range_fd);
    if (!good) {
        snprintf(reason, SSW_RAPL_TEXT_MAX, "%.100s/%.60s: its counter cannot be read", root, zone_name);
        close(found.fd);
        return;
    }
    rapl->zones[rapl->n++] = found;
}

static size_t count(const ssw_rapl *rapl, bool is_dram)
{
    size_t n = 0;
    for (size_t i = 0; i < rapl->n; i++)
        n += rapl->zones[i].is_dram == is_dram;
    return n;
}

ssw_rapl *ssw_rapl_open(const char *root, char reason[SSW_RAPL_TEXT_MAX])
{
    struct dirent **entries = NULL;
    if (!root)
        root = default_root;
    ssw_rapl *rapl = calloc(1, sizeof *rapl);
    int n = scandir(root, &entries, is_zone, alphasort);
    snprintf(reason, SSW_RAPL_TEXT_MAX, "%.100s: %s", root, n < 0 ? strerror(errno) : "no RAPL zone");
    for (int i = 0; i < n; i++) {
        if (rapl)
            add_zone(rapl, root, entries[i]->d_name, reason);
        free(entries[i]);
    }
    free(entries);
    if (!rapl || count(rapl, false) == 0) {
        ssw_rapl_close(rapl);
        return NULL;
    }
    snprintf(rapl->text, sizeof rapl->text, "%zu package%s, ", count(rapl, false),
             count(rapl, false) > 1 ? "s" : "");
    size_t n_text = strlen(rapl->text), n_dram = count(rapl, true);
    if (n_dram)
        snprintf(rapl->text + n_text, sizeof rapl->text - n_text, "%zu DRAM", n_dram);
    else
        snprintf(rapl->text + n_text, sizeof rapl->text - n_text, "no DRAM");
    reason[0] = '\0';
    return rapl;
}

void ssw_rapl_close(ssw_rapl *rapl)
{
    for (size_t i = 0; rapl && i < rapl->n; i++)
        close(rapl->zones[i].fd);
    free(rapl);
}

const char *ssw_rapl_describe(const ssw_rapl *rapl)
{
    return rapl->text;
}

void ssw_rapl_read(ssw_rapl *rapl, ssw_rapl_reading *out)
{
    *out = (ssw_rapl_reading){SSW_EVIDENCE_NONE, SSW_EVIDENCE_NONE};
    for (size_t i = 0; i < rapl->n; i++) {
        zone *z = &rapl->zones[i];
        int64_t now_uj, *sum = z->is_dram ? &out->dram_uj : &out->package_uj;
        if (read_number(z->fd, &now_uj)) {
            z->total_uj += now_uj - z->last_uj + (now_uj < z->last_uj ? z->range_uj : 0);
            z->last_uj = now_uj;
        }
        *sum = (*sum == SSW_EVIDENCE_NONE ? 0 : *sum) + z->total_uj;
    }
}
