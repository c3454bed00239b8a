/* Writes a model of a published shape with random weights: threads make the blocks, the caller's thread
 * writes them.
 *
 * The same options give the same file, byte for byte, with any number of threads. The file grows as PATH.tmp
 * and is removed when anything fails; free space is checked first. */
#ifndef SSW_SYNTH_SYNTH_H
#define SSW_SYNTH_SYNTH_H

#include <stdatomic.h>

#include "synth/tensor_plan.h"

enum { SSW_SYNTH_THREADS_MAX = 256, SSW_SYNTH_CHUNK_BYTES = 4 << 20 };

/* Called on the caller's thread after every chunk. */
typedef void ssw_synth_progress(void *context, uint64_t written_bytes, uint64_t total_bytes);

typedef struct ssw_synth_run {
    int n_threads; /* that make blocks; 0: one per core this process may use */
    ssw_synth_progress *progress;
    void *context;
    const atomic_bool *cancel; /* NULL, or set to true from anywhere to stop: SSW_ERR_CANCELLED */
} ssw_synth_run;

typedef struct ssw_synth_result {
    uint64_t n_tensors, n_parameters, n_active, n_embedding;
    uint64_t tensor_bytes;
    int n_threads;
    int64_t write_ns; /* of the tensors' data, until the last byte was handed to the system */
} ssw_synth_result;

/* options must be resolved. SSW_ERR_IO for a full disk. */
ssw_status ssw_synth_write(const ssw_synth_options *options, const char *path, const ssw_synth_run *run,
                           ssw_synth_result *result, ssw_error *err);

#endif
