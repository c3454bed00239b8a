/* The tokenizer's own promises, with a small vocabulary: special tokens, invalid UTF-8, long words in good
 * time, whole characters from the stream, and clear errors for bad vocabularies. That ids are right is
 * test_tokenizer_reference's. */
#include "../cmocka_all.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "token/tokenizer.h"
#include "token_check.h"

static const char *const pres[] = {"gpt-2", "gpt-4o", "qwen2", "deepseek-llm", "deepseek-v3"};

enum { N_PRES = sizeof pres / sizeof *pres };

static void merges_by_rank(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){0});
    expect_split(tokenizer, "hello world", false, "hello| w|o|r|l|d");
    expect_split(tokenizer, "shell", false, "s|hell");
    expect_split(tokenizer, "aaaaaaaaaaaaaaa", false, "aaaaaaaa|aaaa|aa|a"); /* leftmost first */
    expect_split(tokenizer, "", false, "");
    ssw_tokenizer_close(tokenizer);
    /* the lower rank wins, not the left pair */
    static const char *const merges[] = {"b c", "a b", "a bc", NULL};
    tokenizer = open_vocabulary(&(vocab_options){.merges = merges});
    expect_split(tokenizer, "abc", false, "abc");
    expect_split(tokenizer, "ab", false, "ab");
    expect_split(tokenizer, "abbc", false, "ab|bc");
    ssw_tokenizer_close(tokenizer);
}

static void special_tokens(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){0});
    expect_split(tokenizer, "<|end|>hello<|start", true, "<|end|>|hello|<|||s|t|a|r|t");
    expect_split(tokenizer, "<|end|>", false, "<|||e|n|d|||>");
    /* user-defined ones are always recognised, the longest first; one in control form only as a control token
     */
    expect_split(tokenizer, "a<user thing> 2<user thing> 3", false, "a|<user thing> 2|<user thing>| |3");
    expect_split(tokenizer, "<|user|>", false, "<|||u|s|e|r|||>");
    expect_split(tokenizer, "<|user|>", true, "<|user|>");
    assert_true(ssw_tokenizer_is_control(tokenizer, ssw_tokenizer_find(tokenizer, "<|user|>")));
    assert_false(ssw_tokenizer_is_control(tokenizer, ssw_tokenizer_find(tokenizer, "<user thing>")));
    assert_true(ssw_tokenizer_is_end(tokenizer, ssw_tokenizer_find(tokenizer, "<|return|>")));
    assert_true(ssw_tokenizer_is_end(tokenizer, ssw_tokenizer_find(tokenizer, "<|call|>")));
    assert_false(
        ssw_tokenizer_is_end(tokenizer, ssw_tokenizer_find(tokenizer, "<|end|>"))); /* ends a message only */
    assert_int_equal(ssw_tokenizer_find(tokenizer, "hellooo"), SSW_TOKEN_NONE);
    assert_int_equal(ssw_tokenizer_find(tokenizer, ""), SSW_TOKEN_NONE);
    assert_int_equal(ssw_tokenizer_find(tokenizer, " w"), 256 + 4);
    assert_int_equal(ssw_tokenizer_special(tokenizer).bos, 0);
    assert_int_equal(ssw_tokenizer_special(tokenizer).eos, SSW_TOKEN_NONE);
    assert_false(ssw_tokenizer_special(tokenizer).add_bos);
    ssw_tokenizer_close(tokenizer);
    tokenizer = open_vocabulary(&(vocab_options){.without_call = true});
    assert_true(ssw_tokenizer_is_end(tokenizer, ssw_tokenizer_find(tokenizer, "<|end|>"))); /* not harmony */
    ssw_tokenizer_close(tokenizer);
}

/* Encodes and decodes; the bytes must come back whatever they are. */
static void expect_round_trip(const ssw_tokenizer *tokenizer, const char *text, size_t n_bytes)
{
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    ssw_strbuf back;
    ssw_strbuf_init(&back, n_bytes + 1);
    assert_int_equal(ssw_tokenizer_encode(tokenizer, text, n_bytes, false, &tokens, &err), SSW_OK);
    assert_int_equal(ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, &err), SSW_OK);
    assert_int_equal(back.n_bytes, n_bytes);
    if (n_bytes)
        assert_memory_equal(back.data, text, n_bytes);
    ssw_strbuf_deinit(&back);
    ssw_tokens_deinit(&tokens);
}

