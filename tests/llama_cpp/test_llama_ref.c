/* The harness itself: a demo model answers through it, the same way whether tokens come at once or one by
 * one, and after a reset. Argument: MODEL.gguf */
#include "../cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "llama_ref.h"

enum { PROMPT_MAX = 64, ANSWER_TOKENS = 24 };

static const char *model_path;

static size_t answer(ssw_llama *llama, bool one_by_one, int32_t ids[ANSWER_TOKENS])
{
    static const char prompt[] = "<|start|>user<|message|>Write a haiku about AI<|end|><|start|>assistant";
    ssw_error err = {0};
    int32_t tokens[PROMPT_MAX];
    size_t n, n_answer = 0;
    assert_int_equal(ssw_llama_tokenize(llama, prompt, strlen(prompt), true, tokens, PROMPT_MAX, &n, &err),
                     SSW_OK);
    for (size_t i = 0; i < n; i += one_by_one ? 1 : n)
        assert_int_equal(ssw_llama_eval(llama, tokens + i, one_by_one ? 1 : n, false, &err), SSW_OK);
    while (n_answer < ANSWER_TOKENS) {
        int32_t id = ssw_llama_greedy(llama);
        if (ssw_llama_is_end(llama, id))
            break;
        ids[n_answer++] = id;
        assert_int_equal(ssw_llama_eval(llama, &id, 1, false, &err), SSW_OK);
    }
    return n_answer;
}

static void answers_alike(void **state)
{
    const ssw_llama_options options = {.model_path = model_path,
                                       .flags = SSW_LLAMA_KV_F32 | SSW_LLAMA_NO_FLASH};
    ssw_error err = {0};
    ssw_llama *llama;
    int32_t first[ANSWER_TOKENS], second[ANSWER_TOKENS];
    if (ssw_llama_open(&options, &llama, &err) != SSW_OK)
        fail_msg("%s", err.message);
    size_t n = answer(llama, false, first);
    assert_true(n > 4);
    for (size_t i = 0; i < n; i++) {
        char piece[256];
        printf("%.*s", (int)ssw_llama_piece(llama, first[i], piece, sizeof piece), piece);
    }
    printf("\n");
    ssw_llama_reset(llama);
    assert_int_equal(answer(llama, true, second), n);
    assert_memory_equal(first, second, n * sizeof *first);
    ssw_llama_close(llama);
}

static void refuses(void **state)
{
    ssw_llama *llama;
    ssw_error err = {0};
    const ssw_llama_options nowhere = {.libraries = "/no/such", .model_path = model_path};
    assert_int_equal(ssw_llama_open(&nowhere, &llama, &err), SSW_ERR_UNAVAILABLE);
    const ssw_llama_options no_model = {.model_path = "/no/such.gguf"};
    assert_int_equal(ssw_llama_open(&no_model, &llama, &err), SSW_ERR_FORMAT);
    assert_null(llama);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_alike), cmocka_unit_test(refuses)};
    if (argc != 2)
        return 2;
    model_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
