/* A stand-in for the engine below the scheduler: sessions that only remember their tokens, and an eval whose
 * next token is a fixed function of the whole history, so that one wrongly cached or lost token changes all
 * that follows. It implements the engine's and sessions' part of seesaw/engine.h and checks how it is called;
 * scheduler.c, job.c and sampler.c above it are the real ones. */
#ifndef SSW_TESTS_FAKE_ENGINE_H
#define SSW_TESTS_FAKE_ENGINE_H

#include "engine/scheduler.h"

enum { FAKE_CALLS_MAX = 4096, FAKE_END_TOKEN = 0 };

typedef struct fake_engine_settings {
    int32_t n_vocab, n_embd, ctx_size, n_parallel, n_batch;
    int32_t end_after;  /* the end token follows a history of a multiple of this length; 0: never */
    int32_t window;     /* truncating by more than this is refused; 0: no limit */
    int64_t step_ns;    /* an eval takes this long, */
    int64_t token_ns;   /* and this for each token */
    int32_t fail_after; /* evals that succeed before all fail; 0: none fails */
    bool no_finite_logits;
    bool finds_top; /* as a GPU does */
    /* Scripted: n tokens after the last reply_marker of a history, the next is reply[n - reply_skip], at last
     * the end. */
    const int32_t *reply; /* [n_reply], borrowed; NULL: none */
    int32_t n_reply, reply_marker, reply_skip, end_token;
    const struct ssw_tokenizer *tokenizer; /* borrowed, may be NULL */
    const struct ssw_chat *chat;
} fake_engine_settings;

typedef struct fake_call { /* what one eval was asked for */
    int32_t n_items;
    int32_t n_tokens_total;
    int32_t n_tokens_largest;
    int32_t n_logits, n_top; /* items that want all logits, or the largest */
} fake_call;

/* ssw_engine_close frees it. */
ssw_engine *fake_engine_make(const fake_engine_settings *settings);

/* While closed, evals wait at the gate; count: evals that have arrived there. */
void fake_engine_close_gate(ssw_engine *engine);
void fake_engine_open_gate(ssw_engine *engine);
void fake_engine_wait_arrivals(ssw_engine *engine, int32_t count);

int32_t fake_engine_calls(ssw_engine *engine, fake_call calls[FAKE_CALLS_MAX]);

/* The token with the largest logit after this history. */
int32_t fake_engine_next_token(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens);
/* [n_vocab] */
void fake_engine_logits(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens,
                        float *logits);
/* The hidden state of the last token: [n_embd]. */
void fake_engine_hidden(const fake_engine_settings *settings, const int32_t *tokens, int32_t n_tokens,
                        float *hidden);

#endif
