/* The walk through the schedule. */
#include "bench/run/runner.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/run/runner_internal.h"
#include "bench/run/self_audit_run.h"

enum { WARMUP_TOKENS_MAX = 32, SAMPLE_ARENA_BYTES_MAX = 1 << 30 };

/* Not one of the prompts, so that no server can have a measured prompt in its cache. */
static const char warmup_text[] = "Count from one to twenty in words.";

void ssw_runner_tell(ssw_runner *runner, ssw_run_event event)
{
    event.arm = runner->start.arm;
    event.block = runner->start.block;
    event.position = runner->start.position;
    event.n_done = runner->result->n_done;
    event.n_total = runner->result->n_total;
    if (runner->options->observer)
        runner->options->observer(runner->options->context, &event);
}

ssw_status ssw_runner_wait_until(ssw_runner *runner, int64_t t_ns, ssw_error *err)
{
    struct pollfd cancel = {.fd = runner->options->cancel_fd, .events = POLLIN}; /* -1 is ignored by poll */
    for (;;) {
        int64_t left_ns = t_ns - ssw_clock_now_ns();
        int timeout_ms = left_ns <= 0             ? 0
                         : left_ns > SSW_NS_PER_S ? 1000
                                                  : (int)(left_ns / SSW_NS_PER_MS) + 1;
        if (poll(&cancel, 1, timeout_ms) > 0)
            return ssw_error_set(err, SSW_ERR_CANCELLED, "interrupted");
        if (left_ns <= 0)
            return SSW_OK;
    }
}

typedef struct slot {      /* one request of the schedule */
    const char *prompt_id; /* "warmup" or the plan's */
    const char *text;
    int prompt, run;
    bool warmup;
    int max_tokens;
} slot;

/* How often this request was tried in earlier sessions; *good: one of them went well. */
static int count_attempts(const ssw_runner *runner, const slot *s, bool *good)
{
    const ssw_evidence *before = runner->options->before;
    const char *arm = runner->manifest->arms[runner->start.arm].name;
    int n = 0;
    *good = false;
    for (size_t i = 0; before && i < before->n_samples; i++) {
        const ssw_sample *sample = &before->samples[i];
        bool same = sample->warmup == s->warmup && sample->run == s->run && strcmp(sample->arm, arm) == 0 &&
                    strcmp(sample->prompt, s->prompt_id) == 0 &&
                    (!s->warmup ||
                     (sample->block == runner->start.block && sample->position == runner->start.position));
        n += same;
        *good = *good || (same && ssw_evidence_is_measured(sample));
    }
    return n;
}

static slot slot_of(const ssw_runner *runner, const ssw_schedule_request *request)
{
    const ssw_plan_prompt *prompt = &runner->plan->prompts[request->prompt];
    return (slot){.prompt_id = prompt->id,
                  .text = prompt->text,
                  .prompt = request->prompt,
                  .run = request->run,
                  .max_tokens = runner->plan->max_tokens};
}

static slot warmup_slot(const ssw_runner *runner, int run)
{
    int max_tokens = runner->plan->max_tokens;
    return (slot){.prompt_id = "warmup",
                  .text = warmup_text,
                  .prompt = -1,
                  .run = run,
                  .warmup = true,
                  .max_tokens = max_tokens < WARMUP_TOKENS_MAX ? max_tokens : WARMUP_TOKENS_MAX};
}

typedef struct watcher { /* what the client's observer needs */
    ssw_runner *runner;
    const ssw_sample *sample;
    bool decoding;
} watcher;

static void watch_frame(void *context, const ssw_frame *frame)
{
    watcher *w = context;
    bool text = frame->kind == SSW_FRAME_CONTENT || frame->kind == SSW_FRAME_REASONING ||
                frame->kind == SSW_FRAME_TOOL;
    if (text && !w->decoding) {
        w->decoding = true;
        if (!w->sample->warmup)
            ssw_sampler_set_phase(w->runner->sampler, SSW_PHASE_DECODE);
    }
    ssw_runner_tell(
        w->runner,
        (ssw_run_event){.kind = SSW_RUN_FRAME, .sample = w->sample, .frame = frame, .value_ns = frame->t_ns});
}

