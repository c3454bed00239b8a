/* bwrap, prlimit and a deadline around one Python process. After fork() only async-signal-safe calls. */
#include "bench/quality/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { ARGUMENTS_MAX = 64, NUMBER_MAX = 48, NOBODY = 65534, EXEC_FAILED = 127, TMP_BYTES = 16 << 20 };

typedef struct command { /* bwrap's command line */
    const char *words[ARGUMENTS_MAX];
    char tmp_size[NUMBER_MAX], memory[NUMBER_MAX], cpu[NUMBER_MAX], processes[NUMBER_MAX];
} command;

void ssw_sandbox_options_init(ssw_sandbox_options *options)
{
    *options = (ssw_sandbox_options){
        .wall_ns = 10 * SSW_NS_PER_S, .memory_bytes = INT64_C(512) << 20, .cpu_s = 5, .processes = 16};
}

static void make_command(const ssw_sandbox_options *options, command *out)
{
    snprintf(out->tmp_size, NUMBER_MAX, "%d", TMP_BYTES);
    snprintf(out->memory, NUMBER_MAX, "--as=%lld", (long long)options->memory_bytes);
    snprintf(out->cpu, NUMBER_MAX, "--cpu=%d", options->cpu_s);
    snprintf(out->processes, NUMBER_MAX, "--nproc=%d", options->processes);
    const char *const words[] = {options->bwrap ? options->bwrap : "/usr/bin/bwrap",
                                 "--unshare-all",
                                 "--die-with-parent",
                                 "--new-session",
                                 "--cap-drop",
                                 "ALL",
                                 "--clearenv",
                                 "--setenv",
                                 "PATH",
                                 "/usr/bin",
                                 "--hostname",
                                 "sandbox",
                                 "--ro-bind",
                                 "/usr",
                                 "/usr",
                                 "--symlink",
                                 "usr/bin",
                                 "/bin",
                                 "--symlink",
                                 "usr/lib",
                                 "/lib",
                                 "--symlink",
                                 "usr/lib64",
                                 "/lib64",
                                 "--dev-bind",
                                 "/dev/null",
                                 "/dev/null",
                                 "--size",
                                 out->tmp_size,
                                 "--tmpfs",
                                 "/tmp",
                                 "--remount-ro",
                                 "/",
                                 "--chdir",
                                 "/tmp",
                                 "/usr/bin/prlimit",
                                 out->memory,
                                 out->cpu,
                                 out->processes,
                                 "--fsize=1048576",
                                 "--nofile=64",
                                 "--core=0",
                                 "/usr/bin/python3",
                                 "-I",
                                 "-",
                                 NULL};
    _Static_assert(sizeof words <= sizeof out->words, "ARGUMENTS_MAX is too small");
    memcpy(out->words, words, sizeof words);
}

/* In the child, up to exec. */
static void become_bwrap(const command *line, int program_fd, int output_fd)
{
    static char *const no_environment[] = {NULL};
    sigset_t none;
    setpgid(0, 0);
    for (int signal_number = 1; signal_number < 32; signal_number++)
        signal(signal_number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(program_fd, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0 ||
        dup2(output_fd, STDERR_FILENO) < 0)
        _exit(EXEC_FAILED);
    if (syscall(SYS_close_range, 3U, ~0U, 0U)) {
        for (int fd = 3; fd < 4096; fd++) /* a kernel before 5.9 */
            close(fd);
    }
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
        _exit(EXEC_FAILED);
    /* execve takes pointers to non-const text and leaves it alone */
    execve(line->words[0], (char *const *)(uintptr_t)line->words, no_environment);
    static const char text[] = "bwrap does not start";
    ssize_t put = write(STDERR_FILENO, text, sizeof text - 1);
    (void)put;
    _exit(EXEC_FAILED);
}

/* Keeps the last bytes of what came. */
static void keep_tail(ssw_sandbox_result *out, size_t *n_tail, const char *bytes, size_t n)
{
    if (n >= SSW_SANDBOX_TAIL_BYTES) {
        bytes += n - SSW_SANDBOX_TAIL_BYTES;
        n = SSW_SANDBOX_TAIL_BYTES;
    }
    if (*n_tail + n > SSW_SANDBOX_TAIL_BYTES) {
        size_t drop = *n_tail + n - SSW_SANDBOX_TAIL_BYTES;
        memmove(out->tail, out->tail + drop, *n_tail - drop);
        *n_tail -= drop;
    }
    memcpy(out->tail + *n_tail, bytes, n);
    *n_tail += n;
    out->tail[*n_tail] = '\0';
}

/* Reads until the last writer has gone; false at the deadline. */
static bool drain(int fd, int64_t deadline_ns, ssw_sandbox_result *out)
{
    char bytes[4096];
    size_t n_tail = 0;
    for (;;) {
        int64_t left_ns = deadline_ns - ssw_clock_now_ns();
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0)
            return false;
        if (poll(&waiting, 1, (int)(left_ns / SSW_NS_PER_MS) + 1) <= 0)
            continue;
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0)
            return true;
        if (n > 0)
            keep_tail(out, &n_tail, bytes, (size_t)n);
    }
}

