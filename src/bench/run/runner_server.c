/* The runner's care for one server: start, readiness, the model that it serves, stop, memory back. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/run/page_cache.h"
#include "bench/run/port_check.h"
#include "bench/run/runner_internal.h"
#include "bench/run/server_log.h"

#define HEALTH_INTERVAL_NS (10 * SSW_NS_PER_MS)
#define HEALTH_TIMEOUT_NS  (2 * SSW_NS_PER_S)
#define LOADED_SPAN_NS     (100 * SSW_NS_PER_MS) /* for a few memory readings of the loaded, idle server */
#define IDLE_SPAN_NS       (60 * SSW_NS_PER_MS)
#define MEMORY_SLACK_BYTES (INT64_C(256) << 20)
#define VRAM_SLACK_BYTES   (INT64_C(64) << 20)

enum { ENVIRONMENT_MAX = 8192, PATH_BYTES_MAX = 4200, LOAD_REPLY_BYTES_MAX = 16 << 20 };

const ssw_manifest_arm *ssw_runner_arm(const ssw_runner *runner)
{
    return &runner->manifest->arms[runner->start.arm];
}

/* NULL for a server that the bench starts. */
static const char *arm_url(const ssw_runner *runner)
{
    return runner->plan->arms[runner->start.arm].url;
}

static ssw_writer_server line_of(const ssw_runner *runner)
{
    return (ssw_writer_server){.arm = ssw_runner_arm(runner)->name,
                               .block = runner->start.block,
                               .position = runner->start.position,
                               .pid = runner->server ? ssw_child_pid(runner->server) : runner->running_pid};
}

static void log_path(const ssw_runner *runner, char path[PATH_BYTES_MAX])
{
    snprintf(path, PATH_BYTES_MAX, "%.4000s/server-%d.log", runner->options->dir,
             ssw_runner_arm(runner)->port);
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
    const ssw_manifest_words *own = &ssw_runner_arm(runner)->env;
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
    const ssw_manifest_arm *arm = ssw_runner_arm(runner);
    const char **environment = calloc(ENVIRONMENT_MAX, sizeof *environment);
    const char **argv = calloc(arm->argv.n + 1, sizeof *argv);
    ssw_status status;
    if (!environment || !argv) {
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a server");
    } else {
        memcpy(argv, arm->argv.words, arm->argv.n * sizeof *argv);
        merge_environment(runner, environment, ENVIRONMENT_MAX);
        log_path(runner, path);
        runner->log_offset = ssw_server_log_length(path);
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
    char line[200], how[64], path[PATH_BYTES_MAX];
    log_path(runner, path);
    ssw_server_log_read_last(path, line, sizeof line);
    if (end->exit_signal)
        snprintf(how, sizeof how, "was killed by signal %d", end->exit_signal);
    else
        snprintf(how, sizeof how, "ended with exit code %d", end->exit_code);
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE,
                         "arm %s: the server %s %s; its log (server-%d.log) ends: %s",
                         ssw_runner_arm(runner)->name, how, when, ssw_runner_arm(runner)->port, line);
}

/* Asks until the adapter's ready_path says 200. *ready_ns is when that answer was here. */
static ssw_status wait_ready(ssw_runner *runner, int64_t *ready_ns, ssw_error *err)
{
    int64_t begin_ns = ssw_child_spawn_ns(runner->server);
    for (;;) {
        ssw_child_end end;
        ssw_strbuf body;
        long code = 0;
        ssw_strbuf_init(&body, SSW_CLIENT_BODY_BYTES_MAX);
        ssw_status status =
            ssw_client_get(runner->client, runner->adapter->ready_path, HEALTH_TIMEOUT_NS, &code, &body, err);
        ssw_strbuf_deinit(&body);
        *ready_ns = ssw_clock_now_ns();
        if (status == SSW_ERR_CANCELLED)
            return status;
        if (ssw_child_has_ended(runner->server, 0, &end))
            return say_crashed(runner, &end, "while loading", err);
        if (!status && code == 200)
            return SSW_OK;
        if (*ready_ns - begin_ns > runner->plan->ready_timeout_ns)
            return ssw_error_set(
                err, SSW_ERR_TIMEOUT, "arm %s: the server is not ready after %.0f s (see server-%d.log)",
                ssw_runner_arm(runner)->name, (double)(*ready_ns - begin_ns) / (double)SSW_NS_PER_S,
                ssw_runner_arm(runner)->port);
        status = ssw_runner_wait_until(runner, *ready_ns + HEALTH_INTERVAL_NS, err);
        if (status)
            return status;
    }
}

