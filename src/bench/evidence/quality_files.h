/* What a quality folder holds beside manifest, samples, tokens and telemetry: DIR/quality/ of a run folder.
 *
 * quality.json is written before the first request: the margin and the problems, tests included.
 * executions.jsonl has a line for each program that was run, embeddings.jsonl one for each reply that was
 * embedded. docs/EVIDENCE.md has the keys. Read as hostile: sizes and types are checked. */
#ifndef SSW_BENCH_EVIDENCE_QUALITY_FILES_H
#define SSW_BENCH_EVIDENCE_QUALITY_FILES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"

enum {
    SSW_QUALITY_LINES_MAX = 1 << 18,
    SSW_QUALITY_DIMENSIONS_MAX = 1 << 16,
    SSW_QUALITY_SETTINGS_BYTES_MAX = 8 << 20
};

typedef struct ssw_quality_settings { /* quality.json */
    double margin;                    /* of every equivalence test, in the measure's own unit */
    const char *embeddings_url;       /* NULL: the last arm's server was asked */
    const char *problems;             /* the problem file's text */
} ssw_quality_settings;

typedef struct ssw_execution { /* a line of executions.jsonl */
    const char *id;            /* of the sample */
    const char *problem;       /* its name */
    const char *outcome;       /* "passed", "failed", "no-code", "killed", "timeout", "not-run" */
    int64_t exit_code, wall_ns;
    const char *detail; /* the last line that it wrote, or why it was not run; NULL when there is none */
} ssw_execution;

typedef struct ssw_embedding { /* a line of embeddings.jsonl */
    const char *id;            /* of the sample */
    size_t n;                  /* 0: it was not embedded, see error */
    const double *values;
    const char *error; /* NULL when there are values */
} ssw_embedding;

ssw_status ssw_quality_settings_write(const ssw_quality_settings *settings, const char *dir, ssw_error *err);
/* Texts go to the arena. */
ssw_status ssw_quality_settings_read(ssw_arena *arena, const char *dir, ssw_quality_settings *out,
                                     ssw_error *err);

/* Lines as JSON objects; NULL when out of memory. */
json_t *ssw_execution_to_json(const ssw_execution *execution);
json_t *ssw_embedding_to_json(const ssw_embedding *embedding);

ssw_status ssw_execution_from_json(ssw_arena *arena, const json_t *object, ssw_execution *out,
                                   ssw_error *err);
ssw_status ssw_embedding_from_json(ssw_arena *arena, const json_t *object, ssw_embedding *out,
                                   ssw_error *err);

/* DIR/executions.jsonl and DIR/embeddings.jsonl; a file that is not there has no lines. */
ssw_status ssw_executions_read(ssw_arena *arena, const char *dir, size_t *n, ssw_execution **out,
                               ssw_error *err);
ssw_status ssw_embeddings_read(ssw_arena *arena, const char *dir, size_t *n, ssw_embedding **out,
                               ssw_error *err);

#endif
