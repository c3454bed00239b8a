/* A chat server whose answers are known: a forked process that answers each request with SSW_AUDIT_TOKENS
 * frames of one token, at set times, and tells afterwards when it received and sent what. For the bench's
 * self-audit. After fork() it calls only async-signal-safe functions and snprintf of integers, and allocates
 * nothing. */
#ifndef SSW_BENCH_RUN_KNOWN_SERVER_H
#define SSW_BENCH_RUN_KNOWN_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "bench/evidence/self_audit.h"

typedef struct ssw_known_server {
    pid_t pid;
    int port;
    int report_fd; /* a ssw_known_times for each answer */
} ssw_known_server;

typedef struct ssw_known_times {
    int64_t received_ns;
    int64_t sent_ns[SSW_AUDIT_TOKENS];
} ssw_known_times;

/* ttft_ns from the request's last byte to the first frame, gap_ns from frame to frame. */
ssw_status ssw_known_server_start(ssw_known_server *server, int64_t ttft_ns, int64_t gap_ns, ssw_error *err);
/* Of the answer just given; false when the server does not tell. */
bool ssw_known_server_take_times(const ssw_known_server *server, ssw_known_times *out);
void ssw_known_server_stop(ssw_known_server *server);

#endif
