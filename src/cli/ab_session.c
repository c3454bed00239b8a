/* Prepares a run folder, lets the runner work, and finishes the folder: token counts, summary, checksums,
 * report. */
#include "cli/ab_session.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "bench/evidence/checksums.h"
#include "bench/report/look.h"
#include "bench/report/report.h"
#include "bench/run/port_check.h"
#include "bench/run/prepare.h"
#include "bench/run/recount.h"
#include "bench/run/runner.h"
#include "cli/ab_quality.h"
#include "cli/ab_screen.h"
#include "cli/build_commit.h"
#include "cli/cache_dir.h"
#include "cli/commands.h"
#include "cli/find_server.h"
#include "cli/index_path.h"

enum { DIR_BYTES_MAX = 3500, NAME_BYTES_MAX = 200, SUMMARY_BYTES_MAX = 1 << 16 };

extern char **environ;

typedef struct session {
    const ssw_ab_options *options;
    ssw_manifest manifest;
    const ssw_manifest *used; /* manifest, or that of the run which is resumed */
    ssw_evidence *before;
    ssw_schedule schedule;
    ssw_nvml *nvml;
    ssw_rapl *rapl;
    char rapl_reason[SSW_RAPL_TEXT_MAX];
    ssw_ab_screen *screen;
    char dir[DIR_BYTES_MAX + NAME_BYTES_MAX + 2];
    ssw_found_server found[SSW_PLAN_ARMS_MAX];
    ssw_prepare_server servers[SSW_PLAN_ARMS_MAX];
    char cache[SSW_CLI_CACHE_DIR_MAX]; /* "" when there is none */
    ssw_run_result result;
    bool verdict_invalid;
    char widest_arm[SSW_LOOK_ARM_MAX];
} session;

/* The write end of the pipe that ends the run: a signal handler may only write. */
static volatile int cancel_write_fd = -1;

static void on_signal(int number)
{
    int error_number = errno;
    char byte = (char)number;
    ssize_t put = write(cancel_write_fd, &byte, 1);
    (void)put;
    errno = error_number;
}

/* Ctrl-C, kill and a closed terminal end the run in order; a second Ctrl-C ends the program at once, and the
 * keeper still kills the server. A full disk shall give an error, not a signal. */
static ssw_status watch_signals(int fds[2], ssw_error *err)
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "no pipe");
    cancel_write_fd = fds[1];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return SSW_OK;
}

/* Each arm's server: its own, or that of --server. */
static ssw_status find_servers(session *s, ssw_error *err)
{
    const ssw_plan *plan = &s->manifest.plan;
    ssw_status status = SSW_OK;
    for (size_t i = 0; i < plan->n_arms && !status; i++) {
        const ssw_plan_arm *arm = &plan->arms[i];
        status = ssw_cli_find_server(arm->server ? arm->server : s->options->server, arm->url != NULL, plan,
                                     &s->found[i], err);
        s->servers[i] = (ssw_prepare_server){.path = *s->found[i].path ? s->found[i].path : NULL,
                                             .adapter = s->found[i].adapter};
    }
    if (plan->n_arms < SSW_PLAN_ARMS_MAX) /* the quality phase may add the first arm once more */
        s->servers[plan->n_arms] = s->servers[0];
    return status;
}

static const char *cache_of(const session *s)
{
    return *s->cache ? s->cache : NULL;
}

static ssw_status make_dir(session *s, ssw_error *err)
{
    char stamp[32], name[NAME_BYTES_MAX];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    snprintf(name, sizeof name, "baseline-ab-%.100s-%s", s->manifest.model.name, stamp);
    for (char *c = name; *c; c++) {
        if (*c == '/' || *c == ' ' || (unsigned char)*c < 0x20)
            *c = '_';
    }
    if (strlen(s->options->out) >= DIR_BYTES_MAX)
        return ssw_error_set(err, SSW_ERR_USAGE, "--out is too long");
    if (mkdir(s->options->out, 0755) && errno != EEXIST)
        return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", s->options->out);
    snprintf(s->dir, sizeof s->dir, "%s/%s", s->options->out, name);
    for (int i = 2; mkdir(s->dir, 0755); i++) { /* two runs within one second */
        if (errno != EEXIST || i > 99)
            return ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", s->dir);
        snprintf(s->dir, sizeof s->dir, "%s/%.190s-%d", s->options->out, name, i);
    }
    return SSW_OK;
}

