/* Memory as a server's own log speaks of it: a claim, to be held against what was measured. */
#ifndef SSW_BENCH_EVIDENCE_SERVER_BUFFER_H
#define SSW_BENCH_EVIDENCE_SERVER_BUFFER_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { SSW_BUFFER_DEVICE_MAX = 32, SSW_BUFFER_USE_MAX = 32, SSW_BUFFERS_MAX = 128 /* of one start */ };

typedef struct ssw_server_buffer {
    char device[SSW_BUFFER_DEVICE_MAX]; /* "CUDA0", "CPU_Mapped"; "" when the line does not say */
    char use[SSW_BUFFER_USE_MAX];       /* "model", "KV", "compute" */
    int64_t bytes;
} ssw_server_buffer;

/* The array `buffers` of a server_ready line; NULL when out of memory. */
json_t *ssw_server_buffers_to_json(const ssw_server_buffer *buffers, size_t n);
/* Absent reads as none. */
ssw_status ssw_server_buffers_from_json(ssw_arena *arena, const json_t *object, ssw_server_buffer **out,
                                        size_t *n, ssw_error *err);

#endif
