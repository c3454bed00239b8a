/* A pass: the tokens of several sequences that go through the layers together, at most n_batch of them.
 *
 * ssw_pass_fill cuts the callers' items into passes, in their order. Pure bookkeeping. A pass numbers its
 * tokens as rows; the rows whose final hidden state is wanted are its outputs, and of those some need logits.
 */
#ifndef SSW_ENGINE_PASS_H
#define SSW_ENGINE_PASS_H

#include "seesaw/engine.h"

/* Rows of one sequence, next to each other and at consecutive positions. */
typedef struct ssw_pass_part {
    int32_t item;     /* index into the callers' items */
    int32_t sequence; /* slot in the KV cache */
    int32_t position; /* of the first row */
    int32_t first_row, n_rows;
    int32_t first_output, n_outputs; /* the last n_outputs rows are outputs */
} ssw_pass_part;

typedef struct ssw_pass_logits { /* a wanted row of logits */
    int32_t output;
    float *logits;      /* [n_vocab], or NULL and */
    ssw_top_logit *top; /* [SSW_ENGINE_TOP_LOGITS] */
} ssw_pass_logits;

typedef struct ssw_pass {
    int32_t n_rows, n_outputs, n_logits, n_parts;
    int32_t *tokens;         /* [n_batch] by row */
    ssw_pass_logits *logits; /* [n_batch] */
    ssw_pass_part parts[SSW_ENGINE_PARALLEL_MAX];
} ssw_pass;

/* What is left of one item. */
typedef struct ssw_pass_cursor {
    int32_t sequence;
    int32_t position; /* of the next token */
    int32_t n_done;
} ssw_pass_cursor;

/* Fills the next pass and moves the cursors; false when nothing is left. */
bool ssw_pass_fill(ssw_pass *pass, const ssw_eval_item *items, ssw_pass_cursor *cursors, int32_t n_items,
                   int32_t n_batch, int32_t n_vocab);

#endif