/* A server that ran already answers at once, or is not there. */
static ssw_status reach_running(ssw_runner *runner, int64_t *ready_ns, ssw_error *err)
{
    ssw_error why = {0};
    ssw_strbuf body;
    long code = 0;
    ssw_strbuf_init(&body, SSW_CLIENT_BODY_BYTES_MAX);
    ssw_status status =
        ssw_client_get(runner->client, runner->adapter->ready_path, HEALTH_TIMEOUT_NS, &code, &body, &why);
    ssw_strbuf_deinit(&body);
    *ready_ns = ssw_clock_now_ns();
    if (!status && code == 200)
        return SSW_OK;
    if (status == SSW_ERR_CANCELLED)
        return ssw_error_set(err, status, "interrupted");
    if (!status)
        snprintf(why.message, sizeof why.message, "HTTP %ld", code);
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "arm %s: %.200s%s does not answer with 200: %.100s",
                         ssw_runner_arm(runner)->name, arm_url(runner), runner->adapter->ready_path,
                         why.message);
}

/* Where a model is loaded only by the first request, this is that request; its answer is nobody's sample. */
static ssw_status load_model(ssw_runner *runner, int64_t *ready_ns, ssw_error *err)
{
    ssw_arena arena;
    ssw_sample sample = {0};
    if (!runner->adapter->loads_at_first_request)
        return SSW_OK;
    char *body = ssw_runner_make_request(runner, -1, 0, "a", 1);
    if (!body)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a request");
    sample.request = body;
    ssw_arena_init(&arena, LOAD_REPLY_BYTES_MAX);
    ssw_status status = ssw_client_chat(runner->client, &arena, &sample, NULL, NULL, err);
    *ready_ns = ssw_clock_now_ns();
    ssw_arena_deinit(&arena);
    free(body);
    if (status)
        ssw_error_prefix(err, "arm %s: loading the model", ssw_runner_arm(runner)->name);
    return status;
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
    const ssw_client_options options = {.port = ssw_runner_arm(runner)->port,
                                        .base_url = arm_url(runner),
                                        .ask_path = ssw_adapter_ask_path(runner->adapter, runner->plan->ask),
                                        .wire = runner->adapter->wire,
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

/* Writes that it is ready, with what its log says of memory until then. */
static ssw_status write_ready(ssw_runner *runner, const ssw_writer_server *line, int64_t ready_ns,
                              ssw_error *err)
{
    char path[PATH_BYTES_MAX];
    ssw_server_buffer buffers[SSW_BUFFERS_MAX];
    ssw_writer_ready ready = {.spawn_ns = SSW_EVIDENCE_NONE,
                              .ready_ns = ready_ns,
                              .served_model = *runner->served_model ? runner->served_model : NULL,
                              .buffers = buffers};
    if (runner->server) {
        log_path(runner, path);
        ready.spawn_ns = ssw_child_spawn_ns(runner->server);
        ready.n_buffers =
            ssw_server_log_read_buffers(path, runner->log_offset, runner->adapter, buffers, SSW_BUFFERS_MAX);
    }
    return written(runner, ssw_evidence_write_ready(&runner->writer, line, &ready, err));
}

static ssw_status bring_up(ssw_runner *runner, ssw_error *err)
{
    int64_t ready_ns = 0;
    const ssw_manifest_arm *arm = ssw_runner_arm(runner);
    ssw_writer_server line = line_of(runner);
    ssw_sampler_set_server(runner->sampler, runner->start.arm, line.block, line.position, line.pid);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_LOADING);
    ssw_status status =
        written(runner, ssw_evidence_write_start(&runner->writer, &line, arm, runner->page_cache_bytes, err));
    if (!status)
        status = runner->server ? wait_ready(runner, &ready_ns, err) : reach_running(runner, &ready_ns, err);
    if (status)
        return status;
    status = ssw_runner_check_model(runner, err);
    if (!status)
        status = load_model(runner, &ready_ns, err);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_LOADED);
    if (status != SSW_ERR_CANCELLED) {
        ssw_error write_error;
        ssw_status kept = write_ready(runner, &line, ready_ns, &write_error);
        if (!status && kept) {
            status = kept;
            if (err)
                *err = write_error;
        }
    }
    if (status)
        return status;
    int64_t load_ns = runner->server ? ready_ns - ssw_child_spawn_ns(runner->server) : SSW_EVIDENCE_NONE;
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_READY, .value_ns = load_ns});
    return ssw_runner_wait_until(runner, ssw_clock_now_ns() + LOADED_SPAN_NS, err);
}