static int64_t clock_offset_ns(void)
{
    return ssw_clock_wall_ns() - ssw_clock_now_ns();
}

/* The server may go on without it, but that is another measurement. */
static ssw_status end_without_gpu(ssw_runner *runner, const char *id, ssw_error *err)
{
    runner->result->outcome = SSW_RUN_INVALID;
    return ssw_error_set(err, SSW_ERR_UNAVAILABLE, "%s: a GPU was lost (NVML); its reply is kept and flagged",
                         id);
}

/* Sends one request and writes it down, well or not. */
static ssw_status measure(ssw_runner *runner, const slot *s, int attempt, ssw_error *err)
{
    char id[SSW_RUN_ID_MAX], suffix[16] = "";
    const char *arm = runner->manifest->arms[runner->start.arm].name;
    ssw_sampler_watch seen;
    ssw_arena arena;
    if (attempt > 1)
        snprintf(suffix, sizeof suffix, ".a%d", attempt);
    snprintf(id, sizeof id, "b%d.p%d.%s.%s.r%d%s", runner->start.block, runner->start.position, arm,
             s->prompt_id, s->run, suffix);
    char *request = ssw_runner_make_request(runner, s->prompt, s->run, s->text, s->max_tokens);
    if (!request)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a request");
    ssw_arena_init(&arena, SAMPLE_ARENA_BYTES_MAX);
    ssw_sample sample = {.id = id,
                         .arm = arm,
                         .block = runner->start.block,
                         .position = runner->start.position,
                         .run = s->run,
                         .attempt = attempt,
                         .prompt = s->prompt_id,
                         .warmup = s->warmup,
                         .request = request};
    watcher w = {.runner = runner, .sample = &sample};
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_REQUEST_BEGIN, .sample = &sample});
    ssw_sampler_set_phase(runner->sampler, s->warmup ? SSW_PHASE_WARMUP : SSW_PHASE_PREFILL);
    ssw_sampler_take_watch(runner->sampler, &seen);
    int64_t offset_ns = clock_offset_ns();
    ssw_status status = ssw_client_chat(runner->client, &arena, &sample, watch_frame, &w, err);
    int64_t step_ns = clock_offset_ns() - offset_ns;
    ssw_sampler_set_phase(runner->sampler, SSW_PHASE_BETWEEN);
    ssw_sampler_take_watch(runner->sampler, &seen);
    ssw_runner_flag_sample(runner, &sample, &seen, step_ns);
    ssw_error write_error = {0};
    ssw_status kept = ssw_evidence_write_sample(&runner->writer, &sample, &write_error);
    runner->n_samples += !kept;
    if (!s->warmup && !status) {
        runner->result->n_done++;
        runner->result->n_flagged += sample.n_flags > 0;
    }
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_REQUEST_END, .sample = &sample});
    if (kept) {
        runner->result->outcome = SSW_RUN_EVIDENCE_FAILED;
        if (err)
            *err = write_error;
    } else if (status && err) {
        *err = (ssw_error){.status = status};
        ssw_error_set(err, status, "%s: %s", id, sample.error ? sample.error : "failed");
    }
    if (!kept && !status && seen.gpu_lost)
        status = end_without_gpu(runner, id, err);
    ssw_arena_deinit(&arena);
    free(request);
    return kept ? kept : status;
}

static ssw_status warm_up(ssw_runner *runner, ssw_error *err)
{
    ssw_status status = SSW_OK;
    for (int run = 1; !status && run <= runner->plan->warmup_runs; run++) {
        bool good;
        slot s = warmup_slot(runner, run);
        status = measure(runner, &s, count_attempts(runner, &s, &good) + 1, err);
    }
    return status;
}

