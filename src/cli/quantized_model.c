/* See quantized_model.h. */
#include "cli/quantized_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_hash.h"
#include "base/strbuf.h"
#include "cli/cache_dir.h"
#include "cli/file_meter.h"
#include "quantize/quantize.h"

enum { HASHES_BYTES_MAX = 1 << 20, HASH_DIGITS = 24, NAME_MAX_CHARS = 120 };

/* Of one file its own hash, of a split set that of the list of hashes. */
static ssw_status hash_source(const ssw_gguf *gguf, const char *cache, ssw_sha256_text out, ssw_error *err)
{
    ssw_strbuf hashes;
    int64_t n_bytes = 0;
    ssw_status status = SSW_OK;
    ssw_strbuf_init(&hashes, HASHES_BYTES_MAX);
    for (size_t i = 0; !status && i < ssw_gguf_count_files(gguf); i++) {
        status = ssw_file_hash(ssw_gguf_file_path(gguf, i), cache, out, &n_bytes, err);
        ssw_strbuf_append_text(&hashes, out);
    }
    if (!status && ssw_gguf_count_files(gguf) > 1)
        status = ssw_strbuf_check(&hashes, "the list of hashes", err);
    if (!status && ssw_gguf_count_files(gguf) > 1)
        status = ssw_sha256_bytes(ssw_strbuf_text(&hashes), hashes.n_bytes, out, err);
    ssw_strbuf_deinit(&hashes);
    return status;
}

static ssw_status make_path(const char *source, const char *cache, const char *hash, const char *type,
                            char out[PATH_MAX], ssw_error *err)
{
    const char *slash = strrchr(source, '/'), *name = slash ? slash + 1 : source;
    size_t n = strlen(name);
    char folder[PATH_MAX];
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    n = n < NAME_MAX_CHARS ? n : NAME_MAX_CHARS;
    snprintf(folder, sizeof folder, "%.3500s/quantized", cache);
    if (mkdir(folder, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", folder);
    snprintf(folder + strlen(folder), sizeof folder - strlen(folder), "/%.*s-%s", HASH_DIGITS, hash, type);
    if (mkdir(folder, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", folder);
    snprintf(out, PATH_MAX, "%.3700s/%.*s-%s.gguf", folder, (int)n, name, type);
    return SSW_OK;
}

static bool is_there(const char *path)
{
    ssw_gguf *gguf = NULL;
    bool ok = access(path, F_OK) == 0 && ssw_gguf_open(path, &gguf, NULL) == SSW_OK;
    ssw_gguf_close(gguf);
    return ok;
}

ssw_status ssw_cli_quantize_once(const char *source, const ssw_type_mix *mix, const atomic_bool *cancel,
                                 char out[PATH_MAX], bool *made, ssw_error *err)
{
    char cache[SSW_CLI_CACHE_DIR_MAX];
    ssw_sha256_text hash;
    ssw_gguf *gguf = NULL;
    ssw_quantize_result result;
    ssw_file_meter meter;
    *made = false;
    if (!ssw_cli_make_cache_dir(cache))
        return ssw_error_set(err, SSW_ERR_USAGE,
                             "--quant needs a cache folder: set HOME or XDG_CACHE_HOME to an absolute path");
    ssw_status status = ssw_gguf_open(source, &gguf, err);
    if (!status)
        status = hash_source(gguf, cache, hash, err);
    if (!status)
        status = make_path(source, cache, hash, mix->name, out, err);
    if (!status && !is_there(out)) {
        ssw_file_meter_begin(&meter);
        const ssw_quantize_run run = {.progress = ssw_file_meter_show, .context = &meter, .cancel = cancel};
        status = ssw_quantize_file(gguf, out, mix, &run, &result, err);
        if (status)
            ssw_file_meter_erase(&meter);
        *made = !status;
    }
    ssw_gguf_close(gguf);
    return status;
}
