/* One request as it was measured: what was sent, when each frame came, what the reply said.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC; SSW_EVIDENCE_NONE stands for "not known" and is `null` in the
 * files. Pointers are borrowed from whoever fills the struct (the client's exchange or the reader's arena).
 */
#ifndef SSW_BENCH_EVIDENCE_SAMPLE_H
#define SSW_BENCH_EVIDENCE_SAMPLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

#define SSW_EVIDENCE_NONE INT64_MIN

enum {
    SSW_SAMPLE_FRAMES_MAX = 1 << 20, /* of one reply */
    SSW_SAMPLE_FLAGS_MAX = 16
};

typedef enum ssw_frame_kind { /* by what a frame's first choice carries; a frame with several counts as the
                                 first that fits */
                              SSW_FRAME_CONTENT,   /* non-empty delta.content */
                              SSW_FRAME_REASONING, /* non-empty delta.reasoning_content or delta.reasoning */
                              SSW_FRAME_TOOL,      /* delta.tool_calls */
                              SSW_FRAME_FINISH,    /* a finish_reason and no text */
                              SSW_FRAME_ROLE,      /* only a role */
                              SSW_FRAME_EMPTY,     /* a choice without any of these */
                              SSW_FRAME_USAGE,     /* no choice, but usage */
                              SSW_FRAME_DONE,      /* [DONE] */
                              SSW_FRAME_OTHER,     /* JSON with neither, or not JSON */
                              SSW_FRAME_KIND_COUNT
} ssw_frame_kind;

const char *ssw_frame_kind_name(ssw_frame_kind kind); /* "content", ... */

typedef struct ssw_frame {
    int64_t
        t_ns; /* when the bytes that complete the frame were handed over by the socket, before any parsing */
    uint32_t n_bytes; /* of the frame on the wire, its blank line included */
    ssw_frame_kind kind;
    const char *text; /* the delta that `kind` names; NULL when there is none */
} ssw_frame;

typedef struct ssw_usage { /* as the server gave it */
    int64_t prompt_tokens, completion_tokens, cached_tokens;
} ssw_usage;

typedef struct ssw_timings { /* llama-server's own; fractions of a millisecond matter there */
    int64_t prompt_n, predicted_n, cache_n;
    double prompt_ms, predicted_ms; /* negative when not given */
} ssw_timings;

typedef struct ssw_sample {
    const char
        *id; /* "b0.p1.baseline.q2.r1"; warm-up: "b0.p1.baseline.warmup.r1"; a repeated attempt adds ".a2" */
    const char *arm;
    int block, position, run, attempt; /* run and attempt from 1 */
    const char *prompt;                /* a prompt id of the plan, or "warmup" */
    bool warmup;                       /* phase */
    const char *request;               /* the JSON body */
    int64_t http_status;               /* NONE when no answer came */
    const char *error;                 /* NULL, or one line */
    int64_t start_ns;                  /* request begun */
    int64_t send_ns; /* just before the send() of its last byte: what the figures count from */
    int64_t sent_ns; /* just after it */
    int64_t end_ns;
    size_t n_frames;
    const ssw_frame *frames;
    const char *finish_reason; /* may be NULL */
    bool has_usage, has_timings;
    ssw_usage usage;
    ssw_timings timings;
    const char *text, *reasoning; /* "" when there is none */
    const char *logprobs; /* the server's choices[0].logprobs.content as JSON; NULL when it gave none */
    size_t n_flags;
    const char *flags[SSW_SAMPLE_FLAGS_MAX];
} ssw_sample;

/* Adds a flag once; false when the list is full. flag must outlive the sample. */
bool ssw_sample_add_flag(ssw_sample *sample, const char *flag);
bool ssw_sample_has_flag(const ssw_sample *sample, const char *flag);

/* The first and last frame with content, reasoning or tool text; NULL when there is none. */
const ssw_frame *ssw_sample_first_text(const ssw_sample *sample);
const ssw_frame *ssw_sample_last_text(const ssw_sample *sample);

/* The object of samples.jsonl without `kind` and `t_ns`; NULL when out of memory. Text that is not UTF-8 has
 * its bad bytes replaced by U+FFFD. */
json_t *ssw_sample_to_json(const ssw_sample *sample);
ssw_status ssw_sample_from_json(ssw_arena *arena, const json_t *object, ssw_sample *out, ssw_error *err);

#endif
