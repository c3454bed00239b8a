/* Walks a schedule: starts each server, warms it up, sends its prompts, stops it, and writes everything down
 * before anything is computed. One run at a time, on the caller's thread; telemetry has a thread of its own.
 *
 * What ends a run early: cancel_fd (Ctrl-C), a server that crashes, hangs or answers with an error, a server
 * that serves another model, evidence that cannot be written. Each time the server is killed and the run's
 * end is written; what was measured stays, and --resume goes on from there. */
#ifndef SSW_BENCH_RUN_RUNNER_H
#define SSW_BENCH_RUN_RUNNER_H

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/manifest.h"
#include "bench/plan/schedule.h"
#include "bench/telemetry/nvml.h"
#include "bench/telemetry/rapl.h"

typedef enum ssw_run_event_kind {
    SSW_RUN_SERVER_START,  /* arm, block, position */
    SSW_RUN_SERVER_READY,  /* value_ns: load time, SSW_EVIDENCE_NONE of one that ran already */
    SSW_RUN_REQUEST_BEGIN, /* sample: its id, prompt and phase */
    SSW_RUN_FRAME,         /* one more frame; value_ns: its time */
    SSW_RUN_REQUEST_END,   /* sample */
    SSW_RUN_SERVER_STOP,   /* text: reason */
    SSW_RUN_MEMORY_BACK,   /* value_ns, or SSW_EVIDENCE_NONE */
    SSW_RUN_PAUSE,         /* value_ns: how long */
    SSW_RUN_NOTE           /* text: one line for the user */
} ssw_run_event_kind;

typedef struct ssw_run_event {
    ssw_run_event_kind kind;
    int arm, block, position;
    int n_done, n_total; /* measured requests, earlier sessions of a resumed run included */
    const ssw_sample *sample;
    const ssw_frame *frame;
    int64_t value_ns;
    const char *text;
} ssw_run_event;

/* Measures the interval's width after a block, from what lies in the run's folder, and says whether the run
 * may end. Texts must live until the next call. */
typedef ssw_status ssw_run_looker(void *context, int block, ssw_look *out, ssw_error *err);

typedef void ssw_run_observer(void *context, const ssw_run_event *event); /* must be quick */

/* Called after the last request of the schedule while its server still runs at base_url. */
typedef ssw_status ssw_run_last_words(void *context, const char *base_url, ssw_error *err);

typedef struct ssw_run_options {
    const char *dir;
    const ssw_manifest *manifest;
    const ssw_schedule *schedule;
    const ssw_evidence *before;     /* what a resumed run has already measured; NULL for a new one */
    const char *const *environment; /* the bench's own, NULL-terminated */
    const ssw_nvml *nvml;           /* may be NULL */
    ssw_rapl *rapl;                 /* the same; only this run reads it */
    int cancel_fd;                  /* readable: stop; it is never read. -1 for none */
    ssw_run_observer *observer;
    ssw_run_last_words *last_words; /* may be NULL */
    void *context;
    ssw_run_looker *looker; /* needed where the plan has a precision */
    void *looker_context;
} ssw_run_options;

typedef enum ssw_run_outcome {
    SSW_RUN_COMPLETE,
    SSW_RUN_INTERRUPTED,
    SSW_RUN_SERVER_FAILED,
    SSW_RUN_INVALID,        /* the server serves another model */
    SSW_RUN_EVIDENCE_FAILED /* the disk is full, ... */
} ssw_run_outcome;

typedef struct ssw_run_result {
    ssw_run_outcome outcome;
    int n_done, n_total; /* measured requests */
    int n_flagged;       /* of these, with a validity flag, this session only */
} ssw_run_result;

/* SSW_OK only for a complete run; else err says why in one line. */
ssw_status ssw_run_schedule(const ssw_run_options *options, ssw_run_result *result, ssw_error *err);

#endif
