/* The client against the known-answer server: texts, kinds, counts, faults, and its times frame by frame. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "../spawn_fake.h"
#include "base/clock.h"
#include "bench/client/http_client.h"

static const char request_text[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"see saw\"}], \"max_tokens\": 40, "
    "\"stream\": true, \"stream_options\": {\"include_usage\": true}}";

typedef struct talk {
    fake_process fake;
    ssw_client *client;
    ssw_arena arena;
    ssw_sample sample;
    int n_observed, first_text_at;
} talk;

static void observe(void *context, const ssw_frame *frame)
{
    talk *t = context;
    if (t->first_text_at < 0 && (frame->kind == SSW_FRAME_CONTENT || frame->kind == SSW_FRAME_REASONING))
        t->first_text_at = t->n_observed;
    t->n_observed++;
}

static void wait_ready(ssw_client *client)
{
    for (int i = 0; i < 400; i++) {
        long code;
        ssw_strbuf body;
        ssw_strbuf_init(&body, 4096);
        ssw_status status = ssw_client_get(client, "/health", SSW_NS_PER_S, &code, &body, NULL);
        ssw_strbuf_deinit(&body);
        if (!status && code == 200)
            return;
        usleep(5000);
    }
    fail_msg("the known-answer server does not become ready");
}

static ssw_status talk_to(talk *t, const char *options, int64_t silence_ns, ssw_error *err)
{
    *t = (talk){.first_text_at = -1};
    t->fake = fake_start(options);
    const ssw_client_options client_options = {.port = t->fake.port,
                                               .cancel_fd = -1,
                                               .connect_timeout_ns = SSW_NS_PER_S,
                                               .silence_timeout_ns = silence_ns};
    assert_int_equal(ssw_client_open(&client_options, &t->client, err), SSW_OK);
    ssw_arena_init(&t->arena, 64 << 20);
    wait_ready(t->client);
    t->sample.request = request_text;
    return ssw_client_chat(t->client, &t->arena, &t->sample, observe, t, err);
}

static void end_talk(talk *t)
{
    ssw_client_close(t->client);
    ssw_arena_deinit(&t->arena);
    fake_stop(&t->fake);
}

static void test_a_whole_reply(void **state)
{
    (void)state;
    talk t;
    ssw_error err = {0};
    assert_int_equal(talk_to(&t, "--tokens 5 --reasoning 2 --role-first --timings 1", SSW_NS_PER_S, &err),
                     SSW_OK);
    const ssw_sample *s = &t.sample;
    assert_null(s->error);
    assert_int_equal(s->http_status, 200);
    assert_string_equal(s->reasoning, " the sea");
    assert_string_equal(s->text, " saw a plank");
    assert_string_equal(s->finish_reason, "stop");
    static const ssw_frame_kind kinds[] = {SSW_FRAME_ROLE,    SSW_FRAME_REASONING, SSW_FRAME_REASONING,
                                           SSW_FRAME_CONTENT, SSW_FRAME_CONTENT,   SSW_FRAME_CONTENT,
                                           SSW_FRAME_FINISH,  SSW_FRAME_USAGE,     SSW_FRAME_DONE};
    assert_int_equal(s->n_frames, 9);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(s->frames[i].kind, kinds[i]);
    assert_int_equal(t.n_observed, 9);
    assert_int_equal(t.first_text_at, 1);
    assert_true(s->has_usage && s->has_timings);
    assert_int_equal(s->usage.prompt_tokens, 2);
    assert_int_equal(s->usage.completion_tokens, 5);
    assert_int_equal(s->timings.cache_n, 1);
    assert_int_equal(s->timings.prompt_n, 1);
    assert_true(s->start_ns < s->send_ns && s->send_ns <= s->sent_ns && s->send_ns < s->frames[0].t_ns &&
                s->frames[8].t_ns <= s->end_ns);
    end_talk(&t);
}

static void expect_failure(const char *options, int64_t silence_ns, ssw_status expected, const char *words)
{
    talk t;
    ssw_error err = {0};
    ssw_status status = talk_to(&t, options, silence_ns, &err);
    if (status != expected || !t.sample.error || !strstr(t.sample.error, words))
        fail_msg("%s: status %s, error \"%s\"", options, ssw_status_name(status),
                 t.sample.error ? t.sample.error : "(none)");
    assert_null(strchr(t.sample.error, '\n'));
    end_talk(&t);
}

static void test_faults(void **state)
{
    (void)state;
    expect_failure("--tokens 9 --fault http", SSW_NS_PER_S, SSW_ERR_USAGE, "HTTP 500: the model fell over");
    expect_failure("--tokens 9 --fault garbage", SSW_NS_PER_S, SSW_ERR_FORMAT,
                   "holds no frame of a stream (Content-Type: text/event-stream)");
    expect_failure("--tokens 9 --fault html", SSW_NS_PER_S, SSW_ERR_FORMAT,
                   "holds no frame of a stream (Content-Type: text/html)");
    expect_failure("--tokens 9 --fault close --fault-at 3", SSW_NS_PER_S, SSW_ERR_UNAVAILABLE,
                   "broke the connection");
    expect_failure("--tokens 9 --fault die-stream --fault-at 3", SSW_NS_PER_S, SSW_ERR_UNAVAILABLE, "broke");
    expect_failure("--tokens 9 --fault hang --fault-at 3", 100 * SSW_NS_PER_MS, SSW_ERR_TIMEOUT,
                   "no byte for 0.1 s");
    expect_failure("--tokens 9 --fault stream-error --fault-at 3", SSW_NS_PER_S, SSW_ERR_USAGE,
                   "out of luck");
}

static void test_what_came_before_a_fault_is_kept(void **state)
{
    (void)state;
    talk t;
    assert_int_equal(talk_to(&t, "--tokens 9 --itl-ms 5 --fault close --fault-at 3", SSW_NS_PER_S, NULL),
                     SSW_ERR_UNAVAILABLE);
    assert_int_equal(t.sample.n_frames, 3);
    assert_string_equal(t.sample.text, " the sea saw");
    end_talk(&t);
}

static void test_cancel(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fake_process fake = fake_start("--tokens 9 --fault hang");
    const ssw_client_options options = {.port = fake.port,
                                        .cancel_fd = fds[0],
                                        .connect_timeout_ns = SSW_NS_PER_S,
                                        .silence_timeout_ns = SSW_NS_PER_S};
    ssw_client *client;
    ssw_arena arena;
    ssw_arena_init(&arena, 1 << 20);
    assert_int_equal(ssw_client_open(&options, &client, NULL), SSW_OK);
    wait_ready(client);
    assert_int_equal(write(fds[1], "x", 1), 1);
    ssw_sample sample = {.request = request_text};
    int64_t begin_ns = ssw_clock_now_ns();
    assert_int_equal(ssw_client_chat(client, &arena, &sample, NULL, NULL, NULL), SSW_ERR_CANCELLED);
    assert_true(ssw_clock_now_ns() - begin_ns < SSW_NS_PER_S / 2);
    ssw_client_close(client);
    ssw_arena_deinit(&arena);
    fake_stop(&fake);
    close(fds[0]);
    close(fds[1]);
}

static void test_nobody_there(void **state)
{
    (void)state;
    fake_process fake = fake_start("");
    fake_stop(&fake);
    const ssw_client_options options = {.port = fake.port,
                                        .cancel_fd = -1,
                                        .connect_timeout_ns = SSW_NS_PER_S,
                                        .silence_timeout_ns = SSW_NS_PER_S};
    ssw_client *client;
    ssw_strbuf body;
    ssw_error err;
    long code;
    ssw_strbuf_init(&body, 4096);
    assert_int_equal(ssw_client_open(&options, &client, NULL), SSW_OK);
    assert_int_equal(ssw_client_get(client, "/health", SSW_NS_PER_S, &code, &body, &err),
                     SSW_ERR_UNAVAILABLE);
    assert_string_equal(err.message, "connection refused");
    ssw_client_close(client);
    ssw_strbuf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_reply),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_what_came_before_a_fault_is_kept),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_nobody_there),
    };
    curl_global_init(CURL_GLOBAL_ALL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
