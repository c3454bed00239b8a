/* The bench's own error, measured against a server whose answers are known. Times of both sides, frame by
 * frame, are CLOCK_MONOTONIC of one machine, so that they can be subtracted. */
#ifndef SSW_BENCH_EVIDENCE_SELF_AUDIT_H
#define SSW_BENCH_EVIDENCE_SELF_AUDIT_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { SSW_AUDIT_REQUESTS = 5, SSW_AUDIT_TOKENS = 24 };

typedef struct ssw_audit_request {
    int64_t send_ns;                   /* the client's: the request was handed to the socket */
    int64_t received_ns;               /* the server's: its last byte was read */
    int64_t tokens_told;               /* usage, as the client read it */
    int64_t n_frames;                  /* with text, that the client saw */
    int64_t sent_ns[SSW_AUDIT_TOKENS]; /* the server's, just before each send() */
    int64_t seen_ns[SSW_AUDIT_TOKENS]; /* the client's */
} ssw_audit_request;

typedef struct ssw_self_audit {
    int64_t ttft_ns, gap_ns; /* as the server was told */
    size_t n_requests;
    ssw_audit_request requests[SSW_AUDIT_REQUESTS];
} ssw_self_audit;

/* What a line `self_audit` holds besides kind and time; NULL when out of memory. */
json_t *ssw_self_audit_to_json(const ssw_self_audit *audit);
ssw_status ssw_self_audit_from_json(const json_t *object, ssw_self_audit *out, ssw_error *err);

#endif
