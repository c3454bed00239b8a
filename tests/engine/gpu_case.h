/* Engines whose GPU is tests/stand_in, for tests of memory and of failures. */
#ifndef SSW_TESTS_GPU_CASE_H
#define SSW_TESTS_GPU_CASE_H

#include "seesaw/engine.h"

enum { GPU_CASE_PROMPT = 24, GPU_CASE_DECODED = 3 };

/* Everything on the GPU but the experts, which are in host memory; 2 threads that are not pinned, whose rates
 * are given; the log goes to gpu_case_log. */
ssw_engine_options gpu_case_options(const char *path);
const char *gpu_case_log(void); /* since the last gpu_case_options */

/* What a session yields for a prompt and some tokens one by one: the logits of the last of each step. Fails
 * the test if a step fails. [1 + GPU_CASE_DECODED][n_vocab]; free() them. */
float *gpu_case_eval(ssw_engine *engine);
/* n tokens of a fixed sequence, from the `first` on. */
void gpu_case_tokens(const ssw_engine *engine, int32_t first, int32_t n, int32_t *out);
/* Opens, or fails the test. */
ssw_engine *gpu_case_open(const ssw_engine_options *options);
/* Fails the test unless nothing is alive on the device; then resets it. */
void gpu_case_expect_nothing(void);

#endif
