/* See ab_queue.h. The folder: queue.json (models, types, arguments), an own folder NN-NAME for each entry's
 * run, and compare.md and compare.json at the end. */
#include "cli/ab_queue.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/compare/compare_table.h"
#include "bench/compare/compare_walk.h"
#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/text_file.h"
#include "bench/launch/slurm_job.h"
#include "cli/ab_launch.h"
#include "cli/commands.h"
#include "cli/file_meter.h"
#include "cli/nearest.h"
#include "cli/quantized_model.h"

enum { TYPE_CHARS_MAX = 32, FOLDER_MAX = 3500, QUEUE_BYTES_MAX = 16 << 20, MIXES_MAX = 32, TRIES_MAX = 99 };
#define POLL_NS (50 * SSW_NS_PER_MS)

typedef struct queue_entry {
    char *model;               /* a path, or a name that only the server knows */
    char type[TYPE_CHARS_MAX]; /* "" for the model itself */
} queue_entry;

typedef struct queue {
    char dir[FOLDER_MAX];
    size_t n_entries, n_arguments;
    queue_entry entries[SSW_QUEUE_ENTRIES_MAX];
    char *arguments[SSW_LAUNCH_WORDS_MAX]; /* each owned */
    bool json, interrupted;
    atomic_bool *cancel;
} queue;

/* The next name of a list; NULL at its end. */
static const char *next_name(const char *list, char name[TYPE_CHARS_MAX])
{
    if (!*list)
        return NULL;
    size_t n = strcspn(list, ",");
    snprintf(name, TYPE_CHARS_MAX, "%.*s", n < TYPE_CHARS_MAX ? (int)n : TYPE_CHARS_MAX - 1, list);
    return list + n + (list[n] == ',');
}

