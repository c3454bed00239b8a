/* Runs a fuzzer's entry without libFuzzer: over each seed file of a folder, and over some thousands of seeded
 * changes of each (bytes flipped, cut, doubled), so that `make test` visits every parser's error paths with
 * any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_BYTES_MAX = 1 << 20, CHANGES = 2000, PATH_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* A buffer of exactly n bytes, so that a sanitizer sees any read past the end. */
static void run_exact(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static void run_changes(const uint8_t *seed, size_t n, uint8_t *changed)
{
    uint64_t state = 0x5ee5a3 + n;
    for (int i = 0; i < CHANGES; i++) {
        size_t n_changed = n;
        memcpy(changed, seed, n);
        for (uint64_t k = next_random(&state) % 4 + 1; n && k > 0; k--)
            changed[next_random(&state) % n] = (uint8_t)next_random(&state);
        if (next_random(&state) % 4 == 0)
            n_changed = next_random(&state) % (n + 1);
        if (next_random(&state) % 8 == 0) {
            memcpy(changed + n_changed, seed, n);
            n_changed += n;
        }
        run_exact(changed, n_changed);
    }
}

static int run_file(const char *path, uint8_t *seed, uint8_t *changed)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return 1;
    size_t n = fread(seed, 1, SEED_BYTES_MAX, file);
    fclose(file);
    run_exact(seed, n);
    run_changes(seed, n, changed);
    return 0;
}

int main(int argc, char **argv)
{
    static uint8_t seed[SEED_BYTES_MAX], changed[2 * SEED_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    int n_files = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER_OF_SEEDS\n", argv[0]);
        return 2;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (run_file(path, seed, changed)) {
            perror(path);
            return 1;
        }
        n_files++;
    }
    closedir(dir);
    printf("%d seeds, %d changes of each\n", n_files, CHANGES);
    return n_files ? 0 : 1; /* a folder without seeds tests nothing */
}
