/* The page cache by posix_fadvise and mincore. */
#include "bench/run/page_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, MAP_PAGES_MAX = 1 << 18, SHARE_MAX = 100 /* one part in so many may differ */ };

static ssw_status read_whole(int fd, const char *path, ssw_error *err)
{
    char *block = malloc(READ_BYTES);
    ssize_t got = 0;
    if (!block)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory to read %s", path);
    while ((got = read(fd, block, READ_BYTES)) > 0)
        continue;
    int failed = errno;
    free(block);
    return got == 0 ? SSW_OK : ssw_error_set_errno(err, SSW_ERR_IO, failed, "%s", path);
}

static ssw_status prepare_file(const char *path, ssw_plan_page_cache state, ssw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    ssw_status status = SSW_OK;
    if (state == SSW_PLAN_CACHE_WARM) {
        status = read_whole(fd, path, err);
    } else {
        int failed =
            fdatasync(fd) ? errno : posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* dirty pages stay */
        if (failed)
            status = ssw_error_set_errno(err, SSW_ERR_IO, failed, "%s: it cannot be dropped", path);
    }
    close(fd);
    return status;
}

/* Counts pages piece by piece, so that mincore's vector stays small. */
static int64_t count_file(int fd, int64_t n_bytes)
{
    static const int64_t piece_pages = MAP_PAGES_MAX;
    int64_t page = sysconf(_SC_PAGESIZE), resident = 0;
    unsigned char *seen = malloc(MAP_PAGES_MAX);
    for (int64_t at = 0; seen && at < n_bytes; at += piece_pages * page) {
        size_t n = (size_t)(n_bytes - at < piece_pages * page ? n_bytes - at : piece_pages * page);
        void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, at);
        if (map == MAP_FAILED || mincore(map, n, seen)) {
            resident = SSW_EVIDENCE_NONE;
        } else {
            size_t n_pages = (n + (size_t)page - 1) / (size_t)page;
            for (size_t i = 0; i < n_pages; i++)
                resident += (seen[i] & 1) ? page : 0;
        }
        if (map != MAP_FAILED)
            munmap(map, n);
        if (resident == SSW_EVIDENCE_NONE)
            break;
    }
    free(seen);
    return seen ? resident : SSW_EVIDENCE_NONE;
}

int64_t ssw_page_cache_resident_bytes(const ssw_manifest_file *files, size_t n)
{
    int64_t sum = n ? 0 : SSW_EVIDENCE_NONE;
    for (size_t i = 0; i < n && sum != SSW_EVIDENCE_NONE; i++) {
        struct stat info;
        int fd = open(files[i].path, O_RDONLY | O_CLOEXEC);
        int64_t resident =
            fd >= 0 && fstat(fd, &info) == 0 ? count_file(fd, info.st_size) : SSW_EVIDENCE_NONE;
        if (fd >= 0)
            close(fd);
        sum = resident == SSW_EVIDENCE_NONE ? resident : sum + resident;
    }
    return sum;
}

ssw_status ssw_page_cache_prepare(const ssw_manifest_file *files, size_t n, ssw_plan_page_cache state,
                                  ssw_error *err)
{
    int64_t n_bytes = 0;
    ssw_status status = SSW_OK;
    if (state == SSW_PLAN_CACHE_AS_IS)
        return SSW_OK;
    for (size_t i = 0; !status && i < n; i++) {
        status = prepare_file(files[i].path, state, err);
        n_bytes += files[i].bytes;
    }
    if (status)
        return status;
    int64_t resident = ssw_page_cache_resident_bytes(files, n);
    bool warm = state == SSW_PLAN_CACHE_WARM;
    if (resident == SSW_EVIDENCE_NONE)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "the page cache cannot be looked at");
    if (warm ? resident < n_bytes - n_bytes / SHARE_MAX : resident > n_bytes / SHARE_MAX)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE,
                             "the page cache is not %s: it holds %lld of the model's %lld bytes",
                             ssw_plan_page_cache_name(state), (long long)resident, (long long)n_bytes);
    return SSW_OK;
}
