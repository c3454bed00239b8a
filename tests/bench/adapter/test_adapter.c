/* Adapters: the table, what is asked of each server, what is read of its streams and its log.
 *
 * The streams are those of transcripts/, written by hand after each server's documentation (see the README
 * there); log lines are of the forms that the servers print. tests/cli/test_foreign.sh drives a real foreign
 * engine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cmocka_all.h"

#include "bench/adapter/adapter.h"
#include "bench/client/completion.h"
#include "bench/client/json_lines.h"

typedef struct reading { /* one transcript on its way through the readers */
    ssw_wire wire;
    ssw_completion reply;
    char kinds[64]; /* one letter for each frame: role, reasoning (t), content, finish, usage, done, empty,
                       other (x) */
} reading;

static ssw_status take(void *context, const ssw_sse_event *event, ssw_error *err)
{
    static const char letters[SSW_FRAME_KIND_COUNT] = {'c', 't', 'l', 'f', 'r', 'e', 'u', 'd', 'x'};
    reading *r = context;
    ssw_frame frame = {0};
    ssw_status status = r->wire == SSW_WIRE_OLLAMA
                            ? ssw_completion_push_ollama(&r->reply, event->data, event->n_data, &frame, err)
                            : ssw_completion_push(&r->reply, event->data, event->n_data, &frame, err);
    r->kinds[strlen(r->kinds)] = letters[frame.kind];
    return status;
}

static char *read_file(const char *name, size_t *n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("TRANSCRIPTS"), name);
    FILE *file = fopen(path, "rb");
    char *text = malloc(65536);
    assert_non_null(file);
    assert_non_null(text);
    *n = fread(text, 1, 65536, file);
    fclose(file);
    return text;
}

/* Pushes the transcript in pieces of n_piece bytes. */
static void read_transcript(reading *r, ssw_arena *arena, const char *name, size_t n_piece)
{
    size_t n;
    char *text = read_file(name, &n);
    ssw_sse_parser sse;
    ssw_json_lines lines;
    r->wire = strstr(name, "ndjson") ? SSW_WIRE_OLLAMA : SSW_WIRE_OPENAI;
    memset(r->kinds, 0, sizeof r->kinds);
    ssw_completion_init(&r->reply, arena);
    ssw_sse_init(&sse, take, r);
    ssw_json_lines_init(&lines, take, r);
    for (size_t at = 0; at < n; at += n_piece) {
        size_t piece = n - at < n_piece ? n - at : n_piece;
        ssw_status status = r->wire == SSW_WIRE_OLLAMA
                                ? ssw_json_lines_push(&lines, text + at, piece, 1, NULL)
                                : ssw_sse_push(&sse, text + at, piece, 1, NULL);
        assert_int_equal(status, SSW_OK);
    }
    assert_false(ssw_sse_is_torn(&sse) || ssw_json_lines_are_torn(&lines));
    ssw_sse_deinit(&sse);
    ssw_json_lines_deinit(&lines);
    free(text);
}

static const struct {
    const char *file, *kinds, *content, *reasoning, *finish;
    int64_t prompt_tokens, completion_tokens, cached_tokens; /* -1: no usage */
    double prompt_ms, predicted_ms;                          /* -1: not given */
} expected[] = {
    {"llama_server.sse", "rtccfud", "See saw", "Hm", "length", 11, 3, 0, 20.5, 30.25},
    {"llama_server_completion.sse", "ccfd", "See saw", "", "stop", -1, -1, -1, -1, -1},
    {"vllm.sse", "rccfud", "See saw", "", "length", 9, 2, 4, -1, -1},
    {"shimmy.sse", "rccfd", "See saw", "", "stop", -1, -1, -1, -1, -1},
    {"ollama_generate.ndjson", "tccd", "See saw", "Hm", "length", 12, 3, SSW_EVIDENCE_NONE, 20.5, 30.25},
    {"ollama_chat.ndjson", "ccd", "See saw", "", "stop", 12, 3, SSW_EVIDENCE_NONE, 20.5, 30.25},
};

