/* The keeper: forked by the bench, parent of the server. Only async-signal-safe calls: no malloc, no stdio.
 */
#include "bench/run/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { SWEEPS_MAX = 500, SWEEP_PAUSE_MS = 10, LOWEST_FREE_FD = 10 };

/* The kernel's record of getdents64(2). */
typedef struct directory_entry {
    uint64_t inode;
    int64_t next;
    unsigned short n_bytes;
    unsigned char type;
    char name[];
} directory_entry;

static void report(int fd, ssw_keeper_event event, int value, int64_t t_ns)
{
    const ssw_keeper_report record = {.event = event, .value = value, .t_ns = t_ns};
    ssize_t put = write(fd, &record, sizeof record); /* smaller than PIPE_BUF: whole or not at all */
    (void)put;
}

/* The parent of /proc/PID, or -1. "PID (name) S PPID ...": the name may hold anything, so the last ')'
 * counts. */
static int parent_of(const char *pid_text)
{
    char path[64] = "/proc/", text[512];
    strncat(path, pid_text, 16);
    strcat(path, "/stat");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    const char *p = strrchr(text, ')');
    if (!p || strlen(p) < 5)
        return -1;
    int parent = 0;
    for (p += 4; *p >= '0' && *p <= '9'; p++)
        parent = parent * 10 + (*p - '0');
    return parent;
}

/* SIGKILL to every process whose parent we are: those of the server's group, and orphans that came back to
 * us. */
static void kill_children(void)
{
    char block[8192] __attribute__((aligned(8)));
    int self = getpid();
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    for (;;) {
        long n = syscall(SYS_getdents64, fd, block, sizeof block);
        if (n <= 0)
            break;
        for (long at = 0; at < n;) {
            const directory_entry *entry = (const directory_entry *)(const void *)(block + at);
            at += entry->n_bytes;
            if (entry->name[0] < '1' || entry->name[0] > '9' || parent_of(entry->name) != self)
                continue;
            int pid = 0;
            for (const char *c = entry->name; *c >= '0' && *c <= '9'; c++)
                pid = pid * 10 + (*c - '0');
            kill(pid, SIGKILL);
        }
    }
    close(fd);
}

/* Kills until nothing is left to wait for; bounded, since a process in the kernel's hands may not die at
 * once. */
static void sweep(pid_t group, int report_fd, pid_t server, bool *ended)
{
    for (int i = 0; i < SWEEPS_MAX; i++) {
        kill(-group, SIGKILL);
        kill_children();
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == server && !*ended) {
                *ended = true;
                report(report_fd, SSW_KEEPER_ENDED, status, ssw_clock_now_ns());
            }
        }
        if (pid < 0)
            return;
        poll(NULL, 0, SWEEP_PAUSE_MS);
    }
}

/* In the server's process, up to exec. */
static noreturn void become_server(const ssw_keeper_options *options, pid_t keeper, int error_fd)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(127);
    for (int signal_number = 1; signal_number < 32; signal_number++)
        signal(signal_number, SIG_DFL); /* what the bench ignores the server shall not */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd >= 0)
        dup2(null_fd, STDIN_FILENO);
    dup2(options->log_fd, STDOUT_FILENO);
    dup2(options->log_fd, STDERR_FILENO);
    close(options->log_fd);
    close(options->control_fd);
    close(options->report_fd);
    if (null_fd > STDERR_FILENO)
        close(null_fd);
    /* execve takes pointers to non-const text and leaves it alone */
    execve(options->argv[0], (char *const *)(uintptr_t)options->argv,
           (char *const *)(uintptr_t)options->envp);
    int error_number = errno;
    ssize_t put = write(error_fd, &error_number, sizeof error_number);
    (void)put;
    _exit(127);
}

/* Forks the server; its pid, or -1 after a report of failure. */
static pid_t start_server(const ssw_keeper_options *options)
{
    int pipe_fds[2], error_number = 0;
    pid_t keeper = getpid();
    if (pipe2(pipe_fds, O_CLOEXEC)) {
        report(options->report_fd, SSW_KEEPER_EXEC_FAILED, errno, ssw_clock_now_ns());
        return -1;
    }
    int64_t spawn_ns = ssw_clock_now_ns();
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_fds[0]);
        become_server(options, keeper, pipe_fds[1]);
    }
    error_number = pid < 0 ? errno : 0;
    close(pipe_fds[1]);
    if (pid > 0 && read(pipe_fds[0], &error_number, sizeof error_number) == (ssize_t)sizeof error_number)
        waitpid(pid, NULL, 0);
    close(pipe_fds[0]);
    if (error_number) {
        report(options->report_fd, SSW_KEEPER_EXEC_FAILED, error_number, spawn_ns);
        return -1;
    }
    report(options->report_fd, SSW_KEEPER_STARTED, pid, spawn_ns);
    return pid;
}

/* Closes everything inherited but the three descriptors, which move to the lowest numbers. */
static void close_inherited(ssw_keeper_options *options)
{
    int *const kept[] = {&options->log_fd, &options->control_fd, &options->report_fd};
    for (int i = 0; i < 3; i++) /* first out of the way of 3, 4 and 5 */
        *kept[i] = fcntl(*kept[i], F_DUPFD, LOWEST_FREE_FD);
    for (int i = 0; i < 3; i++) {
        dup2(*kept[i], 3 + i);
        *kept[i] = 3 + i;
    }
    if (syscall(SYS_close_range, 6U, ~0U, 0U)) {
        for (int fd = 6; fd < 4096; fd++) /* a kernel before 5.9 */
            close(fd);
    }
}

/* Serves commands until the server has ended or the bench has gone. */
static void watch(const ssw_keeper_options *options, int signal_fd, pid_t server, bool *ended)
{
    struct pollfd fds[] = {{.fd = options->control_fd, .events = POLLIN},
                           {.fd = signal_fd, .events = POLLIN}};
    while (!*ended) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents) {
            char command;
            ssize_t n = read(options->control_fd, &command, 1);
            if (n <= 0 || command == SSW_KEEPER_KILL)
                return;
            kill(-server, SIGTERM);
        }
        if (fds[1].revents) {
            struct signalfd_siginfo info;
            int status;
            pid_t pid;
            ssize_t n = read(signal_fd, &info, sizeof info);
            (void)n;
            while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == server) {
                    *ended = true;
                    report(options->report_fd, SSW_KEEPER_ENDED, status, ssw_clock_now_ns());
                }
            }
        }
    }
}

noreturn void ssw_keeper_main(const ssw_keeper_options *given)
{
    ssw_keeper_options options = *given;
    sigset_t child, all;
    bool ended = false;
    setsid();
    close_inherited(&options);
    prctl(PR_SET_NAME, "seesaw-keeper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int signal_number = 1; signal_number < 32; signal_number++)
        signal(signal_number, SIG_DFL);
    sigfillset(&all); /* only the pipe and SIGKILL end a keeper */
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int signal_fd = signalfd(-1, &child, SFD_CLOEXEC);
    pid_t server = start_server(&options);
    if (server < 0)
        _exit(1);
    close(options.log_fd);
    watch(&options, signal_fd, server, &ended);
    sweep(server, options.report_fd, server, &ended);
    report(options.report_fd, SSW_KEEPER_GONE, 0, ssw_clock_now_ns());
    _exit(0);
}
