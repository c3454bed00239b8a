/* The team: kernel table, per-worker scratch, and the counters that split work dynamically. */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if SSW_CPU_X86
#include <cpuid.h>
#endif

#include "cpu/kernels_amx.h"

enum { QUEUES = 16, CACHE_LINE_BYTES = 64 };
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)
#define TOKENS_MAX      (1 << 20)

_Static_assert(2 * (SSW_CPU_OPS_BETWEEN_BARRIERS_MAX + 2) <= QUEUES,
               "a queue is reset before it comes round again");

struct ssw_cpu_queue {
    _Alignas(CACHE_LINE_BYTES) atomic_llong next;
};

struct ssw_cpu_team {
    ssw_cpu_queue queues[QUEUES];
    const ssw_kernels *kernels;
    const ssw_amx *amx; /* or NULL */
    ssw_pool *pool;
    int n_workers;
    uint64_t n_bytes;
    uint8_t *memory; /* the workers and their scratch */
    uint64_t worker_bytes;
};

/* ---- instruction sets ---- */

const char *ssw_cpu_isa_name(ssw_cpu_isa isa)
{
    static const char *const names[SSW_CPU_ISA_COUNT] = {"auto", "reference", "generic", "avx2",
                                                         "avx512vnni"};
    return (unsigned)isa < SSW_CPU_ISA_COUNT ? names[isa] : "unknown";
}

#if SSW_CPU_X86
static bool has_f16c(void) /* clang 14's __builtin_cpu_supports does not know it */
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static const ssw_kernels *find_kernels(ssw_cpu_isa isa)
{
    switch (isa) {
    case SSW_CPU_ISA_REFERENCE:
        return ssw_kernels_reference();
    case SSW_CPU_ISA_GENERIC:
        return ssw_kernels_generic();
#if SSW_CPU_X86
    case SSW_CPU_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()
                   ? ssw_kernels_avx2()
                   : NULL;
    case SSW_CPU_ISA_AVX512VNNI:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vnni")
                   ? ssw_kernels_avx512vnni(__builtin_cpu_supports("avx512vbmi"))
                   : NULL;
#endif
    default:
        return NULL;
    }
}

static const ssw_kernels *choose_kernels(ssw_cpu_isa isa)
{
    const ssw_kernels *found = NULL;
    if (isa != SSW_CPU_ISA_AUTO)
        return find_kernels(isa);
    for (int i = SSW_CPU_ISA_COUNT - 1; i > SSW_CPU_ISA_AUTO && !found; i--)
        found = find_kernels((ssw_cpu_isa)i);
    return found;
}

bool ssw_cpu_isa_available(ssw_cpu_isa isa)
{
    return choose_kernels(isa) != NULL;
}

ssw_cpu_isa ssw_cpu_isa_resolve(ssw_cpu_isa isa)
{
    const ssw_kernels *kernels = choose_kernels(isa);
    return kernels ? kernels->isa : isa;
}

ssw_tile_kernel *ssw_kernels_tile(const ssw_kernels *kernels, ssw_dtype dtype)
{
    assert((int)dtype >= 0 && (int)dtype < SSW_KERNELS_DTYPES && kernels->tile[dtype]);
    return kernels->tile[dtype];
}

bool ssw_kernels_dtype_is_float(ssw_dtype dtype)
{
    return dtype == SSW_DTYPE_F32 || dtype == SSW_DTYPE_F16 || dtype == SSW_DTYPE_BF16;
}

/* ---- memory ---- */

