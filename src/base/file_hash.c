/* The cache of file hashes. */
#include "base/file_hash.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATH_BYTES_MAX = 4096 };

static json_t *describe(const char *path, const struct stat *info)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "path", path, "bytes", (json_int_t)info->st_size, "mtime_ns",
                     (json_int_t)info->st_mtim.tv_sec * SSW_NS_PER_S + info->st_mtim.tv_nsec, "inode",
                     (json_int_t)info->st_ino);
}

/* The cache file of a path; false when it does not fit. */
static bool name_entry(const char *path, const char *cache_dir, char entry[PATH_BYTES_MAX])
{
    ssw_sha256_text of_path;
    if (ssw_sha256_bytes(path, strlen(path), of_path, NULL))
        return false;
    return (size_t)snprintf(entry, PATH_BYTES_MAX, "%s/sha256-%.16s.json", cache_dir, of_path) <
           PATH_BYTES_MAX;
}

static bool look_up(const char *entry, json_t *wanted, ssw_sha256_text out)
{
    json_t *found = json_load_file(entry, 0, NULL);
    const char *sum = json_string_value(json_object_get(found, "sha256"));
    bool good = sum && strlen(sum) == SSW_SHA256_TEXT_SIZE - 1;
    if (good)
        memcpy(out, sum, SSW_SHA256_TEXT_SIZE);
    json_object_del(found, "sha256");
    good = good && json_equal(found, wanted);
    json_decref(found);
    return good;
}

/* By a rename, so that two runs at once cannot mix their lines. */
static void remember(const char *entry, json_t *description, const char *sum)
{
    char fresh[PATH_BYTES_MAX + 32];
    snprintf(fresh, sizeof fresh, "%s.%d", entry, (int)getpid());
    if (json_object_set_new(description, "sha256", json_string(sum)) == 0 &&
        json_dump_file(description, fresh, JSON_INDENT(1)) == 0 && rename(fresh, entry) == 0)
        return;
    unlink(fresh);
}

ssw_status ssw_file_hash(const char *path, const char *cache_dir, ssw_sha256_text out, int64_t *n_bytes,
                         ssw_error *err)
{
    char entry[PATH_BYTES_MAX];
    struct stat info;
    if (stat(path, &info))
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", path);
    if (!S_ISREG(info.st_mode))
        return ssw_error_set(err, SSW_ERR_IO, "%s: not a regular file", path);
    json_t *description = describe(path, &info);
    bool cached = cache_dir && description && name_entry(path, cache_dir, entry);
    ssw_status status = SSW_OK;
    *n_bytes = info.st_size;
    if (!cached || !look_up(entry, description, out)) {
        status = ssw_sha256_file(path, out, n_bytes, err);
        if (!status && cached)
            remember(entry, description, out);
    }
    json_decref(description);
    return status;
}
