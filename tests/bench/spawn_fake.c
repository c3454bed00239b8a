/* The path of the server comes from the environment variable FAKE_SERVER, which meson sets. */
#include "spawn_fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cmocka_all.h"

enum { WORDS_MAX = 64 };

fake_process fake_start(const char *options)
{
    char line[256] = "", copy[1024];
    char *argv[WORDS_MAX] = {getenv("FAKE_SERVER"), (char[]){"--port"}, (char[]){"0"}};
    int n = 3, pipe_fds[2];
    fake_process fake = {0};
    assert_non_null(argv[0]);
    snprintf(copy, sizeof copy, "%s", options);
    char *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word && n < WORDS_MAX - 1;
         word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    assert_int_equal(pipe(pipe_fds), 0);
    fake.pid = fork();
    assert_true(fake.pid >= 0);
    if (fake.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipe_fds[1], STDOUT_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(pipe_fds[1]);
    FILE *out = fdopen(pipe_fds[0], "r");
    assert_non_null(fgets(line, sizeof line, out));
    const char *port = strstr(line, "on port ");
    assert_non_null(port);
    fake.port = atoi(port + 8);
    fclose(out);
    return fake;
}

void fake_stop(fake_process *fake)
{
    if (fake->pid > 0) {
        kill(fake->pid, SIGKILL);
        waitpid(fake->pid, NULL, 0);
    }
    fake->pid = 0;
}
