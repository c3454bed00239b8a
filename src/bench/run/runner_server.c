/* The runner's care for one server: start, readiness, the model that it serves, stop, memory back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/run/port_check.h"
#include "bench/run/runner_internal.h"

#define HEALTH_INTERVAL_NS (10 * SSW_NS_PER_MS)
#define HEALTH_TIMEOUT_NS  (2 * SSW_NS_PER_S)
#define MODELS_TIMEOUT_NS  (10 * SSW_NS_PER_S)
#define LOADED_SPAN_NS     (100 * SSW_NS_PER_MS) /* for a few memory readings of the loaded, idle server */
#define IDLE_SPAN_NS       (60 * SSW_NS_PER_MS)
#define MEMORY_SLACK_BYTES (INT64_C(256) << 20)
#define VRAM_SLACK_BYTES   (INT64_C(64) << 20)

enum { ENVIRONMENT_MAX = 8192, PATH_BYTES_MAX = 4200, LOG_TAIL_BYTES = 4096 };

static const ssw_manifest_arm *arm_of(const ssw_runner *runner)
{
    return &runner->manifest->arms[runner->start.arm];
}

static ssw_writer_server line_of(const ssw_runner *runner)
{
    return (ssw_writer_server){.arm = arm_of(runner)->name,
                               .block = runner->start.block,
                               .position = runner->start.position,
                               .pid = ssw_child_pid(runner->server)};
}

static void log_path(const ssw_runner *runner, char path[PATH_BYTES_MAX])
{
    snprintf(path, PATH_BYTES_MAX, "%.4000s/server-%d.log", runner->options->dir, arm_of(runner)->port);
}

/* The last line of the server's log that says something, for error messages. */
static void read_last_line(const ssw_runner *runner, char *out, size_t size)
{
    char path[PATH_BYTES_MAX], text[LOG_TAIL_BYTES + 1];
    log_path(runner, path);
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, -LOG_TAIL_BYTES, SEEK_END) != 0)
        rewind(file);
    size_t n = fread(text, 1, LOG_TAIL_BYTES, file);
    fclose(file);
    while (n > 0 && (unsigned char)text[n - 1] <= ' ')
        n--;
    text[n] = '\0';
    const char *line = strrchr(text, '\n');
    snprintf(out, size, "%.190s", line ? line + 1 : text);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    }
}

static bool is_overridden(const ssw_manifest_words *own, const char *variable)
{
    size_t n = strcspn(variable, "=") + 1;
    for (size_t i = 0; i < own->n; i++) {
        if (strncmp(own->words[i], variable, n) == 0)
            return true;
    }
    return false;
}

/* The bench's environment with the arm's variables in place. */
static size_t merge_environment(const ssw_runner *runner, const char **out, size_t max)
{
    const ssw_manifest_words *own = &arm_of(runner)->env;
    size_t n = 0;
    for (size_t i = 0; runner->options->environment[i] && n + 1 < max; i++) {
        if (!is_overridden(own, runner->options->environment[i]))
            out[n++] = runner->options->environment[i];
    }
    for (size_t i = 0; i < own->n && n + 1 < max; i++)
        out[n++] = own->words[i];
    out[n] = NULL;
    return n;
}

static ssw_status spawn(ssw_runner *runner, ssw_error *err)
{
    char path[PATH_BYTES_MAX], header[256], now[SSW_CLOCK_TEXT_MAX];
    const ssw_manifest_arm *arm = arm_of(runner);
    const char **environment = calloc(ENVIRONMENT_MAX, sizeof *environment);
    const char **argv = calloc(arm->argv.n + 1, sizeof *argv);
    ssw_status status;
    if (!environment || !argv) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a server");
    } else {
        memcpy(argv, arm->argv.words, arm->argv.n * sizeof *argv);
        merge_environment(runner, environment, ENVIRONMENT_MAX);
        log_path(runner, path);
        ssw_clock_format_utc(ssw_clock_wall_ns(), now);
        snprintf(header, sizeof header, "==== seesaw: arm %s, block %d, position %d, started %s", arm->name,
                 runner->start.block, runner->start.position, now);
        const ssw_child_options options = {
            .argv = argv, .envp = environment, .log_path = path, .header = header};
        status = ssw_child_start(&options, &runner->server, err);
    }
    free(environment);
    free(argv);
    return status;
}

