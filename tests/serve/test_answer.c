/* Answers on the wire, byte for byte: the shapes are those of OpenAI's API reference and of llama-server's
 * and ollama's documentation. */
#include "../cmocka_all.h"

#include <string.h>

#include "base/clock.h"
#include "serve/answer_format.h"
#include "serve/wire_text.h"

static const ssw_answer chat = {
    .kind = SSW_REQUEST_CHAT,
    .id = "chatcmpl-1",
    .model = "m",
    .created_unix_s = 1700000000,
    .n_prompt = 11,
    .finish_reason = "stop",
    .timings = {.prompt_n = 8, .cache_n = 3, .predicted_n = 4, .prompt_ns = 2000000, .predicted_ns = 8000000},
    .total_ns = 10000000,
};

/* value is stolen. */
static void expect(json_t *value, const char *expected)
{
    ssw_strbuf text;
    ssw_strbuf_init(&text, 10000);
    ssw_wire_append(&text, value);
    assert_string_equal(ssw_strbuf_text(&text), expected);
    ssw_strbuf_deinit(&text);
    json_decref(value);
}

#define CHUNK                                                                                                \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\","    \
    "\"choices\":["
#define TIMINGS                                                                                              \
    "\"timings\":{\"cache_n\":3,\"prompt_n\":8,\"prompt_ms\":2.0,\"prompt_per_token_ms\":0.25,\"prompt_per_" \
    "second\":4000.0,"                                                                                       \
    "\"predicted_n\":4,\"predicted_ms\":8.0,\"predicted_per_token_ms\":2.0,\"predicted_per_second\":500.0,"  \
    "\"queue_ms\":0.0}"
#define USAGE                                                                                                \
    "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":4,\"total_tokens\":15,\"prompt_tokens_details\":" \
    "{"                                                                                                      \
    "\"cached_tokens\":3}}"

static void chat_chunks(void **state)
{
    (void)state;
    expect(ssw_answer_role_piece(&chat), CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
                                               "\"\"},\"finish_reason\":null,\"logprobs\":null}]}");
    expect(ssw_answer_piece(&chat, "h\xc3\xa9", 3, "", 0, NULL), CHUNK
           "{\"index\":0,\"delta\":{\"content\":\"h\xc3\xa9\"},\"finish_reason\":null,\"logprobs\":null}]}");
    expect(
        ssw_answer_piece(&chat, "", 0, "why", 3, NULL), CHUNK
        "{\"index\":0,\"delta\":{\"reasoning_content\":\"why\"},\"finish_reason\":null,\"logprobs\":null}]}");
    expect(ssw_answer_last_piece(&chat, NULL),
           CHUNK "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"logprobs\":null}]," TIMINGS "}");
    expect(ssw_answer_usage_piece(&chat), CHUNK "]," USAGE "," TIMINGS "}");
}

static void chat_whole(void **state)
{
    (void)state;
    expect(
        ssw_answer_whole(&chat, "hi", 2, "why", 3, NULL),
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m\","
        "\"choices\":[{"
        "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\",\"reasoning_content\":\"why\"},"
        "\"finish_reason\":\"stop\",\"logprobs\":null}]," USAGE "," TIMINGS "}");
}

static void completion_with_logprobs(void **state)
{
    (void)state;
    ssw_answer answer = chat;
    answer.kind = SSW_REQUEST_COMPLETION;
    answer.wants_logprobs = true;
    json_t *entries =
        json_pack("[{s:s, s:f, s:[i], s:[{s:s, s:f}, {s:s, s:f}]}]", "token", "a", "logprob", -0.5, "bytes",
                  97, "top_logprobs", "token", "a", "logprob", -0.5, "token", "b", "logprob", -1.5);
    expect(ssw_answer_piece(&answer, "a", 1, "", 0, entries),
           "{\"id\":\"chatcmpl-1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"m\","
           "\"choices\":[{"
           "\"index\":0,\"text\":\"a\",\"finish_reason\":null,\"logprobs\":{\"tokens\":[\"a\"],\"token_"
           "logprobs\":[-0.5],"
           "\"top_logprobs\":[{\"a\":-0.5,\"b\":-1.5}]}}]}");
}

static void ollama_lines(void **state)
{
    (void)state;
    ssw_answer answer = chat;
    answer.kind = SSW_REQUEST_GENERATE;
    expect(ssw_answer_piece(&answer, "hi", 2, "", 0, NULL),
           "{\"model\":\"m\",\"created_at\":\"2023-11-14T22:13:20Z\",\"response\":\"hi\",\"done\":false}");
    expect(ssw_answer_last_piece(&answer, NULL),
           "{\"model\":\"m\",\"created_at\":\"2023-11-14T22:13:20Z\",\"response\":\"\",\"done\":true,\"done_"
           "reason\":"
           "\"stop\",\"total_duration\":10000000,\"load_duration\":0,\"prompt_eval_count\":11,\"prompt_eval_"
           "duration\":"
           "2000000,\"eval_count\":4,\"eval_duration\":8000000," TIMINGS "}");
}

static void faults_are_openais(void **state)
{
    (void)state;
    ssw_http_fault fault;
    ssw_fault_set(&fault, 400, "stop", "no \"quotes\" %d", 5);
    expect(ssw_fault_to_json(&fault),
           "{\"error\":{\"message\":\"no \\\"quotes\\\" 5\",\"type\":\"invalid_request_error\","
           "\"param\":\"stop\",\"code\":null}}");
    ssw_fault_set(&fault, 401, NULL, "key");
    fault.code = "invalid_api_key";
    expect(ssw_fault_to_json(&fault),
           "{\"error\":{\"message\":\"key\",\"type\":\"authentication_error\",\"param\":null,"
           "\"code\":\"invalid_api_key\"}}");
}

static void no_time_gives_no_rate(void **state)
{
    (void)state;
    const ssw_job_timings none = {0};
    json_t *timings = ssw_answer_timings(&none);
    assert_true(json_real_value(json_object_get(timings, "predicted_per_second")) == 0.0);
    assert_true(json_real_value(json_object_get(timings, "prompt_per_token_ms")) == 0.0);
    json_decref(timings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_chunks),
        cmocka_unit_test(chat_whole),
        cmocka_unit_test(completion_with_logprobs),
        cmocka_unit_test(ollama_lines),
        cmocka_unit_test(faults_are_openais),
        cmocka_unit_test(no_time_gives_no_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
