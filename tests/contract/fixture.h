/* A conformance fixture: what transformers computes for a tiny model. tests/fixtures/gpt_oss/README.md has
 * the layout; it and tests/fixtures/README.md say how the files are made. */
#ifndef SSW_TESTS_FIXTURE_H
#define SSW_TESTS_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "logits.h"
#include "seesaw/engine.h"

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

typedef struct fixture_distance {
    float max_dlogit;
    double mean_kl;     /* nats, of the computed distribution from the fixture's */
    int32_t n_same_top; /* rows whose largest logit is the same token's */
} fixture_distance;

/* logits: [n_prompt][n_vocab], compared at the fixture's rows. */
fixture_distance fixture_compare(const fixture *f, const float *logits);

typedef struct fixture_run { /* zeros: the model's own context, the default batch, one sequence, fast
                                operations */
    int32_t ctx_size, n_batch, n_parallel;
    bool is_reference, follows_llama_cpp;
} fixture_run;

/* The engine on the fixture's model; fails the running test if it does not open. */
ssw_engine *fixture_open_engine(const fixture *f, const fixture_run *run);
/* [n_prompt][n_vocab], in a session of its own; the caller frees them. */
float *fixture_eval_prompt(const fixture *f, ssw_engine *engine);

#endif