/* What this start still has to do; 0 when a resumed run has it all. */
static size_t count_missing(const ssw_runner *runner, const ssw_schedule_request *requests, size_t n)
{
    size_t missing = 0;
    for (size_t i = 0; i < n; i++) {
        bool good;
        slot s = slot_of(runner, &requests[i]);
        count_attempts(runner, &s, &good);
        missing += !good;
    }
    return missing;
}

static ssw_status send_prompts(ssw_runner *runner, const ssw_schedule_request *requests, size_t n,
                               ssw_error *err)
{
    ssw_status status = warm_up(runner, err);
    for (size_t i = 0; !status && i < n; i++) {
        bool good;
        slot s = slot_of(runner, &requests[i]);
        int attempts = count_attempts(runner, &s, &good);
        if (!good)
            status = measure(runner, &s, attempts + 1, err);
    }
    return status;
}

static ssw_status say_last_words(ssw_runner *runner, ssw_error *err)
{
    char url[SSW_CLIENT_URL_MAX];
    const ssw_schedule *schedule = runner->options->schedule;
    const ssw_schedule_start *last = &schedule->starts[schedule->n_starts - 1];
    const ssw_plan_arm *arm = &runner->plan->arms[runner->start.arm];
    if (!runner->options->last_words || runner->start.block != last->block ||
        runner->start.position != last->position)
        return SSW_OK;
    if (arm->url)
        snprintf(url, sizeof url, "%s", arm->url);
    else
        snprintf(url, sizeof url, "http://127.0.0.1:%d", arm->port);
    return runner->options->last_words(runner->options->context, url, err);
}

/* One start of one server from beginning to end. */
static ssw_status run_start(ssw_runner *runner, const ssw_schedule_request *requests, size_t n,
                            ssw_error *err)
{
    ssw_error stop_error = {0};
    ssw_status status = ssw_runner_start_server(runner, err);
    if (!status)
        status = send_prompts(runner, requests, n, err);
    if (!status)
        status = say_last_words(runner, err);
    ssw_status stopped = ssw_runner_stop_server(runner, status, &stop_error);
    if (status == SSW_ERR_CANCELLED)
        runner->result->outcome = SSW_RUN_INTERRUPTED;
    if (!status && stopped) {
        status = stopped;
        if (err)
            *err = stop_error;
    }
    return status;
}

static ssw_status pause_between(ssw_runner *runner, ssw_error *err)
{
    int64_t pause_ns = runner->plan->pause_ns;
    if (pause_ns == 0)
        return SSW_OK;
    ssw_runner_tell(runner, (ssw_run_event){.kind = SSW_RUN_PAUSE, .value_ns = pause_ns});
    ssw_status status = ssw_runner_wait_until(runner, ssw_clock_now_ns() + pause_ns, err);
    if (status)
        runner->result->outcome = SSW_RUN_INTERRUPTED;
    return status;
}

static ssw_status run_starts(ssw_runner *runner, ssw_error *err)
{
    const ssw_schedule *schedule = runner->options->schedule;
    ssw_status status = SSW_OK;
    bool first = true;
    int64_t aa_cost_ns = SSW_EVIDENCE_NONE;
    ssw_runner_recall_decisions(runner);
    for (size_t i = 0; !status && !runner->stopped && i < schedule->n_starts; i++) {
        const ssw_schedule_request *requests = ssw_schedule_requests_of(schedule, i);
        int64_t begun_ns = ssw_clock_now_ns();
        runner->start = schedule->starts[i];
        runner->adapter = ssw_runner_adapter_of(ssw_runner_arm(runner));
        if (!ssw_runner_leaves_out(runner) && count_missing(runner, requests, schedule->n_requests) > 0) {
            if (!first)
                status = pause_between(runner, err);
            first = false;
            if (!status)
                status = run_start(runner, requests, schedule->n_requests, err);
            if (strcmp(runner->plan->arms[runner->start.arm].name, SSW_PLAN_AA_NAME) == 0)
                aa_cost_ns = ssw_clock_now_ns() - begun_ns;
        }
        bool block_ends = i + 1 == schedule->n_starts || schedule->starts[i + 1].block != runner->start.block;
        if (!status && block_ends) {
            status = ssw_runner_end_block(runner, aa_cost_ns, err);
            aa_cost_ns = SSW_EVIDENCE_NONE;
        }
    }
    if (!status)
        runner->result->outcome = SSW_RUN_COMPLETE;
    return status;
}