static void any_bytes_come_back(void **state)
{
    for (int p = 0; p < N_PRES; p++) {
        ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.pre = pres[p]});
        char all[256], random[512];
        for (int i = 0; i < 256; i++)
            all[i] = (char)(255 - i);
        expect_round_trip(tokenizer, all, sizeof all);
        expect_round_trip(tokenizer, "a  \xff  b\xe2\x82", 9);
        expect_round_trip(tokenizer, "\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf",
                          10); /* surrogate, too high, overlong */
        uint64_t seed = 7;
        for (int round = 0; round < 1000; round++) {
            for (size_t i = 0; i < sizeof random; i++) {
                seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                random[i] = (char)(seed >> 33);
                if (round % 3 == 0) /* mostly lead bytes and spaces */
                    random[i] = " \xe2\x80\xa8\n\xf0\x9f\xc2'a1"[(seed >> 40) % 11];
            }
            expect_round_trip(tokenizer, random, (size_t)round % sizeof random);
        }
        ssw_tokenizer_close(tokenizer);
    }
}

/* The bound is wide, for sanitizers and busy machines: quadratic work on a megabyte would take minutes. */
static void long_words_in_good_time(void **state)
{
    static const char *const units[] = {"a", "A",  " ",    "\n", "中",     "=",
                                        "1", "aA", "\xff", "'s", "\u0301", " \n"};
    for (int p = 0; p < N_PRES; p++) {
        ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.pre = pres[p]});
        for (size_t u = 0; u < sizeof units / sizeof *units;
             u++) { /* an end that some expressions go back from */
            size_t n = count_tokens_of_megabyte(tokenizer, units[u], "中");
            if (u == 0)
                assert_int_equal(n, (1 << 20) / 8 + 3);
        }
        ssw_tokenizer_close(tokenizer);
    }
}

/* Where several expressions follow each other, the later ones see only what the earlier ones left. */
static void stages_of_expressions(void **state)
{
    static const char *const merges[] = {"Ġ Ġ", "1 2", "12 3", "Ġ a", "Ċ Ċ", NULL};
    ssw_tokenizer *v3 = open_vocabulary(&(vocab_options){.pre = "deepseek-v3", .merges = merges});
    expect_split(v3, "  123123", false, "  |123|123"); /* one expression would keep a space back for 1 */
    expect_split(v3, "  a", false, " | a");
    expect_split(v3, "\n\n", false, "\n\n");
    ssw_tokenizer_close(v3);
    ssw_tokenizer *v1 = open_vocabulary(&(vocab_options){.pre = "deepseek-llm", .merges = merges});
    expect_split(v1, "\n\n", false, "\n|\n"); /* each line end alone */
    expect_split(v1, "  123", false, "  |123");
    expect_split(v1, "   a", false, "  | a");
    ssw_tokenizer_close(v1);
}

static void limits(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){.without_byte = 'q'});
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    ssw_strbuf out;
    assert_int_equal(ssw_tokenizer_encode(tokenizer, "a", 1, false, &tokens, &err), SSW_OK);
    assert_int_equal(ssw_tokenizer_encode(tokenizer, "aa q", 4, false, &tokens, &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no token for the byte 0x71"));
    assert_int_equal(tokens.n, 1); /* as before */
    assert_int_equal(
        ssw_tokenizer_encode(tokenizer, "", SSW_TOKENIZER_TEXT_BYTES_MAX + 1, false, &tokens, &err),
        SSW_ERR_LIMIT);
    ssw_tokens_deinit(&tokens);
    const int32_t ids[] = {0, ssw_tokenizer_vocab_size(tokenizer)};
    ssw_strbuf_init(&out, 1);
    assert_int_equal(ssw_tokenizer_decode(tokenizer, ids, 2, false, &out, &err), SSW_ERR_USAGE);
    size_t n;
    assert_string_equal(ssw_tokenizer_piece(tokenizer, -1, &n), "");
    assert_false(ssw_tokenizer_is_end(tokenizer, ids[1]));
    ssw_strbuf_deinit(&out);
    ssw_tokenizer_close(tokenizer);
}

static void streams_whole_characters(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){0});
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"hello", "hello"},
        {"🌍 é中", "🌍 é中"},
        {"\xf0\x9f\x8cx", "\xef\xbf\xbdx"},                       /* one for the whole broken beginning */
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* one for each impossible byte */
        {"\xe2\x82", "\xef\xbf\xbd"},                             /* at the end */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xe2\xe2\x82\xac", "\xef\xbf\xbd€"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ssw_error err;
        ssw_tokens tokens = {0};
        ssw_detokenizer detokenizer;
        ssw_strbuf out;
        ssw_strbuf_init(&out, 1000);
        ssw_detokenizer_init(&detokenizer, tokenizer);
        assert_int_equal(
            ssw_tokenizer_encode(tokenizer, cases[i].bytes, strlen(cases[i].bytes), false, &tokens, &err),
            SSW_OK);
        for (size_t t = 0; t < tokens.n; t++) {
            size_t before = out.n_bytes;
            ssw_detokenizer_push(&detokenizer, tokens.ids[t], &out);
            if (out.n_bytes > before) /* what came out begins with a whole character */
                assert_int_not_equal((unsigned char)out.data[before] & 0xc0, 0x80);
        }
        ssw_detokenizer_flush(&detokenizer, &out);
        assert_string_equal(ssw_strbuf_text(&out), cases[i].text);
        ssw_strbuf_deinit(&out);
        ssw_tokens_deinit(&tokens);
    }
    ssw_tokenizer_close(tokenizer);
}

