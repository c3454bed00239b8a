/* What the tasks of a launch left: exit statuses, run folders, and how much each measured. */
#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/evidence/evidence_reader.h"
#include "bench/evidence/text_file.h"
#include "cli/ab_launch.h"
#include "cli/commands.h"

enum { LAUNCH_BYTES_MAX = 16 << 20, FOLDER_BYTES_MAX = 3000, LINE_BYTES_MAX = 256 };

/* The first line of a small file; "" when there is none. */
static void read_line(const char *folder, const char *name, char out[LINE_BYTES_MAX])
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3200s/%s", folder, name);
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file && fgets(out, LINE_BYTES_MAX, file))
        out[strcspn(out, "\n")] = '\0';
    if (file)
        fclose(file);
}

/* The run's folder inside a task's; false when there is none. */
static bool find_run(const char *folder, char out[PATH_MAX])
{
    bool found = false;
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(dir));) {
        found = strncmp(entry->d_name, "baseline-ab-", 12) == 0;
        if (found)
            snprintf(out, PATH_MAX, "%.3200s/%.255s", folder, entry->d_name);
    }
    closedir(dir);
    return found;
}

static void count_evidence(const char *run, int *measured, const char **state, ssw_evidence **evidence)
{
    *measured = 0;
    *state = "unreadable";
    if (ssw_evidence_open(run, evidence, NULL))
        return;
    for (size_t i = 0; i < (*evidence)->n_samples; i++)
        *measured += ssw_evidence_is_measured(&(*evidence)->samples[i]);
    *state = (*evidence)->end_reason ? (*evidence)->end_reason : "killed";
}

/* One task: a line, and an object for collected.json. *worst: the highest exit status so far; a task that has
 * none yet counts as failed. */
static json_t *collect_task(const char *dir, size_t index, const char *model, bool quiet, int *worst)
{
    char folder[FOLDER_BYTES_MAX + 64], run[PATH_MAX] = "", code[LINE_BYTES_MAX], node[LINE_BYTES_MAX],
                                        last[LINE_BYTES_MAX];
    const char *state = "not started";
    ssw_evidence *evidence = NULL;
    int measured = 0;
    snprintf(folder, sizeof folder, "%.*s/task-%zu", FOLDER_BYTES_MAX, dir, index);
    read_line(folder, "exit-status", code);
    read_line(folder, "node", node);
    read_line(folder, "output", last);
    if (find_run(folder, run))
        count_evidence(run, &measured, &state, &evidence);
    else if (*code)
        state = *last ? last : "failed"; /* what the task said before it made a folder */
    else if (*node)
        state = "running";
    int status = *code ? atoi(code) : SSW_EXIT_FAILED;
    *worst = status > *worst ? status : *worst;
    if (!quiet)
        printf("task %zu  %s\n  exit status %s on %s, %d requests measured, %s\n  %s\n", index, model,
               *code ? code : "none yet", *node ? node : "no node yet", measured, state, *run ? run : folder);
    json_t *object = json_pack("{s:I, s:s, s:o, s:s, s:i, s:s, s:s}", "task", (json_int_t)index, "model",
                               model, "exit_status", *code ? json_integer(status) : json_null(), "node", node,
                               "measured", measured, "state", state, "run", run);
    ssw_evidence_close(evidence);
    return object;
}

static ssw_status read_models(const char *dir, json_t **root, ssw_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t n_bytes;
    *root = NULL;
    snprintf(path, sizeof path, "%.*s/launch.json", FOLDER_BYTES_MAX, dir);
    ssw_status status = ssw_text_file_read(path, LAUNCH_BYTES_MAX, &text, &n_bytes, err);
    if (status)
        return status;
    *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    const json_t *models = json_object_get(*root, "models");
    bool ok = json_is_array(models) && json_array_size(models) <= SSW_LAUNCH_MODELS_MAX;
    for (size_t i = 0; ok && i < json_array_size(models); i++)
        ok = json_is_string(json_array_get(models, i));
    return ok ? SSW_OK : ssw_error_set(err, SSW_ERR_FORMAT, "%s: it has no list of models", path);
}

int ssw_ab_collect(const char *dir, bool json)
{
    char path[PATH_MAX];
    ssw_error err = {0};
    json_t *root = NULL, *tasks = json_array();
    int worst = SSW_EXIT_OK;
    size_t n = strlen(dir);
    ssw_status status = n && n < FOLDER_BYTES_MAX
                            ? read_models(dir, &root, &err)
                            : ssw_error_set(&err, SSW_ERR_USAGE, "--collect: the path is too long");
    if (status) {
        fprintf(stderr, "seesaw ab: %s\n", err.message);
        json_decref(tasks);
        return status == SSW_ERR_NOMEM ? SSW_EXIT_FAILED : SSW_EXIT_USAGE;
    }
    const json_t *models = json_object_get(root, "models");
    for (size_t i = 0; i < json_array_size(models); i++)
        json_array_append_new(
            tasks, collect_task(dir, i, json_string_value(json_array_get(models, i)), json, &worst));
    snprintf(path, sizeof path, "%.*s/collected.json", FOLDER_BYTES_MAX, dir);
    if (json_dump_file(tasks, path, JSON_INDENT(2))) {
        fprintf(stderr, "seesaw ab: %s cannot be written\n", path);
        worst = worst ? worst : SSW_EXIT_FAILED;
    }
    if (json) {
        json_dumpf(tasks, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(tasks);
    json_decref(root);
    return worst;
}
