/* Opening and closing of GGUF files and split sets, and the look-ups over them. Owns the maps and one arena.
 */
#include "gguf/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf/gguf_internal.h"

enum { SPLIT_SUFFIX_BYTES = sizeof "-00001-of-00002.gguf" - 1 };
#define ARENA_BYTES_MAX ((size_t)8 << 30)

struct ssw_gguf {
    ssw_arena arena;
    ssw_gguf_file *files; /* [n_files] */
    size_t n_files;
    ssw_gguf_tensor *tensors; /* [n_tensors] those of all files, in order */
    size_t n_tensors;
    const ssw_gguf_tensor **tensors_by_name; /* [n_tensors] sorted */
};

static ssw_status map_file(ssw_gguf_file *file, ssw_error *err)
{
    struct stat info;
    ssw_status status = SSW_OK;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", file->path);
    if (fstat(fd, &info) != 0) {
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", file->path);
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        status = ssw_error_set(err, SSW_ERR_IO, "%s: not a regular file", file->path);
        goto cleanup;
    }
    if (info.st_size == 0) {
        status = ssw_error_set(err, SSW_ERR_FORMAT, "%s: the file is empty", file->path);
        goto cleanup;
    }
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot map %" PRId64 " bytes", file->path,
                                     (int64_t)info.st_size);
        goto cleanup;
    }
    file->bytes = map;
    file->n_bytes = (uint64_t)info.st_size;
    file->is_mapped = true;

cleanup:
    close(fd);
    return status;
}

/* The place of path in a set by its name alone: "…-00002-of-00005.gguf" is 2 of 5. False for other names. */
static bool parse_split_name(const char *path, unsigned *no, unsigned *count)
{
    size_t n_bytes = strlen(path);
    int end = 0;
    if (n_bytes <= SPLIT_SUFFIX_BYTES)
        return false;
    const char *suffix = path + n_bytes - SPLIT_SUFFIX_BYTES;
    for (int i = 1; i <= 5; i++) {
        if (suffix[i] < '0' || suffix[i] > '9' || suffix[i + 9] < '0' || suffix[i + 9] > '9')
            return false;
    }
    return sscanf(suffix, "-%5u-of-%5u.gguf%n", no, count, &end) == 2 && end == SPLIT_SUFFIX_BYTES;
}

/* An integer key that must be there. */
static ssw_status read_split_key(const ssw_gguf_file *file, const char *name, uint64_t max, uint64_t *out,
                                 ssw_error *err)
{
    const ssw_gguf_key *key = ssw_gguf_find_key_in(file, name);
    if (!key)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "%s: key '%s' is missing; it is not a part of a split model", file->path, name);
    if (!ssw_gguf_read_u64(key, out))
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: key '%s' of type %s is not a count", file->path, name,
                             ssw_gguf_type_name((uint32_t)key->type));
    if (*out > max)
        return ssw_error_set(err, SSW_ERR_LIMIT,
                             "%s: key '%s' is %" PRIu64 "; at most %" PRIu64 " is allowed", file->path, name,
                             *out, max);
    return SSW_OK;
}

/* How many files the set has, by the first file's keys and its name, which must agree. */
static ssw_status count_splits(const ssw_gguf_file *first, size_t *n_files, ssw_error *err)
{
    unsigned no = 1, named = 1;
    bool has_split_name = parse_split_name(first->path, &no, &named);
    uint64_t count = 1, split_no = 0;
    ssw_status status = SSW_OK;
    if (ssw_gguf_find_key_in(first, "split.count"))
        status = read_split_key(first, "split.count", SSW_GGUF_SPLITS_MAX, &count, err);
    if (status == SSW_OK && count > 1)
        status = read_split_key(first, "split.no", SSW_GGUF_SPLITS_MAX, &split_no, err);
    if (status != SSW_OK)
        return status;
    count = count ? count : 1; /* llama.cpp writes 0 into merged models */
    if (split_no != 0)
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "%s: part %" PRIu64 " of %" PRIu64 "; name the first part instead", first->path,
                             split_no + 1, count);
    if (count > 1 && (!has_split_name || no != 1 || named != count))
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "%s: the first of %" PRIu64
                             " parts, so its name must end in -00001-of-%05" PRIu64 ".gguf",
                             first->path, count, count);
    if (count == 1 && has_split_name && named > 1)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "%s: named as one of %u parts, but its keys know of no other", first->path,
                             named);
    *n_files = (size_t)count;
    return SSW_OK;
}