static ssw_status say_crashed(ssw_runner *runner, const ssw_child_end *end, const char *when, ssw_error *err)
{
    char line[200], how[64];
    read_last_line(runner, line, sizeof line);
    if (end->exit_signal)
        snprintf(how, sizeof how, "was killed by signal %d", end->exit_signal);
    else
        snprintf(how, sizeof how, "ended with exit code %d", end->exit_code);
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE,
                         "arm %s: the server %s %s; its log (server-%d.log) ends: %s", arm_of(runner)->name,
                         how, when, arm_of(runner)->port, line);
}

/* Asks /health until it says 200. *ready_ns is when that answer was here. */
static ssw_status wait_ready(ssw_runner *runner, int64_t *ready_ns, ssw_error *err)
{
    int64_t begin_ns = ssw_child_spawn_ns(runner->server);
    for (;;) {
        ssw_child_end end;
        ssw_strbuf body;
        long code = 0;
        ssw_strbuf_init(&body, SSW_CLIENT_BODY_BYTES_MAX);
        ssw_status status = ssw_client_get(runner->client, "/health", HEALTH_TIMEOUT_NS, &code, &body, err);
        ssw_strbuf_deinit(&body);
        *ready_ns = ssw_clock_now_ns();
        if (status == SSW_ERR_CANCELLED)
            return status;
        if (ssw_child_has_ended(runner->server, 0, &end))
            return say_crashed(runner, &end, "while loading", err);
        if (!status && code == 200)
            return SSW_OK;
        if (*ready_ns - begin_ns > runner->plan->ready_timeout_ns)
            return ssw_error_set(err, SSW_ERR_TIMEOUT,
                                 "arm %s: the server is not ready after %.0f s (see server-%d.log)",
                                 arm_of(runner)->name, (double)(*ready_ns - begin_ns) / (double)SSW_NS_PER_S,
                                 arm_of(runner)->port);
        status = ssw_runner_wait_until(runner, *ready_ns + HEALTH_INTERVAL_NS, err);
        if (status)
            return status;
    }
}

/* "path/NAME.gguf" and "NAME" are one model, whatever the case; a split's "-00001-of-0000N" is not part of
 * it. */
static bool is_same_model(const char *served, const char *asked)
{
    const char *slash = strrchr(served, '/');
    const char *base = slash ? slash + 1 : served;
    size_t n = strlen(base), n_asked = strlen(asked);
    if (n > 5 && strcasecmp(base + n - 5, ".gguf") == 0)
        n -= 5;
    unsigned first, count;
    if (n > 15 && base[n - 15] == '-' && sscanf(base + n - 15, "-%5u-of-%5u", &first, &count) == 2)
        n -= 15;
    return (n == n_asked && strncasecmp(base, asked, n) == 0) || strcasecmp(served, asked) == 0;
}

/* What follows --alias or -a on the arm's command line. */
static const char *alias_of(const ssw_manifest_arm *arm)
{
    for (size_t i = 0; i < arm->argv.n; i++) {
        const char *word = arm->argv.words[i];
        if (strncmp(word, "--alias=", 8) == 0)
            return word + 8;
        if ((strcmp(word, "--alias") == 0 || strcmp(word, "-a") == 0) && i + 1 < arm->argv.n)
            return arm->argv.words[i + 1];
    }
    return NULL;
}

/* Picks the served model that is the one asked for; else the first, and false. */
static bool pick_model(const ssw_runner *runner, const json_t *list, const char **served)
{
    const ssw_manifest_model *model = &runner->manifest->model;
    const char *alias = alias_of(arm_of(runner));
    const json_t *item;
    size_t i;
    *served = NULL;
    json_array_foreach(list, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));
        if (!id)
            continue;
        if (!*served)
            *served = id;
        bool by_name = is_same_model(id, model->name) || strcmp(id, model->path) == 0;
        bool by_metadata = model->general_name && is_same_model(id, model->general_name);
        if (by_name || by_metadata || (alias && strcmp(id, alias) == 0)) {
            *served = id;
            return true;
        }
    }
    return *served == NULL; /* a server that names nothing proves nothing */
}

