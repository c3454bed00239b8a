/* Chat formats: messages to prompt tokens, generated tokens back to content and reasoning.
 *
 * Harmony (gpt-oss), source: the OpenAI harmony response format guide. Two dialects, told apart by the GGUF's
 * own tokenizer.chat_template: the published gpt-oss one, which opens with a system message ("You are ChatGPT
 * ...", the knowledge cutoff, the date, the reasoning effort and the valid channels), and the plain one of
 * our demo model without that preamble.
 *
 * The plain formats, each as its published template has it: "phi3" (Phi-3.5), "deepseek" (User: ...
 * Assistant:, of DeepSeek LLM, MoE and V2), "deepseek-v3", "mistral" (Mixtral's [INST] without a system
 * message), "mistral-v1" (with one) and "chatml" (Qwen2.5 with its default system message, Qwen3, plain). A
 * template that is none of the recognised ones is refused with an error that names them; whoever knows better
 * opens a format by its name. Templates are not run: docs/SERVER.md says why. */
#ifndef SSW_TOKEN_CHAT_H
#define SSW_TOKEN_CHAT_H

#include "token/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ssw_chat_role {
    SSW_CHAT_SYSTEM,
    SSW_CHAT_DEVELOPER,
    SSW_CHAT_USER,
    SSW_CHAT_ASSISTANT,
    SSW_CHAT_TOOL
} ssw_chat_role;

enum { SSW_CHAT_MESSAGES_MAX = 1024 };

typedef struct ssw_chat_message {
    ssw_chat_role role;
    const char *content; /* borrowed, UTF-8 */
    size_t n_bytes;
} ssw_chat_message;

typedef enum ssw_chat_effort {
    SSW_CHAT_EFFORT_DEFAULT,
    SSW_CHAT_EFFORT_LOW,
    SSW_CHAT_EFFORT_MEDIUM,
    SSW_CHAT_EFFORT_HIGH
} ssw_chat_effort;

typedef struct ssw_chat_options {
    ssw_chat_effort effort;
    int64_t date_unix_s; /* for the preamble's current date; the caller reads the clock */
} ssw_chat_options;

typedef struct ssw_chat ssw_chat; /* the format of one model; immutable */

/* The tokenizer must outlive the chat; the GGUF may be closed. */
ssw_status ssw_chat_open(const ssw_gguf *gguf, const ssw_tokenizer *tokenizer, ssw_chat **out,
                         ssw_error *err);
/* One of SSW_CHAT_FORMATS, whatever the file's template says: harmony in its published dialect, chatml
 * without a default system message. SSW_ERR_USAGE for another name, SSW_ERR_UNSUPPORTED where the vocabulary
 * lacks the format's control tokens. */
#define SSW_CHAT_FORMATS "harmony, phi3, deepseek, deepseek-v3, mistral, mistral-v1, chatml"
ssw_status ssw_chat_open_named(const char *name, const ssw_tokenizer *tokenizer, ssw_chat **out,
                               ssw_error *err);
void ssw_chat_close(ssw_chat *chat);
const char *ssw_chat_format_name(const ssw_chat *chat); /* "harmony", "phi3", ... */

/* Appends the prompt's ids, ending where the assistant begins to speak. User text can never forge a control
 * token. SSW_ERR_UNSUPPORTED for what the format cannot say: tool messages, in the published dialect a
 * system or developer message that is not the first, in Mistral's roles that do not take turns. On an error
 * out is as before. */
ssw_status ssw_chat_render(const ssw_chat *chat, const ssw_chat_message *messages, size_t n_messages,
                           const ssw_chat_options *options, ssw_tokens *out, ssw_error *err);

/* Splits a generated token stream into its channels. Harmony: analysis -> reasoning, final and all others ->
 * content, headers and control tokens -> nothing; text without a header is content. Plain
 * formats: all is content until an end token. Text comes out in whole
 * UTF-8 characters. */
typedef struct ssw_chat_parser ssw_chat_parser;

ssw_status ssw_chat_parser_open(const ssw_chat *chat, ssw_chat_parser **out, ssw_error *err);
void ssw_chat_parser_close(ssw_chat_parser *parser);
void ssw_chat_parser_push(ssw_chat_parser *parser, int32_t id, ssw_strbuf *content, ssw_strbuf *reasoning);
void ssw_chat_parser_flush(ssw_chat_parser *parser, ssw_strbuf *content, ssw_strbuf *reasoning);

#ifdef __cplusplus
}
#endif
#endif
