/* The client's times against the known-answer server's own, frame by frame: the issue asks for 0.5 ms.
 *
 * Both read CLOCK_MONOTONIC: the server just before it sends a frame and just after it has read the request,
 * the client as docs/METHOD.md defines. The error of a frame is the difference. A machine that runs other
 * work at the same time can delay any single wake-up by milliseconds, so the test tolerates this much: of up
 * to five replies of 101 frames, one must have the time of sending, the median and the 90th percentile of its
 * frames within 0.5 ms, and no frame early. It prints the median, the 90th percentile and the largest of
 * every try. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "../spawn_fake.h"
#include "base/clock.h"
#include "bench/client/http_client.h"

enum { TRIES = 5, FRAMES_MAX = 128, LIMIT_NS = 500000 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The last reply in the server's file. */
static int read_times(const char *path, int64_t *request_ns, int64_t *frames_ns)
{
    FILE *file = fopen(path, "r");
    char line[128];
    int n = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        int index;
        long long t_ns;
        if (sscanf(line, "request %d %lld", &index, &t_ns) == 2) {
            *request_ns = t_ns;
            n = 0;
        } else if (sscanf(line, "frame %d %lld", &index, &t_ns) == 2 && index < FRAMES_MAX) {
            frames_ns[n++] = t_ns;
        }
    }
    fclose(file);
    return n;
}

static bool try_once(ssw_client *client, const char *path, int number)
{
    ssw_arena arena;
    ssw_sample sample = {
        .request = "{\"messages\": [{\"content\": \"see saw\"}], \"max_tokens\": 98, \"stream\": true}"};
    int64_t request_ns = 0, sent_ns[FRAMES_MAX], late_ns[FRAMES_MAX];
    ssw_arena_init(&arena, 64 << 20);
    assert_int_equal(ssw_client_chat(client, &arena, &sample, NULL, NULL, NULL), SSW_OK);
    usleep(20000); /* the server writes its times after the last frame */
    int n = read_times(path, &request_ns, sent_ns);
    assert_int_equal(n, 101);
    assert_int_equal(sample.n_frames, 101);
    int64_t send_error_ns = request_ns - sample.send_ns;
    for (int i = 0; i < n; i++) {
        late_ns[i] = sample.frames[i].t_ns - sent_ns[i];
        assert_true(late_ns[i] >= 0); /* a frame cannot be received before it is sent */
    }
    int64_t ttft_error_ns = late_ns[0];
    qsort(late_ns, (size_t)n, sizeof *late_ns, compare);
    print_message("try %d: send %+.3f ms, first frame %.3f ms, frames median %.3f, p90 %.3f, max %.3f ms\n",
                  number, (double)send_error_ns / 1e6, (double)ttft_error_ns / 1e6,
                  (double)late_ns[n / 2] / 1e6, (double)late_ns[n * 9 / 10] / 1e6,
                  (double)late_ns[n - 1] / 1e6);
    ssw_arena_deinit(&arena);
    return llabs(send_error_ns) <= LIMIT_NS && late_ns[n / 2] <= LIMIT_NS && late_ns[n * 9 / 10] <= LIMIT_NS;
}

static void test_times_within_half_a_millisecond(void **state)
{
    (void)state;
    char path[] = "seesaw-times-XXXXXX", options[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(options, sizeof options, "--ttft-ms 30 --itl-ms 4 --times %s", path);
    fake_process fake = fake_start(options);
    const ssw_client_options client_options = {.port = fake.port,
                                               .cancel_fd = -1,
                                               .connect_timeout_ns = SSW_NS_PER_S,
                                               .silence_timeout_ns = SSW_NS_PER_S};
    ssw_client *client;
    assert_int_equal(ssw_client_open(&client_options, &client, NULL), SSW_OK);
    bool good = false;
    for (int i = 1; i <= TRIES && !good; i++)
        good = try_once(client, path, i);
    ssw_client_close(client);
    fake_stop(&fake);
    unlink(path);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times_within_half_a_millisecond)};
    curl_global_init(CURL_GLOBAL_ALL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
