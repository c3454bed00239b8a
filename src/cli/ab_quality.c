/* The quality phase, from a prepared folder to its checksums. */
#include "cli/ab_quality.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/evidence/checksums.h"
#include "bench/evidence/jsonl_writer.h"
#include "bench/evidence/quality_files.h"
#include "bench/quality/execute.h"
#include "bench/run/embed.h"
#include "bench/run/recount.h"
#include "cli/ab_screen.h"

enum { PROBLEMS_ARENA_BYTES = 64 << 20, PROGRESS_STEPS = 10 };

typedef struct phase { /* the quality phase under way */
    const ssw_ab_quality_run_options *options;
    char dir[PATH_MAX];
    ssw_arena arena;
    ssw_quality_settings settings;
    ssw_problems problems;
    ssw_evidence *before;
    ssw_schedule schedule;
    ssw_ab_screen *screen;
    ssw_run_result result;
    ssw_embed_result embedded;
} phase;

static ssw_status join(char path[PATH_MAX], const char *dir, const char *name, ssw_error *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return ssw_error_set(err, SSW_ERR_LIMIT, "%.200s: the path is too long", dir);
    return SSW_OK;
}

static ssw_status write_folder(const char *dir, const ssw_manifest *manifest,
                               const ssw_quality_options *options, ssw_error *err)
{
    char folder[PATH_MAX];
    ssw_jsonl samples = {.fd = -1};
    const ssw_quality_settings settings = {
        .margin = options->margin, .embeddings_url = options->embeddings_url, .problems = options->problems};
    ssw_status status = join(folder, dir, "quality", err);
    if (!status && mkdir(folder, 0755))
        status = ssw_error_set_errno(err, SSW_ERR_IO, errno, "%s", folder);
    if (!status)
        status = ssw_quality_settings_write(&settings, folder, err);
    if (!status)
        status = ssw_jsonl_open(&samples, folder, "samples.jsonl", err);
    if (!status)
        status = ssw_jsonl_close(&samples, err);
    return status ? status : ssw_manifest_write(manifest, folder, err);
}

ssw_status ssw_ab_quality_prepare(const char *dir, const ssw_prepare_options *prepare, const ssw_plan *plan,
                                  const ssw_quality_options *options, ssw_error *err)
{
    ssw_arena arena;
    ssw_problems problems;
    ssw_manifest manifest;
    ssw_schedule schedule = {0};
    ssw_arena_init(&arena, PROBLEMS_ARENA_BYTES);
    ssw_manifest_init(&manifest);
    ssw_plan_deinit(&manifest.plan);
    ssw_status status =
        ssw_problems_parse(&arena, options->problems, strlen(options->problems), &problems, err);
    if (!status)
        status = ssw_quality_make_plan(plan, options, &problems, &manifest.plan, err);
    if (!status)
        status = ssw_prepare_manifest(prepare, &manifest, &schedule, err);
    if (!status)
        status = write_folder(dir, &manifest, options, err);
    ssw_schedule_deinit(&schedule);
    ssw_manifest_deinit(&manifest);
    ssw_arena_deinit(&arena);
    return status;
}

bool ssw_ab_quality_is_open(const char *dir)
{
    char manifest[PATH_MAX], sums[PATH_MAX];
    return join(manifest, dir, "quality/manifest.json", NULL) == SSW_OK &&
           join(sums, dir, "quality/SHA256SUMS", NULL) == SSW_OK && access(manifest, F_OK) == 0 &&
           access(sums, F_OK) != 0;
}

static void observe(void *context, const ssw_run_event *event)
{
    phase *p = context;
    ssw_ab_screen_observe(p->screen, event);
}

/* Asks for embeddings; a server that has none is told and is no failure. */
static ssw_status embed(phase *p, const char *url, ssw_error *err)
{
    const ssw_embed_options options = {.dir = p->dir,
                                       .url = url,
                                       .model = p->before->manifest.model.name,
                                       .cancel_fd = p->options->cancel_fd};
    ssw_status status = ssw_embed_replies(&options, &p->embedded, err);
    if (!status && p->embedded.n_refused)
        ssw_ab_screen_line(p->screen, "embeddings: %d replies have none: %s", p->embedded.n_refused,
                           p->embedded.first_refusal.message);
    if (!status && p->embedded.n_embedded)
        ssw_ab_screen_line(p->screen, "embeddings: %d replies, by %s", p->embedded.n_embedded, url);
    return status;
}

static ssw_status ask_last_server(void *context, const char *base_url, ssw_error *err)
{
    return embed(context, base_url, err);
}

