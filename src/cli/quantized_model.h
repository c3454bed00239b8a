/* Quantisations of a model that are made once and kept in the cache folder. */
#ifndef SSW_CLI_QUANTIZED_MODEL_H
#define SSW_CLI_QUANTIZED_MODEL_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "quantize/type_mix.h"

/* Writes the path of source in mix into out: CACHE/quantized/HASH-TYPE/NAME-TYPE.gguf, HASH of the SHA-256
 * over all of the source's files. The file is made where it is not there or cannot be read; *made says so.
 * A terminal sees the progress. */
ssw_status ssw_cli_quantize_once(const char *source, const ssw_type_mix *mix, const atomic_bool *cancel,
                                 char out[PATH_MAX], bool *made, ssw_error *err);

#endif
