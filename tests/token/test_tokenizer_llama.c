/* Token ids, pieces and end tokens against llama.cpp's own tokenizer, on a GGUF: llama.cpp's libraries from
 * npm are the reference. Texts keep to what both define alike; what llama.cpp's form of the gpt-4o expression
 * does otherwise (combining marks, capitals outside ASCII) is compared with the publisher's in
 * test_tokenizer_reference. Argument: MODEL.gguf */
#include "../cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama_ref.h"
#include "token/tokenizer.h"

enum { IDS_MAX = 1 << 20, RANDOM_TEXTS = 500 };

static ssw_llama *llama;
static ssw_tokenizer *tokenizer;

static void expect_same(const char *text, size_t n_bytes, bool parse_special)
{
    static int32_t theirs[IDS_MAX];
    ssw_tokens ours = {0};
    ssw_error err = {0};
    size_t n;
    assert_int_equal(ssw_llama_tokenize(llama, text, n_bytes, parse_special, theirs, IDS_MAX, &n, &err),
                     SSW_OK);
    if (ssw_tokenizer_encode(tokenizer, text, n_bytes, parse_special, &ours, &err) != SSW_OK)
        fail_msg("%s", err.message);
    if (ours.n != n || (n > 0 && memcmp(ours.ids, theirs, n * sizeof *theirs) != 0)) {
        for (size_t i = 0; i < ours.n && i < 50; i++)
            printf(" %d", ours.ids[i]);
        printf(" (ours)\n");
        for (size_t i = 0; i < n && i < 50; i++)
            printf(" %d", theirs[i]);
        printf(" (llama.cpp)\n");
        fail_msg("differs: '%.*s'", (int)(n_bytes < 200 ? n_bytes : 200), text);
    }
    ssw_tokens_deinit(&ours);
}

static void fixed_texts(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "Hello, world!",
        "I'll say it's what they'd've don't DON'T I'LL 'tis",
        "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n",
        "a  b   c\n\n\n d\r\n\te \n x   ",
        "1 22 333 4444 55555 3.14",
        "👩‍👩‍👧‍👦 👍🏽",
        "你好，世界。",
        "مرحبا بالعالم",
        "Привет, мир",
        "café naïve — “x”…",
        "\t\t\n  \n\n   end",
        "https://example.org/a/b?c=d //\n//",
        "!!!???\r\n\r\n",
        "snake_case CamelCase HTTPServer iPhone15Pro",
        "\xc2\xa0nbsp\xe3\x80\x80wide",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_same(texts[i], strlen(texts[i]), false);
}

static void control_tokens(void **state)
{
    static const char text[] = "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|"
                               "> ok <|return|><|call|><|end";
    expect_same(text, sizeof text - 1, true);
}

static void random_texts(void **state)
{
    static const char *const pieces[] = {"a",   "b",  "Z", "e", "t",  " ",   "  ", "\n", "\r\n", "\t",
                                         "0",   "12", "7", "'", "'s", "'LL", ".",  ",",  "!?",   "/",
                                         "_",   "(",  "é", "ß", "ж",  "我",  "の", "한", "👍",    "the",
                                         "ing", "“",  "…", "€", "=",  "-",   "<|", "|>"};
    uint64_t seed = 1;
    for (int i = 0; i < RANDOM_TEXTS; i++) {
        char text[512] = "";
        for (int n = 1 + i % 40; n > 0; n--) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            strcat(text, pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)]);
        }
        expect_same(text, strlen(text), false);
    }
}

static void pieces_and_ends(void **state)
{
    assert_int_equal(ssw_tokenizer_vocab_size(tokenizer), ssw_llama_vocab_size(llama));
    for (int32_t id = 0; id < ssw_tokenizer_vocab_size(tokenizer); id++) {
        char theirs[1024];
        size_t n, n_theirs = ssw_llama_piece(llama, id, theirs, sizeof theirs);
        const char *ours = ssw_tokenizer_piece(tokenizer, id, &n);
        if (n != n_theirs || memcmp(ours, theirs, n) != 0)
            fail_msg("token %d: '%.*s', llama.cpp '%.*s'", id, (int)n, ours, (int)n_theirs, theirs);
        /* By its name llama.cpp also ends at Qwen's "</s>", which is ordinary text there. */
        bool is_text = !ssw_tokenizer_is_control(tokenizer, id) && !ssw_tokenizer_is_end(tokenizer, id);
        if (!is_text && ssw_tokenizer_is_end(tokenizer, id) != ssw_llama_is_end(llama, id))
            fail_msg("token %d '%.*s': ends generation %d, in llama.cpp %d", id, (int)n, ours,
                     ssw_tokenizer_is_end(tokenizer, id), ssw_llama_is_end(llama, id));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_texts),
        cmocka_unit_test(control_tokens),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(pieces_and_ends),
    };
    ssw_gguf *gguf = NULL;
    ssw_error err = {0};
    if (argc != 2)
        return 2;
    const ssw_llama_options options = {.model_path = argv[1], .flags = SSW_LLAMA_VOCAB_ONLY};
    if (ssw_gguf_open(argv[1], &gguf, &err) != SSW_OK ||
        ssw_tokenizer_open(gguf, &tokenizer, &err) != SSW_OK ||
        ssw_llama_open(&options, &llama, &err) != SSW_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    int code = cmocka_run_group_tests(tests, NULL, NULL);
    ssw_llama_close(llama);
    ssw_tokenizer_close(tokenizer);
    ssw_gguf_close(gguf);
    return code;
}
