/* What copies from pinned host memory to the device reach, by size: a call each, or several as one call
 * (ssw_cuda_copy_many); alone, and while threads of the host read memory as fast as they can. GB/s, the
 * readers' own beside it.
 *
 * Usage: bench_copies [READERS], without: 0 and one less than there are processors. */
#include <atomic>
#include <chrono>
#include <string.h>
#include <sys/mman.h>
#include <thread>

#include "bench_operands.cuh"
#include "cuda/cuda_device.h"

static const uint64_t HOST_BYTES = UINT64_C(4) << 30, RING_BYTES = 32 << 20, PIECE_BYTES = 8 << 20,
                      MOVED_BYTES = 600 << 20, STRIDE = 4096 * UINT64_C(292003);
static const double sizes_mb[] = {0.25, 0.6, 1, 1.6, 5};
enum { REPEATS = 3, PER_CALL_MAX = 64, WORDS_PER_STEP = 1 << 17 };

static double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/* Threads that read what is copied; what they saw goes to sum, so that it is read. */
struct readers {
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> n_bytes{0}, sum{0};
    std::vector<std::thread> threads;
    readers(const uint8_t *host, int n)
    {
        for (int k = 0; k < n; k++)
            threads.emplace_back([=] { read(host, HOST_BYTES / (uint64_t)n * (uint64_t)k); });
    }
    void read(const uint8_t *host, uint64_t at)
    {
        uint64_t seen = 0;
        for (; !stop; at += WORDS_PER_STEP * 8) {
            const uint64_t *words =
                (const uint64_t *)(host + at % (HOST_BYTES - WORDS_PER_STEP * 8) / 4096 * 4096);
            for (int i = 0; i < WORDS_PER_STEP; i += 8)
                seen += words[i];
            n_bytes += WORDS_PER_STEP * 8;
        }
        sum += seen;
    }
    ~readers()
    {
        stop = true;
        for (std::thread &one : threads)
            one.join();
    }
};

struct place {
    uint8_t *host, *device;
    cudaStream_t stream;
};

static void enqueue(const place &p, uint64_t n_bytes, int first, int n)
{
    void *to[PER_CALL_MAX];
    const void *from[PER_CALL_MAX];
    size_t bytes[PER_CALL_MAX];
    for (int i = 0; i < n; i++) {
        uint64_t k = (uint64_t)(first + i);
        from[i] = p.host + k * STRIDE % (HOST_BYTES - n_bytes) / 4096 * 4096;
        to[i] = p.device + k * n_bytes % (RING_BYTES - n_bytes) / 256 * 256;
        bytes[i] = n_bytes;
    }
    if (n == 1) {
        ssw_cuda_copy_async(p.stream, to[0], from[0], n_bytes);
        return;
    }
    ssw_cuda_copies copies = {to, from, bytes, n};
    ssw_cuda_copy_many(p.stream, &copies);
}

static void measure(const place &p, readers &r, uint64_t n_bytes, int per_call)
{
    int n = (int)(MOVED_BYTES / n_bytes) / per_call * per_call;
    double best_s = 1e9, read = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        uint64_t read_before = r.n_bytes;
        double begin = now();
        for (int i = 0; i < n; i += per_call)
            enqueue(p, n_bytes, i, per_call);
        check(cudaStreamSynchronize(p.stream));
        double took = now() - begin;
        if (took < best_s) {
            best_s = took;
            read = (double)(r.n_bytes - read_before) / took / 1e9;
        }
    }
    printf("   %5.1f GB/s (%3.0f)", (double)n_bytes * n / best_s / 1e9, read);
}

int main(int argc, char **argv)
{
    int last = argc > 1 ? atoi(argv[1]) : (int)std::thread::hardware_concurrency() - 1;
    place p;
    p.host = (uint8_t *)mmap(nullptr, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p.host == MAP_FAILED) {
        fprintf(stderr, "bench_copies: no memory\n");
        return 1;
    }
    (void)madvise(p.host, HOST_BYTES, MADV_HUGEPAGE);
    memset(p.host, 1, HOST_BYTES);
    check(cudaHostRegister(p.host, HOST_BYTES, cudaHostRegisterMapped));
    check(cudaMalloc(&p.device, RING_BYTES));
    check(cudaStreamCreateWithFlags(&p.stream, cudaStreamNonBlocking));
    for (int n_readers = argc > 1 ? last : 0; n_readers <= last; n_readers += last > 0 ? last : 1) {
        readers r(p.host, n_readers);
        for (double mb : sizes_mb) {
            uint64_t n_bytes = (uint64_t)(mb * 1e6) / 4096 * 4096;
            int per_call = (int)(PIECE_BYTES / n_bytes);
            printf("%2d readers, %4.2f MB: a call each", n_readers, mb);
            measure(p, r, n_bytes, 1);
            printf("   %2d a call", per_call);
            measure(p, r, n_bytes, per_call);
            printf("\n");
        }
    }
    return 0;
}
