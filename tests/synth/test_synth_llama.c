/* llama.cpp reads the file of every family, tokenizes with its vocabulary and decodes without a NaN. */
#include "../cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "../gguf/gguf_files.h"
#include "../llama_cpp/llama_ref.h"
#include "tiny_model.h"

enum { PATH_MAX_BYTES = 512, N_STEPS = 8, N_IDS_MAX = 256 };

static const char prompt[] = "Write a haiku about AI: tatena, \xc3\xa9\xf0\x9f\x98\x80\n";

static void check_tokens(const ssw_llama *llama)
{
    int32_t ids[N_IDS_MAX];
    char text[1024];
    size_t n, n_bytes = 0;
    ssw_error err;
    assert_int_equal(ssw_llama_vocab_size(llama), TINY_VOCAB);
    assert_int_equal(ssw_llama_tokenize(llama, prompt, strlen(prompt), false, ids, N_IDS_MAX, &n, &err),
                     SSW_OK);
    assert_true(n > 0 && n < strlen(prompt)); /* some words were merged */
    for (size_t i = 0; i < n; i++)
        n_bytes += ssw_llama_piece(llama, ids[i], text + n_bytes, sizeof text - n_bytes);
    size_t skip = text[0] == ' ' ? 1 : 0; /* SentencePiece puts a space before the text */
    assert_int_equal(n_bytes - skip, strlen(prompt));
    assert_memory_equal(text + skip, prompt, n_bytes - skip);
}

static void check_family(const ssw_shape *published, const char *quant, double skew)
{
    char path[PATH_MAX_BYTES];
    ssw_error err = {0};
    ssw_llama *llama = NULL;
    int32_t ids[TINY_PROMPT];
    scratch_path(path, sizeof path, "llama.gguf");
    write_tiny_model(published, quant, skew, path);
    if (ssw_llama_open(&(ssw_llama_options){.model_path = path, .n_ctx = 256, .n_threads = 1}, &llama,
                       &err) != SSW_OK)
        fail_msg("%s, %s: %s", published->name, quant ? quant : "own type", err.message);
    check_tokens(llama);
    fill_tiny_prompt(ids);
    assert_int_equal(ssw_llama_eval(llama, ids, TINY_PROMPT, false, &err), SSW_OK);
    for (int step = 0; step < N_STEPS; step++) {
        expect_sane_logits(ssw_llama_logits(llama));
        ids[0] = ssw_llama_greedy(llama);
        assert_int_equal(ssw_llama_eval(llama, ids, 1, false, &err), SSW_OK);
    }
    ssw_llama_close(llama);
}

static void test_families(void **state)
{
    (void)state;
    for (size_t i = 0; i < ssw_shape_count(); i++)
        check_family(ssw_shape_at(i), NULL, 0);
}

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; tiny_quants[i]; i++)
        check_family(ssw_shape_find("qwen3-30b-a3b"), tiny_quants[i], 0);
}

static void test_skewed(void **state)
{
    (void)state;
    check_family(ssw_shape_find("gpt-oss-20b"), NULL, 1);
    check_family(ssw_shape_find("deepseek-v2-lite"), NULL, 1);
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_skewed),
    };
    return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
