/* SHA256SUMS of a run folder. */
#include "bench/evidence/checksums.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "base/strbuf.h"
#include "bench/evidence/text_file.h"

enum { PATH_BYTES_MAX = 4096 + 300, TEXT_BYTES_MAX = 1 << 20 };

static int is_file_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strncmp(entry->d_name, "SHA256SUMS", 10) != 0;
}

static ssw_status add_file(const char *dir, const char *name, ssw_strbuf *out, ssw_error *err)
{
    char path[PATH_BYTES_MAX];
    struct stat info;
    ssw_sha256_text sum;
    snprintf(path, sizeof path, "%.4000s/%s", dir, name);
    if (stat(path, &info) || !S_ISREG(info.st_mode))
        return SSW_OK;
    ssw_status status = ssw_sha256_file(path, sum, NULL, err);
    if (!status)
        ssw_strbuf_append_format(out, "%s  %s\n", sum, name);
    return status;
}

ssw_status ssw_checksums_write(const char *dir, ssw_error *err)
{
    char fresh[PATH_BYTES_MAX], final[PATH_BYTES_MAX];
    struct dirent **entries = NULL;
    ssw_strbuf text;
    ssw_strbuf_init(&text, TEXT_BYTES_MAX);
    int n = scandir(dir, &entries, is_file_name, alphasort);
    ssw_status status = SSW_OK;
    if (n < 0)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", dir);
    else if (n > SSW_CHECKSUMS_FILES_MAX)
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%s: more than %d files", dir, SSW_CHECKSUMS_FILES_MAX);
    for (int i = 0; !status && i < n; i++)
        status = add_file(dir, entries[i]->d_name, &text, err);
    snprintf(fresh, sizeof fresh, "%.4000s/SHA256SUMS.new", dir);
    snprintf(final, sizeof final, "%.4000s/SHA256SUMS", dir);
    unlink(fresh);
    if (!status)
        status = ssw_strbuf_check(&text, "SHA256SUMS", err);
    if (!status)
        status = ssw_text_file_create(fresh, ssw_strbuf_text(&text), text.n_bytes, err);
    if (!status && rename(fresh, final))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", final);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    ssw_strbuf_deinit(&text);
    return status;
}
