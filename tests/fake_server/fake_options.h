/* What the known-answer server shall do, from its command line. */
#ifndef SSW_TESTS_FAKE_SERVER_FAKE_OPTIONS_H
#define SSW_TESTS_FAKE_SERVER_FAKE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum fake_fault {
    FAKE_FAULT_NONE,
    FAKE_FAULT_DIE_LOAD,    /* exit 3 after --load-ms, without ever being ready */
    FAKE_FAULT_NEVER_READY, /* 503 for ever */
    FAKE_FAULT_DIE_STREAM,  /* killed by SIGSEGV before frame --fault-at */
    FAKE_FAULT_CLOSE,       /* the connection ends before frame --fault-at, the server lives on */
    FAKE_FAULT_HANG,        /* nothing more from frame --fault-at on */
    FAKE_FAULT_GARBAGE,     /* bytes that are no event stream */
    FAKE_FAULT_HTML,        /* 200 with a page, as a proxy answers */
    FAKE_FAULT_HTTP,        /* 500 with OpenAI's error object */
    FAKE_FAULT_STREAM_ERROR /* an error object inside the stream, at frame --fault-at */
} fake_fault;

typedef struct fake_options {
    const char *model; /* -m, as given */
    const char *name;  /* what /v1/models says */
    int port;
    int64_t load_ns, ttft_ns, itl_ns;
    int tokens;           /* at most; the request's max_tokens counts too */
    int reasoning_tokens; /* of these, the first ones */
    int tokens_per_chunk;
    int cache_n;     /* in timings; -1: no timings at all */
    int usage_extra; /* added to usage's completion_tokens: header tokens, or a wrong count */
    bool role_first, usage, ignore_term, spawn_child;
    int fault_at, fault_request; /* the fault strikes from this request on (from 0), at this frame */
    fake_fault fault;
    int64_t allocate_bytes;  /* touched before ready */
    const char *replay_path; /* every POST is answered with this file's bytes; may be NULL */
    const char *times_path;  /* where the times of receiving and sending are appended; may be NULL */
} fake_options;

/* Prints and exits 2 on a bad value; unknown options are ignored, since arms pass a real server's. */
void fake_options_parse(fake_options *options, int argc, char **argv);

#endif
