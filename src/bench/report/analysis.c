/* From evidence to values: one row of metrics for each arm, prompt and run. */
#include "bench/report/analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES_MAX ((size_t)2 << 30)

size_t ssw_analysis_index(const ssw_analysis *analysis, size_t arm, size_t prompt, size_t run)
{
    return (arm * analysis->n_prompts + prompt) * analysis->n_runs + run;
}

static bool has_choice(ssw_frame_kind kind)
{
    return kind <= SSW_FRAME_EMPTY; /* content, reasoning, tool, finish, role, empty */
}

static bool has_text(ssw_frame_kind kind)
{
    return kind <= SSW_FRAME_TOOL;
}

static int64_t count_prompt_tokens(const ssw_analysis *analysis, const ssw_sample *sample)
{
    if (sample->has_usage && sample->usage.prompt_tokens != SSW_EVIDENCE_NONE)
        return sample->usage.prompt_tokens;
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    return manifest->plan.prompts[ssw_manifest_find_prompt(manifest, sample->prompt)].tokens;
}

static int64_t count_tokens(ssw_analysis *analysis, const ssw_sample *sample)
{
    const ssw_token_count *count = ssw_evidence_find_tokens(analysis->evidence, sample->id);
    if (count && count->tokens != SSW_EVIDENCE_NONE)
        return count->tokens;
    analysis->tokens_are_ours = false;
    return sample->has_usage ? sample->usage.completion_tokens : SSW_EVIDENCE_NONE;
}

static ssw_status fill_sample(ssw_analysis *analysis, const ssw_sample *sample, ssw_error *err)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    size_t arm = (size_t)ssw_manifest_find_arm(manifest, sample->arm);
    size_t prompt = (size_t)ssw_manifest_find_prompt(manifest, sample->prompt);
    if (sample->run < 1 || (size_t)sample->run > analysis->n_runs)
        return ssw_error_set(err, SSW_ERR_FORMAT, "samples.jsonl: %.60s is run %d of %zu", sample->id,
                             sample->run, analysis->n_runs);
    size_t index = ssw_analysis_index(analysis, arm, prompt, (size_t)sample->run - 1);
    if (analysis->samples[index])
        return ssw_error_set(err, SSW_ERR_FORMAT, "samples.jsonl: %.60s was measured twice", sample->id);
    int64_t *chunks = malloc((sample->n_frames + 1) * sizeof *chunks);
    if (!chunks)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu frames", sample->n_frames);
    int64_t tokens = count_tokens(analysis, sample);
    ssw_request_times times = {.send_ns = sample->send_ns,
                               .first_choice_ns = SSW_METRIC_NO_TIME,
                               .chunk_ns = chunks,
                               .n_tokens = tokens == SSW_EVIDENCE_NONE ? SSW_METRIC_NO_COUNT : tokens,
                               .n_prompt_tokens = count_prompt_tokens(analysis, sample)};
    for (size_t i = 0; i < sample->n_frames; i++) {
        if (has_choice(sample->frames[i].kind) && times.first_choice_ns == SSW_METRIC_NO_TIME)
            times.first_choice_ns = sample->frames[i].t_ns;
        if (has_text(sample->frames[i].kind))
            chunks[times.n_chunks++] = sample->frames[i].t_ns;
    }
    ssw_status status = ssw_metric_compute(&times, analysis->values[index], err);
    free(chunks);
    analysis->samples[index] = sample;
    analysis->tokens[index] = tokens;
    analysis->prompt_tokens_are_servers &= sample->has_usage;
    analysis->n_measured++;
    return status;
}

/* Requests of the A/A arm that the run did without. */
static size_t count_left_out(const ssw_analysis *analysis)
{
    const ssw_left_out *left_out = &analysis->evidence->left_out;
    if (!left_out->arm || (size_t)left_out->from_block >= analysis->n_runs)
        return 0;
    return (analysis->n_runs - (size_t)left_out->from_block) * analysis->n_prompts;
}

