/* A model in another mix of types, for tests that run it. */
#ifndef SSW_TESTS_WRITE_QUANTIZED_H
#define SSW_TESTS_WRITE_QUANTIZED_H

#include "quantize/type_mix.h"

/* model_path in `mix`, at path, by src/quantize on two threads. Fails the running test if it cannot be
 * written. */
void write_quantized(const char *model_path, const ssw_type_mix *mix, const char *path);

#endif