/* Part `index` claims the same set as the first one does. */
static ssw_status check_part(const ssw_gguf *gguf, size_t index, ssw_error *err)
{
    const ssw_gguf_file *part = &gguf->files[index];
    uint64_t no, count;
    ssw_status status = read_split_key(part, "split.no", SSW_GGUF_SPLITS_MAX, &no, err);
    if (status == SSW_OK)
        status = read_split_key(part, "split.count", SSW_GGUF_SPLITS_MAX, &count, err);
    if (status != SSW_OK)
        return status;
    if (no != index || count != gguf->n_files)
        return ssw_error_set(err, SSW_ERR_FORMAT,
                             "%s: its keys say part %" PRIu64 " of %" PRIu64 ", expected part %zu of %zu",
                             part->path, no + 1, count, index + 1, gguf->n_files);
    return SSW_OK;
}

/* The tensors of the whole set are as many as every part says. */
static ssw_status check_tensor_total(const ssw_gguf *gguf, ssw_error *err)
{
    for (size_t i = 0; i < gguf->n_files; i++) {
        uint64_t total = gguf->n_tensors;
        ssw_status status = SSW_OK;
        if (i == 0 || ssw_gguf_find_key_in(&gguf->files[i], "split.tensors.count"))
            status =
                read_split_key(&gguf->files[i], "split.tensors.count", SSW_GGUF_TENSORS_MAX, &total, err);
        if (status != SSW_OK)
            return status;
        if (total != gguf->n_tensors)
            return ssw_error_set(err, SSW_ERR_FORMAT,
                                 "%s: its set should have %" PRIu64
                                 " tensors, the %zu files together have %zu",
                                 gguf->files[i].path, total, gguf->n_files, gguf->n_tensors);
    }
    return SSW_OK;
}

static ssw_status open_part(ssw_gguf *gguf, size_t index, ssw_error *err)
{
    ssw_gguf_file *file = &gguf->files[index];
    const char *first = gguf->files[0].path;
    size_t n_bytes = strlen(first);
    char suffix[64];
    snprintf(suffix, sizeof suffix, "-%05zu-of-%05zu.gguf", index + 1, gguf->n_files);
    char *path = ssw_arena_copy_text(&gguf->arena, first, n_bytes);
    if (!path)
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", first);
    memcpy(path + n_bytes - SPLIT_SUFFIX_BYTES, suffix, SPLIT_SUFFIX_BYTES);
    file->path = path;
    ssw_status status = map_file(file, err);
    if (status != SSW_OK)
        return status;
    status = ssw_gguf_parse_file(file, (uint32_t)index, &gguf->arena, err);
    return status == SSW_OK ? check_part(gguf, index, err) : status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const ssw_gguf_tensor *const *)a)->name, (*(const ssw_gguf_tensor *const *)b)->name);
}

/* One list of all files' tensors, and the same by name; names are unique over the set. */
static ssw_status index_tensors(ssw_gguf *gguf, ssw_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < gguf->n_files; i++)
        total += gguf->files[i].n_tensors;
    if (total > SSW_GGUF_TENSORS_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%s: %zu tensors in all parts; at most %d are read",
                             gguf->files[0].path, total, SSW_GGUF_TENSORS_MAX);
    gguf->tensors = ssw_arena_alloc(&gguf->arena, total + 1, sizeof *gguf->tensors);
    gguf->tensors_by_name = ssw_arena_alloc(&gguf->arena, total + 1, sizeof *gguf->tensors_by_name);
    if (!gguf->tensors || !gguf->tensors_by_name)
        return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", gguf->files[0].path);
    for (size_t i = 0; i < gguf->n_files; i++) {
        for (size_t j = 0; j < gguf->files[i].n_tensors; j++, gguf->n_tensors++) {
            gguf->tensors[gguf->n_tensors] = gguf->files[i].tensors[j];
            gguf->tensors_by_name[gguf->n_tensors] = &gguf->tensors[gguf->n_tensors];
        }
    }
    qsort(gguf->tensors_by_name, total, sizeof *gguf->tensors_by_name, compare_names);
    for (size_t i = 1; i < total; i++) {
        const ssw_gguf_tensor *left = gguf->tensors_by_name[i - 1], *right = gguf->tensors_by_name[i];
        char quoted[SSW_GGUF_QUOTE_MAX];
        if (strcmp(left->name, right->name) == 0)
            return ssw_error_set(err, SSW_ERR_FORMAT, "%s: tensor '%s' appears twice%s",
                                 gguf->files[left->split > right->split ? left->split : right->split].path,
                                 ssw_gguf_quote(quoted, left->name, strlen(left->name)),
                                 left->split != right->split ? " in the split set" : "");
    }
    return SSW_OK;
}

