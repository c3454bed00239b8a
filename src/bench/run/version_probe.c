/* Runs PATH --version with its output on a pipe. */
#include "bench/run/version_probe.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { OUTPUT_BYTES_MAX = 16384, TIMEOUT_S = 5 };

static pid_t spawn(const char *path, const char *const *environment, int out_fd)
{
    const char *const argv[] = {path, "--version", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDERR_FILENO);
    if (posix_spawn(&pid, path, &actions, NULL, (char *const *)(uintptr_t)argv,
                    (char *const *)(uintptr_t)environment))
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Reads to the end of the output or to the deadline. */
static void read_output(int fd, char *text, size_t size)
{
    size_t n = 0;
    int64_t until_ns = ssw_clock_now_ns() + TIMEOUT_S * SSW_NS_PER_S;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (n + 1 < size) {
        int64_t left_ns = until_ns - ssw_clock_now_ns();
        if (left_ns <= 0 || poll(&wait, 1, (int)(left_ns / SSW_NS_PER_MS) + 1) <= 0)
            break;
        ssize_t got = read(fd, text + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
}

static bool pick_line(const char *text, char *out, size_t size)
{
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        bool digit = false;
        for (size_t i = 0; i < n; i++)
            digit = digit || isdigit((unsigned char)line[i]);
        if (digit) {
            size_t kept = n < size - 1 ? n : size - 1;
            memcpy(out, line, kept);
            out[kept] = '\0';
            for (char *c = out; *c; c++) {
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                    *c = ' ';
            }
            return true;
        }
        line += n + (line[n] == '\n');
    }
    return false;
}

bool ssw_version_probe(const char *path, const char *const *environment, char *out, size_t size)
{
    char text[OUTPUT_BYTES_MAX] = "";
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return false;
    pid_t pid = spawn(path, environment, fds[1]);
    close(fds[1]);
    if (pid > 0) {
        read_output(fds[0], text, sizeof text);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    close(fds[0]);
    return pid > 0 && pick_line(text, out, size);
}
