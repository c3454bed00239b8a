/* The input as a chat template: recognised or refused, never a crash. And as a conversation in each plain
 * format, whose messages are cut at NUL bytes and whose first byte gives the role: users' text makes no
 * control token, which is seen by their number not depending on it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../token/token_files.h"
#include "token/chat.h"
#include "token/chat_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { MESSAGES_MAX = 8 };

typedef struct fixture {
    ssw_tokenizer *tokenizer;
    ssw_chat *chats[PLAIN_FORMATS];
} fixture;

static void open_fixture(fixture *f)
{
    for (int i = 0; i < PLAIN_FORMATS; i++) {
        ssw_gguf *gguf;
        const vocab_options options = {.chat_template = plain_formats[i].chat_template,
                                       .sentencepiece = true};
        if (ssw_gguf_open(write_vocab_file(&options), &gguf, NULL) != SSW_OK ||
            (!f->tokenizer && ssw_tokenizer_open(gguf, &f->tokenizer, NULL) != SSW_OK) ||
            ssw_chat_open(gguf, f->tokenizer, &f->chats[i], NULL) != SSW_OK)
            abort();
        ssw_gguf_close(gguf);
        remove_vocab_file();
    }
}

/* Control tokens of a rendered conversation; -1 when it is refused. */
static long count_controls(const fixture *f, const ssw_chat *chat, const ssw_chat_message *messages, size_t n)
{
    const ssw_chat_options options = {0};
    ssw_tokens tokens = {0};
    long n_controls = 0;
    ssw_status status = ssw_chat_render(chat, messages, n, &options, &tokens, NULL);
    if (status != SSW_OK && tokens.n > 0)
        abort();
    for (size_t i = 0; i < tokens.n; i++)
        n_controls += ssw_tokenizer_is_control(f->tokenizer, tokens.ids[i]);
    ssw_tokens_deinit(&tokens);
    return status == SSW_OK ? n_controls : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static fixture f; /* the fuzzer's own, for its whole life */
    ssw_chat_message messages[MESSAGES_MAX], harmless[MESSAGES_MAX];
    size_t n = 0;
    if (!f.tokenizer)
        open_fixture(&f);
    ssw_chat found = {.tokenizer = f.tokenizer};
    const ssw_gguf_text source = {(const char *)bytes, n_bytes};
    ssw_status status = ssw_chat_plain_recognize(&found, &source, NULL);
    if (status != SSW_OK && status != SSW_ERR_UNSUPPORTED && status != SSW_ERR_LIMIT)
        abort();
    for (size_t at = 0; at < n_bytes && n < MESSAGES_MAX; n++) {
        const uint8_t *end = memchr(bytes + at, 0, n_bytes - at);
        size_t n_message = end ? (size_t)(end - bytes) - at : n_bytes - at;
        ssw_chat_role role = n_message ? (ssw_chat_role)(bytes[at] % 5) : SSW_CHAT_USER;
        messages[n] = (ssw_chat_message){role, (const char *)bytes + at, n_message};
        harmless[n] = (ssw_chat_message){role, "x", n_message > 0};
        at += n_message + 1;
    }
    for (int i = 0; i < PLAIN_FORMATS; i++) {
        if (count_controls(&f, f.chats[i], messages, n) != count_controls(&f, f.chats[i], harmless, n))
            abort();
    }
    if (status == SSW_OK)
        count_controls(&f, &found, messages, n);
    return 0;
}