ssw_status ssw_ab_check_quant(const char *list, ssw_error *err)
{
    const char *names[MIXES_MAX] = {SSW_QUEUE_AS_IS};
    char name[TYPE_CHARS_MAX];
    size_t n = 1;
    if (!*list)
        return ssw_error_set(err, SSW_ERR_USAGE, "--quant wants types, such as Q4_K_M,Q8_0");
    for (size_t i = 0; i < ssw_type_mix_count() && n < MIXES_MAX; i++)
        names[n++] = ssw_type_mix_at(i)->name;
    while ((list = next_name(list, name))) {
        if (strcmp(name, SSW_QUEUE_AS_IS) == 0 || ssw_type_mix_find(name))
            continue;
        const char *nearest = ssw_cli_find_nearest(name, names, n);
        return ssw_error_set(err, SSW_ERR_USAGE, "--quant: unknown type '%s'%s%s%s", name,
                             nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    return SSW_OK;
}

static ssw_status add_entry(queue *q, const char *model, const char *type, ssw_error *err)
{
    if (q->n_entries == SSW_QUEUE_ENTRIES_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "more than %d runs in a queue", SSW_QUEUE_ENTRIES_MAX);
    queue_entry *entry = &q->entries[q->n_entries];
    entry->model = strdup(model);
    if (!entry->model)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the queue");
    snprintf(entry->type, sizeof entry->type, "%s", type);
    q->n_entries++;
    return SSW_OK;
}

static ssw_status fill_entries(queue *q, const ssw_ab_queue *asked, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < asked->n_models; i++) {
        char name[TYPE_CHARS_MAX];
        const char *list = asked->quant;
        if (!list)
            status = add_entry(q, asked->models[i], "", err);
        while (!status && list && (list = next_name(list, name))) {
            const ssw_type_mix *mix = ssw_type_mix_find(name);
            status = add_entry(q, asked->models[i], mix ? mix->name : "", err);
        }
    }
    const char *words[SSW_LAUNCH_WORDS_MAX];
    size_t n = ssw_ab_pick_arguments(asked->argc, asked->argv, words);
    for (size_t i = 0; !status && i < n; i++) {
        q->arguments[i] = strdup(words[i]);
        if (!q->arguments[i])
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the queue");
        q->n_arguments++;
    }
    return status;
}

static ssw_status make_dir(queue *q, const char *out, ssw_error *err)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    if (strlen(out) + 64 >= FOLDER_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "--out is too long");
    if (mkdir(out, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", out);
    for (int i = 1; i <= TRIES_MAX; i++) { /* two queues within one second */
        snprintf(q->dir, sizeof q->dir, i == 1 ? "%.3400s/queue-ab-%s" : "%.3400s/queue-ab-%s-%d", out, stamp,
                 i);
        if (mkdir(q->dir, 0755) == 0)
            return SSW_OK;
        if (errno != EEXIST)
            break;
    }
    return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", q->dir);
}

static ssw_status write_queue(const queue *q, ssw_error *err)
{
    char path[FOLDER_MAX + 32];
    json_t *entries = json_array(), *arguments = json_array();
    for (size_t i = 0; i < q->n_entries; i++)
        json_array_append_new(
            entries, json_pack("{s:s, s:s}", "model", q->entries[i].model, "type", q->entries[i].type));
    for (size_t i = 0; i < q->n_arguments; i++)
        json_array_append_new(arguments, json_string(q->arguments[i]));
    json_t *root = json_pack("{s:i, s:o, s:o}", "schema", 1, "entries", entries, "arguments", arguments);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    snprintf(path, sizeof path, "%s/queue.json", q->dir);
    ssw_status status = text ? ssw_text_file_create(path, text, strlen(text), err)
                             : ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for queue.json");
    free(text);
    json_decref(root);
    return status;
}

static ssw_status take_entries(queue *q, const json_t *root, ssw_error *err)
{
    const json_t *entries = json_object_get(root, "entries"), *arguments = json_object_get(root, "arguments");
    ssw_status status = SSW_OK;
    for (size_t i = 0; !status && i < json_array_size(entries); i++) {
        const char *model = json_string_value(json_object_get(json_array_get(entries, i), "model"));
        const char *type = json_string_value(json_object_get(json_array_get(entries, i), "type"));
        if (!model || !type || (*type && !ssw_type_mix_find(type)))
            return ssw_error_set(err, SSW_ERR_FORMAT, "%s/queue.json: entry %zu is none", q->dir, i + 1);
        status = add_entry(q, model, type, err);
    }
    for (size_t i = 0; !status && i < json_array_size(arguments); i++) {
        const char *word = json_string_value(json_array_get(arguments, i));
        if (!word || i == SSW_LAUNCH_WORDS_MAX)
            return ssw_error_set(err, SSW_ERR_FORMAT, "%s/queue.json: argument %zu is none", q->dir, i + 1);
        q->arguments[i] = strdup(word);
        if (!q->arguments[i])
            return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for the queue");
        q->n_arguments++;
    }
    if (!status && q->n_entries == 0)
        status = ssw_error_set(err, SSW_ERR_FORMAT, "%s/queue.json: it has no entries", q->dir);
    return status;
}

static ssw_status read_queue(queue *q, const char *dir, ssw_error *err)
{
    char path[FOLDER_MAX + 32], *text = NULL;
    size_t n_bytes = 0;
    if (strlen(dir) >= FOLDER_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "--resume: the path is too long");
    snprintf(q->dir, sizeof q->dir, "%s", dir);
    snprintf(path, sizeof path, "%s/queue.json", dir);
    ssw_status status = ssw_text_file_read(path, QUEUE_BYTES_MAX, &text, &n_bytes, err);
    if (status)
        return status;
    json_error_t fault;
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &fault);
    free(text);
    if (!root)
        return ssw_error_set(err, SSW_ERR_FORMAT, "%s: line %d: %s", path, fault.line, fault.text);
    status = take_entries(q, root, err);
    json_decref(root);
    return status;
}

/* NN-NAME[-TYPE] of an entry, made if it is not there. */
static ssw_status make_folder(const queue *q, size_t i, char out[PATH_MAX], ssw_error *err)
{
    const queue_entry *entry = &q->entries[i];
    const char *slash = strrchr(entry->model, '/');
    snprintf(out, PATH_MAX, "%s/%02zu-%.100s%s%s", q->dir, i + 1, slash ? slash + 1 : entry->model,
             *entry->type ? "-" : "", entry->type);
    if (mkdir(out, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", out);
    return SSW_OK;
}

/* The run inside an entry's folder, "" when none was begun, and whether it is complete. */
static void find_run(const char *folder, char run[PATH_MAX], bool *complete)
{
    ssw_compare_dirs dirs = {0};
    ssw_evidence *evidence = NULL;
    run[0] = '\0';
    *complete = false;
    if (ssw_compare_find_runs(folder, &dirs, NULL) == SSW_OK) {
        snprintf(run, PATH_MAX, "%s", dirs.dirs[dirs.n - 1]);
        if (ssw_evidence_open(run, &evidence, NULL) == SSW_OK)
            *complete = evidence->end_reason && strcmp(evidence->end_reason, "complete") == 0;
        else
            run[0] = '\0'; /* killed before it began: measured anew */
        ssw_evidence_close(evidence);
    }
    ssw_compare_dirs_deinit(&dirs);
}

/* The run learns by a variable how many follow it: its options go into its evidence. */
static const char rest_variable[] = "SEESAW_QUEUE_REST";

int ssw_ab_queue_take_rest(void)
{
    const char *text = getenv(rest_variable);
    long n = text ? strtol(text, NULL, 10) : 0;
    unsetenv(rest_variable); /* no server shall see it */
    return n > 0 && n < SSW_QUEUE_ENTRIES_MAX ? (int)n : 0;
}

static pid_t start(char *const *words, bool json, size_t n_rest)
{
    char rest[24];
    snprintf(rest, sizeof rest, "%zu", n_rest);
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0); /* a Ctrl-C reaches it once, from the parent */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(SSW_EXIT_FAILED);
    setenv(rest_variable, rest, 1);
    if (json)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    execv("/proc/self/exe", words);
    _exit(SSW_EXIT_FAILED);
}

/* Waits, and hands every interruption on. */
static int wait_for(queue *q, pid_t pid)
{
    const struct timespec pause = {0, POLL_NS};
    int status = 0;
    for (;;) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            break;
        if (done < 0 && errno != EINTR)
            return SSW_EXIT_FAILED;
        if (atomic_exchange(q->cancel, false)) {
            q->interrupted = true;
            kill(pid, SIGTERM);
        }
        nanosleep(&pause, NULL);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : SSW_EXIT_FAILED;
}

/* Of the queue's arguments those that --resume takes too: what is left behind. */
static size_t pick_resume_words(const queue *q, char **words)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_arguments; i++) {
        char *word = q->arguments[i];
        if (strcmp(word, "--no-report") == 0 || strcmp(word, "--no-index") == 0 ||
            strncmp(word, "--index=", 8) == 0) {
            words[n++] = word;
        } else if (strcmp(word, "--index") == 0 && i + 1 < q->n_arguments) {
            words[n++] = word;
            words[n++] = q->arguments[++i];
        }
    }
    return n;
}

