/* Writes samples.jsonl while a run goes on. Owned by the runner's thread.
 *
 * Every line is synced to disk before the next request is sent. A reserve file of 1 MiB lies in the folder
 * while the run goes on: when the disk is full it is given up, so that the sample in hand and the run's end
 * can still be written; the writer then reports the error, and the run stops. */
#ifndef SSW_BENCH_EVIDENCE_EVIDENCE_WRITER_H
#define SSW_BENCH_EVIDENCE_EVIDENCE_WRITER_H

#include <sys/types.h>

#include "bench/evidence/decisions.h"
#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/manifest.h"
#include "bench/evidence/sample.h"
#include "bench/evidence/self_audit.h"
#include "bench/evidence/server_buffer.h"

typedef struct ssw_evidence_writer {
    ssw_jsonl samples;
    char reserve_path[SSW_JSONL_PATH_MAX]; /* "" when it has been given up */
} ssw_evidence_writer;

typedef struct ssw_writer_server { /* which start of which server a line is about */
    const char *arm;
    int block, position;
    pid_t pid; /* 0: not known */
} ssw_writer_server;

typedef struct ssw_writer_ready {
    int64_t spawn_ns, ready_ns; /* spawn: SSW_EVIDENCE_NONE for a server that ran already */
    const char *served_model;   /* may be NULL */
    const ssw_server_buffer *buffers;
    size_t n_buffers;
} ssw_writer_ready;

typedef struct ssw_writer_stop {
    const char *reason;             /* "done", "crashed", "hung", "interrupted" */
    int64_t exit_code, exit_signal; /* SSW_EVIDENCE_NONE when it did not end that way */
    int64_t memory_back_ns; /* from the end until its memory was back; NONE: not within the time allowed */
} ssw_writer_stop;

ssw_status ssw_evidence_writer_open(ssw_evidence_writer *writer, const char *dir, ssw_error *err);
ssw_status ssw_evidence_writer_close(ssw_evidence_writer *writer, ssw_error *err);

ssw_status ssw_evidence_write_clock(ssw_evidence_writer *writer, ssw_error *err);
ssw_status ssw_evidence_write_start(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                    const ssw_manifest_arm *arm, int64_t page_cache_bytes, ssw_error *err);
ssw_status ssw_evidence_write_ready(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                    const ssw_writer_ready *ready, ssw_error *err);
ssw_status ssw_evidence_write_stop(ssw_evidence_writer *writer, const ssw_writer_server *server,
                                   const ssw_writer_stop *stop, ssw_error *err);
ssw_status ssw_evidence_write_audit(ssw_evidence_writer *writer, const ssw_self_audit *audit, ssw_error *err);
ssw_status ssw_evidence_write_sample(ssw_evidence_writer *writer, const ssw_sample *sample, ssw_error *err);
/* The A/A arm takes no part from a block on: it would have cost more time than it may. */
ssw_status ssw_evidence_write_left_out(ssw_evidence_writer *writer, const ssw_left_out *left_out,
                                       ssw_error *err);
/* A look at the interval's width, after a block, and what followed from it. */
ssw_status ssw_evidence_write_look(ssw_evidence_writer *writer, const ssw_look *look, ssw_error *err);
ssw_status ssw_evidence_write_end(ssw_evidence_writer *writer, const char *reason, int n_samples,
                                  ssw_error *err);

#endif
