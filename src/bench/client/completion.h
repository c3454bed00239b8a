/* What the frames of a streamed completion say. Pure.
 *
 * Source: OpenAI's API reference, "Chat completion chunk object" and, for /v1/completions, "Completion
 * object"; `reasoning_content` as llama-server and DeepSeek send it, `reasoning` as vLLM and ollama do;
 * `timings` as llama-server's README describes; ollama's own form as its API reference does (/api/generate,
 * /api/chat). */
#ifndef SSW_BENCH_CLIENT_COMPLETION_H
#define SSW_BENCH_CLIENT_COMPLETION_H

#include <jansson.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "bench/evidence/sample.h"

enum {
    SSW_COMPLETION_TEXT_BYTES_MAX = 64 << 20,
    SSW_COMPLETION_ERROR_BYTES_MAX = 300,
    SSW_COMPLETION_LOGPROBS_MAX = 1 << 16
};

/* The reply so far. Texts inside belong to the arena or to the buffers. */
typedef struct ssw_completion {
    ssw_arena *arena; /* borrowed */
    ssw_strbuf content, reasoning;
    const char *finish_reason;
    bool done; /* [DONE] came */
    bool has_usage, has_timings;
    ssw_usage usage;
    ssw_timings timings;
    json_t *logprobs;  /* choices[0].logprobs.content of all frames, one array; NULL until some come. Owned */
    const char *error; /* one line: the server reported an error inside the stream */
} ssw_completion;

void ssw_completion_init(ssw_completion *completion, ssw_arena *arena);
void ssw_completion_deinit(ssw_completion *completion);

/* Adds one frame's data; kind and text of *frame are set. A frame that is not JSON is SSW_FRAME_OTHER. */
ssw_status ssw_completion_push(ssw_completion *completion, const char *data, size_t n_data, ssw_frame *frame,
                               ssw_error *err);

/* The same for one line of ollama's stream: the object that says done is SSW_FRAME_DONE, unless it has text.
 */
ssw_status ssw_completion_push_ollama(ssw_completion *completion, const char *data, size_t n_data,
                                      ssw_frame *frame, ssw_error *err);

/* One line from an error body: the `message` of OpenAI's error object, or the body's beginning with blanks
 * for line ends. The text is the arena's; NULL when out of memory. */
const char *ssw_completion_quote_error(ssw_arena *arena, const char *body, size_t n_bytes);

#endif