static ssw_status check_ports(const session *s, ssw_error *err)
{
    for (size_t i = 0; i < s->used->n_arms; i++) {
        if (s->used->plan.arms[i].url)
            continue;
        ssw_status status = ssw_port_check(s->used->arms[i].port, err);
        if (status)
            return ssw_error_prefix(err, "arm %s", s->used->arms[i].name);
    }
    return SSW_OK;
}

static ssw_status prepare_new(session *s, ssw_plan *plan, const char *nvml_reason, ssw_error *err)
{
    ssw_plan_deinit(&s->manifest.plan);
    s->manifest.plan = *plan;
    *plan = (ssw_plan){0};
    ssw_status status = find_servers(s, err);
    if (status)
        return status;
    const ssw_prepare_options options = {.tool_version = SSW_VERSION,
                                         .tool_commit = *SSW_COMMIT ? SSW_COMMIT : NULL,
                                         .argc = s->options->argc,
                                         .argv = s->options->argv,
                                         .model = s->options->model,
                                         .servers = s->servers,
                                         .environment = (const char *const *)environ,
                                         .cache_dir = cache_of(s),
                                         .nvml = s->nvml,
                                         .nvml_reason = nvml_reason,
                                         .rapl = s->rapl,
                                         .rapl_reason = s->rapl_reason};
    status = ssw_prepare_manifest(&options, &s->manifest, &s->schedule, err);
    s->used = &s->manifest;
    if (!status)
        status = check_ports(s, err);
    if (!status)
        status = make_dir(s, err);
    if (!status)
        status = ssw_manifest_write(&s->manifest, s->dir, err);
    if (!status && s->options->quality.wanted)
        status = ssw_ab_quality_prepare(s->dir, &options, &s->manifest.plan, &s->options->quality, err);
    return status;
}

static ssw_status prepare_resume(session *s, ssw_error *err)
{
    size_t n = strlen(s->options->resume);
    while (n > 1 && s->options->resume[n - 1] == '/')
        n--;
    snprintf(s->dir, sizeof s->dir, "%.*s", (int)n, s->options->resume);
    ssw_status status = ssw_evidence_open(s->dir, &s->before, err);
    if (status)
        return status;
    s->used = &s->before->manifest;
    if (s->before->end_reason && strcmp(s->before->end_reason, "complete") == 0 &&
        !ssw_ab_quality_is_open(s->dir))
        return ssw_error_set(err, SSW_ERR_USAGE, "%s: this run is complete; nothing is left to measure",
                             s->dir);
    status = ssw_prepare_check(s->used, cache_of(s), err);
    if (!status)
        status = ssw_schedule_init(&s->schedule, &s->used->plan, err);
    return status ? status : check_ports(s, err);
}

static ssw_status open_screen(session *s, ssw_error *err)
{
    char path[sizeof s->dir + NAME_BYTES_MAX + 16];
    ssw_status status = ssw_ab_screen_open(s->options->json ? stderr : stdout, s->used, &s->screen, err);
    if (status)
        return status;
    ssw_ab_screen_expect(s->screen, s->options->n_rest, s->options->run_begin_ns);
    const char *slash = strrchr(s->dir, '/');
    snprintf(path, sizeof path, "%s/%.205s.log", s->dir, slash ? slash + 1 : s->dir);
    return ssw_ab_screen_open_log(s->screen, path, err);
}

static void show_plan(session *s)
{
    const ssw_plan *plan = &s->used->plan;
    ssw_ab_screen_line(s->screen, "seesaw ab: %s, %zu arms x %zu prompts x %d runs, design %s, seed %llu",
                       s->used->model.name, plan->n_arms, plan->n_prompts, plan->runs,
                       ssw_plan_design_name(plan->design), (unsigned long long)plan->seed);
    for (size_t i = 0; i < plan->n_arms; i++) {
        if (plan->arms[i].url)
            ssw_ab_screen_line(s->screen, "  %-9s runs already at %s", plan->arms[i].name, plan->arms[i].url);
        else
            ssw_ab_screen_line(s->screen, "  %-9s port %d  %s", plan->arms[i].name, plan->arms[i].port,
                               s->used->arms[i].treatment);
    }
    const ssw_manifest_machine *machine = &s->used->machine;
    if (machine->nvml)
        ssw_ab_screen_line(s->screen, "  GPU       %s, NVML %s",
                           machine->n_gpus ? machine->gpus[0].name : "?", machine->nvml);
    else
        ssw_ab_screen_line(s->screen, "  GPU       none is seen (%s): host memory is measured",
                           machine->nvml_reason ? machine->nvml_reason : "no reason given");
    ssw_ab_screen_line(s->screen, "  evidence  %s%s", s->dir, s->before ? " (resumed)" : "");
}

