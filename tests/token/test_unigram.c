/* SentencePiece's unigram model with a small vocabulary: the best sum of scores, runs of the unknown, what
 * normalisation does, long texts in good time, and clear errors. That ids are SentencePiece's own is
 * unigram_reference's. */
#include "../cmocka_all.h"

#include <string.h>

#include "token/charsmap.h"
#include "token_check.h"

static const vocab_options plain = {.sentencepiece = true, .unigram = true};

static void cuts_for_the_best_sum(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&plain);
    expect_split_and_back(tokenizer, "hello world", false, " hello| w|or|l|d", "hello world");
    expect_split_and_back(tokenizer, "hhello", false, " |h|hello", "hhello");
    /* of equal sums, which differ in their order only, the one whose last token is longest; BPE has five */
    expect_split_and_back(tokenizer, "aaaaaaaaaaaaaaa", false, " a|aa|aaaa|aaaaaaaa", "aaaaaaaaaaaaaaa");
    expect_split_and_back(tokenizer, "   hello", false, "    |hello", "   hello");
    expect_split_and_back(tokenizer, "", false, "", "");
    expect_split_and_back(tokenizer, "a▁a", false, " a| a", "a a"); /* the mark is a space */
    expect_split_and_back(tokenizer, "<s>hello</s> a", true, "<s>| hello|</s>|  |a", "<s>hello</s> a");
    expect_split(tokenizer, "<s>", false, " |<|s|>"); /* users cannot write it */
    assert_false(ssw_tokenizer_special(tokenizer).add_bos);
    ssw_tokenizer_close(tokenizer);
}

static void what_has_no_token(void **state)
{
    ssw_tokenizer *tokenizer = open_vocabulary(&plain);
    expect_split_and_back(tokenizer, "中€a", false, " |中|\xe2|\x82|\xac|a", "中€a");
    expect_split_and_back(tokenizer, "\xff\xe2\x82z", false,
                          " |\xef|\xbf|\xbd|\xef|\xbf|\xbd|\xef|\xbf|\xbd|z",
                          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    ssw_tokenizer_close(tokenizer);
    vocab_options options = plain;
    options.without_byte = 0x82;
    tokenizer = open_vocabulary(&options); /* a run of them is one unknown token */
    expect_split(tokenizer, "€€z€", false, " |<unk>|z|<unk>");
    ssw_tokenizer_close(tokenizer);
    options.without_unknown = true;
    tokenizer = open_vocabulary(&options);
    ssw_error err = {0};
    ssw_tokens tokens = {0};
    assert_int_equal(ssw_tokenizer_encode(tokenizer, "a€", 4, false, &tokens, &err), SSW_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no token for the bytes of '€'"));
    ssw_tokens_deinit(&tokens);
    ssw_tokenizer_close(tokenizer);
}

/* A trie of one entry, 'B', which becomes "a": unit 0 leads to 'B' ^ 1; that unit has a value, which stands
 * at its own place ^ 2. */
enum { TRIE_UNITS = 80, ENTRY = 'B' ^ 1, VALUE = ENTRY ^ 2 };

static size_t write_charsmap(uint8_t *table)
{
    uint32_t units[TRIE_UNITS] = {
        [0] = 1 << 10, [ENTRY] = 2 << 10 | 1 << 8 | 'B', [VALUE] = UINT32_C(1) << 31 | 1};
    uint32_t n_trie = sizeof units;
    memcpy(table, &n_trie, sizeof n_trie);
    memcpy(table + sizeof n_trie, units, sizeof units);
    memcpy(table + sizeof n_trie + sizeof units, "\0a", 3);
    return sizeof n_trie + sizeof units + 3;
}

static void normalises(void **state)
{
    uint8_t table[4 * (TRIE_UNITS + 1) + 3];
    vocab_options options = plain;
    options.removes_extra_spaces = true;
    options.charsmap = table;
    options.n_charsmap_bytes = write_charsmap(table);
    ssw_tokenizer *tokenizer = open_vocabulary(&options);
    expect_split(tokenizer, "  hello   BB  ", false, " hello| a|a");
    expect_split(tokenizer, "   ", false, "");
    expect_split(tokenizer, "bBC", false, " |b|a|C");
    ssw_tokenizer_close(tokenizer);
    options.without_space_prefix = true;
    tokenizer = open_vocabulary(&options);
    expect_split(tokenizer, " hello  B ", false, "hello| a");
    ssw_tokenizer_close(tokenizer);
}

static void refuses_bad_charsmaps(void **state)
{
    uint8_t table[4 * (TRIE_UNITS + 1) + 3];
    size_t n_bytes = write_charsmap(table), n_taken, n_out;
    ssw_charsmap map;
    ssw_error err = {0};
    for (size_t n = 0; n < n_bytes; n++) {
        ssw_status status = ssw_charsmap_init(&map, table, n, &err);
        /* whatever is cut off: texts without an end, or no whole trie; but "" alone is a text */
        assert_int_equal(status, n == n_bytes - 2 ? SSW_OK : SSW_ERR_FORMAT);
        if (status == SSW_OK) {
            ssw_charsmap_match(&map, "B", 1, &n_taken, &n_out); /* its replacement is not there */
            assert_int_equal(n_taken, 1);
            ssw_charsmap_deinit(&map);
        }
    }
    table[4 + 4 * ENTRY + 2] = 0xff; /* a way far out of the trie */
    assert_int_equal(ssw_charsmap_init(&map, table, n_bytes, &err), SSW_OK);
    assert_memory_equal(ssw_charsmap_match(&map, "Bx", 2, &n_taken, &n_out), "Bx", 1);
    assert_int_equal(n_out, 1);
    ssw_charsmap_deinit(&map);
}

static void long_texts_in_good_time(void **state)
{
    static const char *const units[] = {"a", "h", " ", "\n", "中", "€", "hello ", "\xff"};
    ssw_tokenizer *tokenizer = open_vocabulary(&plain);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t n = count_tokens_of_megabyte(tokenizer, units[u], "");
        assert_true(u > 0 || n >= (1 << 20) / 8);
    }
    ssw_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_for_the_best_sum),
        cmocka_unit_test(what_has_no_token),
        cmocka_unit_test(normalises),
        cmocka_unit_test(refuses_bad_charsmaps),
        cmocka_unit_test(long_texts_in_good_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