static ssw_status allocate(ssw_analysis *analysis, ssw_error *err)
{
    const ssw_manifest *manifest = &analysis->evidence->manifest;
    analysis->n_arms = manifest->n_arms;
    analysis->n_prompts = manifest->plan.n_prompts;
    analysis->n_runs = (size_t)ssw_evidence_count_runs(analysis->evidence);
    bool abba = manifest->plan.design == SSW_PLAN_ABBA;
    analysis->n_starts = analysis->n_arms * (abba ? analysis->n_runs : 1);
    size_t n = analysis->n_arms * analysis->n_prompts * analysis->n_runs;
    ssw_arena *arena = &analysis->arena;
    analysis->values = ssw_arena_alloc(arena, n, sizeof *analysis->values);
    analysis->samples = ssw_arena_alloc(arena, n, sizeof *analysis->samples);
    analysis->tokens = ssw_arena_alloc(arena, n, sizeof *analysis->tokens);
    analysis->memory = ssw_arena_alloc(arena, analysis->n_starts, sizeof *analysis->memory);
    analysis->arms = ssw_arena_alloc(arena, analysis->n_arms, sizeof *analysis->arms);
    analysis->prompts =
        ssw_arena_alloc(arena, analysis->n_arms * analysis->n_prompts, sizeof *analysis->prompts);
    if (!analysis->values || !analysis->samples || !analysis->tokens || !analysis->memory ||
        !analysis->arms || !analysis->prompts)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for %zu requests", n);
    for (size_t i = 0; i < n; i++) {
        analysis->tokens[i] = SSW_EVIDENCE_NONE;
        for (int k = 0; k < SSW_METRIC_COUNT; k++)
            analysis->values[i][k] = NAN;
    }
    analysis->n_expected = (int)(n - count_left_out(analysis));
    analysis->tokens_are_ours = analysis->prompt_tokens_are_servers = true;
    return SSW_OK;
}

static ssw_status fill(ssw_analysis *analysis, ssw_error *err)
{
    ssw_status status = allocate(analysis, err);
    const ssw_evidence *evidence = analysis->evidence;
    for (size_t i = 0; i < evidence->n_samples && !status; i++) {
        const ssw_sample *sample = &evidence->samples[i];
        if (ssw_evidence_is_measured(sample))
            status = fill_sample(analysis, sample, err);
        else if (!sample->warmup)
            analysis->arms[ssw_manifest_find_arm(&evidence->manifest, sample->arm)].n_failed++;
    }
    if (!status)
        status = ssw_analysis_check_validity(analysis,
                                             err); /* flags first: comparisons also leave flagged pairs out */
    if (!status)
        status = ssw_analysis_measure_memory(analysis, err);
    if (!status)
        status = ssw_analysis_measure_energy(analysis, err);
    if (!status)
        status = ssw_analysis_compare(analysis, err);
    if (!status)
        status = ssw_analysis_audit(analysis, err);
    if (!status)
        ssw_analysis_prove_offload(analysis);
    if (!status)
        status = ssw_analysis_trade_off(analysis, err);
    return status;
}

ssw_status ssw_analysis_open(const char *dir, ssw_analysis **out, ssw_error *err)
{
    ssw_analysis *analysis = calloc(1, sizeof *analysis);
    *out = NULL;
    if (!analysis)
        return ssw_error_set(err, SSW_ERR_NOMEM, "out of memory");
    ssw_arena_init(&analysis->arena, ARENA_BYTES_MAX);
    ssw_status status = ssw_evidence_open(dir, &analysis->evidence, err);
    if (!status)
        status = ssw_quality_open(dir, &analysis->quality, err);
    if (!status)
        status = fill(analysis, err);
    if (status)
        ssw_analysis_close(analysis);
    else
        *out = analysis;
    return status;
}

void ssw_analysis_close(ssw_analysis *analysis)
{
    if (!analysis)
        return;
    ssw_quality_close(analysis->quality);
    ssw_evidence_close(analysis->evidence);
    ssw_arena_deinit(&analysis->arena);
    free(analysis);
}
