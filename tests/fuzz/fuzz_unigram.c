/* A hostile precompiled_charsmap, and any bytes as text for the unigram model. Input: two bytes, the length
 * of the table; the table; the text. Whatever table is accepted walks through the text and comes to its end;
 * the tokens of a text decode to UTF-8, without extra work of the normaliser to the text itself, and hold no
 * control token. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../token/token_files.h"
#include "token/charsmap.h"
#include "token/tokenizer.h"
#include "token/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void require(int condition)
{
    if (!condition)
        abort();
}

static ssw_tokenizer *open_with(bool removes_extra_spaces)
{
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer;
    const vocab_options options = {
        .sentencepiece = true, .unigram = true, .removes_extra_spaces = removes_extra_spaces};
    require(ssw_gguf_open(write_vocab_file(&options), &gguf, NULL) == SSW_OK);
    require(ssw_tokenizer_open(gguf, &tokenizer, NULL) == SSW_OK);
    ssw_gguf_close(gguf);
    remove_vocab_file();
    return tokenizer;
}

static void walk(const uint8_t *table, size_t n_table, const char *text, size_t n_bytes)
{
    ssw_charsmap map;
    volatile char last = 0;
    if (ssw_charsmap_init(&map, table, n_table, NULL) == SSW_OK) {
        for (size_t at = 0, n_taken, n_out; at < n_bytes; at += n_taken) {
            const char *out = ssw_charsmap_match(&map, text + at, n_bytes - at, &n_taken, &n_out);
            require(n_taken > 0 && n_taken <= n_bytes - at);
            last = n_out > 0 ? out[n_out - 1] : last; /* read, for the sanitizers */
        }
    }
    ssw_charsmap_deinit(&map);
}

static void check(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes, bool is_plain)
{
    ssw_tokens tokens = {0};
    ssw_strbuf back;
    ssw_strbuf_init(&back, 3 * n_bytes + 1);
    require(ssw_tokenizer_encode(tokenizer, text, n_bytes, false, &tokens, NULL) == SSW_OK);
    require(ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, NULL) == SSW_OK);
    for (size_t i = 0; i < tokens.n; i++)
        require(!ssw_tokenizer_is_control(tokenizer, tokens.ids[i]));
    require(ssw_utf8_valid_bytes(ssw_strbuf_text(&back), back.n_bytes) == back.n_bytes);
    bool is_exact = is_plain && ssw_utf8_valid_bytes(text, n_bytes) == n_bytes &&
                    !memmem(text, n_bytes, "\xe2\x96\x81", 3);
    require(!is_exact ||
            (back.n_bytes == n_bytes && (n_bytes == 0 || memcmp(back.data, text, n_bytes) == 0)));
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    static ssw_tokenizer *tokenizers[2]; /* the fuzzer's own, for its whole life */
    size_t n_table = n_bytes < 2 ? 0 : (size_t)bytes[0] | (size_t)bytes[1] << 8;
    size_t n_head = n_bytes < 2 ? n_bytes : 2;
    if (n_table > n_bytes - n_head)
        n_table = n_bytes - n_head;
    const char *text = (const char *)bytes + n_head + n_table;
    size_t n_text = n_bytes - n_head - n_table;
    walk(bytes + n_head, n_table, text, n_text);
    for (int i = 0; i < 2; i++) {
        if (!tokenizers[i])
            tokenizers[i] = open_with(i == 1);
        check(tokenizers[i], text, n_text, i == 0);
    }
    return 0;
}
