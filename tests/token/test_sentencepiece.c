/* What SentencePiece does otherwise, with a small vocabulary: merging by score, the space before a text, byte
 * fallback, the detokenizer's leading space, long texts in good time, and clear errors. That ids are right is
 * test_tokenizer_reference's and test_tokenizer_llama's. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "token/tokenizer.h"
#include "token_check.h"

static void merges_by_score(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true});
    expect_split_and_back(tokenizer, "hello world", false, " hello| w|or|l|d", "hello world");
    expect_split_and_back(tokenizer, "hhello", false, " |h|hello", "hhello");
    /* aa scores above " a": the space stays alone */
    expect_split_and_back(tokenizer, "aaaaaaaaaaaaaaa", false, " |aaaaaaaa|aaaa|aa|a", "aaaaaaaaaaaaaaa");
    expect_split_and_back(tokenizer, "a", false, " a", "a");
    expect_split_and_back(tokenizer, "", false, "", "");
    expect_split_and_back(tokenizer, " ", false, "  ", " ");
    expect_split_and_back(tokenizer, "   hello", false, "  | | hello", "   hello");
    ssw_tokenizer_close(tokenizer);
}

static void special_tokens(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true});
    expect_split_and_back(tokenizer, "<s>hello</s> a", true, "<s>| hello|</s>| | a", "<s>hello</s> a");
    expect_split_and_back(tokenizer, "a<user thing>a", false, " a|<user thing>| a", "a<user thing>a");
    expect_split_and_back(tokenizer, "<s>", false, " |<|s|>", "<s>"); /* users cannot write it */
    expect_split_and_back(tokenizer, "<0x41>", false, " |<|0|x|4|1|>", "<0x41>");
    assert_int_equal(ssw_tokenizer_special(tokenizer).eos, 2);
    assert_true(ssw_tokenizer_is_end(tokenizer, 2));
    assert_true(ssw_tokenizer_is_control(tokenizer, 0)); /* <unk> */
    ssw_tokenizer_close(tokenizer);
    tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true, .without_space_prefix = true});
    expect_split_and_back(tokenizer, "hello a</s>hello", true, "hello| a|</s>|hello", "hello a</s>hello");
    expect_split_and_back(tokenizer, " a", false, " a", " a");
    ssw_tokenizer_close(tokenizer);
    tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true, .architecture = "phimoe"});
    expect_split_and_back(tokenizer, "<|end|> \n\thello<s> a", true, "<|end|>| hello|<s>| | a",
                          "<|end|>hello<s> a");
    ssw_tokenizer_close(tokenizer);
}

static void falls_back_to_bytes(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true});
    expect_split_and_back(tokenizer, "中é€", false, " |中|é|\xe2|\x82|\xac", "中é€");
    expect_split_and_back(tokenizer, "\xff\xe2\x82z", false, " |\xff|\xe2|\x82|z", "\xff\xe2\x82z");
    expect_split_and_back(tokenizer, "\n", false, " |\n", "\n");
    expect_split_and_back(tokenizer, "a▁a", false, " a| a", "a a"); /* the mark is a space */
    ssw_tokenizer_close(tokenizer);
    tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true, .without_byte = 0x82});
    expect_split_and_back(tokenizer, "€z", false, " |<unk>|z", "<unk>z");
    ssw_tokenizer_close(tokenizer);
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    tokenizer = open_vocabulary(
        &(vocab_options){.sentencepiece = true, .without_byte = 0x82, .without_unknown = true});
    assert_int_equal(ssw_tokenizer_encode(tokenizer, "a€", 4, false, &tokens, &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no token for the bytes of '€'"));
    assert_int_equal(tokens.n, 0);
    ssw_tokens_deinit(&tokens);
    ssw_tokenizer_close(tokenizer);
}

static void expect_streamed(const ssw_tokenizer *tokenizer, const char *text, bool begins,
                            const char *expected)
{
    ssw_error err;
    ssw_tokens tokens = {0};
    ssw_detokenizer detokenizer;
    ssw_strbuf out;
    ssw_strbuf_init(&out, 1000);
    ssw_detokenizer_init(&detokenizer, tokenizer);
    if (begins)
        ssw_detokenizer_begin_text(&detokenizer);
    assert_int_equal(ssw_tokenizer_encode(tokenizer, text, strlen(text), true, &tokens, &err), SSW_OK);
    for (size_t i = 0; i < tokens.n; i++)
        ssw_detokenizer_push(&detokenizer, tokens.ids[i], &out);
    ssw_detokenizer_flush(&detokenizer, &out);
    assert_string_equal(ssw_strbuf_text(&out), expected);
    ssw_strbuf_deinit(&out);
    ssw_tokens_deinit(&tokens);
}

static void streams(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true});
    expect_streamed(tokenizer, "hello a", true, "hello a");
    expect_streamed(tokenizer, "hello a", false, " hello a"); /* continues a text */
    expect_streamed(tokenizer, "  hello", true, "  hello");
    expect_streamed(tokenizer, "a<|end|>a€\xe2\x82", true, "aa€\xef\xbf\xbd");
    ssw_tokenizer_close(tokenizer);
}