static void expect_open_error(const vocab_options *options, ssw_status expected, const char *fault)
{
    ssw_error err = {0};
    ssw_gguf *gguf;
    ssw_tokenizer *tokenizer;
    const char *path = write_vocab_file(options);
    assert_int_equal(ssw_gguf_open(path, &gguf, &err), SSW_OK);
    assert_int_equal(ssw_tokenizer_open(gguf, &tokenizer, &err), expected);
    assert_null(tokenizer);
    if (strncmp(err.message, path, strlen(path)) != 0 || !strstr(err.message, fault))
        fail_msg("'%s' does not name %s and '%s'", err.message, path, fault);
    ssw_gguf_close(gguf);
    remove_vocab_file();
}

static void bad_vocabularies(void **state)
{
    expect_open_error(&(vocab_options){.pre = "llama-bpe"}, SSW_ERR_UNSUPPORTED,
                      "pre-tokenizer 'llama-bpe' is not known");
    expect_open_error(&(vocab_options){.pre = ""}, SSW_ERR_UNSUPPORTED, "pre-tokenizer '' is not known");
    static const char *const no_left[] = {"x y", "q中 b", NULL};
    expect_open_error(&(vocab_options){.merges = no_left}, SSW_ERR_FORMAT, "merge 1 ('q");
    static const char *const empty_right[] = {"a ", NULL};
    expect_open_error(&(vocab_options){.merges = empty_right}, SSW_ERR_FORMAT, "merge 0 ('a ')");
}

/* What is written for one broken key: everything else is a vocabulary of "a", "b", "ab". */
typedef enum broken_key {
    BROKEN_MODEL,
    BROKEN_MODEL_NAME,
    BROKEN_PRE,
    BROKEN_TOKENS,
    BROKEN_TOKENS_TYPE,
    BROKEN_TYPES,
    BROKEN_MERGES,
    BROKEN_EOS,
    BROKEN_CONTROL,
    BROKEN_NOTHING
} broken_key;

static void write_broken(const char *path, broken_key broken)
{
    static char long_control[300];
    memset(long_control, '<', sizeof long_control);
    ssw_gguf_text tokens[] = {{"a", 1}, {"b", 1}, {"ab", 2}, {"<|end|>", 7}};
    const int32_t types[] = {1, 1, 1, 3};
    const ssw_gguf_text merges[] = {{"a b", 3}};
    ssw_error err;
    ssw_gguf_writer *writer;
    if (broken == BROKEN_CONTROL)
        tokens[3] = (ssw_gguf_text){long_control, sizeof long_control};
    assert_int_equal(ssw_gguf_writer_open(path, 0, &writer, &err), SSW_OK);
    if (broken != BROKEN_MODEL)
        ssw_gguf_writer_set_text(writer, "tokenizer.ggml.model",
                                 broken == BROKEN_MODEL_NAME ? "bert" : "gpt2");
    if (broken == BROKEN_PRE)
        ssw_gguf_writer_set_u32(writer, "tokenizer.ggml.pre", 2);
    else
        ssw_gguf_writer_set_text(writer, "tokenizer.ggml.pre", "gpt-2");
    if (broken == BROKEN_TOKENS_TYPE)
        ssw_gguf_writer_set_array(writer, "tokenizer.ggml.tokens", SSW_GGUF_I32, types, 4);
    else
        ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.tokens", tokens, broken == BROKEN_TOKENS ? 0 : 4);
    ssw_gguf_writer_set_array(writer, "tokenizer.ggml.token_type", SSW_GGUF_I32, types,
                              broken == BROKEN_TYPES ? 3 : 4);
    if (broken != BROKEN_MERGES)
        ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.merges", merges, 1);
    ssw_gguf_writer_set_u32(writer, "tokenizer.ggml.eos_token_id", broken == BROKEN_EOS ? 4 : 3);
    assert_int_equal(ssw_gguf_writer_begin_data(writer, &err), SSW_OK);
    assert_int_equal(ssw_gguf_writer_finish(writer, &err), SSW_OK);
    ssw_gguf_writer_close(writer);
}

