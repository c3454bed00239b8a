/* The known-answer server that is built in, and the self-audit against it: what was asked of it comes out,
 * and the times of both sides are in the order that one clock allows. How small the errors are is not tested:
 * this machine may be busy. */
#include <curl/curl.h>
#include <signal.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "base/clock.h"
#include "bench/run/known_server.h"
#include "bench/run/self_audit_run.h"

static void test_an_audit(void **state)
{
    (void)state;
    ssw_self_audit audit, again;
    ssw_error err = {0};
    if (ssw_self_audit_run(-1, &audit, &err))
        fail_msg("%s", err.message);
    assert_int_equal(audit.n_requests, SSW_AUDIT_REQUESTS);
    for (size_t i = 0; i < audit.n_requests; i++) {
        const ssw_audit_request *r = &audit.requests[i];
        assert_int_equal(r->tokens_told, SSW_AUDIT_TOKENS);
        assert_int_equal(r->n_frames, SSW_AUDIT_TOKENS);
        assert_true(r->send_ns <= r->received_ns && r->sent_ns[0] >= r->received_ns + audit.ttft_ns);
        for (int k = 0; k < SSW_AUDIT_TOKENS; k++) {
            assert_true(r->sent_ns[k] >= r->received_ns + audit.ttft_ns + k * audit.gap_ns);
            assert_true(r->seen_ns[k] >= r->sent_ns[k]);
        }
    }
    json_t *object = ssw_self_audit_to_json(&audit);
    assert_int_equal(ssw_self_audit_from_json(object, &again, &err), SSW_OK);
    assert_memory_equal(&again, &audit, sizeof audit);
    json_array_remove(json_object_get(json_array_get(json_object_get(object, "requests"), 1), "seen_ns"), 0);
    assert_int_equal(ssw_self_audit_from_json(object, &again, &err), SSW_ERR_FORMAT);
    json_decref(object);
}

static void test_cancel(void **state)
{
    (void)state;
    int fds[2];
    ssw_self_audit audit;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(ssw_self_audit_run(fds[0], &audit, NULL), SSW_ERR_CANCELLED);
    close(fds[0]);
    close(fds[1]);
}

static void test_the_server_goes(void **state)
{
    (void)state;
    ssw_known_server server;
    assert_int_equal(ssw_known_server_start(&server, 0, 0, NULL), SSW_OK);
    pid_t pid = server.pid;
    assert_int_equal(kill(pid, 0), 0);
    ssw_known_server_stop(&server);
    assert_int_not_equal(kill(pid, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_audit),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_the_server_goes),
    };
    curl_global_init(CURL_GLOBAL_ALL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