static int exit_status(const session *s)
{
    switch (s->result.outcome) {
    case SSW_RUN_COMPLETE:
        return s->verdict_invalid ? SSW_EXIT_INVALID : SSW_EXIT_OK;
    case SSW_RUN_INTERRUPTED:
        return SSW_EXIT_INTERRUPTED;
    case SSW_RUN_SERVER_FAILED:
        return SSW_EXIT_SERVER_FAILED;
    case SSW_RUN_INVALID:
        return SSW_EXIT_INVALID;
    case SSW_RUN_EVIDENCE_FAILED:
        break;
    }
    return SSW_EXIT_FAILED;
}

/* The closing summary, of the report's own figures. */
static ssw_status show_summary(session *s, ssw_error *err)
{
    ssw_strbuf text;
    ssw_report_worth worth = SSW_REPORT_MEASURED;
    ssw_strbuf_init(&text, SUMMARY_BYTES_MAX);
    ssw_status status = ssw_report_summary(s->dir, &text, &worth, err);
    if (!status) {
        ssw_ab_screen_text(s->screen, "");
        ssw_ab_screen_text(s->screen, ssw_strbuf_text(&text));
        s->verdict_invalid = worth == SSW_REPORT_INVALID;
    }
    ssw_strbuf_deinit(&text);
    return status;
}

/* The quality phase, where the folder has one. */
static ssw_status run_quality(session *s, int cancel_fd, ssw_error *err)
{
    const ssw_ab_quality_run_options options = {.dir = s->dir,
                                                .out = s->options->json ? stderr : stdout,
                                                .nvml = s->nvml,
                                                .environment = (const char *const *)environ,
                                                .cache_dir = cache_of(s),
                                                .cancel_fd = cancel_fd};
    return ssw_ab_quality_is_open(s->dir) ? ssw_ab_quality_run(&options, &s->result.outcome, err) : SSW_OK;
}

/* After a complete run: what is computed from the evidence, in the order that keeps SHA256SUMS true. */
static ssw_status finish_run(session *s, ssw_error *err)
{
    ssw_recount_result counts;
    bool local = s->used->model.architecture != NULL;
    ssw_status status = ssw_recount_tokens(s->dir, local ? s->used->model.path : NULL, &counts, err);
    if (status == SSW_ERR_UNSUPPORTED && local) {
        ssw_ab_screen_line(s->screen, "tokens are the server's own count: %s", err->message);
        status = ssw_recount_tokens(s->dir, NULL, &counts, err);
    } else if (!status && counts.n_disagree) {
        ssw_ab_screen_line(s->screen,
                           "token counts: the server's and the tokenizer's disagree in %d of %d replies",
                           counts.n_disagree, counts.n_counted);
    }
    if (!status)
        status = show_summary(s, err);
    ssw_ab_screen_close_log(s->screen);
    if (!status)
        status = ssw_checksums_write(s->dir, err);
    if (!status && s->options->report) {
        status = ssw_report_write(s->dir, NULL, err);
        if (!status)
            ssw_ab_screen_line(s->screen, "report: %s/report/report.html", s->dir);
    }
    ssw_error unrecorded = {0};
    if (!status && s->options->record && ssw_cli_index_run(s->options->index, s->dir, &unrecorded))
        ssw_ab_screen_line(s->screen, "the run is not in the index: %s", unrecorded.message);
    return status;
}

static void print_json(const session *s, const ssw_error *err, int code)
{
    static const char *const outcomes[] = {"complete", "interrupted", "server-failed", "invalid",
                                           "evidence-failed"};
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:i, s:s?, s:i}", "dir", s->dir, "outcome", outcomes[s->result.outcome],
                  "measured", s->result.n_done, "planned", s->result.n_total, "error",
                  *err->message ? err->message : NULL, "exit_status", code);
    if (object)
        json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