static void long_texts_in_good_time(void **state)
{
    static const char *const units[] = {"a", "h", " ", "\n", "中", "€", "hello ", "\xff"};
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.sentencepiece = true});
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t n = count_tokens_of_megabyte(tokenizer, units[u], "");
        if (u == 0)
            assert_int_equal(n, 1 + (1 << 20) / 8);
    }
    ssw_tokenizer_close(tokenizer);
}

static void write_tokens(const char *path, const char *token, int type, size_t n_scores)
{
    ssw_error err = {0};
    ssw_gguf_writer *writer;
    const ssw_gguf_text tokens[] = {{"a", 1}, {token, strlen(token)}};
    const int32_t types[] = {1, type};
    const float scores[] = {0, -1};
    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.model", "llama");
    ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.tokens", tokens, 2);
    ssw_gguf_writer_set_array(writer, "tokenizer.ggml.token_type", SSW_GGUF_I32, types, 2);
    if (n_scores)
        ssw_gguf_writer_set_array(writer, "tokenizer.ggml.scores", SSW_GGUF_F32, scores, n_scores);
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
}

static void bad_vocabularies(void **state)
{
    char endless[300];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    const struct {
        const char *token;
        int type;
        size_t n_scores;
        ssw_status status;
        const char *fault;
    } cases[] = {
        {"b", 1, 0, SSW_ERR_FORMAT, "tokenizer.ggml.scores is missing or not a list of 2"},
        {"b", 1, 1, SSW_ERR_FORMAT, "tokenizer.ggml.scores is missing or not a list of 2"},
        {"<0x4G>", 6, 2, SSW_ERR_FORMAT, "byte token 1 is not written <0xHH>"},
        {"b", 6, 2, SSW_ERR_FORMAT, "byte token 1 is not written <0xHH>"},
        {endless, 1, 2, SSW_ERR_LIMIT, "token 1 is longer than 256 bytes"},
        {"b", 1, 2, SSW_OK, ""},
    };
    const char *path = write_vocab_file(&(vocab_options){0}); /* for its name */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ssw_error err = {0};
        ssw_gguf *gguf;
        ssw_tokenizer *tokenizer;
        write_tokens(path, cases[i].token, cases[i].type, cases[i].n_scores);
        assert_int_equal(ssw_gguf_open(path, &gguf, &err), SSW_OK);
        assert_int_equal(ssw_tokenizer_open(gguf, &tokenizer, &err), cases[i].status);
        assert_non_null(strstr(err.message, cases[i].fault));
        ssw_tokenizer_close(tokenizer);
        ssw_gguf_close(gguf);
    }
    remove_vocab_file();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_by_score),         cmocka_unit_test(special_tokens),
        cmocka_unit_test(falls_back_to_bytes),     cmocka_unit_test(streams),
        cmocka_unit_test(long_texts_in_good_time), cmocka_unit_test(bad_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
