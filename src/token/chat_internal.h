/* What chat.c (rendering) and chat_parser.c share; nobody else includes it. */
#ifndef SSW_TOKEN_CHAT_INTERNAL_H
#define SSW_TOKEN_CHAT_INTERNAL_H

#include "token/chat.h"

typedef enum ssw_chat_dialect {
    SSW_CHAT_PUBLISHED, /* gpt-oss: a system preamble first, instructions as the developer's */
    SSW_CHAT_PLAIN      /* roles and contents, nothing more */
} ssw_chat_dialect;

struct ssw_chat {
    const ssw_tokenizer *tokenizer; /* borrowed */
    ssw_chat_dialect dialect;
    int32_t start, end, message, channel; /* control tokens that the format cannot do without */
};

#endif
