/* What the tests of engines on a GPU share. */
#ifndef SSW_TEST_GPU_CASE_H
#define SSW_TEST_GPU_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seesaw/engine.h"

/* The last n_decoded tokens one by one, the others at once, in a session of its own. [n][n_vocab], the
 * caller's to free. */
float *eval_in_two(ssw_engine *engine, const int32_t *tokens, int32_t n, int32_t n_decoded);

/* Whether anything of the model is. */
bool is_on_gpu(const ssw_engine *engine);

/* Divergence of b's distributions from a's, mean over the rows, in nats. a, b: [n_rows][n_vocab] */
double mean_kl(const float *a, const float *b, int32_t n_rows, size_t n_vocab);

#endif
