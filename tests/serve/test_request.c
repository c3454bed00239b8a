/* Request bodies: what is read from good ones, and by which name bad ones are refused. */
#include "../cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "serve/generation_request.h"

static void expect_fault(ssw_request_kind kind, const char *body, const char *param, const char *words)
{
    ssw_generation_request request;
    ssw_http_fault fault = {0};
    if (ssw_generation_request_parse(kind, body, strlen(body), &request, &fault))
        fail_msg("accepted: %s", body);
    assert_int_equal(fault.status, 400);
    if (strcmp(fault.param, param) != 0 || !strstr(fault.message, words))
        fail_msg("%s\n  gave '%s' (param '%s')\n  expected '%s' (param '%s')", body, fault.message,
                 fault.param, words, param);
}

static void read(ssw_request_kind kind, const char *body, ssw_generation_request *request)
{
    ssw_http_fault fault = {0};
    if (!ssw_generation_request_parse(kind, body, strlen(body), request, &fault))
        fail_msg("%s\n  refused: %s", body, fault.message);
}

static void chat_is_read(void **state)
{
    (void)state;
    ssw_generation_request r;
    read(SSW_REQUEST_CHAT,
         "{\"model\":\"x\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one "
         "\"},{\"type\":\"text\",\"text\":\"two\"}]},"
         "{\"role\":\"assistant\",\"content\":null}],\"max_tokens\":5,\"max_completion_tokens\":7,"
         "\"temperature\":0.25,"
         "\"top_p\":0.5,\"top_k\":4,\"min_p\":0.125,\"repeat_penalty\":1.5,\"seed\":7,\"stop\":[\"END\",\"\","
         "\"\\n\"],"
         "\"ignore_eos\":true,\"logprobs\":true,\"top_logprobs\":3,\"n\":1,\"cache_prompt\":false,"
         "\"reasoning_effort\":\"high\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
         "\"unknown\":{}}",
         &r);
    assert_int_equal(r.n_messages, 3);
    assert_int_equal(r.messages[0].role, SSW_CHAT_SYSTEM);
    assert_string_equal(r.messages[0].content, "Be brief.");
    assert_int_equal(r.messages[1].role, SSW_CHAT_USER);
    assert_string_equal(r.messages[1].content, "one two");
    assert_int_equal(r.messages[1].n_bytes, 7);
    assert_int_equal(r.messages[2].n_bytes, 0);
    assert_int_equal(r.max_tokens, 7);
    assert_true(r.sampling.temperature == 0.25f && r.sampling.top_p == 0.5f && r.sampling.min_p == 0.125f);
    assert_true(r.sampling.repeat_penalty == 1.5f && r.sampling.top_k == 4);
    assert_true(r.has_seed && r.sampling.seed == 7);
    assert_int_equal(r.n_stops, 2);
    assert_string_equal(r.stops[0].bytes, "END");
    assert_true(r.ignore_eos && r.wants_logprobs && r.stream && r.include_usage && !r.cache_prompt);
    assert_int_equal(r.n_top_logprobs, 3);
    assert_int_equal(r.effort, SSW_CHAT_EFFORT_HIGH);
    ssw_generation_request_deinit(&r);
}

static void defaults_are_llama_servers(void **state)
{
    (void)state;
    ssw_generation_request r;
    read(SSW_REQUEST_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"temperature\":null}", &r);
    ssw_sampling expected;
    ssw_sampling_init(&expected);
    assert_true(r.sampling.temperature == expected.temperature && r.sampling.top_k == 40);
    assert_true(!r.stream && !r.include_usage && !r.wants_logprobs && !r.ignore_eos && !r.has_seed &&
                r.cache_prompt);
    assert_int_equal(r.max_tokens, -1);
    ssw_generation_request_deinit(&r);
}

static void completion_is_read(void **state)
{
    (void)state;
    ssw_generation_request r;
    read(SSW_REQUEST_COMPLETION, "{\"prompt\":\"a\\u00e9\",\"logprobs\":2,\"stop\":\"x\",\"max_tokens\":3.0}",
         &r);
    assert_string_equal(r.prompt, "a\xc3\xa9");
    assert_int_equal(r.n_prompt_bytes, 3);
    assert_int_equal(r.n_stops, 1);
    assert_int_equal(r.max_tokens, 3);
    assert_true(r.wants_logprobs);
    assert_int_equal(r.n_top_logprobs, 2);
    ssw_generation_request_deinit(&r);
    read(SSW_REQUEST_COMPLETION, "{\"prompt\":[5,6,7],\"logprobs\":0}", &r);
    assert_null(r.prompt);
    assert_int_equal(r.n_prompt_ids, 3);
    assert_int_equal(r.prompt_ids[2], 7);
    assert_true(r.wants_logprobs && r.n_top_logprobs == 0);
    ssw_generation_request_deinit(&r);
    read(SSW_REQUEST_COMPLETION, "{\"prompt\":[\"only one\"]}", &r);
    assert_string_equal(r.prompt, "only one");
    ssw_generation_request_deinit(&r);
}