static ssw_status send_requests(phase *p, ssw_error *err)
{
    const ssw_run_options options = {.dir = p->dir,
                                     .manifest = &p->before->manifest,
                                     .schedule = &p->schedule,
                                     .before = p->before,
                                     .environment = p->options->environment,
                                     .nvml = p->options->nvml,
                                     .cancel_fd = p->options->cancel_fd,
                                     .observer = observe,
                                     .last_words = p->settings.embeddings_url ? NULL : ask_last_server,
                                     .context = p};
    bool complete = p->before->end_reason && strcmp(p->before->end_reason, "complete") == 0;
    ssw_status status = complete ? SSW_OK : ssw_run_schedule(&options, &p->result, err);
    ssw_ab_screen_finish(p->screen);
    if (!status && p->settings.embeddings_url)
        status = embed(p, p->settings.embeddings_url, err);
    return status;
}

static ssw_status count_tokens(phase *p, ssw_error *err)
{
    ssw_recount_result counts;
    const ssw_manifest_model *model = &p->before->manifest.model;
    ssw_status status = ssw_recount_tokens(p->dir, model->architecture ? model->path : NULL, &counts, err);
    if (status == SSW_ERR_UNSUPPORTED && model->architecture)
        status = ssw_recount_tokens(p->dir, NULL, &counts, err);
    return status;
}

static void show_programs(void *context, int n_done, int n_total)
{
    phase *p = context;
    int step = n_total / PROGRESS_STEPS + 1;
    if (n_done % step == 0 || n_done == n_total)
        ssw_ab_screen_line(p->screen, "programs: %d of %d judged", n_done, n_total);
}

static ssw_status run_programs(phase *p, ssw_error *err)
{
    ssw_evidence *evidence = NULL;
    ssw_sandbox_options sandbox;
    ssw_execute_result result;
    ssw_sandbox_options_init(&sandbox);
    ssw_status status = ssw_evidence_open(p->dir, &evidence, err);
    if (!status)
        status = ssw_quality_execute(evidence, &p->problems, &sandbox, p->options->cancel_fd, show_programs,
                                     p, &result, err);
    ssw_evidence_close(evidence);
    if (!status && result.no_sandbox)
        ssw_ab_screen_line(p->screen, "PROGRAMS WERE NOT RUN, pass@k is not measured: %s",
                           result.reason.message);
    else if (!status)
        ssw_ab_screen_line(p->screen, "programs: %d of %d passed their tests", result.n_passed,
                           result.n_programs);
    return status;
}

static ssw_status open_phase(phase *p, ssw_error *err)
{
    char log[PATH_MAX];
    ssw_arena_init(&p->arena, PROBLEMS_ARENA_BYTES);
    ssw_status status = join(p->dir, p->options->dir, "quality", err);
    if (!status)
        status = ssw_evidence_open(p->dir, &p->before, err);
    if (!status)
        status = ssw_quality_settings_read(&p->arena, p->dir, &p->settings, err);
    if (!status)
        status = ssw_problems_parse(&p->arena, p->settings.problems, strlen(p->settings.problems),
                                    &p->problems, err);
    if (!status)
        status = ssw_prepare_check(&p->before->manifest, p->options->cache_dir, err);
    if (!status)
        status = ssw_schedule_init(&p->schedule, &p->before->manifest.plan, err);
    if (!status)
        status = ssw_ab_screen_open(p->options->out, &p->before->manifest, &p->screen, err);
    if (!status)
        status = join(log, p->dir, "quality.log", err);
    return status ? status : ssw_ab_screen_open_log(p->screen, log, err);
}

ssw_status ssw_ab_quality_run(const ssw_ab_quality_run_options *options, ssw_run_outcome *outcome,
                              ssw_error *err)
{
    phase p = {.options = options, .result.outcome = SSW_RUN_COMPLETE};
    ssw_status status = open_phase(&p, err);
    if (!status) {
        const ssw_plan *plan = &p.before->manifest.plan;
        ssw_ab_screen_line(p.screen,
                           "quality: %zu arms x %zu prompts x %d samples, temperature %g, margin %g",
                           plan->n_arms, plan->n_prompts, plan->runs, plan->temperature, p.settings.margin);
        status = send_requests(&p, err);
    }
    if (!status)
        status = count_tokens(&p, err);
    if (!status)
        status = run_programs(&p, err);
    if (status && p.result.outcome == SSW_RUN_COMPLETE)
        p.result.outcome = status == SSW_ERR_CANCELLED ? SSW_RUN_INTERRUPTED : SSW_RUN_EVIDENCE_FAILED;
    if (p.screen)
        ssw_ab_screen_close_log(p.screen);
    if (!status)
        status = ssw_checksums_write(p.dir, err);
    if (status)
        *outcome = p.result.outcome;
    ssw_ab_screen_close(p.screen);
    ssw_schedule_deinit(&p.schedule);
    ssw_evidence_close(p.before);
    ssw_arena_deinit(&p.arena);
    return status;
}
