/* The batch script, run by a shell with stand-ins for seesaw, and sbatch's command line. A real Slurm runs it
 * in tests/slurm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../cmocka_all.h"

#include "bench/launch/slurm_job.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/seesaw slurm'job-XXXXXX"); /* a name that wants quotes */
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf \"%s\"", dir);
    return system(command);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void expect_file(const char *name, const char *wanted)
{
    char path[128], text[4096] = "";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is not there", name);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    assert_string_equal(text, wanted);
}

static int run_task(int task)
{
    char command[256];
    snprintf(command, sizeof command, "SLURM_ARRAY_TASK_ID=%d sh \"%s/job.sh\"", task, dir);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_the_script(void **state)
{
    (void)state;
    char program[96];
    static const char *const models[] = {"/models/a b.gguf", "it's $HOME `x` \"y\".gguf"};
    static const char *const arguments[] = {"--arm", "a=-t 4 --x='1 2'", "--runs", "2"};
    snprintf(program, sizeof program, "%s/seesaw", dir);
    const ssw_slurm_job job = {.dir = dir,
                               .program = program,
                               .models = models,
                               .n_models = 2,
                               .arguments = arguments,
                               .n_arguments = 4};
    ssw_strbuf script;
    ssw_strbuf_init(&script, 1 << 16);
    assert_int_equal(ssw_slurm_write_script(&job, &script, NULL), SSW_OK);
    write_file("job.sh", ssw_strbuf_text(&script), 0644);
    ssw_strbuf_deinit(&script);
    /* says what it was given, a word a line, and ends with 5 for the second model */
    write_file("seesaw", "#!/bin/sh\nprintf '%s\\n' \"$@\"\ncase $* in *HOME*) exit 5 ;; esac\n", 0755);
    assert_int_equal(run_task(0), 0);
    assert_int_equal(run_task(1), 5);
    assert_int_equal(run_task(2), 2);
    char wanted[1024];
    for (int i = 0; i < 2; i++) {
        char name[32];
        snprintf(wanted, sizeof wanted, "ab\n-m\n%s\n--out\n%s/task-%d\n--arm\na=-t 4 --x='1 2'\n--runs\n2\n",
                 models[i], dir, i);
        snprintf(name, sizeof name, "task-%d/output", i);
        expect_file(name, wanted);
    }
    expect_file("task-0/exit-status", "0\n");
    expect_file("task-1/exit-status", "5\n");
    /* a task that is tried again goes on with the run that it began */
    snprintf(wanted, sizeof wanted,
             "mkdir \"%s/task-0/baseline-ab-x-1\" && echo >\"%s/task-0/baseline-ab-x-1/manifest.json\"", dir,
             dir);
    assert_int_equal(system(wanted), 0);
    assert_int_equal(run_task(0), 0);
    snprintf(wanted, sizeof wanted,
             "ab\n-m\n%s\n--out\n%s/task-0\n--arm\na=-t 4 --x='1 "
             "2'\n--runs\n2\nab\n--resume\n%s/task-0/baseline-ab-x-1/\n",
             models[0], dir, dir);
    expect_file("task-0/output", wanted);
}

static void test_the_command_line(void **state)
{
    (void)state;
    static ssw_slurm_words words;
    ssw_slurm_job job = {
        .dir = "/d", .n_models = 3, .partition = "gpu", .gres = "gpu:h100:1", .time = "1:00:00"};
    static const char *const all[] = {"sbatch",
                                      "--parsable",
                                      "--exclusive",
                                      "--requeue",
                                      "--job-name=seesaw-ab",
                                      "--wait",
                                      "--array=0-2",
                                      "--output=/d/slurm-%a.log",
                                      "--partition=gpu",
                                      "--gres=gpu:h100:1",
                                      "--time=1:00:00",
                                      "/d/job.sh"};
    ssw_slurm_make_argv(&job, "/d/job.sh", true, &words);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_string_equal(words.argv[i], all[i]);
    assert_null(words.argv[sizeof all / sizeof *all]);
    job.partition = job.gres = job.time = NULL;
    ssw_slurm_make_argv(&job, "/d/job.sh", false, &words);
    assert_string_equal(words.argv[5], "--array=0-2");
    assert_string_equal(words.argv[7], "/d/job.sh");
    assert_null(words.argv[8]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_script, make_dir, remove_dir),
        cmocka_unit_test(test_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
