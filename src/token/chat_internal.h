/* What chat.c (harmony), chat_plain.c (the other formats) and chat_parser.c share; nobody else includes it.
 */
#ifndef SSW_TOKEN_CHAT_INTERNAL_H
#define SSW_TOKEN_CHAT_INTERNAL_H

#include "token/chat.h"

typedef enum ssw_chat_dialect {
    SSW_CHAT_PUBLISHED, /* gpt-oss: a system preamble first, instructions as the developer's */
    SSW_CHAT_PLAIN,     /* roles and contents, nothing more */
    SSW_CHAT_PHI3,      /* from here on not harmony */
    SSW_CHAT_DEEPSEEK,
    SSW_CHAT_DEEPSEEK_V3,
    SSW_CHAT_MISTRAL,
    SSW_CHAT_MISTRAL_V1,
    SSW_CHAT_CHATML,
    SSW_CHAT_QWEN3
} ssw_chat_dialect;

enum { SSW_CHAT_DEFAULT_SYSTEM_BYTES_MAX = 256 };

struct ssw_chat {
    const ssw_tokenizer *tokenizer; /* borrowed */
    ssw_chat_dialect dialect;
    int32_t start, end, message, channel; /* harmony's control tokens; SSW_TOKEN_NONE in the other formats */
    int32_t marks[4]; /* the others': start of user, assistant, system; end of a message */
    char default_system[SSW_CHAT_DEFAULT_SYSTEM_BYTES_MAX]; /* ChatML: where a conversation has none; "" */
};

/* Formats that are not harmony, for chat.c. recognize fills the dialect, the marks and the default system
 * message; SSW_ERR_UNSUPPORTED for a template that is none of them. */
ssw_status ssw_chat_plain_recognize(ssw_chat *chat, const ssw_gguf_text *text, ssw_error *err);
ssw_status ssw_chat_plain_render(const ssw_chat *chat, const ssw_chat_message *messages, size_t n_messages,
                                 ssw_tokens *out, ssw_error *err);
/* The same by name; SSW_ERR_USAGE for a name that is none. */
ssw_status ssw_chat_plain_select(ssw_chat *chat, const char *name, ssw_error *err);
const char *ssw_chat_plain_name(ssw_chat_dialect dialect);

#endif
