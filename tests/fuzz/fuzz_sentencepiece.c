/* Any bytes as text for SentencePiece, with and without the space prefix and control tokens: it decodes to
 * the same bytes, but for U+2581, which comes back as a space; users' text makes no control token; what
 * streams out is UTF-8. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../token/token_files.h"
#include "token/tokenizer.h"
#include "token/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static ssw_tokenizer *open_with(bool without_space_prefix)
{
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer;
    const vocab_options options = {.sentencepiece = true, .without_space_prefix = without_space_prefix};
    if (ssw_gguf_open(write_vocab_file(&options), &gguf, NULL) != SSW_OK ||
        ssw_tokenizer_open(gguf, &tokenizer, NULL) != SSW_OK)
        abort();
    ssw_gguf_close(gguf);
    remove_vocab_file();
    return tokenizer;
}

static bool same_but_marks(const char *back, size_t n_back, const char *text, size_t n_bytes)
{
    size_t b = 0;
    for (size_t at = 0; at < n_bytes; b++) {
        bool is_mark = n_bytes - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
        if (b == n_back || back[b] != (is_mark ? ' ' : text[at]))
            return false;
        at += is_mark ? 3 : 1;
    }
    return b == n_back;
}

static void check(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, bool parse_special)
{
    ssw_tokens tokens = {0};
    ssw_strbuf back, streamed;
    ssw_detokenizer detokenizer;
    ssw_strbuf_init(&back, n_bytes + 1);
    ssw_strbuf_init(&streamed, 3 * n_bytes + 1);
    ssw_detokenizer_init(&detokenizer, tokenizer);
    ssw_detokenizer_begin_text(&detokenizer);
    if (ssw_tokenizer_encode(tokenizer, text, n_bytes, parse_special, &tokens, NULL) != SSW_OK ||
        ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, NULL) != SSW_OK ||
        !same_but_marks(ssw_strbuf_text(&back), back.n_bytes, text, n_bytes))
        abort();
    for (size_t i = 0; i < tokens.n; i++) {
        if (!parse_special && ssw_tokenizer_is_control(tokenizer, tokens.ids[i]))
            abort();
        ssw_detokenizer_push(&detokenizer, tokens.ids[i], &streamed);
    }
    ssw_detokenizer_flush(&detokenizer, &streamed);
    if (streamed.failed ||
        ssw_utf8_valid_bytes(ssw_strbuf_text(&streamed), streamed.n_bytes) != streamed.n_bytes)
        abort();
    ssw_strbuf_deinit(&streamed);
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static ssw_tokenizer *tokenizers[2]; /* the fuzzer's own, for its whole life */
    for (int i = 0; i < 2; i++) {
        if (!tokenizers[i])
            tokenizers[i] = open_with(i == 1);
        check(tokenizers[i], (const char *)bytes, n_bytes, false);
        check(tokenizers[i], (const char *)bytes, n_bytes, true);
    }
    return 0;
}
