/* See the header. */
#include "../cmocka_all.h"

#include "token_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { MEGABYTE = 1 << 20, SECONDS_MAX = 10 };

ssw_tokenizer *open_vocabulary(const vocab_options *options)
{
    ssw_error err = {0};
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer = NULL;
    const char *path = write_vocab_file(options);
    if (ssw_gguf_open(path, &gguf, &err) != SSW_OK || ssw_tokenizer_open(gguf, &tokenizer, &err) != SSW_OK)
        fail_msg("%s", err.message);
    ssw_gguf_close(gguf);
    remove_vocab_file();
    return tokenizer;
}

static ssw_tokens encode(const ssw_tokenizer *tokenizer, const char *text, bool parse_special)
{
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    if (ssw_tokenizer_encode(tokenizer, text, strlen(text), parse_special, &tokens, &err) != SSW_OK)
        fail_msg("%s", err.message);
    return tokens;
}

void expect_split(const ssw_tokenizer *tokenizer, const char *text, bool parse_special, const char *expected)
{
    ssw_tokens tokens = encode(tokenizer, text, parse_special);
    char shown[512] = "";
    for (size_t i = 0; i < tokens.n; i++) {
        size_t n;
        const char *piece = ssw_tokenizer_piece(tokenizer, tokens.ids[i], &n);
        strcat(shown, i ? "|" : "");
        strncat(shown, piece, n);
    }
    ssw_tokens_deinit(&tokens);
    assert_string_equal(shown, expected);
}

void expect_split_and_back(const ssw_tokenizer *tokenizer, const char *text, bool parse_special,
                           const char *expected, const char *back)
{
    ssw_tokens tokens = encode(tokenizer, text, parse_special);
    ssw_error err = {0};
    ssw_strbuf whole;
    ssw_strbuf_init(&whole, 1000);
    assert_int_equal(ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &whole, &err), SSW_OK);
    assert_string_equal(ssw_strbuf_text(&whole), back);
    ssw_strbuf_deinit(&whole);
    ssw_tokens_deinit(&tokens);
    expect_split(tokenizer, text, parse_special, expected);
}

size_t count_tokens_of_megabyte(const ssw_tokenizer *tokenizer, const char *unit, const char *end)
{
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    size_t step = strlen(unit), n = MEGABYTE / step * step, n_end = strlen(end);
    char *text = malloc(n + n_end);
    assert_non_null(text);
    for (size_t i = 0; i < n; i += step)
        memcpy(text + i, unit, step);
    memcpy(text + n, end, n_end);
    int64_t start_ns = ssw_clock_now_ns();
    if (ssw_tokenizer_encode(tokenizer, text, n + n_end, true, &tokens, &err) != SSW_OK)
        fail_msg("'%s': %s", unit, err.message);
    double seconds = (double)(ssw_clock_now_ns() - start_ns) / (double)SSW_NS_PER_S;
    print_message("1 MiB of %02x...: %.3f s, %zu tokens\n", (unsigned char)unit[0], seconds, tokens.n);
    assert_true(seconds < SECONDS_MAX);
    size_t n_tokens = tokens.n;
    ssw_tokens_deinit(&tokens);
    free(text);
    return n_tokens;
}