static void generate_is_read(void **state)
{
    (void)state;
    ssw_generation_request r;
    read(SSW_REQUEST_GENERATE,
         "{\"prompt\":\"p\",\"system\":\"s\",\"temperature\":1,\"options\":{\"num_predict\":9,"
         "\"temperature\":0.5,"
         "\"stop\":[\"z\"],\"seed\":3}}",
         &r);
    assert_true(r.stream); /* unless told otherwise */
    assert_int_equal(r.n_messages, 2);
    assert_int_equal(r.messages[0].role, SSW_CHAT_SYSTEM);
    assert_string_equal(r.messages[1].content, "p");
    assert_int_equal(r.max_tokens, 9);
    assert_true(r.sampling.temperature == 0.5f && r.has_seed && r.n_stops == 1);
    ssw_generation_request_deinit(&r);
    read(SSW_REQUEST_GENERATE, "{\"prompt\":\"p\",\"raw\":true,\"stream\":false,\"max_tokens\":4}", &r);
    assert_int_equal(r.n_messages, 0);
    assert_int_equal(r.max_tokens, 4);
    assert_false(r.stream);
    ssw_generation_request_deinit(&r);
}

static void wrong_bodies_are_named(void **state)
{
    (void)state;
    const char *user = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],";
    static const struct {
        const char *rest, *param, *words;
    } wrong[] = {
        {"\"temperature\":\"hot\"}", "temperature", "must be a number"},
        {"\"temperature\":-1}", "temperature", "between 0 and 100"},
        {"\"top_p\":1.5}", "top_p", "between 0 and 1"},
        {"\"top_k\":2.5}", "top_k", "must be an integer"},
        {"\"max_tokens\":\"5\"}", "max_tokens", "must be an integer"},
        {"\"max_tokens\":-2}", "max_tokens", "between -1"},
        {"\"max_completion_tokens\":true}", "max_completion_tokens", "must be an integer"},
        {"\"seed\":\"x\"}", "seed", "must be an integer"},
        {"\"seed\":1e300}", "seed", "must be an integer"},
        {"\"stop\":5}", "stop", "string or an array"},
        {"\"stop\":[\"a\",1]}", "stop", "string or an array"},
        {"\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\","
         "\"f\",\"g\",\"h\"]}",
         "stop", "more than 16"},
        {"\"stream\":\"yes\"}", "stream", "true or false"},
        {"\"stream_options\":7}", "stream_options", "must be an object"},
        {"\"stream_options\":{\"include_usage\":1}}", "include_usage", "true or false"},
        {"\"ignore_eos\":0}", "ignore_eos", "true or false"},
        {"\"logprobs\":3}", "logprobs", "true or false"},
        {"\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs", "between 0 and 20"},
        {"\"top_logprobs\":2}", "top_logprobs", "needs 'logprobs'"},
        {"\"n\":2}", "n", "must be 1"},
        {"\"reasoning_effort\":\"huge\"}", "reasoning_effort", "low, medium or high"},
        {"\"model\":4}", "model", "must be a string"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char body[512];
        snprintf(body, sizeof body, "%s%s", user, wrong[i].rest);
        expect_fault(SSW_REQUEST_CHAT, body, wrong[i].param, wrong[i].words);
    }
    expect_fault(SSW_REQUEST_CHAT, "", "", "no body");
    expect_fault(SSW_REQUEST_CHAT, "{\"messages\":[", "", "not valid JSON");
    expect_fault(SSW_REQUEST_CHAT, "[]", "", "must be a JSON object");
    expect_fault(SSW_REQUEST_CHAT, "{}", "messages", "at least one");
    expect_fault(SSW_REQUEST_CHAT, "{\"messages\":[]}", "messages", "at least one");
    expect_fault(SSW_REQUEST_CHAT, "{\"messages\":[5]}", "messages", "'messages[0]' must be an object");
    expect_fault(SSW_REQUEST_CHAT, "{\"messages\":[{\"content\":\"x\"}]}", "messages",
                 "role' must be one of");
    expect_fault(SSW_REQUEST_CHAT, "{\"messages\":[{\"role\":\"user\"}]}", "messages",
                 "content' must be a string");
    expect_fault(
        SSW_REQUEST_CHAT,
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}",
        "messages", "only text");
    expect_fault(SSW_REQUEST_COMPLETION, "{}", "prompt", "string or an array of tokens");
    expect_fault(SSW_REQUEST_COMPLETION, "{\"prompt\":[]}", "prompt", "string or an array of tokens");
    expect_fault(SSW_REQUEST_COMPLETION, "{\"prompt\":[\"a\",\"b\"]}", "prompt", "one prompt");
    expect_fault(SSW_REQUEST_COMPLETION, "{\"prompt\":[1,-2]}", "prompt", "prompt[1]");
    expect_fault(SSW_REQUEST_COMPLETION, "{\"prompt\":\"x\",\"logprobs\":\"y\"}", "logprobs",
                 "must be an integer");
    expect_fault(SSW_REQUEST_GENERATE, "{\"prompt\":\"x\",\"options\":[]}", "options", "must be an object");
    expect_fault(SSW_REQUEST_GENERATE, "{\"prompt\":\"x\",\"options\":{\"seed\":\"a\"}}", "seed",
                 "must be an integer");
    char *deep = calloc(1, 70000);
    assert_non_null(deep);
    memset(deep, '[', 69999); /* deeper than the parser goes: refused, not a crash */
    expect_fault(SSW_REQUEST_CHAT, deep, "", "not valid JSON");
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_is_read),           cmocka_unit_test(defaults_are_llama_servers),
        cmocka_unit_test(completion_is_read),     cmocka_unit_test(generate_is_read),
        cmocka_unit_test(wrong_bodies_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