static void test_stream_forms(void **state)
{
    (void)state;
    static const size_t pieces[] = {65536, 1, 7};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            reading r;
            ssw_arena arena;
            ssw_arena_init(&arena, 1 << 20);
            read_transcript(&r, &arena, expected[i].file, pieces[k]);
            assert_string_equal(r.kinds, expected[i].kinds);
            assert_string_equal(ssw_strbuf_text(&r.reply.content), expected[i].content);
            assert_string_equal(ssw_strbuf_text(&r.reply.reasoning), expected[i].reasoning);
            assert_string_equal(r.reply.finish_reason, expected[i].finish);
            assert_true(r.reply.done && !r.reply.error);
            assert_int_equal(r.reply.has_usage, expected[i].prompt_tokens >= 0);
            if (r.reply.has_usage) {
                assert_int_equal(r.reply.usage.prompt_tokens, expected[i].prompt_tokens);
                assert_int_equal(r.reply.usage.completion_tokens, expected[i].completion_tokens);
                assert_int_equal(r.reply.usage.cached_tokens, expected[i].cached_tokens);
            }
            assert_int_equal(r.reply.has_timings, expected[i].prompt_ms >= 0);
            if (r.reply.has_timings)
                assert_true(r.reply.timings.prompt_ms == expected[i].prompt_ms &&
                            r.reply.timings.predicted_ms == expected[i].predicted_ms);
            ssw_completion_deinit(&r.reply);
            ssw_arena_deinit(&arena);
        }
    }
}

static void test_an_error_in_mid_stream(void **state)
{
    (void)state;
    reading r;
    ssw_arena arena;
    ssw_arena_init(&arena, 1 << 20);
    read_transcript(&r, &arena, "ollama_error.ndjson", 3);
    assert_string_equal(r.kinds, "cx");
    assert_string_equal(r.reply.error, "an error was encountered while running the model");
    assert_false(r.reply.done);
    ssw_completion_deinit(&r.reply);
    ssw_arena_deinit(&arena);
}

static int top_logprobs; /* of the requests that follow */

static void expect_body(const char *name, ssw_plan_ask how, bool fixed, const char *body)
{
    const ssw_ask ask = {"m", "say \"x\"", how, 7, 0.5, 42, fixed, top_logprobs};
    const ssw_adapter *adapter = ssw_adapter_find(name);
    assert_non_null(adapter);
    char *made = ssw_adapter_make_body(adapter, &ask);
    assert_string_equal(made, body);
    free(made);
}

static void test_requests(void **state)
{
    (void)state;
#define CHAT                                                                                                 \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"say \\\"x\\\"\"}],\"max_tokens\":7,"    \
    "\"temperature\":0.5,\"stream\":true"
#define SEED ",\"seed\":42,\"stream_options\":{\"include_usage\":true}"
    expect_body("llama-server", SSW_PLAN_ASK_CHAT, true,
                CHAT SEED ",\"cache_prompt\":false,\"ignore_eos\":true}");
    expect_body("seesaw", SSW_PLAN_ASK_CHAT, false, CHAT SEED ",\"cache_prompt\":false}");
    expect_body("vllm", SSW_PLAN_ASK_CHAT, true, CHAT SEED ",\"ignore_eos\":true}");
    expect_body("openai", SSW_PLAN_ASK_CHAT, false, CHAT SEED "}");
    expect_body("shimmy", SSW_PLAN_ASK_CHAT, false, CHAT "}");
    expect_body("openai", SSW_PLAN_ASK_COMPLETION, false,
                "{\"model\":\"m\",\"prompt\":\"say \\\"x\\\"\",\"max_tokens\":7,\"temperature\":0.5,"
                "\"stream\":true" SEED "}");
    expect_body("ollama", SSW_PLAN_ASK_CHAT, false,
                "{\"model\":\"m\",\"prompt\":\"say \\\"x\\\"\",\"stream\":true,\"raw\":false,\"options\":"
                "{\"num_predict\":7,\"temperature\":0.5,\"seed\":42}}");
    expect_body("ollama", SSW_PLAN_ASK_COMPLETION, false,
                "{\"model\":\"m\",\"prompt\":\"say \\\"x\\\"\",\"stream\":true,\"raw\":true,\"options\":"
                "{\"num_predict\":7,\"temperature\":0.5,\"seed\":42}}");
    top_logprobs = 5;
    expect_body("openai", SSW_PLAN_ASK_CHAT, false, CHAT SEED ",\"logprobs\":true,\"top_logprobs\":5}");
    expect_body("shimmy", SSW_PLAN_ASK_CHAT, false, CHAT "}");
    top_logprobs = 0;
}

/* Frames carry the items of choices[0].logprobs.content; the reply has them all, in order, as they came. */
static void test_logprobs_are_kept(void **state)
{
    (void)state;
    static const char *const frames[] = {
        "{\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"logprobs\":null}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"ab\"},\"logprobs\":{\"content\":[{\"token\":\"a\","
        "\"logprob\":-1},"
        "{\"token\":\"b\",\"logprob\":-2}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"c\"},\"logprobs\":{\"content\":[{\"token\":\"c\","
        "\"logprob\":-3}]}}]}"};
    const size_t n_items[] = {0, 2, 3};
    ssw_arena arena;
    ssw_completion reply;
    ssw_arena_init(&arena, 1 << 20);
    ssw_completion_init(&reply, &arena);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        ssw_frame frame = {0};
        assert_int_equal(ssw_completion_push(&reply, frames[i], strlen(frames[i]), &frame, NULL), SSW_OK);
        assert_int_equal(json_array_size(reply.logprobs), n_items[i]);
    }
    assert_string_equal(json_string_value(json_object_get(json_array_get(reply.logprobs, 2), "token")), "c");
    ssw_completion_deinit(&reply);
    ssw_arena_deinit(&arena);
}