/* A declared page cache that cannot be had makes what follows another measurement. */
static ssw_status prepare_page_cache(ssw_runner *runner, ssw_error *err)
{
    const ssw_manifest_model *model = &runner->manifest->model;
    ssw_status status = ssw_page_cache_prepare(model->files, model->n_files, runner->plan->page_cache, err);
    if (status == SSW_ERR_UNAVAILABLE)
        runner->result->outcome = SSW_RUN_INVALID;
    runner->page_cache_bytes = ssw_page_cache_resident_bytes(model->files, model->n_files);
    return status;
}

static ssw_status start_own(ssw_runner *runner, ssw_error *err)
{
    ssw_status status = ssw_port_check(ssw_runner_arm(runner)->port, err);
    if (!status)
        status = prepare_page_cache(runner, err);
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
    return status;
}

/* Its process is looked for only on this machine; it may still be another user's, and hidden. */
static ssw_status attach_running(ssw_runner *runner, ssw_error *err)
{
    bool local = strncmp(arm_url(runner), "http://127.", 11) == 0 ||
                 strncmp(arm_url(runner), "http://localhost", 16) == 0 ||
                 strncmp(arm_url(runner), "http://[::1]", 12) == 0;
    runner->running_pid = local ? ssw_port_find_owner(ssw_runner_arm(runner)->port) : 0;
    runner->page_cache_bytes = SSW_EVIDENCE_NONE;
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_START});
    ssw_status status = written(runner, ssw_evidence_write_clock(&runner->writer, err));
    return status ? status : open_client(runner, err);
}

ssw_status ssw_runner_start_server(ssw_runner *runner, ssw_error *err)
{
    runner->result->outcome = SSW_RUN_SERVER_FAILED; /* unless something else is found to be the reason */
    runner->running_pid = 0;
    ssw_status status = arm_url(runner) ? attach_running(runner, err) : start_own(runner, err);
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

/* A server that ran already is left alone; whether it fell is told by its last answer. */
static ssw_status leave_running(ssw_runner *runner, ssw_status status, ssw_error *err)
{
    ssw_writer_server line = line_of(runner);
    const ssw_writer_stop stop = {.reason = stop_reason(status, status == SSW_ERR_UNAVAILABLE),
                                  .exit_code = SSW_EVIDENCE_NONE,
                                  .exit_signal = SSW_EVIDENCE_NONE,
                                  .memory_back_ns = SSW_EVIDENCE_NONE};
    ssw_sampler_set_server(runner->sampler, runner->start.arm, line.block, line.position, 0);
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_STOPPED);
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_SERVER_STOP, .text = stop.reason});
    ssw_client_close(runner->client);
    runner->client = NULL;
    ssw_status kept = ssw_evidence_write_stop(&runner->writer, &line, &stop, err);
    return status ? kept : written(runner, kept);
}

ssw_status ssw_runner_stop_server(ssw_runner *runner, ssw_status status, ssw_error *err)
{
    ssw_child_end end;
    if (arm_url(runner) && runner->client)
        return leave_running(runner, status, err);
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
