/* An HTTP client that does what it is told, badly formed requests included: bytes out, bytes in, with times.
 */
#ifndef SSW_TESTS_RAW_HTTP_H
#define SSW_TESTS_RAW_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAW_BYTES_MAX = 1 << 20, RAW_READS_MAX = 4096 };

typedef struct raw_reply {
    char bytes[RAW_BYTES_MAX]; /* all that came, NUL-terminated */
    size_t n_bytes;
    int64_t read_ns[RAW_READS_MAX]; /* when each recv returned */
    size_t read_end[RAW_READS_MAX]; /* n_bytes after it */
    int n_reads;
    bool is_closed; /* by the server */
    char joined[RAW_BYTES_MAX];
} raw_reply;

int raw_connect(int port);
void raw_send(int fd, const char *bytes,
              size_t n_bytes); /* a refusal is ignored: the server may have closed */
void raw_send_text(int fd, const char *text);
/* A POST with Content-Length. */
void raw_post(int fd, const char *path, const char *body);
/* Until the server closes, the answer is complete (by its length or last chunk), or timeout_ms without a
 * byte. */
void raw_read(int fd, raw_reply *reply, int timeout_ms);
/* Until `words` has come; false when it does not within timeout_ms. */
bool raw_read_until(int fd, raw_reply *reply, const char *words, int timeout_ms);
void raw_reset(int fd); /* closes with RST */

int raw_status(const raw_reply *reply); /* 0: none */
const char *raw_body(const raw_reply *reply);
/* The chunks of a chunked body joined, in the reply. */
const char *raw_joined(raw_reply *reply);
/* One request over its own connection. */
void raw_exchange(int port, const char *path, const char *body, raw_reply *reply); /* body NULL: GET */

#endif
