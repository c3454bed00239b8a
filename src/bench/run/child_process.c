/* The bench's side of a supervised server: starts the keeper and listens to it. */
#include "bench/run/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/run/keeper.h"

enum { START_TIMEOUT_S = 30, GONE_TIMEOUT_S = 10 };

struct ssw_child {
    pid_t keeper, pid;
    int control_fd, report_fd;
    int64_t spawn_ns;
    bool ended, gone;
    ssw_child_end end;
};

/* Takes one record from the keeper; false when none comes in time. The keeper's death counts as the server's.
 */
static bool take_report(ssw_child *server, int64_t timeout_ns, ssw_keeper_report *out)
{
    struct pollfd fd = {.fd = server->report_fd, .events = POLLIN};
    int64_t until_ns = ssw_clock_now_ns() + timeout_ns;
    for (;;) {
        int64_t left_ns = until_ns - ssw_clock_now_ns();
        int ready = poll(&fd, 1, left_ns > 0 ? (int)(left_ns / SSW_NS_PER_MS) + 1 : 0);
        if (ready > 0)
            break;
        if (ready == 0 && left_ns <= 0)
            return false;
    }
    if (read(server->report_fd, out, sizeof *out) != (ssize_t)sizeof *out)
        *out = (ssw_keeper_report){.event = SSW_KEEPER_GONE, .t_ns = ssw_clock_now_ns()};
    return true;
}

static void note_report(ssw_child *server, const ssw_keeper_report *record)
{
    if (record->event == SSW_KEEPER_ENDED) {
        server->ended = true;
        server->end.end_ns = record->t_ns;
        server->end.exit_code = WIFEXITED(record->value) ? WEXITSTATUS(record->value) : -1;
        server->end.exit_signal = WIFSIGNALED(record->value) ? WTERMSIG(record->value) : 0;
    } else if (record->event == SSW_KEEPER_GONE) {
        if (!server->ended) { /* only if the keeper was killed: PR_SET_PDEATHSIG has killed the server */
            server->ended = true;
            server->end.end_ns = record->t_ns;
            server->end.exit_code = -1;
            server->end.exit_signal = SIGKILL;
        }
        server->gone = true;
    }
}

static ssw_status open_log(const ssw_child_options *options, int *fd, ssw_error *err)
{
    *fd = open(options->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (*fd < 0 || dprintf(*fd, "%s\n", options->header) < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", options->log_path);
    return SSW_OK;
}

static ssw_status fork_keeper(ssw_child *server, const ssw_child_options *options, int log_fd, ssw_error *err)
{
    int control[2], reports[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no socket pair");
    if (pipe2(reports, O_CLOEXEC)) {
        close(control[0]);
        close(control[1]);
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no pipe");
    }
    server->keeper = fork();
    if (server->keeper == 0) {
        const ssw_keeper_options keeper = {.argv = options->argv,
                                           .envp = options->envp,
                                           .log_fd = log_fd,
                                           .control_fd = control[0],
                                           .report_fd = reports[1]};
        ssw_keeper_main(&keeper);
    }
    int error_number = errno;
    close(control[0]);
    close(reports[1]);
    server->control_fd = control[1];
    server->report_fd = reports[0];
    if (server->keeper < 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, error_number, "cannot fork");
    return SSW_OK;
}

ssw_status ssw_child_start(const ssw_child_options *options, ssw_child **out, ssw_error *err)
{
    *out = NULL;
    int log_fd = -1;
    ssw_keeper_report record;
    ssw_child *server = calloc(1, sizeof *server);
    if (!server)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a server");
    server->control_fd = server->report_fd = -1;
    server->keeper = -1;
    ssw_status status = open_log(options, &log_fd, err);
    if (!status)
        status = fork_keeper(server, options, log_fd, err);
    if (!status && !take_report(server, START_TIMEOUT_S * SSW_NS_PER_S, &record))
        status = ssw_error_set(err, SSW_ERR_TIMEOUT, "%s: does not start", options->argv[0]);
    if (!status && record.event == SSW_KEEPER_EXEC_FAILED)
        status = ssw_error_set_errno(err, SSW_ERR_IO, record.value, "%s: cannot start it", options->argv[0]);
    else if (!status && record.event != SSW_KEEPER_STARTED)
        status = ssw_error_set(err, SSW_ERR_INTERNAL, "%s: the keeper died", options->argv[0]);
    if (log_fd >= 0)
        close(log_fd);
    if (status) {
        server->gone = true;
        ssw_child_close(server);
        return status;
    }
    server->pid = record.value;
    server->spawn_ns = record.t_ns;
    *out = server;
    return SSW_OK;
}

pid_t ssw_child_pid(const ssw_child *server)
{
    return server->pid;
}

int64_t ssw_child_spawn_ns(const ssw_child *server)
{
    return server->spawn_ns;
}

int ssw_child_fd(const ssw_child *server)
{
    return server->report_fd;
}

bool ssw_child_has_ended(ssw_child *server, int64_t timeout_ns, ssw_child_end *end)
{
    ssw_keeper_report record;
    if (!server->ended && take_report(server, timeout_ns, &record))
        note_report(server, &record);
    if (server->ended && end)
        *end = server->end;
    return server->ended;
}

static void command(ssw_child *server, char what)
{
    ssize_t put =
        send(server->control_fd, &what, 1, MSG_NOSIGNAL); /* it fails only when the keeper has gone */
    (void)put;
}

void ssw_child_stop(ssw_child *server, int64_t grace_ns, ssw_child_end *end)
{
    ssw_keeper_report record;
    if (!ssw_child_has_ended(server, 0, NULL)) {
        command(server, SSW_KEEPER_TERM);
        if (!ssw_child_has_ended(server, grace_ns, NULL)) {
            server->end.killed = true;
            command(server, SSW_KEEPER_KILL);
        }
    }
    while (!server->gone && take_report(server, GONE_TIMEOUT_S * SSW_NS_PER_S, &record))
        note_report(server, &record);
    if (end)
        *end = server->end;
}

void ssw_child_close(ssw_child *server)
{
    if (!server)
        return;
    if (!server->gone)
        ssw_child_stop(server, 0, NULL);
    if (server->control_fd >= 0)
        close(server->control_fd);
    if (server->report_fd >= 0)
        close(server->report_fd);
    if (server->keeper > 0)
        waitpid(server->keeper, NULL, 0);
    free(server);
}