static void broken_keys(void **state)
{
    static const struct {
        ssw_status status;
        const char *fault;
    } faults[] = {
        [BROKEN_MODEL] = {SSW_ERR_FORMAT, "tokenizer.ggml.model is missing"},
        [BROKEN_MODEL_NAME] = {SSW_ERR_UNSUPPORTED, "tokenizer.ggml.model is 'bert'"},
        [BROKEN_PRE] = {SSW_ERR_FORMAT, "tokenizer.ggml.pre is missing or not a string"},
        [BROKEN_TOKENS] = {SSW_ERR_FORMAT, "tokenizer.ggml.tokens is missing, empty"},
        [BROKEN_TOKENS_TYPE] = {SSW_ERR_FORMAT,
                                "tokenizer.ggml.tokens is missing, empty or not a list of strings"},
        [BROKEN_TYPES] = {SSW_ERR_FORMAT, "tokenizer.ggml.token_type is not a list of 4"},
        [BROKEN_MERGES] = {SSW_ERR_FORMAT, "tokenizer.ggml.merges is missing"},
        [BROKEN_EOS] = {SSW_ERR_FORMAT, "tokenizer.ggml.eos_token_id is not a token of the vocabulary of 4"},
        [BROKEN_CONTROL] = {SSW_ERR_LIMIT, "control token 3 is longer than 256 bytes"},
        [BROKEN_NOTHING] = {SSW_OK, ""},
    };
    char path[64];
    snprintf(path, sizeof path, "/tmp/ssw-broken-%ld.gguf", (long)getpid());
    for (int broken = 0; broken <= BROKEN_NOTHING; broken++) {
        ssw_error err = {0};
        ssw_gguf *gguf;
        ssw_tokenizer *tokenizer;
        write_broken(path, (broken_key)broken);
        assert_int_equal(ssw_gguf_open(path, &gguf, &err), SSW_OK);
        ssw_status status = ssw_tokenizer_open(gguf, &tokenizer, &err);
        if (status != faults[broken].status || !strstr(err.message, faults[broken].fault) ||
            (status != SSW_OK && strncmp(err.message, path, strlen(path)) != 0))
            fail_msg("case %d: %s: '%s'", broken, ssw_status_name(status), err.message);
        ssw_tokenizer_close(tokenizer);
        ssw_gguf_close(gguf);
    }
    unlink(path);
}

enum { THREADS = 4 };

static void *encode_many(void *context)
{
    static const char text[] = "<|start|>hello world, it's 2025 \xf0\x9f\x8c\x8d\xff aaaaaaa<|end|>";
    const ssw_tokenizer *tokenizer = context;
    uintptr_t sum = 0;
    for (int round = 0; round < 500; round++) {
        ssw_tokens tokens = {0};
        if (ssw_tokenizer_encode(tokenizer, text, sizeof text - 1, round % 2 == 0, &tokens, NULL) == SSW_OK) {
            for (size_t i = 0; i < tokens.n; i++)
                sum = sum * 31 + (uintptr_t)tokens.ids[i];
        }
        ssw_tokens_deinit(&tokens);
    }
    return (void *)sum;
}

/* One tokenizer, several threads; ThreadSanitizer watches in `make tsan`. */
static void shared_by_threads(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&(vocab_options){0});
    pthread_t threads[THREADS];
    void *alone = encode_many(tokenizer), *together;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_many, tokenizer), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &together), 0);
        assert_ptr_equal(together, alone);
    }
    ssw_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_by_rank),
        cmocka_unit_test(special_tokens),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(long_words_in_good_time),
        cmocka_unit_test(stages_of_expressions),
        cmocka_unit_test(limits),
        cmocka_unit_test(streams_whole_characters),
        cmocka_unit_test(bad_vocabularies),
        cmocka_unit_test(broken_keys),
        cmocka_unit_test(shared_by_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
