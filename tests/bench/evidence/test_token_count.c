/* Token counts with the demo model's tokenizer, and what counts as agreement with a server. argv[1]: the
 * model. */
#include <stdio.h>
#include <string.h>

#include "../../cmocka_all.h"

#include "bench/evidence/token_count.h"

static const char *model;

static void test_counts_are_those_of_the_parts(void **state)
{
    (void)state;
    ssw_token_counter *counter;
    ssw_text_count both, content, empty;
    ssw_tokens ids = {0};
    ssw_error err = {0};
    if (ssw_token_counter_open(model, &counter, &err))
        fail_msg("%s", err.message);
    assert_int_equal(
        ssw_token_counter_count(counter, "Explain quantum computing", "a thought", NULL, &both, NULL),
        SSW_OK);
    assert_int_equal(
        ssw_token_counter_count(counter, "Explain quantum computing", NULL, &ids, &content, NULL), SSW_OK);
    assert_int_equal(ssw_token_counter_count(counter, "", "", NULL, &empty, NULL), SSW_OK);
    assert_int_equal(ids.n, content.tokens);
    ssw_tokens_deinit(&ids);
    assert_true(content.tokens >= 3 && content.tokens_reasoning == 0);
    assert_true(both.tokens_reasoning >= 2);
    assert_int_equal(both.tokens, both.tokens_reasoning + content.tokens);
    assert_int_equal(empty.tokens, 0);
    /* SHA-256 of no bytes (FIPS 180-4's own example) */
    assert_string_equal(empty.ids_sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_not_equal(both.ids_sha256, content.ids_sha256);
    /* a control token in the text is text: more than one token */
    assert_int_equal(ssw_token_counter_count(counter, "<|return|>", NULL, NULL, &content, NULL), SSW_OK);
    assert_true(content.tokens > 1);
    ssw_token_counter_close(counter);
    assert_int_not_equal(ssw_token_counter_open("absent.gguf", &counter, &err), SSW_OK);
    assert_non_null(strstr(err.message, "absent.gguf"));
}

static void test_agreement(void **state)
{
    (void)state;
    ssw_sample sample = {.has_usage = true, .usage = {.completion_tokens = 100}};
    assert_false(ssw_token_count_disagrees(&sample, 100));
    assert_false(ssw_token_count_disagrees(&sample, 97));
    assert_false(ssw_token_count_disagrees(&sample, 100 - SSW_TOKEN_COUNT_CONTROL_MAX));
    assert_true(ssw_token_count_disagrees(&sample, 99 - SSW_TOKEN_COUNT_CONTROL_MAX));
    assert_true(ssw_token_count_disagrees(&sample, 101));
    sample.usage.completion_tokens = SSW_EVIDENCE_NONE;
    assert_false(ssw_token_count_disagrees(&sample, 5));
    sample.has_timings = true;
    sample.timings.predicted_n = 4;
    assert_true(ssw_token_count_disagrees(&sample, 5));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_those_of_the_parts),
        cmocka_unit_test(test_agreement),
    };
    model = argc > 1 ? argv[1] : "models/demo.gguf";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
