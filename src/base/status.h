/* Status codes and the one-line error that travels with them.
 *
 * Every function that can fail returns an ssw_status and takes an ssw_error as its last argument. The error
 * may be NULL when the caller only needs the code. Nothing below src/cli prints or exits. */
#ifndef SSW_BASE_STATUS_H
#define SSW_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssw_status {
    SSW_OK = 0,
    SSW_ERR_USAGE,       /* the caller's argument or option is wrong */
    SSW_ERR_FORMAT,      /* input bytes break their format */
    SSW_ERR_UNSUPPORTED, /* well-formed, but not something we implement */
    SSW_ERR_IO,          /* the operating system refused a file, socket or process */
    SSW_ERR_NOMEM,       /* allocation failed */
    SSW_ERR_LIMIT,       /* a named maximum was exceeded */
    SSW_ERR_TIMEOUT,     /* a deadline passed */
    SSW_ERR_CANCELLED,   /* the user or the peer asked to stop */
    SSW_ERR_UNAVAILABLE, /* a device, library or server is not there */
    SSW_ERR_INTERNAL     /* a promise of our own was broken */
} ssw_status;

enum { SSW_ERROR_MESSAGE_MAX = 512 };

typedef struct ssw_error {
    ssw_status status;
    char message[SSW_ERROR_MESSAGE_MAX]; /* one line, no trailing newline, truncated if it must be */
} ssw_error;

/* Formats a message into err (if not NULL) and returns status, so that `return ssw_error_set(...)` reads
 * well. */
ssw_status ssw_error_set(ssw_error *err, ssw_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with ": <strerror(error_number)>" appended. */
ssw_status ssw_error_set_errno(ssw_error *err, ssw_status status, int error_number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "<prefix>: " before the message already in err. Returns err's status. */
ssw_status ssw_error_prefix(ssw_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short name such as "format", for logs and JSON. */
const char *ssw_status_name(ssw_status status);

#ifdef __cplusplus
}
#endif
#endif
