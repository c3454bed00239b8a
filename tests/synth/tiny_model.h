/* Shared by the tests that run what synth writes: a family's file with small widths, and what its logits must
 * be like. */
#ifndef SSW_TESTS_TINY_MODEL_H
#define SSW_TESTS_TINY_MODEL_H

#include "synth/shape.h"

enum { TINY_VOCAB = 4096, TINY_PROMPT = 64 };

/* Every name that --quant takes; NULL ends them. */
extern const char *const tiny_quants[];

/* quant: as on the command line, NULL: the shape's own. Fails the running test if it cannot be written. */
void write_tiny_model(const ssw_shape *published, const char *quant, double skew, const char *path);
void fill_tiny_prompt(int32_t ids[TINY_PROMPT]);
/* Of TINY_VOCAB tokens: finite, and of deviation 1, as weights of 1/sqrt(n_embd) make them of a normalised
 * hidden state. */
void expect_sane_logits(const float *logits);

#endif