/* run: "" for a new one. */
static int run_entry(queue *q, size_t i, const char *model, const char *folder, const char *run)
{
    char program[] = "seesaw", ab[] = "ab", m[] = "-m", out[] = "--out", quant[] = "--quant", none[] = "none",
         resume[] = "--resume", path[PATH_MAX], folder_word[PATH_MAX];
    char *words[SSW_LAUNCH_WORDS_MAX + 9] = {program, ab};
    size_t n = 2;
    snprintf(path, sizeof path, "%s", *run ? run : model);
    snprintf(folder_word, sizeof folder_word, "%s", folder);
    if (*run) { /* by the run's own plan */
        n += pick_resume_words(q, words + n);
        char *const last[] = {resume, path};
        memcpy(words + n, last, sizeof last);
    } else {
        memcpy(words + n, q->arguments, q->n_arguments * sizeof *words);
        n += q->n_arguments;
        char *const last[] = {m, path, out, folder_word, quant, none};
        memcpy(words + n, last, sizeof last);
    }
    fflush(NULL);
    pid_t pid = start(words, q->json, q->n_entries - i - 1);
    return pid < 0 ? SSW_EXIT_FAILED : wait_for(q, pid);
}

/* Makes the entry's model where it must be, and measures it. */
static int do_entry(queue *q, size_t i, const char *folder, const char *run, ssw_error *err)
{
    const queue_entry *entry = &q->entries[i];
    const ssw_type_mix *mix = *entry->type ? ssw_type_mix_find(entry->type) : NULL;
    char model[PATH_MAX];
    bool made = false;
    snprintf(model, sizeof model, "%s", entry->model);
    ssw_status status = mix ? ssw_cli_quantize_once(entry->model, mix, q->cancel, model, &made, err) : SSW_OK;
    if (status) {
        fprintf(stderr, "seesaw ab: %s\n", err->message);
        q->interrupted |= status == SSW_ERR_CANCELLED;
        return status == SSW_ERR_CANCELLED ? SSW_EXIT_INTERRUPTED : SSW_EXIT_FAILED;
    }
    if (mix)
        fprintf(stderr, "%s %s\n", made ? "quantised:" : "quantised before:", model);
    return run_entry(q, i, model, folder, run);
}

static void show_time_left(size_t n_timed, size_t n_left, int64_t spent_ns)
{
    if (n_timed && n_left)
        fprintf(stderr, "about %.0f min left for %zu more, at %.1f min each\n",
                (double)spent_ns / (double)n_timed * (double)n_left * 1e-9 / 60, n_left,
                (double)spent_ns / (double)n_timed * 1e-9 / 60);
}

