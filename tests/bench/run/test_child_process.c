/* Supervision: a server ends when it shall, and cannot outlive whoever started it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "base/clock.h"
#include "bench/run/child_process.h"
#include "bench/telemetry/proc_usage.h"

enum { WORDS_MAX = 16 };

static const char *const environment[] = {"PATH=/usr/bin:/bin", "SEEN=yes", NULL};
static const char log_name[] = "test_child_process.log";

/* words[0] NULL: the fake server. */
static ssw_child *start(const char *path, const char *const *words)
{
    const char *argv[WORDS_MAX] = {path};
    ssw_error err = {0};
    ssw_child *child;
    for (int i = 0; words[i]; i++)
        argv[i + 1] = words[i];
    unlink(log_name);
    const ssw_child_options options = {
        .argv = argv, .envp = environment, .log_path = log_name, .header = "==== head"};
    if (ssw_child_start(&options, &child, &err))
        fail_msg("%s", err.message);
    return child;
}

static bool is_alive(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[2] != 'Z' && end[2] != 'X';
}

static bool dies_within(pid_t pid, int64_t limit_ns)
{
    int64_t until_ns = ssw_clock_now_ns() + limit_ns;
    while (is_alive(pid) && ssw_clock_now_ns() < until_ns)
        usleep(2000);
    return !is_alive(pid);
}

static void test_exit_code_environment_and_log(void **state)
{
    (void)state;
    char text[256] = "";
    ssw_child_end end = {0};
    ssw_child *child =
        start("/bin/sh", (const char *const[]){"-c", "echo out $SEEN; echo err >&2; exit 7", NULL});
    assert_true(ssw_child_spawn_ns(child) < ssw_clock_now_ns());
    assert_true(ssw_child_has_ended(child, 5 * SSW_NS_PER_S, &end));
    assert_int_equal(end.exit_code, 7);
    assert_int_equal(end.exit_signal, 0);
    ssw_child_close(child);
    FILE *file = fopen(log_name, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "==== head\nout yes\nerr\n");
}

static void test_crash_is_seen(void **state)
{
    (void)state;
    ssw_child_end end = {0};
    ssw_child *child = start("/bin/sh", (const char *const[]){"-c", "kill -SEGV $$", NULL});
    assert_true(ssw_child_has_ended(child, 5 * SSW_NS_PER_S, &end));
    assert_int_equal(end.exit_signal, SIGSEGV);
    ssw_child_close(child);
}

static void test_cannot_start(void **state)
{
    (void)state;
    const char *argv[] = {"/nonexistent/server", NULL};
    const ssw_child_options options = {.argv = argv, .envp = environment, .log_path = log_name, .header = ""};
    ssw_child *child;
    ssw_error err = {0};
    assert_int_equal(ssw_child_start(&options, &child, &err), SSW_ERR_IO);
    assert_string_equal(err.message, "/nonexistent/server: cannot start it: No such file or directory");
    assert_null(child);
}

static void test_term_then_kill(void **state)
{
    (void)state;
    ssw_child_end end = {0};
    ssw_child *child = start("/bin/sleep", (const char *const[]){"100", NULL});
    pid_t pid = ssw_child_pid(child);
    assert_false(ssw_child_has_ended(child, 0, NULL));
    assert_int_equal(getpgid(pid), pid);
    ssw_child_stop(child, 5 * SSW_NS_PER_S, &end);
    assert_int_equal(end.exit_signal, SIGTERM);
    assert_false(end.killed);
    assert_false(is_alive(pid));
    ssw_child_close(child);

    child = start("/bin/sh", (const char *const[]){"-c", "trap '' TERM; while :; do sleep 0.05; done", NULL});
    pid = ssw_child_pid(child);
    usleep(100000); /* until the trap is set */
    ssw_child_stop(child, 100 * SSW_NS_PER_MS, &end);
    assert_int_equal(end.exit_signal, SIGKILL);
    assert_true(end.killed);
    assert_false(is_alive(pid));
    ssw_child_close(child);
}

/* A process of the server that left its session and lost its parent. */
static pid_t read_pid(const char *path)
{
    int pid = 0;
    for (int i = 0; i < 500 && !pid; i++) {
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%d", &pid) != 1)
                pid = 0;
            fclose(file);
        }
        usleep(5000);
    }
    assert_true(pid > 0);
    return pid;
}

static const char daemon_script[] = "setsid sh -c 'echo $$ > daemon.pid; exec sleep 100' & sleep 100";

static void test_daemons_are_killed_too(void **state)
{
    (void)state;
    unlink("daemon.pid");
    ssw_child *child = start("/bin/sh", (const char *const[]){"-c", daemon_script, NULL});
    pid_t daemon_pid = read_pid("daemon.pid");
    assert_true(is_alive(daemon_pid));
    ssw_child_stop(child, SSW_NS_PER_S, NULL);
    assert_false(is_alive(daemon_pid));
    ssw_child_close(child);
    unlink("daemon.pid");
}

/* kill -9 of the one who started it: server and daemon must be gone soon after. */
static void test_kill_9_leaves_nothing(void **state)
{
    (void)state;
    int fds[2], pid = 0;
    unlink("daemon.pid");
    assert_int_equal(pipe(fds), 0);
    pid_t bench = fork();
    assert_true(bench >= 0);
    if (bench == 0) {
        ssw_child *child = start("/bin/sh", (const char *const[]){"-c", daemon_script, NULL});
        int value = ssw_child_pid(child);
        ssize_t put = write(fds[1], &value, sizeof value);
        (void)put;
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &pid, sizeof pid), sizeof pid);
    pid_t daemon_pid = read_pid("daemon.pid");
    assert_true(is_alive(pid) && is_alive(daemon_pid));
    kill(bench, SIGKILL);
    waitpid(bench, NULL, 0);
    assert_true(dies_within(pid, 5 * SSW_NS_PER_S));
    assert_true(dies_within(daemon_pid, 5 * SSW_NS_PER_S));
    close(fds[0]);
    close(fds[1]);
    unlink("daemon.pid");
}

static void test_a_killed_keeper_takes_the_server_along(void **state)
{
    (void)state;
    ssw_child_end end = {0};
    ssw_child *child = start("/bin/sleep", (const char *const[]){"100", NULL});
    pid_t pid = ssw_child_pid(child);
    char path[64];
    int keeper = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &keeper), 1);
    fclose(file);
    kill(keeper, SIGKILL);
    assert_true(ssw_child_has_ended(child, 5 * SSW_NS_PER_S, &end));
    assert_true(dies_within(pid, 5 * SSW_NS_PER_S));
    ssw_child_close(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_code_environment_and_log),
        cmocka_unit_test(test_crash_is_seen),
        cmocka_unit_test(test_cannot_start),
        cmocka_unit_test(test_term_then_kill),
        cmocka_unit_test(test_daemons_are_killed_too),
        cmocka_unit_test(test_kill_9_leaves_nothing),
        cmocka_unit_test(test_a_killed_keeper_takes_the_server_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