static void test_the_table(void **state)
{
    (void)state;
    static const char *const names[] = {"seesaw", "llama-server", "shimmy", "vllm", "ollama", "openai"};
    ssw_arena arena;
    ssw_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const ssw_adapter *adapter = ssw_adapter_find(names[i]);
        assert_non_null(adapter);
        assert_non_null(strstr(ssw_adapter_names(), names[i]));
        assert_true(adapter->title && adapter->argv && adapter->ready_path[0] == '/' &&
                    adapter->models_path[0] == '/' && adapter->models_key && adapter->model_key &&
                    adapter->chat_path[0] == '/' && adapter->make_request && adapter->prompt_cache &&
                    adapter->own_times);
    }
    assert_null(ssw_adapter_find("nobody"));
    assert_ptr_equal(ssw_adapter_of_program("/opt/x/ollama"), ssw_adapter_find("ollama"));
    assert_ptr_equal(ssw_adapter_of_program("my-server"), ssw_adapter_find("llama-server"));
    assert_string_equal(ssw_adapter_fill(&arena, "127.0.0.1:{port}", "x", 80), "127.0.0.1:80");
    assert_string_equal(ssw_adapter_fill(&arena, "{model}", "a b", 80), "a b");
    ssw_arena_deinit(&arena);
}

static void expect_buffer(const char *name, const char *line, const char *device, const char *use,
                          int64_t bytes)
{
    ssw_server_buffer buffer;
    const ssw_adapter *adapter = ssw_adapter_find(name);
    if (!adapter->read_log_line(line, &buffer))
        fail_msg("%s: nothing read from: %s", name, line);
    assert_string_equal(buffer.device, device);
    assert_string_equal(buffer.use, use);
    assert_int_equal(buffer.bytes, bytes);
}

static void test_logs(void **state)
{
    (void)state;
    static const int64_t mib = 1 << 20;
    expect_buffer("llama-server", "load_tensors:        CUDA0 model buffer size =  5459.50 MiB\n", "CUDA0",
                  "model", 5459 * mib + mib / 2);
    expect_buffer("llama-server", "load_tensors:   CPU_Mapped model buffer size =   308.00 MiB\n",
                  "CPU_Mapped", "model", 308 * mib);
    expect_buffer("llama-server", "llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB\n", "CUDA0", "KV",
                  512 * mib);
    expect_buffer("llama-server", "llm_load_tensors:      CUDA0 buffer size =  2.00 MiB\n", "CUDA0", "model",
                  2 * mib);
    expect_buffer("shimmy", "llama_context:        CPU  output buffer size =     0.50 MiB\n", "CPU", "output",
                  mib / 2);
    expect_buffer("seesaw", "  experts            CUDA0   repacked             8355840         8355841\n",
                  "CUDA0", "experts", 8355841);
    expect_buffer("seesaw", "  kv cache           CPU     allocated            3080192         3080193\n",
                  "CPU", "kv cache", 3080193);
    expect_buffer("vllm",
                  "INFO 11-20 12:00:00 [gpu_model_runner.py:1] Model loading took 1.5000 GiB and 4 seconds\n",
                  "", "model", 1536 * mib);
    expect_buffer(
        "ollama",
        "time=x level=INFO source=device.go:240 msg=\"model weights\" device=CUDA0 size=\"4.5 GiB\"\n",
        "CUDA0", "model weights", 4608 * mib);
    static const char *const silent[] = {
        "",
        "buffer size = ",
        "load_tensors: x buffer size = many MiB",
        "  total                                          24581824        24581824\n",
        "x: CUDA0 model buffer size = 1.0 parsecs",
        "msg= device= size="};
    static const char *const names[] = {"seesaw", "llama-server", "shimmy", "vllm", "ollama"};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            ssw_server_buffer buffer;
            if (ssw_adapter_find(names[k])->read_log_line(silent[i], &buffer))
                fail_msg("%s reads a buffer from: %s", names[k], silent[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_forms), cmocka_unit_test(test_an_error_in_mid_stream),
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_logprobs_are_kept),
        cmocka_unit_test(test_the_table),    cmocka_unit_test(test_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