/* One table across the runs that there are. */
static ssw_status compare_runs(const queue *q, ssw_error *err)
{
    static const struct {
        const char *name;
        ssw_compare_format format;
    } files[] = {{"compare.md", SSW_COMPARE_MD}, {"compare.json", SSW_COMPARE_JSON}};
    char path[FOLDER_MAX + 32];
    ssw_compare_dirs dirs = {0};
    ssw_compare_rows rows = {0};
    ssw_strbuf text;
    ssw_strbuf_init(&text, SSW_COMPARE_BYTES_MAX);
    ssw_status status = ssw_compare_find_runs(q->dir, &dirs, err);
    for (size_t i = 0; !status && i < dirs.n; i++)
        status = ssw_compare_read_run(dirs.dirs[i], &rows, err);
    for (size_t i = 0; !status && i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", q->dir, files[i].name);
        ssw_strbuf_clear(&text);
        status = ssw_compare_render(&rows, files[i].format, &text, err);
        unlink(path); /* of the queue before it was resumed */
        if (!status)
            status = ssw_text_file_create(path, ssw_strbuf_text(&text), text.n_bytes, err);
    }
    ssw_strbuf_clear(&text);
    if (!status)
        status = ssw_compare_render(&rows, q->json ? SSW_COMPARE_JSON : SSW_COMPARE_TEXT, &text, err);
    if (!status)
        fputs(ssw_strbuf_text(&text), stdout);
    ssw_strbuf_deinit(&text);
    ssw_compare_rows_deinit(&rows);
    ssw_compare_dirs_deinit(&dirs);
    return status;
}

static int run_all(queue *q)
{
    char folder[PATH_MAX], run[PATH_MAX];
    int worst = SSW_EXIT_OK;
    size_t n_timed = 0;
    int64_t spent_ns = 0;
    ssw_error err = {0};
    q->cancel = ssw_cli_catch_interrupts();
    fprintf(stderr, "queue of %zu runs: %s\n", q->n_entries, q->dir);
    for (size_t i = 0; i < q->n_entries && !q->interrupted; i++) {
        const queue_entry *entry = &q->entries[i];
        bool complete = false;
        if (make_folder(q, i, folder, &err)) {
            fprintf(stderr, "seesaw ab: %s\n", err.message);
            return SSW_EXIT_FAILED;
        }
        find_run(folder, run, &complete);
        fprintf(stderr, "\n==== %zu of %zu: %s%s%s%s\n", i + 1, q->n_entries, entry->model,
                *entry->type ? " as " : "", entry->type, complete ? ": complete already" : "");
        if (complete)
            continue;
        int64_t begin_ns = ssw_clock_now_ns();
        int code = do_entry(q, i, folder, run, &err);
        worst = code > worst ? code : worst;
        spent_ns += ssw_clock_now_ns() - begin_ns;
        n_timed++;
        show_time_left(n_timed, q->n_entries - i - 1, spent_ns);
    }
    fprintf(stderr, "\n");
    if (compare_runs(q, &err)) {
        fprintf(stderr, "seesaw ab: no table across: %s\n", err.message);
        worst = worst ? worst : SSW_EXIT_FAILED;
    }
    if (q->interrupted || worst)
        fprintf(stderr, "go on with: seesaw ab --resume %s\n", q->dir);
    return q->interrupted ? SSW_EXIT_INTERRUPTED : worst;
}

static int finish(queue *q, ssw_status status, const ssw_error *err)
{
    int code = SSW_EXIT_USAGE;
    if (status)
        fprintf(stderr, "seesaw ab: %s\n", err->message);
    else
        code = run_all(q);
    for (size_t i = 0; i < q->n_entries; i++)
        free(q->entries[i].model);
    for (size_t i = 0; i < q->n_arguments; i++)
        free(q->arguments[i]);
    free(q);
    return code;
}

int ssw_ab_run_queue(const ssw_ab_queue *asked)
{
    ssw_error err = {0};
    queue *q = calloc(1, sizeof *q);
    if (!q)
        return SSW_EXIT_FAILED;
    q->json = asked->json;
    ssw_status status = fill_entries(q, asked, &err);
    if (!status)
        status = make_dir(q, asked->out, &err);
    if (!status)
        status = write_queue(q, &err);
    return finish(q, status, &err);
}

bool ssw_ab_is_queue(const char *dir)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/queue.json", dir) < (int)sizeof path && access(path, F_OK) == 0;
}

int ssw_ab_resume_queue(const char *dir, bool json)
{
    ssw_error err = {0};
    queue *q = calloc(1, sizeof *q);
    if (!q)
        return SSW_EXIT_FAILED;
    q->json = json;
    return finish(q, read_queue(q, dir, &err), &err);
}
