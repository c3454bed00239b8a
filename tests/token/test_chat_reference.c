/* Rendered prompts against the models' own Jinja templates, as run by npm's @huggingface/jinja
 * (render_chats.mjs): the same text, and the same ids as that text gives when tokenized whole. Arguments:
 * MODEL.gguf CONVERSATIONS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token/chat.h"

enum { MESSAGES_MAX = 8, DATE_UNIX_S = 1761998400 /* 2025-11-01 12:00 UTC */ };
#define REFUSED UINT32_MAX /* in place of a length: the template raised an exception */

typedef struct reader {
    const char *at, *end;
} reader;

static uint32_t take_u32(reader *r)
{
    uint32_t value = 0;
    if (r->end - r->at >= 4)
        memcpy(&value, r->at, 4);
    r->at += 4;
    return value;
}

static const char *take_text(reader *r, size_t *n_bytes)
{
    *n_bytes = take_u32(r);
    const char *text = r->at;
    r->at += *n_bytes;
    return text;
}

static bool same_text(const ssw_tokenizer *tokenizer, const ssw_tokens *tokens, const char *expected,
                      size_t n_bytes)
{
    ssw_strbuf text;
    ssw_strbuf_init(&text, 16 << 20);
    bool same = ssw_tokenizer_decode(tokenizer, tokens->ids, tokens->n, true, &text, NULL) == SSW_OK &&
                text.n_bytes == n_bytes && memcmp(ssw_strbuf_text(&text), expected, n_bytes) == 0;
    if (!same)
        printf("ours:\n%s\ntemplate:\n%.*s\n", ssw_strbuf_text(&text), (int)n_bytes, expected);
    ssw_strbuf_deinit(&text);
    return same;
}

/* One conversation; true when text and ids agree. */
static bool check(const ssw_tokenizer *tokenizer, const ssw_chat *chat, reader *r, bool has_same_text)
{
    ssw_chat_message messages[MESSAGES_MAX];
    ssw_tokens tokens = {0}, whole = {0};
    ssw_error err = {0};
    const ssw_chat_options options = {(ssw_chat_effort)take_u32(r), DATE_UNIX_S};
    uint32_t n = take_u32(r);
    if (n > MESSAGES_MAX)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        messages[i].role = (ssw_chat_role)take_u32(r);
        messages[i].content = take_text(r, &messages[i].n_bytes);
    }
    size_t n_expected;
    const char *expected = take_text(r, &n_expected);
    if (n_expected == REFUSED) {
        r->at -= REFUSED;
        bool is_refused =
            ssw_chat_render(chat, messages, n, &options, &tokens, &err) == SSW_ERR_UNSUPPORTED &&
            tokens.n == 0;
        if (!is_refused)
            printf("the template refuses a conversation of %u messages\n", n);
        ssw_tokens_deinit(&tokens);
        return is_refused;
    }
    bool ok = ssw_chat_render(chat, messages, n, &options, &tokens, &err) == SSW_OK &&
              ssw_tokenizer_encode(tokenizer, expected, n_expected, true, &whole, &err) == SSW_OK;
    if (!ok)
        printf("%s\n", err.message);
    ok = ok && (!has_same_text || same_text(tokenizer, &tokens, expected, n_expected));
    if (ok && (tokens.n != whole.n || memcmp(tokens.ids, whole.ids, whole.n * sizeof *whole.ids) != 0)) {
        printf("same text, other ids: '%.*s'\n", (int)n_expected, expected);
        ok = false;
    }
    ssw_tokens_deinit(&tokens);
    ssw_tokens_deinit(&whole);
    return ok;
}

int main(int argc, char **argv)
{
    static char data[1 << 20];
    ssw_gguf *gguf = NULL;
    ssw_tokenizer *tokenizer = NULL;
    ssw_chat *chat = NULL;
    ssw_error err = {0};
    FILE *in = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!in)
        return 2;
    size_t n_bytes = fread(data, 1, sizeof data, in);
    fclose(in);
    int n = 0, n_wrong = 0;
    if (ssw_gguf_open(argv[1], &gguf, &err) != SSW_OK ||
        ssw_tokenizer_open(gguf, &tokenizer, &err) != SSW_OK ||
        ssw_chat_open(gguf, tokenizer, &chat, &err) != SSW_OK) {
        printf("%s\n", err.message);
        n_wrong++;
    }
    /* Phi-3's control tokens swallow white space: the text differs, the ids must not. */
    bool strips = chat && strcmp(ssw_chat_format_name(chat), "phi3") == 0;
    for (reader r = {data, data + n_bytes}; chat && r.at < r.end; n++)
        n_wrong += !check(tokenizer, chat, &r, !strips);
    printf("%s: %d conversations, %d differ\n", chat ? ssw_chat_format_name(chat) : "", n, n_wrong);
    ssw_chat_close(chat);
    ssw_tokenizer_close(tokenizer);
    ssw_gguf_close(gguf);
    return n_wrong == 0 && n > 4 ? 0 : 1;
}