/* Everything after the first file's bytes are in place. */
static ssw_status load_set(ssw_gguf *gguf, bool allow_splits, ssw_error *err)
{
    ssw_gguf_file *first = &gguf->files[0];
    size_t n_files = 1;
    ssw_status status = ssw_gguf_parse_file(first, 0, &gguf->arena, err);
    if (status == SSW_OK && allow_splits)
        status = count_splits(first, &n_files, err);
    if (status != SSW_OK)
        return status;
    if (n_files > 1) {
        ssw_gguf_file *files = ssw_arena_alloc(&gguf->arena, n_files, sizeof *files);
        if (!files)
            return ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", first->path);
        files[0] = *first;
        gguf->files = files;
        gguf->n_files = n_files;
    }
    for (size_t i = 1; i < n_files && status == SSW_OK; i++)
        status = open_part(gguf, i, err);
    if (status == SSW_OK)
        status = index_tensors(gguf, err);
    if (status == SSW_OK && n_files > 1)
        status = check_tensor_total(gguf, err);
    return status;
}

/* A handle with one file that has a path but no bytes yet. */
static ssw_gguf *create_handle(const char *path, ssw_error *err)
{
    ssw_gguf *gguf = calloc(1, sizeof *gguf);
    if (gguf) {
        ssw_arena_init(&gguf->arena, ARENA_BYTES_MAX);
        gguf->files = ssw_arena_alloc(&gguf->arena, 1, sizeof *gguf->files);
        if (gguf->files &&
            (gguf->files[0].path = ssw_arena_copy_text(&gguf->arena, path, strlen(path))) != NULL) {
            gguf->n_files = 1;
            return gguf;
        }
    }
    ssw_gguf_close(gguf);
    ssw_error_set(err, SSW_ERR_NOMEM, "%s: out of memory", path);
    return NULL;
}

ssw_status ssw_gguf_open(const char *path, ssw_gguf **out, ssw_error *err)
{
    *out = NULL;
    ssw_gguf *gguf = create_handle(path, err);
    if (!gguf)
        return SSW_ERR_NOMEM;
    ssw_status status = map_file(&gguf->files[0], err);
    if (status == SSW_OK)
        status = load_set(gguf, true, err);
    if (status != SSW_OK) {
        ssw_gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return SSW_OK;
}

ssw_status ssw_gguf_open_memory(const char *name, const void *bytes, size_t n_bytes, ssw_gguf **out,
                                ssw_error *err)
{
    *out = NULL;
    ssw_gguf *gguf = create_handle(name, err);
    if (!gguf)
        return SSW_ERR_NOMEM;
    gguf->files[0].bytes = bytes;
    gguf->files[0].n_bytes = n_bytes;
    ssw_status status = load_set(gguf, false, err);
    if (status != SSW_OK) {
        ssw_gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return SSW_OK;
}

void ssw_gguf_close(ssw_gguf *gguf)
{
    if (!gguf)
        return;
    for (size_t i = 0; i < gguf->n_files; i++) {
        const ssw_gguf_file *file = &gguf->files[i];
        if (file->is_mapped)
            munmap((void *)(uintptr_t)file->bytes, (size_t)file->n_bytes);
    }
    ssw_arena_deinit(&gguf->arena);
    free(gguf);
}

size_t ssw_gguf_count_files(const ssw_gguf *gguf)
{
    return gguf->n_files;
}

const char *ssw_gguf_file_path(const ssw_gguf *gguf, size_t index)
{
    return gguf->files[index].path;
}

uint64_t ssw_gguf_file_bytes(const ssw_gguf *gguf, size_t index)
{
    return gguf->files[index].n_bytes;
}

size_t ssw_gguf_count_tensors(const ssw_gguf *gguf)
{
    return gguf->n_tensors;
}

const ssw_gguf_tensor *ssw_gguf_tensor_at(const ssw_gguf *gguf, size_t index)
{
    return &gguf->tensors[index];
}

const ssw_gguf_tensor *ssw_gguf_find_tensor(const ssw_gguf *gguf, const char *name)
{
    const ssw_gguf_tensor wanted = {.name = name}, *tensor = &wanted;
    const ssw_gguf_tensor **found = gguf->n_tensors ? bsearch(&tensor, gguf->tensors_by_name, gguf->n_tensors,
                                                              sizeof *gguf->tensors_by_name, compare_names)
                                                    : NULL;
    return found ? *found : NULL;
}

size_t ssw_gguf_count_keys(const ssw_gguf *gguf)
{
    return gguf->files[0].n_keys;
}

const ssw_gguf_key *ssw_gguf_key_at(const ssw_gguf *gguf, size_t index)
{
    return &gguf->files[0].keys[index];
}

const ssw_gguf_key *ssw_gguf_find_key(const ssw_gguf *gguf, const char *name)
{
    return ssw_gguf_find_key_in(&gguf->files[0], name);
}
