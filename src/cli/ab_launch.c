/* Submitting a job array. */
#include "cli/ab_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/evidence/text_file.h"
#include "cli/commands.h"

enum { SCRIPT_BYTES_MAX = 16 << 20, NAME_BYTES_MAX = 64, ID_BYTES_MAX = 64, TRIES_MAX = 99 };
enum { KEY_LAUNCHER = 600, KEY_PARTITION, KEY_GRES, KEY_TIME, KEY_NO_WAIT, KEY_COLLECT };

extern char **environ;

static const struct argp_option option_list[] = {
    {"launcher", KEY_LAUNCHER, "slurm", 0,
     "submit one Slurm job array, with a task of its own node for each -m (give several), wait, and collect; "
     "without it they run here, one after the other",
     0},
    {"partition", KEY_PARTITION, "P", 0, "the partition for the job array", 0},
    {"gres", KEY_GRES, "LIST", 0, "what each task needs, such as gpu:1", 0},
    {"time", KEY_TIME, "T", 0, "limit of each task, as sbatch takes it", 0},
    {"no-wait", KEY_NO_WAIT, NULL, 0, "submit the job array, and do not wait for it", 0},
    {"collect", KEY_COLLECT, "DIR", 0, "show what the tasks of a launch left, and nothing else", 0},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    ssw_ab_launch *launch = state->input;
    switch (key) {
    case KEY_LAUNCHER:
        if (strcmp(value, "slurm") != 0)
            argp_error(state, "--launcher knows slurm, not '%s'", value);
        launch->launcher = value;
        return 0;
    case KEY_PARTITION:
        launch->partition = value;
        return 0;
    case KEY_GRES:
        launch->gres = value;
        return 0;
    case KEY_TIME:
        launch->time = value;
        return 0;
    case KEY_NO_WAIT:
        launch->no_wait = true;
        return 0;
    case KEY_COLLECT:
        launch->collect = value;
        return 0;
    case ARGP_KEY_END:
        if (!launch->launcher && (launch->partition || launch->gres || launch->time || launch->no_wait))
            argp_error(state, "--partition, --gres, --time and --no-wait go with --launcher");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ssw_ab_launch_argp = {.options = option_list, .parser = parse};

/* Options of the command line that are not the tasks'. */
static const struct {
    const char *name;
    bool has_value;
} kept_back[] = {{"--launcher", true}, {"--partition", true}, {"--gres", true},
                 {"--time", true},     {"--no-wait", false},  {"--model", true},
                 {"-m", true},         {"--out", true},       {"--json", false}};

/* Whether a word is that option, spelled as argp takes it: long names may be shortened (the command line was
 * accepted, so a beginning is unambiguous) and end at '=', short ones have their value behind them.
 * *has_value: the value is in the word. */
static bool is_option(const char *word, const char *name, bool *has_value)
{
    size_t n = strcspn(word, "="), length = strlen(name);
    *has_value = false;
    if (name[1] != '-') {
        *has_value = word[0] == '-' && strlen(word) > length;
        return strncmp(word, name, length) == 0;
    }
    *has_value = word[n] == '=';
    return n > 2 && n <= length && strncmp(word, name, n) == 0;
}

/* A run that got another -m would take itself for a queue. */
size_t ssw_ab_pick_arguments(int argc, char **argv, const char **out)
{
    size_t n = 0;
    for (int i = 1; i < argc && n < SSW_LAUNCH_WORDS_MAX; i++) {
        bool kept = false, has_value = false;
        const char *word = argv[i];
        for (size_t k = 0; k < sizeof kept_back / sizeof *kept_back && !kept; k++) {
            kept = is_option(word, kept_back[k].name, &has_value);
            if (kept && kept_back[k].has_value && !has_value)
                i++;
        }
        if (!kept)
            out[n++] = word;
    }
    return n;
}

static ssw_status make_dir(const char *out, char dir[PATH_MAX], ssw_error *err)
{
    char stamp[32], name[NAME_BYTES_MAX], relative[PATH_MAX];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    if (mkdir(out, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", out);
    for (int i = 1; i <= TRIES_MAX; i++) { /* two launches within one second */
        snprintf(name, sizeof name, i == 1 ? "slurm-ab-%s" : "slurm-ab-%s-%d", stamp, i);
        if ((size_t)snprintf(relative, sizeof relative, "%s/%s", out, name) >= sizeof relative)
            return ssw_error_set(err, SSW_ERR_USAGE, "--out is too long");
        if (mkdir(relative, 0755) == 0)
            return realpath(relative, dir) ? SSW_OK
                                           : ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", relative);
        if (errno != EEXIST)
            break;
    }
    return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", relative);
}

/* Runs sbatch and reads the job's number, its first line. */
static ssw_status run_sbatch(const ssw_slurm_words *words, bool wait, char id[ID_BYTES_MAX], int *code,
                             ssw_error *err)
{
    int fds[2], status = 0;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(fds, O_CLOEXEC))
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    int failed = posix_spawnp(&pid, "sbatch", &actions, NULL, (char *const *)(uintptr_t)words->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    FILE *lines = failed ? NULL : fdopen(fds[0], "r");
    id[0] = '\0';
    if (lines && fgets(id, ID_BYTES_MAX, lines))
        id[strcspn(id, ";\n")] = '\0';
    if (lines && wait && *id)
        fprintf(stderr, "seesaw ab: job %s is submitted; waiting for its end\n", id);
    if (lines)
        fclose(lines);
    else
        close(fds[0]);
    if (failed)
        return ssw_error_set_errno(err, SSW_ERR_UNAVAILABLE, failed, "sbatch cannot be started");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (!*id)
        return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "sbatch refused the job (exit code %d)", *code);
    return SSW_OK;
}

static json_t *texts(const char *const *items, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_string(items[i]));
    return array;
}

static ssw_status write_launch(const ssw_slurm_job *job, ssw_error *err)
{
    char path[PATH_MAX];
    json_t *root =
        json_pack("{s:i, s:s, s:o, s:o}", "schema", 1, "launcher", "slurm", "models",
                  texts(job->models, job->n_models), "arguments", texts(job->arguments, job->n_arguments));
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    ssw_status status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for launch.json");
    if (text && (size_t)snprintf(path, sizeof path, "%s/launch.json", job->dir) < sizeof path)
        status = ssw_text_file_create(path, text, strlen(text), err);
    free(text);
    json_decref(root);
    return status;
}

static ssw_status write_script(const ssw_slurm_job *job, char path[PATH_MAX], ssw_error *err)
{
    ssw_strbuf script;
    ssw_strbuf_init(&script, SCRIPT_BYTES_MAX);
    ssw_status status = ssw_slurm_write_script(job, &script, err);
    if (!status && (size_t)snprintf(path, PATH_MAX, "%s/job.sh", job->dir) >= PATH_MAX)
        status = ssw_error_set(err, SSW_ERR_LIMIT, "%s: the path is too long", job->dir);
    if (!status)
        status = ssw_text_file_create(path, ssw_strbuf_text(&script), script.n_bytes, err);
    ssw_strbuf_deinit(&script);
    return status;
}

/* Files by their absolute paths; names that only a server knows as they are. */
static size_t find_models(const ssw_ab_launch *launch, char **out)
{
    for (size_t i = 0; i < launch->n_models; i++) {
        out[i] = realpath(launch->models[i], NULL);
        if (!out[i])
            out[i] = strdup(launch->models[i]);
        if (!out[i])
            return i;
    }
    return launch->n_models;
}

static ssw_status submit(const ssw_ab_launch *launch, const char *out, int argc, char **argv,
                         char dir[PATH_MAX], char id[ID_BYTES_MAX], ssw_error *err)
{
    char program[PATH_MAX], script[PATH_MAX];
    const char *arguments[SSW_LAUNCH_WORDS_MAX];
    char *models[SSW_LAUNCH_MODELS_MAX];
    ssw_slurm_words words;
    int code = 0;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    size_t n_models = find_models(launch, models);
    ssw_status status = make_dir(out, dir, err);
    const ssw_slurm_job job = {.dir = dir,
                               .program = program,
                               .models = (const char *const *)models,
                               .n_models = n_models,
                               .arguments = arguments,
                               .n_arguments = ssw_ab_pick_arguments(argc, argv, arguments),
                               .partition = launch->partition,
                               .gres = launch->gres,
                               .time = launch->time};
    if (!status)
        status = write_launch(&job, err);
    if (!status)
        status = write_script(&job, script, err);
    if (!status) {
        ssw_slurm_make_argv(&job, script, !launch->no_wait, &words);
        status = run_sbatch(&words, !launch->no_wait, id, &code, err);
    }
    for (size_t i = 0; i < n_models; i++)
        free(models[i]);
    return status;
}

int ssw_ab_submit(const ssw_ab_launch *launch, const char *out, bool json, int argc, char **argv)
{
    char dir[PATH_MAX], id[ID_BYTES_MAX];
    ssw_error err = {0};
    if (submit(launch, out, argc, argv, dir, id, &err)) {
        fprintf(stderr, "seesaw ab: %s\n", err.message);
        return err.status == SSW_ERR_USAGE ? SSW_EXIT_USAGE : SSW_EXIT_FAILED;
    }
    if (!launch->no_wait)
        return ssw_ab_collect(dir, json);
    printf("job %s is submitted; when it has ended: seesaw ab --collect %s\n", id, dir);
    return SSW_EXIT_OK;
}