static ssw_status look_at_run(void *context, int block, ssw_look *out, ssw_error *err)
{
    session *s = context;
    return ssw_report_look(s->dir, block, s->widest_arm, out, err);
}

/* The exit status of a gate in place of the run's own. */
static int judge_run(const session *s, int code, const char *reason)
{
    const ssw_gate_choice *gate = &s->options->gate;
    if (s->result.outcome != SSW_RUN_COMPLETE || code == SSW_EXIT_FAILED)
        return ssw_gate_give_up("seesaw ab", gate, code, reason);
    return ssw_gate_finish("seesaw ab", gate, s->dir, s->options->json ? stderr : stdout);
}

static int run_prepared(session *s, int cancel_fd)
{
    ssw_error err = {0};
    show_plan(s);
    const ssw_run_options options = {.dir = s->dir,
                                     .manifest = s->used,
                                     .schedule = &s->schedule,
                                     .before = s->before,
                                     .environment = (const char *const *)environ,
                                     .nvml = s->nvml,
                                     .rapl = s->rapl,
                                     .cancel_fd = cancel_fd,
                                     .observer = ssw_ab_screen_observe,
                                     .context = s->screen,
                                     .looker = look_at_run,
                                     .looker_context = s};
    ssw_status status = ssw_run_schedule(&options, &s->result, &err);
    ssw_ab_screen_finish(s->screen);
    int code = SSW_EXIT_OK;
    if (!status)
        status = run_quality(s, cancel_fd, &err);
    if (!status && (status = finish_run(s, &err)))
        code = SSW_EXIT_FAILED;
    if (!code)
        code = exit_status(s);
    if (status) {
        ssw_ab_screen_line(s->screen, "seesaw ab: %s", err.message);
        if (s->result.outcome != SSW_RUN_COMPLETE)
            ssw_ab_screen_line(s->screen,
                               "%d of %d requests are measured and kept; go on with: seesaw ab --resume %s",
                               s->result.n_done, s->result.n_total, s->dir);
    }
    if (s->options->gate.max_regress > 0)
        code = judge_run(s, code, err.message);
    if (s->options->json)
        print_json(s, &err, code);
    return code;
}

/* What keeps a run from beginning: mostly what was asked for. */
static int exit_of_status(ssw_status status)
{
    switch (status) {
    case SSW_ERR_USAGE:
    case SSW_ERR_FORMAT:
    case SSW_ERR_UNSUPPORTED:
    case SSW_ERR_LIMIT:
        return SSW_EXIT_USAGE;
    default:
        return SSW_EXIT_FAILED;
    }
}

int ssw_ab_run_session(const ssw_ab_options *options, ssw_plan *plan)
{
    session s = {.options = options};
    ssw_error err = {0};
    char nvml_reason[SSW_NVML_REASON_MAX];
    int fds[2] = {-1, -1};
    ssw_manifest_init(&s.manifest);
    curl_global_init(CURL_GLOBAL_ALL);
    if (!ssw_cli_make_cache_dir(s.cache))
        s.cache[0] = '\0';
    const char *library = getenv("SEESAW_NVML"); /* another library than the system's, for tests */
    s.nvml = ssw_nvml_open(library, nvml_reason);
    s.rapl = ssw_rapl_open(getenv("SEESAW_POWERCAP"), s.rapl_reason); /* NULL: the kernel's own tree */
    ssw_status status = watch_signals(fds, &err);
    if (!status)
        status = options->resume ? prepare_resume(&s, &err) : prepare_new(&s, plan, nvml_reason, &err);
    if (!status)
        status = open_screen(&s, &err);
    int code = status ? exit_of_status(status) : run_prepared(&s, fds[0]);
    if (status)
        fprintf(stderr, "seesaw ab: %s\n", err.message);
    ssw_ab_screen_close(s.screen);
    ssw_schedule_deinit(&s.schedule);
    ssw_evidence_close(s.before);
    ssw_manifest_deinit(&s.manifest);
    ssw_plan_deinit(plan);
    ssw_rapl_close(s.rapl);
    ssw_nvml_close(s.nvml);
    curl_global_cleanup();
    return code;
}
