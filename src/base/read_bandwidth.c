/* See read_bandwidth.h. */
#include "base/read_bandwidth.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"

enum { PASSES_DEFAULT = 12, CACHES = 8, WIDTH_BYTES = 64, SUMS = 4, STEP_BYTES = WIDTH_BYTES * SUMS };
#define BUFFER_BYTES_LEAST (UINT64_C(512) << 20)
#define HUGE_PAGE_BYTES    (UINT64_C(2) << 20)

typedef uint64_t wide __attribute__((vector_size(WIDTH_BYTES)));

typedef struct reading {
    unsigned char *bytes;
    uint64_t n_bytes;
    uint64_t sums[SSW_POOL_THREADS_MAX]; /* so that nothing is optimised away */
    bool fill;
} reading;

static uint64_t read_slice(const unsigned char *bytes, uint64_t n_bytes)
{
    const wide *at = (const wide *)(const void *)bytes, *end = at + n_bytes / STEP_BYTES * SUMS;
    wide a = {0}, b = {0}, c = {0}, d = {0};
    for (; at < end; at += SUMS) {
        a ^= at[0];
        b ^= at[1];
        c ^= at[2];
        d ^= at[3];
    }
    a ^= b ^ c ^ d;
    uint64_t sum = 0;
    for (unsigned i = 0; i < WIDTH_BYTES / sizeof(uint64_t); i++)
        sum ^= a[i];
    return sum;
}

static void work(void *context, int worker, int n_workers)
{
    reading *r = context;
    uint64_t n_pages = r->n_bytes / HUGE_PAGE_BYTES;
    uint64_t begin = n_pages * (uint64_t)worker / (uint64_t)n_workers * HUGE_PAGE_BYTES;
    uint64_t end = n_pages * ((uint64_t)worker + 1) / (uint64_t)n_workers * HUGE_PAGE_BYTES;
    if (r->fill)
        memset(r->bytes + begin, worker + 1, end - begin);
    else
        r->sums[worker] ^= read_slice(r->bytes + begin, end - begin);
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t buffer_bytes(uint64_t wanted_bytes, uint64_t cache_bytes)
{
    uint64_t bytes = wanted_bytes ? wanted_bytes : CACHES * cache_bytes;
    if (!wanted_bytes) {
        long pages = sysconf(_SC_AVPHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
        uint64_t quarter = pages > 0 ? (uint64_t)pages * (uint64_t)page_bytes / 4 : 0;
        bytes = bytes < BUFFER_BYTES_LEAST ? BUFFER_BYTES_LEAST : bytes;
        bytes = bytes > quarter ? quarter : bytes;
    }
    return bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

static void measure(ssw_pool *pool, reading *r, int64_t *pass_ns, ssw_read_bandwidth *out)
{
    r->fill = true;
    ssw_pool_run(pool, work, r);
    r->fill = false;
    ssw_pool_run(pool, work, r); /* wakes the threads and settles the clocks; not counted */
    for (int i = 0; i < out->n_passes; i++) {
        int64_t begin_ns = ssw_clock_now_ns();
        ssw_pool_run(pool, work, r);
        pass_ns[i] = ssw_clock_now_ns() - begin_ns;
    }
    qsort(pass_ns, (size_t)out->n_passes, sizeof *pass_ns, compare_times);
    out->best_bytes_per_s = (double)r->n_bytes * 1e9 / (double)pass_ns[0];
    out->median_bytes_per_s = (double)r->n_bytes * 1e9 / (double)pass_ns[out->n_passes / 2];
}

ssw_status ssw_read_bandwidth_measure(const ssw_read_bandwidth_options *options, ssw_read_bandwidth *out,
                                      ssw_error *err)
{
    int64_t *pass_ns = NULL;
    ssw_pool *pool = NULL;
    reading *r = NULL;
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    memset(out, 0, sizeof *out);
    out->cache_bytes = cache > 0 ? (uint64_t)cache : 0;
    out->n_passes = options->n_passes ? options->n_passes : PASSES_DEFAULT;
    out->buffer_bytes = buffer_bytes(options->buffer_bytes, out->cache_bytes);
    if (out->n_passes < 0 || out->n_passes > SSW_READ_BANDWIDTH_PASSES_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "1 to %d passes, not %d", SSW_READ_BANDWIDTH_PASSES_MAX,
                             out->n_passes);
    if (out->buffer_bytes == 0 || out->buffer_bytes < 2 * out->cache_bytes)
        return ssw_error_set(err, SSW_ERR_NOMEM,
                             "not enough memory for a buffer much larger than the cache of %llu MiB",
                             (unsigned long long)(out->cache_bytes >> 20));
    void *map = mmap(NULL, out->buffer_bytes + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return ssw_error_set_errno(err, SSW_ERR_NOMEM, errno, "no buffer of %llu MiB",
                                   (unsigned long long)(out->buffer_bytes >> 20));
    madvise(map, out->buffer_bytes + HUGE_PAGE_BYTES, MADV_HUGEPAGE); /* refused: small pages do too */
    ssw_status status =
        ssw_pool_open(&(ssw_pool_options){.n_threads = options->n_threads, .pin = true}, &pool, err);
    pass_ns = calloc((size_t)out->n_passes, sizeof *pass_ns);
    r = calloc(1, sizeof *r);
    if (status == SSW_OK && (!pass_ns || !r))
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    if (status != SSW_OK)
        goto cleanup;
    uintptr_t start = ((uintptr_t)map + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    r->bytes = (unsigned char *)start;
    r->n_bytes = out->buffer_bytes;
    out->n_threads = ssw_pool_threads(pool);
    out->n_threads_pinned = ssw_pool_pinned(pool);
    measure(pool, r, pass_ns, out);
cleanup:
    ssw_pool_close(pool);
    free(r);
    free(pass_ns);
    munmap(map, out->buffer_bytes + HUGE_PAGE_BYTES);
    return status;
}
