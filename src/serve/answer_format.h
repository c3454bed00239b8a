/* What answers look like on the wire: OpenAI's chat and text completions (whole and as SSE chunks, with
 * llama-server's `timings`), and ollama's /api/generate. Pure: values in, JSON out. Every function that
 * returns a json_t gives a new reference, NULL when memory runs out. */
#ifndef SSW_SERVE_ANSWER_FORMAT_H
#define SSW_SERVE_ANSWER_FORMAT_H

#include <jansson.h>

#include "seesaw/engine.h"
#include "serve/generation_request.h"

enum { SSW_ANSWER_ID_BYTES = 48 };

typedef struct ssw_answer {
    ssw_request_kind kind;
    char id[SSW_ANSWER_ID_BYTES];
    const char *model;
    int64_t created_unix_s;
    int32_t n_prompt; /* tokens of the whole prompt, cached ones too */
    bool wants_logprobs;
    /* known at the end */
    const char *finish_reason; /* "stop" or "length" */
    ssw_job_timings timings;
    int64_t total_ns; /* from the request to the end */
} ssw_answer;

/* llama-server's timings object. Rates are 0 where no time passed. */
json_t *ssw_answer_timings(const ssw_job_timings *timings);
json_t *ssw_answer_usage(const ssw_answer *answer);

/* A piece of text on its way. logprobs is stolen, may be NULL. */
json_t *ssw_answer_piece(const ssw_answer *answer, const char *content, size_t n_content,
                         const char *reasoning, size_t n_reasoning, json_t *logprobs);
json_t *ssw_answer_role_piece(const ssw_answer *answer); /* chat: the first delta */
json_t *ssw_answer_last_piece(const ssw_answer *answer, json_t *logprobs);
json_t *ssw_answer_usage_piece(const ssw_answer *answer);

/* The answer as one object. */
json_t *ssw_answer_whole(const ssw_answer *answer, const char *content, size_t n_content,
                         const char *reasoning, size_t n_reasoning, json_t *logprobs);

#endif
