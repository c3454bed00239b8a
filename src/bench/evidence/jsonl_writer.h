/* An append-only file of JSON lines. Owned by one thread.
 *
 * The file is open with O_APPEND and each line is one write(), so that a reader never sees half of it while
 * we live; a killed writer leaves at most one torn last line. When the disk is full the torn part is cut off
 * again, and the error says what happened. */
#ifndef SSW_BENCH_EVIDENCE_JSONL_WRITER_H
#define SSW_BENCH_EVIDENCE_JSONL_WRITER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

enum { SSW_JSONL_PATH_MAX = 4096 };

typedef struct ssw_jsonl {
    int fd; /* -1 when closed */
    char path[SSW_JSONL_PATH_MAX];
} ssw_jsonl;

/* Opens DIR/NAME, made if absent. A torn last line left by a killed writer is cut off. */
ssw_status ssw_jsonl_open(ssw_jsonl *file, const char *dir, const char *name, ssw_error *err);
ssw_status ssw_jsonl_close(ssw_jsonl *file, ssw_error *err); /* syncs; a closed one is allowed */

/* For a file that is computed, and may be computed again: lines go to a fresh DIR/NAME.new, which takes
 * NAME's place at the end if status is SSW_OK and is removed if not. Returns status, or what failed. */
ssw_status ssw_jsonl_open_fresh(ssw_jsonl *file, const char *dir, const char *name, ssw_error *err);
ssw_status ssw_jsonl_close_fresh(ssw_jsonl *file, ssw_status status, ssw_error *err);

/* Takes line. sync: also waits until the line is on the disk. */
ssw_status ssw_jsonl_append(ssw_jsonl *file, json_t *line, bool sync, ssw_error *err);

#endif
