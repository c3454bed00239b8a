/* One gnuplot process: spawned without a shell, fed from a temporary file, read through a pipe, killed when
 * it hangs.
 *
 * The script goes through an unlinked temporary file (memfd), so that parent and child never wait for each
 * other. */
#include "bench/report/plot_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/report/plots.h"

enum { PIECE_BYTES = 1 << 16 };

static ssw_status make_input(const ssw_strbuf *script, int *fd, ssw_error *err)
{
    *fd = memfd_create("seesaw-plot", MFD_CLOEXEC);
    size_t done = 0;
    while (*fd >= 0 && done < script->n_bytes) {
        ssize_t n = write(*fd, script->data + done, script->n_bytes - done);
        if (n < 0 && errno != EINTR)
            return ssw_error_set_errno(err, SSW_ERR_IO, errno, "a plot's script");
        done += n > 0 ? (size_t)n : 0;
    }
    if (*fd < 0 || lseek(*fd, 0, SEEK_SET) != 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "a plot's script");
    return SSW_OK;
}

static ssw_status spawn(const char *gnuplot, int input, int output, pid_t *pid, ssw_error *err)
{
    char name[] = "gnuplot", no_rc[] = "-d", from_input[] = "-";
    char locale[] = "LC_ALL=C.UTF-8", home[] = "HOME=/";
    char *argv[] = {name, no_rc, from_input, NULL}, *env[] = {locale, home, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    int failed = posix_spawnp(pid, gnuplot, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return ssw_error_set_errno(err, SSW_ERR_UNAVAILABLE, failed, "%.100s", gnuplot);
    return SSW_OK;
}

static ssw_status read_all(int fd, ssw_strbuf *out, ssw_error *err)
{
    static const int64_t wait_ns = SSW_PLOTS_WAIT_MAX_MS * SSW_NS_PER_MS;
    int64_t end_ns = ssw_clock_now_ns() + wait_ns;
    char piece[PIECE_BYTES];
    for (;;) {
        int64_t left_ms = (end_ns - ssw_clock_now_ns()) / SSW_NS_PER_MS;
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int ready = left_ms <= 0 ? 0 : poll(&waiting, 1, (int)left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "gnuplot did not finish within %d s",
                                 SSW_PLOTS_WAIT_MAX_MS / 1000);
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? ssw_error_set_errno(err, SSW_ERR_IO, errno, "gnuplot's output") : SSW_OK;
        ssw_strbuf_append(out, piece, (size_t)n);
        if (out->failed)
            return ssw_strbuf_check(out, "a plot", err);
    }
}

ssw_status ssw_plot_run_child(const char *gnuplot, const ssw_strbuf *script, char **drawing, size_t *n_bytes,
                              ssw_error *err)
{
    int input = -1, output[2] = {-1, -1}, result = 0;
    pid_t pid = -1;
    ssw_strbuf out;
    ssw_strbuf_init(&out, SSW_PLOTS_BYTES_MAX);
    ssw_status status = make_input(script, &input, err);
    if (!status && pipe2(output, O_CLOEXEC) != 0)
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "a pipe for gnuplot");
    if (!status)
        status = spawn(gnuplot, input, output[1], &pid, err);
    if (output[1] >= 0)
        close(output[1]);
    if (!status)
        status = read_all(output[0], &out, err);
    if (pid > 0) {
        if (status)
            kill(pid, SIGKILL);
        while (waitpid(pid, &result, 0) < 0 && errno == EINTR)
            ;
    }
    if (!status && (result != 0 || out.n_bytes == 0))
        status = ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%.100s failed", gnuplot);
    if (!status) {
        *n_bytes = out.n_bytes;
        *drawing = ssw_strbuf_take(&out);
    }
    ssw_strbuf_deinit(&out);
    if (input >= 0)
        close(input);
    if (output[0] >= 0)
        close(output[0]);
    return status;
}