static ssw_status write_program(const char *program, int *fd, ssw_error *err)
{
    size_t n = strlen(program), done = 0;
    if (n > SSW_SANDBOX_PROGRAM_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "a program is larger than %d bytes",
                             SSW_SANDBOX_PROGRAM_BYTES_MAX);
    *fd = memfd_create("program", MFD_CLOEXEC);
    while (*fd >= 0 && done < n) {
        ssize_t put = write(*fd, program + done, n - done);
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    if (*fd < 0 || done < n || lseek(*fd, 0, SEEK_SET) != 0)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "a program cannot be handed to the sandbox");
    return SSW_OK;
}

/* Waits for the child and says how it ended; kills it first when it did not end in time. */
static void collect(pid_t pid, bool in_time, ssw_sandbox_result *out)
{
    int status = 0;
    if (!in_time)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL); /* whatever closed its output and stayed */
    out->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    out->outcome = !in_time                ? SSW_SANDBOX_TIMEOUT
                   : out->exit_code >= 128 ? SSW_SANDBOX_KILLED
                                           : SSW_SANDBOX_ENDED;
}

ssw_status ssw_sandbox_run(const ssw_sandbox_options *options, const char *program, ssw_sandbox_result *out,
                           ssw_error *err)
{
    int program_fd = -1, output[2] = {-1, -1};
    command line;
    *out = (ssw_sandbox_result){.exit_code = -1};
    make_command(options, &line);
    ssw_status status = write_program(program, &program_fd, err);
    if (!status && pipe2(output, O_CLOEXEC))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "no pipe for the sandbox");
    if (status)
        goto cleanup;
    int64_t start_ns = ssw_clock_now_ns();
    pid_t pid = fork();
    if (pid == 0)
        become_bwrap(&line, program_fd, output[1]);
    if (pid < 0) {
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "the sandbox does not start");
        goto cleanup;
    }
    close(output[1]);
    output[1] = -1;
    bool in_time = drain(output[0], start_ns + options->wall_ns, out);
    collect(pid, in_time, out);
    out->wall_ns = ssw_clock_now_ns() - start_ns;
cleanup:
    if (program_fd >= 0)
        close(program_fd);
    for (int i = 0; i < 2; i++) {
        if (output[i] >= 0)
            close(output[i]);
    }
    return status;
}

ssw_status ssw_sandbox_check(const ssw_sandbox_options *options, ssw_error *err)
{
    ssw_sandbox_result result;
    ssw_status status = ssw_sandbox_run(options, "print('inside')\n", &result, err);
    if (status)
        return status;
    if (result.outcome == SSW_SANDBOX_ENDED && result.exit_code == 0 && strcmp(result.tail, "inside\n") == 0)
        return SSW_OK;
    result.tail[strcspn(result.tail, "\n")] = '\0';
    return ssw_error_set(
        err, SSW_ERR_UNAVAILABLE, "no sandbox: %.*s (exit code %d); programs are not run without one",
        SSW_SANDBOX_LINE_MAX, *result.tail ? result.tail : "bwrap said nothing", result.exit_code);
}
