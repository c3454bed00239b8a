/* SHA-256 through OpenSSL's EVP interface. */
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

static void write_hex(const unsigned char *digest, ssw_sha256_text out)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < (SSW_SHA256_TEXT_SIZE - 1) / 2; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[SSW_SHA256_TEXT_SIZE - 1] = '\0';
}

ssw_status ssw_sha256_bytes(const void *bytes, size_t n_bytes, ssw_sha256_text out, ssw_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(bytes, n_bytes, digest, NULL, EVP_sha256(), NULL))
        return ssw_error_set(err, SSW_ERR_INTERNAL, "OpenSSL refused to hash %zu bytes", n_bytes);
    write_hex(digest, out);
    return SSW_OK;
}

static ssw_status hash_open_file(int fd, const char *path, EVP_MD_CTX *context, char *piece, int64_t *n_bytes,
                                 ssw_error *err)
{
    if (!EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        return ssw_error_set(err, SSW_ERR_INTERNAL, "OpenSSL has no SHA-256");
    *n_bytes = 0;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot read", path);
        if (n == 0)
            return SSW_OK;
        if (!EVP_DigestUpdate(context, piece, (size_t)n))
            return ssw_error_set(err, SSW_ERR_INTERNAL, "OpenSSL refused bytes of %s", path);
        *n_bytes += n;
    }
}

ssw_status ssw_sha256_file(const char *path, ssw_sha256_text out, int64_t *n_bytes, ssw_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int64_t count = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    char *piece = malloc(PIECE_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssw_status status;
    if (!context || !piece)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory to hash %s", path);
    else if (fd < 0)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s: cannot open", path);
    else
        status = hash_open_file(fd, path, context, piece, &count, err);
    if (status == SSW_OK && !EVP_DigestFinal_ex(context, digest, NULL))
        status = ssw_error_set(err, SSW_ERR_INTERNAL, "OpenSSL could not finish the hash of %s", path);
    if (status == SSW_OK)
        write_hex(digest, out);
    if (n_bytes)
        *n_bytes = count;
    if (fd >= 0)
        close(fd);
    free(piece);
    EVP_MD_CTX_free(context);
    return status;
}
