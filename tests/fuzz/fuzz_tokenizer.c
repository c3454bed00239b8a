/* Any bytes as text: encoding with every pre-tokenizer, with and without control tokens, decodes to the same
 * bytes; what streams out is UTF-8, and users' text makes no control token. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../token/token_files.h"
#include "token/tokenizer.h"
#include "token/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static ssw_tokenizer *open_with(const char *pre)
{
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer;
    if (ssw_gguf_open(write_vocab_file(&(vocab_options){.pre = pre}), &gguf, NULL) != SSW_OK ||
        ssw_tokenizer_open(gguf, &tokenizer, NULL) != SSW_OK)
        abort();
    ssw_gguf_close(gguf);
    remove_vocab_file();
    return tokenizer;
}

static void check(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, bool parse_special)
{
    ssw_tokens tokens = {0};
    ssw_strbuf back, streamed;
    ssw_detokenizer detokenizer;
    ssw_strbuf_init(&back, n_bytes + 1);
    ssw_strbuf_init(&streamed, 3 * n_bytes + 1);
    ssw_detokenizer_init(&detokenizer, tokenizer);
    if (ssw_tokenizer_encode(tokenizer, text, n_bytes, parse_special, &tokens, NULL) != SSW_OK ||
        ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, NULL) != SSW_OK ||
        back.n_bytes != n_bytes || memcmp(ssw_strbuf_text(&back), text, n_bytes) != 0)
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
    if (!parse_special && ssw_utf8_valid_bytes(text, n_bytes) == n_bytes &&
        (streamed.n_bytes != n_bytes || memcmp(ssw_strbuf_text(&streamed), text, n_bytes) != 0))
        abort();
    ssw_strbuf_deinit(&streamed);
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static const char *const pres[] = {"gpt-2", "gpt-4o", "qwen2", "deepseek-llm", "deepseek-v3"};
    enum { N_PRES = sizeof pres / sizeof *pres };
    static ssw_tokenizer *tokenizers[N_PRES]; /* the fuzzer's own, for its whole life */
    for (int i = 0; i < N_PRES; i++) {
        if (!tokenizers[i])
            tokenizers[i] = open_with(pres[i]);
        check(tokenizers[i], (const char *)bytes, n_bytes, false);
        check(tokenizers[i], (const char *)bytes, n_bytes, true);
    }
    return 0;
}