void *ssw_cpu_memory_alloc(uint64_t n_bytes)
{
    if (n_bytes == 0 || n_bytes > PTRDIFF_MAX - 2 * HUGE_PAGE_BYTES)
        return NULL;
    if (n_bytes < HUGE_PAGE_BYTES) {
        uint64_t rounded = (n_bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
        void *memory = aligned_alloc(CACHE_LINE_BYTES, rounded);
        if (memory)
            memset(memory, 0, rounded);
        return memory;
    }
    /* Map a huge page too much and give back what lies outside the aligned part. */
    uint8_t *map =
        mmap(NULL, n_bytes + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    uint64_t skip = (HUGE_PAGE_BYTES - (uintptr_t)map % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    uint64_t used = (n_bytes + 4095) / 4096 * 4096;
    if (skip > 0)
        munmap(map, skip);
    if (HUGE_PAGE_BYTES > skip + (used - n_bytes))
        munmap(map + skip + used, HUGE_PAGE_BYTES - skip - (used - n_bytes));
    madvise(map + skip, used, MADV_HUGEPAGE); /* advice: nothing breaks without */
    return map + skip;
}

void ssw_cpu_memory_free(void *memory, uint64_t n_bytes)
{
    if (!memory)
        return;
    if (n_bytes < HUGE_PAGE_BYTES)
        free(memory);
    else
        munmap(memory, (n_bytes + 4095) / 4096 * 4096);
}

/* ---- team ---- */

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
}

/* Queries, accumulators, maxima, sums and bounds of one attention call, the kernel's scratch, a tile of
 * latent values. */
enum {
    ATTENTION_FLOATS = SSW_ATTENTION_QUERIES * (2 * SSW_CPU_HEAD_DIM_MAX + 4) + SSW_ATTENTION_SCRATCH_FLOATS +
                       SSW_KV_TILE * SSW_CPU_HEAD_DIM_MAX / 2
};

static uint64_t worker_bytes_of(int32_t max_tokens, int32_t max_experts_used)
{
    return round_up(sizeof(ssw_cpu_worker)) +
           round_up((uint64_t)max_tokens * (uint64_t)max_experts_used * 4) +
           round_up(SSW_CPU_EXPERTS_MAX * sizeof(ssw_moe_group)) +
           round_up(ATTENTION_FLOATS * sizeof(float)) +
           2 * CACHE_LINE_BYTES; /* so that neighbours' prefetchers do not meet */
}

uint64_t ssw_cpu_team_predict_bytes(int n_workers, int32_t max_tokens, int32_t max_experts_used)
{
    return (uint64_t)n_workers * worker_bytes_of(max_tokens, max_experts_used);
}

static void place_worker(ssw_cpu_team *team, int index, const ssw_cpu_team_options *options)
{
    uint8_t *at = team->memory + (uint64_t)index * team->worker_bytes;
    ssw_cpu_worker *worker = (ssw_cpu_worker *)(void *)at;
    at += round_up(sizeof *worker);
    *worker = (ssw_cpu_worker){.team = team,
                               .kernels = team->kernels,
                               .amx = team->amx,
                               .pool = team->pool,
                               .index = index,
                               .n_workers = team->n_workers};
    worker->attention = (float *)(void *)at;
    at += round_up(ATTENTION_FLOATS * sizeof(float));
    worker->groups = (ssw_moe_group *)(void *)at;
    at += round_up(SSW_CPU_EXPERTS_MAX * sizeof *worker->groups);
    worker->pairs = (int32_t *)(void *)at;
}

ssw_status ssw_cpu_team_open(const ssw_cpu_team_options *options, ssw_cpu_team **out, ssw_error *err)
{
    *out = NULL;
    if (options->max_tokens < 1 || options->max_tokens > TOKENS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a batch of %d tokens is not between 1 and %d",
                             options->max_tokens, TOKENS_MAX);
    if (options->max_experts_used < 0 || options->max_experts_used > SSW_CPU_EXPERTS_USED_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%d experts per token is not between 0 and %d",
                             options->max_experts_used, SSW_CPU_EXPERTS_USED_MAX);
    const ssw_kernels *kernels = choose_kernels(options->isa);
    if (!kernels)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "this processor cannot run the %s operations",
                             ssw_cpu_isa_name(options->isa));
    ssw_cpu_team *team = aligned_alloc(CACHE_LINE_BYTES, sizeof *team);
    if (!team)
        return ssw_error_set(err, SSW_ERR_NOMEM, "CPU operations: out of memory");
    *team = (ssw_cpu_team){.kernels = kernels,
                           .amx = kernels->isa == SSW_CPU_ISA_AVX512VNNI ? ssw_amx_find() : NULL,
                           .pool = options->pool,
                           .n_workers = ssw_pool_threads(options->pool)};
    team->worker_bytes = worker_bytes_of(options->max_tokens, options->max_experts_used);
    team->n_bytes =
        ssw_cpu_team_predict_bytes(team->n_workers, options->max_tokens, options->max_experts_used);
    team->memory = ssw_cpu_memory_alloc(team->n_bytes);
    if (!team->memory) {
        free(team);
        return ssw_error_set(err, SSW_ERR_NOMEM, "CPU operations: no memory for the workers' scratch");
    }
    for (int i = 0; i < team->n_workers; i++)
        place_worker(team, i, options);
    *out = team;
    return SSW_OK;
}

void ssw_cpu_team_close(ssw_cpu_team *team)
{
    if (!team)
        return;
    ssw_cpu_memory_free(team->memory, team->n_bytes);
    free(team);
}

ssw_cpu_isa ssw_cpu_team_isa(const ssw_cpu_team *team)
{
    return team->kernels->isa;
}

bool ssw_cpu_team_has_bf16(const ssw_cpu_team *team, ssw_dtype dtype)
{
    return team->amx && (int)dtype >= 0 && (int)dtype < SSW_KERNELS_DTYPES && team->amx->product[dtype];
}

uint64_t ssw_cpu_team_bytes(const ssw_cpu_team *team)
{
    return team->n_bytes;
}

ssw_cpu_worker *ssw_cpu_team_worker(ssw_cpu_team *team, int worker)
{
    assert(worker >= 0 && worker < team->n_workers);
    return (ssw_cpu_worker *)(void *)(team->memory + (uint64_t)worker * team->worker_bytes);
}

int ssw_cpu_worker_index(const ssw_cpu_worker *worker)
{
    return worker->index;
}

void ssw_cpu_barrier(ssw_cpu_worker *worker)
{
    ssw_pool_barrier(worker->pool);
}

/* Queues are used in turn. Worker 0 resets the one that comes round half a turn later: nobody is still in its
 * last use nor already in its next, because there was, and will be, a barrier between. */
ssw_cpu_queue *ssw_cpu_queue_begin(ssw_cpu_worker *worker)
{
    uint32_t turn = worker->n_dynamic++;
    if (worker->index == 0)
        atomic_store(&worker->team->queues[(turn + QUEUES / 2) % QUEUES].next, 0);
    return &worker->team->queues[turn % QUEUES];
}

int64_t ssw_cpu_queue_take(ssw_cpu_queue *queue)
{
    return atomic_fetch_add_explicit(&queue->next, 1, memory_order_relaxed);
}

void ssw_cpu_queue_count(ssw_cpu_queue *queue, int64_t n)
{
    atomic_fetch_add_explicit(&queue->next, n, memory_order_release);
}

void ssw_cpu_queue_await(const ssw_cpu_queue *queue, int64_t n)
{
    enum { LOOKS_PER_YIELD = 1 << 12 };
    for (int looks = 1; atomic_load_explicit(&queue->next, memory_order_acquire) < n; looks++) {
#if SSW_CPU_X86
        __builtin_ia32_pause();
#endif
        if (looks % LOOKS_PER_YIELD == 0)
            sched_yield();
    }
}