static int count_done(const ssw_evidence *before)
{
    int n = 0;
    for (size_t i = 0; before && i < before->n_samples; i++)
        n += ssw_evidence_is_measured(&before->samples[i]);
    return n;
}

static ssw_status open_files(ssw_runner *runner, const char *const *arm_names, ssw_error *err)
{
    const ssw_run_options *options = runner->options;
    ssw_status status = ssw_evidence_writer_open(&runner->writer, options->dir, err);
    if (status)
        return status;
    status = ssw_jsonl_open(&runner->telemetry, options->dir, "telemetry.jsonl", err);
    const ssw_sampler_options sampler = {.file = &runner->telemetry,
                                         .nvml = options->nvml,
                                         .rapl = options->rapl,
                                         .arm_names = arm_names,
                                         .first_arm = options->schedule->starts[0].arm};
    if (!status)
        status = ssw_sampler_start(&sampler, &runner->sampler, err);
    if (!status)
        status = ssw_evidence_write_clock(&runner->writer, err);
    return status;
}

/* Writes the end and closes; an error here counts only if the run went well until now. */
static ssw_status close_files(ssw_runner *runner, ssw_status status, ssw_error *err)
{
    static const char *const reasons[] = {"complete", "interrupted", "failed", "failed", "failed"};
    ssw_error late = {0};
    ssw_status ended = ssw_sampler_stop(runner->sampler, &late);
    if (ended && runner->result->outcome == SSW_RUN_COMPLETE) /* memory readings are missing: not complete */
        runner->result->outcome = SSW_RUN_EVIDENCE_FAILED;
    ssw_status closed = ssw_jsonl_close(&runner->telemetry, &late);
    if (runner->writer.samples.fd >= 0) {
        ssw_status clock = ssw_evidence_write_clock(&runner->writer, &late);
        ssw_status end = ssw_evidence_write_end(&runner->writer, reasons[runner->result->outcome],
                                                runner->n_samples, &late);
        ssw_status shut = ssw_evidence_writer_close(&runner->writer, &late);
        closed = closed ? closed : clock ? clock : end ? end : shut;
    }
    ended = ended ? ended : closed;
    if (status || !ended)
        return status;
    runner->result->outcome = SSW_RUN_EVIDENCE_FAILED;
    if (err)
        *err = late;
    return ended;
}

ssw_status ssw_run_schedule(const ssw_run_options *options, ssw_run_result *result, ssw_error *err)
{
    const char *arm_names[SSW_PLAN_ARMS_MAX];
    const ssw_plan *plan = &options->manifest->plan;
    ssw_runner runner = {.options = options,
                         .manifest = options->manifest,
                         .plan = plan,
                         .result = result,
                         .writer = {.samples = {.fd = -1}},
                         .telemetry = {.fd = -1}};
    *result = (ssw_run_result){.outcome = SSW_RUN_EVIDENCE_FAILED,
                               .n_done = count_done(options->before),
                               .n_total = (int)(options->schedule->n_starts * options->schedule->n_requests)};
    if (options->before)
        runner.n_samples = (int)options->before->n_samples;
    for (size_t i = 0; i < plan->n_arms; i++)
        arm_names[i] = plan->arms[i].name;
    ssw_self_audit audit;
    ssw_status status = ssw_self_audit_run(options->cancel_fd, &audit, err); /* forks: before any thread */
    if (status == SSW_ERR_CANCELLED)
        result->outcome = SSW_RUN_INTERRUPTED;
    ssw_status opened = open_files(&runner, arm_names, status ? NULL : err);
    if (!status)
        status = opened;
    if (!status)
        status = ssw_evidence_write_audit(&runner.writer, &audit, err);
    if (!status)
        status = run_starts(&runner, err);
    return close_files(&runner, status, err);
}