static ssw_status check_model(ssw_runner *runner, ssw_error *err)
{
    ssw_strbuf body;
    long code = 0;
    ssw_strbuf_init(&body, SSW_CLIENT_BODY_BYTES_MAX);
    runner->served_model[0] = '\0';
    ssw_status status = ssw_client_get(runner->client, "/v1/models", MODELS_TIMEOUT_NS, &code, &body, err);
    json_t *root = !status && code == 200 ? json_loadb(ssw_strbuf_text(&body), body.n_bytes, 0, NULL) : NULL;
    ssw_strbuf_deinit(&body);
    if (status == SSW_ERR_CANCELLED)
        return status;
    const char *served = NULL;
    bool same = pick_model(runner, json_object_get(root, "data"), &served);
    snprintf(runner->served_model, sizeof runner->served_model, "%s", served ? served : "");
    json_decref(root);
    if (same)
        return SSW_OK;
    runner->result->outcome = SSW_RUN_INVALID;
    return ssw_error_set(err, SSW_ERR_FORMAT, "arm %s: the server on port %d serves \"%s\", not \"%s\"",
                         arm_of(runner)->name, arm_of(runner)->port, runner->served_model,
                         runner->manifest->model.name);
}

static ssw_status note_idle_level(ssw_runner *runner, ssw_error *err)
{
    int64_t t_ns;
    ssw_sampler_set_server(runner->sampler, runner->start.arm, runner->start.block, runner->start.position,
                           0);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_IDLE);
    ssw_status status = ssw_runner_wait_until(runner, ssw_clock_now_ns() + IDLE_SPAN_NS, err);
    ssw_sampler_get_level(runner->sampler, &t_ns, &runner->idle_available_bytes, &runner->idle_vram_bytes);
    return status;
}

static ssw_status open_client(ssw_runner *runner, ssw_error *err)
{
    const ssw_client_options options = {.port = arm_of(runner)->port,
                                        .cancel_fd = runner->options->cancel_fd,
                                        .connect_timeout_ns = HEALTH_TIMEOUT_NS,
                                        .silence_timeout_ns = runner->plan->hang_timeout_ns};
    return ssw_client_open(&options, &runner->client, err);
}

/* Writing evidence has an outcome of its own. */
static ssw_status written(ssw_runner *runner, ssw_status status)
{
    if (status)
        runner->result->outcome = SSW_RUN_EVIDENCE_FAILED;
    return status;
}

static ssw_status bring_up(ssw_runner *runner, ssw_error *err)
{
    int64_t ready_ns;
    const ssw_manifest_arm *arm = arm_of(runner);
    ssw_writer_server line = line_of(runner);
    ssw_sampler_set_server(runner->sampler, runner->start.arm, line.block, line.position, line.pid);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_LOADING);
    ssw_status status =
        written(runner, ssw_evidence_write_start(&runner->writer, &line, &arm->argv, arm->port, err));
    if (!status)
        status = wait_ready(runner, &ready_ns, err);
    if (status)
        return status;
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_LOADED);
    status = check_model(runner, err);
    int64_t spawn_ns = ssw_child_spawn_ns(runner->server);
    const char *served = *runner->served_model ? runner->served_model : NULL;
    if (status != SSW_ERR_CANCELLED) {
        ssw_error write_error;
        ssw_status kept = written(runner, ssw_evidence_write_ready(&runner->writer, &line, spawn_ns, ready_ns,
                                                                   served, &write_error));
        if (!status && kept) {
            status = kept;
            if (err)
                *err = write_error;
        }
    }
    if (status)
        return status;
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_READY, .value_ns = ready_ns - spawn_ns});
    return ssw_runner_wait_until(runner, ssw_clock_now_ns() + LOADED_SPAN_NS, err);
}

