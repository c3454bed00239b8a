/* Reads a run folder back: manifest, samples, servers, token counts, telemetry. For reports, verification and
 * --resume.
 *
 * The files are taken as hostile: sizes, line lengths and counts are bounded, every field's type is checked,
 * and an error names file and line. A torn last line (the writer was killed) is left out and said in
 * `torn_lines`. Everything is borrowed from the handle. */
#ifndef SSW_BENCH_EVIDENCE_EVIDENCE_READER_H
#define SSW_BENCH_EVIDENCE_EVIDENCE_READER_H

#include "bench/evidence/decisions.h"
#include "bench/evidence/manifest.h"
#include "bench/evidence/reading.h"
#include "bench/evidence/sample.h"
#include "bench/evidence/self_audit.h"
#include "bench/evidence/server_buffer.h"

enum {
    SSW_EVIDENCE_SAMPLES_MAX = 1 << 20,
    SSW_EVIDENCE_AUDITS_MAX = 10000,
    SSW_EVIDENCE_READINGS_MAX = 1 << 26,
    SSW_EVIDENCE_LINE_BYTES_MAX = 64 << 20,
    SSW_EVIDENCE_PATH_MAX = 4096
};

/* One start of a server: the lines server_start, server_ready and server_stop together. */
typedef struct ssw_server_life {
    const char *arm;
    int block, position;
    int64_t pid, port;
    int64_t page_cache_bytes;   /* of the model's files, in the page cache when it was started */
    int64_t start_ns;           /* the line's own time */
    int64_t spawn_ns, ready_ns; /* load time = ready - spawn; NONE when it never became ready; spawn is NONE
                                   when the server ran already */
    int64_t stop_ns;            /* NONE when no stop was written */
    const char *stop_reason;    /* "done", "crashed", "hung", "interrupted"; NULL without a stop */
    int64_t exit_code, exit_signal, memory_back_ns;
    size_t n_buffers; /* of which the server's own log speaks */
    ssw_server_buffer *buffers;
    const char *served_model; /* as /v1/models names it; NULL when not asked or not said */
} ssw_server_life;

typedef struct ssw_clock_pair {
    int64_t monotonic_ns, wall_ns;
} ssw_clock_pair;

typedef struct ssw_token_count {      /* a line of tokens.jsonl */
    const char *id;                   /* of the sample */
    int64_t tokens, tokens_reasoning; /* by the model's tokenizer; NONE without a local GGUF */
    const char *ids_sha256;
    size_t n_ids;         /* 0 in a folder of an earlier version, which has only their hash */
    const int32_t *ids;   /* reasoning first */
    int64_t usage_tokens; /* the server's completion_tokens */
    bool disagrees;       /* the flag "token-count": see token_count.h for what counts as agreement */
} ssw_token_count;

typedef struct ssw_evidence {
    char dir[SSW_EVIDENCE_PATH_MAX];
    ssw_manifest manifest;
    size_t n_samples; /* in the file's order: warm-ups and failed ones included */
    ssw_sample *samples;
    size_t n_servers;
    ssw_server_life *servers;
    size_t n_clocks;
    ssw_clock_pair *clocks;
    size_t n_readings;
    ssw_reading *readings;
    size_t n_token_counts; /* 0 when tokens.jsonl is not there (yet) */
    ssw_token_count *token_counts;
    size_t n_audits; /* one for each session */
    ssw_self_audit *audits;
    ssw_left_out left_out; /* arm NULL: none was */
    size_t n_looks;
    ssw_look *looks; /* in the file's order; only the last can say stop */
    const char
        *end_reason; /* of the last run_end: "complete", "interrupted", "failed"; NULL when there is none */
    int torn_lines;  /* 0 to 3: files whose last line was incomplete */
    ssw_arena arena;
} ssw_evidence;

/* Opens a run folder. Only manifest.json and samples.jsonl must be there. */
ssw_status ssw_evidence_open(const char *dir, ssw_evidence **out, ssw_error *err);
void ssw_evidence_close(ssw_evidence *evidence); /* NULL is allowed */

/* The count for a sample's id, or NULL. */
const ssw_token_count *ssw_evidence_find_tokens(const ssw_evidence *evidence, const char *sample_id);

/* A measured request that went well: not a warm-up, no error. There is at most one for each arm, prompt and
 * run. */
bool ssw_evidence_is_measured(const ssw_sample *sample);

/* How many of the plan's runs count: fewer than planned when a look at the interval's width ended the run. */
int ssw_evidence_count_runs(const ssw_evidence *evidence);

#endif
