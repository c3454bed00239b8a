/* A conformance fixture: what transformers computes for a tiny model. tests/fixtures/gpt_oss/README.md has
 * the layout and says how the files are made. */
#ifndef SSW_TESTS_FIXTURE_H
#define SSW_TESTS_FIXTURE_H

#include <stdint.h>

typedef struct fixture {
    char model_path[512];
    int32_t n_prompt, n_rows, n_vocab, n_embd;
    int32_t *prompt; /* [n_prompt] */
    int32_t *rows;   /* [n_rows] positions */
    float *logits;   /* [n_rows][n_vocab] */
    float *hidden;   /* [n_rows][n_embd] */
} fixture;

/* From the folder named by the environment variable SSW_TEST_FIXTURES. Fails the running test if unreadable.
 */
void fixture_open(fixture *f, const char *name);
void fixture_close(fixture *f);

float max_difference(const float *a, const float *b, int64_t n); /* infinite if any is NaN */

#endif