ssw_status ssw_runner_start_server(ssw_runner *runner, ssw_error *err)
{
    runner->result->outcome = SSW_RUN_SERVER_FAILED; /* unless something else is found to be the reason */
    ssw_status status = ssw_port_check(arm_of(runner)->port, err);
    if (!status)
        status = note_idle_level(runner, err);
    if (!status)
        status = written(runner, ssw_evidence_write_clock(&runner->writer, err));
    if (!status)
        status = open_client(runner, err);
    if (!status) {
        ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_START});
        status = spawn(runner, err);
    }
    return status ? status : bring_up(runner, err);
}

/* Until the machine's free memory and the GPUs' used memory are near their level from before the start.
 * Returns how long that took, or NONE. */
static int64_t wait_memory(ssw_runner *runner, int64_t end_ns)
{
    int64_t slack_bytes = runner->manifest->machine.memory_bytes / 50;
    int64_t until_ns = end_ns + runner->plan->memory_timeout_ns;
    if (slack_bytes < MEMORY_SLACK_BYTES)
        slack_bytes = MEMORY_SLACK_BYTES;
    for (;;) {
        int64_t t_ns, available_bytes, vram_bytes;
        ssw_sampler_get_level(runner->sampler, &t_ns, &available_bytes, &vram_bytes);
        bool host_back = available_bytes == SSW_EVIDENCE_NONE ||
                         available_bytes >= runner->idle_available_bytes - slack_bytes;
        bool gpu_back = vram_bytes == SSW_EVIDENCE_NONE || runner->idle_vram_bytes == SSW_EVIDENCE_NONE ||
                        vram_bytes <= runner->idle_vram_bytes + VRAM_SLACK_BYTES;
        if (t_ns >= end_ns && host_back && gpu_back)
            return t_ns - end_ns;
        if (ssw_clock_now_ns() >= until_ns ||
            ssw_runner_wait_until(runner, ssw_clock_now_ns() + SSW_SAMPLER_INTERVAL_NS, NULL))
            return SSW_EVIDENCE_NONE;
    }
}

static const char *stop_reason(ssw_status status, bool had_ended)
{
    if (status == SSW_ERR_CANCELLED)
        return "interrupted";
    if (had_ended)
        return "crashed";
    if (status == SSW_ERR_TIMEOUT)
        return "hung";
    return status ? "failed" : "done";
}

ssw_status ssw_runner_stop_server(ssw_runner *runner, ssw_status status, ssw_error *err)
{
    ssw_child_end end;
    if (!runner->server) {
        ssw_client_close(runner->client);
        runner->client = NULL;
        return SSW_OK;
    }
    /* a connection that broke usually means that the server is just now ending */
    bool had_ended =
        ssw_child_has_ended(runner->server, status == SSW_ERR_UNAVAILABLE ? SSW_NS_PER_S : 0, NULL);
    const char *reason = stop_reason(status, had_ended);
    ssw_writer_server line = line_of(runner);
    ssw_child_stop(runner->server, runner->plan->stop_grace_ns, &end);
    ssw_sampler_set_server(runner->sampler, runner->start.arm, line.block, line.position, 0);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_STOPPED);
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_STOP, .text = reason});
    int64_t back_ns = status ? SSW_EVIDENCE_NONE : wait_memory(runner, end.end_ns);
    if (!status)
        ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_MEMORY_BACK, .value_ns = back_ns});
    const ssw_writer_stop stop = {.reason = reason,
                                  .exit_code = end.exit_signal ? SSW_EVIDENCE_NONE : end.exit_code,
                                  .exit_signal = end.exit_signal ? end.exit_signal : SSW_EVIDENCE_NONE,
                                  .memory_back_ns = back_ns};
    ssw_client_close(runner->client);
    ssw_child_close(runner->server);
    runner->client = NULL;
    runner->server = NULL;
    ssw_status kept = ssw_evidence_write_stop(&runner->writer, &line, &stop, err);
    return status ? kept : written(runner, kept);
}
