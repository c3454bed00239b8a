/* Harmony backwards: what a model generated after <|start|>assistant, split into reasoning and content.
 *
 *   <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...<|return|>
 *
 * Models lose the thread; nothing they say is an error here. Text outside a header is content, and a header
 * that does not end is content too. In the plain formats all is content until an end token, what comes behind
 * it nothing. */
#include "token/chat.h"

#include <stdlib.h>
#include <string.h>

#include "token/chat_internal.h"

enum { HEADER_BYTES_MAX = 256 };

typedef enum parser_state {
    BETWEEN, /* before, or after the end of, a message */
    ROLE,    /* behind <|start|> */
    CHANNEL, /* behind <|channel|> */
    BODY,
    ENDED /* the plain formats */
} parser_state;

struct ssw_chat_parser {
    const ssw_chat *chat;
    ssw_detokenizer detokenizer;
    parser_state state;
    bool is_reasoning;
    char header[HEADER_BYTES_MAX]; /* the header's text so far */
    size_t n_header;
};

ssw_status ssw_chat_parser_open(const ssw_chat *chat, ssw_chat_parser **out, ssw_error *err)
{
    ssw_chat_parser *parser = calloc(1, sizeof *parser);
    *out = parser;
    if (!parser)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    parser->chat = chat;
    ssw_detokenizer_init(&parser->detokenizer, chat->tokenizer);
    ssw_detokenizer_begin_text(&parser->detokenizer);
    return SSW_OK;
}

void ssw_chat_parser_close(ssw_chat_parser *parser)
{
    free(parser);
}

static void enter(ssw_chat_parser *parser, parser_state state)
{
    parser->state = state;
    parser->n_header = 0;
}

/* "analysis" is thought; "final", "commentary" (meant for the user) and anything else is said. */
static bool is_analysis(const ssw_chat_parser *parser)
{
    static const char name[] = "analysis";
    size_t at = 0, n = sizeof name - 1;
    while (at < parser->n_header && parser->header[at] == ' ')
        at++;
    return parser->n_header - at >= n && memcmp(parser->header + at, name, n) == 0 &&
           (parser->n_header - at == n || parser->header[at + n] == ' ');
}

static void take_control(ssw_chat_parser *parser, int32_t id)
{
    if (parser->chat->dialect > SSW_CHAT_PLAIN) {
        if (ssw_tokenizer_is_end(parser->chat->tokenizer, id))
            parser->state = ENDED;
    } else if (id == parser->chat->start)
        enter(parser, ROLE);
    else if (id == parser->chat->channel)
        enter(parser, CHANNEL);
    else if (id == parser->chat->message && parser->state != BODY) {
        parser->is_reasoning = parser->state == CHANNEL && is_analysis(parser);
        enter(parser, BODY);
    } else if (id == parser->chat->end || ssw_tokenizer_is_end(parser->chat->tokenizer, id)) {
        enter(parser, BETWEEN);
        parser->is_reasoning = false;
    } /* others, such as <|constrain|>, change nothing */
}

static void take_header(ssw_chat_parser *parser, int32_t id, ssw_strbuf *content)
{
    size_t n_bytes;
    const char *bytes = ssw_tokenizer_piece(parser->chat->tokenizer, id, &n_bytes);
    if (n_bytes <= HEADER_BYTES_MAX - parser->n_header) {
        memcpy(parser->header + parser->n_header, bytes, n_bytes);
        parser->n_header += n_bytes;
        return;
    }
    /* No header is that long: it was content all the time. */
    for (size_t i = 0; i < parser->n_header; i++)
        ssw_detokenizer_push_byte(&parser->detokenizer, parser->header[i], content);
    ssw_detokenizer_push(&parser->detokenizer, id, content);
    parser->is_reasoning = false;
    enter(parser, BODY);
}

void ssw_chat_parser_push(ssw_chat_parser *parser, int32_t id, ssw_strbuf *content, ssw_strbuf *reasoning)
{
    const ssw_tokenizer *tokenizer = parser->chat->tokenizer;
    if (parser->state == ENDED)
        return;
    if (ssw_tokenizer_is_control(tokenizer, id) || ssw_tokenizer_is_end(tokenizer, id)) {
        ssw_detokenizer_flush(&parser->detokenizer, parser->is_reasoning ? reasoning : content);
        ssw_detokenizer_begin_text(&parser->detokenizer);
        take_control(parser, id);
    } else if (parser->state == ROLE || parser->state == CHANNEL) {
        take_header(parser, id, content);
    } else {
        if (parser->state == BETWEEN)
            enter(parser, BODY);
        ssw_detokenizer_push(&parser->detokenizer, id, parser->is_reasoning ? reasoning : content);
    }
}

void ssw_chat_parser_flush(ssw_chat_parser *parser, ssw_strbuf *content, ssw_strbuf *reasoning)
{
    ssw_detokenizer_flush(&parser->detokenizer, parser->is_reasoning ? reasoning : content);
}
