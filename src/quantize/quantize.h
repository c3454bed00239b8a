/* Writes a model again in another mix of types: rows stream from the map through src/quant into the new file.
 *
 * All keys are kept but general.file_type (set) and split.* (the result is one file). Tensors that already
 * have the wanted type are copied bit for bit. The file grows as OUT.tmp and is removed when anything fails;
 * free space is checked first. The result does not depend on the number of threads. */
#ifndef SSW_QUANTIZE_QUANTIZE_H
#define SSW_QUANTIZE_QUANTIZE_H

#include <stdatomic.h>

#include "quantize/type_mix.h"

enum { SSW_QUANTIZE_THREADS_MAX = 256, SSW_QUANTIZE_ROW_MAX = 1 << 24, SSW_QUANTIZE_TYPES_MAX = 64 };

/* Called on the caller's thread after every slab of rows. */
typedef void ssw_quantize_progress(void *context, uint64_t read_bytes, uint64_t total_bytes);

typedef struct ssw_quantize_run {
    int n_threads; /* 0: one per physical core this process may use */
    ssw_quantize_progress *progress;
    void *context;
    const atomic_bool *cancel; /* NULL, or set to true from anywhere to stop: SSW_ERR_CANCELLED */
} ssw_quantize_run;

typedef struct ssw_quantize_result {
    uint64_t n_tensors, n_converted, n_fell_back;
    uint64_t n_requantized; /* converted ones that were quantised before: their first loss stays */
    uint64_t from_bytes, to_bytes;
    uint64_t type_bytes[SSW_QUANTIZE_TYPES_MAX]; /* of the result, by ssw_dtype */
    int n_threads;
    int64_t elapsed_ns;
} ssw_quantize_result;

ssw_status ssw_quantize_file(const ssw_gguf *from, const char *path, const ssw_type_mix *mix,
                             const ssw_quantize_run *run, ssw_quantize_result *result, ssw_error *err);

#endif
