/* Any tokens as a generated stream: nothing is lost but headers, what comes out is UTF-8, and no control
 * token's text is in it. The same bytes as conversations: rendering makes as many control tokens as the
 * format has, none of the users'. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../token/token_files.h"
#include "token/chat.h"
#include "token/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { MESSAGES_MAX = 8 };

typedef struct fixture {
    ssw_tokenizer *tokenizer;
    ssw_chat *chats[2];
} fixture;

static void open_fixture(fixture *f)
{
    static const char *const templates[] = {plain_template, published_template};
    for (int i = 0; i < 2; i++) {
        ssw_gguf *gguf;
        if (ssw_gguf_open(write_vocab_file(&(vocab_options){.chat_template = templates[i]}), &gguf, NULL) !=
                SSW_OK ||
            (!f->tokenizer && ssw_tokenizer_open(gguf, &f->tokenizer, NULL) != SSW_OK) ||
            ssw_chat_open(gguf, f->tokenizer, &f->chats[i], NULL) != SSW_OK)
            abort();
        ssw_gguf_close(gguf);
        remove_vocab_file();
    }
}

static void check_text(const ssw_strbuf *text)
{
    if (text->failed || ssw_utf8_valid_bytes(ssw_strbuf_text(text), text->n_bytes) != text->n_bytes)
        abort();
}

/* Two input bytes make a token; an odd one at the end is left out. */
static void parse(const fixture *f, const uint8_t *bytes, size_t n_bytes)
{
    ssw_chat_parser *parser;
    ssw_strbuf content, reasoning;
    int32_t n_vocab = ssw_tokenizer_vocab_size(f->tokenizer);
    ssw_strbuf_init(&content, 16 * n_bytes + 1024);
    ssw_strbuf_init(&reasoning, 16 * n_bytes + 1024);
    if (ssw_chat_parser_open(f->chats[0], &parser, NULL) != SSW_OK)
        abort();
    for (size_t i = 0; i + 1 < n_bytes; i += 2) {
        int32_t id =
            (bytes[i] | bytes[i + 1] << 8) % (n_vocab + 2) - 1; /* one too low and one too high among them */
        ssw_chat_parser_push(parser, id, &content, &reasoning);
        check_text(&content);
        check_text(&reasoning);
    }
    ssw_chat_parser_flush(parser, &content, &reasoning);
    check_text(&content);
    check_text(&reasoning);
    ssw_chat_parser_close(parser);
    ssw_strbuf_deinit(&content);
    ssw_strbuf_deinit(&reasoning);
}

/* Messages are cut at NUL bytes; a message's first byte gives its role. */
static void render(const fixture *f, const ssw_chat *chat, const uint8_t *bytes, size_t n_bytes,
                   size_t preamble)
{
    ssw_chat_message messages[MESSAGES_MAX];
    size_t n = 0, n_wanted = 1 + preamble, n_controls = 0;
    const ssw_chat_options options = {SSW_CHAT_EFFORT_DEFAULT, 1761955200};
    ssw_tokens tokens = {0};
    for (size_t at = 0; at < n_bytes && n < MESSAGES_MAX; n++) {
        const uint8_t *end = memchr(bytes + at, 0, n_bytes - at);
        size_t n_message = end ? (size_t)(end - bytes) - at : n_bytes - at;
        ssw_chat_role role = n_message ? (ssw_chat_role)(bytes[at] % 4) : SSW_CHAT_USER;
        messages[n] = (ssw_chat_message){role, (const char *)bytes + at, n_message};
        n_wanted += role == SSW_CHAT_ASSISTANT ? 4 : 3;
        at += n_message + 1;
    }
    if (ssw_chat_render(chat, messages, n, &options, &tokens, NULL) == SSW_OK) {
        for (size_t i = 0; i < tokens.n; i++)
            n_controls += ssw_tokenizer_is_control(f->tokenizer, tokens.ids[i]);
        if (n_controls != n_wanted)
            abort();
    } else if (tokens.n != 0) {
        abort();
    }
    ssw_tokens_deinit(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static fixture f; /* the fuzzer's own, for its whole life */
    if (!f.tokenizer)
        open_fixture(&f);
    parse(&f, bytes, n_bytes);
    render(&f, f.chats[0], bytes, n_bytes, 0);
    render(&f, f.chats[1], bytes, n_bytes, 3);
    return 0;
}
