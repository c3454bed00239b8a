/* The three request bodies that ask for text, read into one plain struct:
 *   /v1/chat/completions, /v1/completions (OpenAI's, with llama-server's additions), /api/generate (ollama's
 * form, and shimmy's use of it). Unknown members are ignored; one of the wrong type is refused by name. Pure:
 * nothing here knows the model. */
#ifndef SSW_SERVE_GENERATION_REQUEST_H
#define SSW_SERVE_GENERATION_REQUEST_H

#include "base/arena.h"
#include "seesaw/engine.h"
#include "serve/http_fault.h"
#include "token/chat.h"

enum {
    SSW_REQUEST_PROMPT_TOKENS_MAX = 1 << 20,
    SSW_REQUEST_CONTENT_PARTS_MAX = 256,
    SSW_REQUEST_ARENA_BYTES_MAX = 64 << 20
};

typedef enum ssw_request_kind {
    SSW_REQUEST_CHAT,
    SSW_REQUEST_COMPLETION,
    SSW_REQUEST_GENERATE
} ssw_request_kind;

typedef struct ssw_stop_text {
    const char *bytes;
    size_t n_bytes; /* 1 .. SSW_ENGINE_STOP_BYTES_MAX */
} ssw_stop_text;

typedef struct ssw_generation_request {
    ssw_request_kind kind;
    /* the prompt: messages, or text, or ids */
    ssw_chat_message *messages; /* [n_messages]; NULL: none */
    size_t n_messages;
    const char *prompt; /* NULL: none */
    size_t n_prompt_bytes;
    int32_t *prompt_ids; /* [n_prompt_ids]; NULL: none */
    size_t n_prompt_ids;
    ssw_chat_effort effort;
    /* how to generate */
    ssw_sampling sampling;
    bool has_seed;      /* else the caller draws one */
    int32_t max_tokens; /* -1: until the context is full */
    bool ignore_eos;
    bool cache_prompt;
    ssw_stop_text stops[SSW_ENGINE_STOPS_MAX];
    size_t n_stops;
    /* how to answer */
    bool stream;
    bool include_usage;
    bool wants_logprobs;
    int32_t n_top_logprobs;

    json_t *root; /* owned; strings above are borrowed from it or from the arena */
    ssw_arena arena;
} ssw_generation_request;

/* On false nothing needs to be released. */
bool ssw_generation_request_parse(ssw_request_kind kind, const char *body, size_t n_bytes,
                                  ssw_generation_request *out, ssw_http_fault *fault);
void ssw_generation_request_deinit(ssw_generation_request *request);

#endif
